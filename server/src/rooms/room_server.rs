//! The rules of a server in one value, without its threads, sockets and clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mathia_protocol::id::{AccountId, DeviceId, RoomNumber, TimeMs, WorkspaceId};
use mathia_protocol::wire::{BulkReply, BulkRequest, Call, Fault, Recover, Register, Registration};
use rand::CryptoRng;
use tokio::sync::oneshot;

use super::at_rest::MasterKey;
use super::batch_writer::{BatchContext, BatchWriter, BatchWriterParts};
use super::caller::Caller;
use super::job::{AdminJob, AnswerTo, Job};
use super::reads::Reads;
use super::room_writer::WriterSetting;
use super::route::Route;
use super::session_state::SessionState;
use crate::accounts::{Chains, NewAccount};
use crate::damage::Damage;
use crate::hub::{
    Bus as _, Delivery, FrameQueue, Hub, LocalBus, QueueLimits, Session, SessionEnd, SessionId,
};
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::store::{Read, Store, StoreError};

/// What a room server is made of, beside its store.
#[derive(Debug)]
pub struct RoomServerParts {
    /// Seals what is at rest.
    pub master: MasterKey,
    /// Bounds and rates.
    pub limits: Limits,
    /// Who may make accounts.
    pub registration: Registration,
    /// The workspace of all sessions.
    pub workspace: WorkspaceId,
}

/// What waits for a session, in the order in which a connection would send it.
#[derive(Debug)]
pub struct SessionOutput {
    /// The session.
    pub session: SessionId,
    /// Encoded frames; one piece may hold several.
    pub frames: Vec<Bytes>,
    /// Encoded datagrams, which a network may lose.
    pub datagrams: Vec<Bytes>,
    /// Set once the session is to end; [`RoomServer::close_session`] is still to be called.
    pub end: Option<SessionEnd>,
}

/// The rules of a server, driven step by step: the same writer, readers and hub that a running
/// server has, without anything around them that is not decided by their input.
///
/// Make one over any [`Store`], then call one method at a time: [`register`](Self::register) makes
/// accounts, [`open_session`](Self::open_session) is a login that was proven elsewhere,
/// [`handle`](Self::handle) does one request, and [`tick`](Self::tick) does what is due by
/// [`next_wakeup`](Self::next_wakeup) (and presence, once a second). Each is finished, and durable,
/// when it returns; [`take_output`](Self::take_output) then has what sessions are sent. Time and
/// randomness are arguments, so the same calls on the same store have the same effects. Dropping it
/// is a crash: one made over the same store goes on as a restarted server would. Several over one
/// store, each with its own writer, are several nodes that do not share a bus.
///
/// No call needs a runtime, starts a thread, or reads a clock.
#[derive(Debug)]
pub struct RoomServer {
    writer: BatchWriter,
    reader: ReaderBox,
    reads: Reads,
    hub: Arc<Hub>,
    bus: LocalBus,
    damage: Arc<Damage>,
    limits: Limits,
    workspace: WorkspaceId,
    sessions: BTreeMap<SessionId, SessionState>,
}

struct ReaderBox(Box<dyn Read + Send>);

impl std::fmt::Debug for ReaderBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReaderBox(..)")
    }
}

impl RoomServer {
    /// Starts over a store, whose writer it takes.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store has a writer already or fails.
    pub fn new(store: &dyn Store, parts: RoomServerParts) -> Result<Self, StoreError> {
        let RoomServerParts { master, limits, registration, workspace } = parts;
        let (master, chains) = (Arc::new(master), Arc::new(Chains::new()));
        let hub = Arc::new(Hub::new(limits.connections_per_account_max));
        let damage = Arc::new(Damage::default());
        let reader = store.reader()?;
        let setting = WriterSetting {
            realm: reader.realm()?,
            registration,
            master: Arc::clone(&master),
            chains: Arc::clone(&chains),
            limits: limits.clone(),
            damage: Arc::clone(&damage),
        };
        let writer = BatchWriter::start(BatchWriterParts {
            store: store.writer()?,
            hub: Arc::clone(&hub),
            bus: Arc::new(LocalBus::new(Arc::clone(&hub))),
            setting,
        })?;
        Ok(Self {
            writer,
            reader: ReaderBox(reader),
            reads: Reads::new(master, chains, &limits),
            bus: LocalBus::new(Arc::clone(&hub)),
            hub,
            damage,
            limits,
            workspace,
            sessions: BTreeMap::new(),
        })
    }

    /// Makes an account by a registration whose signature over the connection was checked.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: [`Refusal::Store`] only if the store has failed.
    pub fn register(
        &mut self,
        register: Register,
        now: TimeMs,
        rng: &mut dyn CryptoRng,
    ) -> Result<NewAccount, Refusal> {
        self.ask(|answer| Job::Register { register, answer }, now, rng)
    }

    /// Adds a device by a recovery whose signature over the connection was checked.
    ///
    /// # Errors
    ///
    /// [`Refusal`], as for [`Self::register`].
    pub fn recover(
        &mut self,
        recover: Recover,
        now: TimeMs,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), Refusal> {
        self.ask(|answer| Job::Recover { recover, answer }, now, rng)
    }

    /// Does what an operator asks for.
    ///
    /// # Errors
    ///
    /// [`Refusal`], as for [`Self::register`].
    pub fn administer<T>(
        &mut self,
        job: impl FnOnce(AnswerTo<T>) -> AdminJob,
        now: TimeMs,
        rng: &mut dyn CryptoRng,
    ) -> Result<T, Refusal> {
        self.ask(|answer| Job::Admin(job(answer)), now, rng)
    }

    /// Opens a session of a device that has proven who it is.
    ///
    /// # Errors
    ///
    /// [`Fault::AuthFailed`] for a device that may not log in; [`Fault::NotAllowed`] if the account
    /// has as many sessions as it may.
    pub fn open_session(
        &mut self,
        account: AccountId,
        device: DeviceId,
    ) -> Result<SessionId, Refusal> {
        let chain = self.reads.login_chain(&*self.reader.0, account)?;
        if chain.is_none_or(|chain| !chain.is_active(device)) {
            return Err(Fault::AuthFailed.into());
        }
        let frame_queue = Arc::new(FrameQueue::new(QueueLimits::from(&self.limits)));
        let session = Session { account, device, frame_queue: Arc::clone(&frame_queue) };
        let id = self
            .hub
            .enter(session)
            .map_err(|error| Refusal::Fault(Fault::NotAllowed { rule: error.to_string() }))?;
        let caller = Caller { account, device, workspace: self.workspace };
        self.sessions.insert(id, SessionState::new(id, caller, frame_queue));
        Ok(id)
    }

    /// Ends a session, by whichever side; what waits for it is lost.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store has failed.
    pub fn close_session(
        &mut self,
        session: SessionId,
        now: TimeMs,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), StoreError> {
        let Some(state) = self.sessions.remove(&session) else { return Ok(()) };
        if self.hub.leave(session, now).was_last {
            let account = state.caller.account;
            self.batch(vec![Job::LastSeen { account, time: now }], now, rng)?;
        }
        Ok(())
    }

    /// Does one request of a session; its answer is in the session's output, and what follows from
    /// it in that of others. A session that does not exist is ignored.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store has failed.
    pub fn handle(
        &mut self,
        session: SessionId,
        call: Call,
        now: TimeMs,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), StoreError> {
        let Some(state) = self.sessions.get(&session) else { return Ok(()) };
        let Call { id, request } = call;
        let (read, reads) = (&*self.reader.0, &self.reads);
        let answered = match Route::from(request) {
            Route::Change(change) => {
                let job = state.job(id, change);
                return self.batch(vec![job], now, rng);
            }
            Route::Query(query) => state.answer_query((id, &query), reads, read, now),
            Route::Resume { cursors, is_last } => {
                state.answer_resume((id, &cursors, is_last), (&self.hub, reads), read, now)
            }
            Route::SetAway { is_away } => {
                self.hub.set_away(session, is_away);
                state.frame_queue.reply(id, &mathia_protocol::wire::Reply::Done);
                Ok(())
            }
        };
        if let Err(refusal) = answered {
            state.frame_queue.fault(id, &fault_of(&self.damage, refusal, now)?);
        }
        Ok(())
    }

    /// Does a bulk read to its end: what a stream of its own would carry.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store has failed.
    pub fn bulk(
        &self,
        session: SessionId,
        request: &BulkRequest,
        now: TimeMs,
    ) -> Result<Vec<BulkReply>, StoreError> {
        let Some(state) = self.sessions.get(&session) else { return Ok(Vec::new()) };
        let read = &*self.reader.0;
        let mut pages = Vec::new();
        let mut read_all = || -> Result<(), Refusal> {
            let mut bulk = self.reads.bulk(read, state.caller.account, request)?;
            while let Some(page) = bulk.next_page(read)? {
                pages.push(page);
            }
            Ok(())
        };
        if let Err(refusal) = read_all() {
            pages.push(BulkReply::Fault(fault_of(&self.damage, refusal, now)?));
        }
        Ok(pages)
    }

    /// Passes on that somebody types, or no longer does.
    pub fn typing(&self, session: SessionId, room: RoomNumber, is_typing: bool) {
        if let Some(account) = self.hub.subscribed_account(session, room) {
            self.bus.publish(&[Delivery::Typing { room, account, is_typing }]);
        }
    }

    /// Does what is due: scheduled entries, marks, expiry, and changes of presence.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store has failed.
    pub fn tick(&mut self, now: TimeMs, rng: &mut dyn CryptoRng) -> Result<(), StoreError> {
        if self.writer.has_timer_due(now) {
            self.batch(Vec::new(), now, rng)?;
        }
        self.writer.expire_some(now)?;
        self.hub.emit_presence(now);
        Ok(())
    }

    /// When [`Self::tick`] has something to do, presence apart.
    pub fn next_wakeup(&self, now: TimeMs) -> TimeMs {
        self.writer.next_wakeup(now)
    }

    /// Takes what waits for the sessions, in the order of their opening; those for which nothing
    /// waits are left out.
    pub fn take_output(&mut self) -> Vec<SessionOutput> {
        let mut outputs = Vec::new();
        for (session, state) in &self.sessions {
            let (mut frames, mut datagrams) = (Vec::new(), Vec::new());
            let end = state.frame_queue.gather(&mut frames, &mut datagrams);
            if !frames.is_empty() || !datagrams.is_empty() || end.is_some() {
                outputs.push(SessionOutput { session: *session, frames, datagrams, end });
            }
        }
        outputs
    }

    fn ask<T>(
        &mut self,
        job: impl FnOnce(AnswerTo<T>) -> Job,
        now: TimeMs,
        rng: &mut dyn CryptoRng,
    ) -> Result<T, Refusal> {
        let (sender, mut answer) = oneshot::channel();
        self.batch(vec![job(sender)], now, rng)?;
        let answer =
            answer.try_recv().map_err(|_| StoreError::broken("a job without an answer"))?;
        Ok(answer?)
    }

    fn batch(
        &mut self,
        mut jobs: Vec<Job>,
        now: TimeMs,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), StoreError> {
        self.writer.batch(&mut jobs, BatchContext { now, rng, is_stopping: false })
    }
}

/// What a session is answered; an error only if the store has failed.
fn fault_of(damage: &Damage, refusal: Refusal, now: TimeMs) -> Result<Fault, StoreError> {
    match refusal {
        Refusal::Fault(fault) => Ok(fault),
        Refusal::Store(error @ StoreError::Rotten(_)) => Ok(damage.found(&error, now)),
        Refusal::Store(error) => Err(error),
    }
}
