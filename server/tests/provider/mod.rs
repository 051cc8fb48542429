//! The way to a model, against a scripted server: whatever it does, the answer is right or the
//! cause is, and nothing hangs.

mod asking;
mod breaking;
mod cast;
mod refusing;
mod secrets;
mod waiting;
