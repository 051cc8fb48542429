//! What is known of people: verified user chains, pins, presence.
//!
//! Owns the client's side of CRYPTO B2: a name keeps the account it had at first sight, and the
//! highest chain position ever seen never moves back.

use std::collections::{BTreeMap, HashMap};

use super::super::event::{PresenceView, TrustState};
use super::super::record::Contact;
use super::super::replica::{Replica, Stored};
use crate::crypto::commit::{Commit, Member};
use crate::crypto::safety::account_digits;
use crate::crypto::user_chain::{ChainError, ChainHead, Device, HeadOrder, SignedLink, UserChain};
use crate::id::{AccountId, TimeMs};
use crate::wire::{PresenceLine, PresenceState};

/// What taking in a chain brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ChainNews {
    /// Nothing new.
    Same,
    /// Somebody seen for the first time.
    First,
    /// The chain grew.
    Grew {
        /// Devices that are new in it, by name.
        added: Vec<String>,
        /// Devices that it ended, by name.
        revoked: Vec<String>,
    },
    /// The name belongs to another account here: sending to it stops until accepted by hand.
    NameChanged(String),
}

/// Why a chain is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChainRefusal {
    /// A link does not follow.
    #[error("{0}")]
    Invalid(#[from] ChainError),
    /// It is the chain of somebody else.
    #[error("the server answered with the chain of another account")]
    OtherAccount,
    /// It is shorter than what was seen.
    #[error("the server showed less of a user chain than before")]
    Stale,
    /// It has another history than what was seen.
    #[error("there are two histories of a user chain")]
    Fork,
    /// The replica failed.
    #[error(transparent)]
    Storage(#[from] super::super::replica::StorageError),
}

/// Everybody known.
#[derive(Debug, Default)]
pub(super) struct People {
    pub(super) chains: HashMap<AccountId, UserChain>,
    contacts: BTreeMap<String, Contact>,
    presence: HashMap<AccountId, PresenceView>,
    digits: HashMap<AccountId, [u32; 6]>,
}

impl People {
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

    /// Loads and verifies what the replica has.
    pub(super) fn load(replica: &Replica) -> Stored<Self> {
        let mut people = Self::default();
        for (account, links) in replica.chains()? {
            let links: Vec<SignedLink> = links.into_iter().map(SignedLink).collect();
            match UserChain::verify(&links) {
                Ok(chain) if chain.account() == account => {
                    people.chains.insert(account, chain);
                }
                // Fetched anew when it is needed.
                _ => tracing::warn!(account = account.short(), "a stored chain does not verify"),
            }
        }
        for contact in replica.contacts()? {
            people.contacts.insert(contact.handle.clone(), contact);
        }
        Ok(people)
    }

    /// The name of an account; its short identifier while the chain is unknown.
    pub(super) fn handle(&self, account: AccountId) -> String {
        self.chains
            .get(&account)
            .map_or_else(|| account.short(), |chain| chain.handle().as_str().to_owned())
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
    pub(super) fn seen(&self, account: AccountId) -> Option<ChainHead> {
        self.contact_of(account).map(|contact| contact.seen)
    }

    /// Takes in links from the server: the first of them has number `from`, 1 for a whole chain.
    pub(super) fn take_chain(
        &mut self,
        replica: &Replica,
        account: AccountId,
        links: &[SignedLink],
        now: TimeMs,
    ) -> Result<ChainNews, ChainRefusal> {
        let old = self.chains.get(&account);
        let mut chain = match old {
            Some(chain) => chain.clone(),
            None => UserChain::found(links.first().ok_or(ChainError::Empty)?)?,
        };
        if chain.account() != account {
            return Err(ChainRefusal::OtherAccount);
        }
        for link in links {
            let decoded = link.decode_unverified().map_err(ChainError::from)?;
            match chain.hash_at(decoded.seq) {
                Some(hash) if hash == link.hash() => {}
                Some(_) => return Err(ChainRefusal::Fork),
                None => chain.extend(link)?,
            }
        }
        if let Some(seen) = self.seen(account) {
            match chain.compare(seen) {
                HeadOrder::Stale => return Err(ChainRefusal::Stale),
                HeadOrder::Fork => return Err(ChainRefusal::Fork),
                HeadOrder::Same | HeadOrder::Newer => {}
            }
        }
        let from = old.map_or(0, |chain| chain.head().seq);
        let news = match old {
            Some(old) if old.head() == chain.head() => ChainNews::Same,
            Some(old) => {
                let name = |device: &Device| device.record.name.clone();
                let is_new = |device: &&Device| old.device(device.id()).is_none();
                let is_ended =
                    |device: &&Device| device.revoked_seq.is_some() && old.is_active(device.id());
                ChainNews::Grew {
                    added: chain.devices().filter(is_new).map(name).collect(),
                    revoked: chain.devices().filter(is_ended).map(name).collect(),
                }
            }
            None => ChainNews::First,
        };
        let fresh: Vec<Vec<u8>> = links
            .iter()
            .filter(|link| link.decode_unverified().is_ok_and(|decoded| decoded.seq > from))
            .map(|link| link.0.clone())
            .collect();
        replica.put_chain_links(account, from + 1, &fresh)?;
        let changed = self.pin(replica, &chain, now)?;
        self.chains.insert(account, chain);
        Ok(changed.map_or(news, ChainNews::NameChanged))
    }

    /// Pins a name at first sight and raises what was seen; the name if it means somebody else.
    fn pin(&mut self, replica: &Replica, chain: &UserChain, now: TimeMs) -> Stored<Option<String>> {
        let handle = chain.handle().as_str().to_owned();
        let contact = match self.contacts.get(&handle) {
            None => Contact {
                handle: handle.clone(),
                account: chain.account(),
                seen: chain.head(),
                trust: TrustState::Unverified,
                changed_to: None,
                refreshed: now,
            },
            Some(old) if old.account == chain.account() => {
                Contact { seen: chain.head(), refreshed: now, ..old.clone() }
            }
            Some(old) if old.changed_to == Some(chain.account()) => return Ok(None),
            Some(old) => {
                let changed_to = Some(chain.account());
                let contact = Contact { trust: TrustState::Changed, changed_to, ..old.clone() };
                self.put_contact(replica, contact)?;
                return Ok(Some(handle));
            }
        };
        self.put_contact(replica, contact)?;
        Ok(None)
    }

    /// Stores a pin.
    pub(super) fn put_contact(&mut self, replica: &Replica, contact: Contact) -> Stored<()> {
        replica.put_contact(&contact)?;
        self.contacts.insert(contact.handle.clone(), contact);
        Ok(())
    }

    /// Marks the pin of an account as in question (two histories of its chain).
    pub(super) fn block(&mut self, replica: &Replica, account: AccountId) -> Stored<()> {
        let Some(contact) = self.contact_of(account).cloned() else { return Ok(()) };
        self.put_contact(replica, Contact { trust: TrustState::Changed, ..contact })
    }

    /// Remembers that the head of a chain was just confirmed.
    pub(super) fn confirm(
        &mut self,
        replica: &Replica,
        account: AccountId,
        now: TimeMs,
    ) -> Stored<()> {
        let Some(contact) = self.contact_of(account).cloned() else { return Ok(()) };
        self.put_contact(replica, Contact { refreshed: now, ..contact })
    }

    /// The safety digits of an account; computed once, since that takes milliseconds on purpose.
    pub(super) fn digits(&mut self, account: AccountId) -> Option<[u32; 6]> {
        let handle = self.chains.get(&account)?.handle().clone();
        Some(*self.digits.entry(account).or_insert_with(|| account_digits(account, &handle)))
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
