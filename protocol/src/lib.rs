//! The mathia protocol: wire frames, end-to-end cryptography, room log rules, and an async client.
//!
//! Layers, each knowing only those before it:
//!
//! - [`wire`]: frames and their codec, the only module that names the serialization library;
//! - [`crypto`]: identities, user chains, commits, epochs, messages; pure, randomness passed in;
//! - [`log`]: what a room's log says and which entries it accepts, the same on server and client.
//!
//! With the feature `client`: sockets, trust, login, the sync engine and the outbox.

pub mod crypto;
pub mod id;
pub mod limits;
pub mod log;
pub mod name;
pub mod wire;

#[cfg(feature = "client")]
pub mod client;
