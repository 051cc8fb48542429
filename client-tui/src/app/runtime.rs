//! The shell around the core: terminal, engine and clock in, effects out.
//!
//! Decides nothing. Keys come before everything else; floods are folded together before a frame is
//! drawn, at most sixty times a second and only if something changed. Nothing on this path waits
//! for a disk or a network.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{Event as TermEvent, EventStream, KeyEventKind};
use futures_util::StreamExt;
use mathia_protocol::client::{ClientEvent, ConnectionState};
use mathia_protocol::id::RoomId;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::clock::Clock;
use super::effect::Effect;
use super::join::{JoinAnswer, JoinAsk};
use super::keymap::Keymap;
use super::lanes::Lanes;
use super::message::Msg;
use super::model::{Model, Setup};
use super::session::{JoinEnd, Joiner, Session};
use super::stamp::Dial;
use super::terminal::{CLIPBOARD_LEN_MAX, Screen};
use super::theme::Theme;
use super::update::{next_deadline, start, update};

/// Time between two frames at least: about sixty a second.
const FRAME_TIME: Duration = Duration::from_millis(16);
/// Messages folded before a frame is considered.
const FOLDED_MAX: usize = 256;
/// Answers that wait to be folded.
const ANSWERS_LEN: usize = 256;
/// How long ending may take once the terminal is given back.
const ENDING_TIME: Duration = Duration::from_secs(2);

/// What the interactive client begins with.
#[derive(Debug)]
pub struct Begin {
    /// An account, or a way to make one.
    pub from: From,
    /// How stamps are shown.
    pub dial: Dial,
    /// The looks.
    pub theme: Theme,
    /// The keys.
    pub keymap: Keymap,
    /// What was being written when the client last ended.
    pub drafts: Vec<(RoomId, String)>,
}

/// An account, or a way to make one.
pub enum From {
    /// There is an account.
    Session(Session),
    /// There is none yet: link and name are asked for.
    FirstStart {
        /// Makes the account.
        joiner: Arc<dyn Joiner>,
        /// A link that was given already.
        link: Option<String>,
    },
}

impl std::fmt::Debug for From {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Session(_) => "Session(..)",
            Self::FirstStart { .. } => "FirstStart(..)",
        })
    }
}

/// Why the interactive client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The person quit.
    Quit,
    /// A signal or the end of the terminal asked for it.
    Terminated,
}

/// Runs the interactive client until the person quits.
///
/// # Errors
///
/// When the terminal cannot be used; it is restored and drafts written so far are kept.
pub async fn run(begin: Begin) -> io::Result<Ending> {
    let screen = Screen::enter()?;
    let mut shell = Shell::new(begin, screen)?;
    let ending = shell.run().await;
    let Shell { screen, lanes, .. } = shell;
    // The person has the terminal back before anything is waited for.
    drop(screen);
    if let Some(lanes) = lanes
        && tokio::time::timeout(ENDING_TIME, lanes.close()).await.is_err()
    {
        tracing::warn!("ending took too long and was cut short");
    }
    ending
}

/// Everything outside the core.
struct Shell {
    model: Model,
    clock: Clock,
    screen: Screen,
    input: EventStream,
    signals: Signals,
    lanes: Option<Lanes>,
    events: Option<mpsc::Receiver<ClientEvent>>,
    joiner: Option<Arc<dyn Joiner>>,
    /// The session of an account made just now, told by `joined`.
    joined: (mpsc::Sender<JoinEnd>, mpsc::Receiver<JoinEnd>),
    answers: (mpsc::Sender<Msg>, mpsc::Receiver<Msg>),
    is_dirty: bool,
    drawn_at: Option<Instant>,
    ending: Option<Ending>,
}

impl Shell {
    fn new(begin: Begin, screen: Screen) -> io::Result<Self> {
        let answers = mpsc::channel(ANSWERS_LEN);
        let (session, joiner, link) = match begin.from {
            From::Session(session) => (Some(session), None, None),
            From::FirstStart { joiner, link } => (None, Some(joiner), link),
        };
        let model = Model::new(Setup {
            screen: screen.size()?,
            dial: begin.dial,
            theme: begin.theme,
            keymap: begin.keymap,
            me: session.as_ref().map(|session| session.me.clone()),
            link,
            drafts: begin.drafts,
        });
        Ok(Self {
            model,
            clock: Clock::start(),
            screen,
            input: EventStream::new(),
            signals: Signals::new()?,
            lanes: session.as_ref().map(|session| Lanes::open(session, answers.0.clone())),
            events: session.map(|session| session.events),
            joiner,
            joined: mpsc::channel(1),
            answers,
            is_dirty: true,
            drawn_at: None,
            ending: None,
        })
    }

    async fn run(&mut self) -> io::Result<Ending> {
        let effects = start(&mut self.model);
        self.perform(effects)?;
        loop {
            if let Some(ending) = self.ending {
                return Ok(ending);
            }
            self.draw_if_due()?;
            let msg = self.next().await;
            self.fold(msg)?;
            self.fold_what_waits().await?;
        }
    }

    /// Draws if something changed and the last frame is old enough.
    fn draw_if_due(&mut self) -> io::Result<()> {
        let is_due = self.drawn_at.is_none_or(|drawn_at| drawn_at.elapsed() >= FRAME_TIME);
        if self.is_dirty && is_due {
            self.screen.draw(&self.model)?;
            self.is_dirty = false;
            self.drawn_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Waits for whatever happens first; of what has happened, keys come first.
    async fn next(&mut self) -> Option<Msg> {
        let wake = self.wake();
        tokio::select! {
            biased;
            event = self.input.next() => Some(match event {
                Some(Ok(event)) => of_terminal(event)?,
                Some(Err(_)) | None => Msg::Terminate,
            }),
            () = self.signals.recv() => Some(Msg::Terminate),
            Some(answer) = self.answers.1.recv() => Some(answer),
            Some(end) = self.joined.1.recv() => Some(Msg::Joined(self.take_session(end))),
            event = next_event(&mut self.events) => Some(self.of_engine(event)),
            () = tokio::time::sleep_until(wake) => Some(Msg::Tick),
        }
    }

    /// When to wake at the latest: a deadline of the model, or the next frame.
    fn wake(&self) -> Instant {
        let far = Instant::now() + Duration::from_hours(1);
        let deadline = next_deadline(&self.model).map_or(far, |run| self.clock.at(run));
        match (self.is_dirty, self.drawn_at) {
            (true, Some(drawn_at)) => deadline.min(drawn_at + FRAME_TIME),
            _ => deadline,
        }
    }

    /// Folds what has happened already, so that a flood costs one frame; a key goes first.
    async fn fold_what_waits(&mut self) -> io::Result<()> {
        for _ in 0..FOLDED_MAX {
            if self.ending.is_some() {
                return Ok(());
            }
            if let Some(event) = self.key_that_waits().await {
                let msg = event.map_or(Some(Msg::Terminate), of_terminal);
                self.fold(msg)?;
                continue;
            }
            let answer = self.answers.1.try_recv().ok();
            let mut told = || self.events.as_mut().and_then(|events| events.try_recv().ok());
            match answer.or_else(|| told().map(Msg::Client)) {
                Some(msg) => self.fold(Some(msg))?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// What the terminal has told already. The stream keeps the waker it is first asked with, so it
    /// must be the one of this task, never one that does nothing.
    async fn key_that_waits(&mut self) -> Option<io::Result<TermEvent>> {
        tokio::select! {
            biased;
            event = self.input.next() => {
                Some(event.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into())))
            }
            () = std::future::ready(()) => None,
        }
    }

    fn fold(&mut self, msg: Option<Msg>) -> io::Result<()> {
        let Some(msg) = msg else { return Ok(()) };
        if matches!(msg, Msg::Terminate) {
            self.ending = Some(Ending::Terminated);
        }
        let effects = update(&mut self.model, self.clock.now(), msg);
        self.is_dirty = true;
        self.perform(effects)
    }

    fn perform(&mut self, effects: Vec<Effect>) -> io::Result<()> {
        for effect in effects {
            match effect {
                Effect::Command { ask, command } => {
                    let lanes = self.lanes.as_ref();
                    if let Some(refused) = lanes.and_then(|lanes| lanes.command(ask, command)) {
                        self.fold(Some(refused))?;
                    }
                }
                Effect::SaveDraft { room, text } => {
                    if let Some(lanes) = &self.lanes {
                        lanes.save_draft(room, text);
                    }
                }
                Effect::Join(ask) => self.join(ask),
                Effect::Bell => self.screen.bell()?,
                Effect::Title(title) => self.screen.title(&title)?,
                Effect::Copy(text) if text.len() > CLIPBOARD_LEN_MAX => {
                    tracing::warn!("a text was too long for the clipboard");
                }
                Effect::Copy(text) => self.screen.copy(&text)?,
                Effect::Redraw => self.screen.forget()?,
                Effect::Suspend => {
                    self.screen.suspend()?;
                    let (width, height) = self.screen.size()?;
                    self.fold(Some(Msg::Resize(width, height)))?;
                    self.fold(Some(Msg::Resumed))?;
                }
                Effect::Quit => {
                    self.ending.get_or_insert(Ending::Quit);
                }
            }
        }
        Ok(())
    }

    fn join(&mut self, ask: JoinAsk) {
        let Some(joiner) = &self.joiner else { return };
        let (attempt, told) = (joiner.join(ask), self.joined.0.clone());
        tokio::spawn(async move {
            if told.send(attempt.await).await.is_err() {
                tracing::debug!("joining ended after the client did");
            }
        });
    }

    /// Takes over the session of an account made just now.
    fn take_session(&mut self, end: JoinEnd) -> JoinAnswer {
        match end {
            JoinEnd::Joined { session, words } => {
                self.lanes = Some(Lanes::open(&session, self.answers.0.clone()));
                let me = session.me.clone();
                self.events = Some(session.events);
                JoinAnswer::Joined { me, words }
            }
            JoinEnd::UnknownServer { address, fingerprint } => {
                JoinAnswer::UnknownServer { address, fingerprint }
            }
            JoinEnd::Failed { text, is_about_name } => JoinAnswer::Failed { text, is_about_name },
        }
    }

    fn of_engine(&mut self, event: Option<ClientEvent>) -> Msg {
        if event.is_none() {
            self.events = None;
        }
        Msg::Client(event.unwrap_or_else(|| {
            let cause = "the engine has ended; start mathia-tui again".to_owned();
            ClientEvent::Connection(ConnectionState::Stopped { cause, is_untrusted: false })
        }))
    }
}

/// The next event; waits for ever while there is no engine. Cancel-safe, as `recv` is.
async fn next_event(events: &mut Option<mpsc::Receiver<ClientEvent>>) -> Option<ClientEvent> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

/// What the terminal tells, as a message; releases of keys and the mouse mean nothing here.
fn of_terminal(event: TermEvent) -> Option<Msg> {
    Some(match event {
        TermEvent::Key(key) if key.kind != KeyEventKind::Release => Msg::Key(key),
        TermEvent::Paste(text) => Msg::Paste(text),
        TermEvent::Resize(width, height) => Msg::Resize(width, height),
        TermEvent::FocusGained => Msg::Focus(true),
        TermEvent::FocusLost => Msg::Focus(false),
        TermEvent::Key(_) | TermEvent::Mouse(_) => return None,
    })
}

/// The signals that ask a program to end.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn recv(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
