//! A logged-in session: calls with their answers, events, datagrams, bulk reads.
//!
//! Owns the numbers of calls and the order of frames on the session stream. Lives on the engine's
//! thread; nothing here decides what to ask.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, Endpoint};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::connect::{CLOSE_DONE, FrameReader, FrameWriter, StreamError, fresh_socket};
use super::login::Opener;
use crate::limits::{NUDGE_AFTER, REQUESTS_MAX};
use crate::wire::{
    BulkReply, BulkRequest, Call, ClientDatagram, Event, Fault, LogEntry, Reply, Request,
    ServerDatagram, ServerFrame, decode, encode_body, encode_frame,
};

/// Events that wait for the engine; then the stream waits, and the server tells where it lagged.
const EVENTS_MAX: usize = 256;
/// A call without an answer for this long means that the session is stuck.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a call brought no reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The server refused; the fault says what helps.
    #[error("{0}")]
    Fault(Fault),
    /// The session ended before an answer: it may or may not have been done.
    #[error("the connection was lost")]
    Lost,
    /// No answer came in time; the session is closed.
    #[error("the server did not answer in time")]
    TimedOut,
}

/// An answer on its way.
pub(super) type Answer = oneshot::Receiver<Result<Reply, Fault>>;

/// What comes unasked.
#[derive(Debug)]
pub(super) enum News {
    /// An event of the session stream.
    Event(Event),
    /// A datagram.
    Datagram(ServerDatagram),
}

/// One session. Cloned `Rc`s share it; dropping the last closes it.
#[derive(Debug)]
pub(super) struct Link {
    connection: Connection,
    endpoint: Endpoint,
    outgoing: mpsc::Sender<Bytes>,
    waiting: RefCell<HashMap<u32, oneshot::Sender<Result<Reply, Fault>>>>,
    next_id: Cell<u32>,
    permits: Semaphore,
    /// A call was begun.
    begun: Notify,
}

impl Link {
    /// Takes over a session stream after login. The tasks of the link end with the connection.
    pub(super) fn start(
        endpoint: Endpoint,
        connection: Connection,
        opener: Opener,
    ) -> (Rc<Self>, mpsc::Receiver<News>) {
        // As many frames as there are calls, so that queueing a call never has to wait.
        let (outgoing, queue) = mpsc::channel(REQUESTS_MAX);
        let (news, heard) = mpsc::channel(EVENTS_MAX);
        let link = Rc::new(Self {
            connection: connection.clone(),
            endpoint,
            outgoing,
            waiting: RefCell::default(),
            next_id: Cell::new(1),
            permits: Semaphore::new(REQUESTS_MAX),
            begun: Notify::new(),
        });
        tokio::task::spawn_local(write_frames(opener.writer, queue, connection.clone()));
        tokio::task::spawn_local(Rc::clone(&link).read_frames(opener.reader, news.clone()));
        tokio::task::spawn_local(read_datagrams(connection, news));
        tokio::task::spawn_local(Rc::clone(&link).nudge());
        (link, heard)
    }

    /// Whether the session still stands.
    pub(super) fn is_open(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    /// Why the session ended, for people.
    pub(super) fn close_reason(&self) -> String {
        self.connection
            .close_reason()
            .map_or_else(|| "the session ended".to_owned(), |reason| reason.to_string())
    }

    /// Ends the session.
    pub(super) fn close(&self) {
        self.connection.close(CLOSE_DONE, b"");
    }

    /// Ends the session and waits, shortly, until the server was told.
    pub(super) async fn close_and_wait(&self) {
        self.close();
        // If the farewell gets lost the server notices by itself.
        drop(timeout(Duration::from_secs(1), self.endpoint.wait_idle()).await);
    }

    /// The smoothed round trip of the path.
    pub(super) fn rtt(&self) -> Duration {
        self.connection.rtt()
    }

    /// Goes on from another local port.
    pub(super) fn rebind(&self) -> std::io::Result<()> {
        let remote: SocketAddr = self.connection.remote_address();
        self.endpoint.rebind(fresh_socket(remote)?)
    }

    /// Asks and waits for the answer.
    pub(super) async fn call(&self, request: Request) -> Result<Reply, CallError> {
        let _permit = self.permits.acquire().await.map_err(|_| CallError::Lost)?;
        let answer = self.begin(request)?;
        self.answered(answer).await
    }

    /// Waits until another call may be open, then asks without waiting for the answer. Calls begun
    /// one after the other reach the server in that order.
    pub(super) async fn begin_when_free(
        &self,
        request: Request,
    ) -> Result<(Answer, tokio::sync::SemaphorePermit<'_>), CallError> {
        let permit = self.permits.acquire().await.map_err(|_| CallError::Lost)?;
        Ok((self.begin(request)?, permit))
    }

    /// Waits for an answer, but not for ever: a session that is stuck is closed.
    pub(super) async fn answered(&self, answer: Answer) -> Result<Reply, CallError> {
        match timeout(CALL_TIMEOUT, answer).await {
            Ok(Ok(Ok(reply))) => Ok(reply),
            Ok(Ok(Err(fault))) => Err(CallError::Fault(fault)),
            Ok(Err(_)) => Err(CallError::Lost),
            Err(_) => {
                self.close();
                Err(CallError::TimedOut)
            }
        }
    }

    fn begin(&self, request: Request) -> Result<Answer, CallError> {
        if !self.is_open() {
            return Err(CallError::Lost);
        }
        let id = self.next_id.get();
        self.next_id.set(id.wrapping_add(1));
        let frame = encode_frame(&Call { id, request });
        let (answer, answered) = oneshot::channel();
        self.waiting.borrow_mut().insert(id, answer);
        if self.outgoing.try_send(frame).is_err() {
            self.waiting.borrow_mut().remove(&id);
            return Err(CallError::Lost);
        }
        self.begun.notify_one();
        Ok(answered)
    }

    /// Sends something that is worthless late; lost if the path cannot take it now.
    pub(super) fn send_datagram(&self, datagram: ClientDatagram) {
        drop(self.connection.send_datagram(encode_body(&datagram).into()));
    }

    /// Opens a stream of its own for a long read.
    pub(super) async fn bulk(&self, request: &BulkRequest) -> Result<Pages, StreamError> {
        let lost = |error: quinn::ConnectionError| StreamError::Lost(error.to_string());
        let opening = timeout(CALL_TIMEOUT, self.connection.open_bi());
        let (send, receive) = opening.await.map_err(|_| StreamError::TimedOut)?.map_err(lost)?;
        let mut writer = FrameWriter::new(send);
        writer.write(request).await?;
        writer.finish();
        Ok(Pages { reader: FrameReader::new(receive), is_done: false })
    }

    /// Sends an empty datagram whenever calls wait and the path is silent. It says nothing, but its
    /// acknowledgement tells the transport what was lost, and everything lost goes out again.
    async fn nudge(self: Rc<Self>) {
        while self.is_open() {
            if self.waiting.borrow().is_empty() {
                tokio::select! {
                    () = self.begun.notified() => {}
                    _ = self.connection.closed() => return,
                }
            }
            let n_heard = self.connection.stats().udp_rx.datagrams;
            sleep(NUDGE_AFTER).await;
            let is_silent = self.connection.stats().udp_rx.datagrams == n_heard;
            if is_silent && !self.waiting.borrow().is_empty() {
                // A path that takes no datagram now gets the next one.
                drop(self.connection.send_datagram(Bytes::new()));
            }
        }
    }

    async fn read_frames(self: Rc<Self>, mut reader: FrameReader, news: mpsc::Sender<News>) {
        loop {
            match reader.next().await {
                Ok(Some(ServerFrame::Event(event))) => {
                    if news.send(News::Event(event)).await.is_err() {
                        break;
                    }
                }
                Ok(Some(ServerFrame::Reply { id, reply })) => self.answer(id, Ok(reply)),
                Ok(Some(ServerFrame::Fault { id, fault })) => self.answer(id, Err(fault)),
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "the session stream ended");
                    break;
                }
            }
        }
        self.close();
        self.waiting.borrow_mut().clear();
    }

    fn answer(&self, id: u32, result: Result<Reply, Fault>) {
        // Who asked may have given up meanwhile.
        if let Some(waiting) = self.waiting.borrow_mut().remove(&id) {
            drop(waiting.send(result));
        }
    }
}

async fn write_frames(
    mut writer: FrameWriter,
    mut queue: mpsc::Receiver<Bytes>,
    connection: Connection,
) {
    let mut frames = Vec::new();
    loop {
        tokio::select! {
            n_frames = queue.recv_many(&mut frames, REQUESTS_MAX) => {
                if n_frames == 0 || writer.write_chunks(&mut frames).await.is_err() {
                    return;
                }
                frames.clear();
            }
            _ = connection.closed() => return,
        }
    }
}

async fn read_datagrams(connection: Connection, news: mpsc::Sender<News>) {
    while let Ok(bytes) = connection.read_datagram().await {
        // A malformed datagram, or one more than can be taken, is as good as a lost one.
        if let Ok(datagram) = decode(&bytes) {
            drop(news.try_send(News::Datagram(datagram)));
        }
    }
}

/// The answer to a bulk request, page by page. Dropping it cancels the rest.
#[derive(Debug)]
pub(super) struct Pages {
    reader: FrameReader,
    is_done: bool,
}

/// One page.
#[derive(Debug)]
pub(super) struct Page {
    /// `H` before the first entry, as the server says.
    pub(super) hash_before: crate::id::Hash,
    /// Entries in rising order.
    pub(super) entries: Vec<LogEntry>,
    /// Whether it is the last page.
    pub(super) is_last: bool,
}

/// Why a bulk read stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum BulkError {
    /// The server refused.
    #[error("{0}")]
    Fault(Fault),
    /// The stream broke.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

impl Pages {
    /// Waits for the next page; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, BulkError> {
        if self.is_done {
            return Ok(None);
        }
        match self.reader.next_in_time().await? {
            BulkReply::Page { hash_before, entries, is_last } => {
                self.is_done = is_last;
                Ok(Some(Page { hash_before, entries, is_last }))
            }
            BulkReply::Fault(fault) => Err(BulkError::Fault(fault)),
        }
    }
}
