//! Accounts: who there is, with which devices, and by whose invitation.
//!
//! Owns registration, user chains and invites: every rule about them that needs the server's clock
//! or its memory. Whether a link continues a chain is the protocol's rule, asked here, never
//! repeated. Writes through the batch it is given and publishes nothing itself.

mod chains;
mod invites;
mod links;
mod register;

pub use chains::Chains;
pub(crate) use chains::{BatchChains, KnownChains};
pub use invites::token_hash;
pub(crate) use invites::{InviteOrder, create_invite, finish_join, revoke_invite};
pub(crate) use links::{ChainGrowth, put_link, recover};
pub use register::NewAccount;
pub(crate) use register::{RegistrationTerms, register};
