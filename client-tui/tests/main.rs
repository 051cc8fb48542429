//! All tests of the client that use it from outside, in one program: it is linked once, and what they
//! share is compiled once.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod asking;
mod commands;
mod layers;
#[cfg(target_os = "linux")]
mod read_only;
mod screens;
mod terminal;
mod town;
