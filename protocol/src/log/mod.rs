//! What a room's log says and which entries it accepts: the rules shared by server and client.

pub mod chain;

pub use chain::LogHash;
