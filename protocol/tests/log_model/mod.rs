//! Stories and properties of room logs: who may change a room, what a log accepts, how clients catch up.

mod commits;
mod messages;
mod model;
mod sync;
mod town;
