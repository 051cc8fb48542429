//! A QUIC connection to the server and the frames on its streams.
//!
//! Owns sockets, TLS settings and the version byte in front of every stream. Knows nothing of
//! accounts; nothing is sent to a server whose key was not judged first.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, Endpoint, RecvStream, SendStream, TransportConfig, VarInt};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::trust::{Expected, KeyWitness, Shown, TrustError};
use crate::congestion::Floored;
use crate::limits::{
    ALPN, FRAME_LEN_MAX_COMMIT, FRAME_TIMEOUT, IDLE_TIMEOUT, KEEP_ALIVE, STREAM_VERSION,
};
use crate::wire::{Frame, WireError, decode, encode_frame, take_frame};

/// A handshake that takes longer than this fails: enough for three lost flights.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(8);
/// Addresses of one name that are tried.
const ATTEMPTS_MAX: usize = 4;
/// When each of them is tried, so that one that leads nowhere costs little (RFC 8305).
const DELAYS: [Duration; ATTEMPTS_MAX] = [
    Duration::ZERO,
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(750),
];
/// Bytes taken from a stream at a time.
const READ_LEN_MAX: usize = 64 * 1024;
/// Close code of a session that ends in good order.
pub(super) const CLOSE_DONE: VarInt = VarInt::from_u32(0);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name does not resolve, or the address is no `host:port`.
    #[error("cannot find {address}: {cause}")]
    Resolve {
        /// What was asked for.
        address: String,
        /// What the system said.
        cause: io::Error,
    },
    /// No local socket can be made.
    #[error("cannot open a socket: {0}")]
    Socket(#[from] io::Error),
    /// Nothing answers. Retrying later may help.
    #[error("{0}")]
    Unreachable(String),
    /// The server is not trusted. Retrying never helps.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// Our own TLS settings are refused. A bug.
    #[error("cannot set TLS up: {0}")]
    Tls(String),
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The connection or the stream broke. Connecting again helps.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The peer sent what is no frame of this protocol.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The peer speaks another version.
    #[error("the server speaks stream version {0}, this client version {STREAM_VERSION}")]
    Version(u8),
    /// The peer did not finish a frame in time.
    #[error("the server did not answer in time")]
    TimedOut,
}

/// A connection whose server key was judged.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) endpoint: Endpoint,
    pub(super) connection: Connection,
    pub(super) shown: Shown,
}

/// Connects and judges the server's key.
pub(super) async fn connect(address: &str, expected: &Expected) -> Result<Connected, ConnectError> {
    let (host, _) = split_address(address)?;
    let resolve = |cause| ConnectError::Resolve { address: address.to_owned(), cause };
    let remotes = tokio::net::lookup_host(address).await.map_err(resolve)?;
    let mut attempts = JoinSet::new();
    for (remote, delay) in remotes.take(ATTEMPTS_MAX).zip(DELAYS) {
        let (host, expected) = (host.to_owned(), expected.clone());
        attempts.spawn(async move {
            sleep(delay).await;
            connect_to(remote, &host, &expected).await
        });
    }
    let mut failure = resolve(io::ErrorKind::NotFound.into());
    // The first that answers wins; dropping the set ends the others.
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(error @ ConnectError::Untrusted(_))) => return Err(error),
            Ok(Err(error)) => failure = error,
            Err(error) => failure = ConnectError::Unreachable(error.to_string()),
        }
    }
    Err(failure)
}

fn split_address(address: &str) -> Result<(&str, &str), ConnectError> {
    let (host, port) = address.rsplit_once(':').ok_or_else(|| ConnectError::Resolve {
        address: address.to_owned(),
        cause: io::Error::new(io::ErrorKind::InvalidInput, "the port is missing"),
    })?;
    Ok((host.trim_start_matches('[').trim_end_matches(']'), port))
}

async fn connect_to(
    remote: SocketAddr,
    host: &str,
    expected: &Expected,
) -> Result<Connected, ConnectError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let witness = Arc::new(KeyWitness::new(Arc::clone(&provider), expected.clone()));
    let config = client_config(provider, Arc::clone(&witness))?;
    let endpoint = Endpoint::client(local_address(remote))?;
    let unreachable = |error: &dyn std::fmt::Display| ConnectError::Unreachable(error.to_string());
    let connecting =
        endpoint.connect_with(config, remote, host).map_err(|error| unreachable(&error))?;
    let result = timeout(HANDSHAKE_TIMEOUT, connecting).await;
    let shown = witness.shown();
    if let Some(shown) = shown {
        // Also when the handshake failed: then this is the reason.
        if let Err(error) = expected.judge(shown) {
            if let Ok(Ok(connection)) = &result {
                connection.close(CLOSE_DONE, b"");
            }
            return Err(error.into());
        }
    }
    let connection = match result {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Err(unreachable(&error)),
        Err(_) => return Err(ConnectError::Unreachable("no answer".to_owned())),
    };
    let shown = shown.ok_or_else(|| ConnectError::Tls("no certificate was shown".to_owned()))?;
    Ok(Connected { endpoint, connection, shown })
}

fn local_address(remote: SocketAddr) -> SocketAddr {
    if remote.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    }
}

fn client_config(
    provider: Arc<rustls::crypto::CryptoProvider>,
    witness: Arc<KeyWitness>,
) -> Result<quinn::ClientConfig, ConnectError> {
    let tls_error = |error: &dyn std::fmt::Display| ConnectError::Tls(error.to_string());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| tls_error(&error))?
        .dangerous()
        .with_custom_certificate_verifier(witness)
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.enable_early_data = false;
    // A resumed session shows no certificate, and every connection's key is to be judged.
    tls.resumption = rustls::client::Resumption::disabled();
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| tls_error(&error))?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    let mut transport = TransportConfig::default();
    let idle = IDLE_TIMEOUT.try_into().map_err(|error| tls_error(&error))?;
    transport
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .congestion_controller_factory(Arc::new(Floored::default()))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(Some(READ_LEN_MAX))
        .datagram_send_buffer_size(READ_LEN_MAX);
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Makes a socket for another local port, for a connection to `remote`.
pub(super) fn fresh_socket(remote: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::bind(local_address(remote))
}

/// Writes frames to a stream, the version byte first.
#[derive(Debug)]
pub(super) struct FrameWriter {
    stream: SendStream,
    is_open: bool,
}

impl FrameWriter {
    pub(super) fn new(stream: SendStream) -> Self {
        Self { stream, is_open: false }
    }

    /// Writes one frame.
    pub(super) async fn write<T: Frame>(&mut self, frame: &T) -> Result<(), StreamError> {
        self.write_chunks(&mut [encode_frame(frame)]).await
    }

    /// Writes encoded frames, all at once.
    pub(super) async fn write_chunks(&mut self, frames: &mut [Bytes]) -> Result<(), StreamError> {
        let lost = |error: quinn::WriteError| StreamError::Lost(error.to_string());
        if !self.is_open {
            self.stream.write_all(&[STREAM_VERSION]).await.map_err(lost)?;
            self.is_open = true;
        }
        self.stream.write_all_chunks(frames).await.map_err(lost)
    }

    /// Says that nothing follows.
    pub(super) fn finish(&mut self) {
        // Fails only if the stream was closed before, which says the same.
        drop(self.stream.finish());
    }
}

/// Reads frames from a stream and checks the version byte.
#[derive(Debug)]
pub(super) struct FrameReader {
    stream: RecvStream,
    buffer: BytesMut,
    has_version: bool,
}

impl FrameReader {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, buffer: BytesMut::new(), has_version: false }
    }

    /// Waits for the next frame; `None` when the peer finished the stream between two frames.
    ///
    /// Cancel-safe: partial bytes stay in the buffer.
    pub(super) async fn next<T: Frame>(&mut self) -> Result<Option<T>, StreamError> {
        loop {
            if self.has_version
                && let Some(body) = take_frame(&mut self.buffer, FRAME_LEN_MAX_COMMIT)?
            {
                return Ok(Some(decode(&body)?));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// Waits for the next frame, but no longer than a frame may take.
    pub(super) async fn next_in_time<T: Frame>(&mut self) -> Result<T, StreamError> {
        match timeout(FRAME_TIMEOUT, self.next()).await {
            Ok(Ok(Some(frame))) => Ok(frame),
            Ok(Ok(None)) => Err(StreamError::Lost("the stream ended early".to_owned())),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StreamError::TimedOut),
        }
    }

    async fn fill(&mut self) -> Result<bool, StreamError> {
        let read = self.stream.read_chunk(READ_LEN_MAX, true).await;
        let chunk = read.map_err(|error| StreamError::Lost(error.to_string()))?;
        let Some(chunk) = chunk else {
            return if self.buffer.is_empty() {
                Ok(false)
            } else {
                Err(StreamError::Lost("the stream ended inside a frame".to_owned()))
            };
        };
        let mut bytes = chunk.bytes;
        if !self.has_version {
            match bytes.first() {
                Some(&STREAM_VERSION) => bytes = bytes.slice(1..),
                Some(other) => return Err(StreamError::Version(*other)),
                None => return Ok(true),
            }
            self.has_version = true;
        }
        self.buffer.extend_from_slice(&bytes);
        Ok(true)
    }
}
