//! Gives commands to the engine off the draw path: texts in the order they were written, small
//! signals in their own order, everything else side by side. Every queue has a bound.

use std::sync::Arc;

use mathia_protocol::client::{Command, CommandError, Done};
use mathia_protocol::id::RoomId;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::effect::CommandTag;
use super::message::Msg;
use super::session::{Drafts, Engine, Session};

/// Things waiting in one queue.
const QUEUE_LEN: usize = 256;
/// Commands under way side by side.
const BESIDE_MAX: usize = 64;

/// A thing to do in order.
enum Job {
    Command(CommandTag, Box<Command>),
    Draft(RoomId, String),
}

/// The ways to the engine.
pub(crate) struct CommandQueues {
    engine: Arc<dyn Engine>,
    texts: mpsc::Sender<Job>,
    signals: mpsc::Sender<Job>,
    answers: mpsc::Sender<Msg>,
    beside: TaskTracker,
}

impl CommandQueues {
    /// Opens the lanes to a session's engine; answers go to `answers`.
    pub(crate) fn open(session: &Session, answers: mpsc::Sender<Msg>) -> Self {
        let beside = TaskTracker::new();
        let queue = || {
            let (sender, jobs) = mpsc::channel(QUEUE_LEN);
            let engine = Arc::clone(&session.engine);
            let drafts = Arc::clone(&session.drafts);
            beside.spawn(work(jobs, engine, drafts, answers.clone()));
            sender
        };
        let (texts, signals) = (queue(), queue());
        Self { engine: Arc::clone(&session.engine), texts, signals, answers, beside }
    }

    /// Gives a command; returns at once, with the refusal if there is no room for it.
    pub(crate) fn command(&self, tag: CommandTag, command: Command) -> Option<Msg> {
        let queue = match &command {
            Command::Send { .. }
            | Command::Withdraw { .. }
            | Command::Ask(_)
            | Command::React(_)
            | Command::StopAnswer { .. } => &self.texts,
            Command::MarkRead { .. }
            | Command::Typing(_)
            | Command::TypingStopped(_)
            | Command::SetAway(_) => &self.signals,
            _ => return self.beside(tag, command),
        };
        let job = Job::Command(tag, Box::new(command));
        match queue.try_send(job) {
            Err(mpsc::error::TrySendError::Full(Job::Command(tag, _))) => {
                Some(Msg::NotQueued { tag })
            }
            Ok(()) | Err(_) => None,
        }
    }

    /// Keeps a draft, after the texts written before it.
    pub(crate) fn save_draft(&self, room: RoomId, text: String) {
        if self.texts.try_send(Job::Draft(room, text)).is_err() {
            // The next pause saves it again.
            tracing::warn!("a draft was not saved: too much is waiting");
        }
    }

    /// Waits until everything in order is done; the caller sets the deadline.
    pub(crate) async fn close(self) {
        let Self { engine, texts, signals, answers, beside } = self;
        drop((texts, signals, answers));
        beside.close();
        beside.wait().await;
        if let Err(error) = engine.command(Command::Stop).await {
            tracing::debug!(%error, "the engine did not stop in good order");
        }
    }

    fn beside(&self, tag: CommandTag, command: Command) -> Option<Msg> {
        if self.beside.len() >= BESIDE_MAX {
            return Some(Msg::NotQueued { tag });
        }
        let answer = self.engine.command(command);
        let answers = self.answers.clone();
        self.beside.spawn(async move { send_answer(&answers, tag, answer.await).await });
        None
    }
}

async fn work(
    mut jobs: mpsc::Receiver<Job>,
    engine: Arc<dyn Engine>,
    drafts: Arc<dyn Drafts>,
    answers: mpsc::Sender<Msg>,
) {
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Command(tag, command) => {
                let result = engine.command(*command).await;
                send_answer(&answers, tag, result).await;
            }
            Job::Draft(room, text) => drafts.save(room, text).await,
        }
    }
}

async fn send_answer(
    answers: &mpsc::Sender<Msg>,
    tag: CommandTag,
    result: Result<Done, CommandError>,
) {
    if answers.send(Msg::Answer { tag, result }).await.is_err() {
        tracing::debug!("an answer came after the end");
    }
}
