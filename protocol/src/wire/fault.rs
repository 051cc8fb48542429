//! How the server refuses: a closed set, each with what the client can do about it.

use bincode::{Decode, Encode};

use crate::id::{Counter, Epoch, Hash, RoomId, TimeMs};
use crate::limits::CLOCK_SKEW_MAX;

/// Why a request was refused. The texts are for people; the client acts on the variants.
///
/// **Append only**, as every enum of the wire.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum Fault {
    /// The frame makes no sense here. A bug or an attack; the connection may be closed.
    #[error("the request makes no sense here")]
    Malformed,
    /// The server does not know this request, or the version. Retrying never helps.
    #[error("the server does not support this")]
    Unsupported,
    /// Login failed; deliberately says no more. Retrying never helps.
    #[error("the server does not know this device, or it was revoked")]
    AuthFailed,
    /// This server makes accounts by invite only.
    #[error("this server needs an invite")]
    InviteNeeded,
    /// The invite is unknown, used up, expired or revoked.
    #[error("the invite is used up, expired or unknown")]
    InviteInvalid,
    /// Somebody has the name.
    #[error("the name is taken")]
    NameTaken,
    /// The name is malformed or reserved.
    #[error("the name is not allowed")]
    NameInvalid,
    /// The rules do not allow this; the text names the rule, never content.
    #[error("not allowed: {rule}")]
    NotAllowed {
        /// The rule that was hit.
        rule: String,
    },
    /// There is no such thing, or the caller may not know of it.
    #[error("there is no such thing, or you may not see it")]
    NotFound,
    /// The thing exists already (the direct room of a pair).
    #[error("it exists already")]
    Exists {
        /// Which.
        room: RoomId,
    },
    /// Too often. Retry after the time.
    #[error("too many requests, try again in {retry_after_ms} ms")]
    RateLimited {
        /// Milliseconds.
        retry_after_ms: u32,
    },
    /// The server cannot write now (queue or disk full). Nothing was stored; retry after the time.
    #[error("the server cannot store anything now, try again in {retry_after_ms} ms")]
    ServerBusy {
        /// Milliseconds.
        retry_after_ms: u32,
    },
    /// The server stops. Connect again.
    #[error("the server is stopping")]
    Stopping,
    /// Larger than the limit, in bytes or items.
    #[error("larger than the limit of {max}")]
    TooLarge {
        /// The limit.
        max: u32,
    },
    /// Another commit came first. Catch up, rebuild, retry.
    #[error("the room changed meanwhile")]
    HeadMoved {
        /// The newest commit.
        commit: Hash,
    },
    /// The message is sealed in a past epoch. Seal anew with the same counter.
    #[error("the room has a newer key, epoch {epoch}")]
    StaleEpoch {
        /// The present epoch.
        epoch: Epoch,
    },
    /// The counter was used for other bytes. Catch up and go on behind `last`.
    #[error("the message number was used already, the last is {last}")]
    CtrConflict {
        /// The last accepted counter.
        last: Counter,
    },
    /// The counter leaves a gap, as after a refusal of an earlier message. Send from `last` on.
    #[error("an earlier message is missing, the last is {last}")]
    OutOfOrder {
        /// The last accepted counter.
        last: Counter,
    },
    /// The position the sender claims to have seen is not this room's history.
    #[error("the claimed position is not in this room's history")]
    BadSeen,
    /// The sender rule asks for a new epoch before anything is said.
    #[error("the room needs a new key first")]
    NeedRotate,
    /// Wraps are missing for some devices. Refresh the chains, stage what is missing, retry.
    #[error("keys are missing for {n_missing} devices")]
    MissingWraps {
        /// How many.
        n_missing: u32,
    },
    /// A commit or link breaks a rule of its chain; the text names the rule.
    #[error("the change is invalid: {rule}")]
    Invalid {
        /// The rule that was hit.
        rule: String,
    },
    /// The chain has grown meanwhile. Read it, rebuild, retry.
    #[error("the account's chain has grown to {seq}")]
    ChainMoved {
        /// Number of the newest link.
        seq: u32,
    },
    /// The claimed time is too far from the server's.
    #[error(
        "this clock is over {} minutes off the server's: set it right, then try again",
        CLOCK_SKEW_MAX.as_secs() / 60
    )]
    ClockSkew {
        /// The server's clock.
        time: TimeMs,
    },
    /// A young device may not revoke older ones yet.
    #[error("this device is too new to revoke others")]
    DeviceTooYoung {
        /// From when on it may.
        until: TimeMs,
    },
    /// What was asked for has rotted on the server's disk. Retrying helps only after its operator
    /// has restored it.
    #[error("the server's copy of this is damaged, its operator has to restore a backup")]
    Damaged,
}

/// Why a scheduled entry was not appended when due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum DropCause {
    /// Its author is no longer a member.
    NotMember,
    /// Its device was revoked.
    DeviceRevoked,
    /// Its number was used already.
    Used,
    /// Its bytes are not valid in the room's history.
    Invalid,
}
