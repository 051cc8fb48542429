//! Sealing messages with what the core knows of a room now.
//!
//! Owns the draft of a message: epoch, position seen, counter. The shell calls it inside the one
//! transaction of the replica that makes bytes and counter durable (CRYPTO B4).

use std::fmt;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::super::context::Context;
use super::super::rooms::OneRoom;
use super::super::state::State;
use crate::client::CommandError;
use crate::client::identity::Identity;
use crate::client::record::{DeviceLane, OutboxRow, SealedMessage};
use crate::crypto::commit::{Member, RoomMode};
use crate::crypto::content::Content;
use crate::crypto::epoch::SenderKey;
use crate::crypto::message::{
    MessageContext, MessageDraft, Placement, SealWith, SlotReader, prev_own, seal_message,
};
use crate::crypto::user_chain::{Device, UserChain};
use crate::id::{AccountId, Epoch, RoomId, TimeMs};
use crate::limits::SLOTS_MAX;
use crate::log::{LogHash, must_rotate};

/// What messages of a room are sealed with, taken once for a batch.
pub struct SealingRoom {
    context: MessageContext,
    epoch: Epoch,
    seen: LogHash,
    /// `None` in open rooms.
    key: Option<SenderKey>,
    /// The devices of each agent that is in the room.
    agents: Vec<(AccountId, Vec<SlotReader>)>,
    identity: Arc<Identity>,
    time: TimeMs,
    randomness: [u8; 32],
}

impl fmt::Debug for SealingRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingRoom").field("room", &self.context.room).finish_non_exhaustive()
    }
}

impl SealingRoom {
    /// The randomness of one batch: the same for the same order, so that a run can be repeated.
    pub fn rng(&self) -> StdRng {
        StdRng::from_seed(self.randomness)
    }

    /// Seals one row of the outbox behind `lane`; `None` if it cannot be sealed.
    pub fn seal_row(
        &self,
        rng: &mut StdRng,
        lane: &DeviceLane,
        row: &OutboxRow,
    ) -> Option<SealedMessage> {
        let (counter, prev) = (lane.last.next(), lane.prev_own);
        let placement = Placement::Live { counter, prev_own: prev };
        let entry = self.seal(rng, placement, &row.content).ok()?;
        let prev_own = prev_own(&entry);
        Some(SealedMessage { entry, lane: DeviceLane { last: counter, prev_own } })
    }

    /// Seals a message with any placement; what is for an agent also to that agent's devices.
    ///
    /// # Errors
    ///
    /// [`CommandError::Invalid`] if the content does not fit a message. Retrying does not help.
    pub(in super::super) fn seal(
        &self,
        rng: &mut StdRng,
        placement: Placement,
        content: &Content,
    ) -> Result<Vec<u8>, CommandError> {
        let reader = content.reader().filter(|_| self.key.is_some());
        let agents = reader.and_then(|agent| self.agents.iter().find(|(of, _)| *of == agent));
        let draft = MessageDraft {
            flags: content.flags(),
            epoch: self.epoch,
            placement,
            seen_seq: self.seen.seq(),
            seen_hash: self.seen.hash(),
            time: self.time,
            plaintext: content.encode(),
            agents: agents.map(|(_, readers)| readers.clone()).unwrap_or_default(),
        };
        let seal_with = self.key.as_ref().map_or(SealWith::Open, SealWith::SenderKey);
        seal_message(rng, &self.context, seal_with, &draft, &self.identity.signing)
            .map_err(|error| CommandError::Invalid(error.to_string()))
    }
}

impl State {
    /// What is needed to seal in a room now; `None` while its key is missing.
    pub(in super::super) fn sealing(
        &mut self,
        id: RoomId,
        cx: &mut Context<'_>,
    ) -> Option<SealingRoom> {
        let Self { account, identities, rooms, .. } = self;
        let room = rooms.all.get_mut(&id)?;
        let agents = slot_readers(room, &identities.chains);
        let state = room.state.as_ref()?;
        let record = state.epoch();
        let (epoch, commit_hash) = (record.epoch, record.commit_hash);
        let device = account.device;
        let (context, key) = if state.mode() == RoomMode::Open {
            (MessageContext::open_room(id, account.id, device), None)
        } else {
            let key = room.keys.sender_key(state, epoch, (account.id, device))?;
            let context = MessageContext { room: id, commit_hash, account: account.id, device };
            (context, Some(key.duplicate()))
        };
        let (seen, time) = (room.applied, cx.now.time);
        let randomness = cx.rng.random();
        let identity = Arc::clone(&account.identity);
        Some(SealingRoom { context, epoch, seen, key, agents, identity, time, randomness })
    }

    /// Whether somebody must rotate before anything is sealed in a room (CRYPTO B3).
    pub(in super::super) fn needs_rotation(&self, id: RoomId, now: TimeMs) -> bool {
        let Some(room) = self.rooms.all.get(&id) else { return false };
        let Some(state) = &room.state else { return false };
        must_rotate(state, &self.identities.chains, now, room.n_messages).is_some()
    }
}

/// The devices of the agents in a room that read only what is sealed to them.
fn slot_readers(
    room: &OneRoom,
    chains: &std::collections::HashMap<AccountId, UserChain>,
) -> Vec<(AccountId, Vec<SlotReader>)> {
    let members = room.state.iter().flat_map(crate::log::RoomState::members);
    let agents = members.filter(|member| member.role == crate::crypto::commit::Role::Agent);
    let readers = |member: &Member| {
        let chain = chains.get(&member.account)?;
        let seq = chain.head().seq;
        let reader = |device: &Device| {
            Some(SlotReader { device: device.id(), key: device.hpke_at(seq)?.key })
        };
        let readers = chain.devices_at(seq).filter_map(reader).take(SLOTS_MAX).collect();
        Some((member.account, readers))
    };
    agents.filter_map(readers).collect()
}
