//! A server on loopback and people who talk to it in bare frames.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use mathia_protocol::crypto::auth::{AuthScope, EXPORTER_LABEL, ExporterValue};
use mathia_protocol::crypto::identity::{HpkeSecret, SigningKey};
use mathia_protocol::crypto::user_link::{
    AccountKind, DeviceLabel, DeviceRecord, Genesis, SignedLink, UserLink,
};
use mathia_protocol::id::{AccountId, Realm, TimeMs};
use mathia_protocol::limits::{ALPN, FRAME_LEN_MAX_COMMIT, STREAM_VERSION};
use mathia_protocol::wire::{
    BulkReply, BulkRequest, Call, CloseCode, Event, Fault, Hello, Opening, OpeningReply, Register,
    Reply, Request, ServerFrame, Welcome, decode, encode_frame, take_frame,
};
use mathia_server::clock::{Clock as _, SystemClock};
use mathia_server::config::RegistrationPolicy;
use mathia_server::limits::Limits;
use mathia_server::serve::{ServeConfig, Server};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::time::timeout;

pub(crate) type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Nothing in these stories takes so long, but for what the server itself waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server with a directory of its own.
pub(crate) struct Town {
    pub(crate) server: Server,
    _dir: tempfile::TempDir,
    dialer: Endpoint,
}

impl Town {
    pub(crate) fn start() -> TestResult<Self> {
        Self::start_with(|_| {})
    }

    pub(crate) fn start_with(change: impl FnOnce(&mut Limits)) -> TestResult<Self> {
        let dir = tempfile::tempdir()?;
        let mut config = ServeConfig::new("127.0.0.1:0".parse()?, dir.path());
        config.registration = RegistrationPolicy::Open;
        config.limits.handshakes_burst = 1_000;
        config.limits.failed_logins_per_minute = 1_000;
        change(&mut config.limits);
        let server = Server::start(&config)?;
        let mut dialer = Endpoint::client("127.0.0.1:0".parse()?)?;
        dialer.set_default_client_config(client_config()?);
        Ok(Self { server, _dir: dir, dialer })
    }

    pub(crate) async fn connect(&self) -> TestResult<Connection> {
        let connecting = self.dialer.connect(self.server.local_addr(), "mathia")?;
        Ok(timeout(PATIENCE, connecting).await??)
    }

    /// A connection with its session stream, before anything is said.
    pub(crate) async fn stranger(&self) -> TestResult<Stranger> {
        let connection = self.connect().await?;
        let (mut send, recv) = connection.open_bi().await?;
        send.write_all(&[STREAM_VERSION]).await?;
        Ok(Stranger { connection, send, frames: Frames::new(recv) })
    }

    /// Somebody with an account, logged in by registering.
    pub(crate) async fn newcomer(&self, name: &str) -> TestResult<Session> {
        let person = Person::named(name, self.realm());
        let mut stranger = self.stranger().await?;
        stranger.say(&person.register(&stranger.connection)?).await?;
        stranger.becomes(person).await
    }

    pub(crate) async fn login(&self, person: Person) -> TestResult<Session> {
        let mut stranger = self.stranger().await?;
        stranger.say(&Opening::Hello(person.hello(&stranger.connection)?)).await?;
        stranger.becomes(person).await
    }

    /// The proof that the server still serves: a fresh connection gets its answer.
    pub(crate) async fn still_serves(&self) -> TestResult {
        let mut stranger = self.stranger().await?;
        stranger.say(&Opening::Info).await?;
        match stranger.hear().await? {
            OpeningReply::Info(info) if info.realm == self.realm() => Ok(()),
            other => Err(format!("asked who it is, the server said {other:?}").into()),
        }
    }

    pub(crate) fn realm(&self) -> Realm {
        self.server.shared().realm
    }
}

/// Keys and genesis of somebody, made from the name.
pub(crate) struct Person {
    pub(crate) key: SigningKey,
    pub(crate) genesis: SignedLink,
    realm: Realm,
}

impl Person {
    pub(crate) fn named(name: &str, realm: Realm) -> Self {
        let seed = name.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte));
        let mut rng = StdRng::seed_from_u64(seed);
        let key = SigningKey::generate(&mut rng);
        let hpke = HpkeSecret::generate(&mut rng).public();
        let now: TimeMs = SystemClock.now_ms();
        let label = DeviceLabel { name: "desk".into(), os: "linux".into(), created: now };
        let genesis = Genesis {
            realm,
            handle: name.parse().expect("test names are handles"),
            kind: AccountKind::Human,
            operator: String::new(),
            device: DeviceRecord::founding(key.public(), hpke, label),
            recovery_key: SigningKey::generate(&mut rng).public(),
        };
        let genesis = UserLink::founding(genesis, now).sign(&key);
        Self { key, genesis, realm }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.genesis.account()
    }

    fn scope(&self) -> AuthScope {
        AuthScope { realm: self.realm, account: self.account(), device: self.key.device_id() }
    }

    pub(crate) fn register(&self, connection: &Connection) -> TestResult<Opening> {
        let ekm = exporter(connection, &self.scope())?;
        let signature = self.scope().sign_register(&self.key, &self.genesis, None, &ekm);
        Ok(Opening::Register(Register {
            version: 1,
            features: 0,
            token: None,
            genesis: self.genesis.0.clone(),
            proof: None,
            signature: signature.0,
        }))
    }

    pub(crate) fn hello(&self, connection: &Connection) -> TestResult<Hello> {
        let scope = self.scope();
        let ekm = exporter(connection, &scope)?;
        Ok(Hello {
            version: 1,
            features: 0,
            account: scope.account,
            device: scope.device,
            signature: scope.sign_hello(&self.key, &ekm).0,
        })
    }
}

fn exporter(connection: &Connection, scope: &AuthScope) -> TestResult<ExporterValue> {
    let mut value = [0; 32];
    connection
        .export_keying_material(&mut value, EXPORTER_LABEL, &scope.exporter_context().0)
        .map_err(|_| "the connection exports nothing")?;
    Ok(ExporterValue::new(value)?)
}

/// A connection before login.
pub(crate) struct Stranger {
    pub(crate) connection: Connection,
    pub(crate) send: SendStream,
    pub(crate) frames: Frames,
}

impl Stranger {
    pub(crate) async fn say(&mut self, opening: &Opening) -> TestResult {
        Ok(self.send.write_all(&encode_frame(opening)).await?)
    }

    pub(crate) async fn hear(&mut self) -> TestResult<OpeningReply> {
        let body = self.frames.next().await?.ok_or("the stream ended")?;
        Ok(decode(&body)?)
    }

    pub(crate) async fn becomes(mut self, person: Person) -> TestResult<Session> {
        match self.hear().await? {
            OpeningReply::Welcome(welcome) => Ok(Session { person, stranger: self, welcome }),
            other => Err(format!("instead of a welcome: {other:?}").into()),
        }
    }

    /// Waits until the server has closed the connection.
    pub(crate) async fn ending(&self) -> TestResult<CloseCode> {
        ending(&self.connection).await
    }
}

pub(crate) async fn ending(connection: &Connection) -> TestResult<CloseCode> {
    match timeout(PATIENCE, connection.closed()).await? {
        ConnectionError::ApplicationClosed(close) => {
            Ok(CloseCode::from_number(close.error_code.into_inner()))
        }
        other => Err(format!("the connection ended otherwise: {other}").into()),
    }
}

/// A connection after login.
pub(crate) struct Session {
    pub(crate) person: Person,
    pub(crate) stranger: Stranger,
    pub(crate) welcome: Welcome,
}

impl Session {
    pub(crate) fn connection(&self) -> &Connection {
        &self.stranger.connection
    }

    pub(crate) async fn call(&mut self, id: u32, request: Request) -> TestResult {
        let frame = encode_frame(&Call { id, request });
        Ok(self.stranger.send.write_all(&frame).await?)
    }

    pub(crate) async fn hear(&mut self) -> TestResult<ServerFrame> {
        let body = self.stranger.frames.next().await?.ok_or("the stream ended")?;
        Ok(decode(&body)?)
    }

    /// The next answer, with the call it answers; events before it are thrown away.
    pub(crate) async fn answer(&mut self) -> TestResult<(u32, Result<Reply, Fault>)> {
        loop {
            match self.hear().await? {
                ServerFrame::Event(_) => {}
                ServerFrame::Reply { id, reply } => return Ok((id, Ok(reply))),
                ServerFrame::Fault { id, fault } => return Ok((id, Err(fault))),
            }
        }
    }

    /// Asks and waits for the answer.
    pub(crate) async fn ask(&mut self, request: Request) -> TestResult<Result<Reply, Fault>> {
        self.call(77, request).await?;
        let (id, answer) = self.answer().await?;
        assert_eq!(id, 77);
        Ok(answer)
    }

    /// The next event of a kind; everything before it is thrown away.
    pub(crate) async fn event(&mut self, is_it: impl Fn(&Event) -> bool) -> TestResult<Event> {
        loop {
            match self.hear().await? {
                ServerFrame::Event(event) if is_it(&event) => return Ok(event),
                _ => {}
            }
        }
    }

    /// All frames of one bulk read.
    pub(crate) async fn bulk(&self, request: &BulkRequest) -> TestResult<Vec<BulkReply>> {
        let (mut send, recv) = self.connection().open_bi().await?;
        send.write_all(&[&[STREAM_VERSION], &encode_frame(request)[..]].concat()).await?;
        send.finish()?;
        let mut frames = Frames::new(recv);
        let mut replies = Vec::new();
        while let Some(body) = frames.next().await? {
            replies.push(decode(&body)?);
        }
        Ok(replies)
    }
}

/// Frames off a stream, behind its version byte.
pub(crate) struct Frames {
    recv: RecvStream,
    buffer: BytesMut,
    has_version: bool,
}

impl Frames {
    fn new(recv: RecvStream) -> Self {
        Self { recv, buffer: BytesMut::new(), has_version: false }
    }

    /// The next frame's body; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> TestResult<Option<bytes::Bytes>> {
        loop {
            if !self.has_version && !self.buffer.is_empty() {
                assert_eq!(self.buffer.split_to(1)[0], STREAM_VERSION);
                self.has_version = true;
            }
            if self.has_version
                && let Some(body) = take_frame(&mut self.buffer, FRAME_LEN_MAX_COMMIT)?
            {
                return Ok(Some(body));
            }
            match timeout(PATIENCE, self.recv.read_chunk(usize::MAX, true)).await?? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk.bytes),
                None => return Ok(None),
            }
        }
    }
}

pub(crate) fn client_config() -> TestResult<quinn::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey(provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    Ok(quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)))
}

/// The server of this test: its key is not pinned, its signature is checked.
#[derive(Debug)]
struct AnyKey(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
