//! All tests of the protocol that use it from outside, in one program: it is linked once.

mod crypto_any_bytes;
mod crypto_flips;
mod crypto_standards;
mod crypto_vectors;
mod golden_frames;
#[cfg(feature = "client")]
mod liar;
mod log_model;
#[cfg(feature = "client")]
mod lying_server;
mod protocol_document;
mod user_chain;
