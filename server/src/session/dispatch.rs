//! Who answers which request: one line each.
//!
//! Changes go to the writer, reads to the readers, and what concerns only the live session is done
//! here. Every call is answered exactly once, into the outbox.

use std::sync::{Arc, Mutex, PoisonError};

use mathia_protocol::id::{AccountId, DeviceId, RoomNumber};
use mathia_protocol::wire::{Call, Cursor, Fault, Reply, Request};
use tokio::sync::Semaphore;

use super::{BUSY, Shared, absent};
use crate::hub::{Outbox, SessionId, event_frame};
use crate::refusal::Refusal;
use crate::rooms::{Asker, Caller, Job, Resuming};
use crate::store::Read;

/// Pages of bulk reads that one session may have on the way.
const PAGES_MAX: usize = 4;

/// What is known of a session, shared by its loop, its bulk streams and its reads.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) shared: Arc<Shared>,
    pub(super) id: SessionId,
    pub(super) account: AccountId,
    pub(super) device: DeviceId,
    pub(super) outbox: Arc<Outbox>,
    pub(super) pages: Semaphore,
    /// How far `Resume` has come; empty before the first page and after the last.
    resuming: Mutex<Resuming>,
}

impl Seat {
    pub(super) fn new(
        shared: Arc<Shared>,
        id: SessionId,
        account: AccountId,
        device: DeviceId,
        outbox: Arc<Outbox>,
    ) -> Self {
        let pages = Semaphore::new(PAGES_MAX);
        Self { shared, id, account, device, outbox, pages, resuming: Mutex::default() }
    }

    pub(super) fn asker(&self) -> Asker {
        Asker { account: self.account, device: self.device }
    }

    /// Hands a call to whoever answers it; `true` if the answer is in the outbox already.
    pub(super) fn dispatch(self: &Arc<Self>, call: Call) -> bool {
        let Call { id, request } = call;
        match request {
            Request::SetAway { is_away } => self.set_away(id, is_away),
            Request::Resume { cursors, is_last } => self.resume(id, cursors, is_last),
            Request::Append { .. }
            | Request::Commit { .. }
            | Request::StageWraps { .. }
            | Request::AskKeys { .. }
            | Request::AnswerKeys { .. }
            | Request::PutGrant { .. }
            | Request::PutLink { .. }
            | Request::Delivered { .. }
            | Request::Read { .. }
            | Request::Schedule { .. }
            | Request::Unschedule { .. }
            | Request::Delta { .. }
            | Request::PutCard { .. }
            | Request::CreateInvite { .. }
            | Request::RevokeInvite { .. }
            | Request::FinishJoin { .. } => self.change(id, request),
            Request::Wraps { .. }
            | Request::Grants { .. }
            | Request::Chain { .. }
            | Request::ChainHeads { .. }
            | Request::FindAccount { .. }
            | Request::Ticks { .. }
            | Request::Schedules
            | Request::Invites
            | Request::Joins
            | Request::Card { .. }
            | Request::Lobby { .. } => self.read(id, request),
        }
    }

    /// Passes on that somebody types; a room that the session does not hear is ignored.
    pub(super) fn tell_typing(&self, room: RoomNumber, is_typing: bool) {
        self.shared.hub.typing(self.id, room, is_typing);
    }

    fn set_away(&self, call: u32, is_away: bool) -> bool {
        self.shared.hub.set_away(self.id, is_away);
        self.outbox.reply(call, &Reply::Done);
        true
    }

    fn change(&self, call: u32, request: Request) -> bool {
        let caller = Caller {
            account: self.account,
            device: self.device,
            outbox: Arc::clone(&self.outbox),
            call,
        };
        let is_refused = self.shared.desk.submit(Job::Call { caller, request }).is_err();
        if is_refused {
            self.outbox.fault(call, &BUSY);
        }
        is_refused
    }

    fn read(self: &Arc<Self>, call: u32, request: Request) -> bool {
        self.on_reader(call, move |seat, read| {
            let reply = seat.shared.reads.answer(read, seat.asker(), &request)?;
            seat.outbox.reply(call, &reply);
            Ok(())
        })
    }

    fn resume(self: &Arc<Self>, call: u32, cursors: Vec<Cursor>, is_last: bool) -> bool {
        self.on_reader(call, move |seat, read| {
            // The session hears its rooms before the heads are read: nothing falls between.
            if !seat.shared.hub.hears(seat.id) {
                let rooms = read.rooms_of(seat.account)?;
                let numbers: Vec<_> = rooms.iter().map(|row| row.number).collect();
                seat.shared.hub.hear(seat.id, &numbers);
                absent::tell(seat, read, &rooms)?;
            }
            let mut resuming = seat.resuming.lock().unwrap_or_else(PoisonError::into_inner);
            let past = std::mem::take(&mut *resuming);
            let reads = &seat.shared.reads;
            let page = reads.resume(read, seat.asker(), past, &cursors, is_last)?;
            if !is_last || matches!(page.reply, Reply::Resumed { more: true, .. }) {
                *resuming = page.resuming;
            }
            drop(resuming);
            seat.outbox.reply(call, &page.reply);
            for event in page.events {
                seat.outbox.event(&event_frame(event));
            }
            Ok(())
        })
    }

    /// Runs a read on a reader's thread; it answers the call itself, or its refusal does.
    fn on_reader(
        self: &Arc<Self>,
        call: u32,
        answer: impl FnOnce(&Self, &dyn Read) -> Result<(), Refusal> + Send + 'static,
    ) -> bool {
        let seat = Arc::clone(self);
        let is_refused = self
            .shared
            .readers
            .submit(move |read| {
                if let Err(refusal) = answer(&seat, read) {
                    let fault: Fault = seat.shared.fault_of(refusal);
                    seat.outbox.fault(call, &fault);
                }
                seat.outbox.wake();
            })
            .is_err();
        if is_refused {
            self.outbox.fault(call, &BUSY);
        }
        is_refused
    }
}
