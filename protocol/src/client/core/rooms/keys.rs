//! The keys of one room: epoch secrets, sender keys made from them, and what is still missing.
//!
//! Owns one rule above all: a secret from anywhere is used only if it is the one that the signed
//! commit promised (`kc`, CRYPTO A4).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::client::event::UnreadableCause;
use crate::crypto::commit::{HistoryRule, Member, RoomMode};
use crate::crypto::epoch::{EpochSecret, RoomKey, SenderKey};
use crate::id::{AccountId, DeviceId, Epoch, Hash, Seq};
use crate::log::{EpochRecord, RoomState};

/// What this device can open in one room.
#[derive(Debug)]
pub(in super::super) struct RoomKeys {
    own_device: DeviceId,
    secrets: BTreeMap<Epoch, EpochSecret>,
    /// Sender keys that members made for this device, an agent's that may write but not read.
    agent_keys: BTreeMap<Epoch, SenderKey>,
    /// Made from the secrets when they are first needed.
    senders: HashMap<(Epoch, DeviceId), SenderKey>,
    /// Secrets of own commits that are on their way, by the hash of the commit.
    own: HashMap<Hash, EpochSecret>,
    /// Epochs whose key was asked of the other members.
    pub(in super::super) asked: BTreeSet<Epoch>,
    /// Epochs for which a key came that did not fit.
    pub(in super::super) bad: BTreeSet<Epoch>,
    /// Whether a key came since entries that wait for one were looked at.
    is_new: bool,
}

impl RoomKeys {
    /// No keys yet.
    pub(super) fn new(own_device: DeviceId) -> Self {
        Self {
            own_device,
            secrets: BTreeMap::new(),
            agent_keys: BTreeMap::new(),
            senders: HashMap::new(),
            own: HashMap::new(),
            asked: BTreeSet::new(),
            bad: BTreeSet::new(),
            // What came in the life before is looked at once.
            is_new: true,
        }
    }

    /// Takes in what the replica has.
    pub(in super::super) fn load(
        &mut self,
        secrets: Vec<(Epoch, EpochSecret)>,
        agent_keys: Vec<(Epoch, SenderKey)>,
    ) {
        self.secrets.extend(secrets);
        self.agent_keys.extend(agent_keys);
    }

    /// Keeps the secrets of own commits that are on their way when a room is loaded anew.
    pub(super) fn keep_own(&mut self, old: &mut Self) {
        self.own = std::mem::take(&mut old.own);
        self.asked = std::mem::take(&mut old.asked);
    }

    /// The secret of an epoch, if it is kept.
    pub(in super::super) fn secret(&self, epoch: Epoch) -> Option<&EpochSecret> {
        self.secrets.get(&epoch)
    }

    /// Keeps a secret that was proven to be the promised one.
    pub(in super::super) fn keep(&mut self, epoch: Epoch, secret: EpochSecret) {
        self.asked.remove(&epoch);
        self.bad.remove(&epoch);
        self.is_new |= !self.secrets.contains_key(&epoch);
        self.secrets.entry(epoch).or_insert(secret);
    }

    /// Whether a key came since this was asked last.
    pub(in super::super) fn take_new(&mut self) -> bool {
        std::mem::take(&mut self.is_new)
    }

    /// Keeps the sender key that a member made for this agent.
    pub(in super::super) fn keep_agent_key(&mut self, epoch: Epoch, key: SenderKey) {
        self.asked.remove(&epoch);
        self.forget_senders(epoch);
        self.is_new = true;
        self.agent_keys.insert(epoch, key);
    }

    /// Whether this agent has its sender key of an epoch.
    pub(in super::super) fn has_agent_key(&self, epoch: Epoch) -> bool {
        self.agent_keys.contains_key(&epoch)
    }

    /// Wipes everything that opens an epoch.
    pub(in super::super) fn wipe(&mut self, epoch: Epoch) {
        self.secrets.remove(&epoch);
        self.agent_keys.remove(&epoch);
        self.forget_senders(epoch);
    }

    fn forget_senders(&mut self, epoch: Epoch) {
        self.senders.retain(|(of, _), _| *of != epoch);
    }

    /// Remembers the secret of an own commit: whether it comes first, the log will tell.
    pub(in super::super) fn expect_own(&mut self, commit: Hash, secret: EpochSecret) {
        self.own.insert(commit, secret);
    }

    /// Forgets the secret of an own commit that was refused.
    pub(in super::super) fn drop_own(&mut self, commit: Hash) {
        self.own.remove(&commit);
    }

    /// Keeps the secret of an own commit that stands in the log; a copy to be stored.
    pub(super) fn accept_own(&mut self, commit: Hash, epoch: Epoch) -> Option<EpochSecret> {
        let secret = self.own.remove(&commit)?;
        let copy = secret.duplicate();
        self.keep(epoch, secret);
        Some(copy)
    }

    /// The sender key of a device in an epoch, if the secret is kept.
    pub(in super::super) fn sender_key(
        &mut self,
        state: &RoomState,
        epoch: Epoch,
        (account, device): (AccountId, DeviceId),
    ) -> Option<&SenderKey> {
        if !self.senders.contains_key(&(epoch, device)) {
            let commit_hash = state.epoch_record(epoch)?.commit_hash;
            let key = match self.secrets.get(&epoch) {
                Some(secret) => {
                    SenderKey::derive(&RoomKey::derive(commit_hash, secret), account, device)
                }
                // An agent that reads only what is shown to it has its own key and no other.
                None if device == self.own_device => self.agent_keys.get(&epoch)?.duplicate(),
                None => return None,
            };
            self.senders.insert((epoch, device), key);
        }
        self.senders.get(&(epoch, device))
    }

    /// Epochs whose secret is missing and that an account may have, rising.
    pub(in super::super) fn missing(
        &self,
        state: &RoomState,
        account: AccountId,
        expired_upto: Seq,
    ) -> Vec<Epoch> {
        if state.mode() == RoomMode::Open {
            return Vec::new();
        }
        // What was wiped with everything it opened stays wiped.
        let is_over = |epoch: Epoch| {
            let end = state.epoch_end(epoch);
            expired_upto > Seq(0) && end.is_some_and(|end| end <= expired_upto.next())
        };
        let is_missing = |epoch: &Epoch| {
            !self.secrets.contains_key(epoch)
                && may_have_key(state, account, *epoch)
                && !is_over(*epoch)
        };
        state.epochs().iter().map(|record| record.epoch).filter(is_missing).collect()
    }

    /// Opens the boxes with older secrets, as far back as they go: the secrets found, and the epochs
    /// whose box does not hold what was promised.
    pub(in super::super) fn open_boxes(
        &mut self,
        state: &RoomState,
    ) -> (Vec<(Epoch, EpochSecret)>, Vec<Epoch>) {
        let (mut found, mut bad) = (Vec::new(), Vec::new());
        for pair in state.epochs().windows(2).rev() {
            let [before, record] = pair else { continue };
            let Some(prev_box) = &record.prev_box else { continue };
            if self.secrets.contains_key(&before.epoch) {
                continue;
            }
            let Some(secret) = self.secrets.get(&record.epoch) else { continue };
            match secret.open_prev(record.prev_commit, record.epoch, prev_box) {
                Ok(older) if fits(before, &older) => {
                    found.push((before.epoch, older.duplicate()));
                    self.keep(before.epoch, older);
                }
                _ => bad.push(before.epoch),
            }
        }
        (found, bad)
    }

    /// Why the key of an epoch is not here.
    pub(in super::super) fn why_unreadable(
        &self,
        state: &RoomState,
        account: AccountId,
        epoch: Epoch,
    ) -> UnreadableCause {
        if state.member(account).is_some_and(Member::is_mention_agent) {
            UnreadableCause::NotShown
        } else if !may_have_key(state, account, epoch) {
            UnreadableCause::BeforeJoin
        } else if self.bad.contains(&epoch) {
            UnreadableCause::KeyBad
        } else {
            UnreadableCause::KeyAsked
        }
    }
}

/// Whether a secret is the one that its epoch's commit promised.
pub(in super::super) fn fits(record: &EpochRecord, secret: &EpochSecret) -> bool {
    secret.matches(record.prev_commit, record.epoch, record.kc)
}

/// Whether an account may have the secret of an epoch (CRYPTO B3).
pub(in super::super) fn may_have_key(state: &RoomState, account: AccountId, epoch: Epoch) -> bool {
    state.policy().history == HistoryRule::All || state.was_member_during(account, epoch)
}
