//! Honest people in one room: one talks steadily, all must hear every message in its turn.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use mathia_protocol::crypto::message::{Message, TAG_MESSAGE};
use mathia_protocol::id::RoomId;
use mathia_protocol::wire::{Call, Event, Request, ServerFrame, decode, encode_frame};
use quinn::{Connection, SendStream};

use crate::measure::Latencies;
use crate::peer::{Dialer, Frames, Identity, Session};
use crate::room::{Author, SealedRoom};
use crate::workload::{Failures, enroll};
use crate::{Failure, Options};

/// Those who read all the time, the one who talks among them.
const N_READERS: usize = 3;
const INTERVAL: Duration = Duration::from_millis(5);
const TEXT_LEN: usize = 200;
/// Nobody waits longer for what was said last.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct State {
    sent_at: RefCell<Vec<Instant>>,
    latencies: RefCell<Latencies>,
    n_heard: RefCell<[u64; N_READERS]>,
    is_over: Cell<bool>,
    failures: Failures,
}

pub(super) struct Honest {
    room: SealedRoom,
    state: Rc<State>,
    _connections: Vec<Connection>,
    /// The end of its stream would end a session.
    _writers: Vec<SendStream>,
}

impl Honest {
    /// Makes people and a room, and begins the talk. The last member's session is the caller's.
    pub(super) async fn gather(
        options: &Options,
        dialer: &Rc<Dialer>,
        slow_dialer: &Dialer,
    ) -> Result<(Self, Session), Failure> {
        let (people, mut sessions) = enroll(options, dialer, N_READERS).await?;
        let slow = Identity::numbered(dialer.realm, N_READERS)?;
        let mut slow_session = slow_dialer.register(&slow).await?;
        let members: Vec<&Identity> =
            people.iter().map(Rc::as_ref).chain(std::iter::once(&slow)).collect();
        let room = SealedRoom::create(&mut sessions[0], &members, 1).await?;
        slow_session.resume().await?;
        let state = Rc::new(State::default());
        let (mut connections, mut writers) = (Vec::new(), Vec::new());
        for (place, mut session) in sessions.into_iter().enumerate() {
            session.resume().await?;
            let Session { connection, send, frames, .. } = session;
            connections.push(connection);
            writers.push(send);
            let state = Rc::clone(&state);
            tokio::task::spawn_local(async move {
                state.failures.note(listen(frames, place, &state).await);
            });
        }
        let writer = writers.remove(0);
        let author = Author::new(Rc::clone(&people[0]), &room, 7);
        let (talking, id) = (Rc::clone(&state), room.room);
        tokio::task::spawn_local(async move {
            talking.failures.note(talk(writer, author, id, &talking).await);
        });
        Ok((Self { room, state, _connections: connections, _writers: writers }, slow_session))
    }

    pub(super) fn room(&self) -> RoomId {
        self.room.room
    }

    pub(super) fn n_said(&self) -> u64 {
        self.state.sent_at.borrow().len() as u64
    }

    pub(super) fn forget_latencies(&self) {
        self.state.latencies.replace(Latencies::default());
    }

    pub(super) fn p99_ms(&self) -> f64 {
        self.state.latencies.borrow_mut().percentile_ms(99)
    }

    /// Lets them talk for a while.
    pub(super) async fn undisturbed(&self, time: Duration) -> Result<(), Failure> {
        self.state.failures.or(tokio::time::sleep(time)).await
    }

    /// Lets them talk until something else is over.
    pub(super) async fn while_storming<T>(
        &self,
        storm: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut result = None;
        self.state.failures.or(async { result = Some(storm.await) }).await?;
        result.ok_or("the storm did not end")?
    }

    /// Ends the talk and waits until everybody has heard all of it; says how much that was.
    pub(super) async fn end(&self) -> Result<u64, Failure> {
        self.state.is_over.set(true);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let n_said = self.n_said();
            let heard = *self.state.n_heard.borrow();
            if heard.iter().all(|n_heard| *n_heard == n_said) {
                return Ok(heard.iter().sum());
            }
            if Instant::now() > deadline {
                return Err(format!("of {n_said} messages were heard: {heard:?}").into());
            }
            self.undisturbed(INTERVAL).await?;
        }
    }
}

async fn talk(
    mut writer: SendStream,
    mut author: Author,
    room: RoomId,
    state: &State,
) -> Result<(), Failure> {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut id = 1_000;
    while !state.is_over.get() {
        ticks.tick().await;
        let request = Request::Append { room, entry: author.next(TEXT_LEN)? };
        let frame = encode_frame(&Call { id, request });
        state.sent_at.borrow_mut().push(Instant::now());
        writer.write_all(&frame).await?;
        id += 1;
    }
    // The stream stays open: its end would end the session.
    std::future::pending().await
}

async fn listen(mut frames: Frames, place: usize, state: &State) -> Result<(), Failure> {
    let mut n_heard = 0;
    while let Some(body) = frames.next_body().await? {
        match decode::<ServerFrame>(&body)? {
            ServerFrame::Event(Event::Entry { entry, .. }) => {
                if entry.first() != Some(&TAG_MESSAGE) {
                    continue;
                }
                let counter = Message::decode(&entry)?.header().ctr();
                if counter != n_heard + 1 {
                    return Err(format!("message {counter} came behind {n_heard}").into());
                }
                n_heard = counter;
                state.n_heard.borrow_mut()[place] = n_heard;
                let sent_at = state.sent_at.borrow()[usize::try_from(counter)? - 1];
                state.latencies.borrow_mut().add(sent_at.elapsed());
            }
            ServerFrame::Event(Event::Lagged { .. }) => {
                return Err("an honest reader lagged".into());
            }
            ServerFrame::Fault { fault, .. } => return Err(fault.into()),
            _ => {}
        }
    }
    Err("an honest session ended".into())
}
