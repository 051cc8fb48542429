//! One room of ten at light load: how long from writing a message to everybody having it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use mathia_protocol::crypto::message::Message;
use mathia_protocol::wire::{Call, Event, Request, ServerFrame, decode, encode_frame};

use super::{Failures, enroll};
use crate::measure::{Latencies, Report, cpu_us};
use crate::peer::{Dialer, Frames, Identity, Session};
use crate::room::{Author, SealedRoom};
use crate::{Failure, Options};

const N_MEMBERS: usize = 10;
const INTERVAL: Duration = Duration::from_millis(20);
const TEXT_LEN: usize = 200;

/// What was measured.
pub(crate) struct Measured {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) n_lost: u64,
    cpu_us_per_message: f64,
}

pub(crate) async fn run(options: &Options) -> Result<String, Failure> {
    let measured = measure(options).await?;
    Ok(Report::default()
        .number("p50_ms", measured.p50_ms)
        .number("p99_ms", measured.p99_ms)
        .number("cpu_us_per_message", measured.cpu_us_per_message)
        .number("lost", measured.n_lost as f64)
        .finish())
}

/// Makes the room and measures; the people are numbered from the offset on.
pub(crate) async fn measure(options: &Options) -> Result<Measured, Failure> {
    let dialer = Rc::new(Dialer::new(options).await?);
    let (people, mut sessions) = enroll(options, &dialer, N_MEMBERS).await?;
    let members: Vec<&Identity> = people.iter().map(Rc::as_ref).collect();
    let room = SealedRoom::create(&mut sessions[0], &members, 1).await?;
    for session in &mut sessions {
        session.resume().await?;
    }
    let sent_at = Rc::new(RefCell::new(Vec::<Instant>::new()));
    let latencies = Rc::new(RefCell::new(Latencies::default()));
    let n_received = Rc::new(Cell::new(0u64));
    let failures = Rc::new(Failures::default());
    let (mut connections, mut writers) = (Vec::new(), Vec::new());
    for session in sessions {
        let Session { connection, send, frames, .. } = session;
        connections.push(connection);
        // Kept all: the end of its stream would end a session.
        writers.push(send);
        let (sent_at, latencies) = (Rc::clone(&sent_at), Rc::clone(&latencies));
        let (n_received, failures) = (Rc::clone(&n_received), Rc::clone(&failures));
        tokio::task::spawn_local(async move {
            failures.note(listen(frames, &sent_at, &latencies, &n_received).await);
        });
    }
    let mut author = Author::new(Rc::clone(&people[0]), &room, 7);
    let n_messages = options.seconds * 1_000 / u64::try_from(INTERVAL.as_millis())?;
    let cpu_before = cpu_us(options.pid)?;
    let mut ticker = tokio::time::interval(INTERVAL);
    for id in 0..u32::try_from(n_messages)? {
        ticker.tick().await;
        let request = Request::Append { room: room.room, entry: author.next(TEXT_LEN)? };
        let frame = encode_frame(&Call { id: id + 1_000, request });
        sent_at.borrow_mut().push(Instant::now());
        failures.or(async { writers[0].write_all(&frame).await.unwrap_or_default() }).await?;
    }
    failures.or(tokio::time::sleep(Duration::from_secs(1))).await?;
    let cpu = cpu_us(options.pid)? - cpu_before;
    let expected = n_messages * N_MEMBERS as u64;
    let mut latencies = latencies.borrow_mut();
    Ok(Measured {
        p50_ms: latencies.percentile_ms(50),
        p99_ms: latencies.percentile_ms(99),
        n_lost: expected - n_received.get().min(expected),
        cpu_us_per_message: cpu as f64 / n_messages as f64,
    })
}

async fn listen(
    mut frames: Frames,
    sent_at: &RefCell<Vec<Instant>>,
    latencies: &RefCell<Latencies>,
    n_received: &Cell<u64>,
) -> Result<(), Failure> {
    while let Some(body) = frames.next_body().await? {
        match decode::<ServerFrame>(&body)? {
            ServerFrame::Event(Event::Entry { entry, .. }) => {
                let counter = Message::decode(&entry)?.header().ctr();
                let sent_at = sent_at.borrow()[usize::try_from(counter)? - 1];
                latencies.borrow_mut().add(sent_at.elapsed());
                n_received.set(n_received.get() + 1);
            }
            ServerFrame::Fault { fault, .. } => return Err(fault.into()),
            _ => {}
        }
    }
    Err("a session ended".into())
}
