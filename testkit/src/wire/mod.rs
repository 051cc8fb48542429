//! A client in bare frames: for what no honest client would say, and for measurements, which must
//! not pay for an engine. Owns the connection and the login; who speaks and what is said is the
//! caller's.

mod frames;
mod keys;
mod session;
mod tls;

pub use frames::{Frames, PATIENCE};
pub use keys::Keys;
pub use session::{Session, close_code, dial};
pub use tls::client_config;

use mathia_protocol::crypto::auth::{AuthScope, EXPORTER_LABEL, ExporterValue};
use mathia_protocol::crypto::identity::SigningKey;
use mathia_protocol::limits::PROTOCOL_VERSION;
use mathia_protocol::wire::Hello;
use quinn::Connection;

use crate::TestResult;

/// What both ends of a connection know and nobody else: what a login signs.
pub fn exporter(connection: &Connection, scope: &AuthScope) -> TestResult<ExporterValue> {
    let mut value = [0; 32];
    connection
        .export_keying_material(&mut value, EXPORTER_LABEL, &scope.exporter_context().0)
        .map_err(|_| "the connection exports nothing")?;
    Ok(ExporterValue::new(value)?)
}

/// What a device says to log in, signed for this very connection.
pub fn hello(
    connection: &Connection,
    scope: &AuthScope,
    signing: &SigningKey,
) -> TestResult<Hello> {
    Ok(Hello {
        version: PROTOCOL_VERSION,
        features: 0,
        account: scope.account,
        device: scope.device,
        signature: scope.sign_hello(signing, &exporter(connection, scope)?).0,
    })
}
