//! Stateless resets: how connections of the server's life before a crash are ended at once.
//!
//! See RFC 9000, 10.3. A server that dies sends nothing, and its peers
//! would wait for their idle timeout; the next one, with the same keys, ends these connections at
//! their next packet. Owns the two keys that make it possible, both made from the storage key.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::crypto::hash::{equal, expand, mac};
use mathia_protocol::crypto::labels;
use mathia_protocol::id::Hash;
use quinn::EndpointConfig;
use quinn::crypto::{CryptoError, HmacKey};
use quinn_proto::HashedConnectionIdGenerator;
use zeroize::Zeroizing;

/// Resets leave at most this often: after a crash all connections are to end within seconds, and a
/// thousand small packets a second cost nothing.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// The keys, the same after every restart. `Debug` hides them.
pub(super) struct StatelessReset {
    tokens: Zeroizing<[u8; 32]>,
    /// Marks connection numbers as ours. Found out by patience, it reveals nothing of the other key.
    ids: u64,
}

impl StatelessReset {
    /// Derives both keys from a secret of the server.
    pub(super) fn derive(secret: &[u8; 32]) -> Self {
        let tokens = expand::<32>(secret, labels::RESET, &[b"tokens"]);
        let ids = u64::from_be_bytes(*expand::<8>(secret, labels::RESET, &[b"ids"]));
        Self { tokens, ids }
    }

    /// The endpoint's settings that use them.
    pub(super) fn endpoint_config(self) -> EndpointConfig {
        let ids = self.ids;
        let mut config = EndpointConfig::new(Arc::new(self));
        config
            .cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(ids)))
            .min_reset_interval(INTERVAL_MIN);
        config
    }
}

impl fmt::Debug for StatelessReset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatelessReset(..)")
    }
}

impl HmacKey for StatelessReset {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(&mac(self.tokens.as_slice(), &[data]).0);
    }

    fn signature_len(&self) -> usize {
        Hash::ZERO.0.len()
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let expected = mac(self.tokens.as_slice(), &[data]);
        let is_right = signature.try_into().is_ok_and(|given| equal(&expected.0, given));
        if is_right { Ok(()) } else { Err(CryptoError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(secret: u8, connection: &[u8]) -> [u8; 32] {
        let mut token = [0; 32];
        StatelessReset::derive(&[secret; 32]).sign(connection, &mut token);
        token
    }

    #[test]
    fn only_a_server_with_the_same_secret_says_farewell() {
        assert_eq!(token(1, b"one"), token(1, b"one"));
        assert_ne!(token(1, b"one"), token(1, b"two"));
        assert_ne!(token(1, b"one"), token(2, b"one"));
        let farewell = StatelessReset::derive(&[1; 32]);
        assert_eq!(farewell.ids, StatelessReset::derive(&[1; 32]).ids);
        assert!(farewell.verify(b"one", &token(1, b"one")).is_ok());
        assert!(farewell.verify(b"one", &token(2, b"one")).is_err());
        assert!(farewell.verify(b"one", b"short").is_err());
        assert_eq!(format!("{farewell:?}"), "StatelessReset(..)");
    }
}
