//! Who makes a request: the account, its device, and the workspace they logged in to.

use mathia_protocol::id::{AccountId, DeviceId, WorkspaceId};

/// Who makes a request, as the login has proven it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The account that logged in.
    pub account: AccountId,
    /// The device it logged in with.
    pub device: DeviceId,
    /// The workspace of the session. Rooms of others do not exist for the caller.
    pub workspace: WorkspaceId,
}
