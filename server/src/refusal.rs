//! Why a job was not done: a refusal that is sent to its caller, or a failure of the store.
//!
//! Owns the mapping of rule errors to what goes over the wire. Never holds content.

use mathia_protocol::crypto::user_chain::ChainError;
use mathia_protocol::log::CommitFault;
use mathia_protocol::wire::Fault;

use crate::store::StoreError;

/// Why a job was not done.
///
/// A refused job has written nothing, so the rest of its batch goes on; a failed store takes the
/// whole batch back.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// This is sent to the caller. Whether retrying helps is said at each [`Fault`].
    #[error("refused: {0}")]
    Fault(#[from] Fault),
    /// The store failed. Retrying helps only after [`StoreError::Full`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The fault for something the rules do not allow; `rule` names the rule, never content.
pub(crate) fn not_allowed(rule: &str) -> Refusal {
    Refusal::Fault(Fault::NotAllowed { rule: rule.to_owned() })
}

/// The fault for a commit or link that breaks a rule of its chain.
pub(crate) fn invalid(rule: &impl ToString) -> Refusal {
    Refusal::Fault(Fault::Invalid { rule: rule.to_string() })
}

/// The fault for a link that does not continue its chain, which ends at `head_seq`.
pub(crate) fn link_fault(error: ChainError, head_seq: u32) -> Fault {
    match error {
        ChainError::Seq { .. } | ChainError::Prev => Fault::ChainMoved { seq: head_seq },
        ChainError::Malformed(_) => Fault::Malformed,
        other => Fault::Invalid { rule: other.to_string() },
    }
}

/// The fault for a commit that breaks a rule.
pub(crate) fn commit_fault(fault: CommitFault) -> Fault {
    match fault {
        CommitFault::HeadMoved { head, .. } => Fault::HeadMoved { commit: head },
        CommitFault::NotAllowed(..)
        | CommitFault::NotMember(_)
        | CommitFault::Device(_)
        | CommitFault::SoleOwner
        | CommitFault::WasRemoved(_) => Fault::NotAllowed { rule: fault.to_string() },
        other => Fault::Invalid { rule: other.to_string() },
    }
}
