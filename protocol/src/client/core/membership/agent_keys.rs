//! Sender keys of agents that write but read only what is shown to them (CRYPTO B6).
//!
//! Owns both ends: members' devices make and sign them, with each commit that needs one and when the
//! agent asks; the agent accepts them, from whichever member's device signed. Nothing commits to such
//! a key, so nothing but the signature is believed.

use rand::CryptoRng;

use super::super::account::Account;
use super::super::context::Context;
use super::super::identities::Identities;
use super::super::state::State;
use crate::client::CommandError;
use crate::client::replica::Write;
use crate::crypto::commit::{Commit, Member};
use crate::crypto::epoch::{EpochSecret, RoomKey, SenderKey};
use crate::crypto::identity::{BadWrap, SigningKey, VerifyKey};
use crate::crypto::user_chain::UserChain;
use crate::crypto::wrap::{AgentPlace, AgentWrap};
use crate::id::{DeviceId, Epoch, Hash, RoomId, Seq, TimeMs};
use crate::log::{Chains, EpochRecord, RoomState, WrapTarget, agents_to_key};
use crate::wire::{KeyAnswer, Wrap};

impl State {
    /// A sender key arrived for this agent.
    pub(super) fn accept_agent_key(
        &mut self,
        id: RoomId,
        answer: &KeyAnswer,
        cx: &mut Context<'_>,
    ) {
        let Self { account, identities, rooms, .. } = self;
        let Some(room) = rooms.all.get_mut(&id) else { return };
        let Some(state) = &room.state else { return };
        let Some(record) = state.epoch_record(answer.epoch) else { return };
        let Ok(wrap) = AgentWrap::decode(&answer.sealed) else { return };
        let signer = signer_key(state, &identities.chains, wrap.signer);
        let place = AgentPlace { commit_hash: record.commit_hash, device: account.device };
        let secret = account.identity.hpke_secret(answer.hpke_gen);
        let opened =
            signer.zip(secret).and_then(|(key, secret)| wrap.open(secret, place, &key).ok());
        let Some(key) = opened else {
            tracing::warn!(room = id.short(), epoch = %answer.epoch, "an agent key does not open");
            return;
        };
        let epoch = answer.epoch;
        cx.write(vec![Write::AgentKey { room: id, epoch, key: key.duplicate() }]);
        room.keys.keep_agent_key(epoch, key);
    }
}

/// Makes the sender keys that agents need after a commit: of a new epoch all, else of newcomers.
pub(super) fn seal_agent_wraps(
    (account, identities): (&Account, &Identities),
    before: Option<&RoomState>,
    commit: &Commit,
    (starts_epoch, secret, commit_hash): (bool, &EpochSecret, Hash),
    cx: &mut Context<'_>,
) -> Result<Vec<Wrap>, CommandError> {
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
    let targets = agents_to_key(&after, &identities.chains).map_err(|error| refused(&error))?;
    let is_needed = |target: &&WrapTarget| {
        starts_epoch || before.is_none_or(|state| !state.is_member(target.account))
    };
    let room_key = RoomKey::derive(commit_hash, secret);
    let mut wraps = Vec::new();
    for target in targets.iter().filter(is_needed) {
        let signer = &account.identity.signing;
        let sealed = seal_agent_key(cx.rng, &room_key, commit_hash, (target, signer))
            .map_err(|error| refused(&error))?;
        let (account, device, hpke_gen) = (target.account, target.device, target.generation);
        wraps.push(Wrap { account, device, hpke_gen, sealed });
    }
    Ok(wraps)
}

/// Seals an agent's sender key to its device, signed by this one.
pub(super) fn seal_agent_key<R: CryptoRng>(
    rng: &mut R,
    room_key: &RoomKey,
    commit_hash: Hash,
    (target, signer): (&WrapTarget, &SigningKey),
) -> Result<Vec<u8>, BadWrap> {
    let sender_key = SenderKey::derive(room_key, target.account, target.device);
    let place = AgentPlace { commit_hash, device: target.device };
    Ok(AgentWrap::seal(rng, &target.key, place, &sender_key, signer)?.encode())
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
    chain: &UserChain,
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
