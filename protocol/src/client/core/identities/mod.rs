//! What is known of people: verified user chains, pins, presence, cards of agents.
//!
//! Owns the client's side of CRYPTO B2: a name keeps the account it had at first sight, and the
//! highest chain position ever seen never moves back. Knows nothing of rooms.

pub(super) mod card;
mod chain;
pub(super) mod fetch;
pub(super) mod find;
pub(super) mod own_chain;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::event::{PresenceView, TrustState};
use super::super::record::Contact;
use super::super::replica::Write;
use super::context::Context;
use crate::crypto::card::AgentCard;
use crate::crypto::commit::{Commit, Member};
use crate::crypto::safety::account_digits;
use crate::crypto::user_chain::{AccountKind, ChainHead, UserChain};
use crate::id::{AccountId, TimeMs};
use crate::wire::{PresenceLine, PresenceState};

/// Everybody known.
#[derive(Debug, Default)]
pub(super) struct Identities {
    pub(super) chains: HashMap<AccountId, UserChain>,
    contacts: BTreeMap<String, Contact>,
    presence: HashMap<AccountId, PresenceView>,
    digits: HashMap<AccountId, [u32; 6]>,
    cards: HashMap<AccountId, AgentCard>,
    /// Accounts whose chain is served shorter than seen: reported once.
    stale: HashSet<AccountId>,
    /// Accounts whose identity came into question: rooms with them are shown anew.
    pub(super) questioned: Vec<AccountId>,
}

impl Identities {
    /// Starts with what the replica has.
    pub(super) fn new(
        chains: Vec<UserChain>,
        contacts: Vec<Contact>,
        cards: Vec<AgentCard>,
    ) -> Self {
        Self {
            chains: chains.into_iter().map(|chain| (chain.account(), chain)).collect(),
            contacts: contacts.into_iter().map(|one| (one.handle.clone(), one)).collect(),
            cards: cards.into_iter().map(|card| (card.account, card)).collect(),
            ..Self::default()
        }
    }

    /// Whose chains a commit needs: that of `account`, and of all in it who are not known so far.
    pub(super) fn needed_for(&self, commit: &Commit, account: AccountId) -> Vec<AccountId> {
        let is_lacking = |member: &&Member| {
            let chain = self.chains.get(&member.account);
            chain.is_none_or(|chain| chain.head().seq < member.chain_seq)
        };
        let lacking = commit.changed.iter().filter(is_lacking).map(|member| member.account);
        let others = lacking.filter(|lacking| *lacking != account);
        [account].into_iter().chain(others).collect()
    }

    /// The name of an account; its short identifier while the chain is unknown.
    pub(super) fn handle(&self, account: AccountId) -> String {
        self.chains
            .get(&account)
            .map_or_else(|| account.short(), |chain| chain.handle().as_str().to_owned())
    }

    /// Whether an account is an agent, as far as is known.
    pub(super) fn is_agent(&self, account: AccountId) -> bool {
        self.chains.get(&account).is_some_and(|chain| chain.kind() == AccountKind::Agent)
    }

    /// The pin of an account.
    pub(super) fn contact_of(&self, account: AccountId) -> Option<&Contact> {
        let by_name = self.chains.get(&account).and_then(|c| self.contact(c.handle().as_str()));
        by_name
            .filter(|contact| contact.account == account)
            .or_else(|| self.contacts.values().find(|contact| contact.account == account))
    }

    /// The pin of a name.
    pub(super) fn contact(&self, handle: &str) -> Option<&Contact> {
        self.contacts.get(handle)
    }

    /// All pins, by name.
    pub(super) fn contacts(&self) -> impl Iterator<Item = &Contact> {
        self.contacts.values()
    }

    /// Whether sending to an account is blocked until a person decides.
    pub(super) fn is_blocked(&self, account: AccountId) -> bool {
        let handle = self.chains.get(&account).map(|chain| chain.handle().as_str());
        let by_name = handle.and_then(|handle| self.contact(handle));
        // The pin of the name is another account, or the account's own pin is in question.
        by_name.is_some_and(|contact| {
            contact.trust == TrustState::Changed || contact.account != account
        })
    }

    /// How far a chain was ever seen.
    fn seen(&self, account: AccountId) -> Option<ChainHead> {
        self.contact_of(account).map(|contact| contact.seen)
    }

    /// Stores a pin.
    pub(super) fn put_contact(&mut self, contact: Contact, cx: &mut Context<'_>) {
        cx.write(vec![Write::Contact(contact.clone())]);
        self.contacts.insert(contact.handle.clone(), contact);
    }

    /// Remembers that the head of a chain was just confirmed.
    fn confirm(&mut self, account: AccountId, cx: &mut Context<'_>) {
        self.stale.remove(&account);
        if let Some(contact) = self.contact_of(account).cloned() {
            self.put_contact(Contact { refreshed: cx.now.time, ..contact }, cx);
        }
    }

    /// The safety digits of an account; computed once, since that takes milliseconds on purpose.
    pub(super) fn digits(&mut self, account: AccountId) -> Option<[u32; 6]> {
        let handle = self.chains.get(&account)?.handle().clone();
        Some(*self.digits.entry(account).or_insert_with(|| account_digits(account, &handle)))
    }

    /// What an agent says of itself, as it was last verified here.
    pub(super) fn card(&self, agent: AccountId) -> Option<&AgentCard> {
        self.cards.get(&agent)
    }

    /// Takes in a line of presence.
    pub(super) fn see(&mut self, line: &PresenceLine) -> PresenceView {
        let (account, state, last_seen) = (line.account, line.state, line.last_seen);
        let view = PresenceView { account, state, last_seen };
        self.presence.insert(account, view);
        view
    }

    /// How somebody is there.
    pub(super) fn presence(&self, account: AccountId) -> PresenceView {
        let never = PresenceView { account, state: PresenceState::Offline, last_seen: TimeMs(0) };
        self.presence.get(&account).copied().unwrap_or(never)
    }

    /// Forgets who is there, as at the end of a session: everybody counts as offline.
    pub(super) fn lose_presence(&mut self) -> Vec<PresenceView> {
        let mut lost = Vec::new();
        for view in self.presence.values_mut() {
            if view.state != PresenceState::Offline {
                view.state = PresenceState::Offline;
                lost.push(*view);
            }
        }
        lost
    }
}
