//! Where the rules find user chains, and the rule of which devices may speak.
//!
//! Owns the device rule of CRYPTO B4; chains themselves are verified in `crypto::user_chain`.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use crate::crypto::user_chain::{Device, UserChain};
use crate::id::{AccountId, DeviceId};

/// The newest verified user chains at hand.
pub trait Chains {
    /// The chain of an account, if it is at hand.
    fn chain(&self, account: AccountId) -> Option<&UserChain>;
}

impl<C: Borrow<UserChain>> Chains for BTreeMap<AccountId, C> {
    fn chain(&self, account: AccountId) -> Option<&UserChain> {
        self.get(&account).map(Borrow::borrow)
    }
}

impl<C: Borrow<UserChain>, S: BuildHasher> Chains for HashMap<AccountId, C, S> {
    fn chain(&self, account: AccountId) -> Option<&UserChain> {
        self.get(&account).map(Borrow::borrow)
    }
}

/// How an entry came: the device rule differs (CRYPTO B4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// Just made: a server about to store it, a client that got it as a live event.
    Live,
    /// Read from the log, perhaps long after: its device may have been revoked since.
    History,
}

/// Why a device may not speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceFault {
    /// The chain at hand does not have it. It may be new: fetch the chain and try again.
    #[error("the device is not in the newest known user chain")]
    Unknown,
    /// It was revoked, and the entry is not from before. Retrying never helps.
    #[error("the device is revoked")]
    Revoked,
}

/// Finds the device that may have made an entry (CRYPTO B4, "Device rule").
///
/// Live: it is in the newest chain known and not revoked there. History: if it is revoked there,
/// then by a later link than `recorded_seq`, the chain number that the last commit at or before the
/// entry's position recorded. So old entries of a device that was revoked later stay valid, and
/// nothing of it is valid after the next commit.
///
/// # Errors
///
/// [`DeviceFault`]; only [`DeviceFault::Unknown`] may be cured by a newer chain.
pub fn speaking_device(
    chain: &UserChain,
    device: DeviceId,
    recorded_seq: u32,
    context: Context,
) -> Result<&Device, DeviceFault> {
    let device = chain.device(device).ok_or(DeviceFault::Unknown)?;
    match (device.revoked_seq, context) {
        (None, _) => Ok(device),
        (Some(revoked), Context::History) if revoked > recorded_seq => Ok(device),
        (Some(_), _) => Err(DeviceFault::Revoked),
    }
}
