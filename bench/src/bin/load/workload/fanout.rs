//! One room, many receivers, ten of which send as fast as everybody counts.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use mathia_protocol::crypto::message::Message;
use mathia_protocol::id::{RoomId, RoomNumber, Seq};
use mathia_protocol::wire::{
    Call, DeliveredMark, Event, Request, ServerFrame, decode, encode_frame,
};
use quinn::SendStream;
use tokio::sync::Semaphore;

use super::window::{Measured, Window};
use super::{Failures, enroll};
use crate::measure::{Latencies, Report};
use crate::peer::{Dialer, Frames, Identity, Session};
use crate::room::{Author, SealedRoom};
use crate::{Failure, Options};

const N_SENDERS: usize = 10;
/// Messages of one sender that not everyone has counted yet.
const UNCOUNTED_MAX: usize = 4;
const TEXT_LEN: usize = 200;
/// Delivered marks go out at most four times a second, as real clients do it.
const MARKS_INTERVAL: Duration = Duration::from_millis(250);

/// One message on its way: when it was written, and how many have counted it.
struct Flight {
    sent_at: Instant,
    n_counted: usize,
}

/// What all tasks of the run share.
struct Count {
    n_receivers: usize,
    /// By sender, then by counter minus one.
    flights: RefCell<Vec<Vec<Flight>>>,
    windows: Vec<Semaphore>,
    n_delivered: Cell<u64>,
    latencies: RefCell<Latencies>,
    window: Window,
}

impl Count {
    fn new(n_receivers: usize) -> Self {
        Self {
            n_receivers,
            flights: RefCell::new((0..N_SENDERS).map(|_| Vec::new()).collect()),
            windows: (0..N_SENDERS).map(|_| Semaphore::new(UNCOUNTED_MAX)).collect(),
            n_delivered: Cell::new(0),
            latencies: RefCell::default(),
            window: Window::default(),
        }
    }

    fn sent(&self, sender: usize) {
        let flight = Flight { sent_at: Instant::now(), n_counted: 0 };
        self.flights.borrow_mut()[sender].push(flight);
    }

    fn received(&self, sender: usize, counter: u64) -> Result<(), Failure> {
        let place = usize::try_from(counter)? - 1;
        let mut flights = self.flights.borrow_mut();
        let flight = flights[sender].get_mut(place).ok_or("a message that nobody sent")?;
        flight.n_counted += 1;
        if self.window.is_measuring() {
            self.n_delivered.set(self.n_delivered.get() + 1);
            self.latencies.borrow_mut().add(flight.sent_at.elapsed());
        }
        if flight.n_counted == self.n_receivers {
            self.windows[sender].add_permits(1);
        }
        Ok(())
    }

    /// Deliveries that have not happened.
    fn n_missing(&self) -> usize {
        let flights = self.flights.borrow();
        let missing = |flight: &Flight| self.n_receivers.saturating_sub(flight.n_counted);
        flights.iter().flatten().map(missing).sum()
    }
}

pub(crate) async fn run(options: &Options) -> Result<String, Failure> {
    let dialer = Rc::new(Dialer::new(options).await?);
    let (people, mut sessions) = enroll(options, &dialer, options.n).await?;
    let members: Vec<&Identity> = people.iter().map(Rc::as_ref).collect();
    let room = SealedRoom::create(&mut sessions[0], &members, 1).await?;
    let number = room.number(&mut sessions[0]).await?;
    for session in &mut sessions[1..] {
        session.resume().await?;
    }

    let count = Rc::new(Count::new(sessions.len()));
    let failures = Rc::new(Failures::default());
    let mut connections = Vec::new();
    for (place, session) in sessions.into_iter().enumerate() {
        let Session { connection, send, frames, .. } = session;
        connections.push(connection);
        let (count, failures) = (Rc::clone(&count), Rc::clone(&failures));
        let send = Rc::new(tokio::sync::Mutex::new(send));
        if place < N_SENDERS {
            let (count, failures, send) =
                (Rc::clone(&count), Rc::clone(&failures), Rc::clone(&send));
            let author = Author::new(Rc::clone(&people[place]), &room, place as u64);
            let room = room.room;
            tokio::task::spawn_local(async move {
                failures.note(say(author, room, place, send, &count).await);
            });
        }
        let devices: Vec<_> = people[..N_SENDERS].iter().map(|person| person.device.0).collect();
        let room = room.room;
        tokio::task::spawn_local(async move {
            failures.note(listen(frames, send, (room, number), &devices, &count).await);
        });
    }

    let Measured { elapsed, cpu } = count.window.measure(options, &failures).await?;
    let n_delivered = count.n_delivered.get();
    // Everything that was sent must still arrive everywhere: what does not is lost.
    let lost = settle(&count).await;
    let mut latencies = count.latencies.borrow_mut();
    Ok(Report::default()
        .number("cpu_us_per_delivery", cpu as f64 / n_delivered.max(1) as f64)
        .number("deliveries_per_s", n_delivered as f64 / elapsed)
        .number("p50_ms", latencies.percentile_ms(50))
        .number("p99_ms", latencies.percentile_ms(99))
        .number("lost", lost as f64)
        .finish())
}

/// Waits until every sent message was counted by all, or five seconds; returns what is missing.
async fn settle(count: &Count) -> usize {
    let deadline = Instant::now() + Duration::from_secs(5);
    while count.n_missing() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    count.n_missing()
}

type SharedStream = Rc<tokio::sync::Mutex<SendStream>>;

async fn say(
    mut author: Author,
    room: RoomId,
    sender: usize,
    send: SharedStream,
    count: &Count,
) -> Result<(), Failure> {
    // Calls of the sender start high, so that those of its marks never meet them.
    for id in 1_000_000.. {
        count.windows[sender].acquire().await?.forget();
        if count.window.is_over() {
            return Ok(());
        }
        let entry = author.next(TEXT_LEN)?;
        let frame = encode_frame(&Call { id, request: Request::Append { room, entry } });
        count.sent(sender);
        send.lock().await.write_all(&frame).await?;
    }
    Ok(())
}

async fn listen(
    mut frames: Frames,
    send: SharedStream,
    (room, number): (RoomId, RoomNumber),
    devices: &[[u8; 16]],
    count: &Count,
) -> Result<(), Failure> {
    let mut expected: Option<Seq> = None;
    let mut marked_at = Instant::now();
    let mut next_call = 1;
    while let Some(body) = frames.next_body().await? {
        match decode::<ServerFrame>(&body)? {
            ServerFrame::Event(Event::Entry { room: heard, seq, entry, .. }) if heard == number => {
                if expected.is_some_and(|expected| expected != seq) {
                    return Err(format!("expected {expected:?}, got {seq}").into());
                }
                expected = Some(seq.next());
                let message = Message::decode(&entry)?;
                let device = message.header().device.0;
                let sender = devices.iter().position(|known| *known == device);
                count.received(sender.ok_or("an entry of nobody")?, message.header().ctr())?;
                if marked_at.elapsed() > MARKS_INTERVAL {
                    marked_at = Instant::now();
                    let marks = vec![DeliveredMark { room, upto: seq }];
                    let call = Call { id: next_call, request: Request::Delivered { marks } };
                    next_call += 1;
                    send.lock().await.write_all(&encode_frame(&call)).await?;
                }
            }
            ServerFrame::Event(Event::Lagged { .. }) => return Err("a receiver lagged".into()),
            ServerFrame::Fault { fault, .. } => return Err(fault.into()),
            _ => {}
        }
    }
    if count.window.is_over() { Ok(()) } else { Err("a session ended".into()) }
}
