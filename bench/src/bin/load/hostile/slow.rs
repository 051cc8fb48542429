//! A member that stops reading now and then, and takes up what it missed from the log.

use std::time::Duration;

use mathia_protocol::id::{RoomId, Seq};
use mathia_protocol::wire::{Event, ServerFrame, decode};
use tokio::time::{sleep, timeout};

use crate::Failure;
use crate::peer::{SMALL_WINDOW, Session};

/// The creating commit stands before the messages.
const N_COMMITS: u64 = 1;
const PATIENCE: Duration = Duration::from_secs(20);
/// What may wait for a reader, in bytes: the outbox, what was taken from it to be written, and what
/// its own window took.
const HELD_MAX: u64 = 2 * 256 * 1024 + SMALL_WINDOW as u64;

pub(super) struct SlowReader {
    session: Session,
    room: RoomId,
    last: Seq,
    held: u64,
    pub(super) held_max: u64,
    pub(super) n_lagged: u64,
}

impl SlowReader {
    pub(super) fn new(session: Session, room: RoomId) -> Self {
        Self { session, room, last: Seq(N_COMMITS), held: 0, held_max: 0, n_lagged: 0 }
    }

    /// Reads as it should for a while.
    pub(super) async fn read_for(&mut self, time: Duration) -> Result<(), Failure> {
        let mut end = std::pin::pin!(sleep(time));
        loop {
            tokio::select! {
                () = &mut end => return Ok(()),
                body = self.session.frames.next_body() => {
                    self.hear(&body?.ok_or("the slow reader's session ended")?).await?;
                }
            }
        }
    }

    /// Reads on after a pause, until it has as many messages as were said.
    pub(super) async fn catch_up(&mut self, n_said: u64) -> Result<(), Failure> {
        self.held = 0;
        let is_lagging_before = self.n_lagged;
        while self.last.0 < N_COMMITS + n_said {
            let next = timeout(PATIENCE, self.session.frames.next_body()).await;
            let body = next.map_err(|_| "the slow reader was told nothing")??;
            let body = body.ok_or("the slow reader's session ended")?;
            if self.n_lagged == is_lagging_before {
                self.held += body.len() as u64;
            }
            self.hear(&body).await?;
        }
        self.held_max = self.held_max.max(self.held);
        if self.held > HELD_MAX {
            return Err(format!("{} bytes waited for the slow reader", self.held).into());
        }
        Ok(())
    }

    async fn hear(&mut self, body: &[u8]) -> Result<(), Failure> {
        match decode::<ServerFrame>(body)? {
            ServerFrame::Event(Event::Entry { seq, .. }) if seq > self.last => {
                if seq != self.last.next() {
                    return Err(format!("{seq} came behind {}, without a word", self.last).into());
                }
                self.last = seq;
            }
            ServerFrame::Event(Event::Lagged { next_seq, .. }) => {
                if next_seq > self.last.next() {
                    return Err(format!("lagging at {next_seq}, behind {}", self.last).into());
                }
                self.n_lagged += 1;
                for entry in self.session.after(self.room, self.last).await? {
                    if entry.seq != self.last.next() {
                        return Err(format!("page has {} behind {}", entry.seq, self.last).into());
                    }
                    self.last = entry.seq;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
