//! Extending the own user chain: new keys for wraps, and devices that end.
//!
//! Owns the race with the account's other devices: a link that loses is made anew behind theirs.

use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use super::super::account::Account;
use super::super::context::Context;
use super::super::io::{CallError, Output};
use super::super::server_call::{CallFailure, ServerCall};
use super::Identities;
use super::fetch::{FetchChain, RefreshHeads};
use crate::client::CommandError;
use crate::client::identity::{HpkeEntry, Identity};
use crate::crypto::user_chain::{LinkBody, UserChain};
use crate::id::{DeviceId, TimeMs};
use crate::limits::HPKE_ROTATE_AFTER;
use crate::wire::{Fault, Reply, Request};

/// A link that loses this many races is given up for now.
const LINK_TRIES_MAX: usize = 4;
/// The reason byte of a revocation that a person asked for.
const REVOKED_BY_HAND: u8 = 0;

/// What a link says.
#[derive(Debug, Clone)]
pub(in super::super) enum OwnLink {
    /// This device is no longer one of the account's.
    Revoke(DeviceId),
    /// This device has the newest key of the identity for wraps.
    PublishKey,
}

impl OwnLink {
    /// The body of the link behind a chain; `None` if the chain says so already.
    fn body(&self, account: &Account, chain: &UserChain) -> Option<LinkBody> {
        match *self {
            Self::Revoke(device) => {
                let reason = REVOKED_BY_HAND;
                chain.is_active(device).then_some(LinkBody::RevokeDevice { device, reason })
            }
            Self::PublishKey => {
                let newest = account.identity.hpke.last()?;
                let (hpke, hpke_gen) = (newest.secret.public(), newest.generation);
                Some(LinkBody::RotateHpke { device: account.device, hpke, hpke_gen })
            }
        }
    }
}

/// Extends the own chain.
#[derive(Debug)]
pub(in super::super) struct PutLink {
    link: OwnLink,
    n_tries: usize,
    stage: PutStage,
}

#[derive(Debug)]
enum PutStage {
    Refreshing(RefreshHeads),
    Sending(ServerCall),
    Fetching(FetchChain),
}

impl PutLink {
    /// Puts a link behind the own chain.
    pub(in super::super) fn new(link: OwnLink, account: &Account) -> Self {
        let stage = PutStage::Refreshing(RefreshHeads::of(&[account.id]));
        Self { link, n_tries: 0, stage }
    }

    /// Looks how far it is.
    pub(in super::super) fn poll(
        &mut self,
        account: &Account,
        identities: &mut Identities,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommandError>> {
        loop {
            match &mut self.stage {
                PutStage::Refreshing(refresh) => {
                    ready!(refresh.poll(account, identities, cx))?;
                    let chain = identities.chains.get(&account.id).ok_or_else(|| {
                        CommandError::NotFound("the own chain is not known".to_owned())
                    })?;
                    let Some(body) = self.link.body(account, chain) else {
                        return Poll::Ready(Ok(()));
                    };
                    let link = chain.next_link(body, cx.now.time, account.device);
                    let link = link.sign(&account.identity.signing);
                    self.n_tries += 1;
                    self.stage =
                        PutStage::Sending(ServerCall::new(Request::PutLink { link: link.0 }));
                }
                PutStage::Sending(call) => match ready!(call.poll(account, cx)) {
                    Ok(Reply::Done) => {
                        self.stage = PutStage::Fetching(FetchChain::of(account.id));
                    }
                    Err(CallFailure::Call(CallError::Fault(Fault::ChainMoved { .. })))
                        if self.n_tries < LINK_TRIES_MAX =>
                    {
                        self.stage = PutStage::Refreshing(RefreshHeads::of(&[account.id]));
                    }
                    Err(CallFailure::Call(CallError::Fault(Fault::ChainMoved { .. }))) | Ok(_) => {
                        let text = "the account changes too fast, try again";
                        return Poll::Ready(Err(CommandError::Refused(text.to_owned())));
                    }
                    Err(error) => return Poll::Ready(Err(error.into())),
                },
                PutStage::Fetching(fetch) => return fetch.poll(account, identities, cx),
            }
        }
    }
}

/// Replaces the own key for wraps every 30 days; the old one is kept 30 days longer.
#[derive(Debug)]
pub(in super::super) struct RotateOwnKey {
    stage: RotateStage,
}

#[derive(Debug)]
enum RotateStage {
    Begin,
    /// Saved before it is published: nobody wraps for a key that could be lost.
    Saving(Arc<Identity>),
    Publishing(PutLink),
}

impl RotateOwnKey {
    /// Looks whether a new key is due.
    pub(in super::super) fn new() -> Self {
        Self { stage: RotateStage::Begin }
    }

    /// Looks how far it is.
    pub(in super::super) fn poll(
        &mut self,
        account: &mut Account,
        identities: &mut Identities,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommandError>> {
        loop {
            match &mut self.stage {
                RotateStage::Begin => match next_key(account, identities, cx) {
                    Next::Nothing => return Poll::Ready(Ok(())),
                    Next::Publish => {
                        let put = PutLink::new(OwnLink::PublishKey, account);
                        self.stage = RotateStage::Publishing(put);
                    }
                    Next::Save(fresh) => {
                        account.saved = None;
                        cx.output(Output::SaveIdentity(Arc::clone(&fresh)));
                        self.stage = RotateStage::Saving(fresh);
                    }
                },
                RotateStage::Saving(fresh) => {
                    let Some(saved) = account.saved.take() else { return Poll::Pending };
                    saved.map_err(CommandError::Storage)?;
                    account.identity = Arc::clone(fresh);
                    let put = PutLink::new(OwnLink::PublishKey, account);
                    self.stage = RotateStage::Publishing(put);
                }
                RotateStage::Publishing(put) => return put.poll(account, identities, cx),
            }
        }
    }
}

/// What the own key needs.
enum Next {
    Nothing,
    Publish,
    Save(Arc<Identity>),
}

fn next_key(account: &Account, identities: &Identities, cx: &mut Context<'_>) -> Next {
    let now = cx.now.time;
    let Some(newest) = account.identity.hpke.last() else { return Next::Nothing };
    let Some(chain) = identities.chains.get(&account.id) else { return Next::Nothing };
    let published = chain.hpke_at(account.device, chain.head().seq);
    let published = published.map_or(0, |(_, generation)| generation);
    if newest.generation > published {
        return Next::Publish;
    }
    if age(newest.created, now) < HPKE_ROTATE_AFTER {
        return Next::Nothing;
    }
    let mut fresh = account.identity.duplicate();
    fresh.hpke.push(HpkeEntry::generate(cx.rng, published + 1, now));
    forget_old(&mut fresh.hpke, now);
    Next::Save(Arc::new(fresh))
}

/// How long ago something was; nothing for what lies ahead.
pub(in super::super) fn age(since: TimeMs, now: TimeMs) -> Duration {
    Duration::from_millis(now.0.saturating_sub(since.0))
}

/// Drops keys whose successor is older than 30 days; the newest two stay in any case.
fn forget_old(keys: &mut Vec<HpkeEntry>, now: TimeMs) {
    while keys.len() > 2 {
        let is_old = keys.get(1).is_some_and(|next| age(next.created, now) >= HPKE_ROTATE_AFTER);
        if !is_old {
            return;
        }
        keys.remove(0);
    }
}
