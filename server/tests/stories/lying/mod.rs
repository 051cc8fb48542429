//! Lies that a malicious server can tell, each one met as CRYPTO B4 and B9 say: found, with its own
//! cause, and sending stops; or refused by the honest side; or shown as unconfirmed. In no case does
//! a plaintext leave.

mod arrivals;
mod door;
mod keys;
mod liar;
mod logs;
mod people;
mod scene;
