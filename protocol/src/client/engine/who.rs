//! Fetching user chains and finding people.
//!
//! Owns what happens when a chain is not as it was: a shorter one is refused and asked again, with an
//! alarm after three tries; another history, or another account under a known name, is an alarm at
//! once and stops sending to that person (CRYPTO B2).

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::super::command::{CommandError, PersonRef};
use super::super::event::{AlarmCause, TrustState};
use super::super::record::Contact;
use super::people::{ChainNews, ChainRefusal};
use super::{Engine, storage};
use crate::crypto::user_chain::{SignedLink, UserChain};
use crate::id::{AccountId, TimeMs};
use crate::limits::ACCOUNTS_PER_REQUEST_MAX;
use crate::name::Handle;
use crate::wire::{ChainHeadLine, Fault, Reply, Request};

/// A chain that was served shorter than seen this often is an alarm.
const STALE_TRIES_MAX: u32 = 3;
/// The pause between those tries.
const STALE_PAUSE: Duration = Duration::from_millis(500);
/// Pages of one chain: far more than [`crate::limits::CHAIN_LINKS_MAX`] links need.
const CHAIN_PAGES_MAX: usize = 512;

impl Engine {
    /// Fetches chains that are needed. `Ok` means that the server was asked about each, not that
    /// all are here now.
    pub(super) async fn fetch_chains(
        self: &Rc<Self>,
        accounts: &[AccountId],
    ) -> Result<(), CommandError> {
        let mut tasks = tokio::task::JoinSet::new();
        for account in accounts.iter().copied() {
            let engine = Rc::clone(self);
            tasks.spawn_local(async move { engine.fetch_chain(account).await });
        }
        let mut result = Ok(());
        while let Some(done) = tasks.join_next().await {
            if let Ok(Err(error)) = done {
                result = Err(error);
            }
        }
        result
    }

    /// Fetches what is new of one chain.
    pub(super) async fn fetch_chain(&self, account: AccountId) -> Result<(), CommandError> {
        if !self.core.borrow_mut().fetching.insert(account) {
            // Somebody is at it; the result is the same for all who wait.
            let is_done = || !self.core.borrow().fetching.contains(&account);
            return if self.until(self.patience, is_done).await {
                Ok(())
            } else {
                Err(CommandError::TimedOut)
            };
        }
        let outcome = self.read_and_take(account).await;
        self.core.borrow_mut().fetching.remove(&account);
        self.wake();
        outcome
    }

    /// A shorter chain than seen is refused and asked for again, three times in all.
    async fn read_and_take(&self, account: AccountId) -> Result<(), CommandError> {
        let mut n_tries = 0;
        loop {
            n_tries += 1;
            let links = self.read_chain(account).await?;
            match self.take_chain(account, &links) {
                Err(ChainRefusal::Stale) if n_tries < STALE_TRIES_MAX => sleep(STALE_PAUSE).await,
                Err(refusal) => return Err(self.chain_refused(account, refusal)),
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn read_chain(&self, account: AccountId) -> Result<Vec<SignedLink>, CommandError> {
        // The newest known link is read again: another one there is a fork.
        let mut from = {
            let core = self.core.borrow();
            core.people.chains.get(&account).map_or(0, |chain| chain.head().seq)
        };
        let mut links = Vec::new();
        for _ in 0..CHAIN_PAGES_MAX {
            let reply = self.call(Request::Chain { account, from }).await?;
            let Reply::Chain { links: page, more } = reply else { break };
            let last = page.last().cloned().map(SignedLink);
            links.extend(page.into_iter().map(SignedLink));
            match last.and_then(|link| link.decode_unverified().ok()) {
                Some(last) if more => from = last.seq.saturating_add(1),
                _ => break,
            }
        }
        Ok(links)
    }

    fn take_chain(&self, account: AccountId, links: &[SignedLink]) -> Result<(), ChainRefusal> {
        let now = self.now();
        let mut core = self.core.borrow_mut();
        let is_known = core.people.chains.contains_key(&account);
        let result = if links.is_empty() && is_known {
            Err(ChainRefusal::Stale)
        } else {
            core.people.take_chain(&self.replica, account, links, now)
        };
        if result.is_ok() {
            core.stale.remove(&account);
        }
        let handle = core.people.handle(account);
        drop(core);
        match result {
            Ok(ChainNews::Same | ChainNews::First) => Ok(()),
            Ok(ChainNews::Grew { added, revoked }) => {
                for device in added {
                    self.notice(None, format!("new device for {handle}: {device}"));
                }
                for device in revoked {
                    self.notice(None, format!("{handle} revoked a device: {device}"));
                }
                Ok(())
            }
            Ok(ChainNews::NameChanged(name)) => {
                self.identity_changed(account, &name);
                Ok(())
            }
            Err(refusal) => Err(refusal),
        }
    }

    fn identity_changed(&self, account: AccountId, handle: &str) {
        let text = format!(
            "the server gives another identity for {handle} than before: compare the safety \
             number, then accept it by hand"
        );
        self.alarm(None, Some(account), AlarmCause::IdentityChanged, text);
        self.tell_rooms_with(account);
    }

    fn chain_refused(&self, account: AccountId, refusal: ChainRefusal) -> CommandError {
        let handle = self.core.borrow().people.handle(account);
        match refusal {
            ChainRefusal::Storage(error) => return storage(&error),
            ChainRefusal::Stale => {
                if self.core.borrow_mut().stale.insert(account) {
                    let text = format!("the server shows less of {handle}'s devices than before");
                    self.alarm(None, Some(account), AlarmCause::StaleChain, text);
                }
            }
            ChainRefusal::Fork | ChainRefusal::Invalid(_) | ChainRefusal::OtherAccount => {
                let blocked = self.core.borrow_mut().people.block(&self.replica, account);
                if let Err(error) = blocked {
                    self.storage_failed(&error);
                }
                let text = format!("the devices of {handle} do not verify: {refusal}");
                self.alarm(None, Some(account), AlarmCause::ChainFork, text);
                self.tell_rooms_with(account);
            }
        }
        CommandError::Untrusted(format!("{handle}: {refusal}"))
    }

    /// Asks for the newest chain positions, and fetches what grew. Every account is asked about.
    pub(super) async fn refresh_heads(
        self: &Rc<Self>,
        accounts: &[AccountId],
    ) -> Result<(), CommandError> {
        let mut grown = Vec::new();
        for accounts in accounts.chunks(ACCOUNTS_PER_REQUEST_MAX) {
            let request = Request::ChainHeads { accounts: accounts.to_vec() };
            let Reply::ChainHeads { heads } = self.call(request).await? else { continue };
            let now = self.now();
            let mut core = self.core.borrow_mut();
            for head in heads {
                match core.people.chains.get(&head.account).map(UserChain::head) {
                    Some(known) if (known.seq, known.hash) == (head.seq, head.hash) => {
                        let confirmed = core.people.confirm(&self.replica, head.account, now);
                        confirmed.map_err(|error| storage(&error))?;
                        core.stale.remove(&head.account);
                    }
                    // Longer, other, shorter: reading it tells which.
                    _ => grown.push(head.account),
                }
            }
            let unknown = accounts.iter().filter(|a| !core.people.chains.contains_key(*a));
            grown.extend(unknown);
        }
        grown.sort_unstable();
        grown.dedup();
        self.fetch_chains(&grown).await
    }

    /// A chain is said to have grown.
    pub(super) async fn chain_grew(self: Rc<Self>, head: ChainHeadLine) {
        let known = {
            let core = self.core.borrow();
            core.people.chains.get(&head.account).map(UserChain::head)
        };
        let is_new = known.is_none_or(|known| (known.seq, known.hash) != (head.seq, head.hash));
        if is_new && let Err(error) = self.fetch_chain(head.account).await {
            tracing::debug!(account = head.account.short(), %error, "a chain was not read");
        }
        self.go_drain();
    }

    /// Finds a person: pinned names first, then the server.
    pub(super) async fn find(
        self: &Rc<Self>,
        person: &PersonRef,
    ) -> Result<AccountId, CommandError> {
        let account = match person {
            PersonRef::Account(account) => *account,
            PersonRef::Handle(handle) => {
                let pinned = self.core.borrow().people.contact(handle.as_str()).cloned();
                match pinned {
                    Some(contact) => contact.account,
                    None => self.look_up(handle).await?,
                }
            }
        };
        let is_known = self.core.borrow().people.chains.contains_key(&account);
        if !is_known {
            self.fetch_chain(account).await?;
        }
        let core = self.core.borrow();
        let Some(chain) = core.people.chains.get(&account) else {
            return Err(CommandError::NotFound("there is no such person".to_owned()));
        };
        if let PersonRef::Handle(handle) = person
            && chain.handle() != handle
        {
            let text = format!("the server answered with another person than {handle}");
            return Err(CommandError::Untrusted(text));
        }
        if core.people.is_blocked(account) {
            let handle = chain.handle();
            return Err(CommandError::Untrusted(format!(
                "the identity of {handle} changed: compare the safety number, then accept it"
            )));
        }
        Ok(account)
    }

    async fn look_up(&self, handle: &Handle) -> Result<AccountId, CommandError> {
        let request = Request::FindAccount { handle: handle.as_str().to_owned() };
        let link = self.online().await?;
        match link.call(request).await {
            Ok(Reply::Found { account }) => Ok(account),
            Err(super::CallError::Fault(Fault::NotFound)) => {
                Err(CommandError::NotFound(format!("there is nobody called {handle}")))
            }
            Ok(_) => Err(CommandError::Refused("the server answered out of turn".to_owned())),
            Err(error) => Err(super::call_failed(&error)),
        }
    }

    /// Remembers that a person compared the safety number, or accepts a changed identity.
    pub(super) async fn trust(
        self: &Rc<Self>,
        person: &PersonRef,
        is_verified: bool,
    ) -> Result<(), CommandError> {
        let contact = {
            let core = self.core.borrow();
            match person {
                PersonRef::Handle(handle) => core.people.contact(handle.as_str()).cloned(),
                PersonRef::Account(account) => core.people.contact_of(*account).cloned(),
            }
        };
        let Some(contact) = contact else {
            self.find(person).await?;
            return Box::pin(self.trust(person, is_verified)).await;
        };
        let trust = if is_verified { TrustState::Verified } else { TrustState::Unverified };
        let changed = match contact.changed_to {
            None => Contact { trust, ..contact },
            Some(account) => {
                let seen = {
                    let core = self.core.borrow();
                    core.people.chains.get(&account).map(UserChain::head)
                };
                let seen = seen.unwrap_or(contact.seen);
                let refreshed = TimeMs(0);
                Contact { account, seen, trust, changed_to: None, refreshed, ..contact }
            }
        };
        let account = changed.account;
        let stored = self.core.borrow_mut().people.put_contact(&self.replica, changed);
        stored.map_err(|error| storage(&error))?;
        self.tell_rooms_with(account);
        self.go_drain();
        Ok(())
    }
}
