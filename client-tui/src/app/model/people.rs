//! People who share a room with the account: their presence, and whether they are verified.

use std::collections::HashMap;

use mathia_protocol::client::{PersonView, PresenceView, TrustState};
use mathia_protocol::id::{AccountId, TimeMs};
use mathia_protocol::wire::PresenceState;

use crate::safe_text::SafeText;

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) account: AccountId,
    pub(crate) handle: SafeText,
    pub(crate) is_agent: bool,
    pub(crate) presence: PresenceState,
    pub(crate) last_seen: TimeMs,
    pub(crate) trust: TrustState,
    pub(crate) n_devices: u32,
}

/// Everyone known.
#[derive(Debug, Clone, Default)]
pub(crate) struct People {
    by_account: HashMap<AccountId, Person>,
    /// Presence that was reported before the person was known.
    presence: HashMap<AccountId, PresenceView>,
}

/// Presences remembered of people not yet known.
const EARLY_PRESENCE_MAX: usize = 1_000;

impl People {
    /// Stores the list of the engine.
    pub(crate) fn replace(&mut self, people: &[PersonView]) {
        self.by_account = people.iter().map(|view| (view.account, Person::of(view))).collect();
    }

    /// Stores a person's presence.
    pub(crate) fn seen(&mut self, view: PresenceView) {
        match self.by_account.get_mut(&view.account) {
            Some(person) => {
                person.presence = view.state;
                person.last_seen = view.last_seen;
            }
            None if self.presence.len() < EARLY_PRESENCE_MAX => {
                self.presence.insert(view.account, view);
            }
            None => {}
        }
    }

    /// Adds a member of a room, if not known yet.
    pub(crate) fn add(&mut self, account: AccountId, handle: &SafeText, is_agent: bool) {
        let early = self.presence.get(&account).copied();
        self.by_account.entry(account).or_insert_with(|| Person {
            account,
            handle: handle.clone(),
            is_agent,
            presence: early.map_or(PresenceState::Offline, |view| view.state),
            last_seen: early.map_or(TimeMs(0), |view| view.last_seen),
            trust: TrustState::Unverified,
            n_devices: 0,
        });
    }

    /// A person by identity.
    pub(crate) fn get(&self, account: AccountId) -> Option<&Person> {
        self.by_account.get(&account)
    }

    /// A person by identity, to be changed.
    pub(crate) fn get_mut(&mut self, account: AccountId) -> Option<&mut Person> {
        self.by_account.get_mut(&account)
    }

    /// A person by name.
    pub(crate) fn named(&self, handle: &str) -> Option<&Person> {
        self.by_account.values().find(|person| person.handle.as_str() == handle)
    }

    /// Everyone but the given account, by name.
    pub(crate) fn in_order(&self, but: AccountId) -> Vec<&Person> {
        let others = self.by_account.values().filter(|person| person.account != but);
        let mut people: Vec<&Person> = others.collect();
        people.sort_by(|a, b| (a.is_agent, &a.handle).cmp(&(b.is_agent, &b.handle)));
        people
    }
}

impl Person {
    /// Says whether anybody is there; an agent is never away.
    pub(crate) fn is_here(&self) -> bool {
        self.presence != PresenceState::Offline
    }

    fn of(view: &PersonView) -> Self {
        Self {
            account: view.account,
            handle: SafeText::line(&view.handle),
            is_agent: view.is_agent,
            presence: view.presence.state,
            last_seen: view.presence.last_seen,
            trust: view.trust,
            n_devices: view.n_devices,
        }
    }
}
