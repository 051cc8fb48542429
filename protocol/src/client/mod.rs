//! The async client: connects, trusts, logs in, keeps a verified replica, sends exactly once.
//!
//! Faces (terminal, commands, bots) hold a [`Client`], give it [`Command`]s and hear
//! [`ClientEvent`]s. They never see frames, keys or sockets.

mod bot;
mod clock;
mod command;
mod connect;
mod engine;
mod entry;
mod event;
mod events;
mod handle;
#[cfg(feature = "home")]
pub mod home;
mod identity;
mod link;
mod login;
mod memory;
mod record;
mod register;
mod replica;
mod trust;

pub use bot::{Bot, BotError, Heard};
pub use clock::{Clock, SystemClock};
pub use command::{
    Answered, Command, CommandError, Done, Envelope, InviteLink, LobbyRoom, NewAsk, NewCard,
    NewRoom, PersonRef,
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
pub use memory::MemoryReplica;
pub use record::{
    Batch, Commitment, Contact, DeviceLane, EntryRecord, OutboxRow, OwnInvite, PinSource,
    RoomFacts, RoomRecord, RowState, SealedMessage, ServerRecord,
};
pub use register::{Applicant, Enrolment, RegisterError, Registered, Visit};
pub use replica::{CLOCK_SKEW, DrainGuard, Replica, Sealer, StorageError, Stored};
pub use trust::{Expected, Shown, TrustAsk, TrustError, pin_words};
