//! All tests of the server that use it from outside, in one program: it is linked once, and what they
//! share is compiled once.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod assistant;
mod cast;
mod layers;
mod liar;
mod model;
mod provider;
mod rooms;
mod session_story;
mod store;
mod stories;
