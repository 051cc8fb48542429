//! Sender keys of agents that write but read only what is shown to them (CRYPTO B6).
//!
//! Owns both ends: members' devices make and sign them, with each commit that needs one and when the
//! agent asks; the agent takes them, from whichever member's device signed. Nothing commits to such a
//! key, so nothing but the signature is believed.

use std::rc::Rc;

use super::super::replica::Stored;
use super::{Engine, storage};
use crate::client::CommandError;
use crate::crypto::commit::{Commit, Member, RoomMode};
use crate::crypto::epoch::{EpochSecret, RoomKey, SenderKey};
use crate::crypto::identity::{SigningKey, VerifyKey};
use crate::crypto::wrap::{AgentPlace, AgentWrap};
use crate::id::{DeviceId, Epoch, Hash, RoomId, Seq, TimeMs};
use crate::log::{Chains, EpochRecord, RoomState, WrapTarget, agents_to_key};
use crate::wire::{KeyAnswer, Reply, Request, Wrap};

impl Engine {
    /// Whether this account is an agent here that reads only what is shown to it.
    pub(super) fn reads_only_what_is_shown(&self, id: RoomId) -> bool {
        let core = self.core.borrow();
        let state = core.rooms.get(&id).and_then(|room| room.state.as_ref());
        state.is_some_and(|state| {
            let own = state.member(self.account);
            state.mode() == RoomMode::E2ee && own.is_some_and(Member::is_mention_agent)
        })
    }

    /// Gets the own sender key of the present epoch: what came with the commit, or by asking.
    pub(super) async fn gather_agent_key(self: &Rc<Self>, id: RoomId) -> Result<(), CommandError> {
        let Some(epoch) = self.lacks_agent_key(id).map_err(|error| storage(&error))? else {
            return Ok(());
        };
        let Some(link) = self.link() else { return Ok(()) };
        let lost = |error| super::call_failed(&error);
        let reply = link.call(Request::Wraps { room: id, from: epoch }).await.map_err(lost)?;
        if let Reply::Wraps { wraps } = reply {
            for answer in wraps {
                self.take_agent_key(id, &answer);
            }
        }
        if self.lacks_agent_key(id).map_err(|error| storage(&error))?.is_none() {
            return Ok(());
        }
        let is_new = {
            let mut core = self.core.borrow_mut();
            core.rooms.get_mut(&id).is_some_and(|room| room.asked.insert(epoch))
        };
        if !is_new {
            return Ok(());
        }
        let asked = link.call(Request::AskKeys { room: id, epochs: vec![epoch] }).await;
        if let Err(error) = asked {
            if let Some(room) = self.core.borrow_mut().rooms.get_mut(&id) {
                room.asked.remove(&epoch);
            }
            return Err(lost(error));
        }
        Ok(())
    }

    /// The present epoch, if its own sender key is missing.
    fn lacks_agent_key(&self, id: RoomId) -> Stored<Option<Epoch>> {
        let core = self.core.borrow();
        let state = core.rooms.get(&id).and_then(|room| room.state.as_ref());
        let Some(epoch) = state.map(|state| state.epoch().epoch) else { return Ok(None) };
        Ok(self.replica.agent_key(id, epoch)?.is_none().then_some(epoch))
    }

    /// A sender key arrived for this agent.
    pub(super) fn take_agent_key(&self, id: RoomId, answer: &KeyAnswer) {
        let opened = {
            let core = self.core.borrow();
            let state = core.rooms.get(&id).and_then(|room| room.state.as_ref());
            let Some(record) = state.and_then(|state| state.epoch_record(answer.epoch)) else {
                return;
            };
            let Ok(wrap) = AgentWrap::decode(&answer.sealed) else { return };
            let signer =
                state.and_then(|state| signer_key(state, &core.people.chains, wrap.signer));
            let place = AgentPlace { commit_hash: record.commit_hash, device: self.device };
            let identity = self.identity.borrow();
            let secret = identity.hpke_secret(answer.hpke_gen);
            signer.zip(secret).and_then(|(key, secret)| wrap.open(secret, place, &key).ok())
        };
        let Some(key) = opened else {
            tracing::warn!(room = id.short(), epoch = %answer.epoch, "an agent key does not open");
            return;
        };
        if let Err(error) = self.replica.put_agent_key(id, answer.epoch, &key) {
            return self.storage_failed(&error);
        }
        if let Some(room) = self.core.borrow_mut().rooms.get_mut(&id) {
            room.asked.remove(&answer.epoch);
            room.forget_senders(answer.epoch);
        }
    }

    /// Makes the sender keys that agents need after a commit: of a new epoch all, else of newcomers.
    pub(super) fn seal_agent_wraps(
        &self,
        before: Option<&RoomState>,
        commit: &Commit,
        starts_epoch: bool,
        secret: &EpochSecret,
        commit_hash: Hash,
    ) -> Result<Vec<Wrap>, CommandError> {
        let core = self.core.borrow();
        let after = match before {
            Some(state) => {
                let mut after = state.clone();
                after.apply(Seq(state.head_seq().0 + 1), TimeMs(0), commit);
                Some(after)
            }
            None => RoomState::create(commit, TimeMs(0)),
        };
        let Some(after) = after else { return Ok(Vec::new()) };
        let refused = |error: &dyn std::fmt::Display| CommandError::Refused(error.to_string());
        let targets =
            agents_to_key(&after, &core.people.chains).map_err(|error| refused(&error))?;
        let is_needed = |target: &&WrapTarget| {
            starts_epoch || before.is_none_or(|state| !state.is_member(target.account))
        };
        let signer = &self.identity.borrow().signing;
        let room_key = RoomKey::derive(commit_hash, secret);
        let mut wraps = Vec::new();
        for target in targets.iter().filter(is_needed) {
            let sealed = seal_agent_key(&room_key, commit_hash, target, signer)
                .map_err(|error| refused(&error))?;
            let (account, device, hpke_gen) = (target.account, target.device, target.generation);
            wraps.push(Wrap { account, device, hpke_gen, sealed });
        }
        Ok(wraps)
    }
}

/// Seals an agent's sender key to its device, signed by this one.
pub(super) fn seal_agent_key(
    room_key: &RoomKey,
    commit_hash: Hash,
    target: &WrapTarget,
    signer: &SigningKey,
) -> Result<Vec<u8>, crate::crypto::identity::BadWrap> {
    let sender_key = SenderKey::derive(room_key, target.account, target.device);
    let place = AgentPlace { commit_hash, device: target.device };
    let wrap = AgentWrap::seal(&mut rand::rng(), &target.key, place, &sender_key, signer)?;
    Ok(wrap.encode())
}

/// The key of a member's device that may have made an agent key: a person's, not revoked.
fn signer_key(state: &RoomState, chains: &impl Chains, signer: DeviceId) -> Option<VerifyKey> {
    let people = state.members().filter(|member| !member.is_mention_agent());
    let mut chains = people.filter_map(|member| chains.chain(member.account));
    chains.find_map(|chain| {
        let device = chain.device(signer).filter(|_| chain.is_active(signer))?;
        Some(device.record.key)
    })
}

/// The wrap target of an agent's device that asked for the present epoch; `None` if it may not.
pub(super) fn asking_agent(
    state: &RoomState,
    chain: &crate::crypto::user_chain::UserChain,
    device: DeviceId,
    epochs: &[Epoch],
) -> Option<(WrapTarget, EpochRecord)> {
    let account = chain.account();
    let record = state.epoch();
    let is_agent = state.member(account).is_some_and(Member::is_mention_agent);
    if !is_agent || !epochs.contains(&record.epoch) {
        return None;
    }
    let (key, generation) = chain.hpke_at(device, chain.head().seq)?;
    Some((WrapTarget { account, device, key, generation }, record.clone()))
}
