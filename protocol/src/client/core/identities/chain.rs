//! Judging a user chain that the server handed out, and pinning the name in it.
//!
//! Owns what happens when a chain is not as it was: another history, or another account under a
//! known name, is an alarm at once and stops sending to that person (CRYPTO B2).

use super::super::super::event::{AlarmCause, TrustState};
use super::super::super::record::Contact;
use super::super::super::replica::Write;
use super::super::context::Context;
use super::Identities;
use crate::client::CommandError;
use crate::crypto::user_chain::{ChainError, Device, HeadOrder, SignedLink, UserChain};
use crate::id::AccountId;

/// What a chain brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ChainUpdate {
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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
}

impl Identities {
    /// Judges links that the server handed out for an account, keeps what is new, and reports what
    /// people should know of it.
    pub(super) fn accept_chain(
        &mut self,
        account: AccountId,
        links: &[SignedLink],
        cx: &mut Context<'_>,
    ) -> Result<(), ChainRefusal> {
        if links.is_empty() && self.chains.contains_key(&account) {
            return Err(ChainRefusal::Stale);
        }
        let update = self.extend_chain(account, links, cx)?;
        self.stale.remove(&account);
        let handle = self.handle(account);
        match update {
            ChainUpdate::Same | ChainUpdate::First => {}
            ChainUpdate::Grew { added, revoked } => {
                for device in added {
                    cx.notice(None, format!("new device for {handle}: {device}"));
                }
                for device in revoked {
                    cx.notice(None, format!("{handle} revoked a device: {device}"));
                }
            }
            ChainUpdate::NameChanged(name) => {
                let text = format!(
                    "the server gives another identity for {name} than before: compare the \
                     safety number, then accept it by hand"
                );
                cx.alarm(None, Some(account), AlarmCause::IdentityChanged, text);
                self.questioned.push(account);
            }
        }
        Ok(())
    }

    fn extend_chain(
        &mut self,
        account: AccountId,
        links: &[SignedLink],
        cx: &mut Context<'_>,
    ) -> Result<ChainUpdate, ChainRefusal> {
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
        let update = match old {
            Some(old) if old.head() == chain.head() => ChainUpdate::Same,
            Some(old) => grown(old, &chain),
            None => ChainUpdate::First,
        };
        let is_new =
            |link: &&SignedLink| link.decode_unverified().is_ok_and(|decoded| decoded.seq > from);
        let fresh: Vec<Vec<u8>> = links.iter().filter(is_new).map(|link| link.0.clone()).collect();
        if !fresh.is_empty() {
            let first_seq = from + 1;
            cx.write(vec![Write::ChainLinks { account, first_seq, links: fresh }]);
        }
        let changed = self.pin(&chain, cx);
        self.chains.insert(account, chain);
        cx.changed();
        Ok(changed.map_or(update, ChainUpdate::NameChanged))
    }

    /// Pins a name at first sight and raises what was seen; the name if it means somebody else.
    fn pin(&mut self, chain: &UserChain, cx: &mut Context<'_>) -> Option<String> {
        let handle = chain.handle().as_str().to_owned();
        let contact = match self.contact(&handle) {
            None => Contact {
                handle: handle.clone(),
                account: chain.account(),
                seen: chain.head(),
                trust: TrustState::Unverified,
                changed_to: None,
                refreshed: cx.now.time,
            },
            Some(old) if old.account == chain.account() => {
                Contact { seen: chain.head(), refreshed: cx.now.time, ..old.clone() }
            }
            Some(old) if old.changed_to == Some(chain.account()) => return None,
            Some(old) => {
                let changed_to = Some(chain.account());
                let contact = Contact { trust: TrustState::Changed, changed_to, ..old.clone() };
                self.put_contact(contact, cx);
                return Some(handle);
            }
        };
        self.put_contact(contact, cx);
        None
    }

    /// Reports a refused chain, once, and says what it means for a command.
    pub(super) fn chain_refused(
        &mut self,
        account: AccountId,
        refusal: &ChainRefusal,
        cx: &mut Context<'_>,
    ) -> CommandError {
        let handle = self.handle(account);
        match refusal {
            ChainRefusal::Stale => {
                if self.stale.insert(account) {
                    let text = format!("the server shows less of {handle}'s devices than before");
                    cx.alarm(None, Some(account), AlarmCause::StaleChain, text);
                }
            }
            ChainRefusal::Fork | ChainRefusal::Invalid(_) | ChainRefusal::OtherAccount => {
                if let Some(contact) = self.contact_of(account).cloned() {
                    self.put_contact(Contact { trust: TrustState::Changed, ..contact }, cx);
                }
                let text = format!("the devices of {handle} do not verify: {refusal}");
                cx.alarm(None, Some(account), AlarmCause::ChainFork, text);
                self.questioned.push(account);
            }
        }
        CommandError::Untrusted(format!("{handle}: {refusal}"))
    }
}

fn grown(old: &UserChain, new: &UserChain) -> ChainUpdate {
    let name = |device: &Device| device.record.name.clone();
    let is_new = |device: &&Device| old.device(device.id()).is_none();
    let is_ended = |device: &&Device| device.revoked_seq.is_some() && old.is_active(device.id());
    ChainUpdate::Grew {
        added: new.devices().filter(is_new).map(name).collect(),
        revoked: new.devices().filter(is_ended).map(name).collect(),
    }
}
