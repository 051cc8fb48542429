//! What tests, proofs and benchmarks have in common: a client in bare frames, how a server is started,
//! how a terminal is looked at, a store in memory, and which module may use which. Owns no story and
//! asserts nothing about mathia itself.
#![expect(
    missing_debug_implementations,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on has failed; nobody prints a connection or a terminal"
)]

pub mod layers;
pub mod lines;
#[cfg(feature = "memory-store")]
pub mod memory_store;
pub mod process;
#[cfg(feature = "terminal")]
pub mod pty;
pub mod wire;

/// Whatever ends a test, a proof or a measurement.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a test returns: anything that goes wrong ends it.
pub type TestResult<T = ()> = Result<T, Failure>;
