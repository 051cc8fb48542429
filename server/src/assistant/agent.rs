//! The agent at work: hears questions in its rooms and sees to it that each is answered once.
//!
//! Owns no rule (see [`super::judge`]) and no secret. The log and the outbox are the truth about what
//! was answered; the journal only tells a restart what had been begun.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::client::{
    Client, ClientEvent, Clock, Command, CommandError, ConnectionState, Done, EntryContent,
    EntryView, Events, NewCard, Replica, RowState, Stored,
};
use mathia_protocol::crypto::card::AgentCard;
use mathia_protocol::crypto::content::{Answer, Ask, Content, Outcome};
use mathia_protocol::id::{AccountId, DeviceId, Hash, RoomId, Seq, TimeMs};
use mathia_protocol::limits::CAUSE_LEN_MAX;
use mathia_protocol::name::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::answering::{Answering, shortened};
use super::backlog::{self, Waiting};
use super::journal::{Journal, Place};
use super::judge::{Begun, Found, Verdict, judge};
use super::provider::{Attached, Provider, Question};
use super::settled::Settled;
use crate::limits::ANSWERS_UNDER_WAY_MAX;

/// A start looks back once it has all that the server has, so that it knows its own answers; a room
/// that cannot catch up holds it up no longer than this.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(10);
/// What the disk or the engine refuses is tried again after this.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What an agent needs.
pub(super) struct Parts {
    pub(super) client: Client,
    pub(super) replica: Replica,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) account: AccountId,
    pub(super) card: NewCard,
    pub(super) clock: Arc<dyn Clock>,
    /// How long an answer waits for a new key of its room (CRYPTO B6).
    pub(super) key_patience: Duration,
}

/// The agent.
pub(super) struct Agent {
    parts: Parts,
    answering: Answering,
    promise: Hash,
    /// What earlier lives of this process have begun.
    begun: HashMap<Place, Begun>,
    /// Asks that are not answered yet.
    open: HashMap<Place, Open>,
    /// Asks that are answered or being answered: told again, they are passed over.
    met: HashSet<Place>,
    settled: Settled,
    has_looked_back: bool,
    permits: Arc<Semaphore>,
    tasks: JoinSet<Place>,
    has_card_out: bool,
}

/// A question as it stands in a log.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    asker: AccountId,
    /// `None` where only the account is known.
    handle: Option<&'a str>,
    time: TimeMs,
    ask: &'a Ask,
    /// Whether it was taken back.
    is_stopped: bool,
}

/// An ask under way.
#[derive(Debug)]
struct Open {
    asker: AccountId,
    cancel: CancellationToken,
}

impl Agent {
    pub(super) fn new(parts: Parts) -> Stored<Self> {
        let (journal, begun) = Journal::open(parts.replica.clone())?;
        let (client, provider) = (parts.client.clone(), Arc::clone(&parts.provider));
        let promise = promise(parts.account, &parts.card);
        let settled = Settled::open(parts.replica.clone())?;
        Ok(Self {
            parts,
            answering: Answering { client, provider, journal },
            promise,
            begun,
            open: HashMap::new(),
            met: HashSet::new(),
            settled,
            has_looked_back: false,
            permits: Arc::new(Semaphore::new(ANSWERS_UNDER_WAY_MAX)),
            tasks: JoinSet::new(),
            has_card_out: false,
        })
    }

    /// Works until told to stop, or until the client gives up; then says why.
    pub(super) async fn run(
        mut self,
        mut events: Events,
        ready: impl FnOnce(),
        stop: CancellationToken,
    ) -> Result<(), String> {
        let mut ready = Some(ready);
        let mut look_back_by = None;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Ok(place) = done {
                        self.settle(place);
                    }
                }
                () = sleep_until(look_back_by.unwrap_or_else(Instant::now)),
                    if look_back_by.is_some() =>
                {
                    warn!("not all rooms have caught up; looking back all the same");
                    look_back_by = None;
                    self.look_back().await.map_err(|error| error.to_string())?;
                }
                event = events.next() => match event {
                    None => return Err("the client has stopped".to_owned()),
                    Some(ClientEvent::Connection(ConnectionState::Stopped { cause, .. })) => {
                        return Err(cause);
                    }
                    Some(ClientEvent::Connection(ConnectionState::Online { is_caught_up, .. })) => {
                        if self.show_card().await && let Some(ready) = ready.take() {
                            ready();
                        }
                        if self.has_looked_back {
                            continue;
                        }
                        if is_caught_up {
                            look_back_by = None;
                            self.look_back().await.map_err(|error| error.to_string())?;
                        } else {
                            look_back_by.get_or_insert(Instant::now() + CATCH_UP_PATIENCE);
                        }
                    }
                    Some(ClientEvent::Connection(_)) => look_back_by = None,
                    Some(ClientEvent::Entry(view)) => self.hear(&view),
                    Some(_) => {}
                },
            }
        }
        // What is under way ends as a crash would end it: the journal knows.
        self.tasks.abort_all();
        drop(self.parts.client.run(Command::Stop).await);
        Ok(())
    }

    /// Tells where questions go, once a life; says whether it is told.
    async fn show_card(&mut self) -> bool {
        if !self.has_card_out {
            match self.parts.client.run(Command::PutCard(self.parts.card.clone())).await {
                Ok(_) => self.has_card_out = true,
                Err(error) => warn!(%error, "the card could not be shown"),
            }
        }
        self.has_card_out
    }

    /// Finds the questions that came while nobody was there, or whose answering was cut short.
    async fn look_back(&mut self) -> Stored<()> {
        self.has_looked_back = true;
        let handles = self.handles().await;
        let settled = |room| self.settled.upto(room);
        let found = backlog::read(&self.parts.replica, self.parts.account, settled)?;
        self.met.extend(&found.answered);
        for Waiting { place, asker, time, ask, is_stopped } in &found.waiting {
            let handle = handles.get(asker).map(String::as_str);
            let (asker, time, is_stopped) = (*asker, *time, *is_stopped);
            self.meet(*place, &Asked { asker, handle, time, ask, is_stopped });
        }
        for (room, upto) in found.upto {
            self.note_settled(room, upto);
        }
        // What the journal holds besides is answered, or its room is gone: its place is free again.
        for (place, _) in self.begun.drain() {
            self.answering.journal.forget(place)?;
        }
        Ok(())
    }

    /// By which names people are known.
    async fn handles(&self) -> HashMap<AccountId, String> {
        match self.parts.client.run(Command::People).await {
            Ok(Done::People(people)) => {
                people.into_iter().map(|person| (person.account, person.handle)).collect()
            }
            _ => HashMap::new(),
        }
    }

    fn hear(&mut self, view: &EntryView) {
        if !self.has_looked_back {
            // It stands in the replica, with the answer that it may have.
            return;
        }
        match &view.content {
            EntryContent::Said(Content::Ask(ask)) => {
                let handle = Some(view.handle.as_str());
                let (asker, time) = (view.author, view.time);
                let question = Asked { asker, handle, time, ask, is_stopped: false };
                self.meet((view.room, view.seq), &question);
            }
            EntryContent::Said(Content::Stop(stop)) => {
                let open = self.open.get(&(view.room, stop.ask));
                if let Some(open) = open.filter(|open| open.asker == view.author) {
                    open.cancel.cancel();
                }
            }
            _ => {}
        }
    }

    /// Meets a question; each is met once a life.
    fn meet(&mut self, place: Place, asked: &Asked<'_>) {
        let Asked { asker, handle, time, ask, is_stopped } = *asked;
        let is_asked = ask.agent == self.parts.account && asker != ask.agent;
        // What is settled is told again when another question shows it.
        if !is_asked || self.settled.has(place) || !self.met.insert(place) {
            return;
        }
        let begun = self.begun.remove(&place);
        let found = Found { ask, time, is_stopped, begun: begun.as_ref() };
        let verdict = judge(found, self.promise, self.servers_now());
        debug!(room = place.0.short(), ask = %place.1, ?verdict, "a question was met");
        let cancel = CancellationToken::new();
        self.open.insert(place, Open { asker, cancel: cancel.clone() });
        let (answering, permits) = (self.answering.clone(), Arc::clone(&self.permits));
        let (replica, key_patience) = (self.parts.replica.clone(), self.parts.key_patience);
        let ready = |outcome, cause: &str, text: String| {
            let source = answering.provider.source();
            let cause = shortened(cause, CAUSE_LEN_MAX);
            let (provider, model) = (source.host.clone(), source.model.clone());
            let (ask, ask_hash) = (place.1, [0; 16]);
            Answer { ask, ask_hash, outcome, cause, text, provider, model, usage: None }
        };
        let task = match verdict {
            Verdict::Answer { n_tries } => {
                let question = question(asker, handle, ask);
                Task::Answer { question, n_tries }
            }
            Verdict::Refuse(cause) => Task::Ready(ready(Outcome::Refused, &cause, String::new())),
            Verdict::Stopped => Task::Ready(ready(Outcome::Stopped, "", String::new())),
            Verdict::Interrupted(text) => {
                Task::Ready(ready(Outcome::Interrupted, "the assistant was restarted", text))
            }
        };
        self.tasks.spawn(async move {
            let answer = match task {
                Task::Ready(answer) => answer,
                Task::Answer { question, n_tries } => {
                    // Closed never: the semaphore lives as long as the agent.
                    let _permit = permits.acquire().await;
                    answering.run(place, &question, n_tries, &cancel).await
                }
            };
            deliver(&answering, &replica, place, answer, key_patience).await;
            place
        });
    }

    /// The time by the server's clock, which stamps the questions: an agent elsewhere may have a
    /// clock that is wrong.
    fn servers_now(&self) -> TimeMs {
        let ahead_ms = self.parts.replica.clock_skew_ms().ok().flatten().unwrap_or(0);
        TimeMs(self.parts.clock.now().0.saturating_add_signed(ahead_ms))
    }

    /// A question needs nothing any more.
    fn settle(&mut self, place: Place) {
        self.open.remove(&place);
        let room = place.0;
        let newest = self.met.iter().filter(|(of, _)| *of == room).map(|(_, seq)| *seq).max();
        self.note_settled(room, newest.unwrap_or(place.1));
    }

    /// Notes up to where a start need not look back: before the oldest question that is open.
    fn note_settled(&mut self, room: RoomId, upto: Seq) {
        let open = self.open.keys().filter(|(of, _)| *of == room).map(|(_, seq)| *seq).min();
        let upto = open.map_or(upto, |first| Seq(first.0.saturating_sub(1)).min(upto));
        if let Err(error) = self.settled.note(room, upto) {
            // A start then looks back further, and finds the same answers.
            warn!(%error, "cannot note what is settled");
        }
        // What lies behind the mark needs no other memory.
        let settled = &self.settled;
        self.met.retain(|place| !settled.has(*place));
    }
}

/// What a task does about a question.
enum Task {
    Ready(Answer),
    Answer { question: Question, n_tries: u8 },
}

/// Puts an answer into the durable outbox, and sees to it that a room without a key learns why
/// nothing comes.
async fn deliver(
    answering: &Answering,
    replica: &Replica,
    place: Place,
    answer: Answer,
    key_patience: Duration,
) {
    let (outcome, n_bytes) = (answer.outcome.word(), answer.text.len());
    let Some(local_id) = queue(answering, place, answer.clone()).await else { return };
    if let Err(error) = answering.journal.forget(place) {
        warn!(%error, "the journal cannot be written");
    }
    info!(room = place.0.short(), ask = %place.1, outcome, n_bytes, "a question is answered");
    if is_sent(answering, replica, local_id, key_patience).await {
        return;
    }
    let withdrawn = answering.client.run(Command::Withdraw { local_id }).await;
    if withdrawn.is_ok() {
        let cause =
            "the room needs a new key first, and nobody who can make one is here; ask again";
        let (outcome, cause) = (Outcome::Refused, cause.to_owned());
        let refusal = Answer { outcome, cause, text: String::new(), usage: None, ..answer };
        queue(answering, place, refusal).await;
    }
}

/// Queues an answer; `None` if the room is gone, so that nobody waits for it.
async fn queue(answering: &Answering, place: Place, answer: Answer) -> Option<u64> {
    loop {
        let command = Command::Answer { room: place.0, answer: Box::new(answer.clone()) };
        match answering.client.run(command).await {
            Ok(Done::Queued { local_id }) => return Some(local_id),
            Ok(_) | Err(CommandError::Stopped) => return None,
            Err(error @ (CommandError::Refused(_) | CommandError::NotFound(_))) => {
                warn!(room = place.0.short(), ask = %place.1, %error, "an answer has no place");
                return None;
            }
            Err(error) => {
                warn!(room = place.0.short(), ask = %place.1, %error, "an answer waits for the disk");
                sleep(RETRY_PAUSE).await;
            }
        }
    }
}

/// Waits until an answer has left; `false` if it still waits for a key while the server is there.
async fn is_sent(
    answering: &Answering,
    replica: &Replica,
    local_id: u64,
    patience: Duration,
) -> bool {
    let mut waited = Duration::ZERO;
    loop {
        match replica.outbox_row(local_id) {
            Ok(Some(row)) if row.state == RowState::Queued => {}
            _ => return true,
        }
        if waited >= patience {
            return false;
        }
        sleep(RETRY_PAUSE).await;
        if matches!(answering.client.connection(), ConnectionState::Online { .. }) {
            waited += RETRY_PAUSE;
        }
    }
}

fn question(asker: AccountId, handle: Option<&str>, ask: &Ask) -> Question {
    let name =
        |handle: &str, account: AccountId| handle.parse().unwrap_or_else(|_| short_name(account));
    // Somebody who has left since is known by account only.
    let asker = handle.map_or_else(|| short_name(asker), |handle| name(handle, asker));
    let attached = ask.attached.iter().map(|one| Attached {
        handle: name(&one.handle, one.author),
        time: one.time,
        text: one.text.clone(),
    });
    Question { asker, text: ask.text.clone(), attached: attached.collect() }
}

/// A name for somebody whose name is not known: the beginning of the account.
fn short_name(account: AccountId) -> Handle {
    account.short().parse().expect("hexadecimal digits are a handle by construction")
}

/// What an ask must name to be answered.
fn promise(account: AccountId, card: &NewCard) -> Hash {
    let NewCard { provider, model, is_local, operator } = card.clone();
    let (device, issued) = (DeviceId::ZERO, TimeMs(0));
    AgentCard { account, device, issued, provider, model, is_local, operator }.promise()
}
