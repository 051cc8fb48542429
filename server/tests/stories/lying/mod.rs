//! Lies that a malicious server can tell, each one met as CRYPTO B4 and B9 say: found, with its own
//! cause, and sending stops; or refused by the honest side; or shown as unconfirmed. In no case does
//! a plaintext leave.
//!
//! The liar stands between honest clients and the real server and changes what passes. What a lost
//! line does to the bytes of a message is shown where the whole server is a script, in the tests of
//! the protocol crate (`protocol/tests/lying_server.rs`).

mod arrivals;
mod door;
mod keys;
mod logs;
mod people;
mod scene;
