//! A server's rules driven step by step: no thread, no runtime, no clock, the same every time.

use std::collections::BTreeMap;

use mathia_protocol::crypto::commit::{Policy, Role, RoomKind};
use mathia_protocol::crypto::epoch::SenderKey;
use mathia_protocol::crypto::identity::{HpkeSecret, SigningKey};
use mathia_protocol::crypto::message::{
    Flags, MessageContext, MessageDraft, Placement, Plaintext, SealWith, seal_message,
};
use mathia_protocol::crypto::user_chain::{
    AccountKind, DeviceLabel, DeviceRecord, Genesis, UserChain, UserLink,
};
use mathia_protocol::id::{AccountId, Counter, Hash, RoomId, Seq, TimeMs, WorkspaceId};
use mathia_protocol::log::LogHash;
use mathia_protocol::log::propose::{Committer, propose_create};
use mathia_protocol::wire::{Call, Event, Registration, Reply, Request, ServerFrame};
use mathia_server::hub::SessionId;
use mathia_server::limits::Limits;
use mathia_server::rooms::{RoomServer, RoomServerParts};
use mathia_testkit::memory_store::MemoryStore;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::cast::{Person, REALM, START, master, server_frames, wraps_of};

/// A server and everything that decides what it does.
struct World {
    server: RoomServer,
    now: TimeMs,
    rng: StdRng,
    /// Every frame that was sent, in order.
    trace: Vec<(SessionId, ServerFrame)>,
}

/// Somebody with one device and one session.
struct Member {
    account: AccountId,
    key: SigningKey,
    chain: UserChain,
    session: SessionId,
}

impl World {
    fn new(seed: u64) -> Self {
        let parts = RoomServerParts {
            master: master(),
            limits: Limits::default(),
            registration: Registration::Open,
            workspace: WorkspaceId::MAIN,
        };
        let server = RoomServer::new(&MemoryStore::new(REALM), parts).unwrap();
        Self { server, now: START, rng: StdRng::seed_from_u64(seed), trace: Vec::new() }
    }

    fn joins(&mut self, name: &str) -> Member {
        let key = SigningKey::generate(&mut self.rng);
        let hpke = HpkeSecret::generate(&mut self.rng).public();
        let label = DeviceLabel { name: "laptop".into(), os: "linux".into(), created: self.now };
        let genesis = Genesis {
            realm: REALM,
            handle: name.parse().unwrap(),
            kind: AccountKind::Human,
            operator: String::new(),
            device: DeviceRecord::founding(key.public(), hpke, label),
            recovery_key: SigningKey::generate(&mut self.rng).public(),
        };
        let link = UserLink::founding(genesis, self.now).sign(&key);
        let register = Person::registration(&link, None);
        let account = self.server.register(register, self.now, &mut self.rng).unwrap().account;
        let session = self.server.open_session(account, key.device_id()).unwrap();
        let member = Member { account, key, chain: UserChain::found(&link).unwrap(), session };
        let resumed = self.call(&member, Request::Resume { cursors: Vec::new(), is_last: true });
        assert!(matches!(resumed, Reply::Resumed { .. }), "{resumed:?}");
        member
    }

    fn call(&mut self, member: &Member, request: Request) -> Reply {
        let id = u32::try_from(self.trace.len()).unwrap();
        let call = Call { id, request };
        self.server.handle(member.session, call, self.now, &mut self.rng).unwrap();
        self.note_output();
        let answer = self.trace.iter().find_map(|(session, frame)| match frame {
            ServerFrame::Reply { id: of, reply } if (*session, *of) == (member.session, id) => {
                Some(reply.clone())
            }
            _ => None,
        });
        answer.unwrap_or_else(|| panic!("no reply: {:?}", self.trace.last()))
    }

    fn note_output(&mut self) {
        for output in self.server.take_output() {
            assert_eq!(output.end, None);
            let frames = server_frames(&output.frames);
            self.trace.extend(frames.into_iter().map(|frame| (output.session, frame)));
        }
    }

    /// Makes an end-to-end room of two.
    fn create(&mut self, ann: &Member, bob: &Member) -> (RoomId, Hash) {
        let chains: BTreeMap<_, _> =
            [ann, bob].map(|member| (member.account, member.chain.clone())).into();
        let (account, device) = (ann.account, ann.key.device_id());
        let committer = Committer { account, device, time: self.now };
        let roles = [(bob.account, Role::Member)];
        let nonce = Hash(self.rng.random());
        let proposal =
            propose_create(RoomKind::Group, Policy::GROUP, &roles, nonce, committer, &chains);
        let mut fields = proposal.unwrap().fields;
        fields.kc = Hash(self.rng.random());
        fields.settings_box = Some(self.rng.random::<[u8; 60]>().to_vec());
        let commit = fields.sign(&ann.key).unwrap();
        let wraps = wraps_of(None, &commit, &chains);
        let entry = commit.entry().to_vec();
        let workspace = WorkspaceId::MAIN;
        let reply = self.call(ann, Request::Commit { workspace, room: None, entry, wraps });
        assert!(matches!(reply, Reply::Accepted { seq: Seq(1), .. }), "{reply:?}");
        (commit.room_id().unwrap(), commit.hash())
    }

    /// The first message of a room.
    fn append(&mut self, ann: &Member, (room, commit_hash): (RoomId, Hash), log: LogHash) {
        let draft = MessageDraft {
            flags: Flags::COUNTABLE,
            epoch: mathia_protocol::id::Epoch(1),
            placement: Placement::Live { counter: Counter(1), prev_own: [0; 16] },
            seen_seq: log.seq(),
            seen_hash: log.hash(),
            time: self.now,
            plaintext: Plaintext { kind: 1, body: "hello".into() },
            agents: Vec::new(),
        };
        let (account, device) = (ann.account, ann.key.device_id());
        let context = MessageContext { room, commit_hash, account, device };
        let sender_key = SenderKey::from_bytes(&[3; 32]);
        let with = SealWith::SenderKey(&sender_key);
        let entry = seal_message(&mut self.rng, &context, with, &draft, &ann.key).unwrap();
        let reply = self.call(ann, Request::Append { room, entry });
        assert!(matches!(reply, Reply::Accepted { seq: Seq(2), .. }), "{reply:?}");
    }

    fn entries_of(&self, member: &Member) -> Vec<u64> {
        let frames = self.trace.iter().filter(|(session, _)| *session == member.session);
        frames
            .filter_map(|(_, frame)| match frame {
                ServerFrame::Event(Event::Entry { seq, .. }) => Some(seq.0),
                _ => None,
            })
            .collect()
    }
}

fn a_message_between_two(seed: u64) -> (Vec<u64>, Vec<u64>, Vec<(SessionId, ServerFrame)>) {
    let mut world = World::new(seed);
    let (ann, bob) = (world.joins("ann"), world.joins("bob"));
    let room = world.create(&ann, &bob);
    let head = world.trace.iter().find_map(|(session, frame)| match frame {
        ServerFrame::Event(Event::Room(head)) if *session == bob.session => Some(head.clone()),
        _ => None,
    });
    let log = LogHash::at(head.as_ref().unwrap().seq, head.unwrap().hash);
    world.append(&ann, room, log);
    // Marks are sent a moment later, when the caller says that time has passed.
    world.now = world.server.next_wakeup(world.now).max(TimeMs(world.now.0 + 1_000));
    world.server.tick(world.now, &mut world.rng).unwrap();
    world.note_output();
    (world.entries_of(&ann), world.entries_of(&bob), world.trace)
}

#[test]
fn both_members_get_what_one_appends() {
    let (of_ann, of_bob, trace) = a_message_between_two(1);
    assert_eq!((of_ann, of_bob), (vec![1, 2], vec![1, 2]));
    let marks = |(_, frame): &(SessionId, ServerFrame)| {
        matches!(frame, ServerFrame::Event(Event::Marks { .. }))
    };
    assert!(trace.iter().any(marks), "the author has read its own message");
}

#[test]
fn the_same_seed_gives_the_same_frames_in_the_same_order() {
    assert_eq!(a_message_between_two(7).2, a_message_between_two(7).2);
    assert_ne!(a_message_between_two(7).2, a_message_between_two(8).2);
}
