//! Answers on their way: pieces that an agent sends, and what members put together from them.
//!
//! Owns nothing durable. A piece that is lost leaves a gap that is said, and the final entry makes up
//! for everything.

use std::rc::Rc;

use super::super::event::{ClientEvent, StreamView};
use super::{Engine, call_failed, refused, storage};
use crate::client::CommandError;
use crate::crypto::commit::{Role, RoomMode};
use crate::crypto::delta::{AnswerId, Delta, DeltaContext, DeltaPlace, DeltaText, seal_delta};
use crate::crypto::epoch::SenderKey;
use crate::crypto::message::{OpenWith, SealWith};
use crate::id::{AccountId, DeviceId, Epoch, Hash, RoomId, Seq};
use crate::limits::ANSWER_TEXT_LEN_MAX;
use crate::wire::{Fault, Request};

/// Shown where a piece is missing.
const GAP: &str = " \u{2026} ";
/// Answers that are put together at a time in all rooms: more are shown when they are complete.
const STREAMS_MAX: usize = 256;

/// An answer that comes in.
#[derive(Debug)]
pub(super) struct Incoming {
    answer: AnswerId,
    text: String,
    /// Bytes of the answer that came or are known to be missing.
    upto: u32,
    has_gap: bool,
}

/// An answer that this agent is giving.
#[derive(Debug)]
pub(super) struct Outgoing {
    answer: AnswerId,
    /// Taken for the first piece that can be sealed; all others stay in its epoch.
    sealing: Option<Sealing>,
    index: u32,
    offset: u32,
}

/// What the pieces of an answer are sealed with.
#[derive(Debug)]
struct Sealing {
    epoch: Epoch,
    commit_hash: Hash,
    /// `None` in open rooms.
    key: Option<SenderKey>,
}

impl Engine {
    /// A piece of an answer came.
    pub(super) fn hear_delta(
        &self,
        id: RoomId,
        account: AccountId,
        device: DeviceId,
        bytes: &[u8],
    ) {
        match self.open_delta(id, account, device, bytes) {
            Ok(Some((place, piece))) => self.put_together(id, account, place, &piece),
            Ok(None) => {}
            Err(error) => self.storage_failed(&error),
        }
    }

    fn open_delta(
        &self,
        id: RoomId,
        account: AccountId,
        device: DeviceId,
        bytes: &[u8],
    ) -> super::super::replica::Stored<Option<(DeltaPlace, DeltaText)>> {
        let Ok(delta) = Delta::decode(bytes) else { return Ok(None) };
        let mut core = self.core.borrow_mut();
        let core = &mut *core;
        let Some(room) = core.rooms.get_mut(&id) else { return Ok(None) };
        let Some(state) = &room.state else { return Ok(None) };
        let is_agent = state.member(account).is_some_and(|member| member.role == Role::Agent);
        let chain = core.people.chains.get(&account).filter(|chain| chain.is_active(device));
        let Some(key) = chain.and_then(|chain| chain.device(device)).map(|d| d.record.key) else {
            return Ok(None);
        };
        let epoch = delta.place.epoch;
        let commit_hash = match state.mode() {
            RoomMode::Open => Some(id.as_hash()),
            RoomMode::E2ee => state.epoch_record(epoch).map(|record| record.commit_hash),
        };
        let Some(commit_hash) = commit_hash.filter(|_| is_agent) else { return Ok(None) };
        let context = DeltaContext { room: id, commit_hash, device };
        let opened = if state.mode() == RoomMode::Open {
            delta.open(&context, OpenWith::Open, &key)
        } else {
            match room.sender_key(&self.replica, epoch, account, device)? {
                Some(sender) => delta.open(&context, OpenWith::SenderKey(sender), &key),
                None => return Ok(None),
            }
        };
        match opened {
            Ok(piece) => Ok(Some((delta.place, piece))),
            Err(error) => {
                tracing::debug!(room = id.short(), %error, "a piece of an answer was refused");
                Ok(None)
            }
        }
    }

    fn put_together(&self, id: RoomId, agent: AccountId, place: DeltaPlace, piece: &DeltaText) {
        let mut core = self.core.borrow_mut();
        let ask = piece.ask;
        // What has its answer, is another agent's, or unknown here, is not being answered.
        if core.asks.get(&(id, ask)).is_none_or(|open| open.agent != agent) {
            return;
        }
        let n_streams = core.streams.len();
        let handle = core.people.handle(agent);
        let new =
            || Incoming { answer: place.answer, text: String::new(), upto: 0, has_gap: false };
        if n_streams >= STREAMS_MAX && !core.streams.contains_key(&(id, ask)) {
            return;
        }
        let incoming = core.streams.entry((id, ask)).or_insert_with(new);
        if incoming.answer != place.answer {
            // Another attempt: what came of the one before is void.
            *incoming = new();
        }
        if !incoming.add(place.offset, &piece.text) {
            return;
        }
        let (text, has_gap) = (incoming.text.clone(), incoming.has_gap);
        drop(core);
        self.tell(ClientEvent::Stream(Box::new(StreamView {
            room: id,
            ask,
            agent,
            handle,
            text,
            has_gap,
        })));
    }

    /// For agents: sends a piece of an answer to who is there now.
    pub(super) async fn stream(
        self: &Rc<Self>,
        id: RoomId,
        ask: Seq,
        text: String,
    ) -> Result<(), CommandError> {
        let (index, offset) = self.count_piece(id, ask, &text);
        if self.needs_rotation(id) {
            return Err(CommandError::Refused("the room needs a new key first".to_owned()));
        }
        let delta = self.seal_piece(id, (index, offset), &DeltaText { ask, text })?;
        let link = self.link().ok_or_else(|| self.offline())?;
        match link.call(Request::Delta { room: id, delta }).await {
            Ok(_) => Ok(()),
            Err(super::CallError::Fault(fault @ Fault::RateLimited { .. })) => Err(refused(&fault)),
            Err(error) => Err(call_failed(&error)),
        }
    }

    /// Takes the number and the place of a piece. They count also when it is then lost, for whatever
    /// reason: a key is never used twice, and what is missing shows.
    fn count_piece(&self, id: RoomId, ask: Seq, text: &str) -> (u32, u32) {
        let mut core = self.core.borrow_mut();
        let new = || {
            let answer = AnswerId::generate(&mut rand::rng());
            Outgoing { answer, sealing: None, index: 0, offset: 0 }
        };
        let outgoing = core.outgoing.entry((id, ask)).or_insert_with(new);
        let place = (outgoing.index, outgoing.offset);
        let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
        outgoing.index = outgoing.index.saturating_add(1);
        outgoing.offset = outgoing.offset.saturating_add(len);
        place
    }

    fn seal_piece(
        &self,
        id: RoomId,
        (index, offset): (u32, u32),
        piece: &DeltaText,
    ) -> Result<Vec<u8>, CommandError> {
        let begun =
            self.core.borrow().outgoing.get(&(id, piece.ask)).map(|one| one.sealing.is_some());
        let sealing = match begun {
            Some(false) => Some(self.begin_stream(id)?),
            _ => None,
        };
        let mut core = self.core.borrow_mut();
        let outgoing = core.outgoing.get_mut(&(id, piece.ask)).ok_or(CommandError::Stopped)?;
        if sealing.is_some() {
            outgoing.sealing = sealing;
        }
        let answer = outgoing.answer;
        let Sealing { epoch, commit_hash, key } =
            outgoing.sealing.as_ref().ok_or(CommandError::Stopped)?;
        let context = DeltaContext { room: id, commit_hash: *commit_hash, device: self.device };
        let place = DeltaPlace { epoch: *epoch, answer, index, offset };
        let with = key.as_ref().map_or(SealWith::Open, SealWith::SenderKey);
        let signer = &self.identity.borrow().signing;
        let sealed = seal_delta(&context, with, place, piece, signer);
        sealed.ok_or_else(|| CommandError::Invalid("the piece is too long: send less".to_owned()))
    }

    fn begin_stream(&self, id: RoomId) -> Result<Sealing, CommandError> {
        let mut core = self.core.borrow_mut();
        let missing = || CommandError::NotFound("there is no such room".to_owned());
        let room = core.rooms.get_mut(&id).ok_or_else(missing)?;
        let state = room.state.as_ref().ok_or_else(missing)?;
        if state.mode() == RoomMode::Open {
            return Ok(Sealing { epoch: Epoch(0), commit_hash: id.as_hash(), key: None });
        }
        let record = state.epoch();
        let (epoch, commit_hash) = (record.epoch, record.commit_hash);
        let key = room
            .sender_key(&self.replica, epoch, self.account, self.device)
            .map_err(|error| storage(&error))?
            .ok_or_else(|| CommandError::Refused("this room's key has not come yet".to_owned()))?;
        Ok(Sealing { epoch, commit_hash, key: Some(key.duplicate()) })
    }

    /// The answer is in the outbox: nothing is streamed any more.
    pub(super) fn end_stream(&self, id: RoomId, ask: Seq) {
        self.core.borrow_mut().outgoing.remove(&(id, ask));
    }
}

impl Incoming {
    /// Adds a piece; `false` if it brings nothing new.
    fn add(&mut self, offset: u32, piece: &str) -> bool {
        let len = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        let end = offset.saturating_add(len);
        if end <= self.upto || offset < self.upto || self.text.len() > ANSWER_TEXT_LEN_MAX {
            return false;
        }
        if offset > self.upto {
            self.has_gap = true;
            self.text.push_str(GAP);
        }
        self.text.push_str(piece);
        self.upto = end;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming() -> Incoming {
        let answer = AnswerId([1; 16]);
        Incoming { answer, text: String::new(), upto: 0, has_gap: false }
    }

    #[test]
    fn pieces_join_in_order_and_a_lost_one_shows() {
        let mut answer = incoming();
        assert!(answer.add(0, "The column ") && answer.add(11, "is added "));
        assert_eq!((answer.text.as_str(), answer.has_gap), ("The column is added ", false));
        assert!(answer.add(26, "twice"));
        assert_eq!(
            (answer.text.as_str(), answer.has_gap),
            ("The column is added  \u{2026} twice", true)
        );
    }

    #[test]
    fn a_piece_that_comes_again_or_late_is_not_shown_twice() {
        let mut answer = incoming();
        assert!(answer.add(0, "one ") && !answer.add(0, "one "));
        assert!(answer.add(8, "three") && !answer.add(4, "two "));
        assert_eq!(answer.text, "one  \u{2026} three");
    }
}
