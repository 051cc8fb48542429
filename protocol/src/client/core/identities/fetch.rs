//! Fetching user chains: the newest positions, and what grew.
//!
//! Owns the tries after a chain that was served shorter than seen: it is asked for again, three
//! times in all.

use std::collections::VecDeque;
use std::task::{Poll, ready};
use std::time::Duration;

use super::super::account::Account;
use super::super::context::Context;
use super::super::server_call::ServerCall;
use super::super::state::State;
use super::super::work::Step;
use super::Identities;
use super::chain::ChainRefusal;
use crate::client::CommandError;
use crate::crypto::user_chain::{SignedLink, UserChain};
use crate::id::AccountId;
use crate::limits::ACCOUNTS_PER_REQUEST_MAX;
use crate::wire::{ChainHeadLine, Reply, Request};

/// A chain that was served shorter than seen this often is an alarm.
const STALE_TRIES_MAX: u32 = 3;
/// The pause between those tries.
const STALE_PAUSE: Duration = Duration::from_millis(500);
/// Pages of one chain: far more than [`crate::limits::CHAIN_LINKS_MAX`] links need.
const CHAIN_PAGES_MAX: usize = 512;

/// Fetches what is new of one chain.
#[derive(Debug)]
pub(in super::super) struct FetchChain {
    account: AccountId,
    links: Vec<SignedLink>,
    n_pages: usize,
    n_tries: u32,
    stage: FetchStage,
}

#[derive(Debug)]
enum FetchStage {
    Begin,
    Reading(ServerCall),
    Pausing(Duration),
}

impl FetchChain {
    /// Fetches the chain of an account.
    pub(in super::super) fn of(account: AccountId) -> Self {
        Self { account, links: Vec::new(), n_pages: 0, n_tries: 0, stage: FetchStage::Begin }
    }

    /// `Ok` means that the server was asked, not that the chain is here now.
    pub(in super::super) fn poll(
        &mut self,
        account: &Account,
        identities: &mut Identities,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommandError>> {
        loop {
            match &mut self.stage {
                FetchStage::Begin => {
                    self.n_tries += 1;
                    self.n_pages = 0;
                    self.links.clear();
                    // The newest known link is read again: another one there is a fork.
                    let known = identities.chains.get(&self.account);
                    self.read_from(known.map_or(0, |chain| chain.head().seq));
                }
                FetchStage::Reading(call) => {
                    let reply = ready!(call.poll(account, cx)).map_err(CommandError::from)?;
                    if let Some(from) = self.accept_page(reply) {
                        self.read_from(from);
                        continue;
                    }
                    match identities.accept_chain(self.account, &self.links, cx) {
                        Ok(()) => return Poll::Ready(Ok(())),
                        Err(ChainRefusal::Stale) if self.n_tries < STALE_TRIES_MAX => {
                            self.stage = FetchStage::Pausing(cx.after(STALE_PAUSE));
                        }
                        Err(refusal) => {
                            let error = identities.chain_refused(self.account, &refusal, cx);
                            return Poll::Ready(Err(error));
                        }
                    }
                }
                FetchStage::Pausing(until) => {
                    if !cx.is_due(*until) {
                        return Poll::Pending;
                    }
                    self.stage = FetchStage::Begin;
                }
            }
        }
    }

    fn read_from(&mut self, from: u32) {
        let account = self.account;
        self.stage = FetchStage::Reading(ServerCall::new(Request::Chain { account, from }));
    }

    /// Keeps a page; where the next one begins, if there is one.
    fn accept_page(&mut self, reply: Reply) -> Option<u32> {
        let Reply::Chain { links, more } = reply else { return None };
        self.links.extend(links.into_iter().map(SignedLink));
        self.n_pages += 1;
        let last = self.links.last().and_then(|link| link.decode_unverified().ok());
        last.filter(|_| more && self.n_pages < CHAIN_PAGES_MAX)
            .map(|last| last.seq.saturating_add(1))
    }
}

/// Fetches several chains, side by side.
#[derive(Debug)]
pub(in super::super) struct FetchChains {
    fetches: Vec<FetchChain>,
    result: Result<(), CommandError>,
}

impl FetchChains {
    /// Fetches the chains of these accounts.
    pub(in super::super) fn of(accounts: impl IntoIterator<Item = AccountId>) -> Self {
        let fetches = accounts.into_iter().map(FetchChain::of).collect();
        Self { fetches, result: Ok(()) }
    }

    /// `Ok` means that the server was asked about each, not that all are here now.
    pub(in super::super) fn poll(
        &mut self,
        account: &Account,
        identities: &mut Identities,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommandError>> {
        let result = &mut self.result;
        self.fetches.retain_mut(|fetch| match fetch.poll(account, identities, cx) {
            Poll::Pending => true,
            Poll::Ready(fetched) => {
                if let Err(error) = fetched {
                    *result = Err(error);
                }
                false
            }
        });
        if self.fetches.is_empty() { Poll::Ready(result.clone()) } else { Poll::Pending }
    }
}

/// Asks for the newest chain positions, and fetches what grew. Every account is asked about.
#[derive(Debug)]
pub(in super::super) struct RefreshHeads {
    waiting: VecDeque<Vec<AccountId>>,
    asked: Option<(Vec<AccountId>, ServerCall)>,
    grown: Vec<AccountId>,
    fetch: Option<FetchChains>,
}

impl RefreshHeads {
    /// Refreshes the chains of these accounts.
    pub(in super::super) fn of(accounts: &[AccountId]) -> Self {
        let waiting = accounts.chunks(ACCOUNTS_PER_REQUEST_MAX).map(<[_]>::to_vec).collect();
        Self { waiting, asked: None, grown: Vec::new(), fetch: None }
    }

    /// Looks how far it is.
    pub(in super::super) fn poll(
        &mut self,
        account: &Account,
        identities: &mut Identities,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommandError>> {
        loop {
            if let Some(fetch) = &mut self.fetch {
                return fetch.poll(account, identities, cx);
            }
            if let Some((accounts, call)) = &mut self.asked {
                let reply = ready!(call.poll(account, cx)).map_err(CommandError::from)?;
                let accounts = std::mem::take(accounts);
                self.asked = None;
                let Reply::ChainHeads { heads } = reply else { continue };
                self.grown.extend(identities.compare_heads(&heads, cx));
                let unknown = |account: &AccountId| !identities.chains.contains_key(account);
                self.grown.extend(accounts.into_iter().filter(unknown));
            } else if let Some(accounts) = self.waiting.pop_front() {
                let request = Request::ChainHeads { accounts: accounts.clone() };
                self.asked = Some((accounts, ServerCall::new(request)));
            } else {
                self.grown.sort_unstable();
                self.grown.dedup();
                self.fetch = Some(FetchChains::of(std::mem::take(&mut self.grown)));
            }
        }
    }
}

impl Identities {
    /// Confirms chains that are as the server says; returns those that are not.
    fn compare_heads(&mut self, heads: &[ChainHeadLine], cx: &mut Context<'_>) -> Vec<AccountId> {
        let mut grown = Vec::new();
        for head in heads {
            if self.is_known(head) {
                self.confirm(head.account, cx);
            } else {
                // Longer, other, shorter: reading it tells which.
                grown.push(head.account);
            }
        }
        grown
    }

    /// Whether a chain is here as far as the server says.
    pub(in super::super) fn is_known(&self, head: &ChainHeadLine) -> bool {
        let known = self.chains.get(&head.account).map(UserChain::head);
        known.is_some_and(|known| (known.seq, known.hash) == (head.seq, head.hash))
    }
}

/// Fetches a chain that is said to have grown.
#[derive(Debug)]
pub(in super::super) struct RefreshChain(FetchChain);

impl RefreshChain {
    /// Refreshes the chain of an account.
    pub(in super::super) fn of(account: AccountId) -> Self {
        Self(FetchChain::of(account))
    }
}

impl Step for RefreshChain {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let State { account, identities, .. } = state;
        if let Err(error) = ready!(self.0.poll(account, identities, cx)) {
            tracing::debug!(account = self.0.account.short(), %error, "a chain was not read");
        }
        Poll::Ready(())
    }
}
