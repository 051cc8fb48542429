//! The session loop: frames in, frames out, one task, nothing that waits on anything else.
//!
//! Reading goes on while a write waits for the peer, and the other way round: what the peer does not
//! take stays in `waiting` under a deadline, what it asks meanwhile is still answered into the
//! frame queue. Only the number of open calls stops the reading, and only until answers have left.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use mathia_protocol::limits::{FRAME_LEN_MAX, FRAME_LEN_MAX_COMMIT, NUDGE_AFTER};
use mathia_protocol::wire::{Call, ClientDatagram, Request, decode};
use quinn::{Connection, SendStream, WriteError};
use tokio::time::{Instant, sleep_until, timeout};

use super::context::SessionContext;
use super::frames::FrameReader;
use super::{ConnectionEnd, bulk};
use crate::rate::{Bucket, Rate};

/// A peer that takes nothing for so long is closed.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last words of a session may take to be acknowledged.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// Frames whose slots are kept for the next batch.
const KEPT_SLOTS: usize = 64;
/// Typing signs per second of one session, and at once: a few rooms, started and stopped.
const TYPING_PER_SECOND: u32 = 2;
const TYPING_BURST: u32 = 8;

/// What breaks a silence need not show what was lost, and the answer to one nudge may be lost too.
const NUDGES_AFTER_SILENCE: u8 = 2;

/// Asking a peer for a sign of life.
#[derive(Debug, Clone, Copy)]
struct Nudge {
    at: Instant,
    /// Packets that had come when something was written.
    n_packets: u64,
    /// How often to ask once the silence is over.
    n_left: u8,
}

/// A session at work.
#[derive(Debug)]
pub(super) struct SessionLoop {
    context: Arc<SessionContext>,
    connection: Connection,
    send: SendStream,
    reader: FrameReader,
    /// Taken from the frame queue and not yet taken by the transport, from `n_written` on.
    waiting: Vec<Bytes>,
    n_written: usize,
    /// When the transport must have taken something of it.
    write_deadline: Option<Instant>,
    /// Whether a sign of life was asked for since the last write.
    nudge: Option<Nudge>,
    /// The bell rang and the frame queue was not yet emptied, perhaps because frames still wait.
    has_rung: bool,
    typing: Bucket,
    /// Set once the session is to end: it reads no more and ends when everything is sent.
    leaving: Option<ConnectionEnd>,
}

impl SessionLoop {
    pub(super) fn new(
        context: Arc<SessionContext>,
        connection: Connection,
        send: SendStream,
        reader: FrameReader,
    ) -> Self {
        Self {
            context,
            connection,
            send,
            reader,
            waiting: Vec::new(),
            n_written: 0,
            write_deadline: None,
            nudge: None,
            has_rung: true,
            typing: Bucket::default(),
            leaving: None,
        }
    }

    /// Serves the session until the peer leaves or misbehaves, the device is expelled, or the server
    /// stops.
    pub(super) async fn run(mut self) -> ConnectionEnd {
        let ending = match self.serve().await {
            Ok(never) => match never {},
            Err(ending) => ending,
        };
        if matches!(ending, ConnectionEnd::Stopping | ConnectionEnd::Expelled)
            && self.send.finish().is_ok()
        {
            // Everything was written; the peer gets a moment to take it before the close overtakes.
            drop(timeout(GOODBYE_TIMEOUT, self.send.stopped()).await);
        }
        ending
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, ConnectionEnd> {
        let connection = self.connection.clone();
        let context = Arc::clone(&self.context);
        // Kept from turn to turn, so that a turn does not register again.
        let mut streams = pin!(connection.accept_bi());
        let mut datagrams = pin!(connection.read_datagram());
        loop {
            self.write().await?;
            if let Some(ending) = self.leaving
                && (ending == ConnectionEnd::Expelled || self.has_said_all())
            {
                return Err(ending);
            }
            // After the write, which closes calls: then there is room for the next.
            self.answer_frames()?;
            if self.has_rung && self.waiting.is_empty() {
                continue;
            }
            let deadline = self.deadline();
            let nudge_at = self.nudge.map(|nudge| nudge.at);
            let may_read = self.leaving.is_none() && context.frame_queue().may_open_call();
            // Every branch is cancel-safe: the transport keeps what was not taken, the bell keeps a
            // ring, and `write_chunks` has written nothing when it is dropped.
            tokio::select! {
                written = self.send.write_chunks(&mut self.waiting[self.n_written..]),
                    if !self.waiting.is_empty() => self.note_written(written?.chunks),
                () = context.frame_queue().rung() => self.has_rung = true,
                filled = self.reader.fill(), if may_read => {
                    if !filled? {
                        return Err(ConnectionEnd::PeerLeft);
                    }
                }
                stream = &mut streams => {
                    let (send, recv) = stream?;
                    bulk::spawn(Arc::clone(&self.context), send, recv);
                    streams.set(connection.accept_bi());
                }
                datagram = &mut datagrams => {
                    self.hear_datagram(&datagram?);
                    datagrams.set(connection.read_datagram());
                }
                () = sleep_until(nudge_at.unwrap_or_else(Instant::now)), if nudge_at.is_some() => {
                    self.nudge();
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    return Err(ConnectionEnd::TooSlow);
                }
            }
        }
    }

    /// Hands on what was read, as long as calls may be opened.
    fn answer_frames(&mut self) -> Result<(), ConnectionEnd> {
        while self.leaving.is_none() && self.context.frame_queue().may_open_call() {
            let Some(body) = self.reader.take(FRAME_LEN_MAX_COMMIT)? else { break };
            let call: Call = decode(&body).map_err(|_| ConnectionEnd::Malformed)?;
            if body.len() > FRAME_LEN_MAX && !matches!(call.request, Request::Commit { .. }) {
                return Err(ConnectionEnd::Malformed);
            }
            self.context.frame_queue().open_call();
            if self.context.dispatch(call) {
                self.has_rung = true;
            }
        }
        Ok(())
    }

    /// Takes what waits in the frame queue and gives the transport as much as it takes at once: what
    /// waits together leaves together.
    async fn write(&mut self) -> Result<(), ConnectionEnd> {
        if !self.has_rung {
            return Ok(());
        }
        if !self.waiting.is_empty() {
            self.leaving =
                self.leaving.or(self.context.frame_queue().session_end().map(Into::into));
            return Ok(());
        }
        self.has_rung = false;
        let mut datagrams = Vec::new();
        let session_end = self.context.frame_queue().gather(&mut self.waiting, &mut datagrams);
        self.leaving = self.leaving.or(session_end.map(Into::into));
        for datagram in datagrams {
            // Worthless late, and the peer may not take any: lost is lost.
            drop(self.connection.send_datagram(datagram));
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.write_deadline = Some(Instant::now() + WRITE_TIMEOUT);
        if let Some(written) = self.write_some().await {
            self.note_written(written?);
        }
        Ok(())
    }

    /// Writes without waiting; `None` if the peer has to take something first.
    async fn write_some(&mut self) -> Option<Result<usize, WriteError>> {
        let mut write = pin!(self.send.write_chunks(&mut self.waiting[self.n_written..]));
        poll_fn(|cx| {
            Poll::Ready(match write.as_mut().poll(cx) {
                Poll::Ready(written) => Some(written.map(|written| written.chunks)),
                Poll::Pending => None,
            })
        })
        .await
    }

    fn has_said_all(&self) -> bool {
        self.waiting.is_empty() && self.context.frame_queue().is_idle()
    }

    /// Nothing came since the last write: an empty datagram says nothing, but its acknowledgement
    /// tells the transport what was lost. A peer that was out of reach has it soon after its return.
    fn nudge(&mut self) {
        let Some(mut nudge) = self.nudge.take() else { return };
        let is_silent = self.n_packets() == nudge.n_packets;
        if !is_silent && nudge.n_left == 0 {
            return;
        }
        // A path that takes no datagram now gets the next one.
        drop(self.connection.send_datagram(Bytes::new()));
        nudge.n_left = if is_silent { NUDGES_AFTER_SILENCE } else { nudge.n_left - 1 };
        nudge.at = Instant::now() + NUDGE_AFTER;
        self.nudge = Some(nudge);
    }

    /// Packets that came on this connection.
    fn n_packets(&self) -> u64 {
        self.connection.stats().udp_rx.datagrams
    }

    fn note_written(&mut self, n_chunks: usize) {
        self.n_written += n_chunks;
        if self.nudge.is_none() {
            let at = Instant::now() + NUDGE_AFTER;
            self.nudge = Some(Nudge { at, n_packets: self.n_packets(), n_left: 0 });
        }
        if self.n_written < self.waiting.len() {
            self.write_deadline = Some(Instant::now() + WRITE_TIMEOUT);
            return;
        }
        self.n_written = 0;
        self.write_deadline = None;
        self.waiting.clear();
        self.waiting.shrink_to(KEPT_SLOTS);
    }

    fn deadline(&self) -> Option<Instant> {
        match (self.write_deadline, self.reader.deadline()) {
            (Some(write), Some(read)) => Some(write.min(read)),
            (write, read) => write.or(read),
        }
    }

    fn hear_datagram(&mut self, datagram: &Bytes) {
        let Ok(datagram) = decode::<ClientDatagram>(datagram) else { return };
        let rate = Rate::per_second(TYPING_PER_SECOND, TYPING_BURST);
        if self.typing.take(&rate, self.context.shared.clock.now_ms()).is_err() {
            return;
        }
        match datagram {
            ClientDatagram::Typing { room } => self.context.send_typing(room, true),
            ClientDatagram::TypingStopped { room } => self.context.send_typing(room, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<F>(_: impl FnOnce(SessionLoop) -> F) -> usize {
        size_of::<F>()
    }

    /// Thousands of sessions idle: what each keeps beside the transport's share is bounded here.
    #[test]
    fn an_idle_session_is_small() {
        assert!(
            size_of_future(SessionLoop::run) <= 2 * 1024,
            "{}",
            size_of_future(SessionLoop::run)
        );
    }
}
