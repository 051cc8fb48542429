//! One session's context: what its loop, its bulk streams and its reads share.
//!
//! Owns how calls are handed on: changes to the writer, queries to the readers, and what concerns
//! only the live session is done here. Every call is answered exactly once, into the frame queue.

use std::sync::Arc;

use mathia_protocol::id::RoomNumber;
use mathia_protocol::wire::{Call, Cursor, Fault, Reply};
use tokio::sync::Semaphore;

use super::{BUSY, Shared};
use crate::hub::{Delivery, FrameQueue};
use crate::refusal::Refusal;
use crate::rooms::{Change, Query, Route, SessionState};
use crate::store::Read;

/// Pages of bulk reads that one session may have on the way.
const PAGES_MAX: usize = 4;

/// What is known of a session, shared by its loop, its bulk streams and its reads.
#[derive(Debug)]
pub(super) struct SessionContext {
    pub(super) shared: Arc<Shared>,
    pub(super) state: SessionState,
    pub(super) pages: Semaphore,
}

impl SessionContext {
    pub(super) fn new(shared: Arc<Shared>, state: SessionState) -> Self {
        Self { shared, state, pages: Semaphore::new(PAGES_MAX) }
    }

    pub(super) fn frame_queue(&self) -> &FrameQueue {
        &self.state.frame_queue
    }

    /// Hands a call to whoever answers it; `true` if the answer is in the frame queue already.
    pub(super) fn dispatch(self: &Arc<Self>, call: Call) -> bool {
        let Call { id, request } = call;
        match Route::from(request) {
            Route::Change(change) => self.change(id, change),
            Route::Query(query) => self.query(id, query),
            Route::Resume { cursors, is_last } => self.resume(id, cursors, is_last),
            Route::SetAway { is_away } => self.set_away(id, is_away),
        }
    }

    /// Passes on that somebody types; a room that the session is not subscribed to is ignored.
    pub(super) fn send_typing(&self, room: RoomNumber, is_typing: bool) {
        let account = self.shared.hub.subscribed_account(self.state.id, room);
        if let Some(account) = account {
            self.shared.bus.publish(&[Delivery::Typing { room, account, is_typing }]);
        }
    }

    fn set_away(&self, call: u32, is_away: bool) -> bool {
        self.shared.hub.set_away(self.state.id, is_away);
        self.frame_queue().reply(call, &Reply::Done);
        true
    }

    fn change(&self, call: u32, change: Change) -> bool {
        let is_refused = self.shared.write_queue.submit(self.state.job(call, change)).is_err();
        if is_refused {
            self.frame_queue().fault(call, &BUSY);
        }
        is_refused
    }

    fn query(self: &Arc<Self>, call: u32, query: Query) -> bool {
        self.on_reader(call, move |context, read| {
            let (reads, now) = (&context.shared.reads, context.shared.clock.now_ms());
            context.state.answer_query((call, &query), reads, read, now)
        })
    }

    fn resume(self: &Arc<Self>, call: u32, cursors: Vec<Cursor>, is_last: bool) -> bool {
        self.on_reader(call, move |context, read| {
            let Shared { hub, reads, clock, .. } = &*context.shared;
            let now = clock.now_ms();
            context.state.answer_resume((call, &cursors, is_last), (hub, reads), read, now)
        })
    }

    /// Runs a read on a reader's thread; it answers the call itself, or its refusal does.
    fn on_reader(
        self: &Arc<Self>,
        call: u32,
        answer: impl FnOnce(&Self, &dyn Read) -> Result<(), Refusal> + Send + 'static,
    ) -> bool {
        let context = Arc::clone(self);
        let is_refused = self
            .shared
            .readers
            .submit(move |read| {
                if let Err(refusal) = answer(&context, read) {
                    let fault: Fault = context.shared.fault_of(refusal);
                    context.frame_queue().fault(call, &fault);
                }
                context.frame_queue().wake();
            })
            .is_err();
        if is_refused {
            self.frame_queue().fault(call, &BUSY);
        }
        is_refused
    }
}
