//! The QUIC endpoint and what a stranger may cost before it has logged in (CRYPTO C1).
//!
//! Owns the numbers of the transport, but for those that a session raises after login. The
//! transport's own defaults would let one stranger pin 250 MB; here it pins 64 KiB of stream data.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::congestion::Floored;
use mathia_protocol::limits::IDLE_TIMEOUT;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{AckFrequencyConfig, Endpoint, TransportConfig, VarInt};

use super::stateless_reset::StatelessReset;
use super::tls::{Certificates, TlsError};

/// Streams a stranger may open: the one session stream.
const STREAMS_BEFORE_LOGIN: u32 = 1;
/// Bytes a stranger may have on the way: several opening frames.
const RECEIVE_WINDOW_BEFORE_LOGIN: u32 = 64 * 1024;
/// Bytes one stream may have on the way. Cannot be changed at run time; the window above binds.
const STREAM_RECEIVE_WINDOW: u32 = 256 * 1024;
/// Bytes written to a stranger that it has not yet acknowledged.
const SEND_WINDOW_BEFORE_LOGIN: u64 = 256 * 1024;
/// Bytes of datagrams that wait in either direction: many typing signs.
const DATAGRAM_BUFFER: usize = 32 * 1024;
/// Bytes of handshake data that arrived out of order.
const CRYPTO_BUFFER: usize = 16 * 1024;
/// Connections whose first packet has arrived and that were not yet judged.
const INCOMING_MAX: usize = 1_024;
/// Bytes buffered for one of these: its first flight.
const INCOMING_BUFFER: u64 = 16 * 1024;
/// Bytes buffered for all of these.
const INCOMING_BUFFER_TOTAL: u64 = 8 * 1024 * 1024;
/// Tokens given to a session with which it proves its address when it connects again.
const ADDRESS_TOKENS: u32 = 1;
/// Packets after which a peer that knows the extension acknowledges at the latest: fewer
/// acknowledgments are a fifth of the work of a busy room.
const ACK_EVERY: u32 = 10;

/// Why the endpoint cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The address is taken, not ours, or not allowed.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The TLS identity cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Opens the endpoint, which also ends connections of the server's life before a crash. Must be called inside the runtime that will drive it.
pub(super) fn open(
    address: SocketAddr,
    certificates: Arc<Certificates>,
    farewell: StatelessReset,
) -> Result<Endpoint, EndpointError> {
    let config = server_config(certificates)?;
    let listen = |source| EndpointError::Listen { address, source };
    let socket = UdpSocket::bind(address).map_err(listen)?;
    let runtime = Arc::new(quinn::TokioRuntime);
    Endpoint::new(farewell.endpoint_config(), Some(config), socket, runtime).map_err(listen)
}

fn server_config(certificates: Arc<Certificates>) -> Result<quinn::ServerConfig, TlsError> {
    let tls = certificates.server_config()?;
    let crypto = QuicServerConfig::try_from(tls)
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let mut tokens = quinn::ValidationTokenConfig::default();
    tokens.sent(ADDRESS_TOKENS);
    config
        .transport_config(Arc::new(transport_config()))
        .validation_token_config(tokens)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BUFFER)
        .incoming_buffer_size_total(INCOMING_BUFFER_TOTAL);
    Ok(config)
}

fn transport_config() -> TransportConfig {
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(VarInt::from_u32(ACK_EVERY));
    let idle_ms = u32::try_from(IDLE_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_BEFORE_LOGIN))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW_BEFORE_LOGIN))
        .stream_receive_window(VarInt::from_u32(STREAM_RECEIVE_WINDOW))
        .send_window(SEND_WINDOW_BEFORE_LOGIN)
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
        .datagram_send_buffer_size(DATAGRAM_BUFFER)
        .max_idle_timeout(Some(VarInt::from_u32(idle_ms).into()))
        .crypto_buffer_size(CRYPTO_BUFFER)
        .congestion_controller_factory(Arc::new(Floored::default()))
        .ack_frequency_config(Some(acks));
    config
}

/// The most a closing endpoint waits for its last packets to leave.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::session::{RECEIVE_WINDOW_AFTER_LOGIN, SEND_WINDOW_AFTER_LOGIN};
    use mathia_protocol::limits::{FRAME_LEN_MAX, FRAME_LEN_MAX_COMMIT, REQUESTS_MAX};

    /// CRYPTO C1: one connection pins at most 1.2 MiB, by the sum of its caps.
    #[test]
    fn one_hostile_session_pins_no_more_than_promised() {
        let replies = REQUESTS_MAX * 1024; // most replies are tiny; large ones are reads
        let sum = RECEIVE_WINDOW_AFTER_LOGIN as usize
            + usize::try_from(SEND_WINDOW_AFTER_LOGIN).unwrap()
            + 2 * DATAGRAM_BUFFER
            + CRYPTO_BUFFER
            + Limits::default().outbox_bytes_max
            + replies;
        assert!(sum <= 1_200 * 1024, "{sum}");
        assert!(FRAME_LEN_MAX_COMMIT <= RECEIVE_WINDOW_AFTER_LOGIN as usize);
        assert!(FRAME_LEN_MAX <= RECEIVE_WINDOW_BEFORE_LOGIN as usize);
    }
}
