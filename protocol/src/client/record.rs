//! What a replica keeps, as plain values.
//!
//! Owns no rule: the engine verifies before it writes one of these.

use std::fmt;

use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::entry::StoredContent;
use super::event::TrustState;
use crate::crypto::commit::{RoomKind, RoomMode};
use crate::crypto::content::{Content, ReactionCount};
use crate::crypto::hash::sha256;
use crate::crypto::user_chain::ChainHead;
use crate::id::{
    AccountId, Counter, DeviceId, Hash, InviteToken, Realm, RoomId, RoomNumber, Seq, TimeMs,
    WorkspaceId,
};
use crate::wire::{EntryBody, MarkStep};

/// Where a pin of a server's key came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinSource {
    /// It stood in the invite.
    Invite,
    /// The platform's certificate authorities vouched for it at first contact.
    WebPki,
    /// A person compared the fingerprint and typed yes.
    Asked,
    /// The server itself announced it after a login under the pin before.
    Announced,
}

/// The server a replica belongs to (CRYPTO B8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRecord {
    /// `host:port` as the person gave it.
    pub address: String,
    /// The identity of the server's data.
    pub realm: Realm,
    /// SHA-256 of the server's public key (SPKI).
    pub pin: Hash,
    /// The key that comes next, if the server announced one.
    pub next_pin: Option<Hash>,
    /// Where `pin` came from.
    pub source: PinSource,
    /// When it was first seen.
    pub first_seen: TimeMs,
}

/// A person by name: which account the name meant at first sight (CRYPTO B2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The name.
    pub handle: String,
    /// The account pinned to it.
    pub account: AccountId,
    /// The highest chain position ever seen; never moves back.
    pub seen: ChainHead,
    /// Whether the safety number was compared.
    pub trust: TrustState,
    /// Another account that the server gave for this name, waiting to be accepted by hand.
    pub changed_to: Option<AccountId>,
    /// When the chain head was last asked of the server.
    pub refreshed: TimeMs,
}

/// A room with its verified position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRecord {
    /// The room.
    pub room: RoomId,
    /// The last verified position.
    pub seq: Seq,
    /// `H` there; `H_0` is the room's identifier.
    pub hash: Hash,
    /// What the room is.
    pub facts: RoomFacts,
    /// Where this account stands in it.
    pub marks: RoomMarks,
    /// Where all stand in it.
    pub histograms: MarkHistograms,
}

/// What a room is: changes rarely.
#[derive(Clone, PartialEq, Eq)]
pub struct RoomFacts {
    /// The server's short number.
    pub number: Option<RoomNumber>,
    /// The workspace it belongs to.
    pub workspace: WorkspaceId,
    /// Group, direct or assistant.
    pub kind: RoomKind,
    /// End-to-end encrypted or open.
    pub mode: RoomMode,
    /// The name, for the first paint; empty while unknown.
    pub name: String,
    /// The topic, for the first paint.
    pub topic: String,
    /// Whether this account is a member now.
    pub is_member: bool,
    /// The first entry from which the log is kept without a hole up to the cursor.
    pub held_from: Seq,
    /// Why sending is stopped here for good, after an alarm; survives restarts.
    pub stopped: Option<String>,
}

/// Where this account stands in a room: changes with every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoomMarks {
    /// The newest position the server announced.
    pub announced: Seq,
    /// The own read mark, the server's word.
    pub read_upto: Seq,
    /// The own delivered mark that was last reported to the server.
    pub delivered_upto: Seq,
    /// Countable entries above the read mark, the server's count.
    pub n_unread: u32,
    /// When the newest entry was stored.
    pub active_at: TimeMs,
}

/// Where all accounts stand in a room.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MarkHistograms {
    /// How many accounts have received how far.
    pub delivered: Vec<MarkStep>,
    /// How many accounts have read how far.
    pub read: Vec<MarkStep>,
}

impl RoomFacts {
    /// Facts of a room that was only just heard of.
    pub fn unknown() -> Self {
        Self {
            number: None,
            workspace: WorkspaceId::MAIN,
            kind: RoomKind::Group,
            mode: RoomMode::E2ee,
            name: String::new(),
            topic: String::new(),
            is_member: true,
            held_from: Seq(1),
            stopped: None,
        }
    }
}

impl fmt::Debug for RoomFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Name and topic stay out: they reach no log.
        f.debug_struct("RoomFacts")
            .field("number", &self.number)
            .field("kind", &self.kind)
            .field("mode", &self.mode)
            .field("is_member", &self.is_member)
            .finish_non_exhaustive()
    }
}

/// Verified entries of one room, to be written at once.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Entries to be read by people, rising; older ones than the cursor when pages are filled in.
    pub entries: Vec<EntryRecord>,
    /// Commits, rising; also those before this account joined.
    pub commits: Vec<StoredCommit>,
    /// Where the verified log ends after this batch; `None` for older pages.
    pub cursor: Option<(Seq, Hash)>,
    /// The counter lanes that changed, as of the cursor.
    pub lanes: Vec<(DeviceId, DeviceLane)>,
}

/// A verified commit, by which a room's state is rebuilt at start-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCommit {
    /// Its place.
    pub seq: Seq,
    /// The server's time.
    pub time: TimeMs,
    /// The stored bytes, tag included.
    pub entry: Vec<u8>,
}

/// An entry of a verified log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRecord {
    /// Its place.
    pub seq: Seq,
    /// The server's time.
    pub time: TimeMs,
    /// The stored bytes, or their SHA-256 when they are gone.
    pub body: EntryBody,
    /// `H` here.
    pub hash: Hash,
    /// Who made it; zero if nothing is left to tell.
    pub author: AccountId,
    /// With which device; zero if nothing is left to tell.
    pub device: DeviceId,
    /// What it says. Stored sealed.
    pub content: StoredContent,
    /// Whether it names this account with an at sign.
    pub is_mention: bool,
    /// Whether a question that is kept here showed it to an agent. Says the replica when it is read;
    /// without meaning when it is written, see `Replica::note_shown`.
    pub is_shown: bool,
    /// The reactions to it. Counted by the replica when it is read; without meaning when it is written.
    pub reactions: Vec<ReactionCount>,
}

impl EntryRecord {
    /// The first half of SHA-256 of its stored bytes, by which messages name it.
    pub fn half(&self) -> [u8; 16] {
        match &self.body {
            EntryBody::Whole(bytes) => sha256(&[bytes]).first_half(),
            EntryBody::Gone(hash) => hash.first_half(),
        }
    }
}

/// How far one device has come in one room: its last message there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceLane {
    /// The last counter.
    pub last: Counter,
    /// What the next message names as `prev_own`; zero before the first.
    pub prev_own: [u8; 16],
}

/// A sealed message with the counter it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedMessage {
    /// The stored bytes, tag included.
    pub entry: Vec<u8>,
    /// The lane after it.
    pub lane: DeviceLane,
}

/// A message on its way out. What it says is stored sealed; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its number on this device.
    pub local_id: u64,
    /// The room.
    pub room: RoomId,
    /// What it says. Stored sealed.
    pub content: Content,
    /// When it was queued.
    pub queued_at: TimeMs,
    /// How far it is.
    pub state: RowState,
}

impl OutboxRow {
    /// What it says in words; empty for what has none.
    pub fn text(&self) -> &str {
        self.content.text().map_or("", String::as_str)
    }
}

impl fmt::Debug for OutboxRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxRow")
            .field("local_id", &self.local_id)
            .field("room", &self.room)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// How far a row of the outbox is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowState {
    /// Durable here; no counter taken.
    Queued,
    /// Sealed, with a counter taken: from now on it may have reached the server.
    Sent {
        /// The counter.
        counter: Counter,
        /// The stored bytes, tag included: a retry sends exactly these.
        entry: Vec<u8>,
    },
    /// Durable at the server.
    Accepted {
        /// The place.
        seq: Seq,
        /// The server's time.
        time: TimeMs,
    },
    /// Refused for good.
    Failed {
        /// For people.
        cause: String,
    },
    /// Taken back in time.
    Withdrawn,
}

impl RowState {
    /// The name of the state, without what belongs to it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent { .. } => "sent",
            Self::Accepted { .. } => "accepted",
            Self::Failed { .. } => "failed",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Whether nothing will happen to the row any more.
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Accepted { .. } | Self::Withdrawn)
    }
}

/// An invite of this account, with the secret that joiners prove to know (CRYPTO B7).
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct OwnInvite {
    /// What the server knows of it.
    #[zeroize(skip)]
    pub token: InviteToken,
    /// The secret of the link. Stored sealed.
    pub secret: Zeroizing<[u8; 16]>,
    /// Rooms that joiners are added to.
    #[zeroize(skip)]
    pub rooms: Vec<RoomId>,
    /// When it ends.
    #[zeroize(skip)]
    pub expires: TimeMs,
}

impl fmt::Debug for OwnInvite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnInvite({:?})", self.token)
    }
}

/// How far an agent has come with an answer it began, for its next start. `Debug` hides the text.
#[derive(Clone, PartialEq, Eq)]
pub struct UnfinishedAnswer {
    /// The room of the question.
    pub room: RoomId,
    /// The place of the question.
    pub ask: Seq,
    /// How often the model was asked.
    pub n_tries: u8,
    /// As much of the answer as people have seen.
    pub text: String,
}

impl fmt::Debug for UnfinishedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnfinishedAnswer({} {}, {} bytes)", self.room.short(), self.ask, self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_never_show_in_debug_output() {
        let row = OutboxRow {
            local_id: 1,
            room: RoomId::ZERO,
            content: Content::Text("canary".to_owned()),
            queued_at: TimeMs(0),
            state: RowState::Queued,
        };
        assert!(!format!("{row:?}").contains("canary"));
    }
}
