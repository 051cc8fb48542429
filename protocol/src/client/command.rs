//! What a face asks of the client, and what it gets back.

use std::time::Duration;

use super::event::{DeviceView, EntryView, PersonView, RoomView};
use crate::crypto::card::AgentCard;
use crate::crypto::commit::Role;
use crate::crypto::content::{Answer, Attached, Content, Emoji};
use crate::id::{AccountId, DeviceId, Hash, InviteToken, RoomId, Seq, TimeMs};
use crate::name::{Handle, RoomName};

/// Something a person or a script wants done. Every command is answered once by [`Done`] or a
/// [`CommandError`]; those that need the server wait for it, but never longer than their deadline.
#[derive(Debug, Clone)]
pub enum Command {
    /// Puts a text into the durable outbox of a room. Answered at once by [`Done::Queued`], also
    /// offline; what becomes of it is told by `ClientEvent::Outbox`.
    Send {
        /// Where.
        room: RoomId,
        /// What, at most `MESSAGE_TEXT_LEN_MAX` bytes.
        text: String,
        /// How the face names the row; `ClientEvent::Outbox` says it again.
        tag: Option<RowTag>,
    },
    /// Takes a queued text back, if it was never written to the wire.
    Withdraw {
        /// Which, from [`Done::Queued`].
        local_id: u64,
    },
    /// Seals a text and leaves it with the server until it is due.
    Schedule {
        /// Where.
        room: RoomId,
        /// What.
        text: String,
        /// When.
        due: TimeMs,
    },
    /// Lists what this account has left with the server until it is due.
    Schedules,
    /// Takes a scheduled message back that is not due yet.
    Unschedule {
        /// Where.
        room: RoomId,
        /// Which, from [`ScheduleView::id`].
        id: u64,
    },
    /// Makes a room.
    CreateRoom(NewRoom),
    /// Finds or makes the direct room with a person.
    Direct(PersonRef),
    /// Joins an open room of the lobby.
    JoinRoom(RoomId),
    /// Adds people, possibly several in one commit.
    Add {
        /// Where.
        room: RoomId,
        /// Whom.
        people: Vec<PersonRef>,
    },
    /// Removes a member; a new epoch begins.
    Remove {
        /// Where.
        room: RoomId,
        /// Whom.
        person: PersonRef,
    },
    /// Leaves a room.
    Leave(RoomId),
    /// Begins a new epoch.
    Rotate(RoomId),
    /// Gives a room another name (and keeps its topic).
    Rename {
        /// Which.
        room: RoomId,
        /// The name.
        name: RoomName,
    },
    /// Changes a member's role.
    SetRole {
        /// Where.
        room: RoomId,
        /// Whose.
        person: PersonRef,
        /// To what.
        role: Role,
    },
    /// Changes a policy value or the topic: keys `history` (`since_join`, `all`), `who_adds` (`admin`, `any`),
    /// `retention_days` (0..=3650), `topic` (text).
    Set {
        /// Where.
        room: RoomId,
        /// Which.
        key: String,
        /// To what.
        value: String,
    },
    /// Moves the read mark (max-merge; synced to all own sessions).
    MarkRead {
        /// Where.
        room: RoomId,
        /// Up to where.
        upto: Seq,
    },
    /// Says that the person is typing, at most once every two seconds to the wire.
    Typing(RoomId),
    /// Says that the person stopped typing.
    TypingStopped(RoomId),
    /// Says whether the person is away.
    SetAway(bool),
    /// Makes an invite link.
    Invite {
        /// Rooms the joiner will be added to by this client.
        rooms: Vec<RoomId>,
        /// How many may use it.
        uses: u32,
        /// How long it lives.
        lifetime: Duration,
    },
    /// Lists the account's invites that still work.
    Invites,
    /// Ends an invite: nobody joins by it any more.
    RevokeInvite(InviteToken),
    /// Reads how far each member of a room has read, by their signed word.
    Ticks(RoomId),
    /// Lists open rooms.
    Lobby,
    /// Lists the account's own devices.
    Devices,
    /// Revokes an own device; new epochs follow by the sender rule.
    RevokeDevice(DeviceId),
    /// Computes the safety number with a person: 60 digits in 4 rows of 3 groups of 5.
    Safety(PersonRef),
    /// Says that the person compared the safety number (`true`), or accepts a changed identity.
    Trust {
        /// Whose.
        person: PersonRef,
        /// Whether the numbers were compared.
        is_verified: bool,
    },
    /// Reads entries before a position from the replica, fetching from the server what is missing and
    /// may be read. `Seq(0)` means from the newest.
    Timeline {
        /// Where.
        room: RoomId,
        /// Entries before this one.
        before: Seq,
        /// How many at most.
        count: u32,
    },
    /// Shows what a question to the room's assistant would send, and to whom.
    Envelope {
        /// Where.
        room: RoomId,
        /// The question, for what still fits beside it.
        text: String,
        /// A message that is quoted.
        quoted: Option<Seq>,
        /// How many of the last messages are wanted besides.
        n_context: u32,
    },
    /// Puts an emoji on a message, or takes it back.
    React(NewReaction),
    /// Puts a question to the room's assistant into the outbox, with what is shown to it.
    Ask(NewAsk),
    /// Stops an answer, or takes a question back that has none yet. Only the own ones.
    StopAnswer {
        /// Where.
        room: RoomId,
        /// The ask.
        ask: Seq,
    },
    /// The answers of assistants that are kept here, oldest first; in one room, or in all.
    Answers {
        /// Where; `None` for all rooms.
        room: Option<RoomId>,
    },
    /// For agents: says of itself where questions go.
    PutCard(NewCard),
    /// For agents: a piece of the answer to an ask, for who is there now. Lost when refused.
    Stream {
        /// Where.
        room: RoomId,
        /// The ask.
        ask: Seq,
        /// What comes next.
        text: String,
    },
    /// For agents: puts the answer to an ask into the outbox, whatever became of it.
    Answer {
        /// Where.
        room: RoomId,
        /// The answer; its `ask_hash` is filled in from the log.
        answer: Box<Answer>,
    },
    /// All rooms the account is in, as far as the replica knows.
    Rooms,
    /// Everyone who shares a room with the account.
    People,
    /// Lets in who joined by an own invite and waits for this device, then waits until everything
    /// the server had when this was asked is in the replica.
    Sync,
    /// Tries to connect now instead of waiting for the backoff.
    ConnectNow,
    /// Ends the session in good order: what is queued stays queued.
    Stop,
}

/// A face's own name for a row of the outbox, from queueing it on; it ends with the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowTag(pub u64);

/// A room to be made.
#[derive(Debug, Clone)]
pub struct NewRoom {
    /// Its name.
    pub name: RoomName,
    /// Open (server-readable, anybody may join) instead of end-to-end encrypted.
    pub is_open: bool,
    /// Whether newcomers may read everything (`history=all`).
    pub shares_history: bool,
    /// First members besides the maker.
    pub people: Vec<PersonRef>,
}

/// An emoji for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReaction {
    /// Where.
    pub room: RoomId,
    /// The message.
    pub target: Seq,
    /// The emoji.
    pub emoji: Emoji,
    /// Whether it is taken back.
    pub is_removed: bool,
}

/// A question that was agreed to.
#[derive(Debug, Clone)]
pub struct NewAsk {
    /// Where.
    pub room: RoomId,
    /// The question.
    pub text: String,
    /// What the card that was shown promised; see [`Envelope::promise`].
    pub promise: Hash,
    /// The messages that are shown, in the order of the log.
    pub attached: Vec<Seq>,
    /// The ask that this one repeats.
    pub again: Option<Seq>,
    /// How the face names the row of the outbox.
    pub tag: Option<RowTag>,
}

/// What an agent says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCard {
    /// Host that gets what is shown; empty without a model.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Whether the provider runs on the agent's own machine or network.
    pub is_local: bool,
    /// Who runs the agent.
    pub operator: String,
}

/// What would leave with a question, and where it would go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The assistant.
    pub agent: AccountId,
    /// Its name.
    pub handle: String,
    /// What it says of itself; `None` if it has not, so nobody knows where questions go.
    pub card: Option<AgentCard>,
    /// What an ask names as agreed to; zero without a card.
    pub promise: Hash,
    /// The quoted message, if it can be read.
    pub quoted: Option<Attached>,
    /// The last messages, in the order of the log; as many as were asked for and fit.
    pub context: Vec<Attached>,
    /// How many of those asked for do not fit.
    pub n_left_out: u32,
}

/// An answer with the question it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The room.
    pub room: RoomId,
    /// The place of the answer.
    pub seq: Seq,
    /// When it was stored.
    pub time: TimeMs,
    /// Who asked; `None` if the ask is not kept here.
    pub asker: Option<AccountId>,
    /// By which name; empty if unknown.
    pub handle: String,
    /// The answer.
    pub answer: Answer,
}

/// A person, by name or by identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersonRef {
    /// The exact handle; looked up among pinned accounts first.
    Handle(Handle),
    /// The identity.
    Account(AccountId),
}

/// An invite link, ready to hand over. Its text is a secret: whoever has it may join.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteLink(pub String);

impl std::fmt::Debug for InviteLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InviteLink(..)")
    }
}

/// An open room as the lobby lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LobbyRoom {
    /// The room.
    pub room: RoomId,
    /// Its name.
    pub name: String,
    /// Its topic.
    pub topic: String,
    /// How many are in it.
    pub n_members: u32,
    /// Whether this account is.
    pub is_member: bool,
}

/// An invite of this account, as the server keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteView {
    /// Its public name.
    pub token: InviteToken,
    /// How often it may still be used.
    pub uses_left: u32,
    /// When it ends.
    pub expires: TimeMs,
    /// The rooms that joiners are added to.
    pub rooms: Vec<RoomId>,
    /// Whether it was made on this device, which then lets joiners in.
    pub is_of_this_device: bool,
}

/// How far somebody has read, by a signed tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickView {
    /// Who.
    pub account: AccountId,
    /// By which name.
    pub handle: String,
    /// Up to where.
    pub upto: Seq,
    /// Whether the signature holds over this device's own log; else it is only the server's word.
    pub is_verified: bool,
}

/// A message that waits with the server until it is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleView {
    /// Where.
    pub room: RoomId,
    /// Its number, for taking it back.
    pub id: u64,
    /// When it is due.
    pub due: TimeMs,
    /// What it says; `None` if this device cannot open it.
    pub content: Option<Content>,
}

/// How a command ended well.
#[derive(Debug, Clone)]
pub enum Done {
    /// It is done; nothing to tell.
    Done,
    /// The text is durable in the outbox under this number.
    Queued {
        /// Names it in `ClientEvent::Outbox` and `Command::Withdraw`.
        local_id: u64,
    },
    /// The room that was made, found, joined or changed.
    Room(RoomId),
    /// The link that was made.
    Invite(InviteLink),
    /// The account's invites.
    Invites(Vec<InviteView>),
    /// How far members have read.
    Ticks(Vec<TickView>),
    /// What is scheduled, by time.
    Schedules(Vec<ScheduleView>),
    /// The open rooms.
    Lobby(Vec<LobbyRoom>),
    /// The own devices.
    Devices(Vec<DeviceView>),
    /// The safety number's 60 digits.
    Safety(String),
    /// Entries in rising order, and whether older ones exist that can be had.
    Timeline {
        /// The entries.
        entries: Vec<EntryView>,
        /// Whether asking before the first of them may bring more.
        has_more: bool,
    },
    /// What would leave with a question.
    Envelope(Box<Envelope>),
    /// Answers, oldest first.
    Answers(Vec<Answered>),
    /// The rooms, by name.
    Rooms(Vec<RoomView>),
    /// The people, by handle.
    People(Vec<PersonView>),
}

/// Why a command failed. The text is for people; the variant decides the exit code.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// There is no such room or person (here, or for this account).
    #[error("{0}")]
    NotFound(String),
    /// The text fits several; the identifiers are listed.
    #[error("{0}")]
    Ambiguous(String),
    /// The value is malformed; nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// The rules of the room or the server refuse it.
    #[error("{0}")]
    Refused(String),
    /// An identity or the log failed verification: never retried by itself.
    #[error("{0}")]
    Untrusted(String),
    /// The account or device may not log in.
    #[error("{0}")]
    NotLoggedIn(String),
    /// The server cannot be reached; nothing was sent.
    #[error("cannot reach the server: {0}")]
    Offline(String),
    /// Something was sent, but the answer did not come in time.
    #[error("the server did not answer in time")]
    TimedOut,
    /// The server asks to wait.
    #[error("too many requests, try again in {retry_after_ms} ms")]
    RateLimited {
        /// Milliseconds.
        retry_after_ms: u32,
    },
    /// The replica on this machine failed (disk full, read-only).
    #[error("{0}")]
    Storage(String),
    /// The client has stopped.
    #[error("the client has stopped")]
    Stopped,
}
