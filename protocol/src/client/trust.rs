//! Whether a server is the one it should be (CRYPTO B8).
//!
//! Owns the order of proofs: the pin of the invite, the stored pin, the platform's certificate
//! authorities at first contact (the key is pinned from then on), a person who compares words. A
//! pinned server never falls back to any weaker proof. Every handshake's signature is verified: a
//! certificate is public, only the signature proves the key.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, SignatureScheme};

use crate::crypto::hash::sha256;
use crate::crypto::words::to_words;
use crate::id::Hash;

/// A person who decides about a server key that nothing vouches for.
pub trait TrustAsk: Send + Sync + fmt::Debug + 'static {
    /// Shows the fingerprint and its words; `true` only after the person typed "yes".
    ///
    /// Called at first contact only, with no connection open; it may block for minutes.
    fn is_trusted(&self, address: &str, pin: Hash, words: &str) -> bool;
}

/// What the client knows about a server's key before it connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// An invite told the first half of the pin.
    InvitePin([u8; 16]),
    /// Stored pins: the present key and the announced next one.
    Pins(Vec<Hash>),
    /// Nothing.
    FirstContact,
}

/// Why a server is not trusted. Never retried by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The key is not the pinned one. Somebody is in between, or the server was set up anew.
    #[error(
        "the server's key changed: expected {expected}, found {}. If the server was really set \
         up anew, remove its pin with: mathia-tui trust --replace",
        .found.to_hex()
    )]
    Changed {
        /// The pin, or as much of it as an invite tells.
        expected: String,
        /// The pin of the key that the server showed.
        found: Hash,
    },
    /// Nothing vouches for the key, and nobody said yes.
    #[error(
        "nothing vouches for the server's key {} ({words}): compare it with the operator, \
         or join by an invite",
        .pin.to_hex()
    )]
    Unvouched {
        /// The pin of the key that the server showed.
        pin: Hash,
        /// The same as words.
        words: String,
    },
}

/// The key a server showed, and whether the platform's authorities vouch for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// SHA-256 of the public key (SPKI).
    pub pin: Hash,
    /// Whether the platform's authorities vouch for the certificate and name.
    pub is_vouched: bool,
}

impl Expected {
    /// Judges a key that was shown.
    ///
    /// # Errors
    ///
    /// [`TrustError::Changed`] for another key than the pinned, [`TrustError::Unvouched`] at a first
    /// contact that needs a person.
    pub fn judge(&self, shown: Shown) -> Result<(), TrustError> {
        let expected = match self {
            Self::InvitePin(half) if shown.pin.first_half() == *half => return Ok(()),
            Self::InvitePin(half) => crate::id::DeviceId(*half).to_hex(),
            Self::Pins(pins) if pins.contains(&shown.pin) => return Ok(()),
            Self::Pins(pins) => pins.iter().map(Hash::to_hex).collect::<Vec<_>>().join(" or "),
            Self::FirstContact if shown.is_vouched => return Ok(()),
            Self::FirstContact => {
                let words = pin_words(shown.pin);
                return Err(TrustError::Unvouched { pin: shown.pin, words });
            }
        };
        Err(TrustError::Changed { expected, found: shown.pin })
    }

    fn is_pinned(&self) -> bool {
        !matches!(self, Self::FirstContact)
    }
}

/// The first half of a pin as twelve words, for reading aloud.
pub fn pin_words(pin: Hash) -> String {
    to_words(&pin.first_half()).to_string()
}

/// Lets a handshake pass if its signature is right, and remembers which key it proved. The caller
/// judges before it sends anything.
#[derive(Debug)]
pub(super) struct KeyWitness {
    provider: Arc<CryptoProvider>,
    platform: Option<Arc<dyn ServerCertVerifier>>,
    expected: Expected,
    shown: Mutex<Option<Shown>>,
}

impl KeyWitness {
    pub(super) fn new(provider: Arc<CryptoProvider>, expected: Expected) -> Self {
        let platform = if expected.is_pinned() {
            None
        } else {
            // Without any root certificates nobody vouches, and a person is asked.
            rustls_platform_verifier::Verifier::new(Arc::clone(&provider))
                .ok()
                .map(|verifier| Arc::new(verifier) as Arc<dyn ServerCertVerifier>)
        };
        Self { provider, platform, expected, shown: Mutex::new(None) }
    }

    /// The key of the handshake, once there was one.
    pub(super) fn shown(&self) -> Option<Shown> {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerCertVerifier for KeyWitness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let spki = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        let vouched = self.platform.as_ref().map(|platform| {
            platform.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        });
        let is_vouched = matches!(vouched, Some(Ok(_)));
        let shown = Shown { pin: sha256(&[spki.as_ref()]), is_vouched };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        match self.expected.judge(shown) {
            // The handshake fails here already; the caller tells the story.
            Err(TrustError::Changed { .. }) => Err(rustls::Error::InvalidCertificate(
                rustls::CertificateError::ApplicationVerificationFailure,
            )),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(byte: u8, is_vouched: bool) -> Shown {
        Shown { pin: Hash([byte; 32]), is_vouched }
    }

    #[test]
    fn a_pinned_server_is_known_by_its_key_alone() {
        let invite = Expected::InvitePin([1; 16]);
        assert_eq!(invite.judge(shown(1, false)), Ok(()));
        assert!(matches!(invite.judge(shown(2, true)), Err(TrustError::Changed { .. })));
        let stored = Expected::Pins(vec![Hash([1; 32]), Hash([2; 32])]);
        assert_eq!(stored.judge(shown(2, false)), Ok(()));
        assert!(matches!(stored.judge(shown(3, true)), Err(TrustError::Changed { .. })));
    }

    #[test]
    fn at_first_contact_an_authority_vouches_or_a_person_is_asked() {
        assert_eq!(Expected::FirstContact.judge(shown(1, true)), Ok(()));
        let refused = Expected::FirstContact.judge(shown(1, false)).unwrap_err();
        let TrustError::Unvouched { words, .. } = refused else { panic!("{refused}") };
        assert_eq!(words.split(' ').count(), 12);
    }
}
