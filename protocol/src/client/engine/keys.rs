//! Epoch secrets: taking them from wraps, answers, grants and boxes; giving them to who may have them.
//!
//! Owns one rule above all: a secret from anywhere is used only if it is the one that the signed
//! commit promised (`kc`, CRYPTO A4).

use std::rc::Rc;
use std::time::Duration;

use super::super::entry::StoredContent;
use super::super::event::{AlarmCause, ClientEvent, UnreadableCause};
use super::super::replica::Stored;
use super::Engine;
use super::agent_keys::{asking_agent, seal_agent_key};
use super::room::Task;
use crate::client::CommandError;
use crate::crypto::commit::RoomMode;
use crate::crypto::epoch::{EpochSecret, RoomKey};
use crate::crypto::message::{Message, MessageContext};
use crate::crypto::wrap::{GrantContext, WrapContext, open_grant, seal_grant, unwrap, wrap};
use crate::id::{AccountId, DeviceId, Epoch, RoomId, Seq};
use crate::log::EpochRecord;
use crate::wire::{DeviceGrant, EntryBody, KeyAnswer, Reply, Request};

/// Epochs in one request for keys.
const EPOCHS_ASKED_MAX: usize = 256;
/// Entries opened anew at a time when a key arrives.
const REOPEN_MAX: u32 = 128;
/// Who may answer waits up to this long, so that one of many does.
const ANSWER_PAUSE: Duration = Duration::from_secs(2);

impl Engine {
    /// Gets the secrets of a room that are missing here and that this account may have.
    pub(super) async fn fetch_keys(self: Rc<Self>, id: RoomId) {
        {
            let mut core = self.core.borrow_mut();
            let Some(room) = core.rooms.get_mut(&id) else { return };
            if room.facts.mode == RoomMode::Open {
                return;
            }
            if !room.begin(Task::Keys) {
                // What is told now may have come after the answers that are on their way.
                room.begin(Task::KeysAgain);
                return;
            }
        }
        loop {
            let gathered = if self.reads_only_what_is_shown(id) {
                self.gather_agent_key(id).await
            } else {
                self.gather_keys(id).await
            };
            if let Err(error) = gathered {
                tracing::debug!(room = id.short(), %error, "keys were not fetched");
            }
            let mut core = self.core.borrow_mut();
            let Some(room) = core.rooms.get_mut(&id) else { return };
            if !room.tasks.remove(&Task::KeysAgain) {
                room.end(Task::Keys);
                break;
            }
        }
        self.keys_changed(id);
    }

    async fn gather_keys(&self, id: RoomId) -> Result<(), CommandError> {
        let store = |error| super::storage(&error);
        let Some(from) = self.missing(id).map_err(store)?.first().copied() else { return Ok(()) };
        let Some(link) = self.link() else { return Ok(()) };
        let lost = |error| super::call_failed(&error);
        let reply = link.call(Request::Wraps { room: id, from }).await.map_err(lost)?;
        if let Reply::Wraps { wraps } = reply {
            for answer in wraps {
                self.take_key(id, &answer);
            }
        }
        self.open_boxes(id).map_err(store)?;
        if self.missing(id).map_err(store)?.is_empty() {
            return Ok(());
        }
        let reply = link.call(Request::Grants { room: id }).await.map_err(lost)?;
        if let Reply::Grants { grants } = reply {
            for (from, grant) in grants {
                self.take_grant(id, from, &grant);
            }
        }
        self.open_boxes(id).map_err(store)?;
        let missing = self.missing(id).map_err(store)?;
        let mut asking: Vec<Epoch> = Vec::new();
        if let Some(room) = self.core.borrow_mut().rooms.get_mut(&id) {
            asking.extend(missing.into_iter().filter(|epoch| room.asked.insert(*epoch)));
        }
        for epochs in asking.chunks(EPOCHS_ASKED_MAX) {
            let request = Request::AskKeys { room: id, epochs: epochs.to_vec() };
            if let Err(error) = link.call(request).await {
                if let Some(room) = self.core.borrow_mut().rooms.get_mut(&id) {
                    room.asked.retain(|epoch| !epochs.contains(epoch));
                }
                return Err(lost(error));
            }
        }
        Ok(())
    }

    /// Epochs whose secret is missing and that this account may have, rising.
    fn missing(&self, id: RoomId) -> Stored<Vec<Epoch>> {
        let core = self.core.borrow();
        let Some(room) = core.rooms.get(&id) else { return Ok(Vec::new()) };
        let Some(state) = &room.state else { return Ok(Vec::new()) };
        let kept = self.replica.epochs(id)?;
        // What was wiped with everything it opened stays wiped.
        let is_over = |epoch: Epoch| {
            state.epoch_end(epoch).is_some_and(|end| end <= room.expired_upto.next())
        };
        let is_missing = |epoch: &Epoch| {
            kept.binary_search(epoch).is_err()
                && room.may_have_key(self.account, *epoch)
                && !(room.expired_upto > Seq(0) && is_over(*epoch))
        };
        Ok(state.epochs().iter().map(|record| record.epoch).filter(is_missing).collect())
    }

    /// A wrap or an answer arrived.
    pub(super) fn take_key(&self, id: RoomId, answer: &KeyAnswer) {
        if self.reads_only_what_is_shown(id) {
            return self.take_agent_key(id, answer);
        }
        let Some(record) = self.epoch_record(id, answer.epoch) else { return };
        let context = WrapContext {
            commit_hash: record.commit_hash,
            account: self.account,
            device: self.device,
            hpke_gen: answer.hpke_gen,
        };
        let opened = {
            let identity = self.identity.borrow();
            let secret = identity.hpke_secret(answer.hpke_gen);
            secret.and_then(|secret| unwrap(secret, &context, &answer.sealed).ok())
        };
        match opened {
            Some(secret) if self.fits(&record, &secret) => self.keep_key(id, &record, &secret),
            _ => self.bad_key(id, answer.epoch),
        }
    }

    fn take_grant(&self, id: RoomId, from: AccountId, grant: &DeviceGrant) {
        let context = GrantContext {
            room: id,
            account: self.account,
            device: self.device,
            hpke_gen: grant.hpke_gen,
        };
        let opened = {
            let identity = self.identity.borrow();
            let secret = identity.hpke_secret(grant.hpke_gen);
            secret.and_then(|secret| open_grant(secret, &context, &grant.sealed).ok())
        };
        let secrets = opened.unwrap_or_default();
        let fit = secrets.iter().all(|(epoch, secret)| {
            self.epoch_record(id, *epoch).is_some_and(|record| self.fits(&record, secret))
        });
        if secrets.is_empty() || !fit {
            // One that does not fit spoils the grant: all of it is discarded.
            let handle = self.core.borrow().people.handle(from);
            let text = format!("older keys left by {handle} do not fit the room's history");
            self.alarm(Some(id), Some(from), AlarmCause::BadKey, text);
            return;
        }
        for (epoch, secret) in &secrets {
            if let Some(record) = self.epoch_record(id, *epoch) {
                self.keep_key(id, &record, secret);
            }
        }
    }

    fn epoch_record(&self, id: RoomId, epoch: Epoch) -> Option<EpochRecord> {
        let core = self.core.borrow();
        core.rooms.get(&id)?.state.as_ref()?.epoch_record(epoch).cloned()
    }

    #[expect(
        clippy::unused_self,
        reason = "reads as a question to the engine, like its neighbours"
    )]
    fn fits(&self, record: &EpochRecord, secret: &EpochSecret) -> bool {
        secret.matches(record.prev_commit, record.epoch, record.kc)
    }

    fn keep_key(&self, id: RoomId, record: &EpochRecord, secret: &EpochSecret) {
        if let Err(error) = self.replica.put_epoch_secret(id, record.epoch, secret) {
            self.storage_failed(&error);
            return;
        }
        if let Some(room) = self.core.borrow_mut().rooms.get_mut(&id) {
            room.asked.remove(&record.epoch);
            room.bad_keys.remove(&record.epoch);
        }
    }

    fn bad_key(&self, id: RoomId, epoch: Epoch) {
        let is_new = {
            let mut core = self.core.borrow_mut();
            let Some(room) = core.rooms.get_mut(&id) else { return };
            // Asked again of the others.
            room.asked.remove(&epoch);
            room.bad_keys.insert(epoch)
        };
        if is_new {
            let text = format!("a key for epoch {epoch} does not fit its commitment; asked again");
            self.alarm(Some(id), None, AlarmCause::BadKey, text);
        }
    }

    /// Opens the boxes with older secrets, as far back as they go.
    fn open_boxes(&self, id: RoomId) -> Stored<()> {
        let records: Vec<EpochRecord> = {
            let core = self.core.borrow();
            let state = core.rooms.get(&id).and_then(|room| room.state.as_ref());
            state.map(|state| state.epochs().to_vec()).unwrap_or_default()
        };
        for pair in records.windows(2).rev() {
            let [before, record] = pair else { continue };
            let Some(prev_box) = &record.prev_box else { continue };
            if self.replica.epoch_secret(id, before.epoch)?.is_some() {
                continue;
            }
            let Some(secret) = self.replica.epoch_secret(id, record.epoch)? else { continue };
            match secret.open_prev(record.prev_commit, record.epoch, prev_box) {
                Ok(older) if self.fits(before, &older) => self.keep_key(id, before, &older),
                _ => self.bad_key(id, before.epoch),
            }
        }
        Ok(())
    }

    /// Keys arrived: entries that waited for them are opened and told again.
    pub(super) fn keys_changed(self: &Rc<Self>, id: RoomId) {
        let opened = self.reopen(id).and_then(|()| {
            let mut core = self.core.borrow_mut();
            let Some(room) = core.rooms.get_mut(&id) else { return Ok(()) };
            room.refresh_settings(&self.replica)?;
            self.replica.put_room(id, &room.facts)
        });
        if let Err(error) = opened {
            self.storage_failed(&error);
        }
        self.tell_room(id);
        self.go_drain();
        self.wake();
    }

    fn reopen(&self, id: RoomId) -> Stored<()> {
        use UnreadableCause::{BeforeJoin, KeyAsked, KeyBad};
        for cause in [KeyAsked, KeyBad, BeforeJoin] {
            // Each round opens some; a round that opens none was the last.
            loop {
                let waiting = self.replica.unreadable(id, cause, REOPEN_MAX)?;
                let mut n_opened = 0;
                for seq in waiting {
                    n_opened += u32::from(self.reopen_entry(id, seq, cause)?);
                }
                if n_opened == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Tries one entry again; `true` if it says something else now.
    fn reopen_entry(&self, id: RoomId, seq: Seq, cause: UnreadableCause) -> Stored<bool> {
        let Some(mut entry) = self.replica.entries_before(id, seq.next(), 1)?.pop() else {
            return Ok(false);
        };
        let EntryBody::Whole(bytes) = &entry.body else { return Ok(false) };
        let Ok(message) = Message::decode(bytes) else { return Ok(false) };
        let mut borrowed = self.core.borrow_mut();
        let core = &mut *borrowed;
        let Some(room) = core.rooms.get_mut(&id) else { return Ok(false) };
        let record = room.state.as_ref().and_then(|s| s.epoch_record(message.header().epoch));
        let Some(commit_hash) = record.map(|record| record.commit_hash) else { return Ok(false) };
        let (account, device) = (entry.author, entry.device);
        let context = MessageContext { room: id, commit_hash, account, device };
        let identity = self.identity.borrow();
        let says = room.open(&self.replica, &identity, &message, &context, entry.seq)?;
        if says == StoredContent::Unreadable(cause) {
            return Ok(false);
        }
        let is_mention = account != self.account && says.mentions(&core.handle);
        let shown = self.replica.put_content(id, seq, &says, is_mention)?;
        entry.content = says;
        entry.is_mention = is_mention;
        let view = core.entry_view(id, &entry);
        drop(borrowed);
        self.tell(ClientEvent::Entry(Box::new(view)));
        self.emit_shown(id, &shown);
        Ok(true)
    }

    /// A device of a member lacks keys: answers, if it may have them (CRYPTO B3).
    pub(super) async fn answer_keys(
        self: Rc<Self>,
        id: RoomId,
        account: AccountId,
        device: DeviceId,
        epochs: Vec<Epoch>,
    ) {
        if device == self.device {
            return;
        }
        self.random_pause(ANSWER_PAUSE).await;
        if self.refresh_heads(&[account]).await.is_err() {
            return;
        }
        let answers = match self.wrap_answers(id, account, device, &epochs) {
            Ok(answers) => answers,
            Err(error) => return self.storage_failed(&error),
        };
        if answers.is_empty() {
            return;
        }
        let request = Request::AnswerKeys { room: id, account, device, answers };
        if let Err(error) = self.call(request).await {
            tracing::debug!(room = id.short(), %error, "keys were not answered");
        }
    }

    fn wrap_answers(
        &self,
        id: RoomId,
        account: AccountId,
        device: DeviceId,
        epochs: &[Epoch],
    ) -> Stored<Vec<KeyAnswer>> {
        let core = self.core.borrow();
        let Some(room) = core.rooms.get(&id) else { return Ok(Vec::new()) };
        let Some(state) = &room.state else { return Ok(Vec::new()) };
        let Some(chain) = core.people.chains.get(&account) else { return Ok(Vec::new()) };
        if let Some((target, record)) = asking_agent(state, chain, device, epochs) {
            let Some(secret) = self.replica.epoch_secret(id, record.epoch)? else {
                return Ok(Vec::new());
            };
            let room_key = RoomKey::derive(record.commit_hash, &secret);
            let signer = &self.identity.borrow().signing;
            let sealed = seal_agent_key(&room_key, record.commit_hash, &target, signer);
            let (epoch, hpke_gen) = (record.epoch, target.generation);
            return Ok(sealed
                .map(|sealed| KeyAnswer { epoch, hpke_gen, sealed })
                .into_iter()
                .collect());
        }
        let is_reader = state.member(account).is_some_and(|member| !member.is_mention_agent());
        let key = chain.hpke_at(device, chain.head().seq);
        let Some((key, hpke_gen)) = key.filter(|_| is_reader) else { return Ok(Vec::new()) };
        let mut answers = Vec::new();
        for epoch in epochs.iter().copied().filter(|epoch| room.may_have_key(account, *epoch)) {
            let Some(record) = state.epoch_record(epoch) else { continue };
            let Some(secret) = self.replica.epoch_secret(id, epoch)? else { continue };
            let commit_hash = record.commit_hash;
            let context = WrapContext { commit_hash, account, device, hpke_gen };
            if let Ok(sealed) = wrap(&mut rand::rng(), &key, &context, &secret) {
                answers.push(KeyAnswer { epoch, hpke_gen, sealed: sealed.to_vec() });
            }
        }
        Ok(answers)
    }

    /// Leaves older keys for a newcomer that no chain of boxes leads to.
    pub(super) async fn grant_history(
        &self,
        id: RoomId,
        account: AccountId,
    ) -> Result<(), CommandError> {
        let grants = self.seal_grants(id, account).map_err(|error| super::storage(&error))?;
        if !grants.is_empty() {
            self.call(Request::PutGrant { room: id, account, grants }).await?;
        }
        Ok(())
    }

    fn seal_grants(&self, id: RoomId, account: AccountId) -> Stored<Vec<DeviceGrant>> {
        let core = self.core.borrow();
        let Some(room) = core.rooms.get(&id) else { return Ok(Vec::new()) };
        let Some(state) = &room.state else { return Ok(Vec::new()) };
        let Some(chain) = core.people.chains.get(&account) else { return Ok(Vec::new()) };
        // Boxes lead back from the newest epoch to the first commit without one.
        let boxed = state.epochs().iter().rev().take_while(|record| record.prev_box.is_some());
        let n_reachable = boxed.count() + 1;
        let n_others = state.epochs().len().saturating_sub(n_reachable);
        let mut secrets = Vec::new();
        for record in state.epochs().iter().take(n_others) {
            if let Some(secret) = self.replica.epoch_secret(id, record.epoch)?
                && room.may_have_key(account, record.epoch)
            {
                secrets.push((record.epoch, secret));
            }
        }
        if secrets.is_empty() {
            return Ok(Vec::new());
        }
        let seq = chain.head().seq;
        let mut grants = Vec::new();
        for device in chain.devices_at(seq) {
            let Some(key) = device.hpke_at(seq) else { continue };
            let (device, hpke_gen) = (device.id(), key.generation);
            let context = GrantContext { room: id, account, device, hpke_gen };
            if let Ok(sealed) = seal_grant(&mut rand::rng(), &key.key, &context, &secrets) {
                grants.push(DeviceGrant { device, hpke_gen, sealed });
            }
        }
        Ok(grants)
    }
}
