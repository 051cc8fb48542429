//! What an engine does by itself: marks, fresh chain heads, fresh own keys, joiners.
//!
//! Owns the intervals. Only the process that sends does what must not be done twice.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::super::identity::HpkeEntry;
use super::{Busy, Engine, refused};
use crate::client::CommandError;
use crate::crypto::user_chain::{LinkBody, UserChain};
use crate::id::{AccountId, DeviceId, TimeMs};
use crate::limits::{CHAIN_REFRESH_AFTER, HPKE_ROTATE_AFTER};
use crate::wire::{Fault, Reply, Request};

/// How often is looked whether anything is due.
const LOOK_INTERVAL: Duration = Duration::from_mins(10);
/// A link that loses this many races is given up for now.
const LINK_TRIES_MAX: usize = 4;

impl Engine {
    /// Runs beside the session for ever.
    pub(super) async fn chores(self: Rc<Self>) {
        let delivered = tokio::task::spawn_local(Rc::clone(&self).tell_delivered());
        self.forget_expired().await;
        loop {
            sleep(LOOK_INTERVAL).await;
            if delivered.is_finished() {
                return;
            }
            if self.is_drainer() {
                self.forget_expired().await;
                Rc::clone(&self).keep_promises().await;
            }
        }
    }

    /// Does what is due: after each login, and from time to time.
    pub(super) async fn keep_promises(self: Rc<Self>) {
        if self.link().is_none() || !Busy::begin(&self.keeping) {
            return;
        }
        Rc::clone(&self).admit_joiners().await;
        if let Err(error) = self.refresh_old_heads().await {
            tracing::debug!(%error, "chain heads were not refreshed");
        }
        if let Err(error) = self.rotate_own_key().await {
            tracing::debug!(%error, "the own key was not replaced");
        }
        // What fell due meanwhile is looked at the next time.
        self.keeping.set(Busy::No);
        self.go_drain();
    }

    /// Chain heads that were not confirmed for a day are asked for (CRYPTO B3).
    async fn refresh_old_heads(self: &Rc<Self>) -> Result<(), CommandError> {
        let old: Vec<AccountId> = {
            let core = self.core.borrow();
            let now = self.now();
            let is_old = |refreshed: TimeMs| age(refreshed, now) >= CHAIN_REFRESH_AFTER;
            core.people
                .contacts()
                .filter(|contact| is_old(contact.refreshed))
                .map(|contact| contact.account)
                .collect()
        };
        if old.is_empty() { Ok(()) } else { self.refresh_heads(&old).await }
    }

    /// Replaces the own key for wraps every 30 days; the old one is kept 30 days longer.
    async fn rotate_own_key(self: &Rc<Self>) -> Result<(), CommandError> {
        let now = self.now();
        let (newest, is_due) = {
            let identity = self.identity.borrow();
            let Some(newest) = identity.hpke.last() else { return Ok(()) };
            (newest.generation, age(newest.created, now) >= HPKE_ROTATE_AFTER)
        };
        let published = {
            let core = self.core.borrow();
            let Some(chain) = core.people.chains.get(&self.account) else { return Ok(()) };
            chain.hpke_at(self.device, chain.head().seq).map_or(0, |(_, generation)| generation)
        };
        if newest <= published && !is_due {
            return Ok(());
        }
        if newest <= published {
            // Saved before it is published: nobody wraps for a key that could be lost.
            let mut fresh = self.identity.borrow().duplicate();
            fresh.hpke.push(HpkeEntry::generate(&mut rand::rng(), published + 1, now));
            forget_old(&mut fresh.hpke, now);
            let saved = self.keeper.save(&fresh);
            saved.map_err(|error| CommandError::Storage(error.to_string()))?;
            *self.identity.borrow_mut() = fresh;
        }
        let hpke = {
            let identity = self.identity.borrow();
            let newest = identity.hpke.last().map(|key| (key.secret.public(), key.generation));
            let Some((hpke, hpke_gen)) = newest else { return Ok(()) };
            LinkBody::RotateHpke { device: self.device, hpke, hpke_gen }
        };
        self.put_link(|_| Some(hpke.clone())).await
    }

    /// Extends the own chain; made anew if another device was faster.
    pub(super) async fn put_link(
        self: &Rc<Self>,
        body: impl Fn(&UserChain) -> Option<LinkBody>,
    ) -> Result<(), CommandError> {
        for _ in 0..LINK_TRIES_MAX {
            self.refresh_heads(&[self.account]).await?;
            let link = {
                let core = self.core.borrow();
                let Some(chain) = core.people.chains.get(&self.account) else {
                    return Err(CommandError::NotFound("the own chain is not known".to_owned()));
                };
                let Some(body) = body(chain) else { return Ok(()) };
                let signer: DeviceId = self.device;
                chain.next_link(body, self.now(), signer).sign(&self.identity.borrow().signing)
            };
            let session = self.online().await?;
            match session.call(Request::PutLink { link: link.0 }).await {
                Ok(Reply::Done) => return self.fetch_chain(self.account).await,
                Ok(_) => break,
                Err(super::CallError::Fault(Fault::ChainMoved { .. })) => {}
                Err(super::CallError::Fault(fault)) => return Err(refused(&fault)),
                Err(error) => return Err(super::call_failed(&error)),
            }
        }
        Err(CommandError::Refused("the account changes too fast, try again".to_owned()))
    }
}

fn age(since: TimeMs, now: TimeMs) -> Duration {
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
