//! The engine: one thread that owns the connection and the state of all rooms.
//!
//! Owns the order of what happens. Everything runs on one thread with a runtime of its own, so no
//! face ever waits for verification or for the disk; tasks share the state through cells that are
//! borrowed briefly, never across an await. The rules of logs and keys are those of `log` and
//! `crypto`; nothing here has an opinion of its own about what is valid.

mod agent_keys;
mod apply;
mod asks;
mod cards;
mod catch_up;
mod change;
mod chores;
mod commands;
mod core;
mod drain;
mod invites;
mod keys;
mod live;
mod marks;
mod older;
mod outbox;
mod people;
mod pump;
mod retention;
mod room;
mod seal;
mod streams;
mod views;
mod who;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout_at};

use self::core::Core;
use super::clock::Clock;
use super::command::{Command, CommandError};
use super::event::{AlarmCause, ClientEvent, ConnectionState};
use super::events::EventQueue;
use super::handle::{Ask, ClientConfig};
use super::identity::{Identity, KeyKeeper};
use super::link::{CallError, Link};
use super::replica::{DrainGuard, Replica, StorageError};
use super::trust::TrustAsk;
use crate::id::{AccountId, DeviceId, RoomId, TimeMs};
use crate::wire::{Fault, Reply, Request};

/// How often the replica is asked whether another process changed it: a pipe's message waits no
/// longer than this for the process that sends.
const STAMP_INTERVAL: Duration = Duration::from_millis(100);
/// Saying goodbye may take this long: a person waits for the prompt to come back.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(1);

/// Everything one client has, shared by its tasks.
pub(super) struct Engine {
    pub(super) address: String,
    pub(super) account: AccountId,
    pub(super) device: DeviceId,
    /// Shared with the core, which opens what is sealed to an agent.
    pub(super) identity: Rc<RefCell<Identity>>,
    pub(super) keeper: Arc<dyn KeyKeeper>,
    pub(super) invite_pin: Option<[u8; 16]>,
    pub(super) ask: Option<Arc<dyn TrustAsk>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) patience: Duration,
    pub(super) replica: Replica,
    core: RefCell<Core>,
    pub(super) link: RefCell<Option<Rc<Link>>>,
    pub(super) events: EventQueue,
    pub(super) connection: watch::Sender<ConnectionState>,
    /// Something changed that somebody may wait for.
    pub(super) changed: Notify,
    /// A person wants to connect now.
    pub(super) connect_now: Notify,
    pub(super) drain: RefCell<Option<Box<dyn DrainGuard>>>,
    pub(super) is_stopping: Cell<bool>,
    /// Whether this session has heard the heads of all rooms.
    pub(super) is_resumed: Cell<bool>,
    /// Somebody lets joiners in; who comes meanwhile is let in next.
    pub(super) admitting: Cell<Busy>,
    /// Somebody does what is due.
    pub(super) keeping: Cell<Busy>,
    /// Rooms that changed and were not told yet.
    untold: RefCell<BTreeSet<RoomId>>,
    room_changed: Notify,
    /// The room a face looked at last: it is caught up first.
    pub(super) visible: Cell<Option<RoomId>>,
}

/// Work that goes on at most once at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Busy {
    /// Nobody is at it.
    #[default]
    No,
    /// Somebody is at it.
    Yes,
    /// Somebody is at it, and begins again when done.
    Again,
}

impl Busy {
    /// Begins the work, or leaves word that there is more; `true` if the caller is to do it.
    pub(super) fn begin(cell: &Cell<Self>) -> bool {
        let was = cell.get();
        cell.set(if was == Self::No { Self::Yes } else { Self::Again });
        was == Self::No
    }

    /// Ends the work; `false` if it is to be done once more.
    pub(super) fn end(cell: &Cell<Self>) -> bool {
        let was = cell.get();
        cell.set(if was == Self::Again { Self::Yes } else { Self::No });
        was != Self::Again
    }
}

/// Starts the engine on a thread of its own.
pub(super) fn spawn(
    config: ClientConfig,
    replica: Replica,
    inbox: mpsc::Receiver<Ask>,
    events: EventQueue,
    connection: watch::Sender<ConnectionState>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("mathia-engine".to_owned()).spawn(move || {
        let closing = events.clone();
        let local = LocalSet::new();
        local.block_on(&runtime, run(config, replica, inbox, events, connection));
        closing.close();
    })?;
    Ok(())
}

async fn run(
    config: ClientConfig,
    replica: Replica,
    mut inbox: mpsc::Receiver<Ask>,
    events: EventQueue,
    connection: watch::Sender<ConnectionState>,
) {
    let (account, device) = (config.identity.account, config.identity.device());
    let identity = Rc::new(RefCell::new(config.identity));
    let core = match Core::load(Rc::clone(&identity), &replica) {
        Ok(core) => core,
        Err(error) => {
            let cause = error.to_string();
            let state = ConnectionState::Stopped { cause, is_untrusted: false };
            events.tell(ClientEvent::Connection(state.clone()));
            connection.send_replace(state);
            return;
        }
    };
    let engine = Rc::new(Engine {
        address: config.address,
        account,
        device,
        identity,
        keeper: config.keeper,
        invite_pin: config.invite_pin,
        ask: config.ask,
        clock: config.clock,
        patience: config.patience,
        replica,
        core: RefCell::new(core),
        link: RefCell::default(),
        events,
        connection,
        changed: Notify::new(),
        connect_now: Notify::new(),
        drain: RefCell::default(),
        is_stopping: Cell::new(false),
        is_resumed: Cell::new(false),
        admitting: Cell::default(),
        keeping: Cell::default(),
        untold: RefCell::default(),
        room_changed: Notify::new(),
        visible: Cell::new(None),
    });
    engine.tell_everything();
    let live = tokio::task::spawn_local(Rc::clone(&engine).live());
    let chores = tokio::task::spawn_local(Rc::clone(&engine).chores());
    let stamps = tokio::task::spawn_local(Rc::clone(&engine).watch_replica());
    let tellers = tokio::task::spawn_local(Rc::clone(&engine).tell_rooms());
    let mut stopped = None;
    while let Some(ask) = inbox.recv().await {
        match ask {
            Ask::Run(Command::Stop, answer) => {
                stopped = Some(answer);
                break;
            }
            Ask::Run(command, answer) => {
                let engine = Rc::clone(&engine);
                tokio::task::spawn_local(async move {
                    // Who asked may have gone; the command is carried out all the same.
                    drop(answer.send(engine.command(command).await));
                });
            }
            Ask::Replay(backlog) => engine.replay(backlog),
            Ask::Rebind(answer) => drop(answer.send(engine.rebind())),
        }
    }
    engine.is_stopping.set(true);
    // What arrived just now counts as delivered, also if this was a short visit. Not being able to
    // say so loses nothing: the next session does.
    drop(tokio::time::timeout(GOODBYE_PATIENCE, engine.flush_delivered()).await);
    live.abort();
    chores.abort();
    stamps.abort();
    tellers.abort();
    engine.tell_untold();
    let link = engine.link.borrow_mut().take();
    if let Some(link) = link {
        link.close_and_wait().await;
    }
    engine.drain.borrow_mut().take();
    // Answered last: a process may end on it, and the server must have heard the goodbye.
    if let Some(answer) = stopped {
        drop(answer.send(Ok(super::command::Done::Done)));
    }
}

impl Engine {
    /// The time of day.
    pub(super) fn now(&self) -> TimeMs {
        self.clock.now()
    }

    /// Tells the faces.
    pub(super) fn tell(&self, event: ClientEvent) {
        self.events.tell(event);
    }

    /// Tells the faces something in one quiet line.
    pub(super) fn notice(&self, room: Option<RoomId>, text: impl Into<String>) {
        self.tell(ClientEvent::Notice { room, text: text.into() });
    }

    /// Tells the faces loudly.
    pub(super) fn alarm(
        &self,
        room: Option<RoomId>,
        account: Option<AccountId>,
        cause: AlarmCause,
        text: impl Into<String>,
    ) {
        let text = text.into();
        tracing::warn!(?cause, room = room.map(|room| room.short()), "alarm");
        self.tell(ClientEvent::Alarm { room, account, cause, text });
    }

    /// Says that a write to the replica failed: told once per failure, and the work goes on from
    /// what is in memory or is tried again later.
    pub(super) fn storage_failed(&self, error: &StorageError) {
        tracing::warn!(%error, "the replica failed");
        self.notice(None, format!("cannot store on this machine: {error}"));
    }

    /// The session, if there is one.
    pub(super) fn link(&self) -> Option<Rc<Link>> {
        self.link.borrow().clone().filter(|link| link.is_open())
    }

    /// Asks the server; waits first until there is a session, as long as a command may.
    pub(super) async fn call(&self, request: Request) -> Result<Reply, CommandError> {
        let link = self.online().await?;
        link.call(request).await.map_err(|error| call_failed(&error))
    }

    /// Waits for a session.
    pub(super) async fn online(&self) -> Result<Rc<Link>, CommandError> {
        let mut link = None;
        let is_online = self.until(self.patience, || {
            link = self.link();
            link.is_some() || self.has_given_up()
        });
        is_online.await;
        link.ok_or_else(|| self.offline())
    }

    fn has_given_up(&self) -> bool {
        matches!(*self.connection.borrow(), ConnectionState::Stopped { .. })
    }

    /// Why there is no session.
    pub(super) fn offline(&self) -> CommandError {
        match &*self.connection.borrow() {
            ConnectionState::Stopped { cause, is_untrusted: true } => {
                CommandError::Untrusted(cause.clone())
            }
            ConnectionState::Stopped { cause, .. } => CommandError::NotLoggedIn(cause.clone()),
            ConnectionState::Offline { cause, .. } => CommandError::Offline(cause.clone()),
            _ => CommandError::Offline("no answer".to_owned()),
        }
    }

    /// Waits until a condition holds, looking whenever something changed; `false` if it does not in
    /// time.
    pub(super) async fn until(&self, patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if holds() {
                return true;
            }
            if timeout_at(deadline, changed).await.is_err() {
                return holds();
            }
        }
    }

    /// Says that something changed.
    pub(super) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// Starts a task that ends with the engine.
    pub(super) fn go<F>(self: &Rc<Self>, task: impl FnOnce(Rc<Self>) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        if !self.is_stopping.get() {
            tokio::task::spawn_local(task(Rc::clone(self)));
        }
    }

    /// Waits a random time below `limit`, so that many clients do not do the same at once.
    pub(super) async fn random_pause(&self, limit: Duration) {
        sleep(limit.mul_f64(rand::random::<f64>())).await;
    }

    fn rebind(&self) -> io::Result<()> {
        let link = self.link().ok_or_else(|| io::Error::other("there is no connection"))?;
        link.rebind()
    }

    /// Notices what other processes of this device did.
    async fn watch_replica(self: Rc<Self>) {
        let mut seen = None;
        loop {
            match self.replica.change_stamp() {
                Ok(stamp) if seen != Some(stamp) => {
                    seen = Some(stamp);
                    self.look_at_outbox();
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "the replica does not answer"),
            }
            self.take_drain();
            sleep(STAMP_INTERVAL).await;
        }
    }
}

/// What a failed call means for the command that made it.
pub(super) fn call_failed(error: &CallError) -> CommandError {
    match error {
        CallError::Fault(fault) => refused(fault),
        CallError::Lost | CallError::TimedOut => CommandError::TimedOut,
    }
}

/// What a fault means for a command.
pub(super) fn refused(fault: &Fault) -> CommandError {
    match fault {
        Fault::AuthFailed => CommandError::NotLoggedIn(fault.to_string()),
        Fault::NotFound => CommandError::NotFound(fault.to_string()),
        Fault::RateLimited { retry_after_ms } | Fault::ServerBusy { retry_after_ms } => {
            CommandError::RateLimited { retry_after_ms: *retry_after_ms }
        }
        _ => CommandError::Refused(fault.to_string()),
    }
}

/// What a failure of the replica means for a command.
pub(super) fn storage(error: &StorageError) -> CommandError {
    CommandError::Storage(error.to_string())
}
