//! Giving epoch secrets to who may have them: answers to devices that ask, grants to newcomers.

use std::task::{Poll, ready};
use std::time::Duration;

use rand::RngExt as _;

use super::super::context::Context;
use super::super::identities::fetch::RefreshHeads;
use super::super::rooms::keys::may_have_key;
use super::super::server_call::ServerCall;
use super::super::state::State;
use super::super::work::Step;
use super::agent_keys::{asking_agent, seal_agent_key};
use crate::crypto::epoch::{EpochSecret, RoomKey};
use crate::crypto::wrap::{GrantContext, WrapContext, seal_grant, wrap};
use crate::id::{AccountId, DeviceId, Epoch, RoomId};
use crate::wire::{DeviceGrant, KeyAnswer, Request};

/// Who may answer waits up to this long, so that one of many does.
const ANSWER_PAUSE: Duration = Duration::from_secs(2);

/// A device of a member lacks keys: answers, if it may have them (CRYPTO B3).
#[derive(Debug)]
pub(in super::super) struct AnswerKeys {
    room: RoomId,
    account: AccountId,
    device: DeviceId,
    epochs: Vec<Epoch>,
    stage: AnswerStage,
}

#[derive(Debug)]
enum AnswerStage {
    Begin,
    Pausing(Duration),
    Refreshing(RefreshHeads),
    Sending(ServerCall),
}

impl AnswerKeys {
    /// Answers this device.
    pub(in super::super) fn new(
        room: RoomId,
        account: AccountId,
        device: DeviceId,
        epochs: Vec<Epoch>,
    ) -> Self {
        Self { room, account, device, epochs, stage: AnswerStage::Begin }
    }

    fn answers(&self, state: &State, cx: &mut Context<'_>) -> Option<Vec<KeyAnswer>> {
        let room = state.rooms.all.get(&self.room)?;
        let room_state = room.state.as_ref()?;
        let chain = state.identities.chains.get(&self.account)?;
        let (account, device) = (self.account, self.device);
        if let Some((target, record)) = asking_agent(room_state, chain, device, &self.epochs) {
            let room_key = RoomKey::derive(record.commit_hash, room.keys.secret(record.epoch)?);
            let signer = &state.account.identity.signing;
            let commit_hash = record.commit_hash;
            let sealed = seal_agent_key(cx.rng, &room_key, commit_hash, (&target, signer)).ok()?;
            let (epoch, hpke_gen) = (record.epoch, target.generation);
            return Some(vec![KeyAnswer { epoch, hpke_gen, sealed }]);
        }
        let is_reader = room.member(account).is_some_and(|member| !member.is_mention_agent());
        let (key, hpke_gen) = chain.hpke_at(device, chain.head().seq).filter(|_| is_reader)?;
        let may_have = |epoch: &Epoch| may_have_key(room_state, account, *epoch);
        let mut answers = Vec::new();
        for epoch in self.epochs.iter().copied().filter(may_have) {
            let Some(record) = room_state.epoch_record(epoch) else { continue };
            let Some(secret) = room.keys.secret(epoch) else { continue };
            let commit_hash = record.commit_hash;
            let context = WrapContext { commit_hash, account, device, hpke_gen };
            if let Ok(sealed) = wrap(cx.rng, &key, &context, secret) {
                answers.push(KeyAnswer { epoch, hpke_gen, sealed: sealed.to_vec() });
            }
        }
        Some(answers)
    }
}

impl Step for AnswerKeys {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.stage {
                AnswerStage::Begin => {
                    if self.device == state.account.device {
                        return Poll::Ready(());
                    }
                    let pause = ANSWER_PAUSE.mul_f64(cx.rng.random::<f64>());
                    self.stage = AnswerStage::Pausing(cx.after(pause));
                }
                AnswerStage::Pausing(until) => {
                    if !cx.is_due(*until) {
                        return Poll::Pending;
                    }
                    self.stage = AnswerStage::Refreshing(RefreshHeads::of(&[self.account]));
                }
                AnswerStage::Refreshing(refresh) => {
                    let State { account, identities, .. } = &mut *state;
                    if ready!(refresh.poll(account, identities, cx)).is_err() {
                        return Poll::Ready(());
                    }
                    let answers = self.answers(state, cx).unwrap_or_default();
                    if answers.is_empty() {
                        return Poll::Ready(());
                    }
                    let (room, account, device) = (self.room, self.account, self.device);
                    let request = Request::AnswerKeys { room, account, device, answers };
                    self.stage = AnswerStage::Sending(ServerCall::new(request));
                }
                AnswerStage::Sending(call) => {
                    if let Err(error) = ready!(call.poll(&state.account, cx)) {
                        let room = self.room.short();
                        tracing::debug!(room, ?error, "keys were not answered");
                    }
                    return Poll::Ready(());
                }
            }
        }
    }
}

/// Older keys for a newcomer that no chain of boxes leads to.
pub(super) fn seal_grants(
    id: RoomId,
    account: AccountId,
    state: &State,
    cx: &mut Context<'_>,
) -> Vec<DeviceGrant> {
    let Ok((room, room_state)) = state.rooms.opened(id) else { return Vec::new() };
    let Some(chain) = state.identities.chains.get(&account) else { return Vec::new() };
    // Boxes lead back from the newest epoch to the first commit without one.
    let epochs = room_state.epochs();
    let n_boxed = epochs.iter().rev().take_while(|record| record.prev_box.is_some()).count();
    let n_others = epochs.len().saturating_sub(n_boxed + 1);
    let secrets: Vec<(Epoch, EpochSecret)> = epochs
        .iter()
        .take(n_others)
        .filter(|record| may_have_key(room_state, account, record.epoch))
        .filter_map(|record| Some((record.epoch, room.keys.secret(record.epoch)?.duplicate())))
        .collect();
    if secrets.is_empty() {
        return Vec::new();
    }
    let seq = chain.head().seq;
    let mut grants = Vec::new();
    for device in chain.devices_at(seq) {
        let Some(key) = device.hpke_at(seq) else { continue };
        let (device, hpke_gen) = (device.id(), key.generation);
        let context = GrantContext { room: id, account, device, hpke_gen };
        if let Ok(sealed) = seal_grant(cx.rng, &key.key, &context, &secrets) {
            grants.push(DeviceGrant { device, hpke_gen, sealed });
        }
    }
    grants
}
