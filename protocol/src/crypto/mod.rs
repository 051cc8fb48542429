//! The cryptography of rooms and identities: pure functions over bytes, no clock, no I/O,
//! randomness passed in. Everything that is signed or hashed is encoded by [`ce`].

pub mod at_rest;
pub mod auth;
pub mod card;
pub mod ce;
pub mod commit;
pub mod content;
pub mod delta;
pub mod epoch;
pub mod file;
pub mod hash;
pub mod identity;
pub mod invite;
pub mod labels;
pub mod member;
pub mod message;
pub mod message_header;
pub mod plaintext;
pub mod policy;
pub mod recovery;
pub mod safety;
pub mod seal;
pub mod settings;
pub mod slot;
pub mod tick;
pub mod user_chain;
pub mod user_link;
pub mod words;
pub mod wrap;
