//! A small town for stories about rooms: people with real keys, a write queue, a hub, no network.
//!
//! The people check what they fetch as a client would: hash chain, commits, chains.

mod person;
mod stage;

pub(crate) use person::{Person, log_in, wraps_of};
pub(crate) use stage::{Stage, StageStore};

use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::id::{InviteToken, Realm, RoomId, TimeMs};
use mathia_protocol::limits::FRAME_LEN_MAX_COMMIT;
use mathia_protocol::wire::{
    Fault, Recover, Register, Registration, ServerFrame, decode, take_frame,
};
use mathia_server::accounts::{Chains, NewAccount};
use mathia_server::clock::{Clock as _, ManualClock};
use mathia_server::damage::Damage;
use mathia_server::hub::{Hub, LocalBus};
use mathia_server::limits::Limits;
use mathia_server::rooms::{
    AdminJob, AnswerTo, Fatal, Job, MasterKey, Reads, WriteQueue, WriteQueueParts,
};
use mathia_server::store::sqlite::SqliteStore;
use mathia_server::store::{Read, Store};
use mathia_testkit::memory_store::MemoryStore;
use tokio::sync::oneshot;

/// When every story begins.
pub(crate) const START: TimeMs = TimeMs(1_800_000_000_000);
/// The identity of every town's data.
pub(crate) const REALM: Realm = Realm([7; 16]);
/// Longer than any honest wait on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A server without a network, and its surroundings.
pub(crate) struct Town {
    pub(crate) store: Arc<StageStore>,
    pub(crate) stage: Arc<Stage>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) reads: Arc<Reads>,
    pub(crate) chains: Arc<Chains>,
    pub(crate) damage: Arc<Damage>,
    pub(crate) limits: Limits,
    pub(crate) registration: Registration,
    write_queue: Option<WriteQueue>,
    /// Removed with the town.
    directory: Option<tempfile::TempDir>,
}

impl Town {
    /// A town where everybody may register and nobody talks too much.
    pub(crate) fn start() -> Self {
        Self::start_with(generous())
    }

    /// A town with its own bounds.
    pub(crate) fn start_with(limits: Limits) -> Self {
        Self::start_on(Arc::new(MemoryStore::new(REALM)), limits)
    }

    /// A town with a given memory.
    pub(crate) fn start_on_store(store: Arc<dyn Store>) -> Self {
        Self::start_on(store, generous())
    }

    /// A town whose memory is a real file.
    pub(crate) fn start_on_disk() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&home.path().join("mathia.db"), || REALM).unwrap();
        let mut town = Self::start_on(Arc::new(store), generous());
        town.directory = Some(home);
        town
    }

    /// The file of a town whose memory is one.
    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.directory.as_ref().unwrap().path().join("mathia.db")
    }

    fn start_on(inner: Arc<dyn Store>, limits: Limits) -> Self {
        let stage = Arc::new(Stage::default());
        let store = Arc::new(StageStore::new(inner, Arc::clone(&stage)));
        let clock = Arc::new(ManualClock::at(START));
        let mut town = Self {
            store,
            stage,
            hub: Arc::new(Hub::new(16)),
            reads: Arc::new(reads(&limits, &Arc::default())),
            chains: Arc::default(),
            clock,
            damage: Arc::default(),
            limits,
            registration: Registration::Open,
            write_queue: None,
            directory: None,
        };
        town.open_write_queue();
        town
    }

    /// Ends the server process and starts it anew on the same data: all memory is gone.
    pub(crate) fn restarts(&mut self) {
        if let Some(write_queue) = self.write_queue.take() {
            write_queue.stop();
        }
        self.hub = Arc::new(Hub::new(16));
        self.open_write_queue();
    }

    /// The disk works again, and the server that ended itself is started anew.
    pub(crate) fn is_repaired(&mut self) {
        self.stage.repair();
        self.restarts();
    }

    fn open_write_queue(&mut self) {
        self.chains = Arc::default();
        self.reads = Arc::new(reads(&self.limits, &self.chains));
        let stage = Arc::clone(&self.stage);
        let parts = WriteQueueParts {
            hub: Arc::clone(&self.hub),
            bus: Arc::new(LocalBus::new(Arc::clone(&self.hub))),
            master: Arc::new(master()),
            chains: Arc::clone(&self.chains),
            limits: self.limits.clone(),
            registration: self.registration,
            clock: self.clock.clone(),
            fatal: Fatal::new(move |error| stage.strike(error)),
            damage: Arc::clone(&self.damage),
        };
        self.write_queue = Some(WriteQueue::start(&*self.store, parts).unwrap());
    }

    /// Hands a job in.
    pub(crate) fn submit(&self, job: Job) {
        self.write_queue.as_ref().unwrap().submit(job).unwrap();
    }

    /// Moves the clock, and lets the writer see it.
    pub(crate) fn time_passes(&self, ms: u64) {
        self.clock.advance(ms);
        self.admin(|answer| AdminJob::Accounts { answer }).unwrap();
    }

    pub(crate) fn now(&self) -> TimeMs {
        self.clock.now_ms()
    }

    /// Reads as a session would.
    pub(crate) fn read(&self) -> Box<dyn Read + Send> {
        self.store.reader().unwrap()
    }

    /// Asks as the operator.
    pub(crate) fn admin<T>(&self, job: impl FnOnce(AnswerTo<T>) -> AdminJob) -> Result<T, Fault> {
        let (sender, answer) = oneshot::channel();
        self.submit(Job::Admin(job(sender)));
        answer.blocking_recv().unwrap()
    }

    /// The operator makes an invite.
    pub(crate) fn invites(&self, token: InviteToken, uses: u32) {
        let expires = TimeMs(self.now().0 + 3_600_000);
        let rooms = Vec::new();
        self.admin(|answer| AdminJob::CreateInvite { token, uses, expires, rooms, answer })
            .unwrap();
    }

    /// Registers as a session would.
    pub(crate) fn register(&self, register: Register) -> Result<NewAccount, Fault> {
        let (sender, answer) = oneshot::channel();
        self.submit(Job::Register { register, answer: sender });
        answer.blocking_recv().unwrap()
    }

    /// Recovers as a session would.
    pub(crate) fn recover(&self, recover: Recover) -> Result<(), Fault> {
        let (sender, answer) = oneshot::channel();
        self.submit(Job::Recover { recover, answer: sender });
        answer.blocking_recv().unwrap()
    }

    /// Three people in one end-to-end room, all of them knowing it.
    pub(crate) fn three_friends(&self) -> (Person, Person, Person, RoomId) {
        let mut ann = Person::registers(self, "ann");
        let (mut bob, mut eve) = (Person::registers(self, "bob"), Person::registers(self, "eve"));
        let room = ann.creates(self, &[&bob, &eve]).unwrap();
        for person in [&mut ann, &mut bob, &mut eve] {
            person.syncs(self, room);
            person.events();
        }
        (ann, bob, eve, room)
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        if let Some(write_queue) = self.write_queue.take() {
            self.stage.open_gate();
            write_queue.stop();
        }
    }
}

fn generous() -> Limits {
    Limits { commits_per_hour: 10_000, messages_burst: 1_000, ..Limits::default() }
}

/// The frames of some pieces.
pub(crate) fn server_frames(pieces: &[bytes::Bytes]) -> Vec<ServerFrame> {
    let mut bytes: bytes::BytesMut = pieces.concat().as_slice().into();
    let mut frames = Vec::new();
    while let Some(body) = take_frame(&mut bytes, FRAME_LEN_MAX_COMMIT).unwrap() {
        frames.push(decode(&body).unwrap());
    }
    assert!(bytes.is_empty());
    frames
}

/// The key of everything at rest.
pub(crate) fn master() -> MasterKey {
    MasterKey::from_bytes(&[9; 32])
}

fn reads(limits: &Limits, chains: &Arc<Chains>) -> Reads {
    Reads::new(Arc::new(master()), Arc::clone(chains), limits)
}
