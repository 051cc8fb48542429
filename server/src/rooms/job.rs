//! What the writer is asked to do, and by whom.
//!
//! Owns nothing but the shapes: sessions and the admin socket fill them in, the writer does them.

use std::fmt;
use std::sync::Arc;

use mathia_protocol::id::{AccountId, DeviceId, InviteToken, RoomId, TimeMs, WorkspaceId};
use mathia_protocol::wire::{Fault, Recover, Register};
use tokio::sync::oneshot;

use super::caller::Caller;
use super::route::Change;
use crate::accounts::NewAccount;
use crate::hub::FrameQueue;
use crate::store::{AccountRow, InviteRow};

/// Where the answer to a call goes.
#[derive(Debug, Clone)]
pub struct AnswerAddress {
    /// The queue of the session that asked.
    pub frame_queue: Arc<FrameQueue>,
    /// The number that the answer carries.
    pub call: u32,
}

/// Where the answer to a job without a session goes; dropped if nobody waits any more.
pub type AnswerTo<T> = oneshot::Sender<Result<T, Fault>>;

/// One change that somebody asks for.
#[derive(Debug)]
pub enum Job {
    /// A change that a session asks for.
    Call {
        /// Who asks.
        caller: Caller,
        /// Takes the answer.
        answer: AnswerAddress,
        /// What is asked for.
        change: Change,
    },
    /// A registration whose signature over the connection was checked.
    Register {
        /// What is asked.
        register: Register,
        /// Takes the answer.
        answer: AnswerTo<NewAccount>,
    },
    /// A recovery whose signature over the connection was checked.
    Recover {
        /// What is asked.
        recover: Recover,
        /// Takes the answer.
        answer: AnswerTo<()>,
    },
    /// The last session of an account ended.
    LastSeen {
        /// Whose.
        account: AccountId,
        /// When.
        time: TimeMs,
    },
    /// A message of the device was found wrongly signed.
    SignsWrongly {
        /// Whose device.
        account: AccountId,
        /// Which.
        device: DeviceId,
    },
    /// The operator asks.
    Admin(AdminJob),
    /// Finish: what came before is done, marks are flushed, nothing after it is taken.
    Stop,
}

/// What the operator may ask for.
pub enum AdminJob {
    /// Makes an invite of the server; it grants open rooms only.
    CreateInvite {
        /// What the joiner will show.
        token: InviteToken,
        /// How many may use it.
        uses: u32,
        /// When it ends.
        expires: TimeMs,
        /// Open rooms the joiner is pointed to.
        rooms: Vec<RoomId>,
        /// Takes the answer.
        answer: AnswerTo<()>,
    },
    /// Answers once everything before it is durable.
    Ping {
        /// Takes the answer.
        answer: AnswerTo<()>,
    },
    /// Lists all invites.
    Invites {
        /// Takes the answer.
        answer: AnswerTo<Vec<InviteRow>>,
    },
    /// Ends an invite, whoever made it.
    RevokeInvite {
        /// Which.
        token: InviteToken,
        /// Takes the answer.
        answer: AnswerTo<()>,
    },
    /// Gives the next open rooms of a workspace their next keys.
    RotateKeys {
        /// The workspace.
        workspace: WorkspaceId,
        /// Behind this room, by identifier.
        after: Option<RoomId>,
        /// Takes how far it went.
        answer: AnswerTo<KeyRotation>,
    },
    /// Lists all accounts.
    Accounts {
        /// Takes the answer.
        answer: AnswerTo<Vec<AccountRow>>,
    },
    /// Ends an account's right to log in and its sessions; its rooms keep it until they remove it.
    RemoveAccount {
        /// Its handle.
        handle: String,
        /// Takes the answer.
        answer: AnswerTo<AccountId>,
    },
}

/// What one step of [`AdminJob::RotateKeys`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRotation {
    /// Rooms that have a new key.
    pub n_rooms: u32,
    /// The last of them; `None` if there were no more.
    pub last: Option<RoomId>,
}

impl fmt::Debug for AdminJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tokens and names stay out of every log.
        f.write_str(match self {
            Self::CreateInvite { .. } => "CreateInvite(..)",
            Self::Ping { .. } => "Ping",
            Self::Invites { .. } => "Invites",
            Self::RevokeInvite { .. } => "RevokeInvite(..)",
            Self::RotateKeys { .. } => "RotateKeys",
            Self::Accounts { .. } => "Accounts",
            Self::RemoveAccount { .. } => "RemoveAccount(..)",
        })
    }
}
