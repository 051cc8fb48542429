//! The shell around the core: terminal, engine and clock in, effects out.
//!
//! Decides nothing. Keys come before everything else and are seen at once; floods are folded together
//! before a frame is drawn, at most sixty times a second and only if something changed. Nothing on
//! this path waits for a disk or a network.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::client::ClientEvent;
use mathia_protocol::id::RoomId;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::clock::Clock;
use super::command_queues::CommandQueues;
use super::effect::Effect;
use super::input::{Input, InputEvent};
use super::join::{JoinAnswer, JoinAsk, PendingJoin};
use super::keymap::Keymap;
use super::message::Msg;
use super::model::{Model, Setup};
use super::session::{JoinEnd, Joiner, Session};
use super::signals::Signals;
use super::stamp::TimeFormat;
use super::terminal::{Screen, ask_about_keys};
use super::theme::Theme;
use super::update::{next_deadline, start, update};

/// Time between two frames at least: about sixty a second.
const FRAME_TIME: Duration = Duration::from_millis(16);
/// Time between two frames of which the second shows nothing new but more of an answer: twenty a
/// second read as smoothly, and many answers at once cost no more than one.
const ANSWER_FRAME_TIME: Duration = Duration::from_millis(50);
/// How long the first frame waits for what the terminal answers. A longer wait would be seen, and
/// answers that come later are taken as well.
const ANSWER_TIME: Duration = Duration::from_millis(100);
/// Messages folded before a frame is considered.
const FOLDED_MAX: usize = 256;
/// Answers that wait to be folded.
const ANSWERS_LEN: usize = 256;
/// How long ending may take once the terminal is given back.
const ENDING_TIME: Duration = Duration::from_secs(2);

/// What the interactive client begins with.
#[derive(Debug)]
pub struct StartOptions {
    /// An account, or a way to make one.
    pub start: Start,
    /// How stamps are shown.
    pub time_format: TimeFormat,
    /// The looks.
    pub theme: Theme,
    /// Whether the terminal is asked for its background, and the looks follow it.
    pub follows_background: bool,
    /// The keys.
    pub keymap: Keymap,
    /// What is wrong with the configuration; shown when the client starts.
    pub warnings: Vec<String>,
    /// What was being written when the client last ended.
    pub drafts: Vec<(RoomId, String)>,
}

/// An account, or a way to make one.
pub enum Start {
    /// There is an account.
    Session(Session),
    /// There is none yet: link and name are asked for.
    FirstRun {
        /// Makes the account.
        joiner: Arc<dyn Joiner>,
        /// A join that was begun here before and not answered.
        pending_join: Option<PendingJoin>,
    },
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Session(_) => "Session(..)",
            Self::FirstRun { .. } => "FirstRun(..)",
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
pub async fn run(options: StartOptions) -> io::Result<Ending> {
    let screen = Screen::enter()?;
    let mut shell = Shell::new(options, screen)?;
    let ending = shell.run().await;
    let Shell { screen, queues, .. } = shell;
    // The person has the terminal back before anything is waited for.
    drop(screen);
    if let Some(queues) = queues
        && tokio::time::timeout(ENDING_TIME, queues.close()).await.is_err()
    {
        tracing::warn!("ending took too long and was cut short");
    }
    ending
}

/// What happened since the last frame, by how long a frame for it may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum FrameUrgency {
    Nothing,
    /// More of an answer.
    Growth,
    Change,
    /// A key: it does not wait for its frame.
    Key,
}

/// Everything outside the core.
struct Shell {
    model: Model,
    clock: Clock,
    screen: Screen,
    input: Input,
    signals: Signals,
    queues: Option<CommandQueues>,
    events: Option<mpsc::Receiver<ClientEvent>>,
    joiner: Option<Arc<dyn Joiner>>,
    /// How attempts to join end.
    joined: (mpsc::Sender<JoinEnd>, mpsc::Receiver<JoinEnd>),
    answers: (mpsc::Sender<Msg>, mpsc::Receiver<Msg>),
    frame_urgency: FrameUrgency,
    drawn_at: Option<Instant>,
    follows_background: bool,
    ending: Option<Ending>,
}

impl Shell {
    fn new(options: StartOptions, mut screen: Screen) -> io::Result<Self> {
        let follows_background = options.follows_background;
        // In this order: a terminal that answers the second question has answered the first.
        if follows_background {
            screen.ask_about_background()?;
        }
        let input = Input::new(ask_about_keys(), follows_background);
        let answers = mpsc::channel(ANSWERS_LEN);
        let (session, joiner, unfinished) = match options.start {
            Start::Session(session) => (Some(session), None, None),
            Start::FirstRun { joiner, pending_join } => (None, Some(joiner), pending_join),
        };
        let model = Model::new(Setup {
            screen: screen.size()?,
            time_format: options.time_format,
            theme: options.theme,
            keymap: options.keymap,
            me: session.as_ref().map(|session| session.me.clone()),
            pending_join: unfinished,
            drafts: options.drafts,
            warnings: options.warnings,
        });
        Ok(Self {
            model,
            clock: Clock::start(),
            screen,
            input,
            signals: Signals::new()?,
            queues: session.as_ref().map(|session| CommandQueues::open(session, answers.0.clone())),
            events: session.map(|session| session.events),
            joiner,
            joined: mpsc::channel(1),
            answers,
            frame_urgency: FrameUrgency::Change,
            drawn_at: None,
            follows_background,
            ending: None,
        })
    }

    async fn run(&mut self) -> io::Result<Ending> {
        let effects = start(&mut self.model);
        self.perform(effects)?;
        self.read_terminal_answers().await?;
        loop {
            if let Some(ending) = self.ending {
                return Ok(ending);
            }
            self.draw_if_due()?;
            let event = self.next().await;
            self.receive(event)?;
            self.fold_what_waits().await?;
        }
    }

    /// Waits for what the terminal answers, and for what was typed before, so that the first frame
    /// shows it.
    async fn read_terminal_answers(&mut self) -> io::Result<()> {
        let answer = tokio::time::timeout(ANSWER_TIME, self.input.keys_apart()).await;
        if let Ok(Some(has_key_flags)) = answer {
            self.screen.set_keys_apart(has_key_flags)?;
            self.fold_what_waits().await?;
        }
        Ok(())
    }

    /// Draws if something changed and the last frame is old enough, or a key was pressed.
    fn draw_if_due(&mut self) -> io::Result<()> {
        if self.frame_due().is_some_and(|due| due <= Instant::now()) {
            self.screen.draw(&self.model)?;
            self.frame_urgency = FrameUrgency::Nothing;
            self.drawn_at = Some(Instant::now());
        }
        Ok(())
    }

    /// When the next frame may be drawn; `None` while nothing changed.
    fn frame_due(&self) -> Option<Instant> {
        let pause = match self.frame_urgency {
            FrameUrgency::Nothing => return None,
            FrameUrgency::Growth => ANSWER_FRAME_TIME,
            FrameUrgency::Change => FRAME_TIME,
            FrameUrgency::Key => Duration::ZERO,
        };
        Some(self.drawn_at.map_or_else(Instant::now, |drawn_at| drawn_at + pause))
    }

    /// Waits for whatever happens first; of what has happened, keys come first.
    async fn next(&mut self) -> InputEvent {
        let wake = self.wake();
        InputEvent::Msg(tokio::select! {
            biased;
            event = self.input.next() => return event,
            () = self.signals.recv() => Msg::Terminate,
            Some(answer) = self.answers.1.recv() => answer,
            Some(end) = self.joined.1.recv() => Msg::Joined(self.take_session(end)),
            event = next_event(&mut self.events) => self.of_engine(event),
            () = tokio::time::sleep_until(wake) => Msg::Tick,
        })
    }

    /// When to wake at the latest: a deadline of the model, or the next frame.
    fn wake(&self) -> Instant {
        let far = Instant::now() + Duration::from_hours(1);
        let deadline = next_deadline(&self.model).map_or(far, |run| self.clock.at(run));
        self.frame_due().map_or(deadline, |due| deadline.min(due))
    }

    /// Folds what has happened already, so that a flood costs one frame; a key goes first.
    async fn fold_what_waits(&mut self) -> io::Result<()> {
        for _ in 0..FOLDED_MAX {
            if self.ending.is_some() {
                return Ok(());
            }
            if let Some(event) = self.input_ready().await {
                self.receive(event)?;
                continue;
            }
            if self.frame_urgency == FrameUrgency::Key {
                return Ok(());
            }
            let answer = self.answers.1.try_recv().ok();
            let mut reported = || self.events.as_mut().and_then(|events| events.try_recv().ok());
            match answer.or_else(|| reported().map(Msg::Client)) {
                Some(msg) => self.fold(msg)?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// An event that is there already. The stream keeps the waker of its first poll, so that must be
    /// the one of this task, never one that does nothing.
    async fn input_ready(&mut self) -> Option<InputEvent> {
        tokio::select! {
            biased;
            event = self.input.next() => Some(event),
            () = std::future::ready(()) => None,
        }
    }

    fn receive(&mut self, event: InputEvent) -> io::Result<()> {
        match event {
            InputEvent::KeysApart(has_key_flags) => self.screen.set_keys_apart(has_key_flags),
            InputEvent::Msg(msg) => {
                if matches!(msg, Msg::Focus(true)) && self.input.knows_background {
                    // Meanwhile the day may have become night.
                    self.ask_about_background()?;
                }
                self.fold(msg)
            }
        }
    }

    fn ask_about_background(&mut self) -> io::Result<()> {
        if self.follows_background {
            self.screen.ask_about_background()?;
            self.input.listen();
        }
        Ok(())
    }

    fn fold(&mut self, msg: Msg) -> io::Result<()> {
        if matches!(msg, Msg::Terminate) {
            self.ending = Some(Ending::Terminated);
        }
        self.frame_urgency = self.frame_urgency.max(match msg {
            Msg::Key(_) | Msg::Paste(_) => FrameUrgency::Key,
            Msg::Client(ClientEvent::Stream(_)) => FrameUrgency::Growth,
            _ => FrameUrgency::Change,
        });
        let effects = update(&mut self.model, self.clock.now(), msg);
        self.perform(effects)
    }

    fn perform(&mut self, effects: Vec<Effect>) -> io::Result<()> {
        for effect in effects {
            match effect {
                Effect::Command { tag, command } => {
                    let queues = self.queues.as_ref();
                    if let Some(refused) = queues.and_then(|queues| queues.command(tag, command)) {
                        self.fold(refused)?;
                    }
                }
                Effect::SaveDraft { room, text } => {
                    if let Some(queues) = &self.queues {
                        queues.save_draft(room, text);
                    }
                }
                Effect::Join(ask) => self.join(ask),
                Effect::Bell => self.screen.bell()?,
                Effect::Title(title) => self.screen.title(&title)?,
                Effect::Copy(text) => self.screen.copy(&text)?,
                Effect::Redraw => self.screen.forget()?,
                Effect::Suspend => {
                    self.screen.suspend()?;
                    let (width, height) = self.screen.size()?;
                    self.fold(Msg::Resize(width, height))?;
                    self.fold(Msg::Resumed)?;
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
        let (attempt, ends) = (joiner.join(ask), self.joined.0.clone());
        tokio::spawn(async move {
            if ends.send(attempt.await).await.is_err() {
                tracing::debug!("joining ended after the client did");
            }
        });
    }

    /// Starts to use the session of an account that was just made.
    fn take_session(&mut self, end: JoinEnd) -> JoinAnswer {
        match end {
            JoinEnd::Joined { session, words } => {
                self.queues = Some(CommandQueues::open(&session, self.answers.0.clone()));
                let me = session.me.clone();
                self.events = Some(session.events);
                JoinAnswer::Joined { me, words }
            }
            JoinEnd::UnknownServer { address, fingerprint } => {
                JoinAnswer::UnknownServer { address, fingerprint }
            }
            JoinEnd::Failed { text, is_about_link } => JoinAnswer::Failed { text, is_about_link },
        }
    }

    fn of_engine(&mut self, event: Option<ClientEvent>) -> Msg {
        if event.is_none() {
            self.events = None;
        }
        event.map_or(Msg::EngineEnded, Msg::Client)
    }
}

/// The next event; waits for ever while there is no engine. Cancel-safe, as `recv` is.
async fn next_event(events: &mut Option<mpsc::Receiver<ClientEvent>>) -> Option<ClientEvent> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}
