//! What a client does by itself: fresh chain heads, fresh own keys, joiners, forgetting.
//!
//! Owns the intervals. Only the process that sends does what must not be done twice.

use std::task::{Poll, ready};
use std::time::Duration;

use super::context::Context;
use super::identities::fetch::RefreshHeads;
use super::identities::own_chain::{RotateOwnKey, age};
use super::state::State;
use super::work::{Step, Work};
use crate::id::AccountId;
use crate::limits::CHAIN_REFRESH_AFTER;

/// How often is looked whether anything is due.
const LOOK_INTERVAL: Duration = Duration::from_mins(10);

/// Does what is due: after each login.
#[derive(Debug)]
pub(super) struct Maintain {
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Begin,
    Refreshing(RefreshHeads),
    Rotating(RotateOwnKey),
}

impl Maintain {
    /// Looks at everything.
    pub(super) fn new() -> Self {
        Self { stage: Stage::Begin }
    }
}

impl Step for Maintain {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let State { account, identities, .. } = &mut *state;
        loop {
            match &mut self.stage {
                Stage::Begin => {
                    if !cx.is_online() || !account.is_drainer {
                        return Poll::Ready(());
                    }
                    cx.start(Work::Admit);
                    // Chain heads that were not confirmed for a day are asked for (CRYPTO B3).
                    let is_old = |refreshed| age(refreshed, cx.now.time) >= CHAIN_REFRESH_AFTER;
                    let old: Vec<AccountId> = identities
                        .contacts()
                        .filter(|contact| is_old(contact.refreshed))
                        .map(|contact| contact.account)
                        .collect();
                    self.stage = Stage::Refreshing(RefreshHeads::of(&old));
                }
                Stage::Refreshing(refresh) => {
                    if let Err(error) = ready!(refresh.poll(account, identities, cx)) {
                        tracing::debug!(%error, "chain heads were not refreshed");
                    }
                    self.stage = Stage::Rotating(RotateOwnKey::new());
                }
                Stage::Rotating(rotate) => {
                    if let Err(error) = ready!(rotate.poll(account, identities, cx)) {
                        tracing::debug!(%error, "the own key was not replaced");
                    }
                    state.outbox.send_all(cx);
                    return Poll::Ready(());
                }
            }
        }
    }
}

/// Has everything looked at from time to time.
#[derive(Debug)]
pub(super) struct KeepTime {
    next: Duration,
}

impl KeepTime {
    /// Looks for the first time after an interval.
    pub(super) fn new() -> Self {
        Self { next: LOOK_INTERVAL }
    }
}

impl Step for KeepTime {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        if cx.is_due(self.next) {
            self.next = cx.after(LOOK_INTERVAL);
            cx.is_due(self.next);
            if state.account.is_drainer {
                cx.start_once(Work::Expire);
                cx.start_once(Work::Maintain);
            }
        }
        Poll::Pending
    }
}
