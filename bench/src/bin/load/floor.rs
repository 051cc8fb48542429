//! The same shapes against a bare program that checks nothing: what the transport, the cipher and the
//! disk cost by themselves on this machine, in this run.
//!
//! A connection has one stream: `room(u32 BE)`, then `length(u32 BE) || bytes` both ways. What one
//! says all of the room hear, the sender too; an empty frame acknowledges.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use quinn::{RecvStream, SendStream};
use tokio::sync::Semaphore;

use crate::measure::{Report, cpu_us};
use crate::peer::Dialer;
use crate::workload::Failures;
use crate::{Failure, Options};

/// The bytes that a 200-letter message is on the wire.
const MESSAGE_LEN: usize = 465;
const N_SENDERS: usize = 10;
const UNCOUNTED_MAX: usize = 4;

struct Count {
    n_members: usize,
    /// By sender and message number: how many have counted it.
    counted: std::cell::RefCell<Vec<Vec<usize>>>,
    /// Empty until everybody is connected: a message said before would never be counted by all.
    windows: Vec<Semaphore>,
    window: usize,
    n_delivered: Cell<u64>,
    n_stored: Cell<u64>,
    is_measuring: Cell<bool>,
}

/// One room of `n`, ten send.
pub(crate) async fn fanout(options: &Options) -> Result<String, Failure> {
    let count = Rc::new(Count::new(options.n, N_SENDERS, UNCOUNTED_MAX));
    let (cpu, elapsed) = run(options, &count, |place| (0, place < N_SENDERS)).await?;
    let n_delivered = count.n_delivered.get();
    Ok(Report::default()
        .number("floor_us_per_delivery", cpu as f64 / n_delivered.max(1) as f64)
        .number("floor_deliveries_per_s", n_delivered as f64 / elapsed)
        .finish())
}

/// `n` rooms of four, all send.
pub(crate) async fn rooms(options: &Options) -> Result<String, Failure> {
    let count = Rc::new(Count::new(options.n * 4, options.n * 4, usize::MAX >> 4));
    let (cpu, elapsed) = run(options, &count, |place| (place / 4, true)).await?;
    let n_stored = count.n_stored.get();
    Ok(Report::default()
        .number("floor_us_per_stored", cpu as f64 / n_stored.max(1) as f64)
        .number("floor_stored_per_s", n_stored as f64 / elapsed)
        .finish())
}

impl Count {
    fn new(n_members: usize, n_senders: usize, window: usize) -> Self {
        Self {
            n_members,
            counted: std::cell::RefCell::new(vec![Vec::new(); n_senders]),
            windows: (0..n_senders).map(|_| Semaphore::new(0)).collect(),
            window,
            n_delivered: Cell::new(0),
            n_stored: Cell::new(0),
            is_measuring: Cell::new(false),
        }
    }

    fn add(&self, cell: &Cell<u64>) {
        if self.is_measuring.get() {
            cell.set(cell.get() + 1);
        }
    }
}

async fn run(
    options: &Options,
    count: &Rc<Count>,
    role: impl Fn(usize) -> (usize, bool),
) -> Result<(u64, f64), Failure> {
    let dialer = Dialer::blind(options)?;
    let failures = Rc::new(Failures::default());
    let mut connections = Vec::new();
    for place in 0..count.n_members {
        let connection = dialer.connect().await?;
        let (mut send, recv) = connection.open_bi().await?;
        connections.push(connection);
        let (room, sends) = role(place);
        send.write_all(&u32::try_from(room)?.to_be_bytes()).await?;
        let acks = Rc::new(Semaphore::new(1));
        // With a window on everybody's counting, acknowledgements are not waited for.
        let waits_for_ack = count.window > UNCOUNTED_MAX;
        if sends {
            let (count, failures, acks) =
                (Rc::clone(count), Rc::clone(&failures), Rc::clone(&acks));
            tokio::task::spawn_local(async move {
                let acks = waits_for_ack.then_some(&*acks);
                failures.note(say(send, place, acks, &count).await);
            });
        } else {
            std::mem::forget(send);
        }
        let (count, failures) = (Rc::clone(count), Rc::clone(&failures));
        tokio::task::spawn_local(async move {
            failures.note(listen(recv, &acks, &count).await);
        });
    }
    let wait = |duration| failures.or(tokio::time::sleep(duration));
    // The floor acknowledges no connection; half a second is plenty on one machine.
    wait(Duration::from_millis(500)).await?;
    for window in &count.windows {
        window.add_permits(count.window);
    }
    wait(Duration::from_secs(2)).await?;
    let cpu_before = cpu_us(options.pid)?;
    let started = Instant::now();
    count.is_measuring.set(true);
    wait(Duration::from_secs(options.seconds)).await?;
    count.is_measuring.set(false);
    Ok((cpu_us(options.pid)? - cpu_before, started.elapsed().as_secs_f64()))
}

async fn say(
    mut send: SendStream,
    sender: usize,
    acks: Option<&Semaphore>,
    count: &Count,
) -> Result<(), Failure> {
    let mut frame = vec![0u8; 4 + MESSAGE_LEN];
    frame[..4].copy_from_slice(&u32::try_from(MESSAGE_LEN)?.to_be_bytes());
    frame[4..8].copy_from_slice(&u32::try_from(sender)?.to_be_bytes());
    for number in 0u32.. {
        count.windows[sender].acquire().await?.forget();
        if let Some(acks) = acks {
            acks.acquire().await?.forget();
        }
        frame[8..12].copy_from_slice(&number.to_be_bytes());
        count.counted.borrow_mut()[sender].push(0);
        send.write_all(&frame).await?;
    }
    Ok(())
}

async fn listen(mut recv: RecvStream, acks: &Semaphore, count: &Count) -> Result<(), Failure> {
    let mut buffer = BytesMut::new();
    while let Some(chunk) = recv.read_chunk(64 * 1024, true).await? {
        buffer.extend_from_slice(&chunk.bytes);
        while let Some(prefix) = buffer.first_chunk::<4>() {
            let len = u32::from_be_bytes(*prefix) as usize;
            if buffer.len() < 4 + len {
                break;
            }
            buffer.advance(4);
            let body = buffer.split_to(len);
            if body.is_empty() {
                count.add(&count.n_stored);
                acks.add_permits(1);
                continue;
            }
            count.add(&count.n_delivered);
            let word = |at: usize| {
                let bytes = body.get(at..at + 4).and_then(|b| b.try_into().ok());
                bytes.map_or(0, u32::from_be_bytes) as usize
            };
            let (sender, number) = (word(0), word(4));
            let mut counted = count.counted.borrow_mut();
            let n_counted = &mut counted[sender][number];
            *n_counted += 1;
            if *n_counted == count.n_members {
                count.windows[sender].add_permits(1);
            }
        }
    }
    Err("a connection ended".into())
}
