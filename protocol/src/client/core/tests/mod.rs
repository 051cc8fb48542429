//! Stories about the client's core: several cores and an honest server, without a thread or a socket.
//!
//! Coverage of the core by lines is measured by `scripts/coverage`.

mod deeds;
mod device;
mod server;
mod town;

mod agent_keys;
mod agents;
mod calls;
mod connection;
mod identities;
mod invites;
mod keys;
mod logs;
mod losses;
mod marks;
mod messages;
mod older;
mod refusals;
mod rooms;
mod storage;
mod storm;
