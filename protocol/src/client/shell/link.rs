//! A logged-in session: requests out, replies, events and datagrams in.
//!
//! Owns the numbers of calls on the wire and the order of frames on the session stream. Everything
//! that comes goes to the core in the order in which it came.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, Endpoint};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use super::super::connect::{CLOSE_DONE, FrameReader, FrameWriter, connect as reach, fresh_socket};
use super::super::core::{CallError, CallId, ConnectFailure, Input};
use super::super::identity::Identity;
use super::super::login::{LoginError, Opener};
use super::super::trust::Expected;
use super::bulk::BulkSource;
use crate::crypto::auth::AuthScope;
use crate::crypto::identity::SigningKey;
use crate::limits::{NUDGE_AFTER, REQUESTS_MAX};
use crate::wire::{
    Call, ClientDatagram, Fault, Request, ServerFrame, decode, encode_body, encode_frame,
};

/// Opening a stream may take this long.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// What the session of one attempt says; the first of a session that stands brings its link.
#[derive(Debug)]
pub(super) struct LinkInput {
    pub(super) generation: u64,
    pub(super) input: Input,
    pub(super) link: Option<Link>,
}

/// Who logs in, and where.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) address: String,
    scope: AuthScope,
    signing: Arc<SigningKey>,
}

impl Login {
    /// The login of this device.
    pub(super) fn of(address: &str, identity: &Identity) -> Self {
        let signing = Arc::new(SigningKey::from_seed(&identity.signing.seed()));
        Self { address: address.to_owned(), scope: identity.hello_scope(), signing }
    }
}

/// Connects and logs in; then passes on what comes until the session ends.
pub(super) async fn connect(
    login: Login,
    expected: Expected,
    generation: u64,
    session: mpsc::Sender<LinkInput>,
) {
    let attempt = attempt(&login, &expected, generation, &session).await;
    if let Err(failure) = attempt {
        let input = Input::ConnectFailed(failure);
        drop(session.send(LinkInput { generation, input, link: None }).await);
    }
}

async fn attempt(
    login: &Login,
    expected: &Expected,
    generation: u64,
    session: &mpsc::Sender<LinkInput>,
) -> Result<(), ConnectFailure> {
    let connected = reach(&login.address, expected).await?;
    let (connection, pin) = (connected.connection.clone(), connected.shown.pin);
    let welcome = async {
        let mut opener = Opener::open(&connection).await?;
        let sign = |ekm: &_| login.scope.sign_hello(&login.signing, ekm);
        let welcome = opener.hello(&connection, &login.scope, sign).await?;
        Ok::<_, LoginError>((opener, welcome))
    };
    let (opener, welcome) = welcome.await.map_err(|error| {
        connection.close(CLOSE_DONE, b"");
        login_failed(&error)
    })?;
    // As many frames as there are calls, so that queueing a call never has to wait.
    let (outgoing, queue) = mpsc::channel(REQUESTS_MAX);
    let shared = Rc::new(Shared::default());
    let link = Link {
        generation,
        connection: connection.clone(),
        endpoint: connected.endpoint,
        outgoing,
        shared: Rc::clone(&shared),
    };
    let (rtt, welcome) = (connection.rtt(), Box::new(welcome));
    let input = Input::Connected { pin, welcome, rtt };
    if session.send(LinkInput { generation, input, link: Some(link) }).await.is_err() {
        return Ok(());
    }
    tokio::task::spawn_local(write_frames(opener.writer, queue, connection.clone()));
    let passing = Passing { generation, session: session.clone(), shared };
    let datagrams = (connection.clone(), passing.generation, passing.session.clone());
    tokio::task::spawn_local(read_datagrams(datagrams.0, datagrams.1, datagrams.2));
    tokio::task::spawn_local(nudge(connection.clone(), Rc::clone(&passing.shared)));
    passing.read_frames(opener.reader, &connection).await;
    Ok(())
}

fn login_failed(error: &LoginError) -> ConnectFailure {
    match error {
        LoginError::Refused(fault @ (Fault::AuthFailed | Fault::Unsupported)) => {
            ConnectFailure::Refused(fault.to_string())
        }
        error => ConnectFailure::Retry(error.to_string()),
    }
}

/// What the tasks of a session share.
#[derive(Debug, Default)]
struct Shared {
    /// Calls by their number on the wire.
    waiting: RefCell<HashMap<u32, CallId>>,
    next_id: Cell<u32>,
    /// A call was begun.
    begun: Notify,
}

/// One session. Dropping it does not close it.
#[derive(Debug)]
pub(super) struct Link {
    generation: u64,
    connection: Connection,
    endpoint: Endpoint,
    outgoing: mpsc::Sender<Bytes>,
    shared: Rc<Shared>,
}

impl Link {
    /// Ends the session.
    pub(super) fn close(&self) {
        self.connection.close(CLOSE_DONE, b"");
    }

    /// Ends the session and waits, shortly, until the server was told.
    pub(super) async fn close_and_wait(&self) {
        self.close();
        // If the goodbye gets lost the server notices by itself.
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

    /// Sends a request. Calls reach the server in the order in which they are sent; a session that
    /// takes no more is over, and the core learns of that by its end.
    pub(super) fn call(&self, call: CallId, request: Request) {
        let id = self.shared.next_id.get().wrapping_add(1);
        self.shared.next_id.set(id);
        let frame = encode_frame(&Call { id, request });
        self.shared.waiting.borrow_mut().insert(id, call);
        if self.outgoing.try_send(frame).is_err() {
            self.close();
            return;
        }
        self.shared.begun.notify_one();
    }

    /// Sends something that is worthless late; lost if the path cannot take it now.
    pub(super) fn send_datagram(&self, datagram: ClientDatagram) {
        drop(self.connection.send_datagram(encode_body(&datagram).into()));
    }

    /// Where bulk reads of this session come from.
    pub(super) fn bulk_source(&self, session: mpsc::Sender<LinkInput>) -> BulkSource {
        BulkSource { connection: self.connection.clone(), generation: self.generation, session }
    }
}

/// Passes on what comes on the session stream.
struct Passing {
    generation: u64,
    session: mpsc::Sender<LinkInput>,
    shared: Rc<Shared>,
}

impl Passing {
    async fn read_frames(self, mut reader: FrameReader, connection: &Connection) {
        loop {
            let input = match reader.next().await {
                Ok(Some(ServerFrame::Event(event))) => Some(Input::Event(event)),
                Ok(Some(ServerFrame::Reply { id, reply })) => {
                    self.call(id).map(|call| Input::Reply(call, Ok(reply)))
                }
                Ok(Some(ServerFrame::Fault { id, fault })) => {
                    self.call(id).map(|call| Input::Reply(call, Err(CallError::Fault(fault))))
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "the session stream ended");
                    break;
                }
            };
            // An answer that nobody waits for is dropped.
            if let Some(input) = input
                && !self.pass(input).await
            {
                break;
            }
        }
        let reason = connection.close_reason();
        let cause = reason.map_or_else(|| "the session ended".to_owned(), |r| r.to_string());
        connection.close(CLOSE_DONE, b"");
        self.pass(Input::Disconnected { cause }).await;
    }

    fn call(&self, id: u32) -> Option<CallId> {
        self.shared.waiting.borrow_mut().remove(&id)
    }

    async fn pass(&self, input: Input) -> bool {
        let generation = self.generation;
        self.session.send(LinkInput { generation, input, link: None }).await.is_ok()
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

async fn read_datagrams(connection: Connection, generation: u64, session: mpsc::Sender<LinkInput>) {
    while let Ok(bytes) = connection.read_datagram().await {
        // A malformed datagram, or one more than can be taken, is as good as a lost one.
        if let Ok(datagram) = decode(&bytes) {
            let input = Input::Datagram(datagram);
            drop(session.try_send(LinkInput { generation, input, link: None }));
        }
    }
}

/// Sends an empty datagram whenever calls wait and the path is silent. It says nothing, but its
/// acknowledgement tells the transport what was lost, and everything lost goes out again.
async fn nudge(connection: Connection, shared: Rc<Shared>) {
    while connection.close_reason().is_none() {
        if shared.waiting.borrow().is_empty() {
            tokio::select! {
                () = shared.begun.notified() => {}
                _ = connection.closed() => return,
            }
        }
        let n_received = connection.stats().udp_rx.datagrams;
        sleep(NUDGE_AFTER).await;
        let is_silent = connection.stats().udp_rx.datagrams == n_received;
        if is_silent && !shared.waiting.borrow().is_empty() {
            // A path that takes no datagram now gets the next one.
            drop(connection.send_datagram(Bytes::new()));
        }
    }
}
