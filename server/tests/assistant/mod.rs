//! Stories of the assistant: people ask, a scripted model answers, and everything between them is
//! real: the server, the agent's own process, the clients, loopback.

mod agent;
mod answering;
mod asking;
mod cards;
mod dialects;
mod house;
mod keys;
mod once;
mod pieces;
mod prying;
mod serving;
mod stage;
mod stopping;
mod supervising;
