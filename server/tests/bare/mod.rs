//! A client in bare frames, for what no honest client would say: shared by the stories at the door and
//! the stories of people. Who speaks, and what is said, is theirs.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mathia_protocol::crypto::auth::{AuthScope, EXPORTER_LABEL, ExporterValue};
use mathia_protocol::limits::{ALPN, FRAME_LEN_MAX_COMMIT, STREAM_VERSION};
use mathia_protocol::wire::{Frame, decode, take_frame};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, RecvStream};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::time::timeout;

/// What a story returns: anything that goes wrong ends it.
pub(crate) type TestResult<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Nothing in the stories takes so long, but for what the server itself waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

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

    /// The next frame, waiting no longer than an answer may take; `None` at the end of the stream.
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

/// What both ends of a connection know and nobody else: what a login signs.
pub(crate) fn exporter(connection: &Connection, scope: &AuthScope) -> TestResult<ExporterValue> {
    let mut value = [0; 32];
    connection
        .export_keying_material(&mut value, EXPORTER_LABEL, &scope.exporter_context().0)
        .map_err(|_| "the connection exports nothing")?;
    Ok(ExporterValue::new(value)?)
}

/// Connects to any server, whatever its key.
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
