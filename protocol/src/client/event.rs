//! What the client tells its faces: plain views, already verified and opened.
//!
//! Texts in views are as their authors wrote them: a face must clean them before showing.

use std::time::Duration;

use super::entry::EntryContent;
use crate::crypto::card::AgentCard;
use crate::crypto::commit::{AgentScope, HistoryRule, Role, RoomKind, RoomMode};
use crate::crypto::content::Content;
use crate::id::{AccountId, DeviceId, Epoch, RoomId, Seq, TimeMs};
use crate::log::n_at;
use crate::wire::MarkBucket;

/// Something a face should know.
#[derive(Debug, Clone)]
pub enum ClientEvent {
    /// The connection changed.
    Connection(ConnectionState),
    /// A room appeared or changed in any way that shows (name, members, unread, lock, alarm).
    Room(Box<RoomView>),
    /// A room is gone for this account.
    RoomGone(RoomId),
    /// A verified entry arrived or became readable. The same position may be told again when a key
    /// that was missing arrives: the newer telling replaces the older.
    Entry(Box<EntryView>),
    /// A piece of an answer came: what has come so far. The final entry replaces it.
    Stream(Box<StreamView>),
    /// Something in the outbox changed.
    Outbox(OutboxView),
    /// Marks of a room moved.
    Marks {
        /// The room.
        room: RoomId,
        /// The counts now.
        marks: MarkCounts,
    },
    /// Somebody is typing (`is_typing`), or stopped.
    Typing {
        /// The room.
        room: RoomId,
        /// Who.
        account: AccountId,
        /// Whether they are.
        is_typing: bool,
    },
    /// Somebody came, went or turned away.
    Presence(PresenceView),
    /// A check failed in a way that matters: shown loudly, and sending stops where it says so.
    Alarm {
        /// The room, if it concerns one.
        room: Option<RoomId>,
        /// The person, if it concerns one.
        account: Option<AccountId>,
        /// What failed.
        cause: AlarmCause,
        /// A sentence for people, without message text.
        text: String,
    },
    /// Something worth one quiet line (a new device of somebody, a rotation, a newcomer added).
    Notice {
        /// The room, if it concerns one.
        room: Option<RoomId>,
        /// A sentence for people.
        text: String,
    },
    /// A scheduled entry could not be appended when due.
    ScheduleDropped {
        /// The room.
        room: RoomId,
        /// Why, for people.
        text: String,
    },
}

/// How the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionState {
    /// An attempt is under way.
    Connecting,
    /// Logged in and caught up or catching up.
    Online {
        /// Smoothed round trip of the path.
        rtt: Duration,
        /// Whether everything the server had at login is in the replica.
        is_caught_up: bool,
    },
    /// Not connected; another attempt follows by itself.
    Offline {
        /// When the next attempt begins, counted from this event.
        retry_in: Duration,
        /// Why, for people.
        cause: String,
    },
    /// Not connected, and no attempt follows (revoked, changed server key, stopped).
    Stopped {
        /// Why and what to do, for people.
        cause: String,
        /// Whether an identity check failed (exit code 9).
        is_untrusted: bool,
    },
}

/// A room as a face shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomView {
    /// The room.
    pub room: RoomId,
    /// Group, direct or assistant.
    pub kind: RoomKind,
    /// End-to-end encrypted or open.
    pub mode: RoomMode,
    /// Its name; for a direct room the other's handle. Empty while the key is missing.
    pub name: String,
    /// Its topic, possibly empty.
    pub topic: String,
    /// Present members, by handle.
    pub members: Vec<MemberView>,
    /// The own role.
    pub role: Role,
    /// What newcomers may read.
    pub history: HistoryRule,
    /// What assistants may read.
    pub agent_scope: AgentScope,
    /// The present epoch; 0 in open rooms.
    pub epoch: Epoch,
    /// 20 digits, equal for all who hold the same members and epoch.
    pub room_code: String,
    /// The newest verified position.
    pub head: Seq,
    /// `H` there, for comparing two devices.
    pub head_hash: crate::id::Hash,
    /// A position the server announced but has not delivered; equal to `head` when caught up.
    pub announced: Seq,
    /// The own read mark, the server's word.
    pub read_upto: Seq,
    /// Countable entries above it, the server's count.
    pub n_unread: u32,
    /// Mentions of the own handle above the read mark, counted by this client.
    pub n_mentions: u32,
    /// When the newest entry was stored.
    pub active_at: TimeMs,
    /// Why sending is stopped here, for people; `None` when it is not.
    pub sending_stopped: Option<String>,
    /// Marks of the others.
    pub marks: MarkCounts,
}

/// A member of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Who.
    pub account: AccountId,
    /// By which name.
    pub handle: String,
    /// In which role.
    pub role: Role,
    /// Whether it is an agent that reads only what is shown to it.
    pub is_agent: bool,
    /// Operator text of an agent, empty for people.
    pub operator: String,
    /// What an agent says of itself, as far as it is known here.
    pub card: Option<AgentCard>,
}

/// A person as `people` lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonView {
    /// Who.
    pub account: AccountId,
    /// By which name.
    pub handle: String,
    /// Whether it is an agent.
    pub is_agent: bool,
    /// Whether they are there.
    pub presence: PresenceView,
    /// Whether the safety number was compared.
    pub trust: TrustState,
    /// Un-revoked devices.
    pub n_devices: u32,
}

/// Whether an identity was compared by people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustState {
    /// Pinned at first sight.
    Unverified,
    /// The safety number was compared.
    Verified,
    /// The name has another identity than before: sending is blocked until accepted by hand.
    Changed,
}

/// How somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceView {
    /// Who.
    pub account: AccountId,
    /// How.
    pub state: crate::wire::PresenceState,
    /// When last seen; 0 if never told.
    pub last_seen: TimeMs,
}

/// An own device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceView {
    /// Which.
    pub device: DeviceId,
    /// Its name.
    pub name: String,
    /// Its operating system.
    pub os: String,
    /// When it was made.
    pub created: TimeMs,
    /// Whether it is this one.
    pub is_this: bool,
    /// Whether it is revoked.
    pub is_revoked: bool,
}

/// A log entry as a face shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one entry")]
pub struct EntryView {
    /// The room.
    pub room: RoomId,
    /// The place.
    pub seq: Seq,
    /// The server's time.
    pub time: TimeMs,
    /// Who.
    pub author: AccountId,
    /// By which name.
    pub handle: String,
    /// From which device.
    pub device: DeviceId,
    /// Whether it is by this account.
    pub is_mine: bool,
    /// Whether it counts as unread.
    pub is_countable: bool,
    /// Whether it names this account with an at sign.
    pub is_mention: bool,
    /// How it was sealed.
    pub sealed: SealedBy,
    /// Whether an assistant has seen it: a question was sealed to it, or showed it this.
    pub is_shown: bool,
    /// What it is.
    pub content: EntryContent,
}

/// How an entry was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedBy {
    /// Under the room's key of an epoch.
    Epoch(Epoch),
    /// Under the room's key, and shown to an agent.
    EpochAndAgent(Epoch),
    /// Not end to end: an open room.
    Open,
}

/// Why an entry cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnreadableCause {
    /// It was said before this account joined, and the room does not share history.
    BeforeJoin,
    /// The key was asked of the other members and has not come yet.
    KeyAsked,
    /// The key arrived and did not fit; asked again.
    KeyBad,
    /// This account is an agent that reads only what is shown to it, and this was not.
    NotShown,
}

impl UnreadableCause {
    /// The byte that stands for it in a replica.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::BeforeJoin => 0,
            Self::KeyAsked => 1,
            Self::KeyBad => 2,
            Self::NotShown => 3,
        }
    }

    /// Reads what [`Self::to_byte`] writes; `None` for any other byte.
    pub fn from_byte(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::BeforeJoin),
            1 => Some(Self::KeyAsked),
            2 => Some(Self::KeyBad),
            3 => Some(Self::NotShown),
            _ => None,
        }
    }
}

/// An answer that is being given.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamView {
    /// The room.
    pub room: RoomId,
    /// The ask.
    pub ask: Seq,
    /// The agent.
    pub agent: AccountId,
    /// By which name.
    pub handle: String,
    /// What has come so far.
    pub text: String,
    /// Whether a piece is missing; the final entry will have it.
    pub has_gap: bool,
}

impl std::fmt::Debug for StreamView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamView(to {}, {} bytes)", self.ask, self.text.len())
    }
}

/// Something in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxView {
    /// Its number on this device.
    pub local_id: u64,
    /// The room.
    pub room: RoomId,
    /// What it says.
    pub content: Content,
    /// When it was queued.
    pub queued_at: TimeMs,
    /// How far it is.
    pub state: OutboxState,
}

impl OutboxView {
    /// What it says in words; empty for what has none.
    pub fn text(&self) -> &str {
        self.content.text().map_or("", String::as_str)
    }
}

/// How far something in the outbox is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboxState {
    /// Durable here, not yet written to the wire.
    Queued,
    /// Written to the wire, not yet acked: it may or may not be stored.
    Sent,
    /// Durable at the server at this place; the item leaves the outbox.
    Accepted {
        /// The place.
        seq: Seq,
        /// The server's time.
        time: TimeMs,
    },
    /// Refused for good: the text is kept, the cause says what to do.
    Failed {
        /// For people.
        cause: String,
    },
    /// Taken back by the person before it was written to the wire.
    Withdrawn,
}

/// How many human members besides oneself have received and read how far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MarkCounts {
    /// How many human members there are besides oneself.
    pub n_others: u32,
    /// Delivered, newest step first (all human members counted, oneself included).
    pub delivered: Vec<MarkBucket>,
    /// Read, newest step first.
    pub read: Vec<MarkBucket>,
}

impl MarkCounts {
    /// How many others have received and read an own entry: `(delivered, read)`.
    ///
    /// The steps include the own person, whose marks cover what it wrote itself.
    pub fn reached(&self, seq: Seq) -> (u32, u32) {
        let others = |steps: &[MarkBucket]| n_at(steps, seq).saturating_sub(1).min(self.n_others);
        let n_read = others(&self.read);
        (others(&self.delivered).max(n_read), n_read)
    }
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmCause {
    /// Two histories of one room: sending stops there.
    Fork,
    /// The log does not fit together (replayed, reordered, changed entries): sending stops there.
    BrokenLog,
    /// An identity changed under a name: sending to it stops.
    IdentityChanged,
    /// A user chain has two histories: sending to it stops.
    ChainFork,
    /// A user chain was served shorter than seen before, three times.
    StaleChain,
    /// A history grant or wrap did not fit its commitment.
    BadKey,
    /// The server's key is not the pinned one.
    ServerChanged,
    /// The server withholds entries it announced.
    Withheld,
}
