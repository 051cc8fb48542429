//! The own person.

use mathia_protocol::id::AccountId;
use mathia_protocol::name::Handle;

/// The own person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// The identity.
    pub account: AccountId,
    /// The name.
    pub handle: Handle,
    /// What to call the workspace, above the rooms.
    pub workspace: String,
}
