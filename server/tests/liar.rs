//! A lying server: the honest one with somebody in front of it who may change every word.
//!
//! It has the server's own TLS key, so clients believe that it is the server. Behind it, it logs in
//! to the honest server in everybody's place, with keys that it borrows for this alone: a malicious
//! server would need none, and nothing else here is ever signed with them. What the clients say is
//! kept, so that tests can look for what must not be in it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mathia_protocol::client::{Identity, SystemClock};
use mathia_protocol::id::{AccountId, DeviceId, RoomId};
use mathia_protocol::limits::{ALPN, STREAM_VERSION};
use mathia_protocol::wire::{
    BulkReply, BulkRequest, Call, Event, Frame, Hello, Opening, Reply, Request, ServerFrame,
    encode_body, encode_frame,
};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, Incoming, RecvStream, SendStream};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::cast::{Frames, Person, Session, TestResult, Town, dial, enrols, hello};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);
/// Words that wait for a client.
const WORDS_MAX: usize = 64;

/// What becomes of a request that a client sends.
pub(crate) enum Fate {
    /// The honest server gets it.
    Passed,
    /// The liar answers.
    Answered(Reply),
}

type Tell = dyn FnMut(AccountId, Option<&Request>, ServerFrame) -> Vec<ServerFrame> + Send;
type ReadOut = dyn FnMut(AccountId, &BulkRequest, BulkReply) -> BulkReply + Send;
type Judge = dyn FnMut(AccountId, &Request) -> Fate + Send;

/// The lies at present; where there is none the honest answer goes through.
#[derive(Default)]
struct Script {
    tell: Option<Box<Tell>>,
    read_out: Option<Box<ReadOut>>,
    judge: Option<Box<Judge>>,
}

/// What the tasks of the liar share.
struct Den {
    honest: SocketAddr,
    keys: Mutex<HashMap<DeviceId, Identity>>,
    script: Mutex<Script>,
    hellos: Mutex<Vec<Hello>>,
    requests: Mutex<Vec<(AccountId, Request)>>,
    bytes: Mutex<Vec<u8>>,
    has_heard: Notify,
    clients: Mutex<HashMap<AccountId, mpsc::Sender<ServerFrame>>>,
}

/// A lying server.
pub(crate) struct Liar {
    pub(crate) address: SocketAddr,
    den: Arc<Den>,
    _endpoint: Endpoint,
}

impl Liar {
    /// Stands in front of a town's server, with its TLS key.
    pub(crate) fn before(town: &Town) -> TestResult<Self> {
        let pem = std::fs::read_to_string(town.dir.path().join("tls.key"))?;
        Self::with_key(town, &rcgen::KeyPair::from_pem(&pem)?)
    }

    /// Stands in front of a town's server with a TLS key of its own.
    pub(crate) fn with_key(town: &Town, key: &rcgen::KeyPair) -> TestResult<Self> {
        let endpoint = Endpoint::server(server_config(key)?, (Ipv4Addr::LOCALHOST, 0).into())?;
        let den = Arc::new(Den {
            honest: town.address,
            keys: Mutex::default(),
            script: Mutex::default(),
            hellos: Mutex::default(),
            requests: Mutex::default(),
            bytes: Mutex::default(),
            has_heard: Notify::new(),
            clients: Mutex::default(),
        });
        let (door, inside) = (endpoint.clone(), Arc::clone(&den));
        tokio::spawn(async move {
            while let Some(incoming) = door.accept().await {
                // A session ends with an error whenever either side goes away.
                let session = attend(Arc::clone(&inside), incoming);
                tokio::spawn(async move { drop(session.await) });
            }
        });
        Ok(Self { address: endpoint.local_addr()?, den, _endpoint: endpoint })
    }

    /// Makes an account whose client talks to the liar.
    pub(crate) async fn newcomer(&self, handle: &str) -> TestResult<Person> {
        let (identity, replica) = enrols(handle, &format!("mathia://{}", self.den.honest)).await?;
        self.borrows(&identity);
        Person::start(handle, self.address, identity, replica, Arc::new(SystemClock))
    }

    /// Takes somebody's keys, to log in at the honest server in their place.
    pub(crate) fn borrows(&self, identity: &Identity) {
        held(&self.den.keys).insert(identity.device(), identity.duplicate());
    }

    /// Changes what the honest server says: each frame becomes these.
    pub(crate) fn tells(
        &self,
        tell: impl FnMut(AccountId, Option<&Request>, ServerFrame) -> Vec<ServerFrame> + Send + 'static,
    ) {
        held(&self.den.script).tell = Some(Box::new(tell));
    }

    /// Changes what the honest server hands out of its logs.
    pub(crate) fn reads_out(
        &self,
        read_out: impl FnMut(AccountId, &BulkRequest, BulkReply) -> BulkReply + Send + 'static,
    ) {
        held(&self.den.script).read_out = Some(Box::new(read_out));
    }

    /// Decides what becomes of requests.
    pub(crate) fn judges(&self, judge: impl FnMut(AccountId, &Request) -> Fate + Send + 'static) {
        held(&self.den.script).judge = Some(Box::new(judge));
    }

    /// Ends all lies.
    pub(crate) fn repents(&self) {
        *held(&self.den.script) = Script::default();
    }

    /// Says something unasked to somebody.
    pub(crate) async fn says(&self, to: &Person, event: Event) -> TestResult {
        let client = held(&self.den.clients).get(&to.account()).cloned();
        Ok(client.ok_or("is not here")?.send(ServerFrame::Event(event)).await?)
    }

    /// The logins that were tried.
    pub(crate) fn hellos(&self) -> Vec<Hello> {
        held(&self.den.hellos).clone()
    }

    /// What somebody asked, oldest first.
    pub(crate) fn requests_of(&self, person: &Person) -> Vec<Request> {
        let requests = held(&self.den.requests);
        let own = requests.iter().filter(|(account, _)| *account == person.account());
        own.map(|(_, request)| request.clone()).collect()
    }

    /// Waits until somebody has asked something.
    pub(crate) async fn hears(
        &self,
        person: &Person,
        is_it: impl Fn(&Request) -> bool,
    ) -> TestResult<Request> {
        let search = async {
            loop {
                let heard = self.den.has_heard.notified();
                if let Some(found) = self.requests_of(person).into_iter().find(&is_it) {
                    return found;
                }
                heard.await;
            }
        };
        Ok(timeout(PATIENCE, search).await?)
    }

    /// The messages that somebody handed in for a room, as stored bytes.
    pub(crate) fn messages_of(&self, person: &Person, room: RoomId) -> Vec<Vec<u8>> {
        let entry = |request| match request {
            Request::Append { room: to, entry } if to == room => Some(entry),
            _ => None,
        };
        self.requests_of(person).into_iter().filter_map(entry).collect()
    }

    /// Whether anything that any client ever sent holds a text.
    pub(crate) fn has_heard(&self, text: &str) -> bool {
        held(&self.den.bytes).windows(text.len()).any(|window| window == text.as_bytes())
    }
}

impl Den {
    fn notes(&self, frame: &impl Frame) {
        held(&self.bytes).extend(encode_body(frame));
    }

    fn judge(&self, from: AccountId, request: &Request) -> Fate {
        held(&self.requests).push((from, request.clone()));
        self.has_heard.notify_waiters();
        held(&self.script).judge.as_mut().map_or(Fate::Passed, |judge| judge(from, request))
    }

    fn tell(
        &self,
        to: AccountId,
        request: Option<&Request>,
        frame: ServerFrame,
    ) -> Vec<ServerFrame> {
        match &mut held(&self.script).tell {
            Some(tell) => tell(to, request, frame),
            None => vec![frame],
        }
    }

    fn read_out(&self, to: AccountId, request: &BulkRequest, reply: BulkReply) -> BulkReply {
        match &mut held(&self.script).read_out {
            Some(read_out) => read_out(to, request, reply),
            None => reply,
        }
    }
}

/// Locks, also after another test's thread has panicked.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn attend(den: Arc<Den>, incoming: Incoming) -> TestResult {
    let front = incoming.await?;
    let (mut send, receive) = front.accept_bi().await?;
    let mut frames = Frames::new(receive);
    let opening: Opening = frames.next().await?.ok_or("nothing was said")?;
    den.notes(&opening);
    let Opening::Hello(said) = opening else { return Err("the liar takes logins only".into()) };
    held(&den.hellos).push(said.clone());
    let identity = held(&den.keys).get(&said.device).map(Identity::duplicate);
    let identity = identity.ok_or("a stranger")?;
    let back = dial(den.honest).await?;
    let own = Opening::Hello(hello(&back, &identity)?);
    let (session, reply) = Session::open(back.clone(), &own).await?;
    send.write_all(&[STREAM_VERSION]).await?;
    send.write_all(&encode_frame(&reply)).await?;
    let (words, queue) = mpsc::channel(WORDS_MAX);
    held(&den.clients).insert(said.account, words.clone());
    let line = Arc::new(Line { den, account: said.account, asked: Mutex::default() });
    tokio::select! {
        done = Arc::clone(&line).upward(frames, session.send, words) => done,
        done = Arc::clone(&line).downward(session.frames, queue, send) => done,
        done = line.log_reads(&front, &back) => done,
    }
}

/// One client's session with the liar.
struct Line {
    den: Arc<Den>,
    account: AccountId,
    asked: Mutex<HashMap<u32, Request>>,
}

impl Line {
    async fn upward(
        self: Arc<Self>,
        mut frames: Frames,
        mut back: SendStream,
        words: mpsc::Sender<ServerFrame>,
    ) -> TestResult {
        while let Some(call) = frames.next_when_it_comes::<Call>().await? {
            self.den.notes(&call);
            match self.den.judge(self.account, &call.request) {
                Fate::Passed => {
                    held(&self.asked).insert(call.id, call.request.clone());
                    back.write_all(&encode_frame(&call)).await?;
                }
                Fate::Answered(reply) => {
                    words.send(ServerFrame::Reply { id: call.id, reply }).await?;
                }
            }
        }
        Ok(())
    }

    async fn downward(
        self: Arc<Self>,
        mut frames: Frames,
        mut queue: mpsc::Receiver<ServerFrame>,
        mut front: SendStream,
    ) -> TestResult {
        loop {
            let words = tokio::select! {
                frame = frames.next_when_it_comes::<ServerFrame>() => {
                    let Some(frame) = frame? else { return Ok(()) };
                    self.twist(frame)
                }
                Some(word) = queue.recv() => vec![word],
            };
            for word in words {
                front.write_all(&encode_frame(&word)).await?;
            }
        }
    }

    fn twist(&self, frame: ServerFrame) -> Vec<ServerFrame> {
        let request = match &frame {
            ServerFrame::Reply { id, .. } | ServerFrame::Fault { id, .. } => {
                held(&self.asked).remove(id)
            }
            ServerFrame::Event(_) => None,
        };
        self.den.tell(self.account, request.as_ref(), frame)
    }

    async fn log_reads(self: Arc<Self>, front: &Connection, back: &Connection) -> TestResult {
        loop {
            let (send, receive) = front.accept_bi().await?;
            let (line, back) = (Arc::clone(&self), back.clone());
            // The client may lose interest in the middle.
            tokio::spawn(async move { drop(line.log_read(send, receive, back).await) });
        }
    }

    async fn log_read(
        &self,
        mut send: SendStream,
        receive: RecvStream,
        back: Connection,
    ) -> TestResult {
        let request: BulkRequest = Frames::new(receive).next().await?.ok_or("no request")?;
        self.den.notes(&request);
        let (mut onward, answer) = back.open_bi().await?;
        onward.write_all(&[STREAM_VERSION]).await?;
        onward.write_all(&encode_frame(&request)).await?;
        onward.finish()?;
        let mut answer = Frames::new(answer);
        send.write_all(&[STREAM_VERSION]).await?;
        while let Some(reply) = answer.next::<BulkReply>().await? {
            let reply = self.den.read_out(self.account, &request, reply);
            send.write_all(&encode_frame(&reply)).await?;
        }
        Ok(send.finish()?)
    }
}

fn server_config(key: &rcgen::KeyPair) -> TestResult<quinn::ServerConfig> {
    let certificate = rcgen::CertificateParams::new(vec!["mathia".to_owned()])?.self_signed(key)?;
    let private = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    Ok(quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?)))
}
