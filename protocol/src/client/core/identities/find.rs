//! Finding people by name, comparing identities, and accepting a changed one by hand.

use std::collections::VecDeque;
use std::task::{Poll, ready};

use super::super::account::Account;
use super::super::context::Context;
use super::super::io::CallError;
use super::super::server_call::{CallFailure, ServerCall, out_of_turn};
use super::Identities;
use super::fetch::FetchChain;
use crate::client::event::TrustState;
use crate::client::record::Contact;
use crate::client::{CommandError, PersonRef};
use crate::crypto::safety::SafetyNumber;
use crate::crypto::user_chain::UserChain;
use crate::id::{AccountId, TimeMs};
use crate::wire::{Fault, Reply, Request};

/// Finds a person: pinned names first, then the server.
#[derive(Debug)]
pub(in super::super) struct Find {
    person: PersonRef,
    stage: FindStage,
}

#[derive(Debug)]
enum FindStage {
    Begin,
    LookingUp(ServerCall),
    Fetching(AccountId, FetchChain),
    Known(AccountId),
}

impl Find {
    /// Finds one person.
    pub(in super::super) fn new(person: PersonRef) -> Self {
        Self { person, stage: FindStage::Begin }
    }

    /// Looks how far it is.
    pub(in super::super) fn poll(
        &mut self,
        account: &Account,
        identities: &mut Identities,
        cx: &mut Context<'_>,
    ) -> Poll<Result<AccountId, CommandError>> {
        loop {
            match &mut self.stage {
                FindStage::Begin => self.stage = self.begin(identities),
                FindStage::LookingUp(call) => {
                    let found = match ready!(call.poll(account, cx)) {
                        Ok(Reply::Found { account }) => account,
                        Err(CallFailure::Call(CallError::Fault(Fault::NotFound))) => {
                            return Poll::Ready(Err(self.nobody()));
                        }
                        Ok(_) => return Poll::Ready(Err(out_of_turn())),
                        Err(error) => return Poll::Ready(Err(error.into())),
                    };
                    self.stage = known_or_fetch(found, identities);
                }
                FindStage::Fetching(found, fetch) => {
                    let found = *found;
                    ready!(fetch.poll(account, identities, cx))?;
                    self.stage = FindStage::Known(found);
                }
                FindStage::Known(found) => {
                    return Poll::Ready(identities.check_found(*found, &self.person));
                }
            }
        }
    }

    fn begin(&self, identities: &Identities) -> FindStage {
        match &self.person {
            PersonRef::Account(account) => known_or_fetch(*account, identities),
            PersonRef::Handle(handle) => {
                if let Some(contact) = identities.contact(handle.as_str()) {
                    return known_or_fetch(contact.account, identities);
                }
                let handle = handle.as_str().to_owned();
                FindStage::LookingUp(ServerCall::new(Request::FindAccount { handle }))
            }
        }
    }

    fn nobody(&self) -> CommandError {
        match &self.person {
            PersonRef::Handle(handle) => {
                CommandError::NotFound(format!("there is nobody called {handle}"))
            }
            PersonRef::Account(_) => nobody(),
        }
    }
}

fn known_or_fetch(account: AccountId, identities: &Identities) -> FindStage {
    if identities.chains.contains_key(&account) {
        FindStage::Known(account)
    } else {
        FindStage::Fetching(account, FetchChain::of(account))
    }
}

fn nobody() -> CommandError {
    CommandError::NotFound("there is no such person".to_owned())
}

/// Finds several people, one after the other.
#[derive(Debug)]
pub(in super::super) struct FindAll {
    waiting: VecDeque<PersonRef>,
    finding: Option<Find>,
    found: Vec<AccountId>,
}

impl FindAll {
    /// Finds these people.
    pub(in super::super) fn new(people: Vec<PersonRef>) -> Self {
        Self { waiting: people.into(), finding: None, found: Vec::new() }
    }

    /// Looks how far it is.
    pub(in super::super) fn poll(
        &mut self,
        account: &Account,
        identities: &mut Identities,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Vec<AccountId>, CommandError>> {
        loop {
            if let Some(find) = &mut self.finding {
                let found = ready!(find.poll(account, identities, cx))?;
                self.found.push(found);
                self.finding = None;
            }
            match self.waiting.pop_front() {
                Some(person) => self.finding = Some(Find::new(person)),
                None => return Poll::Ready(Ok(std::mem::take(&mut self.found))),
            }
        }
    }
}

impl Identities {
    fn check_found(
        &self,
        account: AccountId,
        person: &PersonRef,
    ) -> Result<AccountId, CommandError> {
        let chain = self.chains.get(&account).ok_or_else(nobody)?;
        if let PersonRef::Handle(handle) = person
            && chain.handle() != handle
        {
            let text = format!("the server answered with another person than {handle}");
            return Err(CommandError::Untrusted(text));
        }
        if self.is_blocked(account) {
            let handle = chain.handle();
            return Err(CommandError::Untrusted(format!(
                "the identity of {handle} changed: compare the safety number, then accept it"
            )));
        }
        Ok(account)
    }

    /// The account whose numbers are compared when a name came into question.
    pub(in super::super) fn changed_identity(
        &self,
        person: &PersonRef,
    ) -> Result<AccountId, CommandError> {
        let contact = match person {
            PersonRef::Account(account) => return Ok(*account),
            PersonRef::Handle(handle) => self.contact(handle.as_str()),
        };
        contact.map(|contact| contact.changed_to.unwrap_or(contact.account)).ok_or_else(nobody)
    }

    /// The safety number of two accounts.
    pub(in super::super) fn safety_number(
        &mut self,
        own: AccountId,
        other: AccountId,
    ) -> Result<String, CommandError> {
        let missing = || CommandError::NotFound("the identity is not known yet".to_owned());
        let own = self.digits(own).ok_or_else(missing)?;
        let other = self.digits(other).ok_or_else(missing)?;
        Ok(SafetyNumber::of_pair(own, other).to_string())
    }

    /// The pin that a decision about a person changes.
    pub(in super::super) fn contact_for(&self, person: &PersonRef) -> Option<&Contact> {
        match person {
            PersonRef::Handle(handle) => self.contact(handle.as_str()),
            PersonRef::Account(account) => self.contact_of(*account),
        }
    }

    /// Remembers that a person compared the safety number, or accepts a changed identity; the
    /// account whose pin changed.
    pub(in super::super) fn decide(
        &mut self,
        contact: Contact,
        is_verified: bool,
        cx: &mut Context<'_>,
    ) -> AccountId {
        let trust = if is_verified { TrustState::Verified } else { TrustState::Unverified };
        let changed = match contact.changed_to {
            None => Contact { trust, ..contact },
            Some(account) => {
                let seen = self.chains.get(&account).map_or(contact.seen, UserChain::head);
                let refreshed = TimeMs(0);
                Contact { account, seen, trust, changed_to: None, refreshed, ..contact }
            }
        };
        let account = changed.account;
        self.put_contact(changed, cx);
        account
    }
}
