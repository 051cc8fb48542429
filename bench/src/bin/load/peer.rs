//! One person against the server: an identity made from a number, a connection, a session.
//!
//! The stories of the server have a client in bare frames too. This one stays its own: it is half of
//! every measurement, so it must not change when tests do, and it looks at frames without decoding
//! them.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use mathia_protocol::crypto::auth::{AuthScope, EXPORTER_LABEL, ExporterValue};
use mathia_protocol::crypto::identity::{HpkeSecret, SigningKey};
use mathia_protocol::crypto::user_chain::UserChain;
use mathia_protocol::crypto::user_link::{
    AccountKind, DeviceLabel, DeviceRecord, Genesis, SignedLink, UserLink,
};
use mathia_protocol::id::{AccountId, DeviceId, Realm, RoomId, Seq, TimeMs};
use mathia_protocol::limits::{ALPN, FRAME_LEN_MAX_COMMIT, KEEP_ALIVE, STREAM_VERSION};
use mathia_protocol::wire::{
    BulkReply, BulkRequest, Call, Fault, Hello, LogEntry, Opening, OpeningReply, Register, Reply,
    Request, RoomHead, ServerFrame, decode, encode_frame, take_frame,
};
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{Failure, Options};

/// What a dialer with small windows takes unread, in bytes per stream.
pub(crate) const SMALL_WINDOW: u32 = 16 * 1024;
/// A fixed time, so that identities of one number are the same in every run.
const BORN: TimeMs = TimeMs(1_790_000_000_000);

/// Keys and chain of one person, all made from a number.
pub(crate) struct Identity {
    pub(crate) signing: SigningKey,
    pub(crate) account: AccountId,
    pub(crate) device: DeviceId,
    pub(crate) genesis: SignedLink,
    pub(crate) chain: UserChain,
}

impl Identity {
    /// Someone new.
    pub(crate) fn numbered(realm: Realm, number: usize) -> Result<Self, Failure> {
        let mut rng = StdRng::seed_from_u64(number as u64);
        let signing = SigningKey::generate(&mut rng);
        let hpke = HpkeSecret::generate(&mut rng);
        let label = DeviceLabel { name: "load".into(), os: "load".into(), created: BORN };
        let genesis = Genesis {
            realm,
            handle: format!("load-{number}").parse()?,
            kind: AccountKind::Human,
            operator: String::new(),
            device: DeviceRecord::founding(signing.public(), hpke.public(), label),
            recovery_key: SigningKey::generate(&mut rng).public(),
        };
        let now = TimeMs(crate::room::now_ms());
        let genesis = UserLink::founding(genesis, now).sign(&signing);
        Self::founded_by(signing, genesis)
    }

    /// Someone who was enrolled by an earlier run, by the genesis that run wrote down.
    pub(crate) fn enrolled(number: usize, genesis: Vec<u8>) -> Result<Self, Failure> {
        let signing = SigningKey::generate(&mut StdRng::seed_from_u64(number as u64));
        Self::founded_by(signing, SignedLink(genesis))
    }

    fn founded_by(signing: SigningKey, genesis: SignedLink) -> Result<Self, Failure> {
        let chain = UserChain::found(&genesis)?;
        let (account, device) = (chain.account(), signing.device_id());
        Ok(Self { signing, account, device, genesis, chain })
    }

    fn scope(&self, realm: Realm) -> AuthScope {
        AuthScope { realm, account: self.account, device: self.device }
    }
}

/// The server that was started for this run: its key is not pinned, its signature is checked.
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

/// Opens connections to the server of this run.
pub(crate) struct Dialer {
    endpoint: Endpoint,
    server: SocketAddr,
    pub(crate) realm: Realm,
}

impl Dialer {
    /// A dialer that does not ask who the server is; enough for the floor, which has no realm.
    pub(crate) fn blind(options: &Options) -> Result<Self, Failure> {
        let mut endpoint = Endpoint::client("127.0.0.1:0".parse()?)?;
        endpoint.set_default_client_config(client_config(None)?);
        Ok(Self { endpoint, server: options.server, realm: Realm::ZERO })
    }

    /// A dialer that knows the server's realm.
    pub(crate) async fn new(options: &Options) -> Result<Self, Failure> {
        let mut dialer = Self::blind(options)?;
        let connection = dialer.connect().await?;
        let (mut send, recv) = connection.open_bi().await?;
        send.write_all(&[&[STREAM_VERSION], &encode_frame(&Opening::Info)[..]].concat()).await?;
        let body = Frames::new(recv).next().await?.ok_or("the server did not say who it is")?;
        match decode::<OpeningReply>(&body)? {
            OpeningReply::Info(info) => dialer.realm = info.realm,
            other => return Err(format!("the question who it is was answered by {other:?}").into()),
        }
        Ok(dialer)
    }

    /// Another dialer to the same server, whose connections take little before somebody reads.
    pub(crate) fn with_small_windows(&self) -> Result<Self, Failure> {
        let mut endpoint = Endpoint::client("127.0.0.1:0".parse()?)?;
        endpoint.set_default_client_config(client_config(Some(SMALL_WINDOW))?);
        Ok(Self { endpoint, server: self.server, realm: self.realm })
    }

    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        Ok(self.endpoint.connect(self.server, "mathia.invalid")?.await?)
    }

    /// Connects with a full handshake, without a ticket of an earlier connection.
    pub(crate) async fn connect_anew(&self) -> Result<Connection, Failure> {
        let config = client_config(None)?;
        Ok(self.endpoint.connect_with(config, self.server, "mathia.invalid")?.await?)
    }

    /// Makes the account and logs in.
    pub(crate) async fn register(&self, identity: &Identity) -> Result<Session, Failure> {
        let connection = self.connect().await?;
        let scope = identity.scope(self.realm);
        let ekm = exported(&connection, &scope)?;
        let signature = scope.sign_register(&identity.signing, &identity.genesis, None, &ekm);
        let register = Register {
            version: 1,
            features: 0,
            token: None,
            genesis: identity.genesis.0.clone(),
            proof: None,
            signature: signature.0,
        };
        Session::open(connection, &Opening::Register(register)).await
    }

    /// Logs in over a connection.
    pub(crate) async fn hello(
        &self,
        connection: Connection,
        identity: &Identity,
    ) -> Result<Session, Failure> {
        let scope = identity.scope(self.realm);
        let ekm = exported(&connection, &scope)?;
        let hello = Hello {
            version: 1,
            features: 0,
            account: identity.account,
            device: identity.device,
            signature: scope.sign_hello(&identity.signing, &ekm).0,
        };
        Session::open(connection, &Opening::Hello(hello)).await
    }
}

fn client_config(stream_window: Option<u32>) -> Result<quinn::ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey(provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls)?;
    let mut transport = quinn::TransportConfig::default();
    transport.keep_alive_interval(Some(KEEP_ALIVE));
    if let Some(bytes) = stream_window {
        transport.stream_receive_window(bytes.into());
    }
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

fn exported(connection: &Connection, scope: &AuthScope) -> Result<ExporterValue, Failure> {
    let mut ekm = [0; 32];
    connection
        .export_keying_material(&mut ekm, EXPORTER_LABEL, &scope.exporter_context().0)
        .map_err(|_| "no exporter")?;
    Ok(ExporterValue::new(ekm)?)
}

/// Reads frames off one stream.
pub(crate) struct Frames {
    stream: RecvStream,
    buffer: BytesMut,
    has_version: bool,
}

impl Frames {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self { stream, buffer: BytesMut::new(), has_version: false }
    }

    /// The body of the next frame; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if self.has_version
                && let Some(body) = take_frame(&mut self.buffer, FRAME_LEN_MAX_COMMIT)?
            {
                return Ok(Some(body));
            }
            let Some(chunk) = self.stream.read_chunk(64 * 1024, true).await? else {
                return Ok(None);
            };
            self.buffer.extend_from_slice(&chunk.bytes);
            if !self.has_version && !self.buffer.is_empty() {
                let version = self.buffer.split_to(1);
                if version[0] != STREAM_VERSION {
                    return Err(format!("stream version {}", version[0]).into());
                }
                self.has_version = true;
            }
        }
    }
}

/// A logged-in session.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    pub(crate) send: SendStream,
    pub(crate) frames: Frames,
    next_call: u32,
}

impl Session {
    async fn open(connection: Connection, opening: &Opening) -> Result<Self, Failure> {
        let (mut send, recv) = connection.open_bi().await?;
        send.write_all(&[&[STREAM_VERSION], &encode_frame(opening)[..]].concat()).await?;
        let mut frames = Frames::new(recv);
        let body = frames.next().await?.ok_or("the server closed the session stream")?;
        match decode::<OpeningReply>(&body)? {
            OpeningReply::Welcome(_) => Ok(Self { connection, send, frames, next_call: 0 }),
            OpeningReply::Fault(fault) => Err(fault.into()),
            other => Err(format!("login was answered by {other:?}").into()),
        }
    }

    /// Sends a request and returns its number.
    pub(crate) async fn send(&mut self, request: Request) -> Result<u32, Failure> {
        self.next_call += 1;
        let call = Call { id: self.next_call, request };
        self.send.write_all(&encode_frame(&call)).await?;
        Ok(self.next_call)
    }

    /// Sends a request and waits for its answer; events on the way are dropped.
    pub(crate) async fn ask(&mut self, request: Request) -> Result<Result<Reply, Fault>, Failure> {
        let wanted = self.send(request).await?;
        loop {
            let body = self.frames.next().await?.ok_or("the session ended")?;
            match decode::<ServerFrame>(&body)? {
                ServerFrame::Reply { id, reply } if id == wanted => return Ok(Ok(reply)),
                ServerFrame::Fault { id, fault } if id == wanted => return Ok(Err(fault)),
                _ => {}
            }
        }
    }

    /// Begins to hear events, and learns the rooms.
    pub(crate) async fn resume(&mut self) -> Result<Vec<RoomHead>, Failure> {
        match self.ask(Request::Resume { cursors: Vec::new(), is_last: true }).await? {
            Ok(Reply::Resumed { heads, .. }) => Ok(heads),
            other => Err(format!("resume was answered by {other:?}").into()),
        }
    }

    /// Reads the newest entries of a room.
    pub(crate) async fn last(&self, room: RoomId, count: u32) -> Result<Vec<LogEntry>, Failure> {
        self.read(&BulkRequest::Before { room, before: Seq(0), count }).await
    }

    /// Reads a room from its beginning to its head.
    pub(crate) async fn whole(&self, room: RoomId) -> Result<Vec<LogEntry>, Failure> {
        self.read(&BulkRequest::After { room, after: Seq(0), count: u32::MAX }).await
    }

    /// Reads a room from behind a place to its head.
    pub(crate) async fn after(&self, room: RoomId, after: Seq) -> Result<Vec<LogEntry>, Failure> {
        self.read(&BulkRequest::After { room, after, count: u32::MAX }).await
    }

    /// Reads entries on a stream of their own.
    async fn read(&self, request: &BulkRequest) -> Result<Vec<LogEntry>, Failure> {
        let (mut send, recv) = self.connection.open_bi().await?;
        let request = encode_frame(request);
        send.write_all(&[&[STREAM_VERSION], &request[..]].concat()).await?;
        send.finish()?;
        let mut frames = Frames::new(recv);
        let mut all = Vec::new();
        while let Some(body) = frames.next().await? {
            match decode::<BulkReply>(&body)? {
                BulkReply::Page { entries, is_last, .. } => {
                    all.extend(entries);
                    if is_last {
                        break;
                    }
                }
                BulkReply::Fault(fault) => return Err(fault.into()),
            }
        }
        Ok(all)
    }
}
