//! The mathia protocol: wire frames, end-to-end cryptography, room log rules, and an async client.
//!
//! Layers, each knowing only those before it:
//!
//! - [`id`], [`name`], [`limits`]: identifiers, names people type, every bound on one page;
//! - [`wire`]: frames and their codec, the only module that calls the serialization library;
//! - [`crypto`]: identities, user chains, commits, epochs, messages; pure, randomness passed in;
//! - [`log`]: what a room's log says and which entries it accepts, the same on server and client.
//!
//! With the feature `transport`: [`congestion`], which server and client share. With `client`: sockets, trust, login, the sync engine and the outbox.
//!
//! `PROTOCOL.md` beside this crate describes all that travels, for clients in other languages. The
//! comments name the parts of the specification they follow; here is where it describes them:
//!
//! | part | subject | sections |
//! |---|---|---|
//! | CRYPTO B1 | conventions, canonical encoding | 12 |
//! | CRYPTO B2 | identities and user chains | 13 |
//! | CRYPTO B3 | room log, commits, epochs | 14 to 16 |
//! | CRYPTO B4 | messages, their checks, ticks, files | 17 to 20, 25 |
//! | CRYPTO B5 | what people compare | 23 |
//! | CRYPTO B6 | open rooms, agents | 21, 22 |
//! | CRYPTO B7 | login, invites, recovery | 4, 24 |
//! | CRYPTO B8 | the server's key | 2 |

pub mod crypto;
pub mod id;
pub mod limits;
pub mod log;
pub mod name;
pub mod wire;

#[cfg(feature = "transport")]
pub mod congestion;

#[cfg(feature = "client")]
pub mod client;
