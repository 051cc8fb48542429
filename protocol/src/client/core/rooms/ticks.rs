//! Signed read ticks of others: each says which `H` its signer has somewhere.
//!
//! Owns the comparison with the own log; what differs is a second history (CRYPTO B4).

use std::task::{Poll, ready};

use super::super::context::Context;
use super::super::identities::Identities;
use super::super::io::{Found, Query, ReadId};
use super::super::server_call::{ServerCall, out_of_turn};
use super::super::state::State;
use super::super::work::{Step, Work};
use super::Rooms;
use crate::client::event::AlarmCause;
use crate::client::{CommandError, Done, TickView};
use crate::crypto::identity::{Signature, VerifyKey};
use crate::crypto::tick::ReadTick;
use crate::id::{Hash, RoomId, RoomNumber};
use crate::wire::{Reply, Request, SignedTick};

/// Compares the ticks of a room whose position is here by now.
#[derive(Debug)]
pub(in super::super) struct CheckTicks {
    room: RoomId,
    ready: Vec<(SignedTick, VerifyKey)>,
    stage: TickStage,
}

#[derive(Debug)]
enum TickStage {
    Begin,
    Next,
    Looking(ReadId, SignedTick, VerifyKey),
}

impl CheckTicks {
    /// Compares the ticks of this room.
    pub(in super::super) fn of(room: RoomId) -> Self {
        Self { room, ready: Vec::new(), stage: TickStage::Begin }
    }

    fn compare(
        &self,
        (tick, key): (&SignedTick, &VerifyKey),
        hash: Hash,
        state: &mut State,
        cx: &mut Context<'_>,
    ) {
        let id = self.room;
        let read = ReadTick { room: id, seq: tick.upto, hash };
        if read.verify(key, &Signature(tick.signature)).is_ok() {
            return;
        }
        let handle = state.identities.handle(tick.account);
        let text = format!("{handle} signed another history of this room at {}", tick.upto);
        state.rooms.stop(id, &text, cx);
        cx.alarm(Some(id), Some(tick.account), AlarmCause::Fork, text);
        state.rooms.show(id, cx);
    }
}

impl Step for CheckTicks {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let id = self.room;
        loop {
            match &mut self.stage {
                TickStage::Begin => {
                    let (ready, unknown) = state.rooms.ready_ticks(id, &state.identities);
                    self.ready = ready;
                    self.stage = TickStage::Next;
                    // A new device of theirs: its chain is read, its next tick is compared.
                    for account in unknown {
                        cx.start(Work::RefreshChain(account));
                    }
                }
                TickStage::Next => {
                    let Some((tick, key)) = self.ready.pop() else { return Poll::Ready(()) };
                    if let Some(hash) = state.rooms.hash_at(id, tick.upto) {
                        self.compare((&tick, &key), hash, state, cx);
                    } else {
                        let read = cx.read(Query::HashAt { room: id, seq: tick.upto });
                        self.stage = TickStage::Looking(read, tick, key);
                    }
                }
                TickStage::Looking(read, tick, key) => {
                    let found = ready!(cx.found(*read));
                    let (tick, key) = (tick.clone(), *key);
                    self.stage = TickStage::Next;
                    if let Ok(Found::Hash(Some(hash))) = found {
                        self.compare((&tick, &key), hash, state, cx);
                    }
                }
            }
        }
    }
}

/// Reads how far each member of a room has read.
#[derive(Debug)]
pub(in super::super) struct ReadTicks {
    room: RoomId,
    call: Option<ServerCall>,
    /// Ticks that were not looked at yet, the one whose position is looked up, and what is known.
    waiting: Vec<SignedTick>,
    looking: Option<(ReadId, SignedTick)>,
    views: Vec<TickView>,
}

impl ReadTicks {
    /// Reads the ticks of this room.
    pub(in super::super) fn of(room: RoomId) -> Self {
        let call = Some(ServerCall::new(Request::Ticks { room }));
        Self { room, call, waiting: Vec::new(), looking: None, views: Vec::new() }
    }

    fn add(&mut self, tick: &SignedTick, hash: Option<Hash>, identities: &Identities) {
        let chain = identities.chains.get(&tick.account);
        let device = chain.and_then(|chain| chain.device(tick.device));
        let key = device.map(|device| device.record.key);
        let is_verified = hash.zip(key).is_some_and(|(hash, key)| {
            let read = ReadTick { room: self.room, seq: tick.upto, hash };
            read.verify(&key, &Signature(tick.signature)).is_ok()
        });
        let (account, upto) = (tick.account, tick.upto);
        let handle = identities.handle(account);
        self.views.push(TickView { account, handle, upto, is_verified });
    }
}

impl Step for ReadTicks {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let room = self.room;
        state.rooms.get(room)?;
        if let Some(call) = &mut self.call {
            let reply = ready!(call.poll(&state.account, cx)).map_err(CommandError::from)?;
            self.call = None;
            let Reply::Ticks { ticks } = reply else { return Poll::Ready(Err(out_of_turn())) };
            self.waiting = ticks;
        }
        loop {
            if let Some((read, tick)) = &self.looking {
                let found = ready!(cx.found(*read));
                let (tick, hash) = match found {
                    Ok(Found::Hash(hash)) => (tick.clone(), hash),
                    _ => (tick.clone(), None),
                };
                self.looking = None;
                self.add(&tick, hash, &state.identities);
            }
            let Some(tick) = self.waiting.pop() else {
                self.views.sort_by(|left, right| left.handle.cmp(&right.handle));
                return Poll::Ready(Ok(Done::Ticks(std::mem::take(&mut self.views))));
            };
            let seq = tick.upto;
            if let Some(hash) = state.rooms.hash_at(room, seq) {
                self.add(&tick, Some(hash), &state.identities);
            } else {
                self.looking = Some((cx.read(Query::HashAt { room, seq }), tick));
            }
        }
    }
}

impl Rooms {
    /// Keeps the newest tick of each member until its position is here.
    pub(in super::super) fn accept_ticks(
        &mut self,
        number: RoomNumber,
        ticks: Vec<SignedTick>,
        cx: &mut Context<'_>,
    ) {
        let Some(id) = self.by_number(number) else { return };
        let Some(room) = self.all.get_mut(&id) else { return };
        for tick in ticks {
            // Bounded by the number of accounts that are known members.
            let is_member = room.state.as_ref().is_none_or(|state| state.is_member(tick.account));
            if is_member {
                room.early_ticks.insert(tick.account, tick);
            }
        }
        cx.start(Work::CheckTicks(id));
    }

    /// Ticks whose position is here, with the keys that signed them; accounts whose chain does not
    /// know the signing device.
    fn ready_ticks(
        &mut self,
        id: RoomId,
        identities: &Identities,
    ) -> (Vec<(SignedTick, VerifyKey)>, Vec<crate::id::AccountId>) {
        let (mut ready, mut unknown) = (Vec::new(), Vec::new());
        let Some(room) = self.all.get_mut(&id) else { return (ready, unknown) };
        let applied = room.applied.seq();
        room.early_ticks.retain(|account, tick| {
            if tick.upto > applied {
                return true;
            }
            let chain = identities.chains.get(account);
            match chain.and_then(|chain| chain.device(tick.device)) {
                Some(device) => ready.push((tick.clone(), device.record.key)),
                None => unknown.push(*account),
            }
            false
        });
        (ready, unknown)
    }
}
