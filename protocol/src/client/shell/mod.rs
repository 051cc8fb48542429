//! The shell of the client: acts, and decides nothing.
//!
//! Owns the engine's thread, the session, the storage thread, the clock and the timers. It gives the
//! core what happens and carries out what the core says. No face ever waits for verification or for
//! the disk.

mod bulk;
mod link;
mod storage;

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use self::bulk::Bulks;
use self::link::{Link, LinkInput};
use self::storage::{Job, Storage};
pub use self::storage::{carry_out, load};
use super::clock::Clock;
use super::command::{Command, CommandError, Done};
use super::core::{CommandId, ConnectFailure, Core, Input, Now, Output, Settings};
use super::event::{ClientEvent, ConnectionState};
use super::events::EventQueue;
use super::handle::{Ask, ClientConfig};
use super::replica::Replica;
use super::trust::TrustAsk;

/// How often the replica is asked whether another process changed it: a pipe's message waits no
/// longer than this for the process that sends.
const STAMP_INTERVAL: Duration = Duration::from_millis(100);
/// How often the round trip is measured.
const RTT_INTERVAL: Duration = Duration::from_secs(5);
/// Saying goodbye may take this long: a person waits for the prompt to come back.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(1);
/// Inputs of the session that wait; then its stream waits, and the server says where it lagged.
const INPUTS_MAX: usize = 256;
/// Storage jobs that wait before nothing more is read from the session.
const JOBS_MAX: usize = 1_024;

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
    let loaded = match load(&replica) {
        Ok(loaded) => loaded,
        Err(error) => {
            let cause = error.to_string();
            let state = ConnectionState::Stopped { cause, is_untrusted: false };
            events.emit(ClientEvent::Connection(state.clone()));
            connection.send_replace(state);
            return;
        }
    };
    let settings = Settings {
        address: config.address.clone(),
        invite_pin: config.invite_pin,
        has_trust_ask: config.ask.is_some(),
        patience: config.patience,
    };
    let Ok((storage, stored)) = Storage::start(replica, Arc::clone(&config.keeper)) else {
        return;
    };
    let login = link::Login::of(&config.address, &config.identity);
    let (session, from_session) = mpsc::channel(INPUTS_MAX);
    let mut shell = Shell {
        core: Core::new(config.identity, loaded, settings),
        rng: StdRng::from_rng(&mut rand::rng()),
        clock: config.clock,
        started: Instant::now(),
        ask: config.ask,
        login,
        events,
        connection,
        storage,
        session,
        generation: 0,
        link: None,
        bulks: Bulks::default(),
        answers: HashMap::new(),
        last_command: 0,
        wake_at: None,
    };
    shell.handle(Input::Start);
    let mut sources = Sources { from_session, stored, stamps: every(STAMP_INTERVAL) };
    let stopped = shell.serve(&mut inbox, &mut sources).await;
    shell.say_goodbye(&mut sources).await;
    // Answered last: a process may end on it, and the server must have received the goodbye.
    if let Some(answer) = stopped {
        drop(answer.send(Ok(Done::Done)));
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Where a command's answer goes.
type Answer = oneshot::Sender<Result<Done, CommandError>>;

/// Where inputs come from, besides the faces.
struct Sources {
    from_session: mpsc::Receiver<LinkInput>,
    stored: mpsc::Receiver<Vec<Input>>,
    stamps: Interval,
}

/// Everything the engine's thread owns.
struct Shell {
    core: Core,
    rng: StdRng,
    clock: Arc<dyn Clock>,
    started: Instant,
    ask: Option<Arc<dyn TrustAsk>>,
    login: link::Login,
    events: EventQueue,
    connection: watch::Sender<ConnectionState>,
    storage: Storage,
    session: mpsc::Sender<LinkInput>,
    /// Counts attempts to connect: what an earlier one still says is dropped.
    generation: u64,
    link: Option<Link>,
    bulks: Bulks,
    answers: HashMap<CommandId, Answer>,
    last_command: u64,
    wake_at: Option<Instant>,
}

impl Shell {
    /// Runs until a face stops the client, or the last of them is gone.
    async fn serve(
        &mut self,
        inbox: &mut mpsc::Receiver<Ask>,
        sources: &mut Sources,
    ) -> Option<Answer> {
        let mut rtt = every(RTT_INTERVAL);
        loop {
            tokio::select! {
                ask = inbox.recv() => match ask {
                    Some(Ask::Run(Command::Stop, answer)) => return Some(answer),
                    Some(ask) => self.accept(ask),
                    None => return None,
                },
                _ = rtt.tick() => {
                    if let Some(rtt) = self.link.as_ref().map(Link::rtt) {
                        self.handle(Input::RoundTrip(rtt));
                    }
                }
                () = self.step(sources) => {}
            }
        }
    }

    /// Waits for one input that is no face's, and handles it.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: nothing is taken that is not handled.
    async fn step(&mut self, sources: &mut Sources) {
        let Sources { from_session, stored, stamps } = sources;
        let wake_at = self.wake_at;
        let wake = async move {
            match wake_at {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        };
        let is_keeping_up = self.storage.n_waiting() < JOBS_MAX;
        tokio::select! {
            Some(inputs) = stored.recv() => {
                self.storage.batch_done();
                for input in inputs {
                    self.handle(input);
                }
                self.storage.send();
            }
            Some(input) = from_session.recv(), if is_keeping_up => self.accept_session(input),
            _ = stamps.tick() => {
                self.storage.push(Job::Look);
                self.storage.send();
            }
            () = wake => {
                self.wake_at = None;
                self.handle(Input::Wake);
            }
        }
    }

    fn accept(&mut self, ask: Ask) {
        match ask {
            Ask::Run(command, answer) => {
                self.last_command += 1;
                let id = CommandId(self.last_command);
                self.answers.insert(id, answer);
                self.handle(Input::Command(id, command));
            }
            Ask::Replay(backlog) => self.handle(Input::Replay(backlog)),
            Ask::Rebind(answer) => {
                let none = || io::Error::other("there is no connection");
                let rebound = self.link.as_ref().ok_or_else(none).and_then(Link::rebind);
                // Who asked may have gone; it is done all the same.
                drop(answer.send(rebound));
            }
        }
    }

    fn accept_session(&mut self, LinkInput { generation, input, link }: LinkInput) {
        if generation != self.generation {
            return;
        }
        if let Some(link) = link {
            self.link = Some(link);
        }
        if let Input::Disconnected { .. } = input {
            self.close();
        }
        self.handle(input);
    }

    fn now(&self) -> Now {
        Now { time: self.clock.now(), uptime: self.started.elapsed() }
    }

    /// Gives the core an input and does what it says.
    fn handle(&mut self, input: Input) {
        let now = self.now();
        self.wake_at = None;
        for output in self.core.handle(input, now, &mut self.rng) {
            self.act(output);
        }
        self.storage.send();
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Connect(expected) => {
                self.close();
                self.generation += 1;
                let (login, generation) = (self.login.clone(), self.generation);
                let session = self.session.clone();
                tokio::task::spawn_local(link::connect(login, expected, generation, session));
            }
            Output::AskTrust { pin, words } => self.ask_trust(pin, words),
            Output::Disconnect => {
                if let Some(link) = &self.link {
                    link.close();
                }
            }
            Output::Call(id, request) => {
                if let Some(link) = &self.link {
                    link.call(id, request);
                }
            }
            Output::Bulk(id, request) => {
                if let Some(link) = &self.link {
                    self.bulks.open(id, request, link.bulk_source(self.session.clone()));
                }
            }
            Output::NextPage(id) => self.bulks.next_page(id),
            Output::CancelBulk(id) => self.bulks.cancel(id),
            Output::Datagram(datagram) => {
                if let Some(link) = &self.link {
                    link.send_datagram(datagram);
                }
            }
            Output::Read(id, query) => self.storage.push(Job::Read(id, query)),
            Output::Write(id, writes) => self.storage.push(Job::Write(id, writes)),
            Output::Seal(id, order) => self.storage.push(Job::Seal(id, order)),
            Output::SaveIdentity(identity) => self.storage.push(Job::SaveIdentity(identity)),
            Output::Event(event) => {
                if let ClientEvent::Connection(state) = &event {
                    self.connection.send_replace(state.clone());
                }
                self.events.emit(event);
            }
            Output::Answer(id, result) => {
                // Who asked may have gone; the command is carried out all the same.
                if let Some(answer) = self.answers.remove(&id) {
                    drop(answer.send(result));
                }
            }
            Output::Replayed(backlog, entries, next) => {
                self.events.replay(backlog, entries, next);
            }
            Output::WakeAt(uptime) => self.wake_at = Some(self.started + uptime),
        }
    }

    fn ask_trust(&self, pin: crate::id::Hash, words: String) {
        let (Some(ask), generation) = (self.ask.clone(), self.generation) else { return };
        let (address, session) = (self.login.address.clone(), self.session.clone());
        tokio::task::spawn_local(async move {
            let asked =
                tokio::task::spawn_blocking(move || ask.is_trusted(&address, pin, &words)).await;
            let input = Input::TrustDecided(asked.unwrap_or(false));
            drop(session.send(LinkInput { generation, input, link: None }).await);
        });
    }

    /// Lets go of the session.
    fn close(&mut self) {
        self.bulks.cancel_all();
        if let Some(link) = self.link.take() {
            link.close();
        }
    }

    /// Says what can be said in one call, stores what waits, and closes the session.
    async fn say_goodbye(&mut self, sources: &mut Sources) {
        let deadline = Instant::now() + GOODBYE_PATIENCE;
        self.handle(Input::Stopping);
        // Not being able to say it loses nothing: the next session does.
        while (self.core.is_saying_goodbye() || !self.storage.is_idle())
            && tokio::time::timeout_at(deadline, self.step(sources)).await.is_ok()
        {}
        self.bulks.cancel_all();
        if let Some(link) = self.link.take() {
            link.close_and_wait().await;
        }
    }
}

impl From<super::connect::ConnectError> for ConnectFailure {
    fn from(error: super::connect::ConnectError) -> Self {
        use super::connect::ConnectError;
        use super::trust::TrustError;
        match error {
            ConnectError::Untrusted(TrustError::Unvouched { pin, words }) => {
                Self::Unvouched { pin, words }
            }
            ConnectError::Untrusted(error @ TrustError::Changed { .. }) => {
                Self::Untrusted(error.to_string())
            }
            error => Self::Retry(error.to_string()),
        }
    }
}
