//! Marks and typing: small facts about who has what.
//!
//! Owns what is sent of them and how often. A read mark is signed over `H` at its position, so that
//! readers who never write show everyone which log they see (CRYPTO B4).

use std::task::{Poll, ready};
use std::time::Duration;

use super::super::account::Account;
use super::super::context::Context;
use super::super::io::{CallId, Found, Output, Query, ReadId};
use super::super::server_call::{call_failed, out_of_turn};
use super::super::state::State;
use super::super::work::{Step, Work};
use super::{OneRoom, Rooms};
use crate::client::CommandError;
use crate::client::event::ClientEvent;
use crate::crypto::tick::ReadTick;
use crate::id::{Hash, RoomId, RoomNumber, Seq};
use crate::limits::{MARKS_INTERVAL, TYPING_INTERVAL};
use crate::wire::{ClientDatagram, DeliveredMark, MarkStep, Reply, Request, ServerDatagram};

/// After a refusal marks are sent again this much later.
const MARKS_PAUSE: Duration = Duration::from_secs(2);
/// Marks of this many rooms in one request: a request stays far below a frame.
const MARKS_AT_ONCE_MAX: usize = 256;

/// Tells the server what has arrived, for all rooms at once and at most four times a second.
#[derive(Debug)]
pub(in super::super) struct SendDelivered {
    stage: DeliveredStage,
}

#[derive(Debug)]
enum DeliveredStage {
    Gathering(Option<Duration>),
    Sent(CallId, Vec<DeliveredMark>),
}

impl SendDelivered {
    /// Waits a moment, for what arrives meanwhile.
    pub(in super::super) fn new() -> Self {
        Self { stage: DeliveredStage::Gathering(None) }
    }
}

impl Step for SendDelivered {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.stage {
                DeliveredStage::Gathering(until) => {
                    let until = *until.get_or_insert(cx.after(MARKS_INTERVAL));
                    let is_due = state.account.is_stopping || cx.is_due(until);
                    if !cx.is_online() {
                        return Poll::Ready(());
                    }
                    if !is_due {
                        return Poll::Pending;
                    }
                    let marks = state.rooms.undelivered();
                    if marks.is_empty() {
                        return Poll::Ready(());
                    }
                    let call = cx.call(Request::Delivered { marks: marks.clone() });
                    self.stage = DeliveredStage::Sent(call, marks);
                }
                DeliveredStage::Sent(call, marks) => match ready!(cx.reply(*call)) {
                    Ok(_) => {
                        state.rooms.delivered(marks);
                        self.stage = DeliveredStage::Gathering(None);
                    }
                    Err(error) => {
                        tracing::debug!(%error, "delivered marks were not accepted");
                        self.stage = DeliveredStage::Gathering(Some(cx.after(MARKS_PAUSE)));
                    }
                },
            }
        }
    }
}

/// Sends the read mark of a room.
#[derive(Debug)]
pub(in super::super) struct SendRead {
    room: RoomId,
    stage: ReadStage,
}

#[derive(Debug)]
enum ReadStage {
    Begin,
    Looking(ReadId, Seq),
    Sent(CallId, Seq),
}

impl SendRead {
    /// Sends the unsent read mark of this room.
    pub(in super::super) fn of(room: RoomId) -> Self {
        Self { room, stage: ReadStage::Begin }
    }

    /// Looks how far it is.
    pub(in super::super) fn poll_result(
        &mut self,
        account: &Account,
        rooms: &mut Rooms,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommandError>> {
        let id = self.room;
        loop {
            match self.stage {
                ReadStage::Begin => {
                    let Some(upto) = rooms.all.get(&id).and_then(|room| room.unsent_read) else {
                        return Poll::Ready(Ok(()));
                    };
                    if !cx.is_online() {
                        // Sent after the next login.
                        return Poll::Ready(Err(account.offline()));
                    }
                    self.stage = if let Some(hash) = rooms.hash_at(id, upto) {
                        send_read(account, (id, upto, hash), cx)
                    } else {
                        let read = cx.read(Query::HashAt { room: id, seq: upto });
                        ReadStage::Looking(read, upto)
                    };
                }
                ReadStage::Looking(read, upto) => {
                    let Ok(Found::Hash(Some(hash))) = ready!(cx.found(read)) else {
                        rooms.read_mark_sent(id, upto);
                        let text = "this position is not here".to_owned();
                        return Poll::Ready(Err(CommandError::Invalid(text)));
                    };
                    self.stage = send_read(account, (id, upto, hash), cx);
                }
                ReadStage::Sent(call, upto) => {
                    return Poll::Ready(match ready!(cx.reply(call)) {
                        Ok(Reply::Marked { read_upto, n_unread }) => {
                            rooms.accept_own_mark(id, read_upto, n_unread, cx);
                            rooms.read_mark_sent(id, upto);
                            Ok(())
                        }
                        Ok(_) => Err(out_of_turn()),
                        Err(error) => Err(call_failed(&error)),
                    });
                }
            }
        }
    }
}

impl Step for SendRead {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let State { account, rooms, .. } = state;
        if let Err(error) = ready!(self.poll_result(account, rooms, cx)) {
            tracing::debug!(room = self.room.short(), %error, "a read mark was not accepted");
        }
        Poll::Ready(())
    }
}

fn send_read(
    account: &Account,
    (room, seq, hash): (RoomId, Seq, Hash),
    cx: &mut Context<'_>,
) -> ReadStage {
    let tick = ReadTick { room, seq, hash };
    let signature = tick.sign(&account.identity.signing).0;
    ReadStage::Sent(cx.call(Request::Read { room, upto: seq, signature }), seq)
}

impl Rooms {
    fn undelivered(&self) -> Vec<DeliveredMark> {
        let is_new = |room: &&OneRoom| room.applied.seq() > room.marks.delivered_upto;
        let rooms = self.joined().filter(is_new).take(MARKS_AT_ONCE_MAX);
        rooms.map(|room| DeliveredMark { room: room.id, upto: room.applied.seq() }).collect()
    }

    fn delivered(&mut self, marks: &[DeliveredMark]) {
        for mark in marks {
            if let Some(room) = self.all.get_mut(&mark.room) {
                room.marks.delivered_upto = room.marks.delivered_upto.max(mark.upto);
            }
        }
    }

    /// Notes that the own read mark is to move; `false` if it is there already.
    pub(in super::super) fn mark_read(
        &mut self,
        id: RoomId,
        upto: Seq,
    ) -> Result<bool, CommandError> {
        let room = self.get_mut(id)?;
        let upto = upto.min(room.applied.seq());
        if upto <= room.marks.read_upto {
            return Ok(false);
        }
        room.unsent_read = Some(room.unsent_read.map_or(upto, |known| known.max(upto)));
        Ok(true)
    }

    fn read_mark_sent(&mut self, id: RoomId, upto: Seq) {
        let Some(room) = self.all.get_mut(&id) else { return };
        if room.unsent_read.is_some_and(|unsent| unsent <= upto) {
            room.unsent_read = None;
        }
    }

    /// Sends the marks that could not be sent while offline.
    pub(in super::super) fn send_unsent_reads(&self, cx: &mut Context<'_>) {
        for room in self.all.values().filter(|room| room.unsent_read.is_some()) {
            cx.start(Work::SendRead(room.id));
        }
    }

    /// The account's read mark, by the server's word.
    pub(in super::super) fn accept_own_mark(
        &mut self,
        id: RoomId,
        read_upto: Seq,
        n_unread: u32,
        cx: &mut Context<'_>,
    ) {
        let Some(room) = self.all.get_mut(&id) else { return };
        room.accept_own_mark(read_upto, n_unread);
        cx.write(vec![room.write_marks()]);
        self.show(id, cx);
    }

    /// Marks of the others.
    pub(in super::super) fn accept_marks(
        &mut self,
        number: RoomNumber,
        (delivered, read): (Vec<MarkStep>, Vec<MarkStep>),
        cx: &mut Context<'_>,
    ) {
        let Some(id) = self.by_number(number) else { return };
        let Some(room) = self.all.get_mut(&id) else { return };
        room.histograms.delivered = delivered;
        room.histograms.read = read;
        cx.write(vec![room.write_histograms()]);
        cx.emit(ClientEvent::Marks { room: id, marks: room.mark_counts() });
    }

    /// Somebody types, or stopped.
    pub(in super::super) fn accept_typing(
        &self,
        datagram: &ServerDatagram,
        account: &Account,
        cx: &mut Context<'_>,
    ) {
        let (number, typist, is_typing) = match *datagram {
            ServerDatagram::Typing { room, account } => (room, account, true),
            ServerDatagram::TypingStopped { room, account } => (room, account, false),
        };
        if let Some(room) = self.by_number(number).filter(|_| typist != account.id) {
            cx.emit(ClientEvent::Typing { room, account: typist, is_typing });
        }
    }

    /// Says that the person types, at most so often that the wire does not notice.
    pub(in super::super) fn typing(&mut self, id: RoomId, cx: &mut Context<'_>) {
        let now = cx.now.uptime;
        let last = self.typed.get(&id).copied();
        if last.is_none_or(|last| now.saturating_sub(last) >= TYPING_INTERVAL) {
            self.typed.insert(id, now);
            self.send_typing(id, true, cx);
        }
    }

    /// Says that the person stopped typing.
    pub(in super::super) fn typing_stopped(&mut self, id: RoomId, cx: &mut Context<'_>) {
        self.typed.remove(&id);
        self.send_typing(id, false, cx);
    }

    /// Lost without a word while offline.
    fn send_typing(&self, id: RoomId, is_typing: bool, cx: &mut Context<'_>) {
        let Some(room) = self.all.get(&id).and_then(|room| room.facts.number) else { return };
        if cx.is_online() {
            cx.output(Output::Datagram(if is_typing {
                ClientDatagram::Typing { room }
            } else {
                ClientDatagram::TypingStopped { room }
            }));
        }
    }
}
