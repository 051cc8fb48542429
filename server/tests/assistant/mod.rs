//! Stories of the assistant: people ask, a scripted model answers, and everything between them is
//! real: the server, the agent's own process, the clients, loopback.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod agent;
mod answering;
mod asking;
#[path = "../bare/mod.rs"]
mod bare;
mod cards;
#[path = "../stories/cast/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the other stories use more of it")]
mod cast;
mod dialects;
mod house;
mod keys;
mod lying;
#[path = "../model/mod.rs"]
mod model;
mod once;
mod pieces;
mod prying;
mod serving;
mod stage;
mod stopping;
mod supervising;
