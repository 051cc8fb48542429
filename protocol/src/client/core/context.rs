//! What every step of the core has at hand: the time, randomness, the outputs so far, and the
//! answers that this input brought.
//!
//! Owns the numbers of calls, reads and writes, and the bound on open calls. A step never waits: it
//! looks whether its answer is here, and returns [`Poll::Pending`] if it is not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::Poll;
use std::time::Duration;

use rand::rngs::StdRng;

use super::super::event::{AlarmCause, ClientEvent};
use super::super::record::OutboxRow;
use super::super::replica::{StorageError, Write, Written};
use super::io::{
    BulkFailure, BulkId, CallError, CallId, Found, Now, Output, Page, Query, ReadId, SealId,
    SealOrder, WriteId,
};
use super::signal::Signal;
use super::work::{Repeat, Work};
use crate::id::{AccountId, RoomId};
use crate::limits::REQUESTS_MAX;
use crate::wire::{BulkRequest, Reply, Request};

/// A call without an answer for this long means that the session is stuck.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// What outlives one input: numbers that were given out and calls that are open.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    last: u64,
    /// Calls at the server, with the uptime at which the session counts as stuck.
    open: BTreeMap<CallId, Duration>,
    /// Calls behind the bound on open ones, in their order.
    queued: VecDeque<(CallId, Request)>,
    bulks: BTreeSet<BulkId>,
    pub(super) is_online: bool,
}

/// An answer that came with this input.
#[derive(Debug)]
enum Delivered {
    Reply(CallId, Result<Reply, CallError>),
    Page(BulkId, Result<Option<Page>, BulkFailure>),
    Found(ReadId, Result<Found, StorageError>),
    Written(WriteId, Result<Vec<Written>, StorageError>),
    Sealed(SealId, Result<Vec<OutboxRow>, StorageError>),
}

/// Takes what was delivered for one ticket, if it is here.
macro_rules! take {
    ($context:expr, $kind:ident, $id:expr) => {{
        let is_it = |one: &Delivered| matches!(one, Delivered::$kind(of, _) if *of == $id);
        let at = $context.delivered.iter().position(is_it);
        match at.map(|at| $context.delivered.swap_remove(at)) {
            Some(Delivered::$kind(_, value)) => {
                $context.is_changed = true;
                Poll::Ready(value)
            }
            _ => Poll::Pending,
        }
    }};
}

/// Everything one call of `handle` works with besides the state.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) now: Now,
    pub(super) rng: &'a mut StdRng,
    tickets: &'a mut Tickets,
    outputs: Vec<Output>,
    delivered: Vec<Delivered>,
    requested: Vec<(Work, Repeat)>,
    signals: VecDeque<Signal>,
    wake_at: Option<Duration>,
    /// Something changed that another step may wait for.
    is_changed: bool,
}

impl<'a> Context<'a> {
    pub(super) fn new(now: Now, rng: &'a mut StdRng, tickets: &'a mut Tickets) -> Self {
        let (outputs, delivered) = (Vec::new(), Vec::new());
        let (requested, signals) = (Vec::new(), VecDeque::new());
        Self {
            now,
            rng,
            tickets,
            outputs,
            delivered,
            requested,
            signals,
            wake_at: None,
            is_changed: true,
        }
    }

    // ---- outputs -----------------------------------------------------------------------------

    /// Has the shell do something.
    pub(super) fn output(&mut self, output: Output) {
        self.is_changed = true;
        self.outputs.push(output);
    }

    /// Tells the faces.
    pub(super) fn emit(&mut self, event: ClientEvent) {
        self.output(Output::Event(event));
    }

    /// Tells the faces something in one quiet line.
    pub(super) fn notice(&mut self, room: Option<RoomId>, text: impl Into<String>) {
        self.emit(ClientEvent::Notice { room, text: text.into() });
    }

    /// Tells the faces loudly.
    pub(super) fn alarm(
        &mut self,
        room: Option<RoomId>,
        account: Option<AccountId>,
        cause: AlarmCause,
        text: impl Into<String>,
    ) {
        let text = text.into();
        tracing::warn!(?cause, room = room.map(|room| room.short()), "alarm");
        self.emit(ClientEvent::Alarm { room, account, cause, text });
    }

    /// Reports that the replica failed; the work goes on from memory or is tried again later.
    pub(super) fn storage_failed(&mut self, error: &StorageError) {
        tracing::warn!(%error, "the replica failed");
        self.notice(None, format!("cannot store on this machine: {error}"));
    }

    /// All outputs, and the next deadline as the last of them.
    pub(super) fn finish(mut self) -> Vec<Output> {
        let stuck_at = self.tickets.open.values().min().copied();
        if let Some(at) = [self.wake_at, stuck_at].into_iter().flatten().min() {
            self.outputs.push(Output::WakeAt(at));
        }
        self.outputs
    }

    // ---- progress ----------------------------------------------------------------------------

    /// Says that something changed that a step may wait for: every step is looked at once more.
    pub(super) fn changed(&mut self) {
        self.is_changed = true;
    }

    /// Whether something changed since this was asked last.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// Asks for work to be begun, or looked at once more if it is at work.
    pub(super) fn start(&mut self, work: Work) {
        self.requested.push((work, Repeat::WhenDone));
        self.is_changed = true;
    }

    /// Asks for work to be begun, unless it is at work: then it sees what is new by itself.
    pub(super) fn start_once(&mut self, work: Work) {
        self.requested.push((work, Repeat::Never));
        self.is_changed = true;
    }

    /// The work that was asked for.
    pub(super) fn take_requested(&mut self) -> Vec<(Work, Repeat)> {
        std::mem::take(&mut self.requested)
    }

    /// Says to the owners below that something happened.
    pub(super) fn signal(&mut self, signal: Signal) {
        self.signals.push_back(signal);
        self.is_changed = true;
    }

    /// The next thing that happened.
    pub(super) fn next_signal(&mut self) -> Option<Signal> {
        self.signals.pop_front()
    }

    /// Whether a moment has come; if not, the core is woken then.
    pub(super) fn is_due(&mut self, at: Duration) -> bool {
        if self.now.uptime >= at {
            return true;
        }
        self.wake_at = Some(self.wake_at.map_or(at, |known| known.min(at)));
        false
    }

    /// The moment that far ahead.
    pub(super) fn after(&self, pause: Duration) -> Duration {
        self.now.uptime.saturating_add(pause)
    }

    // ---- calls -------------------------------------------------------------------------------

    /// Whether the session stands.
    pub(super) fn is_online(&self) -> bool {
        self.tickets.is_online
    }

    fn next(&mut self) -> u64 {
        self.tickets.last += 1;
        self.tickets.last
    }

    /// Asks the server. Without a session the answer is [`CallError::Lost`], at once.
    pub(super) fn call(&mut self, request: Request) -> CallId {
        let id = CallId(self.next());
        if !self.tickets.is_online {
            self.delivered.push(Delivered::Reply(id, Err(CallError::Lost)));
            self.is_changed = true;
        } else if self.tickets.open.len() < REQUESTS_MAX {
            self.send(id, request);
        } else {
            self.tickets.queued.push_back((id, request));
        }
        id
    }

    fn send(&mut self, id: CallId, request: Request) {
        let stuck_at = self.after(CALL_TIMEOUT);
        self.tickets.open.insert(id, stuck_at);
        self.output(Output::Call(id, request));
    }

    /// Takes in the answer to a call, and sends the next that waits. An answer to nothing is dropped.
    pub(super) fn deliver_reply(&mut self, id: CallId, reply: Result<Reply, CallError>) {
        if self.tickets.open.remove(&id).is_none() {
            return;
        }
        self.delivered.push(Delivered::Reply(id, reply));
        self.is_changed = true;
        if let Some((id, request)) = self.tickets.queued.pop_front() {
            self.send(id, request);
        }
    }

    /// The answer to a call, if it came.
    pub(super) fn reply(&mut self, id: CallId) -> Poll<Result<Reply, CallError>> {
        take!(self, Reply, id)
    }

    /// Begins a session: calls may be sent.
    pub(super) fn begin_session(&mut self) {
        self.tickets.is_online = true;
        self.is_changed = true;
    }

    /// Ends the session: whatever is open is lost.
    pub(super) fn end_session(&mut self, error: &CallError) {
        self.tickets.is_online = false;
        let open = std::mem::take(&mut self.tickets.open).into_keys();
        let queued = std::mem::take(&mut self.tickets.queued).into_iter().map(|(id, _)| id);
        let lost: Vec<CallId> = open.chain(queued).collect();
        self.delivered.extend(lost.into_iter().map(|id| Delivered::Reply(id, Err(error.clone()))));
        for id in std::mem::take(&mut self.tickets.bulks) {
            let lost = Err(BulkFailure::Lost(error.to_string()));
            self.delivered.push(Delivered::Page(id, lost));
        }
        self.is_changed = true;
    }

    /// Ends a session in which a call has waited too long.
    pub(super) fn end_stuck_session(&mut self) -> bool {
        let stuck_at = self.tickets.open.values().min().copied();
        let is_stuck = stuck_at.is_some_and(|at| self.now.uptime >= at);
        if is_stuck {
            self.output(Output::Disconnect);
            self.end_session(&CallError::TimedOut);
        }
        is_stuck
    }

    // ---- bulk reads --------------------------------------------------------------------------

    /// Begins a long read; its first page follows.
    pub(super) fn bulk(&mut self, request: BulkRequest) -> BulkId {
        let id = BulkId(self.next());
        if self.tickets.is_online {
            self.tickets.bulks.insert(id);
            self.output(Output::Bulk(id, request));
        } else {
            let lost = Err(BulkFailure::Lost("there is no session".to_owned()));
            self.delivered.push(Delivered::Page(id, lost));
            self.is_changed = true;
        }
        id
    }

    /// Asks for the next page.
    pub(super) fn next_page(&mut self, id: BulkId) {
        if self.tickets.bulks.contains(&id) {
            self.output(Output::NextPage(id));
        }
    }

    /// Gives up a long read.
    pub(super) fn cancel_bulk(&mut self, id: BulkId) {
        if self.tickets.bulks.remove(&id) {
            self.output(Output::CancelBulk(id));
        }
    }

    /// Takes in a page.
    pub(super) fn deliver_page(&mut self, id: BulkId, page: Result<Option<Page>, BulkFailure>) {
        let is_over = !matches!(&page, Ok(Some(page)) if !page.is_last);
        let is_known =
            if is_over { self.tickets.bulks.remove(&id) } else { self.tickets.bulks.contains(&id) };
        if is_known {
            self.delivered.push(Delivered::Page(id, page));
            self.is_changed = true;
        }
    }

    /// The next page of a long read, if it came; `None` after the last.
    pub(super) fn page(&mut self, id: BulkId) -> Poll<Result<Option<Page>, BulkFailure>> {
        take!(self, Page, id)
    }

    // ---- the replica -------------------------------------------------------------------------

    /// Reads from the replica.
    pub(super) fn read(&mut self, query: Query) -> ReadId {
        let id = ReadId(self.next());
        self.output(Output::Read(id, query));
        id
    }

    /// Takes in what a query found.
    pub(super) fn deliver_found(&mut self, id: ReadId, found: Result<Found, StorageError>) {
        self.delivered.push(Delivered::Found(id, found));
        self.is_changed = true;
    }

    /// What a query found, if it is here.
    pub(super) fn found(&mut self, id: ReadId) -> Poll<Result<Found, StorageError>> {
        take!(self, Found, id)
    }

    /// The entries that a query found, if they are here.
    pub(super) fn found_entries(
        &mut self,
        id: ReadId,
    ) -> Poll<Result<Vec<super::super::record::EntryRecord>, StorageError>> {
        self.found(id).map_ok(|found| match found {
            Found::Entries(entries) => entries,
            _ => Vec::new(),
        })
    }

    /// Writes to the replica, all in one transaction. A failure is reported to the faces in any
    /// case.
    pub(super) fn write(&mut self, writes: Vec<Write>) -> WriteId {
        let id = WriteId(self.next());
        self.output(Output::Write(id, writes));
        id
    }

    /// Takes in how a write ended.
    pub(super) fn deliver_written(
        &mut self,
        id: WriteId,
        written: Result<Vec<Written>, StorageError>,
    ) {
        if let Err(error) = &written {
            self.storage_failed(error);
        }
        self.delivered.push(Delivered::Written(id, written));
        self.is_changed = true;
    }

    /// How a write ended, if it did.
    pub(super) fn written(&mut self, id: WriteId) -> Poll<Result<Vec<Written>, StorageError>> {
        take!(self, Written, id)
    }

    /// Seals messages of the outbox.
    pub(super) fn seal(&mut self, order: SealOrder) -> SealId {
        let id = SealId(self.next());
        self.output(Output::Seal(id, Box::new(order)));
        id
    }

    /// Takes in how sealing ended.
    pub(super) fn deliver_sealed(
        &mut self,
        id: SealId,
        sealed: Result<Vec<OutboxRow>, StorageError>,
    ) {
        if let Err(error) = &sealed {
            self.storage_failed(error);
        }
        self.delivered.push(Delivered::Sealed(id, sealed));
        self.is_changed = true;
    }

    /// How sealing ended, if it did.
    pub(super) fn sealed(&mut self, id: SealId) -> Poll<Result<Vec<OutboxRow>, StorageError>> {
        take!(self, Sealed, id)
    }
}
