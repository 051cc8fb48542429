//! What tests, proofs and benchmarks have in common: how a server is started, how a terminal is
//! looked at, a store in memory, and which module may use which. Owns no story and asserts nothing about mathia itself.
#![expect(
    missing_debug_implementations,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on has failed; nobody prints a town"
)]

pub mod layers;
#[cfg(feature = "memory-store")]
pub mod memory_store;
pub mod process;
#[cfg(feature = "terminal")]
pub mod pty;
