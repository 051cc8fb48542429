//! What is real: two people, a room of theirs, and randomness that is always the same.
//!
//! Whatever a target accepts must be one of these, byte for byte: nobody guesses a signature.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::LazyLock;

use mathia_protocol::crypto::commit::{Commit, CommitFields, HistoryRule, Policy, Role, RoomKind};
use mathia_protocol::crypto::epoch::{EpochSecret, key_commit};
use mathia_protocol::crypto::identity::{HpkeSecret, SigningKey};
use mathia_protocol::crypto::settings::RoomSettings;
use mathia_protocol::crypto::user_chain::{
    AccountKind, DeviceLabel, DeviceRecord, Genesis, LinkBody, SignedLink, UserChain, UserLink,
};
use mathia_protocol::id::{AccountId, Hash, Realm, TimeMs};
use mathia_protocol::log::{
    Change, Committer, LogHash, Proposal, RoomState, propose, propose_create,
};
use rand::{TryCryptoRng, TryRng};

/// The time of everything that is made here.
pub(crate) const TIME: TimeMs = TimeMs(1_800_000_000_000);

/// Counts instead of being random, so that seeds are the same for ever.
pub(crate) struct CountingBytes(pub(crate) u8);

impl TryRng for CountingBytes {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            *byte = self.0;
            self.0 = self.0.wrapping_add(1);
        }
        Ok(())
    }
}

impl TryCryptoRng for CountingBytes {}

/// A person: the key of the first device, and the chain as it grew.
pub(crate) struct Person {
    pub(crate) key: SigningKey,
    pub(crate) links: Vec<SignedLink>,
    /// The chain after each of the links.
    pub(crate) chains: Vec<UserChain>,
}

impl Person {
    fn new(handle: &str, number: u8) -> Self {
        let key = SigningKey::from_seed(&[number; 32]);
        let hpke = HpkeSecret::from_bytes(&[number + 1; 32]).public();
        let genesis = Genesis {
            realm: Realm([9; 16]),
            handle: handle.parse().expect("a valid name"),
            kind: AccountKind::Human,
            operator: String::new(),
            device: DeviceRecord::founding(key.public(), hpke, label("laptop")),
            recovery_key: SigningKey::from_seed(&[number + 2; 32]).public(),
        };
        let link = UserLink::founding(genesis, TIME).sign(&key);
        let chain = UserChain::found(&link).expect("the genesis is valid");
        let mut person = Self { key, links: vec![link], chains: vec![chain] };
        person.live(number);
        person
    }

    /// One link of every kind.
    fn live(&mut self, number: u8) {
        let phone = SigningKey::from_seed(&[number + 3; 32]);
        let hpke = HpkeSecret::from_bytes(&[number + 4; 32]).public();
        let rng = &mut CountingBytes(0);
        let account = self.account();
        let offer = DeviceRecord::offer(rng, &phone, hpke, label("phone"), account, [6; 16]);
        let (device, hpke_gen) = (self.key.device_id(), 2);
        let recovery_key = SigningKey::from_seed(&[number + 5; 32]).public();
        self.say(LinkBody::AddDevice(Box::new(offer)));
        self.say(LinkBody::RotateHpke { device, hpke, hpke_gen });
        self.say(LinkBody::RevokeDevice { device: phone.device_id(), reason: 1 });
        self.say(LinkBody::RotateRecovery { recovery_key });
    }

    fn say(&mut self, body: LinkBody) {
        let mut chain = self.chain().clone();
        let link = chain.next_link(body, TIME, self.key.device_id()).sign(&self.key);
        chain.extend(&link).expect("the link is valid");
        self.links.push(link);
        self.chains.push(chain);
    }

    /// The whole chain.
    pub(crate) fn chain(&self) -> &UserChain {
        self.chains.last().expect("a person has a genesis")
    }

    pub(crate) fn account(&self) -> AccountId {
        self.chain().account()
    }
}

fn label(name: &str) -> DeviceLabel {
    DeviceLabel { name: name.to_owned(), os: "linux".to_owned(), created: TIME }
}

/// Ann, who makes everything.
pub(crate) static ANN: LazyLock<Person> = LazyLock::new(|| Person::new("ann", 20));
/// Bob, who is there.
static BOB: LazyLock<Person> = LazyLock::new(|| Person::new("bob", 40));

/// Ann's room: the commits that may come in it, and what it was before and after them.
pub(crate) struct Room {
    pub(crate) chains: BTreeMap<AccountId, UserChain>,
    pub(crate) create: Commit,
    /// After the Create.
    pub(crate) state: RoomState,
    /// Each of these may follow the Create.
    pub(crate) next: Vec<(&'static str, Commit)>,
}

/// Ann's and Bob's room.
pub(crate) static ROOM: LazyLock<Room> = LazyLock::new(|| {
    let chains =
        BTreeMap::from([&*ANN, &*BOB].map(|person| (person.account(), person.chain().clone())));
    let committer = Committer { account: ANN.account(), device: ANN.key.device_id(), time: TIME };
    let policy = Policy { history: HistoryRule::All, ..Policy::GROUP };
    let others = [(BOB.account(), Role::Member)];
    let nonce = Hash([7; 32]);
    let proposal = propose_create(RoomKind::Group, policy, &others, nonce, committer, &chains)
        .expect("the chains are at hand");
    let create = signed(proposal, &EpochSecret::from_bytes(&[1; 32]), None);
    let state = RoomState::create(&create, TIME).expect("a Create");
    let seen = LogHash::start(state.room()).extend(create.entry());
    let changes = [
        ("rotate", Change::Rotate),
        ("remove", Change::Remove(vec![BOB.account()])),
        ("set_role", Change::SetRole(vec![(BOB.account(), Role::Admin)])),
        ("set_policy", Change::SetPolicy(Policy { retention_days: 30, ..policy }, Vec::new())),
    ];
    let next = changes.map(|(name, change)| {
        let proposal =
            propose(&state, &change, seen, committer, &chains).expect("the chains are at hand");
        let before = EpochSecret::from_bytes(&[1; 32]);
        (name, signed(proposal, &EpochSecret::from_bytes(&[2; 32]), Some(&before)))
    });
    Room { chains, create, state, next: next.into() }
});

fn signed(proposal: Proposal, secret: &EpochSecret, before: Option<&EpochSecret>) -> Commit {
    let Proposal { fields, starts_epoch, may_carry_prev } = proposal;
    let (prev_commit, epoch) = (fields.prev_commit, fields.epoch);
    let rng = &mut CountingBytes(0);
    let settings = RoomSettings::named("ops".parse().expect("a valid name"));
    let fields = if starts_epoch {
        let prev_box = before
            .filter(|_| may_carry_prev)
            .map(|before| secret.seal_prev(rng, prev_commit, epoch, before));
        CommitFields {
            kc: key_commit(prev_commit, epoch, secret),
            settings_box: Some(settings.seal(rng, secret, prev_commit, epoch)),
            prev_box,
            ..fields
        }
    } else {
        fields
    };
    fields.sign(&ANN.key).expect("the fields are within their limits")
}
