//! Answers of the assistant on their way: how long the first piece takes from the model to the
//! asker's screen, and what twenty answers at once do to a room that has nothing to do with them.
//!
//! ```text
//! load ask server_bin=FILE data=DIR [core=N] [seconds=10] [n=200]
//! ```
//!
//! With a server of its own, and its assistant, on core `core`; model and people are here. The model
//! writes the time into what it says.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mathia_protocol::client::{ClientEvent, EntryContent, StreamView};
use mathia_protocol::crypto::content::{Answer, Content, Outcome};
use mathia_protocol::id::{RoomId, Seq};
use tokio::sync::Notify;

use super::latency;
use crate::asks::model::{Model, Talk};
use crate::asks::person::Person;
use crate::asks::town::Town;
use crate::measure::{Latencies, Report};
use crate::{Failure, Options};

const NAMES: [&str; 4] = ["ann", "bob", "cleo", "dan"];
/// Answers that stream at once.
const N_STREAMS: usize = 20;
/// How long the model thinks before its first piece.
const THINKING: Duration = Duration::from_millis(20);
/// From the first piece to the last, longer than pieces are held together.
const TALKING: Duration = Duration::from_millis(80);
/// A model says about forty pieces a second.
const PIECE_INTERVAL: Duration = Duration::from_millis(25);
/// Nothing on loopback takes longer than this.
const DEADLINE: Duration = Duration::from_secs(20);
/// What a question says whose answer goes on until everything is measured.
const LONG: &str = "at length";

/// What everybody here shares: the model's clock, and what was heard.
struct Stage {
    begun: Instant,
    is_over: Cell<bool>,
    streaming: RefCell<HashSet<(RoomId, Seq)>>,
    n_pieces: Cell<u64>,
    answered: RefCell<HashSet<(RoomId, Seq)>>,
    latencies: RefCell<Latencies>,
    failure: RefCell<Option<String>>,
    changed: Notify,
}

pub(crate) async fn run(values: &HashMap<String, String>) -> Result<String, Failure> {
    let number =
        |key: &str, default: u64| values.get(key).map_or(Ok(default), |text| text.parse::<u64>());
    let (seconds, n_asks) = (number("seconds", 10)?, usize::try_from(number("n", 200)?)?);
    let stage = Rc::new(Stage {
        begun: Instant::now(),
        is_over: Cell::new(false),
        streaming: RefCell::default(),
        n_pieces: Cell::new(0),
        answered: RefCell::default(),
        latencies: RefCell::default(),
        failure: RefCell::default(),
        changed: Notify::new(),
    });
    let clock = Rc::clone(&stage);
    let model = Model::start(move |question, talk| talk_on(question, talk, Rc::clone(&clock)));
    let town = Town::start(values, &model.await?, NAMES.len()).await?;
    let mut people = Vec::new();
    for name in NAMES {
        let stage = Rc::clone(&stage);
        people.push(town.settles(name, move |event| stage.hears(&event)).await?);
    }
    let (p50_ms, p99_ms) = first_pieces(&stage, &people, n_asks).await?;

    let options = Options {
        server: town.server.address()?,
        seconds,
        pid: town.server.pid(),
        ..Options::default()
    };
    let alone = latency::measure(&options).await?;
    stream_everywhere(&stage, &people).await?;
    let (n_before, begun) = (stage.n_pieces.get(), Instant::now());
    let beside = latency::measure(&Options { offset: 1_000, ..options }).await?;
    let pieces_per_s = (stage.n_pieces.get() - n_before) as f64 / begun.elapsed().as_secs_f64();
    stage.is_over.set(true);
    stage.until("an answer does not end", || stage.n_answered() == n_asks + N_STREAMS).await?;
    Ok(Report::default()
        .number("first_delta_p50_ms", p50_ms)
        .number("first_delta_p99_ms", p99_ms)
        .number("w4_p50_ms", alone.p50_ms)
        .number("w4_p99_ms", alone.p99_ms)
        .number("w4_p50_streaming_ms", beside.p50_ms)
        .number("w4_p99_streaming_ms", beside.p99_ms)
        .number("times", beside.p99_ms / alone.p99_ms.max(f64::MIN_POSITIVE))
        .number("pieces_heard_per_s", pieces_per_s)
        .number("lost", (alone.n_lost + beside.n_lost) as f64)
        .finish())
}

/// Asks one question after the other.
async fn first_pieces(
    stage: &Stage,
    people: &[Person],
    n_asks: usize,
) -> Result<(f64, f64), Failure> {
    let room = people[0].makes_room("first", false, &[]).await?;
    for n in 1..=n_asks {
        people[0].asks(room, "and now?", 0).await?;
        stage.until("an answer does not come", || stage.n_answered() == n).await?;
    }
    if stage.streaming.borrow().len() != n_asks {
        return Err("an answer came whole, without its first piece".into());
    }
    let mut latencies = stage.latencies.take();
    Ok((latencies.percentile_ms(50), latencies.percentile_ms(99)))
}

/// Has twenty answers begun that go on, in a room of two people each.
async fn stream_everywhere(stage: &Stage, people: &[Person]) -> Result<(), Failure> {
    stage.streaming.borrow_mut().clear();
    for n in 0..N_STREAMS {
        let (asker, other) = (&people[n % people.len()], NAMES[(n + 1) % people.len()]);
        let room = asker.makes_room(&format!("stream-{n}"), false, &[other]).await?;
        asker.asks(room, LONG, 0).await?;
    }
    let all_stream = || stage.streaming.borrow().len() == N_STREAMS;
    stage.until("not every answer begins", all_stream).await
}

/// The model.
async fn talk_on(question: String, mut talk: Talk, stage: Rc<Stage>) -> io::Result<()> {
    talk.begins().await?;
    tokio::time::sleep(THINKING).await;
    talk.says(&format!("{} ", stage.begun.elapsed().as_micros())).await?;
    if question.contains(LONG) {
        let mut ticks = tokio::time::interval(PIECE_INTERVAL);
        while !stage.is_over.get() {
            ticks.tick().await;
            talk.says("and so on ").await?;
        }
    } else {
        tokio::time::sleep(TALKING).await;
        talk.says("that is all").await?;
    }
    talk.ends().await
}

impl Stage {
    fn hears(&self, event: &ClientEvent) {
        match event {
            ClientEvent::Stream(view) => self.hears_piece(view),
            ClientEvent::Entry(view) => {
                if let EntryContent::Said(Content::Answer(answer)) = &view.content {
                    self.hears_answer(view.room, answer);
                }
            }
            _ => return,
        }
        self.changed.notify_waiters();
    }

    fn hears_piece(&self, view: &StreamView) {
        let now = self.begun.elapsed();
        self.n_pieces.set(self.n_pieces.get() + 1);
        if !self.streaming.borrow_mut().insert((view.room, view.ask)) {
            return;
        }
        let said_at = view.text.split(' ').next().and_then(|text| text.parse().ok());
        match said_at.map(Duration::from_micros) {
            Some(said_at) => self.latencies.borrow_mut().add(now.saturating_sub(said_at)),
            None => self.fails(format!("a first piece without a time: {:?}", view.text)),
        }
    }

    fn hears_answer(&self, room: RoomId, answer: &Answer) {
        self.answered.borrow_mut().insert((room, answer.ask));
        if answer.outcome != Outcome::Complete {
            self.fails(format!("an answer ended {:?}: {}", answer.outcome, answer.cause));
        }
    }

    fn n_answered(&self) -> usize {
        self.answered.borrow().len()
    }

    fn fails(&self, failure: String) {
        self.failure.borrow_mut().get_or_insert(failure);
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) -> Result<(), Failure> {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let changed = self.changed.notified();
            if let Some(failure) = self.failure.borrow_mut().take() {
                return Err(failure.into());
            }
            if is_so() {
                return Ok(());
            }
            tokio::time::timeout_at(deadline, changed).await.map_err(|_| what.to_owned())?;
        }
    }
}
