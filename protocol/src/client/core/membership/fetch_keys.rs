//! Getting the epoch secrets that are missing: what another process stored, wraps, boxes, grants,
//! and in the end by asking the other members.

use std::collections::VecDeque;
use std::task::{Poll, ready};

use super::super::context::Context;
use super::super::io::{CallId, Found, Query, ReadId};
use super::super::rooms::keys::fits;
use super::super::server_call::call_failed;
use super::super::signal::Signal;
use super::super::state::State;
use super::super::work::Step;
use crate::client::CommandError;
use crate::client::event::AlarmCause;
use crate::client::replica::Write;
use crate::crypto::commit::RoomMode;
use crate::crypto::epoch::EpochSecret;
use crate::crypto::wrap::{GrantContext, WrapContext, open_grant, unwrap};
use crate::id::{AccountId, Epoch, RoomId};
use crate::log::EpochRecord;
use crate::wire::{DeviceGrant, KeyAnswer, Reply, Request};

/// Epochs in one request for keys.
const EPOCHS_ASKED_MAX: usize = 256;

/// Gets the keys of a room that are missing here and that this account may have.
#[derive(Debug)]
pub(in super::super) struct FetchKeys {
    room: RoomId,
    /// Epochs that were marked as asked for and not sent yet.
    asking: VecDeque<Vec<Epoch>>,
    stage: KeyStage,
}

#[derive(Debug)]
enum KeyStage {
    Begin,
    /// What another process of this device stored.
    Reading(ReadId),
    Wraps(CallId),
    Grants(CallId),
    AskNext,
    Asking(CallId, Vec<Epoch>),
}

impl FetchKeys {
    /// Gets the keys of this room.
    pub(in super::super) fn of(room: RoomId) -> Self {
        Self { room, asking: VecDeque::new(), stage: KeyStage::Begin }
    }

    fn go(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Result<(), CommandError>> {
        let id = self.room;
        let is_agent =
            state.rooms.all.get(&id).is_some_and(|room| room.is_mention_agent(state.account.id));
        loop {
            match &mut self.stage {
                KeyStage::Begin => {
                    if state.missing_keys(id).is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    self.stage = KeyStage::Reading(cx.read(Query::Secrets(id)));
                }
                KeyStage::Reading(read) => {
                    if let Ok(Found::Secrets(secrets)) = ready!(cx.found(*read))
                        && let Ok(room) = state.rooms.get_mut(id)
                    {
                        for (epoch, secret) in secrets {
                            room.keys.keep(epoch, secret);
                        }
                    }
                    let missing = state.missing_keys(id);
                    let Some(from) = missing.first().copied() else {
                        return Poll::Ready(Ok(()));
                    };
                    if !cx.is_online() {
                        return Poll::Ready(Ok(()));
                    }
                    self.stage = KeyStage::Wraps(cx.call(Request::Wraps { room: id, from }));
                }
                KeyStage::Wraps(call) => {
                    let reply = ready!(cx.reply(*call)).map_err(|error| call_failed(&error))?;
                    if let Reply::Wraps { wraps } = reply {
                        for answer in wraps {
                            state.accept_key(id, &answer, cx);
                        }
                    }
                    state.open_boxes(id, cx);
                    if state.missing_keys(id).is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    if is_agent {
                        // Nobody leaves grants for who reads only what is shown.
                        self.mark_asked(state);
                        self.stage = KeyStage::AskNext;
                    } else {
                        self.stage = KeyStage::Grants(cx.call(Request::Grants { room: id }));
                    }
                }
                KeyStage::Grants(call) => {
                    let reply = ready!(cx.reply(*call)).map_err(|error| call_failed(&error))?;
                    if let Reply::Grants { grants } = reply {
                        for (from, grant) in grants {
                            state.accept_grant(id, from, &grant, cx);
                        }
                    }
                    state.open_boxes(id, cx);
                    self.mark_asked(state);
                    self.stage = KeyStage::AskNext;
                }
                KeyStage::AskNext => {
                    let Some(epochs) = self.asking.pop_front() else {
                        return Poll::Ready(Ok(()));
                    };
                    let request = Request::AskKeys { room: id, epochs: epochs.clone() };
                    self.stage = KeyStage::Asking(cx.call(request), epochs);
                }
                KeyStage::Asking(call, epochs) => {
                    if let Err(error) = ready!(cx.reply(*call)) {
                        let rest = self.asking.drain(..).flatten();
                        let unasked: Vec<Epoch> = epochs.drain(..).chain(rest).collect();
                        if let Ok(room) = state.rooms.get_mut(id) {
                            room.keys.asked.retain(|epoch| !unasked.contains(epoch));
                        }
                        return Poll::Ready(Err(call_failed(&error)));
                    }
                    self.stage = KeyStage::AskNext;
                }
            }
        }
    }

    /// Marks what is still missing as asked for, each epoch once.
    fn mark_asked(&mut self, state: &mut State) {
        let missing = state.missing_keys(self.room);
        let Ok(room) = state.rooms.get_mut(self.room) else { return };
        let new: Vec<Epoch> =
            missing.into_iter().filter(|epoch| room.keys.asked.insert(*epoch)).collect();
        self.asking = new.chunks(EPOCHS_ASKED_MAX).map(<[_]>::to_vec).collect();
    }
}

impl Step for FetchKeys {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let id = self.room;
        let Some(room) = state.rooms.all.get_mut(&id) else { return Poll::Ready(()) };
        if room.facts.mode == RoomMode::Open {
            return Poll::Ready(());
        }
        room.is_fetching_keys = true;
        let fetched = ready!(self.go(state, cx));
        if let Err(error) = fetched {
            tracing::debug!(room = id.short(), %error, "keys were not fetched");
        }
        if let Some(room) = state.rooms.all.get_mut(&id) {
            room.is_fetching_keys = false;
            if room.keys.take_new() {
                cx.signal(Signal::KeysChanged(id));
            }
        }
        Poll::Ready(())
    }
}

impl State {
    /// Epochs whose key is missing here and that this account may have, rising.
    fn missing_keys(&self, id: RoomId) -> Vec<Epoch> {
        let Some(room) = self.rooms.all.get(&id) else { return Vec::new() };
        let Some(state) = &room.state else { return Vec::new() };
        if room.is_mention_agent(self.account.id) {
            // An agent that reads only what is shown needs its own sender key, to write.
            let epoch = state.epoch().epoch;
            return if room.keys.has_agent_key(epoch) { Vec::new() } else { vec![epoch] };
        }
        room.keys.missing(state, self.account.id, room.expired_upto)
    }

    fn epoch_record(&self, id: RoomId, epoch: Epoch) -> Option<EpochRecord> {
        let room = self.rooms.all.get(&id)?;
        room.state.as_ref()?.epoch_record(epoch).cloned()
    }

    /// A wrap or an answer arrived.
    pub(in super::super) fn accept_key(
        &mut self,
        id: RoomId,
        answer: &KeyAnswer,
        cx: &mut Context<'_>,
    ) {
        let Some(room) = self.rooms.all.get(&id) else { return };
        if room.is_mention_agent(self.account.id) {
            return self.accept_agent_key(id, answer, cx);
        }
        let Some(record) = self.epoch_record(id, answer.epoch) else { return };
        let context = WrapContext {
            commit_hash: record.commit_hash,
            account: self.account.id,
            device: self.account.device,
            hpke_gen: answer.hpke_gen,
        };
        let secret = self.account.identity.hpke_secret(answer.hpke_gen);
        let opened = secret.and_then(|secret| unwrap(secret, &context, &answer.sealed).ok());
        match opened {
            Some(secret) if fits(&record, &secret) => self.keep_key(id, record.epoch, secret, cx),
            _ => self.bad_key(id, answer.epoch, cx),
        }
    }

    fn accept_grant(
        &mut self,
        id: RoomId,
        from: AccountId,
        grant: &DeviceGrant,
        cx: &mut Context<'_>,
    ) {
        let context = GrantContext {
            room: id,
            account: self.account.id,
            device: self.account.device,
            hpke_gen: grant.hpke_gen,
        };
        let secret = self.account.identity.hpke_secret(grant.hpke_gen);
        let opened = secret.and_then(|secret| open_grant(secret, &context, &grant.sealed).ok());
        let secrets = opened.unwrap_or_default();
        let does_fit = secrets.iter().all(|(epoch, secret)| {
            self.epoch_record(id, *epoch).is_some_and(|record| fits(&record, secret))
        });
        if secrets.is_empty() || !does_fit {
            // One that does not fit spoils the grant: all of it is discarded.
            let handle = self.identities.handle(from);
            let text = format!("older keys left by {handle} do not fit the room's history");
            cx.alarm(Some(id), Some(from), AlarmCause::BadKey, text);
            return;
        }
        for (epoch, secret) in secrets {
            self.keep_key(id, epoch, secret, cx);
        }
    }

    fn keep_key(&mut self, id: RoomId, epoch: Epoch, secret: EpochSecret, cx: &mut Context<'_>) {
        let Ok(room) = self.rooms.get_mut(id) else { return };
        let copy = secret.duplicate();
        cx.write(vec![Write::EpochSecret { room: id, epoch, secret: copy }]);
        room.keys.keep(epoch, secret);
    }

    fn bad_key(&mut self, id: RoomId, epoch: Epoch, cx: &mut Context<'_>) {
        let Ok(room) = self.rooms.get_mut(id) else { return };
        // Asked again of the others.
        room.keys.asked.remove(&epoch);
        if room.keys.bad.insert(epoch) {
            let text = format!("a key for epoch {epoch} does not fit its commitment; asked again");
            cx.alarm(Some(id), None, AlarmCause::BadKey, text);
        }
    }

    /// Opens the boxes with older secrets, as far back as they go.
    fn open_boxes(&mut self, id: RoomId, cx: &mut Context<'_>) {
        let Ok(room) = self.rooms.get_mut(id) else { return };
        let Some(state) = &room.state else { return };
        let (found, bad) = room.keys.open_boxes(state);
        for (epoch, secret) in found {
            cx.write(vec![Write::EpochSecret { room: id, epoch, secret }]);
        }
        for epoch in bad {
            self.bad_key(id, epoch, cx);
        }
    }
}
