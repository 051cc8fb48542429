//! Pins the bytes of every frame of the wire: a change of any of them breaks old peers.
//!
//! The golden file holds one line per sample: its name and its bytes in hexadecimal. A new variant is
//! added here with its sample; an existing line never changes within `mathia/1`.

use std::fmt::Write as _;

use mathia_protocol::id::{
    AccountId, Counter, DeviceId, Epoch, Hash, InviteToken, Realm, RoomId, RoomNumber, Seq, TimeMs,
    WorkspaceId,
};
use mathia_protocol::wire::{
    BulkReply, BulkRequest, Call, ChainHeadLine, ClientDatagram, Cursor, DeliveredMark,
    DeviceGrant, DropCause, EntryBody, Event, Fault, Frame, Hello, Info, InviteLine, JoinLine,
    KeyAnswer, LobbyLine, LogEntry, MarkBucket, Opening, OpeningReply, PresenceLine, PresenceState,
    Recover, Register, Registration, Reply, Request, RoomHead, ScheduleLine, ServerDatagram,
    ServerFrame, SessionLimits, SignedTick, Welcome, Wrap, decode, encode_body,
};

const ACCOUNT: AccountId = AccountId([0xa1; 32]);
const DEVICE: DeviceId = DeviceId([0xd1; 16]);
const ROOM: RoomId = RoomId([0xe1; 32]);
const TOKEN: InviteToken = InviteToken([0x71; 16]);
const HASH: Hash = Hash([0xaa; 32]);

/// One sample per variant, each checked to decode to itself.
#[derive(Default)]
struct Samples {
    lines: String,
}

impl Samples {
    fn add<T: Frame + PartialEq + std::fmt::Debug>(&mut self, name: &str, value: &T) {
        let bytes = encode_body(value);
        let decoded: T = decode(&bytes).expect("what we encode decodes");
        assert_eq!(&decoded, value, "{name} does not decode to itself");
        let mut cut = bytes.clone();
        cut.pop();
        assert!(decode::<T>(&cut).is_err(), "{name} decodes without its last byte");
        let mut line = format!("{name} ");
        for byte in bytes {
            write!(line, "{byte:02x}").expect("writing to a string cannot fail");
        }
        self.lines.push_str(&line);
        self.lines.push('\n');
    }
}

#[test]
fn every_frame_keeps_its_bytes() {
    let mut samples = Samples::default();
    openings(&mut samples);
    for request in requests() {
        let name = format!("Request::{}", request_name(&request));
        samples.add(&name, &Call { id: 300, request });
    }
    for reply in replies() {
        let name = format!("Reply::{}", reply_name(&reply));
        samples.add(&name, &ServerFrame::Reply { id: 7, reply });
    }
    for fault in faults() {
        let name = format!("Fault::{}", fault_name(&fault));
        samples.add(&name, &ServerFrame::Fault { id: 7, fault });
    }
    for event in events() {
        let name = format!("Event::{}", event_name(&event));
        samples.add(&name, &ServerFrame::Event(event));
    }
    bulk_and_datagrams(&mut samples);

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/frames.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &samples.lines).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    for (ours, pinned) in samples.lines.lines().zip(golden.lines()) {
        assert_eq!(ours, pinned);
    }
    assert_eq!(samples.lines.lines().count(), golden.lines().count());
}

/// The protocol document names every variant, so that nobody has to read the code to write a client.
#[test]
fn the_protocol_document_names_every_variant() {
    let document =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/PROTOCOL.md")).unwrap();
    let names = requests()
        .iter()
        .map(request_name)
        .chain(replies().iter().map(reply_name))
        .chain(faults().iter().map(fault_name))
        .chain(events().iter().map(event_name))
        .collect::<Vec<_>>();
    let missing: Vec<_> =
        names.into_iter().filter(|name| !document.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "PROTOCOL.md does not name {missing:?}");
}

fn openings(samples: &mut Samples) {
    samples.add("Opening::Info", &Opening::Info);
    let hello =
        Hello { version: 1, features: 0, account: ACCOUNT, device: DEVICE, signature: [5; 64] };
    samples.add("Opening::Hello", &Opening::Hello(hello));
    let register = Register {
        version: 1,
        features: 0,
        token: Some(TOKEN),
        genesis: vec![1, 2, 3],
        proof: Some([9; 32]),
        signature: [5; 64],
    };
    samples.add("Opening::Register", &Opening::Register(register));
    let recover = Recover { account: ACCOUNT, link: vec![4], signature: [5; 64] };
    samples.add("Opening::Recover", &Opening::Recover(recover));
    let info = Info { realm: Realm([0x51; 16]), registration: Registration::Open, version: 1 };
    samples.add("OpeningReply::Info", &OpeningReply::Info(info));
    let welcome = Welcome {
        version: 1,
        features: 0,
        account: ACCOUNT,
        time: TimeMs(1_800_000_000_000),
        limits: SessionLimits {
            messages_per_minute: 120,
            messages_burst: 40,
            text_len_max: 16_384,
        },
        server_pin: HASH,
        server_pin_next: None,
        chain_seq: 3,
    };
    samples.add("OpeningReply::Welcome", &OpeningReply::Welcome(welcome));
    samples.add("OpeningReply::Recovered", &OpeningReply::Recovered);
    samples.add("OpeningReply::Fault", &OpeningReply::Fault(Fault::AuthFailed));
}

fn wrap() -> Wrap {
    Wrap { account: ACCOUNT, device: DEVICE, hpke_gen: 1, sealed: vec![8; 4] }
}

fn key_answer() -> KeyAnswer {
    KeyAnswer { epoch: Epoch(2), hpke_gen: 1, sealed: vec![8; 4] }
}

fn device_grant() -> DeviceGrant {
    DeviceGrant { device: DEVICE, hpke_gen: 1, sealed: vec![8; 4] }
}

fn requests() -> Vec<Request> {
    vec![
        Request::Resume { cursors: vec![Cursor { room: ROOM, seq: Seq(9) }], is_last: true },
        Request::Append { room: ROOM, entry: vec![2, 1] },
        Request::Commit {
            workspace: WorkspaceId::MAIN,
            room: None,
            entry: vec![1, 1],
            wraps: vec![wrap()],
        },
        Request::StageWraps { commit: HASH, wraps: vec![wrap()] },
        Request::Wraps { room: ROOM, from: Epoch(1) },
        Request::AskKeys { room: ROOM, epochs: vec![Epoch(1)] },
        Request::AnswerKeys {
            room: ROOM,
            account: ACCOUNT,
            device: DEVICE,
            answers: vec![key_answer()],
        },
        Request::PutGrant { room: ROOM, account: ACCOUNT, grants: vec![device_grant()] },
        Request::Grants { room: ROOM },
        Request::Chain { account: ACCOUNT, from: 1 },
        Request::ChainHeads { accounts: vec![ACCOUNT] },
        Request::FindAccount { handle: "ann".into() },
        Request::PutLink { link: vec![3] },
        Request::Delivered { marks: vec![DeliveredMark { room: ROOM, upto: Seq(9) }] },
        Request::Read { room: ROOM, upto: Seq(9), signature: [5; 64] },
        Request::Ticks { room: ROOM },
        Request::SetAway { is_away: true },
        Request::Schedule { room: ROOM, entry: vec![3, 1], due: TimeMs(1_000) },
        Request::Unschedule { room: ROOM, id: 77 },
        Request::Schedules,
        Request::CreateInvite { token: TOKEN, uses: 2, expires: TimeMs(1_000), rooms: vec![ROOM] },
        Request::Invites,
        Request::RevokeInvite { token: TOKEN },
        Request::Joins,
        Request::FinishJoin { token: TOKEN, account: ACCOUNT },
        Request::Lobby { workspace: WorkspaceId::MAIN, after: Some(ROOM) },
        Request::Delta { room: ROOM, delta: vec![8; 4] },
        Request::PutCard { card: vec![1, 2] },
        Request::Card { account: ACCOUNT },
    ]
}

fn request_name(request: &Request) -> &'static str {
    match request {
        Request::Resume { .. } => "Resume",
        Request::Append { .. } => "Append",
        Request::Commit { .. } => "Commit",
        Request::StageWraps { .. } => "StageWraps",
        Request::Wraps { .. } => "Wraps",
        Request::AskKeys { .. } => "AskKeys",
        Request::AnswerKeys { .. } => "AnswerKeys",
        Request::PutGrant { .. } => "PutGrant",
        Request::Grants { .. } => "Grants",
        Request::Chain { .. } => "Chain",
        Request::ChainHeads { .. } => "ChainHeads",
        Request::FindAccount { .. } => "FindAccount",
        Request::PutLink { .. } => "PutLink",
        Request::Delivered { .. } => "Delivered",
        Request::Read { .. } => "Read",
        Request::Ticks { .. } => "Ticks",
        Request::SetAway { .. } => "SetAway",
        Request::Schedule { .. } => "Schedule",
        Request::Unschedule { .. } => "Unschedule",
        Request::Schedules => "Schedules",
        Request::CreateInvite { .. } => "CreateInvite",
        Request::Invites => "Invites",
        Request::RevokeInvite { .. } => "RevokeInvite",
        Request::Joins => "Joins",
        Request::FinishJoin { .. } => "FinishJoin",
        Request::Lobby { .. } => "Lobby",
        Request::Delta { .. } => "Delta",
        Request::PutCard { .. } => "PutCard",
        Request::Card { .. } => "Card",
    }
}

fn room_head() -> RoomHead {
    RoomHead {
        room: ROOM,
        number: RoomNumber(4),
        workspace: WorkspaceId::MAIN,
        seq: Seq(9),
        hash: HASH,
        commit_seq: Seq(1),
        last_counter: Counter(3),
        delivered_upto: Seq(9),
        read_upto: Seq(8),
        n_unread: 1,
        delivered: vec![MarkBucket { upto: Seq(9), n_accounts: 2 }],
        read: vec![],
    }
}

fn tick() -> SignedTick {
    SignedTick { account: ACCOUNT, device: DEVICE, upto: Seq(9), signature: [5; 64] }
}

fn replies() -> Vec<Reply> {
    vec![
        Reply::Done,
        Reply::Resumed { heads: vec![room_head()], gone: vec![ROOM], more: false },
        Reply::Accepted { seq: Seq(10), time: TimeMs(1_000) },
        Reply::Staged { n_wraps: 400 },
        Reply::Wraps { wraps: vec![key_answer()] },
        Reply::Grants { grants: vec![(ACCOUNT, device_grant())] },
        Reply::Chain { links: vec![vec![1, 2]], more: false },
        Reply::ChainHeads { heads: vec![ChainHeadLine { account: ACCOUNT, seq: 1, hash: HASH }] },
        Reply::Found { account: ACCOUNT },
        Reply::Ticks { ticks: vec![tick()] },
        Reply::Marked { read_upto: Seq(9), n_unread: 0 },
        Reply::Schedules {
            schedules: vec![ScheduleLine {
                room: ROOM,
                id: 77,
                due: TimeMs(1_000),
                entry: vec![3, 1],
            }],
        },
        Reply::Invites {
            invites: vec![InviteLine {
                token: TOKEN,
                uses_left: 1,
                expires: TimeMs(1_000),
                rooms: vec![],
            }],
        },
        Reply::Joins {
            joins: vec![JoinLine { token: TOKEN, account: ACCOUNT, proof: [9; 32], rooms: vec![] }],
        },
        Reply::Lobby {
            rooms: vec![LobbyLine {
                room: ROOM,
                name: "lobby".into(),
                topic: String::new(),
                n_members: 3,
                is_member: true,
                seq: Seq(9),
            }],
            more: false,
        },
        Reply::Card { card: Some(vec![1, 2]) },
    ]
}

fn reply_name(reply: &Reply) -> &'static str {
    match reply {
        Reply::Done => "Done",
        Reply::Resumed { .. } => "Resumed",
        Reply::Accepted { .. } => "Accepted",
        Reply::Staged { .. } => "Staged",
        Reply::Wraps { .. } => "Wraps",
        Reply::Grants { .. } => "Grants",
        Reply::Chain { .. } => "Chain",
        Reply::ChainHeads { .. } => "ChainHeads",
        Reply::Found { .. } => "Found",
        Reply::Ticks { .. } => "Ticks",
        Reply::Marked { .. } => "Marked",
        Reply::Schedules { .. } => "Schedules",
        Reply::Invites { .. } => "Invites",
        Reply::Joins { .. } => "Joins",
        Reply::Lobby { .. } => "Lobby",
        Reply::Card { .. } => "Card",
    }
}

fn faults() -> Vec<Fault> {
    vec![
        Fault::Malformed,
        Fault::Unsupported,
        Fault::AuthFailed,
        Fault::InviteNeeded,
        Fault::InviteInvalid,
        Fault::NameTaken,
        Fault::NameInvalid,
        Fault::NotAllowed { rule: "x".into() },
        Fault::NotFound,
        Fault::Exists { room: ROOM },
        Fault::RateLimited { retry_after_ms: 500 },
        Fault::ServerBusy { retry_after_ms: 500 },
        Fault::Stopping,
        Fault::TooLarge { max: 16_384 },
        Fault::HeadMoved { commit: HASH },
        Fault::StaleEpoch { epoch: Epoch(2) },
        Fault::CtrConflict { last: Counter(3) },
        Fault::OutOfOrder { last: Counter(3) },
        Fault::BadSeen,
        Fault::NeedRotate,
        Fault::MissingWraps { n_missing: 2 },
        Fault::Invalid { rule: "x".into() },
        Fault::ChainMoved { seq: 4 },
        Fault::ClockSkew { time: TimeMs(1_000) },
        Fault::DeviceTooYoung { until: TimeMs(1_000) },
        Fault::Damaged,
    ]
}

fn fault_name(fault: &Fault) -> &'static str {
    match fault {
        Fault::Malformed => "Malformed",
        Fault::Unsupported => "Unsupported",
        Fault::AuthFailed => "AuthFailed",
        Fault::InviteNeeded => "InviteNeeded",
        Fault::InviteInvalid => "InviteInvalid",
        Fault::NameTaken => "NameTaken",
        Fault::NameInvalid => "NameInvalid",
        Fault::NotAllowed { .. } => "NotAllowed",
        Fault::NotFound => "NotFound",
        Fault::Exists { .. } => "Exists",
        Fault::RateLimited { .. } => "RateLimited",
        Fault::ServerBusy { .. } => "ServerBusy",
        Fault::Stopping => "Stopping",
        Fault::TooLarge { .. } => "TooLarge",
        Fault::HeadMoved { .. } => "HeadMoved",
        Fault::StaleEpoch { .. } => "StaleEpoch",
        Fault::CtrConflict { .. } => "CtrConflict",
        Fault::OutOfOrder { .. } => "OutOfOrder",
        Fault::BadSeen => "BadSeen",
        Fault::NeedRotate => "NeedRotate",
        Fault::MissingWraps { .. } => "MissingWraps",
        Fault::Invalid { .. } => "Invalid",
        Fault::ChainMoved { .. } => "ChainMoved",
        Fault::ClockSkew { .. } => "ClockSkew",
        Fault::DeviceTooYoung { .. } => "DeviceTooYoung",
        Fault::Damaged => "Damaged",
    }
}

fn events() -> Vec<Event> {
    let presence =
        PresenceLine { account: ACCOUNT, state: PresenceState::Away, last_seen: TimeMs(1_000) };
    vec![
        Event::Entry {
            room: RoomNumber(4),
            seq: Seq(10),
            time: TimeMs(1_800_000_000_000),
            entry: vec![2, 1],
        },
        Event::Room(room_head()),
        Event::RoomGone { room: ROOM },
        Event::Lagged { room: RoomNumber(4), next_seq: Seq(11) },
        Event::Marks {
            room: RoomNumber(4),
            delivered: vec![MarkBucket { upto: Seq(9), n_accounts: 2 }],
            read: vec![],
        },
        Event::Ticks { room: RoomNumber(4), ticks: vec![tick()] },
        Event::OwnMark { room: RoomNumber(4), read_upto: Seq(9), n_unread: 0 },
        Event::Presence { lines: vec![presence] },
        Event::KeysAsked { room: ROOM, account: ACCOUNT, device: DEVICE, epochs: vec![Epoch(1)] },
        Event::Key { room: ROOM, epoch: Epoch(1), hpke_gen: 1, sealed: vec![8; 4] },
        Event::Granted { room: ROOM },
        Event::ChainGrew { account: ACCOUNT, seq: 1, hash: HASH },
        Event::Joined { token: TOKEN, account: ACCOUNT },
        Event::ScheduleDropped { room: ROOM, id: 77, cause: DropCause::NotMember },
        Event::Stopping { retry_after_ms: 1_000 },
        Event::Delta { room: RoomNumber(4), account: ACCOUNT, device: DEVICE, delta: vec![8; 4] },
    ]
}

fn event_name(event: &Event) -> &'static str {
    match event {
        Event::Entry { .. } => "Entry",
        Event::Room(_) => "Room",
        Event::RoomGone { .. } => "RoomGone",
        Event::Lagged { .. } => "Lagged",
        Event::Marks { .. } => "Marks",
        Event::Ticks { .. } => "Ticks",
        Event::OwnMark { .. } => "OwnMark",
        Event::Presence { .. } => "Presence",
        Event::KeysAsked { .. } => "KeysAsked",
        Event::Key { .. } => "Key",
        Event::Granted { .. } => "Granted",
        Event::ChainGrew { .. } => "ChainGrew",
        Event::Joined { .. } => "Joined",
        Event::ScheduleDropped { .. } => "ScheduleDropped",
        Event::Stopping { .. } => "Stopping",
        Event::Delta { .. } => "Delta",
    }
}

fn bulk_and_datagrams(samples: &mut Samples) {
    let (room, after) = (ROOM, Seq(9));
    samples.add("BulkRequest::After", &BulkRequest::After { room, after, count: 50 });
    samples.add("BulkRequest::Before", &BulkRequest::Before { room, before: after, count: 50 });
    samples.add("BulkRequest::Commits", &BulkRequest::Commits { room, after });
    let whole = LogEntry { seq: Seq(1), time: TimeMs(1_000), body: EntryBody::Whole(vec![1, 1]) };
    let gone = LogEntry { seq: Seq(2), time: TimeMs(1_000), body: EntryBody::Gone(HASH) };
    let page = BulkReply::Page { hash_before: HASH, entries: vec![whole, gone], is_last: true };
    samples.add("BulkReply::Page", &page);
    samples.add("BulkReply::Fault", &BulkReply::Fault(Fault::NotFound));
    let (room, account) = (RoomNumber(4), ACCOUNT);
    samples.add("ClientDatagram::Typing", &ClientDatagram::Typing { room });
    samples.add("ClientDatagram::TypingStopped", &ClientDatagram::TypingStopped { room });
    samples.add("ServerDatagram::Typing", &ServerDatagram::Typing { room, account });
    samples.add("ServerDatagram::TypingStopped", &ServerDatagram::TypingStopped { room, account });
}
