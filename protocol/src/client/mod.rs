//! The async client: connects, trusts, logs in, keeps a verified replica, sends exactly once.
//!
//! Faces (terminal, commands, bots) hold a [`Client`], give it [`Command`]s and hear
//! [`ClientEvent`]s. They never see frames, keys or sockets.

mod command;
mod event;

pub use command::{Command, CommandError, Done, InviteLink, LobbyRoom, NewRoom, PersonRef};
pub use event::{
    AlarmCause, ClientEvent, ConnectionState, DeviceView, EntryBodyView, EntryView, MarkCounts,
    MemberView, OutboxState, OutboxView, PersonView, PresenceView, RoomView, SealedBy, TrustState,
    UnreadableCause,
};
