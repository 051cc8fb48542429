//! Marks, ticks, presence and typing: small facts about who has what.
//!
//! A read mark is signed over `H` at its position, so that readers who never write tell everyone
//! which log they see; every tick is compared with the own log (CRYPTO B4).

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::super::event::{AlarmCause, ClientEvent};
use super::{Engine, storage};
use crate::client::CommandError;
use crate::crypto::identity::Signature;
use crate::crypto::tick::ReadTick;
use crate::id::{RoomId, RoomNumber, Seq};
use crate::limits::MARKS_INTERVAL;
use crate::wire::{
    ClientDatagram, DeliveredMark, MarkBucket, PresenceLine, Reply, Request, ServerDatagram,
    SignedTick,
};

/// After a refusal marks are told again this much later.
const MARKS_PAUSE: Duration = Duration::from_secs(2);

impl Engine {
    /// Tells the server what has arrived, for all rooms at once and at most four times a second.
    pub(super) async fn tell_delivered(self: Rc<Self>) {
        loop {
            sleep(MARKS_INTERVAL).await;
            if !self.flush_delivered().await {
                sleep(MARKS_PAUSE).await;
            }
        }
    }

    /// Tells the server what has arrived since it was last told; `false` if it does not take it.
    pub(super) async fn flush_delivered(&self) -> bool {
        let Some(link) = self.link() else { return true };
        let marks: Vec<DeliveredMark> = {
            let core = self.core.borrow();
            let is_new = |room: &&super::room::Room| {
                room.facts.is_member && room.applied.seq() > room.marks.delivered_upto
            };
            let rooms = core.rooms.values().filter(is_new).take(MARKS_AT_ONCE_MAX);
            rooms.map(|room| DeliveredMark { room: room.id, upto: room.applied.seq() }).collect()
        };
        if marks.is_empty() {
            return true;
        }
        if let Err(error) = link.call(Request::Delivered { marks: marks.clone() }).await {
            tracing::debug!(%error, "delivered marks were not taken");
            return false;
        }
        let mut core = self.core.borrow_mut();
        for mark in marks {
            if let Some(room) = core.rooms.get_mut(&mark.room) {
                room.marks.delivered_upto = room.marks.delivered_upto.max(mark.upto);
            }
        }
        true
    }

    /// Moves the own read mark.
    pub(super) async fn mark_read(
        self: &Rc<Self>,
        id: RoomId,
        upto: Seq,
    ) -> Result<(), CommandError> {
        self.visible.set(Some(id));
        let upto = {
            let mut core = self.core.borrow_mut();
            let Some(room) = core.rooms.get_mut(&id) else {
                return Err(CommandError::NotFound("there is no such room".to_owned()));
            };
            let upto = upto.min(room.applied.seq());
            if upto <= room.marks.read_upto {
                return Ok(());
            }
            room.unsent_read = Some(upto);
            upto
        };
        if self.link().is_none() {
            // Told after the next login.
            return Err(self.offline());
        }
        let result = self.send_read(id, upto).await;
        if result.is_ok()
            && let Some(room) = self.core.borrow_mut().rooms.get_mut(&id)
            && room.unsent_read == Some(upto)
        {
            room.unsent_read = None;
        }
        result
    }

    async fn send_read(&self, id: RoomId, upto: Seq) -> Result<(), CommandError> {
        let Some(hash) = self.hash_at(id, upto) else {
            return Err(CommandError::Invalid("this position is not here".to_owned()));
        };
        let tick = ReadTick { room: id, seq: upto, hash };
        let signature = tick.sign(&self.identity.borrow().signing).0;
        match self.call(Request::Read { room: id, upto, signature }).await? {
            Reply::Marked { read_upto, n_unread } => {
                self.own_mark(id, read_upto, n_unread);
                Ok(())
            }
            _ => Err(CommandError::Refused("the server answered out of turn".to_owned())),
        }
    }

    /// Marks that could not be told while offline.
    pub(super) fn send_unsent_reads(self: &Rc<Self>) {
        let unsent: Vec<(RoomId, Seq)> = {
            let core = self.core.borrow();
            core.rooms.values().filter_map(|room| Some((room.id, room.unsent_read?))).collect()
        };
        for (id, upto) in unsent {
            self.go(|engine| async move {
                if let Err(error) = engine.mark_read(id, upto).await {
                    tracing::debug!(room = id.short(), %error, "a read mark was not taken");
                }
            });
        }
    }

    /// The account's read mark, by the server's word.
    pub(super) fn own_mark(&self, id: RoomId, read_upto: Seq, n_unread: u32) {
        {
            let mut core = self.core.borrow_mut();
            let Some(room) = core.rooms.get_mut(&id) else { return };
            room.marks.read_upto = room.marks.read_upto.max(read_upto);
            room.marks.n_unread = n_unread;
            // What was announced before this word is in its count.
            room.counted_upto = room.marks.announced.max(room.applied.seq());
            let stored = self.replica.put_marks(id, &room.marks);
            drop(core);
            if let Err(error) = stored {
                self.storage_failed(&error);
            }
        }
        self.tell_room(id);
    }

    /// Marks of the others.
    pub(super) fn hear_marks(
        &self,
        number: RoomNumber,
        delivered: Vec<MarkBucket>,
        read: Vec<MarkBucket>,
    ) {
        let Some(id) = self.by_number(number) else { return };
        let marks = {
            let mut core = self.core.borrow_mut();
            let Some(room) = core.rooms.get_mut(&id) else { return };
            room.histograms.delivered = delivered;
            room.histograms.read = read;
            let stored = self.replica.put_mark_histograms(id, &room.histograms);
            drop(core);
            if let Err(error) = stored {
                self.storage_failed(&error);
            }
            self.core.borrow().mark_counts(id)
        };
        self.tell(ClientEvent::Marks { room: id, marks });
    }

    /// Signed ticks: each also says which `H` its signer has there.
    pub(super) fn hear_ticks(self: &Rc<Self>, number: RoomNumber, ticks: Vec<SignedTick>) {
        let Some(id) = self.by_number(number) else { return };
        if let Some(room) = self.core.borrow_mut().rooms.get_mut(&id) {
            for tick in ticks {
                // The newest of each; bounded by the number of accounts that are known members.
                let is_member =
                    room.state.as_ref().is_none_or(|state| state.is_member(tick.account));
                if is_member {
                    room.early_ticks.insert(tick.account, tick);
                }
            }
        }
        self.check_early_ticks(id);
    }

    /// Compares the ticks whose position is here by now.
    pub(super) fn check_early_ticks(self: &Rc<Self>, id: RoomId) {
        let (ready, unknown) = {
            let mut core = self.core.borrow_mut();
            let core = &mut *core;
            let Some(room) = core.rooms.get_mut(&id) else { return };
            let applied = room.applied.seq();
            let mut unknown = Vec::new();
            let mut ready = Vec::new();
            room.early_ticks.retain(|account, tick| {
                if tick.upto > applied {
                    return true;
                }
                let chain = core.people.chains.get(account);
                match chain.and_then(|chain| chain.device(tick.device)) {
                    Some(device) => ready.push((tick.clone(), device.record.key)),
                    None => unknown.push(*account),
                }
                false
            });
            (ready, unknown)
        };
        for (tick, key) in ready {
            let Some(hash) = self.hash_at(id, tick.upto) else { continue };
            let read = ReadTick { room: id, seq: tick.upto, hash };
            if read.verify(&key, &Signature(tick.signature)).is_err() {
                let handle = self.core.borrow().people.handle(tick.account);
                let text = format!("{handle} signed another history of this room at {}", tick.upto);
                self.stop_room(id, &text);
                self.alarm(Some(id), Some(tick.account), AlarmCause::Fork, text);
                self.tell_room(id);
            }
        }
        if !unknown.is_empty() {
            // A new device of theirs: its chain is read, its next tick is compared.
            self.go(|engine| async move {
                if let Err(error) = engine.fetch_chains(&unknown).await {
                    tracing::debug!(%error, "chains for ticks were not read");
                }
            });
        }
    }

    /// People came, went or turned away.
    pub(super) fn hear_presence(&self, lines: &[PresenceLine]) {
        for line in lines {
            let view = self.core.borrow_mut().people.see(line);
            self.tell(ClientEvent::Presence(view));
        }
    }

    /// Somebody types.
    pub(super) fn hear_typing(&self, datagram: ServerDatagram) {
        let (number, account, is_typing) = match datagram {
            ServerDatagram::Typing { room, account } => (room, account, true),
            ServerDatagram::TypingStopped { room, account } => (room, account, false),
        };
        if account == self.account {
            return;
        }
        if let Some(room) = self.by_number(number) {
            self.tell(ClientEvent::Typing { room, account, is_typing });
        }
    }

    /// Says that the person types, or stopped; lost without a word while offline.
    pub(super) fn say_typing(&self, id: RoomId, is_typing: bool) {
        let number = self.core.borrow().rooms.get(&id).and_then(|room| room.facts.number);
        if let (Some(link), Some(room)) = (self.link(), number) {
            let datagram = if is_typing {
                ClientDatagram::Typing { room }
            } else {
                ClientDatagram::TypingStopped { room }
            };
            link.send_datagram(datagram);
        }
    }

    /// Stores an own invite, or says why not.
    pub(super) fn keep_invite(
        &self,
        invite: &super::super::record::OwnInvite,
    ) -> Result<(), CommandError> {
        self.replica.put_invite(invite).map_err(|error| storage(&error))
    }
}

/// Marks of this many rooms in one request: a request stays far below a frame.
const MARKS_AT_ONCE_MAX: usize = 256;
