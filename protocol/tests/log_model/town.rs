//! People, agents and rooms for the stories: real keys and chains, made from small numbers.
#![expect(clippy::unwrap_used, reason = "what is made here is valid by construction")]

use std::collections::BTreeMap;

use mathia_protocol::crypto::commit::{
    Commit, CommitFields, Member, Policy, Role, RoomKind, RoomMode, members_hash,
};
use mathia_protocol::crypto::identity::{HpkeSecret, SigningKey};
use mathia_protocol::crypto::user_chain::{
    AccountKind, DeviceLabel, DeviceRecord, Genesis, LinkBody, UserChain, UserLink,
};
use mathia_protocol::id::{AccountId, DeviceId, Hash, Realm, Seq, TimeMs};
use mathia_protocol::log::{
    Applied, Change, CommitFault, Committer, Context, LogHash, Proposal, RoomState, propose,
    propose_create, validate_commit, validate_create,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// Everyone there is, with the keys of all their devices.
pub(crate) struct Town {
    pub(crate) chains: BTreeMap<AccountId, UserChain>,
    keys: BTreeMap<DeviceId, SigningKey>,
    n_keys: u8,
    rng: StdRng,
}

impl Town {
    pub(crate) fn new() -> Self {
        let rng = StdRng::seed_from_u64(11);
        Self { chains: BTreeMap::new(), keys: BTreeMap::new(), n_keys: 0, rng }
    }

    pub(crate) fn person(&mut self, handle: &str) -> AccountId {
        self.account(handle, AccountKind::Human)
    }

    pub(crate) fn agent(&mut self, handle: &str) -> AccountId {
        self.account(handle, AccountKind::Agent)
    }

    fn account(&mut self, handle: &str, kind: AccountKind) -> AccountId {
        let (key, hpke) = self.fresh();
        let genesis = Genesis {
            realm: Realm([1; 16]),
            handle: handle.parse().unwrap(),
            kind,
            operator: String::new(),
            device: DeviceRecord::founding(key.public(), hpke.public(), label()),
            recovery_key: SigningKey::from_seed(&[200 + self.n_keys / 2; 32]).public(),
        };
        let link = UserLink::founding(genesis, TimeMs(1)).sign(&key);
        let chain = UserChain::found(&link).unwrap();
        let account = chain.account();
        self.chains.insert(account, chain);
        self.keys.insert(key.device_id(), key);
        account
    }

    fn fresh(&mut self) -> (SigningKey, HpkeSecret) {
        self.n_keys += 1;
        (SigningKey::from_seed(&[self.n_keys; 32]), HpkeSecret::from_bytes(&[self.n_keys; 32]))
    }

    /// The account's oldest device that is still active.
    pub(crate) fn device(&self, account: AccountId) -> DeviceId {
        let active = self.chains[&account].devices().filter(|d| d.revoked_seq.is_none());
        active.min_by_key(|device| device.added_seq).unwrap().id()
    }

    pub(crate) fn key(&self, device: DeviceId) -> &SigningKey {
        &self.keys[&device]
    }

    pub(crate) fn add_device(&mut self, account: AccountId) -> DeviceId {
        let (key, hpke) = self.fresh();
        let record =
            DeviceRecord::offer(&mut self.rng, &key, hpke.public(), label(), account, [9; 16]);
        self.link(account, LinkBody::AddDevice(Box::new(record)));
        let device = key.device_id();
        self.keys.insert(device, key);
        device
    }

    pub(crate) fn revoke(&mut self, account: AccountId, device: DeviceId) {
        self.link(account, LinkBody::RevokeDevice { device, reason: 0 });
    }

    fn link(&mut self, account: AccountId, body: LinkBody) {
        let signer = self.device(account);
        let chain = self.chains.get_mut(&account).unwrap();
        let link = chain.next_link(body, TimeMs(2), signer).sign(&self.keys[&signer]);
        chain.extend(&link).unwrap();
    }

    pub(crate) fn committer(&self, account: AccountId) -> Committer {
        Committer { account, device: self.device(account), time: TimeMs(1_000) }
    }
}

fn label() -> DeviceLabel {
    DeviceLabel { name: "laptop".into(), os: "linux".into(), created: TimeMs(1) }
}

/// A room and its log, as an honest server holds them.
#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) state: RoomState,
    pub(crate) log: LogHash,
    pub(crate) hashes: Vec<Hash>,
    pub(crate) commits: Vec<(Seq, TimeMs, Commit)>,
}

impl Room {
    /// A group with these members; the first is its owner.
    pub(crate) fn group(
        town: &Town,
        policy: Policy,
        others: &[(AccountId, Role)],
        owner: AccountId,
    ) -> Self {
        Self::found(town, RoomKind::Group, policy, others, owner).unwrap()
    }

    pub(crate) fn found(
        town: &Town,
        kind: RoomKind,
        policy: Policy,
        others: &[(AccountId, Role)],
        owner: AccountId,
    ) -> Result<Self, CommitFault> {
        let proposal = propose_create(
            kind,
            policy,
            others,
            Hash([7; 32]),
            town.committer(owner),
            &town.chains,
        )?;
        let mut fields = complete(proposal, policy.mode);
        fields.settings_box = Some(vec![4; 50]);
        Self::found_with(town, fields)
    }

    pub(crate) fn found_with(town: &Town, fields: CommitFields) -> Result<Self, CommitFault> {
        let key = town.key(fields.device);
        let commit = fields.sign(key).unwrap();
        validate_create(&commit, &town.chains, Context::Live)?;
        let state = RoomState::create(&commit, TimeMs(1_000)).unwrap();
        let log = LogHash::start(state.room());
        let mut room = Self { state, log, hashes: vec![log.hash()], commits: Vec::new() };
        room.extend(commit.entry_hash());
        room.commits.push((Seq(1), TimeMs(1_000), commit));
        Ok(room)
    }

    /// Takes any entry into the log.
    pub(crate) fn extend(&mut self, entry_hash: Hash) -> Seq {
        self.log = self.log.extend_hash(entry_hash);
        self.hashes.push(self.log.hash());
        self.log.seq()
    }

    pub(crate) fn hash_at(&self, seq: Seq) -> Option<Hash> {
        self.hashes.get(usize::try_from(seq.0).ok()?).copied()
    }

    pub(crate) fn proposal(
        &self,
        town: &Town,
        author: AccountId,
        change: &Change,
    ) -> Result<Proposal, CommitFault> {
        propose(&self.state, change, self.log, town.committer(author), &town.chains)
    }

    /// Commits what the author wants, if the rules let it be.
    pub(crate) fn commit(
        &mut self,
        town: &Town,
        author: AccountId,
        change: &Change,
    ) -> Result<Applied, CommitFault> {
        self.commit_with(town, author, change, |_| {})
    }

    /// Commits something twisted: `twist` changes the fields before they are signed.
    pub(crate) fn commit_with(
        &mut self,
        town: &Town,
        author: AccountId,
        change: &Change,
        twist: impl FnOnce(&mut CommitFields),
    ) -> Result<Applied, CommitFault> {
        let mut fields = complete(self.proposal(town, author, change)?, self.state.mode());
        twist(&mut fields);
        let key = town.key(fields.device);
        let commit = fields.sign(key).unwrap();
        self.take(town, &commit, Context::Live)
    }

    /// Judges a commit and, if it may be, puts it into the log.
    pub(crate) fn take(
        &mut self,
        town: &Town,
        commit: &Commit,
        context: Context,
    ) -> Result<Applied, CommitFault> {
        let applied = validate_commit(&self.state, commit, &town.chains, context)?;
        let seq = self.extend(commit.entry_hash());
        let time = TimeMs(1_000 + seq.0);
        self.state.apply(seq, time, commit);
        self.commits.push((seq, time, commit.clone()));
        Ok(applied)
    }

    /// Sets the members hash to that of what the lists really make of the room.
    pub(crate) fn rehash(&self, fields: &mut CommitFields) {
        let mut members: BTreeMap<AccountId, Member> =
            self.state.members().map(|member| (member.account, *member)).collect();
        members.extend(fields.changed.iter().map(|member| (member.account, *member)));
        for account in &fields.removed {
            members.remove(account);
        }
        fields.members_hash = members_hash(members.values());
    }

    pub(crate) fn role(&self, account: AccountId) -> Option<Role> {
        self.state.member(account).map(|member| member.role)
    }
}

/// Adds what secrets would add: a commitment that differs per epoch, and a settings box.
fn complete(proposal: Proposal, mode: RoomMode) -> CommitFields {
    let mut fields = proposal.fields;
    if proposal.starts_epoch && mode == RoomMode::E2ee {
        let mut kc = [0xC0; 32];
        kc[..4].copy_from_slice(&fields.epoch.0.to_be_bytes());
        fields.kc = Hash(kc);
        fields.settings_box = Some(vec![5; 50]);
        fields.prev_box = proposal.may_carry_prev.then(|| vec![6; 64]);
    }
    fields
}
