//! Answers on their way: pieces that an agent sends, and what members put together from them.
//!
//! Owns nothing durable. A piece that is lost leaves a gap that is shown, and the final entry makes
//! up for everything.

use std::task::{Poll, ready};

use super::super::context::Context;
use super::super::io::CallId;
use super::super::server_call::call_failed;
use super::super::state::State;
use super::super::work::Step;
use super::Asks;
use crate::client::event::{ClientEvent, StreamView};
use crate::client::{CommandError, Done};
use crate::crypto::commit::{Role, RoomMode};
use crate::crypto::delta::{AnswerId, Delta, DeltaContext, DeltaPlace, DeltaText, seal_delta};
use crate::crypto::epoch::SenderKey;
use crate::crypto::message::{OpenWith, SealWith};
use crate::id::{AccountId, DeviceId, Epoch, Hash, RoomId, Seq};
use crate::limits::ANSWER_TEXT_LEN_MAX;
use crate::wire::Request;

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

impl State {
    /// A piece of an answer came.
    pub(in super::super) fn accept_delta(
        &mut self,
        id: RoomId,
        (account, device): (AccountId, DeviceId),
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) {
        let Some((place, piece)) = self.open_delta(id, (account, device), bytes) else { return };
        let Some(incoming) = self.asks.put_together(id, account, place, &piece) else { return };
        cx.emit(ClientEvent::Stream(Box::new(StreamView {
            room: id,
            ask: piece.ask,
            agent: account,
            handle: self.identities.handle(account),
            text: incoming.text.clone(),
            has_gap: incoming.has_gap,
        })));
    }

    fn open_delta(
        &mut self,
        id: RoomId,
        (account, device): (AccountId, DeviceId),
        bytes: &[u8],
    ) -> Option<(DeltaPlace, DeltaText)> {
        let delta = Delta::decode(bytes).ok()?;
        let room = self.rooms.all.get_mut(&id)?;
        let state = room.state.as_ref()?;
        let is_agent = state.member(account).is_some_and(|member| member.role == Role::Agent);
        let chain = self.identities.chains.get(&account).filter(|chain| chain.is_active(device));
        let key = chain?.device(device)?.record.key;
        let epoch = delta.place.epoch;
        let commit_hash = match state.mode() {
            RoomMode::Open => id.as_hash(),
            RoomMode::E2ee => state.epoch_record(epoch)?.commit_hash,
        };
        if !is_agent {
            return None;
        }
        let context = DeltaContext { room: id, commit_hash, device };
        let opened = if state.mode() == RoomMode::Open {
            delta.open(&context, OpenWith::Open, &key)
        } else {
            let sender = room.keys.sender_key(state, epoch, (account, device))?;
            delta.open(&context, OpenWith::SenderKey(sender), &key)
        };
        match opened {
            Ok(piece) => Some((delta.place, piece)),
            Err(error) => {
                tracing::debug!(room = id.short(), %error, "a piece of an answer was refused");
                None
            }
        }
    }

    fn seal_piece(
        &mut self,
        id: RoomId,
        piece: &DeltaText,
        cx: &mut Context<'_>,
    ) -> Result<Vec<u8>, CommandError> {
        let ask = piece.ask;
        // Counted also if it is then lost, for whatever reason: a key is never used twice, and what
        // is missing shows.
        let (index, offset) = self.asks.count_piece(id, ask, &piece.text, cx);
        if self.needs_rotation(id, cx.now.time) {
            return Err(CommandError::Refused("the room needs a new key first".to_owned()));
        }
        let is_begun = self.asks.outgoing.get(&(id, ask)).is_some_and(|one| one.sealing.is_some());
        let sealing = if is_begun { None } else { Some(self.begin_stream(id)?) };
        let stopped = || CommandError::Stopped;
        let outgoing = self.asks.outgoing.get_mut(&(id, ask)).ok_or_else(stopped)?;
        outgoing.sealing = sealing.or(outgoing.sealing.take());
        let answer = outgoing.answer;
        let Sealing { epoch, commit_hash, key } = outgoing.sealing.as_ref().ok_or_else(stopped)?;
        let device = self.account.device;
        let context = DeltaContext { room: id, commit_hash: *commit_hash, device };
        let place = DeltaPlace { epoch: *epoch, answer, index, offset };
        let with = key.as_ref().map_or(SealWith::Open, SealWith::SenderKey);
        let signer = &self.account.identity.signing;
        let sealed = seal_delta(&context, with, place, piece, signer);
        sealed.ok_or_else(|| CommandError::Invalid("the piece is too long: send less".to_owned()))
    }

    fn begin_stream(&mut self, id: RoomId) -> Result<Sealing, CommandError> {
        let own = (self.account.id, self.account.device);
        let room = self.rooms.get_mut(id)?;
        let Some(state) = &room.state else { return Err(super::super::rooms::no_such_room()) };
        if state.mode() == RoomMode::Open {
            return Ok(Sealing { epoch: Epoch(0), commit_hash: id.as_hash(), key: None });
        }
        let record = state.epoch();
        let (epoch, commit_hash) = (record.epoch, record.commit_hash);
        let missing = || CommandError::Refused("this room's key has not come yet".to_owned());
        let key = room.keys.sender_key(state, epoch, own).ok_or_else(missing)?;
        Ok(Sealing { epoch, commit_hash, key: Some(key.duplicate()) })
    }
}

impl Asks {
    fn put_together(
        &mut self,
        id: RoomId,
        agent: AccountId,
        place: DeltaPlace,
        piece: &DeltaText,
    ) -> Option<&Incoming> {
        let ask = piece.ask;
        // What has its answer, is another agent's, or unknown here, is not being answered.
        self.open.get(&(id, ask)).filter(|open| open.agent == agent)?;
        let n_streams = self.incoming.len();
        if n_streams >= STREAMS_MAX && !self.incoming.contains_key(&(id, ask)) {
            return None;
        }
        let new =
            || Incoming { answer: place.answer, text: String::new(), upto: 0, has_gap: false };
        let incoming = self.incoming.entry((id, ask)).or_insert_with(new);
        if incoming.answer != place.answer {
            // Another attempt: what came of the one before is void.
            *incoming = new();
        }
        incoming.add(place.offset, &piece.text).then_some(&*incoming)
    }

    /// The number and the place of the next piece.
    fn count_piece(
        &mut self,
        id: RoomId,
        ask: Seq,
        text: &str,
        cx: &mut Context<'_>,
    ) -> (u32, u32) {
        let outgoing = self.outgoing.entry((id, ask)).or_insert_with(|| {
            let answer = AnswerId::generate(cx.rng);
            Outgoing { answer, sealing: None, index: 0, offset: 0 }
        });
        let place = (outgoing.index, outgoing.offset);
        let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
        outgoing.index = outgoing.index.saturating_add(1);
        outgoing.offset = outgoing.offset.saturating_add(len);
        place
    }

    /// The answer is in the outbox: nothing is streamed any more.
    pub(super) fn end_stream(&mut self, id: RoomId, ask: Seq) {
        self.outgoing.remove(&(id, ask));
    }
}

/// For agents: sends a piece of an answer to who is there now.
#[derive(Debug)]
pub(in super::super) struct StreamPiece {
    room: RoomId,
    piece: Option<DeltaText>,
    call: Option<CallId>,
}

impl StreamPiece {
    /// Sends this piece.
    pub(in super::super) fn new(room: RoomId, ask: Seq, text: String) -> Self {
        Self { room, piece: Some(DeltaText { ask, text }), call: None }
    }
}

impl Step for StreamPiece {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(piece) = self.piece.take() {
            let delta = state.seal_piece(self.room, &piece, cx)?;
            if !cx.is_online() {
                return Poll::Ready(Err(state.account.offline()));
            }
            self.call = Some(cx.call(Request::Delta { room: self.room, delta }));
        }
        let Some(call) = self.call else { return Poll::Pending };
        ready!(cx.reply(call)).map_err(|error| call_failed(&error))?;
        Poll::Ready(Ok(Done::Done))
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
