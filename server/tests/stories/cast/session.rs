//! A session in bare frames, for what no honest client would say.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mathia_protocol::client::Identity;
use mathia_protocol::crypto::auth::{AuthScope, EXPORTER_LABEL, ExporterValue};
use mathia_protocol::limits::{ALPN, FRAME_LEN_MAX_COMMIT, PROTOCOL_VERSION, STREAM_VERSION};
use mathia_protocol::wire::{
    Call, Frame, Hello, Opening, OpeningReply, Reply, Request, ServerFrame, decode, encode_frame,
    take_frame,
};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::time::timeout;

use super::TestResult;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A logged-in session.
pub(crate) struct Session {
    /// Kept so that it stays open.
    _connection: Connection,
    pub(crate) send: SendStream,
    pub(crate) frames: Frames,
}

impl Session {
    /// Logs in with somebody's keys.
    pub(crate) async fn login(address: SocketAddr, identity: &Identity) -> TestResult<Self> {
        let connection = dial(address).await?;
        let opening = Opening::Hello(hello(&connection, identity)?);
        let (session, reply) = Self::open(connection, &opening).await?;
        match reply {
            OpeningReply::Welcome(_) => Ok(session),
            other => Err(format!("instead of a welcome: {other:?}").into()),
        }
    }

    /// Says the first frame of a connection and hears the answer.
    pub(crate) async fn open(
        connection: Connection,
        opening: &Opening,
    ) -> TestResult<(Self, OpeningReply)> {
        let (mut send, receive) = connection.open_bi().await?;
        send.write_all(&[STREAM_VERSION]).await?;
        send.write_all(&encode_frame(opening)).await?;
        let mut frames = Frames::new(receive);
        let reply = frames.next().await?.ok_or("the stream ended")?;
        Ok((Self { _connection: connection, send, frames }, reply))
    }

    /// Asks and waits for the answer.
    pub(crate) async fn ask(&mut self, request: Request) -> TestResult<Reply> {
        self.send.write_all(&encode_frame(&Call { id: 1, request })).await?;
        loop {
            match self.frames.next().await?.ok_or("the stream ended")? {
                ServerFrame::Event(_) => {}
                ServerFrame::Reply { reply, .. } => return Ok(reply),
                ServerFrame::Fault { fault, .. } => return Err(fault.to_string().into()),
            }
        }
    }
}

/// What a device says to log in, signed for this very connection.
pub(crate) fn hello(connection: &Connection, identity: &Identity) -> TestResult<Hello> {
    let (realm, account, device) = (identity.realm, identity.account, identity.device());
    let scope = AuthScope { realm, account, device };
    let mut ekm = [0; 32];
    connection
        .export_keying_material(&mut ekm, EXPORTER_LABEL, &scope.exporter_context().0)
        .map_err(|_| "the connection exports nothing")?;
    let signature = scope.sign_hello(&identity.signing, &ExporterValue::new(ekm)?).0;
    Ok(Hello { version: PROTOCOL_VERSION, features: 0, account, device, signature })
}

/// Frames off a stream, behind its version byte.
pub(crate) struct Frames {
    receive: RecvStream,
    buffer: BytesMut,
    has_version: bool,
}

impl Frames {
    pub(crate) fn new(receive: RecvStream) -> Self {
        Self { receive, buffer: BytesMut::new(), has_version: false }
    }

    /// The next frame, waiting no longer than an answer may take.
    pub(crate) async fn next<T: Frame>(&mut self) -> TestResult<Option<T>> {
        timeout(PATIENCE, self.next_when_it_comes()).await?
    }

    /// The next frame, whenever it comes. Cancel-safe.
    pub(crate) async fn next_when_it_comes<T: Frame>(&mut self) -> TestResult<Option<T>> {
        self.next_body().await?.map(|body| Ok(decode(&body)?)).transpose()
    }

    /// The bytes of the next frame.
    pub(crate) async fn next_body(&mut self) -> TestResult<Option<Bytes>> {
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
            match self.receive.read_chunk(usize::MAX, true).await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk.bytes),
                None => return Ok(None),
            }
        }
    }
}

/// Connects to any server, whatever its key.
pub(crate) async fn dial(address: SocketAddr) -> TestResult<Connection> {
    let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    endpoint.set_default_client_config(client_config()?);
    Ok(timeout(PATIENCE, endpoint.connect(address, "mathia")?).await??)
}

fn client_config() -> TestResult<quinn::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey(provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    Ok(quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)))
}

/// Believes every key, but checks that the server has it.
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
