//! Rooms: one ordered, durable, sealed log each, and all that hangs on it.
//!
//! Changes go through the [`Desk`] to one writer thread, the only owner of room state; reads are
//! answered by [`Readers`] from the store. Decides with the rules of the protocol crate, which the
//! clients share; never with rules of its own about who is in a room or who said what.

mod account_calls;
mod agents;
mod append;
pub mod at_rest;
mod clerk;
mod commit;
mod consequences;
mod desk;
mod job;
pub mod keyring;
mod keys;
mod lanes;
mod mark_calls;
mod marks;
mod pages;
mod readers;
mod reads;
mod resume;
mod retention;
mod room;
mod room_cache;
mod sampler;
mod schedules;
mod staged;
mod stairs;
mod writer;

pub use at_rest::MasterKey;
pub use desk::{Desk, DeskParts};
pub use job::{AdminJob, AnswerTo, Caller, Job, Rotated};
pub use pages::BulkRead;
pub use readers::{Full, Readers};
pub use reads::{Asker, Reads};
pub use resume::{Resumed, Resuming};
pub use writer::Fatal;
