//! The async client: connects, trusts, logs in, keeps a verified replica, sends exactly once.
//!
//! Faces (terminal, commands, bots) hold a [`Client`], give it [`Command`]s and hear
//! [`ClientEvent`]s. They never see frames, keys or sockets.

mod bot;
mod clock;
mod command;
mod connect;
pub mod core;
mod entry;
mod event;
mod events;
mod handle;
#[cfg(feature = "home")]
pub mod home;
mod identity;
mod login;
mod methods;
mod record;
mod register;
mod replica;
pub mod shell;
mod trust;

pub use bot::{Bot, BotError, Heard};
pub use clock::{Clock, SystemClock};
pub use command::{
    Answered, Command, CommandError, Done, Envelope, InviteLink, InviteView, LobbyRoom, NewAsk,
    NewCard, NewReaction, NewRoom, PersonRef, RowTag, ScheduleView, TickView,
};
pub use connect::{ConnectError, StreamError};
pub use entry::{Change, EntryContent, StoredContent};
pub use event::{
    AlarmCause, ClientEvent, ConnectionState, DeviceView, EntryView, MarkCounts, MemberView,
    OutboxState, OutboxView, PersonView, PresenceView, RoomView, SealedBy, StreamView, TrustState,
    UnreadableCause,
};
pub use events::Events;
pub use handle::{Client, ClientConfig};
pub use identity::{Forgetful, HpkeEntry, Identity, KeyKeeper};
pub use login::LoginError;
pub use methods::TimelinePage;
pub use record::{
    Batch, Contact, DeviceLane, EntryRecord, MarkHistograms, OutboxRow, OwnInvite, PinSource,
    RoomFacts, RoomMarks, RoomRecord, RowState, SealedMessage, ServerRecord, StoredCommit,
    UnfinishedAnswer,
};
pub use register::{Applicant, Enrolment, RegisterError, Registered, Visit};
/// What the storage of a replica is made of; for those who bring their own.
pub mod storage {
    pub use super::replica::{Key, KeyValue, MemoryRows, Rows, RowsMut, Span, Table, Value};
}

pub use replica::{
    DrainGuard, LoadedRoom, RelationRow, Replica, Sealer, StorageError, Stored, Write, Written,
};
pub use trust::{Expected, Shown, TrustAsk, TrustError, pin_words};
