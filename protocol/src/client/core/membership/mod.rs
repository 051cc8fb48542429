//! Who is in a room and who has its keys: commits of this device, wraps, grants, invites.
//!
//! Owns the loop around `log::propose`: refresh everybody's chain, propose, seal what a new epoch
//! needs, judge the result by the common rules, send. Knows nothing of the outbox.

pub(super) mod add;
pub(super) mod agent_keys;
pub(super) mod answer_keys;
pub(super) mod change;
pub(super) mod fetch_keys;
pub(super) mod found;
pub(super) mod invites;
pub(super) mod join;
mod prepare;
pub(super) mod reopen;
pub(super) mod rotate;
pub(super) mod settings;

use crate::client::CommandError;
use crate::log::CommitFault;

/// What is remembered of own changes between inputs.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// Whether everybody who waited to be let in was looked at since the last login.
    pub(super) is_admitting: bool,
}

/// What a fault of the room rules means for a command.
fn not_allowed(fault: &CommitFault) -> CommandError {
    match fault {
        CommitFault::ChainFork(_) | CommitFault::ChainBack(_) => {
            CommandError::Untrusted(fault.to_string())
        }
        _ => CommandError::Refused(fault.to_string()),
    }
}
