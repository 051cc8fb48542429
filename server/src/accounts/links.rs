//! Growing user chains: links that devices put, and the recovery that adds one.
//!
//! Owns the two rules that need a clock and are therefore no part of chain validity (CRYPTO B2):
//! a link's time is close to the server's, and a young device revokes no older one.

use mathia_protocol::crypto::user_chain::{ChainHead, LinkBody, SignedLink, UserChain, UserLink};
use mathia_protocol::id::{AccountId, DeviceId, TimeMs};
use mathia_protocol::limits::{CLOCK_SKEW_MAX, DEVICE_QUARANTINE};
use mathia_protocol::wire::{Fault, Recover};

use super::BatchChains;
use crate::refusal::{Refusal, link_fault};
use crate::store::{LinkRow, Read, Write};

/// A user chain grew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grown {
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
) -> Result<Option<Grown>, Refusal> {
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
    Ok(Some(Grown { head, revoked }))
}

/// Adds a device by the recovery key: the one link that may come before any login (CRYPTO B7).
pub(crate) fn recover(
    tx: &mut dyn Write,
    chains: &mut BatchChains,
    now: TimeMs,
    request: Recover,
) -> Result<Option<Grown>, Refusal> {
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
pub(crate) fn check_time(claimed: TimeMs, now: TimeMs) -> Result<(), Fault> {
    if u128::from(claimed.0.abs_diff(now.0)) > CLOCK_SKEW_MAX.as_millis() {
        return Err(Fault::ClockSkew { time: now });
    }
    Ok(())
}

/// Refuses a revocation of an older device by one that is too young for it.
///
/// A thief who links a device of his own cannot lock the owner out before a day has passed. A
/// device's age counts from its link's time, which was checked against this clock when it came.
fn check_age(
    read: &dyn Read,
    chain: &UserChain,
    link: &UserLink,
    now: TimeMs,
) -> Result<(), Refusal> {
    let LinkBody::RevokeDevice { device, .. } = &link.body else { return Ok(()) };
    let (Some(signer), Some(target)) = (chain.device(link.signer), chain.device(*device)) else {
        // The recovery key is no device and may; an unknown target is refused by the chain.
        return Ok(());
    };
    if target.added_seq >= signer.added_seq {
        return Ok(());
    }
    let rows = read.links(chain.account(), signer.added_seq)?;
    let added = rows
        .into_iter()
        .next()
        .and_then(|row| SignedLink(row.link).decode_unverified().ok())
        .map_or(TimeMs(0), |link| link.time);
    let quarantine = u64::try_from(DEVICE_QUARANTINE.as_millis()).unwrap_or(u64::MAX);
    let until = TimeMs(added.0.saturating_add(quarantine));
    if now < until { Err(Fault::DeviceTooYoung { until }.into()) } else { Ok(()) }
}
