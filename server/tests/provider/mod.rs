//! The way to a model, against a scripted server: whatever it does, the answer is right or the
//! cause is, and nothing hangs.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod asking;
mod breaking;
mod cast;
#[path = "../model/mod.rs"]
mod model;
mod refusing;
mod secrets;
mod waiting;
