//! What tests, proofs and benchmarks have in common: how a server is started and how a terminal is
//! looked at. Owns no story and asserts nothing about mathia itself.
#![expect(
    missing_debug_implementations,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on has failed; nobody prints a town"
)]

pub mod process;
#[cfg(feature = "terminal")]
pub mod pty;
