//! Frames and their codec: what travels on a QUIC connection, in which order, within which bounds.
//!
//! Owns the bytes of the protocol and the only mention of the serialization library. Knows no
//! cryptography: entries, links and wraps are opaque bytes here.
//!
//! Every stream carries one version byte in each direction, then frames: `length(u32 BE) || body`.
//! - the *session stream* (first bidirectional stream of the client): [`Opening`] frames answered by
//!   [`OpeningReply`], then [`Call`]s answered by [`ServerFrame`]s;
//! - *bulk streams* (one per operation): one [`BulkRequest`] answered by [`BulkReply`] frames;
//! - *datagrams*: [`ClientDatagram`] and [`ServerDatagram`], one each, without prefix.
//!
//! **Append only.** A variant's position is its number on the wire: never reorder, never remove; the
//! fields of a struct never change. The golden frames test pins the bytes.

mod bulk;
mod close;
mod codec;
mod datagram;
mod event;
mod fault;
mod opening;
mod reply;
mod request;

pub use bulk::{BulkReply, BulkRequest, EntryBody, LogEntry};
pub use close::CloseCode;
pub use codec::{Frame, WireError, decode, encode_body, encode_frame, take_frame};
pub use datagram::{ClientDatagram, ServerDatagram};
pub use event::{Event, PresenceLine, PresenceState, ServerFrame, SignedTick};
pub use fault::{DropCause, Fault};
pub use opening::{
    Hello, Info, Opening, OpeningReply, Recover, Register, Registration, SessionLimits, Welcome,
};
pub use reply::{
    ChainHeadLine, InviteLine, JoinLine, LobbyLine, MarkBucket, Reply, RoomHead, ScheduleLine,
};
pub use request::{Call, Cursor, DeliveredMark, DeviceGrant, KeyAnswer, Request, Wrap};
