//! What a room's log says and which entries it accepts: the rules shared by server and client.
//!
//! Pure functions over values: no clock, no I/O, no randomness. Server and client call the same
//! ones; a second copy of a rule is a bug.

pub mod chain;
pub mod chains;
pub mod permissions;
pub mod propose;
pub mod room_state;
pub mod seen;
mod step;
pub mod validate;
pub mod wraps;

pub use chain::LogHash;
pub use chains::{Chains, Context, DeviceFault};
pub use propose::{Change, Committer, Proposal, propose, propose_create};
pub use room_state::{EpochRecord, RoomState, SettingsRecord, Stay};
pub use seen::{BadSeen, KnownHashes, check_seen, check_seen_half};
pub use validate::{Applied, CommitFault, Note, validate_commit, validate_create};
pub use wraps::{WrapTarget, wrapped_set, wraps_needed};
