//! Keys and chain of a person with one device, made from a number: the same in every run.

use mathia_protocol::client::{Clock as _, SystemClock};
use mathia_protocol::crypto::auth::AuthScope;
use mathia_protocol::crypto::identity::{HpkeSecret, SigningKey};
use mathia_protocol::crypto::user_chain::UserChain;
use mathia_protocol::crypto::user_link::{
    AccountKind, DeviceLabel, DeviceRecord, Genesis, SignedLink, UserLink,
};
use mathia_protocol::id::{AccountId, DeviceId, Realm, TimeMs};
use mathia_protocol::limits::PROTOCOL_VERSION;
use mathia_protocol::wire::{Hello, Opening, Register};
use quinn::Connection;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{exporter, hello};
use crate::TestResult;

/// When every device was labelled, so that only the genesis depends on the day.
const BORN: TimeMs = TimeMs(1_790_000_000_000);

/// One person.
pub struct Keys {
    /// What the device signs with.
    pub signing: SigningKey,
    /// The account.
    pub account: AccountId,
    /// Its one device.
    pub device: DeviceId,
    /// The first link of the chain.
    pub genesis: SignedLink,
    /// The chain, which is its genesis.
    pub chain: UserChain,
}

impl Keys {
    /// Somebody new, by number.
    pub fn numbered(realm: Realm, number: usize) -> TestResult<Self> {
        Self::found(&format!("load-{number}"), number as u64, realm)
    }

    /// Somebody new, by name.
    pub fn named(realm: Realm, name: &str) -> TestResult<Self> {
        let seed = name.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte));
        Self::found(name, seed, realm)
    }

    /// Somebody who was registered by an earlier run, by the genesis that run wrote down.
    pub fn enrolled(number: usize, genesis: Vec<u8>) -> TestResult<Self> {
        let signing = SigningKey::generate(&mut StdRng::seed_from_u64(number as u64));
        Self::with_genesis(signing, SignedLink(genesis))
    }

    fn found(handle: &str, seed: u64, realm: Realm) -> TestResult<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let signing = SigningKey::generate(&mut rng);
        let hpke = HpkeSecret::generate(&mut rng).public();
        let label = DeviceLabel { name: "desk".into(), os: "linux".into(), created: BORN };
        let genesis = Genesis {
            realm,
            handle: handle.parse()?,
            kind: AccountKind::Human,
            operator: String::new(),
            device: DeviceRecord::founding(signing.public(), hpke, label),
            recovery_key: SigningKey::generate(&mut rng).public(),
        };
        let genesis = UserLink::founding(genesis, SystemClock.now()).sign(&signing);
        Self::with_genesis(signing, genesis)
    }

    fn with_genesis(signing: SigningKey, genesis: SignedLink) -> TestResult<Self> {
        let chain = UserChain::found(&genesis)?;
        let (account, device) = (chain.account(), signing.device_id());
        Ok(Self { signing, account, device, genesis, chain })
    }

    fn scope(&self) -> AuthScope {
        AuthScope { realm: self.chain.realm(), account: self.account, device: self.device }
    }

    /// What the device says to make its account, on this very connection.
    pub fn register(&self, connection: &Connection) -> TestResult<Opening> {
        let scope = self.scope();
        let ekm = exporter(connection, &scope)?;
        let signature = scope.sign_register(&self.signing, &self.genesis, None, &ekm).0;
        Ok(Opening::Register(Register {
            version: PROTOCOL_VERSION,
            features: 0,
            token: None,
            genesis: self.genesis.0.clone(),
            proof: None,
            signature,
        }))
    }

    /// What the device says to log in, on this very connection.
    pub fn hello(&self, connection: &Connection) -> TestResult<Hello> {
        hello(connection, &self.scope(), &self.signing)
    }
}
