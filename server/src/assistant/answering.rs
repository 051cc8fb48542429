//! One answer from the question to its end: the model asked, the pieces sent, the journal kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mathia_protocol::client::{Client, Command};
use mathia_protocol::crypto::content::{Answer, Outcome, Usage};
use mathia_protocol::limits::{ANSWER_TEXT_LEN_MAX, CARD_TEXT_LEN_MAX, CAUSE_LEN_MAX};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::journal::{Journal, LogPosition};
use super::judge::Begun;
use super::pace::Pace;
use super::provider::{
    FinishReason, Finished, Provider, ProviderError, Question, Usage as Counted, estimate,
};

/// The whole of an answer takes no longer: what is slower than this nobody waits for.
const ANSWER_TIME_MAX: Duration = Duration::from_mins(10);
/// How often what people see is noted, for a restart.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);

/// What an answer is made with.
#[derive(Debug, Clone)]
pub(super) struct Answering {
    pub(super) client: Client,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) journal: Journal,
}

/// How the asking of the model ended.
enum Ended {
    Finished(Result<Finished, ProviderError>),
    Stopped,
    TooLong,
    TooSlow,
}

/// How far what people see is noted.
#[derive(Debug, Default)]
struct Noted {
    len: usize,
    at: Option<Instant>,
}

impl Noted {
    /// When the next note is due: the first text at once, then once a second as long as more comes.
    fn due(&self, len: usize, now: Instant) -> Option<Instant> {
        let is_more = self.len < len;
        is_more.then(|| self.at.map_or(now, |at| (at + NOTE_INTERVAL).max(now)))
    }
}

impl Answering {
    /// Answers a question, and streams to who is there.
    pub(super) async fn run(
        &self,
        place: LogPosition,
        question: &Question,
        n_tries: u8,
        cancel: &CancellationToken,
    ) -> Answer {
        self.note(place, &Begun { n_tries, text: String::new() });
        let said = Arc::new(Mutex::new(Pace::default()));
        let ended = self.ask(place, question, n_tries, cancel, &said).await;
        let text = std::mem::take(&mut *lock(&said)).into_text();
        self.conclude(place, question, &text, ended)
    }

    async fn ask(
        &self,
        place: LogPosition,
        question: &Question,
        n_tries: u8,
        cancel: &CancellationToken,
        said: &Arc<Mutex<Pace>>,
    ) -> Ended {
        let (room, ask) = place;
        let bell = Arc::new(Notify::new());
        let mut sink = {
            let (said, bell) = (Arc::clone(said), Arc::clone(&bell));
            move |piece: &str| {
                lock(&said).add(piece);
                bell.notify_one();
            }
        };
        // Dropped on every way out, which closes the connection to the model.
        let mut answering = self.provider.answer(question, &mut sink);
        let mut deadline = std::pin::pin!(sleep(ANSWER_TIME_MAX));
        let mut sending = None;
        let mut noted = Noted::default();
        loop {
            let now = Instant::now();
            let due = lock(said).due(now).filter(|_| sending.is_none());
            let note_due = noted.due(lock(said).text().len(), now);
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Ended::Stopped,
                finished = &mut answering => return Ended::Finished(finished),
                () = &mut deadline => return Ended::TooSlow,
                () = bell.notified() => {}
                () = sent(&mut sending) => sending = None,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let piece = lock(said).take(Instant::now());
                    sending = piece.map(|text| {
                        let (client, stream) = (self.client.clone(), Command::Stream { room, ask, text });
                        // A piece that nobody hears is made up for by the whole.
                        Box::pin(async move { drop(client.run(stream).await) })
                    });
                }
                // Last: a piece that waits leaves before the disk is waited for.
                () = sleep_until(note_due.unwrap_or_else(Instant::now)), if note_due.is_some() => {
                    let text = shortened(lock(said).text(), ANSWER_TEXT_LEN_MAX);
                    noted = Noted { len: text.len(), at: Some(Instant::now()) };
                    self.note(place, &Begun { n_tries, text });
                }
            }
            if lock(said).text().len() > ANSWER_TEXT_LEN_MAX {
                return Ended::TooLong;
            }
        }
    }

    fn note(&self, place: LogPosition, begun: &Begun) {
        if let Err(error) = self.journal.note(place, begun) {
            tracing::warn!(%error, "the journal cannot be written");
        }
    }

    /// What people get, from how it ended and what had come.
    fn conclude(
        &self,
        place: LogPosition,
        question: &Question,
        text: &str,
        ended: Ended,
    ) -> Answer {
        let has_text = !text.is_empty();
        let broken = if has_text { Outcome::Interrupted } else { Outcome::Refused };
        let mut model = None;
        let (outcome, cause, usage) = match ended {
            Ended::Finished(Ok(finished)) => {
                let outcome = match finished.ending {
                    _ if text.len() > ANSWER_TEXT_LEN_MAX => Outcome::CutOff,
                    FinishReason::Complete => Outcome::Complete,
                    FinishReason::CutOff => Outcome::CutOff,
                    FinishReason::Filtered => Outcome::Filtered,
                };
                model = Some(finished.model);
                (outcome, too_long(text), Some(finished.usage))
            }
            Ended::Finished(Err(error)) => {
                let usage = error.arrived.usage;
                model.clone_from(&error.arrived.model);
                (broken, error.to_string(), usage)
            }
            Ended::Stopped => (Outcome::Stopped, String::new(), Some(guess(question, text))),
            Ended::TooLong => (Outcome::CutOff, too_long(text), Some(guess(question, text))),
            Ended::TooSlow => {
                let cause = format!("it took longer than {} min", ANSWER_TIME_MAX.as_secs() / 60);
                (broken, cause, Some(guess(question, text)))
            }
        };
        let source = self.provider.source();
        let usage = usage.filter(|_| !source.host.is_empty());
        let host = if source.host.is_empty() { source.provider } else { &source.host };
        Answer {
            ask: place.1,
            // Filled in by the engine, which has the entry.
            ask_hash: [0; 16],
            outcome,
            cause: shortened(&cause, CAUSE_LEN_MAX),
            text: shortened(text, ANSWER_TEXT_LEN_MAX),
            provider: shortened(host, CARD_TEXT_LEN_MAX),
            model: shortened(model.as_deref().unwrap_or(&source.model), CARD_TEXT_LEN_MAX),
            usage: usage.map(counted),
        }
    }
}

/// Waits for what is being sent; for ever when nothing is.
async fn sent<F: Future<Output = ()> + Unpin>(sending: &mut Option<F>) {
    match sending {
        Some(sending) => sending.await,
        None => std::future::pending().await,
    }
}

fn lock(said: &Mutex<Pace>) -> MutexGuard<'_, Pace> {
    // Every change of it is one call, so a panic elsewhere leaves it whole.
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why the end of a text is not there; nothing where it is.
fn too_long(text: &str) -> String {
    let is_too_long = text.len() > ANSWER_TEXT_LEN_MAX;
    if is_too_long { "the answer is longer than a message holds".to_owned() } else { String::new() }
}

/// What an answer took that nobody counted.
fn guess(question: &Question, text: &str) -> Counted {
    let texts = question.attached.iter().map(|one| one.text.len()).chain([question.text.len()]);
    let (prompt, completion) = (estimate::prompt_tokens(texts), estimate::tokens(text.len()));
    Counted { prompt, completion, total: prompt.saturating_add(completion), is_estimated: true }
}

fn counted(usage: Counted) -> Usage {
    let Counted { prompt, completion, total, is_estimated } = usage;
    Usage { prompt, completion, total, is_estimated }
}

pub(super) fn shortened(text: &str, len_max: usize) -> String {
    text[..text.floor_char_boundary(len_max)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_see_is_noted_soon_and_not_all_the_time() {
        let now = Instant::now();
        let mut noted = Noted::default();
        assert_eq!(noted.due(0, now), None);
        assert_eq!(noted.due(3, now), Some(now), "the first text at once");
        noted = Noted { len: 3, at: Some(now) };
        assert_eq!(noted.due(3, now + 3 * NOTE_INTERVAL), None, "nothing came since");
        assert_eq!(noted.due(4, now), Some(now + NOTE_INTERVAL));
        let late = now + 3 * NOTE_INTERVAL;
        assert_eq!(noted.due(4, late), Some(late));
    }
}
