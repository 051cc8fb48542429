//! Making an account: a name, silent keys, a recovery secret.
//!
//! Owns the order of things. A face writes the identity to its key file *before* it calls
//! [`Enrolment::finish`], so that a lost answer burns neither name nor invite: finishing again sends
//! the same genesis, and the server answers as before.

use std::sync::Arc;

use rand::CryptoRng;

use super::connect::{CLOSE_DONE, ConnectError, Connected, connect};
use super::identity::{HpkeEntry, Identity};
use super::login::{LoginError, Opener};
use super::record::{PinSource, ServerRecord};
use super::trust::{Expected, TrustAsk, TrustError};
use crate::crypto::auth::AuthScope;
use crate::crypto::identity::SigningKey;
use crate::crypto::invite::Invite;
use crate::crypto::recovery::RecoverySecret;
use crate::crypto::user_chain::{
    AccountKind, DeviceLabel, DeviceRecord, Genesis, SignedLink, UserLink,
};
use crate::id::{Hash, Realm, TimeMs};
use crate::name::Handle;
use crate::wire::{Info, Registration, Welcome};

/// Why no account was made.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The server cannot be reached or is not trusted.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server refused, or the connection broke; finishing again is safe.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The invite is for another server's data than the one that answers.
    #[error("the invite is for another server: ask for a new one")]
    OtherRealm,
    /// The server takes no registrations without an invite.
    #[error("this server needs an invite")]
    InviteNeeded,
}

/// Who registers, as the person says it.
#[derive(Debug)]
pub struct Applicant {
    /// The name to take.
    pub handle: Handle,
    /// What the device is called.
    pub label: DeviceLabel,
    /// Person or agent.
    pub kind: AccountKind,
    /// Who runs an agent; empty for a person.
    pub operator: String,
}

/// A server that answered and is trusted, before an account is made.
#[derive(Debug)]
pub struct Visit {
    connected: Connected,
    opener: Opener,
    info: Info,
    address: String,
    source: PinSource,
    inviter: Option<[u8; 16]>,
    invite: Invite,
}

/// An account that exists here, with all keys, but not yet at the server.
#[derive(Debug)]
pub struct Enrolment {
    visit: Visit,
    identity: Identity,
    genesis: SignedLink,
}

/// An account that exists.
#[derive(Debug)]
pub struct Registered {
    /// The keys, as they are in the key file.
    pub identity: Identity,
    /// The founding link, to be stored as the own chain.
    pub genesis: SignedLink,
    /// The server and its pin, to be stored in the replica.
    pub server: ServerRecord,
    /// First half of the inviter's account, if a member invited.
    pub inviter: Option<[u8; 16]>,
}

impl Visit {
    /// Connects by an invite (or an address with open registration) and judges the server.
    ///
    /// `ask` is asked only if neither invite nor an authority vouches for the server's key.
    ///
    /// # Errors
    ///
    /// [`RegisterError`]; an unreachable server may be tried again.
    pub async fn begin(
        invite: Invite,
        ask: Option<Arc<dyn TrustAsk>>,
    ) -> Result<Self, RegisterError> {
        let address = invite.address();
        let expected = match &invite.ticket {
            Some(ticket) => Expected::InvitePin(ticket.server_pin),
            None => Expected::FirstContact,
        };
        let (connected, source) = first_contact(&address, expected, ask).await?;
        let mut opener = Opener::open(&connected.connection).await?;
        let info = opener.info().await?;
        match &invite.ticket {
            Some(ticket) if ticket.realm != info.realm => return Err(RegisterError::OtherRealm),
            None if info.registration == Registration::Invite => {
                return Err(RegisterError::InviteNeeded);
            }
            _ => {}
        }
        let inviter = invite.ticket.as_ref().filter(|t| !t.is_from_server()).map(|t| t.inviter);
        Ok(Self { connected, opener, info, address, source, inviter, invite })
    }

    /// The pin of the server's key.
    pub fn server_pin(&self) -> Hash {
        self.connected.shown.pin
    }

    /// Makes keys and the founding link. Nothing is sent yet: save the identity first.
    pub fn enrol<R: CryptoRng>(self, rng: &mut R, applicant: Applicant) -> Enrolment {
        let realm = self.info.realm;
        let (identity, genesis) = found(rng, realm, applicant);
        Enrolment { visit: self, identity, genesis }
    }

    /// Takes up an enrolment whose answer was lost: the same keys and founding link as before.
    pub fn resume(self, identity: Identity, genesis: SignedLink) -> Enrolment {
        Enrolment { visit: self, identity, genesis }
    }
}

impl Enrolment {
    /// The keys, to be saved before [`Self::finish`].
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The founding link, to be saved with them.
    pub fn genesis(&self) -> &SignedLink {
        &self.genesis
    }

    /// Makes the account at the server.
    ///
    /// # Errors
    ///
    /// [`RegisterError::Login`] with the server's fault (`NameTaken`, `InviteInvalid`, ..) or a
    /// broken connection; after the latter begin a new visit and [`Visit::resume`].
    pub async fn finish(mut self) -> Result<Registered, RegisterError> {
        let identity = &self.identity;
        let scope = AuthScope::founding(identity.realm, &self.genesis, identity.device());
        let ticket = self.visit.invite.ticket.as_ref();
        let proof =
            ticket.map(|ticket| (ticket.secret.token(), ticket.secret.proof(identity.account)));
        let connection = &self.visit.connected.connection;
        let welcome = self
            .visit
            .opener
            .register(connection, &scope, &identity.signing, &self.genesis, proof)
            .await?;
        connection.close(CLOSE_DONE, b"");
        self.visit.connected.endpoint.wait_idle().await;
        let server = self.visit.server_record(&welcome, identity.realm);
        let inviter = self.visit.inviter;
        Ok(Registered { identity: self.identity, genesis: self.genesis, server, inviter })
    }
}

impl Visit {
    fn server_record(&self, welcome: &Welcome, realm: Realm) -> ServerRecord {
        ServerRecord {
            address: self.address.clone(),
            realm,
            pin: self.connected.shown.pin,
            next_pin: welcome.server_pin_next,
            source: self.source,
            first_seen: welcome.time,
        }
    }
}

/// Connects for the first time; asks a person if nothing vouches for the key.
async fn first_contact(
    address: &str,
    expected: Expected,
    ask: Option<Arc<dyn TrustAsk>>,
) -> Result<(Connected, PinSource), ConnectError> {
    let source = match expected {
        Expected::InvitePin(_) => PinSource::Invite,
        _ => PinSource::WebPki,
    };
    match connect(address, &expected).await {
        Ok(connected) => Ok((connected, source)),
        Err(ConnectError::Untrusted(TrustError::Unvouched { pin, words })) => {
            let is_trusted = match ask {
                None => false,
                Some(ask) => {
                    let (address, words) = (address.to_owned(), words.clone());
                    let asked = move || ask.is_trusted(&address, pin, &words);
                    // A person may think for minutes: never on a thread that others wait for.
                    tokio::task::spawn_blocking(asked).await.unwrap_or(false)
                }
            };
            if !is_trusted {
                return Err(TrustError::Unvouched { pin, words }.into());
            }
            let connected = connect(address, &Expected::Pins(vec![pin])).await?;
            Ok((connected, PinSource::Asked))
        }
        Err(error) => Err(error),
    }
}

pub(super) fn found<R: CryptoRng>(
    rng: &mut R,
    realm: Realm,
    applicant: Applicant,
) -> (Identity, SignedLink) {
    let recovery = RecoverySecret::generate(rng);
    let signing = SigningKey::generate(rng);
    let created: TimeMs = applicant.label.created;
    let hpke = HpkeEntry::generate(rng, 1, created);
    let record = DeviceRecord::founding(signing.public(), hpke.secret.public(), applicant.label);
    let genesis = Genesis {
        realm,
        handle: applicant.handle.clone(),
        kind: applicant.kind,
        operator: applicant.operator,
        device: record,
        recovery_key: recovery.signing_key().public(),
    };
    let link = UserLink::founding(genesis, created).sign(&signing);
    let account = link.account();
    let identity = Identity {
        account,
        handle: applicant.handle,
        realm,
        signing,
        hpke: vec![hpke],
        recovery: Some(recovery.to_bytes()),
    };
    (identity, link)
}
