//! A person with one device: seals, signs, sends, fetches and checks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::BytesMut;
use mathia_protocol::crypto::commit::{Commit, Policy, Role, RoomKind, RoomMode};
use mathia_protocol::crypto::epoch::SenderKey;
use mathia_protocol::crypto::hash::sha256;
use mathia_protocol::crypto::identity::{HpkeSecret, SigningKey};
use mathia_protocol::crypto::message::{
    Flags, MessageContext, MessageDraft, Placement, Plaintext, SealWith, prev_own, seal_message,
};
use mathia_protocol::crypto::settings::RoomSettings;
use mathia_protocol::crypto::user_chain::{
    AccountKind, DeviceLabel, DeviceRecord, Genesis, LinkBody, SignedLink, UserChain, UserLink,
};
use mathia_protocol::id::{
    AccountId, Counter, DeviceId, Hash, InviteToken, Realm, RoomId, Seq, WorkspaceId,
};
use mathia_protocol::limits::FRAME_LEN_MAX_COMMIT;
use mathia_protocol::log::propose::{Change, Committer, Proposal, propose, propose_create};
use mathia_protocol::log::{LogHash, RoomState, wraps_needed};
use mathia_protocol::wire::{
    BulkReply, BulkRequest, Cursor, EntryBody, Event, Fault, Register, Reply, Request, ServerFrame,
    Wrap, decode, take_frame,
};
use mathia_server::hub::{FrameQueue, QueueLimits, Session, SessionEnd, SessionId};
use mathia_server::rooms::{
    AnswerAddress, Caller, Job, ResumeCall, ResumePage, ResumeProgress, Route,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::{DEADLINE, Town};

/// A room as one person has verified it.
pub(crate) struct RoomView {
    pub(crate) state: RoomState,
    pub(crate) log: LogHash,
    /// Empty where retention has removed the bytes.
    pub(crate) entries: Vec<Vec<u8>>,
}

/// A person with one device and, while online, one session.
pub(crate) struct Person {
    pub(crate) account: AccountId,
    pub(crate) device: DeviceId,
    pub(crate) key: SigningKey,
    pub(crate) recovery: SigningKey,
    pub(crate) chain: UserChain,
    pub(crate) rooms: HashMap<RoomId, RoomView>,
    pub(crate) frame_queue: Arc<FrameQueue>,
    pub(crate) session: SessionId,
    rng: StdRng,
    sent: HashMap<RoomId, (Counter, [u8; 16])>,
    answers: HashMap<u32, Result<Reply, Fault>>,
    heard: Vec<Event>,
    n_calls: u32,
}

impl Person {
    /// Makes keys and a genesis that nobody has registered yet.
    pub(crate) fn genesis(town: &Town, name: &str, seed: u64) -> (SigningKey, SignedLink) {
        let (key, _, link) = Self::founding(town, name, seed);
        (key, link)
    }

    /// The same, with the recovery key.
    fn founding(town: &Town, name: &str, seed: u64) -> (SigningKey, SigningKey, SignedLink) {
        let mut rng = StdRng::seed_from_u64(seed);
        let key = SigningKey::generate(&mut rng);
        let hpke = HpkeSecret::generate(&mut rng).public();
        let label = DeviceLabel { name: "laptop".into(), os: "linux".into(), created: town.now() };
        let recovery = SigningKey::generate(&mut rng);
        let genesis = Genesis {
            realm: Realm([7; 16]),
            handle: name.parse().unwrap(),
            kind: AccountKind::Human,
            operator: String::new(),
            device: DeviceRecord::founding(key.public(), hpke, label),
            recovery_key: recovery.public(),
        };
        let link = UserLink::founding(genesis, town.now()).sign(&key);
        (key, recovery, link)
    }

    /// What a client sends to register.
    pub(crate) fn registration(genesis: &SignedLink, token: Option<InviteToken>) -> Register {
        Register {
            version: 1,
            features: 0,
            token,
            genesis: genesis.0.clone(),
            proof: token.map(|_| [5; 32]),
            signature: [0; 64],
        }
    }

    /// Joins the town and logs in.
    pub(crate) fn registers(town: &Town, name: &str) -> Self {
        Self::registers_by(town, name, None).unwrap()
    }

    /// Joins the town by an invite and logs in.
    pub(crate) fn registers_by(
        town: &Town,
        name: &str,
        token: Option<InviteToken>,
    ) -> Result<Self, Fault> {
        let seed = name.bytes().fold(1, |seed, byte| seed * 257 + u64::from(byte));
        let (key, recovery, genesis) = Self::founding(town, name, seed);
        let account = town.register(Self::registration(&genesis, token))?.account;
        let chain = UserChain::found(&genesis).unwrap();
        let (frame_queue, session) = log_in(town, account, key.device_id());
        Ok(Self {
            account,
            device: key.device_id(),
            key,
            recovery,
            chain,
            rooms: HashMap::new(),
            frame_queue,
            session,
            rng: StdRng::seed_from_u64(seed + 1),
            sent: HashMap::new(),
            answers: HashMap::new(),
            heard: Vec::new(),
            n_calls: 0,
        })
    }

    /// Comes back after the server was started anew.
    pub(crate) fn comes_back(&mut self, town: &Town) {
        (self.frame_queue, self.session) = log_in(town, self.account, self.device);
    }

    /// Who asks, as the server knows it.
    pub(crate) fn caller(&self) -> Caller {
        let (account, device) = (self.account, self.device);
        Caller { account, device, workspace: WorkspaceId::MAIN }
    }

    /// Sends a request without waiting; the answer is [`Self::answer`].
    pub(crate) fn asks(&mut self, town: &Town, request: Request) -> u32 {
        self.n_calls += 1;
        let call = self.n_calls;
        let answer = AnswerAddress { frame_queue: Arc::clone(&self.frame_queue), call };
        let Route::Change(change) = request.into() else { panic!("the writer changes only") };
        town.submit(Job::Call { caller: self.caller(), answer, change });
        call
    }

    /// Waits for the answer to a call.
    pub(crate) fn answer(&mut self, call: u32) -> Result<Reply, Fault> {
        self.wait_until(|person| person.answers.contains_key(&call));
        self.answers.remove(&call).unwrap()
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn calls(&mut self, town: &Town, request: Request) -> Result<Reply, Fault> {
        let call = self.asks(town, request);
        self.answer(call)
    }

    /// Whether an answer has arrived already.
    pub(crate) fn has_answer(&mut self, call: u32) -> bool {
        self.gather();
        self.answers.contains_key(&call)
    }

    /// Asks something that only reads.
    pub(crate) fn reads(&self, town: &Town, request: &Request) -> Result<Reply, Fault> {
        let Route::Query(query) = request.clone().into() else { panic!("readers read only") };
        let read = town.read();
        town.reads.answer(read.as_ref(), self.caller(), &query, town.now()).map_err(fault)
    }

    /// Resumes in one page.
    pub(crate) fn resumes(&self, town: &Town) -> (Reply, Vec<Event>) {
        let page = self.resumes_page(town, ResumeProgress::default(), &[], true);
        (page.reply, page.events)
    }

    /// Resumes one page of several.
    pub(crate) fn resumes_page(
        &self,
        town: &Town,
        progress: ResumeProgress,
        cursors: &[Cursor],
        is_last: bool,
    ) -> ResumePage {
        let read = town.read();
        let call = ResumeCall { progress, cursors, is_last, now: town.now() };
        town.reads.resume(read.as_ref(), self.caller(), call).unwrap()
    }

    /// Takes all events that have arrived.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.gather();
        std::mem::take(&mut self.heard)
    }

    /// Waits for an event.
    pub(crate) fn hears(&mut self, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
        self.wait_for(what, |person| person.heard.iter().any(&is_it));
        let at = self.heard.iter().position(&is_it).unwrap();
        self.heard.remove(at)
    }

    fn wait_until(&mut self, is_done: impl Fn(&Self) -> bool) {
        self.wait_for("an answer", is_done);
    }

    fn wait_for(&mut self, what: &str, is_done: impl Fn(&Self) -> bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        loop {
            self.gather();
            if is_done(self) {
                return;
            }
            let frame_queue = Arc::clone(&self.frame_queue);
            let rung = runtime
                .block_on(async { tokio::time::timeout(DEADLINE, frame_queue.rung()).await });
            assert!(rung.is_ok(), "waited in vain for {what}");
        }
    }

    fn gather(&mut self) {
        let (mut frames, mut datagrams) = (Vec::new(), Vec::new());
        let _ = self.frame_queue.gather(&mut frames, &mut datagrams);
        for frame in frames {
            let mut buffer = BytesMut::from(frame.as_ref());
            while let Some(body) = take_frame(&mut buffer, FRAME_LEN_MAX_COMMIT).unwrap() {
                match decode::<ServerFrame>(&body).unwrap() {
                    ServerFrame::Event(event) => self.heard.push(event),
                    ServerFrame::Reply { id, reply } => drop(self.answers.insert(id, Ok(reply))),
                    ServerFrame::Fault { id, fault } => drop(self.answers.insert(id, Err(fault))),
                }
            }
        }
    }

    /// Whether the server has ended the session.
    pub(crate) fn is_expelled(&self) -> bool {
        self.frame_queue.session_end() == Some(SessionEnd::Expelled)
    }

    /// Fetches the room's whole log and checks it.
    pub(crate) fn syncs(&mut self, town: &Town, room: RoomId) {
        let request = BulkRequest::After { room, after: Seq(0), count: u32::MAX };
        let mut log = LogHash::start(room);
        let mut state: Option<RoomState> = None;
        let mut entries = Vec::new();
        for page in self.fetches(town, &request).unwrap() {
            let BulkReply::Page { hash_before, entries: page, .. } = page else {
                panic!("a fault")
            };
            assert_eq!(hash_before, log.hash());
            for entry in page {
                let (bytes, entry_hash) = match entry.body {
                    EntryBody::Whole(bytes) => {
                        let entry_hash = sha256(&[&bytes]);
                        (bytes, entry_hash)
                    }
                    EntryBody::Gone(entry_hash) => (Vec::new(), entry_hash),
                };
                log = log.extend_hash(entry_hash);
                assert_eq!(entry.seq, log.seq());
                if let Ok(commit) = Commit::decode(bytes.clone()) {
                    match &mut state {
                        Some(state) => state.apply(entry.seq, entry.time, &commit),
                        None => state = RoomState::create(&commit, entry.time),
                    }
                }
                entries.push(bytes);
            }
        }
        self.rooms.insert(room, RoomView { state: state.unwrap(), log, entries });
    }

    /// Reads all pages of a bulk request.
    pub(crate) fn fetches(
        &self,
        town: &Town,
        request: &BulkRequest,
    ) -> Result<Vec<BulkReply>, Fault> {
        let read = town.read();
        let mut bulk = town.reads.bulk(read.as_ref(), self.account, request).map_err(fault)?;
        let mut pages = Vec::new();
        while let Some(page) = bulk.next_page(read.as_ref()).map_err(fault)? {
            pages.push(page);
        }
        Ok(pages)
    }

    /// The next message to a room, sealed with some key: the server cannot tell.
    pub(crate) fn seals(&mut self, town: &Town, room: RoomId, text: &str) -> Vec<u8> {
        let (last, prev_own) = self.sent.get(&room).copied().unwrap_or_default();
        let placement = Placement::Live { counter: last.next(), prev_own };
        let entry = self.seals_as(town, room, text, placement);
        self.sent.insert(room, (last.next(), prev_own_of(&entry)));
        entry
    }

    /// A message with a chosen place in its lane.
    pub(crate) fn seals_as(
        &mut self,
        town: &Town,
        room: RoomId,
        text: &str,
        placement: Placement,
    ) -> Vec<u8> {
        let view = &self.rooms[&room];
        let epoch = view.state.epoch();
        let draft = MessageDraft {
            flags: Flags::COUNTABLE,
            epoch: epoch.epoch,
            placement,
            seen_seq: view.log.seq(),
            seen_hash: view.log.hash(),
            time: town.now(),
            plaintext: Plaintext { kind: 1, body: text.into() },
            agents: Vec::new(),
        };
        let (account, device) = (self.account, self.device);
        let commit_hash = epoch.commit_hash;
        let context = MessageContext { room, commit_hash, account, device };
        let sender_key = SenderKey::from_bytes(&[3; 32]);
        let with = match view.state.mode() {
            RoomMode::E2ee => SealWith::SenderKey(&sender_key),
            RoomMode::Open => SealWith::Open,
        };
        seal_message(&mut self.rng, &context, with, &draft, &self.key).unwrap()
    }

    /// Says something and returns its place.
    pub(crate) fn says(&mut self, town: &Town, room: RoomId, text: &str) -> Result<Seq, Fault> {
        let entry = self.seals(town, room, text);
        self.appends(town, room, entry)
    }

    /// Sends sealed bytes and returns their place.
    pub(crate) fn appends(
        &mut self,
        town: &Town,
        room: RoomId,
        entry: Vec<u8>,
    ) -> Result<Seq, Fault> {
        accepted(self.calls(town, Request::Append { room, entry }))
    }

    /// Founds an end-to-end group with others.
    pub(crate) fn creates(&mut self, town: &Town, others: &[&Person]) -> Result<RoomId, Fault> {
        let (commit, wraps) = self.create_commit(town, RoomKind::Group, Policy::GROUP, others);
        self.founds(town, &commit, wraps)
    }

    /// Founds an open room.
    pub(crate) fn creates_open(&mut self, town: &Town, name: &str) -> Result<RoomId, Fault> {
        let chains = people(self, &[]);
        let nonce = Hash(self.rng.random());
        let committer = self.committer(town);
        let mut proposal =
            propose_create(RoomKind::Group, Policy::OPEN, &[], nonce, committer, &chains).unwrap();
        let settings = RoomSettings::named(name.parse().unwrap());
        proposal.fields.settings_box = Some(settings.encode());
        let commit = proposal.fields.sign(&self.key).unwrap();
        self.founds(town, &commit, Vec::new())
    }

    /// Gives an open room another name.
    pub(crate) fn renames(&mut self, town: &Town, room: RoomId, name: &str) -> Result<Seq, Fault> {
        let chains = people(self, &[]);
        let committer = self.committer(town);
        let view = &self.rooms[&room];
        let mut proposal =
            propose(&view.state, &Change::Rotate, view.log, committer, &chains).unwrap();
        let settings = RoomSettings::named(name.parse().unwrap());
        proposal.fields.settings_box = Some(settings.encode());
        let commit = proposal.fields.sign(&self.key).unwrap();
        self.commits(town, room, (commit, Vec::new()))
    }

    /// Sends a Create.
    pub(crate) fn founds(
        &mut self,
        town: &Town,
        commit: &Commit,
        wraps: Vec<Wrap>,
    ) -> Result<RoomId, Fault> {
        let entry = commit.entry().to_vec();
        let workspace = WorkspaceId::MAIN;
        accepted(self.calls(town, Request::Commit { workspace, room: None, entry, wraps }))?;
        Ok(commit.room_id().unwrap())
    }

    /// A Create with wraps for everybody.
    pub(crate) fn create_commit(
        &mut self,
        town: &Town,
        kind: RoomKind,
        policy: Policy,
        others: &[&Person],
    ) -> (Commit, Vec<Wrap>) {
        let chains = people(self, others);
        let roles: Vec<_> = others.iter().map(|other| (other.account, Role::Member)).collect();
        let nonce = Hash(self.rng.random());
        let committer = self.committer(town);
        let proposal = propose_create(kind, policy, &roles, nonce, committer, &chains).unwrap();
        let commit = self.finishes(proposal);
        let wraps = wraps_of(None, &commit, &chains);
        (commit, wraps)
    }

    /// The next commit of a room with all its wraps. `everybody` are the people whose chains count.
    pub(crate) fn commit(
        &mut self,
        town: &Town,
        room: RoomId,
        change: &Change,
        everybody: &[&Person],
    ) -> (Commit, Vec<Wrap>) {
        let chains = people(self, everybody);
        let committer = self.committer(town);
        let view = &self.rooms[&room];
        let proposal = propose(&view.state, change, view.log, committer, &chains).unwrap();
        let commit = self.finishes(proposal);
        let wraps = wraps_of(Some(&self.rooms[&room].state), &commit, &chains);
        (commit, wraps)
    }

    /// Sends a commit and returns its place.
    pub(crate) fn commits(
        &mut self,
        town: &Town,
        room: RoomId,
        (commit, wraps): (Commit, Vec<Wrap>),
    ) -> Result<Seq, Fault> {
        let entry = commit.entry().to_vec();
        let (workspace, room) = (WorkspaceId::MAIN, Some(room));
        accepted(self.calls(town, Request::Commit { workspace, room, entry, wraps }))
    }

    /// The next link of the own chain, taken over at once.
    pub(crate) fn links(&mut self, town: &Town, body: LinkBody) -> SignedLink {
        let link = self.chain.next_link(body, town.now(), self.device).sign(&self.key);
        self.chain.extend(&link).unwrap();
        link
    }

    /// A second device of the account, linked but not logged in.
    pub(crate) fn offers_device(&mut self, town: &Town, name: &str) -> (SigningKey, DeviceRecord) {
        let key = SigningKey::generate(&mut self.rng);
        let hpke = HpkeSecret::generate(&mut self.rng).public();
        let label = DeviceLabel { name: name.into(), os: "linux".into(), created: town.now() };
        let account = self.account;
        let record = DeviceRecord::offer(&mut self.rng, &key, hpke, label, account, [1; 16]);
        (key, record)
    }

    /// Some random bytes.
    pub(crate) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.fill_with(|| self.rng.random());
        bytes
    }

    fn committer(&self, town: &Town) -> Committer {
        Committer { account: self.account, device: self.device, time: town.now() }
    }

    fn finishes(&mut self, proposal: Proposal) -> Commit {
        let mut fields = proposal.fields;
        if proposal.starts_epoch {
            fields.kc = Hash(self.random());
            fields.settings_box = Some(self.random::<60>().to_vec());
        }
        fields.sign(&self.key).unwrap()
    }
}

/// The place that an `Accepted` names.
pub(crate) fn accepted(answer: Result<Reply, Fault>) -> Result<Seq, Fault> {
    match answer? {
        Reply::Accepted { seq, .. } => Ok(seq),
        other => panic!("expected Accepted, got {other:?}"),
    }
}

/// Opens a session that hears its account's rooms.
pub(crate) fn log_in(
    town: &Town,
    account: AccountId,
    device: DeviceId,
) -> (Arc<FrameQueue>, SessionId) {
    let frame_queue = Arc::new(FrameQueue::new(QueueLimits::from(&town.limits)));
    let session = Session { account, device, frame_queue: Arc::clone(&frame_queue) };
    let session = town.hub.enter(session).unwrap();
    let rooms = town.read().rooms_of(account).unwrap();
    let numbers: Vec<_> = rooms.iter().map(|row| row.number).collect();
    town.hub.subscribe(session, &numbers, town.now());
    (frame_queue, session)
}

pub(crate) fn people(own: &Person, others: &[&Person]) -> BTreeMap<AccountId, UserChain> {
    let own = (own.account, own.chain.clone());
    others.iter().map(|person| (person.account, person.chain.clone())).chain([own]).collect()
}

pub(crate) fn wraps_of(
    before: Option<&RoomState>,
    commit: &Commit,
    chains: &BTreeMap<AccountId, UserChain>,
) -> Vec<Wrap> {
    let wrap = |target: mathia_protocol::log::WrapTarget| Wrap {
        account: target.account,
        device: target.device,
        hpke_gen: target.generation,
        sealed: vec![8; 80],
    };
    wraps_needed(before, commit, chains).unwrap().into_iter().map(wrap).collect()
}

fn prev_own_of(entry: &[u8]) -> [u8; 16] {
    debug_assert_eq!(prev_own(entry), sha256(&[entry]).first_half());
    prev_own(entry)
}

fn fault(refusal: mathia_server::refusal::Refusal) -> Fault {
    match refusal {
        mathia_server::refusal::Refusal::Fault(fault) => fault,
        mathia_server::refusal::Refusal::Store(error) => panic!("the store failed: {error:?}"),
    }
}
