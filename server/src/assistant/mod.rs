//! The assistant: a member of rooms with keys of its own, answered for by a model.
//!
//! It is a client like any other and never part of the serving process, which holds none of its
//! keys. [`provider`] is its way to a model: it knows nothing of rooms, keys or the wire. What is done
//! with a question is decided in `judge` without I/O; `agent` acts on it.

mod agent;
mod answering;
mod backlog;
mod journal;
mod judge;
mod pace;
mod program;
pub mod provider;
mod settled;

pub use program::{INVITE_FILE, assistant};
