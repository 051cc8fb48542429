//! Sealing texts with what the engine knows of a room now.
//!
//! Owns the draft of a message: epoch, position seen, counter. The replica calls it inside the one
//! transaction that makes bytes and counter durable (CRYPTO B4).

use super::super::record::{DeviceLane, OutboxRow, SealedMessage};
use super::super::replica::Stored;
use super::{Engine, storage};
use crate::client::CommandError;
use crate::crypto::commit::RoomMode;
use crate::crypto::content::Content;
use crate::crypto::message::{
    MessageContext, MessageDraft, Placement, SealWith, SlotReader, prev_own, seal_message,
};
use crate::crypto::user_chain::Device;
use crate::id::{AccountId, Epoch, Hash, RoomId};
use crate::limits::SLOTS_MAX;
use crate::log::must_rotate;

/// What a message is sealed with, taken once for a batch.
pub(super) struct SealingRoom {
    context: MessageContext,
    epoch: Epoch,
    seen: crate::log::LogHash,
    key: Option<crate::crypto::epoch::SenderKey>,
}

impl Engine {
    /// What is needed to seal in a room now; `None` while its key is missing.
    pub(super) fn sealing(&self, id: RoomId) -> Stored<Option<SealingRoom>> {
        let mut core = self.core.borrow_mut();
        let Some(room) = core.rooms.get_mut(&id) else { return Ok(None) };
        let Some(state) = &room.state else { return Ok(None) };
        let record = state.epoch();
        let (epoch, commit_hash) = (record.epoch, record.commit_hash);
        let (account, device) = (self.account, self.device);
        let is_open = state.mode() == RoomMode::Open;
        let context = if is_open {
            MessageContext::open_room(id, account, device)
        } else {
            MessageContext { room: id, commit_hash, account, device }
        };
        let seen = room.applied;
        let key = if is_open {
            None
        } else {
            match room.sender_key(&self.replica, epoch, account, device)? {
                Some(key) => Some(key.duplicate()),
                None => return Ok(None),
            }
        };
        Ok(Some(SealingRoom { context, epoch, seen, key }))
    }

    /// Seals one row of the outbox behind `lane`; `None` if it cannot be sealed now.
    pub(super) fn seal_row(
        &self,
        with: &SealingRoom,
        lane: &DeviceLane,
        row: &OutboxRow,
    ) -> Option<SealedMessage> {
        let (counter, prev) = (lane.last.next(), lane.prev_own);
        let placement = Placement::Live { counter, prev_own: prev };
        let entry = self.seal_placed(with, placement, &row.content).ok()?;
        let prev_own = prev_own(&entry);
        Some(SealedMessage { entry, lane: DeviceLane { last: counter, prev_own } })
    }

    /// Seals a message with any placement; what is for an agent also to that agent's devices.
    pub(super) fn seal_placed(
        &self,
        with: &SealingRoom,
        placement: Placement,
        content: &Content,
    ) -> Result<Vec<u8>, CommandError> {
        let invalid = |error: &dyn std::fmt::Display| CommandError::Invalid(error.to_string());
        let agents = match content.reader() {
            Some(agent) if with.key.is_some() => self.slot_readers(with.context.room, agent),
            _ => Vec::new(),
        };
        let draft = MessageDraft {
            flags: content.flags(),
            epoch: with.epoch,
            placement,
            seen_seq: with.seen.seq(),
            seen_hash: with.seen.hash(),
            time: self.now(),
            plaintext: content.encode(),
            agents,
        };
        let seal_with = with.key.as_ref().map_or(SealWith::Open, SealWith::SenderKey);
        let signer = &self.identity.borrow().signing;
        seal_message(&mut rand::rng(), &with.context, seal_with, &draft, signer)
            .map_err(|error| invalid(&error))
    }

    /// The devices of an agent that a message is sealed to; none once it is no longer in the room,
    /// whatever it was sealed to before.
    fn slot_readers(&self, id: RoomId, agent: AccountId) -> Vec<SlotReader> {
        let core = self.core.borrow();
        let state = core.rooms.get(&id).and_then(|room| room.state.as_ref());
        if !state.is_some_and(|state| state.is_member(agent)) {
            return Vec::new();
        }
        let Some(chain) = core.people.chains.get(&agent) else { return Vec::new() };
        let seq = chain.head().seq;
        let reader = |device: &Device| {
            Some(SlotReader { device: device.id(), key: device.hpke_at(seq)?.key })
        };
        chain.devices_at(seq).filter_map(reader).take(SLOTS_MAX).collect()
    }

    /// The lane that the next own message continues, by the log.
    pub(super) fn logged_lane(&self, id: RoomId) -> DeviceLane {
        let core = self.core.borrow();
        core.rooms.get(&id).map(|room| room.own_lane(self.device)).unwrap_or_default()
    }

    /// Whether somebody must rotate before anything is sealed here.
    pub(super) fn needs_rotation(&self, id: RoomId) -> bool {
        let core = self.core.borrow();
        let Some(room) = core.rooms.get(&id) else { return false };
        let Some(state) = &room.state else { return false };
        must_rotate(state, &core.people.chains, self.now(), room.n_messages).is_some()
    }

    /// Why nothing may be sent to a room, for people; `None` if it may.
    pub(super) fn sending_stopped(&self, id: RoomId) -> Option<String> {
        self.core.borrow().sending_stopped(id)
    }

    /// `H` at a position of a room.
    pub(super) fn hash_at(&self, id: RoomId, seq: crate::id::Seq) -> Option<Hash> {
        let core = self.core.borrow();
        core.rooms.get(&id)?.hash_at(&self.replica, seq)
    }

    /// Seals a text that is to be appended later, and hands it to the server.
    pub(super) async fn schedule(
        self: &std::rc::Rc<Self>,
        id: RoomId,
        text: &str,
        due: crate::id::TimeMs,
    ) -> Result<(), CommandError> {
        self.caught_up(id).await?;
        if let Some(cause) = self.sending_stopped(id) {
            return Err(CommandError::Untrusted(cause));
        }
        self.rotate_if_needed(id).await?;
        let sealing = self.sealing(id).map_err(|error| storage(&error))?;
        let Some(sealing) = sealing else {
            return Err(CommandError::Refused("this room's key has not come yet".to_owned()));
        };
        let placement = Placement::scheduled(&mut rand::rng());
        let content = Content::from_text(text);
        let content = content.map_err(|error| CommandError::Invalid(error.to_string()))?;
        let entry = self.seal_placed(&sealing, placement, &content)?;
        self.call(crate::wire::Request::Schedule { room: id, entry, due }).await?;
        Ok(())
    }
}
