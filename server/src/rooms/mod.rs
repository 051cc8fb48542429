//! Rooms: one ordered, durable, sealed log each, and all that hangs on it.
//!
//! Changes go through the [`WriteQueue`] to one writer thread, the only owner of room state; reads are
//! answered by [`Readers`] from the store. Decides with the rules of the protocol crate, which the
//! clients share; never with rules of its own about who is in a room or who said what.

mod absent;
mod account_calls;
mod agents;
mod append;
pub mod at_rest;
mod batch;
mod batch_writer;
mod caller;
mod commit;
mod commit_effects;
mod device_counters;
mod expelled;
mod fatal;
mod job;
pub mod keyring;
mod keys;
mod mark_calls;
mod marks;
mod pages;
mod rates;
mod readers;
mod reads;
mod resume;
mod retention;
mod room;
mod room_cache;
mod room_server;
mod room_writer;
mod route;
mod sampler;
mod schedules;
mod session_state;
mod staged_wraps;
mod write_queue;

pub use at_rest::MasterKey;
pub use caller::Caller;
pub use fatal::Fatal;
pub use job::{AdminJob, AnswerAddress, AnswerTo, Job, KeyRotation};
pub use pages::BulkRead;
pub use readers::{Full, Readers};
pub use reads::Reads;
pub use resume::{ResumeCall, ResumePage, ResumeProgress};
pub use room_server::{RoomServer, RoomServerParts, SessionOutput};
pub use route::{Change, Query, Route};
pub use session_state::SessionState;
pub use write_queue::{WriteQueue, WriteQueueParts};
