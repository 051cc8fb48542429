//! What a device signs to log in, to register and to recover (CRYPTO B7, RFC 9729 in spirit).
//!
//! Every signature covers the exporter value of the very TLS connection it is sent on, so a server
//! in the middle cannot pass it on to another. Owns the texts; the connection hands in the value.
//!
//! ```text
//! ekm     = TLS exporter(EXPORTER_LABEL, context = H("auth-ctx", CE(realm, user_id, device_id)), 32)
//! login   = sign(device,       "auth",     CE(realm, user_id, device_id, ekm))
//! join    = sign(first device, "register", CE(realm, SHA-256(genesis), token opt, ekm))
//! recover = sign(recovery key, "recover",  CE(realm, user_id, SHA-256(AddDevice link), ekm))
//! ```
//!
//! When registering, `user_id` and `device_id` are those the genesis link founds; when recovering,
//! `device_id` is that of the device the link adds.

use std::fmt;

use super::ce::Writer;
use super::hash::{hash, sha256};
use super::identity::{BadSignature, Signature, SigningKey, VerifyKey};
use super::labels;
use super::user_link::SignedLink;
use crate::id::{AccountId, DeviceId, Hash, InviteToken, Realm};

/// The label of the TLS exporter (RFC 8446, 7.5).
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-mathia-auth-v1";
/// The size of the exporter value, in bytes.
pub const EXPORTER_LEN: usize = 32;

/// The value exported from one TLS connection: both ends have it and nobody else.
///
/// Valid on that connection only; compare and print it never.
#[derive(Clone, Copy)]
pub struct ExporterValue([u8; EXPORTER_LEN]);

/// The transport exported nothing. A bug of the transport, not of the peer: never log in over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection exported no keying material")]
pub struct NoExporter;

impl ExporterValue {
    /// Takes over what the transport exported.
    ///
    /// # Errors
    ///
    /// [`NoExporter`] if it is all zero, as a transport without TLS leaves it. Retrying never helps.
    pub fn new(bytes: [u8; EXPORTER_LEN]) -> Result<Self, NoExporter> {
        if bytes == [0; EXPORTER_LEN] { Err(NoExporter) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Debug for ExporterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExporterValue(..)")
    }
}

/// Who logs in where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthScope {
    /// The server's data.
    pub realm: Realm,
    /// The account.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
}

impl AuthScope {
    /// The scope of a registration: what the genesis link founds, signed by `device`.
    pub fn founding(realm: Realm, genesis: &SignedLink, device: DeviceId) -> Self {
        Self { realm, account: genesis.account(), device }
    }

    /// The context to export keying material with: `H("auth-ctx", CE(realm, user_id, device_id))`.
    pub fn exporter_context(&self) -> Hash {
        hash(labels::AUTH_CTX, &[&self.realm.0, &self.account.0, &self.device.0])
    }

    /// Signs a login with the device's key.
    pub fn sign_hello(&self, key: &SigningKey, ekm: &ExporterValue) -> Signature {
        key.sign(labels::AUTH, &[&self.hello_text(ekm)])
    }

    /// Checks a login against the device's key in its account's chain.
    ///
    /// For an unknown device check against some other key, so that it takes as long.
    ///
    /// # Errors
    ///
    /// [`BadSignature`] if the key, the scope or the connection is another. Retrying never helps.
    pub fn verify_hello(
        &self,
        key: &VerifyKey,
        ekm: &ExporterValue,
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        key.verify(labels::AUTH, &[&self.hello_text(ekm)], signature)
    }

    fn hello_text(&self, ekm: &ExporterValue) -> Vec<u8> {
        Writer::new()
            .fixed(&self.realm.0)
            .fixed(&self.account.0)
            .fixed(&self.device.0)
            .fixed(&ekm.0)
            .finish()
    }

    /// Signs a registration with the founding device's key.
    pub fn sign_register(
        &self,
        key: &SigningKey,
        genesis: &SignedLink,
        token: Option<InviteToken>,
        ekm: &ExporterValue,
    ) -> Signature {
        key.sign(labels::REGISTER, &[&self.register_text(genesis, token, ekm)])
    }

    /// Checks a registration against the key of the device that the genesis link founds.
    ///
    /// # Errors
    ///
    /// [`BadSignature`] if the key, the link, the invite or the connection is another. Retrying
    /// never helps.
    pub fn verify_register(
        &self,
        key: &VerifyKey,
        genesis: &SignedLink,
        token: Option<InviteToken>,
        ekm: &ExporterValue,
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        key.verify(labels::REGISTER, &[&self.register_text(genesis, token, ekm)], signature)
    }

    fn register_text(
        &self,
        genesis: &SignedLink,
        token: Option<InviteToken>,
        ekm: &ExporterValue,
    ) -> Vec<u8> {
        Writer::new()
            .fixed(&self.realm.0)
            .fixed(&sha256(&[&genesis.0]).0)
            .option(token, |writer, token| {
                writer.fixed(&token.0);
            })
            .fixed(&ekm.0)
            .finish()
    }

    /// Signs a recovery with the recovery key.
    pub fn sign_recover(
        &self,
        key: &SigningKey,
        link: &SignedLink,
        ekm: &ExporterValue,
    ) -> Signature {
        key.sign(labels::RECOVER, &[&self.recover_text(link, ekm)])
    }

    /// Checks a recovery against the recovery key in the account's chain.
    ///
    /// # Errors
    ///
    /// [`BadSignature`] if the key, the link or the connection is another. Retrying never helps.
    pub fn verify_recover(
        &self,
        key: &VerifyKey,
        link: &SignedLink,
        ekm: &ExporterValue,
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        key.verify(labels::RECOVER, &[&self.recover_text(link, ekm)], signature)
    }

    fn recover_text(&self, link: &SignedLink, ekm: &ExporterValue) -> Vec<u8> {
        Writer::new()
            .fixed(&self.realm.0)
            .fixed(&self.account.0)
            .fixed(&sha256(&[&link.0]).0)
            .fixed(&ekm.0)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EKM: ExporterValue = ExporterValue([7; 32]);

    fn scope(key: &SigningKey) -> AuthScope {
        let device = key.device_id();
        AuthScope { realm: Realm([1; 16]), account: AccountId([2; 32]), device }
    }

    #[test]
    fn a_login_is_worth_nothing_on_another_connection_or_server() {
        let key = SigningKey::from_seed(&[3; 32]);
        let here = scope(&key);
        let signature = here.sign_hello(&key, &EKM);
        assert_eq!(here.verify_hello(&key.public(), &EKM, &signature), Ok(()));
        let relayed = ExporterValue([8; 32]);
        assert_eq!(here.verify_hello(&key.public(), &relayed, &signature), Err(BadSignature));
        let there = AuthScope { realm: Realm([9; 16]), ..here };
        assert_eq!(there.verify_hello(&key.public(), &EKM, &signature), Err(BadSignature));
        assert_ne!(there.exporter_context(), here.exporter_context());
    }

    #[test]
    fn a_registration_is_bound_to_its_link_and_its_invite() {
        let key = SigningKey::from_seed(&[3; 32]);
        let here = scope(&key);
        let (genesis, other) = (SignedLink(vec![1; 99]), SignedLink(vec![2; 99]));
        let token = Some(InviteToken([5; 16]));
        let signature = here.sign_register(&key, &genesis, token, &EKM);
        let check = |link, token| {
            here.verify_register(&key.public(), link, token, &EKM, &signature).is_ok()
        };
        assert!(check(&genesis, token));
        assert!(!check(&other, token));
        assert!(!check(&genesis, None));
        assert!(!check(&genesis, Some(InviteToken([6; 16]))));
    }

    #[test]
    fn a_recovery_is_bound_to_the_device_it_adds() {
        let key = SigningKey::from_seed(&[3; 32]);
        let here = scope(&key);
        let (link, other) = (SignedLink(vec![1; 99]), SignedLink(vec![2; 99]));
        let signature = here.sign_recover(&key, &link, &EKM);
        assert_eq!(here.verify_recover(&key.public(), &link, &EKM, &signature), Ok(()));
        let refused = here.verify_recover(&key.public(), &other, &EKM, &signature);
        assert_eq!(refused, Err(BadSignature));
        assert_eq!(here.verify_hello(&key.public(), &EKM, &signature), Err(BadSignature));
    }

    #[test]
    fn a_transport_that_exports_nothing_is_never_trusted() {
        assert_eq!(ExporterValue::new([0; 32]).unwrap_err(), NoExporter);
        assert_eq!(format!("{:?}", ExporterValue::new([7; 32]).unwrap()), "ExporterValue(..)");
    }
}
