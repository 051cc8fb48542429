//! Growing user chains: links that devices put, and the recovery that adds one.
//!
//! Owns the two rules that need a clock and are therefore no part of chain validity (CRYPTO B2):
//! a link's time is close to the server's, and a young device revokes no older one.

use mathia_protocol::crypto::user_chain::{ChainHead, LinkBody, SignedLink, UserChain, UserLink};
use mathia_protocol::id::{AccountId, DeviceId, TimeMs};
use mathia_protocol::log::{check_clock, check_may_revoke};
use mathia_protocol::wire::{Fault, Recover};

use super::BatchChains;
use crate::refusal::{Refusal, link_fault};
use crate::store::{LinkRow, Read, StoreError, Write};

/// A user chain grew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChainGrowth {
    /// Its newest position.
    pub(crate) head: ChainHead,
    /// The device that the link ended, if it did.
    pub(crate) revoked: Option<DeviceId>,
}

/// Extends the chain of `account` by one link; `None` if the chain holds that very link already.
pub(crate) fn put_link(
    tx: &mut dyn Write,
    chains: &mut BatchChains,
    now: TimeMs,
    account: AccountId,
    link: Vec<u8>,
) -> Result<Option<ChainGrowth>, Refusal> {
    let link = SignedLink(link);
    let chain = chains.get(&*tx, account)?.ok_or(Fault::NotFound)?;
    let decoded = link.decode_unverified().map_err(|_| Fault::Malformed)?;
    if chain.hash_at(decoded.seq) == Some(link.hash()) {
        return Ok(None);
    }
    check_time(decoded.time, now)?;
    check_age(&*tx, &chain, &decoded, now)?;
    let mut longer = UserChain::clone(&chain);
    longer.extend(&link).map_err(|error| link_fault(error, chain.head().seq))?;
    let head = longer.head();
    tx.insert_link(account, &LinkRow { seq: head.seq, hash: head.hash, link: link.0 })?;
    chains.change(longer);
    let revoked = match decoded.body {
        LinkBody::RevokeDevice { device, .. } => Some(device),
        _ => None,
    };
    Ok(Some(ChainGrowth { head, revoked }))
}

/// Adds a device by the recovery key: the one link that may come before any login (CRYPTO B7).
pub(crate) fn recover(
    tx: &mut dyn Write,
    chains: &mut BatchChains,
    now: TimeMs,
    request: Recover,
) -> Result<Option<ChainGrowth>, Refusal> {
    let Some(chain) = chains.get(&*tx, request.account)? else {
        return Err(Fault::AuthFailed.into());
    };
    if tx.account(request.account)?.is_none_or(|row| row.is_removed) {
        return Err(Fault::AuthFailed.into());
    }
    let link = SignedLink(request.link);
    let decoded = link.decode_unverified().map_err(|_| Fault::AuthFailed)?;
    let is_recovery = matches!(decoded.body, LinkBody::AddDevice(_))
        && decoded.signer == chain.recovery_key().device_id();
    if !is_recovery {
        return Err(Fault::AuthFailed.into());
    }
    put_link(tx, chains, now, request.account, link.0)
}

/// Refuses a claimed time that is too far from the server's.
pub(super) fn check_time(stated: TimeMs, now: TimeMs) -> Result<(), Fault> {
    check_clock(stated, now).map_err(|skew| Fault::ClockSkew { time: skew.now })
}

/// Refuses a revocation of an older device by one that is too young for it.
///
/// A device's age counts from the time of the link that added it, which was checked against this
/// clock when it came. The recovery key is no device and may always revoke.
fn check_age(
    read: &dyn Read,
    chain: &UserChain,
    link: &UserLink,
    now: TimeMs,
) -> Result<(), Refusal> {
    let LinkBody::RevokeDevice { device, .. } = &link.body else { return Ok(()) };
    let (Some(signer), Some(target)) = (chain.device(link.signer), chain.device(*device)) else {
        // An unknown target is refused by the chain itself.
        return Ok(());
    };
    let added = |seq: u32| -> Result<TimeMs, StoreError> {
        let row = read.links(chain.account(), seq)?.into_iter().next();
        let link = row.and_then(|row| SignedLink(row.link).decode_unverified().ok());
        Ok(link.map_or(TimeMs(0), |link| link.time))
    };
    check_may_revoke(added(signer.added_seq)?, added(target.added_seq)?, now)
        .map_err(|young| Fault::DeviceTooYoung { until: young.until }.into())
}
