//! One writing person: up to sixteen messages in flight, the same bytes again after every loss.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mathia_protocol::crypto::hash::sha256;
use mathia_protocol::id::{DeviceId, Hash, RoomId, Seq};
use mathia_protocol::wire::{Fault, Reply, Request, ServerFrame, decode};

use crate::Failure;
use crate::peer::{Dialer, Identity, Session};
use crate::room::{Author, SealedRoom};

const IN_FLIGHT_MAX: usize = 16;
const TEXT_LEN: usize = 120;
const PAUSE: Duration = Duration::from_millis(20);

/// What the server promised to keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promise {
    pub(super) room: RoomId,
    pub(super) device: DeviceId,
    pub(super) counter: u64,
    pub(super) seq: Seq,
    pub(super) entry_hash: Hash,
}

/// What all writers of a proof share.
#[derive(Default)]
pub(super) struct Shared {
    promises: RefCell<Vec<Promise>>,
    n_busy: Cell<u64>,
    is_over: Cell<bool>,
    failure: RefCell<Option<String>>,
}

impl Shared {
    pub(super) fn promises(&self) -> Vec<Promise> {
        self.promises.borrow().clone()
    }

    pub(super) fn n_busy(&self) -> u64 {
        self.n_busy.get()
    }

    pub(super) fn stop(&self) {
        self.is_over.set(true);
    }

    /// Waits until another message is acknowledged.
    pub(super) async fn progress(&self, timeout: Duration) -> Result<(), Failure> {
        let before = self.promises.borrow().len();
        self.until(timeout, || self.promises.borrow().len() > before).await
    }

    pub(super) async fn until(
        &self,
        timeout: Duration,
        mut is_so: impl FnMut() -> bool,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + timeout;
        while !is_so() {
            if let Some(failure) = self.failure.borrow_mut().take() {
                return Err(failure.into());
            }
            if Instant::now() > deadline {
                return Err("nothing was acknowledged in time".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

struct Flight {
    counter: u64,
    entry: Vec<u8>,
}

pub(super) struct Writer {
    identity: Rc<Identity>,
    room: RoomId,
    author: Author,
    n_sealed: u64,
    unacked: VecDeque<Flight>,
}

impl Writer {
    pub(super) fn new(identity: &Rc<Identity>, room: &SealedRoom, seed: u64) -> Self {
        Self {
            identity: Rc::clone(identity),
            room: room.room,
            author: Author::new(Rc::clone(identity), room, seed),
            n_sealed: 0,
            unacked: VecDeque::new(),
        }
    }

    /// Writes until the proof is over, through every death of the server.
    pub(super) async fn run(mut self, dialer: &Dialer, shared: &Shared) {
        while !shared.is_over.get() {
            let Ok(Ok(connection)) =
                tokio::time::timeout(Duration::from_secs(2), dialer.connect()).await
            else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let ended = match dialer.hello(connection, &self.identity).await {
                Ok(session) => self.session(session, shared).await,
                Err(failure) if failure.downcast_ref() == Some(&Fault::AuthFailed) => {
                    Err("LOST: an account that was registered is not known".into())
                }
                Err(_) => {
                    tokio::time::sleep(PAUSE).await;
                    Ok(())
                }
            };
            if let Err(failure) = ended {
                shared.failure.borrow_mut().get_or_insert(failure.to_string());
                return;
            }
        }
    }

    /// One session; a lost connection is no failure, a broken promise is.
    async fn session(&mut self, mut session: Session, shared: &Shared) -> Result<(), Failure> {
        let connection = session.connection.clone();
        // A killed server says nothing: do not wait for the idle timeout.
        let silence = Duration::from_secs(3);
        loop {
            // Everything that is not acknowledged, in order, the same bytes as before.
            let mut calls = VecDeque::new();
            for flight in &self.unacked {
                let request = Request::Append { room: self.room, entry: flight.entry.clone() };
                let Ok(call) = session.call(request).await else { return Ok(()) };
                calls.push_back((call, flight.counter));
            }
            let mut has_refusal = false;
            while !(has_refusal && calls.is_empty()) {
                while !has_refusal && !shared.is_over.get() && calls.len() < IN_FLIGHT_MAX {
                    let Ok(call) = self.send_next(&mut session).await? else { return Ok(()) };
                    calls.push_back((call, self.n_sealed));
                }
                if shared.is_over.get() && calls.is_empty() {
                    connection.close(0u32.into(), b"");
                    return Ok(());
                }
                let Ok(Ok(Some(frame))) =
                    tokio::time::timeout(silence, session.frames.next_body()).await
                else {
                    return Ok(());
                };
                match decode::<ServerFrame>(&frame)? {
                    ServerFrame::Reply { id, reply: Reply::Accepted { seq, .. } } => {
                        let counter = take_call(&mut calls, id)?;
                        self.promised(shared, counter, seq)?;
                    }
                    ServerFrame::Fault { id, fault } => {
                        take_call(&mut calls, id)?;
                        self.refused(shared, &fault)?;
                        has_refusal = true;
                    }
                    _ => {}
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn send_next(&mut self, session: &mut Session) -> Result<Result<u32, ()>, Failure> {
        let entry = self.author.next(TEXT_LEN)?;
        self.n_sealed += 1;
        self.unacked.push_back(Flight { counter: self.n_sealed, entry: entry.clone() });
        let sent = session.call(Request::Append { room: self.room, entry }).await;
        Ok(sent.map_err(drop))
    }

    fn promised(&mut self, shared: &Shared, counter: u64, seq: Seq) -> Result<(), Failure> {
        let flight = self.unacked.pop_front().ok_or("an acknowledgement of nothing")?;
        if flight.counter != counter {
            let expected = flight.counter;
            return Err(format!("message {counter} was acknowledged before {expected}").into());
        }
        shared.promises.borrow_mut().push(Promise {
            room: self.room,
            device: self.identity.device,
            counter,
            seq,
            entry_hash: sha256(&[&flight.entry]),
        });
        Ok(())
    }

    fn refused(&self, shared: &Shared, fault: &Fault) -> Result<(), Failure> {
        let n_acked = self.n_sealed - self.unacked.len() as u64;
        match fault {
            Fault::ServerBusy { .. } => shared.n_busy.set(shared.n_busy.get() + 1),
            Fault::OutOfOrder { last } if last.0 < n_acked => {
                let device = self.identity.device;
                let lost =
                    format!("LOST: of {n_acked} acknowledged by {device:?}, {last} are left");
                return Err(lost.into());
            }
            // What follows a refused message is refused too, and sent again behind it.
            Fault::OutOfOrder { .. } | Fault::Stopping | Fault::RateLimited { .. } => {}
            other => return Err(format!("LOST, or never there: {other}").into()),
        }
        Ok(())
    }
}

fn take_call(calls: &mut VecDeque<(u32, u64)>, id: u32) -> Result<u64, Failure> {
    let place = calls.iter().position(|(call, _)| *call == id);
    let place = place.ok_or("an answer to no call, or a second answer")?;
    calls.remove(place).map(|(_, counter)| counter).ok_or_else(|| "no such call".into())
}
