//! What a room's log says and which entries it accepts: the rules shared by server and client.
//!
//! Pure functions over values: no clock, no I/O, no randomness. Server and client call the same
//! ones; a second copy of a rule is a bug.

pub mod admit;
pub mod alarm;
pub mod chain;
pub mod chains;
pub mod check;
pub mod clock;
pub mod key_rule;
mod pending;
pub mod permissions;
pub mod propose;
pub mod rename;
pub mod room_state;
pub mod seen;
pub mod sender_rule;
mod step;
pub mod sync;
pub mod unread;
pub mod validate;
mod window;
pub mod wraps;

pub use admit::{
    Decision, DeviceLane, Incoming, LaneEntry, MessageFault, Sender, needs_agent_key, validate_due,
    validate_message, validate_scheduled,
};
pub use chain::LogHash;
pub use chains::{Chains, Context, DeviceFault};
pub use check::{Arrived, Check, CheckFailure, Checked, SenderLane, author_of, check_message};
pub use clock::{ClockSkew, DeviceTooYoung, check_clock, check_may_revoke};
pub use key_rule::may_have_key;
pub use propose::{Change, Committer, Proposal, propose, propose_create};
pub use rename::{Renamed, rename};
pub use room_state::{EpochRecord, RoomState, SettingsRecord, Stay};
pub use seen::{BadSeen, KnownHashes, SeenView, check_seen, check_seen_half, compare_seen};
pub use sender_rule::{RotateReason, must_rotate};
pub use sync::{Alarm, Claimed, Input, Output, RoomSync};
pub use unread::{Marks, mark_histogram, n_at, n_unread, next_count};
pub use validate::{Applied, CommitFault, Note, validate_commit, validate_create};
pub use wraps::{WrapTarget, agents_to_key, wrapped_set, wraps_needed};
