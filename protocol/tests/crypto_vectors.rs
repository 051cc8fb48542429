//! Pins the bytes of everything that is signed, sealed or derived: a change of any of them breaks
//! rooms that exist.
//!
//! The vector of the specification (CRYPTO B11) stands in the code. Our own samples are in
//! `golden/crypto.txt`, one per line with its name; an existing line never changes within version 1.

use std::convert::Infallible;
use std::fmt::Write as _;

use mathia_protocol::crypto::at_rest::{KeyFile, StoredHpke};
use mathia_protocol::crypto::auth::{AuthScope, ExporterValue};
use mathia_protocol::crypto::card::AgentCard;
use mathia_protocol::crypto::content::{
    Answer, Ask, Attached, Content, Emoji, Outcome, Reaction, Stop, Usage,
};
use mathia_protocol::crypto::delta::{AnswerId, DeltaContext, DeltaPlace, DeltaText, seal_delta};
use mathia_protocol::crypto::epoch::{EpochSecret, RoomKey, SenderKey, key_commit};
use mathia_protocol::crypto::file::{FileKey, FileSealer};
use mathia_protocol::crypto::hash::{expand, extract, hash, labelled, mac, sha256};
use mathia_protocol::crypto::identity::{HpkeSecret, SigningKey};
use mathia_protocol::crypto::invite::{Invite, InviteSecret, Ticket};
use mathia_protocol::crypto::labels;
use mathia_protocol::crypto::message::{
    Flags, MessageContext, MessageDraft, Placement, SealWith, SlotReader, seal_message,
};
use mathia_protocol::crypto::recovery::RecoverySecret;
use mathia_protocol::crypto::safety::{RoomCode, SafetyNumber, account_digits};
use mathia_protocol::crypto::seal::seal_once;
use mathia_protocol::crypto::settings::RoomSettings;
use mathia_protocol::crypto::tick::ReadTick;
use mathia_protocol::crypto::user_chain::{
    AccountKind, DeviceLabel, DeviceRecord, Genesis, LinkBody, UserChain, UserLink,
};
use mathia_protocol::crypto::words::to_words;
use mathia_protocol::crypto::wrap::{
    AgentPlace, AgentWrap, GrantContext, WrapContext, seal_grant, wrap,
};
use mathia_protocol::id::{
    AccountId, Counter, DeviceId, Epoch, Hash, InviteToken, Realm, RoomId, Seq, TimeMs,
};
use rand::{TryCryptoRng, TryRng};

const ROOM: RoomId = RoomId([0x77; 32]);
const COMMIT: Hash = Hash([0x11; 32]);
const PREV_COMMIT: Hash = Hash([0x33; 32]);
const ACCOUNT: AccountId = AccountId([0x44; 32]);
const DEVICE: DeviceId = DeviceId([0x55; 16]);
const REALM: Realm = Realm([0x99; 16]);
const TIME: TimeMs = TimeMs(1_800_000_000_000);

/// Counts up instead of being random, so that the samples are the same for ever.
struct CountingBytes(u8);

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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// CRYPTO B11, all of it; its message sealed by the real code is a test of `crypto::message`.
#[test]
fn the_vector_of_the_specification_comes_out() {
    let secret = EpochSecret::from_bytes(&[0x22; 32]);
    let epoch = Epoch(1);
    let kc = "e5e8092e291b1e5c47ecc698ad9e300409a3e43ab8e1748ff7c745de369a46eb";
    assert_eq!(key_commit(PREV_COMMIT, epoch, &secret).to_hex(), kc);

    let room_key = RoomKey::derive(COMMIT, &secret);
    let rk = "acfecbc329264d7fdf1f0b9428f9fcd8936da6200960a422170f3d7a97eaed0e";
    assert_eq!(hex(room_key.to_bytes().as_slice()), rk);

    let prk = extract(&PREV_COMMIT.0, secret.to_bytes().as_slice());
    let pb = expand::<32>(&prk, labels::PREV, &[&epoch.0.to_be_bytes()]);
    let expected = "72dba3f95e6b0d72e51408812c9c0d7252fb318e7cc20a6c8d8d0bdfc1ec114d";
    assert_eq!(hex(pb.as_slice()), expected);

    let sender_key = SenderKey::derive(&room_key, ACCOUNT, DEVICE);
    let sk = "7c38bce1c6798f61fadfe2edff55c24f064f282b83eaa40196768a9bda65ddfa";
    assert_eq!(hex(sender_key.to_bytes().as_slice()), sk);

    let keys =
        expand::<76>(&sender_key.to_bytes(), labels::MSG, &[&1u64.to_be_bytes(), &[0x66; 16]]);
    let k = "29253a157b82b4d1cb1e9a3cc392176c73bed5ec5682fa6a3892ef2bb2ea5a47";
    assert_eq!(hex(&keys[..32]), k);
    assert_eq!(hex(&keys[32..44]), "acb7b7bc06cb6e404c79d5f3");
    let fk = "edec746918685f365de2c55244f2e17e27e5b50cafc643edc6fecda7ab64fa93";
    assert_eq!(hex(&keys[44..]), fk);

    let padded = Content::from_text("hello").unwrap().encode().encode_padded().unwrap();
    assert_eq!(padded.len(), 64);
    assert_eq!(padded[..10], *b"\x01\0\0\0\x05hello");
    let pt_com = "1ee083886ea332b091f4faca68351a64a893c57c0344a82502775efedbae5582";
    assert_eq!(mac(&keys[44..], &[&labelled(labels::FRANK, &[&padded])]).to_hex(), pt_com);

    let parts: [&[u8]; 3] = [&ROOM.0, &1u64.to_be_bytes(), &sha256(&[b"E1"]).0];
    let h_1 = "3db9ed0475cc15938be119a876a599142e17f49ccf6a578cc628c260116a358f";
    assert_eq!(hash(labels::LOG, &parts).to_hex(), h_1);

    let digits = account_digits(ACCOUNT, &"alice".parse().unwrap());
    assert_eq!(digits, [27720, 67845, 16996, 57097, 45174, 81125]);
}

/// Collects samples and their names.
#[derive(Default)]
struct Samples(String);

impl Samples {
    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.text(name, &hex(bytes));
    }

    fn text(&mut self, name: &str, text: &str) {
        writeln!(self.0, "{name} {text}").expect("writing to a string cannot fail");
    }
}

#[test]
fn everything_signed_or_sealed_keeps_its_bytes() {
    let mut samples = Samples::default();
    identity(&mut samples);
    epochs(&mut samples);
    messages(&mut samples);
    asking(&mut samples);
    logins(&mut samples);
    people(&mut samples);
    at_rest(&mut samples);

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/crypto.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &samples.0).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    for (ours, pinned) in samples.0.lines().zip(golden.lines()) {
        assert_eq!(ours, pinned);
    }
    assert_eq!(samples.0.lines().count(), golden.lines().count());
}

fn ann_key() -> SigningKey {
    SigningKey::from_seed(&[0xA1; 32])
}

fn label(name: &str) -> DeviceLabel {
    DeviceLabel { name: name.to_owned(), os: "linux".to_owned(), created: TIME }
}

fn genesis() -> UserLink {
    let hpke = HpkeSecret::from_bytes(&[0xA2; 32]).public();
    let genesis = Genesis {
        realm: REALM,
        handle: "ann".parse().expect("a valid name"),
        kind: AccountKind::Human,
        operator: String::new(),
        device: DeviceRecord::founding(ann_key().public(), hpke, label("laptop")),
        recovery_key: RecoverySecret::from_bytes(&[0xA3; 32]).signing_key().public(),
    };
    UserLink::founding(genesis, TIME)
}

fn identity(samples: &mut Samples) {
    let key = ann_key();
    samples.bytes("device_id", &key.device_id().0);
    let genesis = genesis().sign(&key);
    samples.bytes("link.genesis", &genesis.0);
    samples.bytes("link.hash", &genesis.hash().0);
    samples.bytes("user_id", &genesis.account().0);

    let mut chain = UserChain::found(&genesis).expect("the genesis is valid");
    let phone = SigningKey::from_seed(&[0xA4; 32]);
    let offered = HpkeSecret::from_bytes(&[0xA5; 32]).public();
    let account = chain.account();
    let rng = &mut CountingBytes(0);
    let record = DeviceRecord::offer(rng, &phone, offered, label("phone"), account, [0xA6; 16]);
    let (laptop, phone_id) = (key.device_id(), phone.device_id());
    let rotated = HpkeSecret::from_bytes(&[0xA7; 32]).public();
    let recovery_key = RecoverySecret::from_bytes(&[0xA8; 32]).signing_key().public();
    let bodies = [
        ("link.add_device", LinkBody::AddDevice(Box::new(record))),
        ("link.rotate_hpke", LinkBody::RotateHpke { device: laptop, hpke: rotated, hpke_gen: 2 }),
        ("link.revoke_device", LinkBody::RevokeDevice { device: phone_id, reason: 1 }),
        ("link.rotate_recovery", LinkBody::RotateRecovery { recovery_key }),
    ];
    for (name, body) in bodies {
        let link = chain.next_link(body, TIME, laptop).sign(&key);
        chain.extend(&link).expect("the link is valid");
        samples.bytes(name, &link.0);
    }
    samples.bytes("chain.head", &chain.head().hash.0);
}

fn epochs(samples: &mut Samples) {
    let rng = &mut CountingBytes(0);
    let (secret, before) =
        (EpochSecret::from_bytes(&[0x22; 32]), EpochSecret::from_bytes(&[0x21; 32]));
    let device_key = HpkeSecret::from_bytes(&[0xB1; 32]).public();
    let context =
        WrapContext { commit_hash: COMMIT, account: ACCOUNT, device: DEVICE, hpke_gen: 2 };
    samples.bytes("wrap.info", &context.info());
    samples.bytes("wrap", &wrap(rng, &device_key, &context, &secret).expect("a usable key"));
    samples.bytes("prev_box", &secret.seal_prev(rng, PREV_COMMIT, Epoch(2), &before));
    let name = "ops".parse().expect("a valid name");
    let settings = RoomSettings { name, topic: "on call".to_owned(), picture: Some(vec![1, 2]) };
    samples.bytes("settings", &settings.encode());
    samples.bytes("settings_box", &settings.seal(rng, &secret, PREV_COMMIT, Epoch(2)));
    let context = GrantContext { room: ROOM, account: ACCOUNT, device: DEVICE, hpke_gen: 2 };
    samples.bytes("grant.info", &context.info());
    let granted = [(Epoch(1), before), (Epoch(2), secret.duplicate())];
    let grant = seal_grant(rng, &device_key, &context, &granted).expect("a usable key");
    samples.bytes("grant", &grant);
    let sender_key = SenderKey::derive(&RoomKey::derive(COMMIT, &secret), ACCOUNT, DEVICE);
    let place = AgentPlace { commit_hash: COMMIT, device: DEVICE };
    let agent = AgentWrap::seal(rng, &device_key, place, &sender_key, &ann_key());
    let agent = agent.expect("a usable key");
    samples.bytes("agent_wrap", &agent.wrap);
    samples.bytes("agent_wrap.signature", &agent.signature.0);
    samples.bytes("agent_wrap.whole", &agent.encode());
}

fn asking(samples: &mut Samples) {
    let key = ann_key();
    let attached = Attached {
        seq: Seq(5),
        author: ACCOUNT,
        handle: "bob".to_owned(),
        time: TIME,
        text: "looks right".to_owned(),
    };
    let ask = Ask {
        agent: ACCOUNT,
        card: COMMIT,
        again: Some(Seq(4)),
        n_left_out: 1,
        text: "why?".to_owned(),
        attached: vec![attached],
    };
    samples.bytes("ask", &ask.encode());
    samples.bytes("stop", &Stop { agent: ACCOUNT, ask: Seq(9) }.encode());
    let emoji = Emoji::parse("\u{1F44D}").expect("a thumb");
    let reaction = Reaction { target: Seq(5), target_hash: [0xEF; 16], emoji, is_removed: false };
    samples.bytes("reaction", &reaction.encode());
    let usage = Usage { prompt: 1, completion: 2, total: 3, is_estimated: true };
    let answer = Answer {
        ask: Seq(9),
        ask_hash: [0xAB; 16],
        outcome: Outcome::Interrupted,
        cause: "the assistant was restarted".to_owned(),
        text: "because".to_owned(),
        provider: "api.example.org".to_owned(),
        model: "small-4".to_owned(),
        usage: Some(usage),
    };
    samples.bytes("answer", &answer.encode());
    let card = AgentCard {
        account: ACCOUNT,
        device: key.device_id(),
        issued: TIME,
        provider: "api.example.org".to_owned(),
        model: "small-4".to_owned(),
        is_local: true,
        operator: "Heron & Co".to_owned(),
    };
    samples.bytes("card", &card.sign(&key));
    samples.bytes("card.promise", &card.promise().0);
    let room_key = RoomKey::derive(COMMIT, &EpochSecret::from_bytes(&[0x22; 32]));
    let sender_key = SenderKey::derive(&room_key, ACCOUNT, key.device_id());
    let context = DeltaContext { room: ROOM, commit_hash: COMMIT, device: key.device_id() };
    let place = DeltaPlace { epoch: Epoch(1), answer: AnswerId([0xCD; 16]), index: 2, offset: 7 };
    let piece = DeltaText { ask: Seq(9), text: "the column".to_owned() };
    let delta = seal_delta(&context, SealWith::SenderKey(&sender_key), place, &piece, &key);
    samples.bytes("delta", &delta.expect("a short piece"));
    let place = DeltaPlace { epoch: Epoch(0), ..place };
    let delta = seal_delta(&context, SealWith::Open, place, &piece, &key);
    samples.bytes("delta.open_room", &delta.expect("a short piece"));
}

fn messages(samples: &mut Samples) {
    let rng = &mut CountingBytes(0);
    let key = ann_key();
    let context = MessageContext {
        room: ROOM,
        commit_hash: COMMIT,
        account: ACCOUNT,
        device: key.device_id(),
    };
    let room_key = RoomKey::derive(COMMIT, &EpochSecret::from_bytes(&[0x22; 32]));
    let sender_key = SenderKey::derive(&room_key, ACCOUNT, key.device_id());
    let draft = MessageDraft {
        flags: Flags::COUNTABLE,
        epoch: Epoch(2),
        placement: Placement::Live { counter: Counter(3), prev_own: [0xC1; 16] },
        seen_seq: Seq(41),
        seen_hash: Hash([0xC2; 32]),
        time: TIME,
        plaintext: Content::from_text("hello").expect("a short text").encode(),
        agents: Vec::new(),
    };
    let with = SealWith::SenderKey(&sender_key);
    let sealed = seal_message(rng, &context, with, &draft, &key).expect("a valid draft");
    samples.bytes("message", &sealed);
    let agent = HpkeSecret::from_bytes(&[0xC3; 32]).public();
    let asked = MessageDraft {
        agents: vec![SlotReader { device: DeviceId([0xC4; 16]), key: agent }],
        ..draft.clone()
    };
    let sealed = seal_message(rng, &context, with, &asked, &key).expect("a valid draft");
    samples.bytes("message.with_slot", &sealed);
    let placement = Placement::Scheduled { id: 0x8000_0000_0000_00C5 };
    let later =
        MessageDraft { placement, flags: Flags::COUNTABLE.and(Flags::SILENT), ..draft.clone() };
    let sealed = seal_message(rng, &context, with, &later, &key).expect("a valid draft");
    samples.bytes("message.scheduled", &sealed);
    let context = MessageContext::open_room(ROOM, ACCOUNT, key.device_id());
    let open = MessageDraft { epoch: Epoch(0), ..draft };
    let sealed = seal_message(rng, &context, SealWith::Open, &open, &key).expect("a valid draft");
    samples.bytes("message.open_room", &sealed);
    let tick = ReadTick { room: ROOM, seq: Seq(41), hash: Hash([0xC2; 32]) };
    samples.bytes("tick.signature", &tick.sign(&key).0);
}

fn logins(samples: &mut Samples) {
    let key = ann_key();
    let ekm = ExporterValue::new([0xD1; 32]).expect("not zero");
    let scope = AuthScope { realm: REALM, account: ACCOUNT, device: key.device_id() };
    samples.bytes("auth.exporter_context", &scope.exporter_context().0);
    samples.bytes("auth.hello", &scope.sign_hello(&key, &ekm).0);
    let genesis = genesis().sign(&key);
    let token = Some(InviteToken([0xD2; 16]));
    let scope = AuthScope::founding(REALM, &genesis, key.device_id());
    samples.bytes("auth.register", &scope.sign_register(&key, &genesis, token, &ekm).0);
    samples.bytes("auth.register_open", &scope.sign_register(&key, &genesis, None, &ekm).0);
    samples.bytes("auth.recover", &scope.sign_recover(&key, &genesis, &ekm).0);

    let secret = InviteSecret::from_bytes(&[0xD3; 16]);
    samples.bytes("invite.token", &secret.token().0);
    samples.bytes("invite.proof", &secret.proof(ACCOUNT));
    let inviter = [0xD5; 16];
    let ticket = Some(Ticket { secret, server_pin: [0xD4; 16], inviter, realm: REALM });
    let invite = Invite { host: "chat.example.org".to_owned(), port: 4433, ticket };
    samples.text("invite", &invite.to_line());
}

fn people(samples: &mut Samples) {
    let ann = account_digits(ACCOUNT, &"ann".parse().expect("a valid name"));
    let bob = account_digits(AccountId([0xE1; 32]), &"bob".parse().expect("a valid name"));
    let number = SafetyNumber::of_pair(ann, bob).to_string();
    samples.text("safety_number", &number.replace('\n', " / "));
    samples.text("room_code", &RoomCode::new(ROOM, COMMIT, Hash([0xE2; 32])).to_string());
    let secret = RecoverySecret::from_bytes(&[0xE3; 32]);
    samples.text("recovery.words", &secret.words());
    samples.bytes("recovery.key", &secret.signing_key().public().0);
    samples.bytes("recovery.backup_key", secret.backup_key().as_slice());
    samples.text("words.12", &to_words(&[0xE4; 16]));
}

fn at_rest(samples: &mut Samples) {
    let rng = &mut CountingBytes(0);
    samples.bytes("seal_once", &seal_once(rng, &[0xF1; 32], labels::BACKUP, b"aad", b"text"));
    let mut sealer = FileSealer::new(FileKey::from_bytes(&[0xF2; 32]));
    samples.bytes("file.chunk", &sealer.seal_chunk(b"a short file", true).expect("one chunk"));
    let (_, summary) = sealer.finish().expect("the last chunk is sealed");
    samples.bytes("file.hash", &summary.hash.0);
    let file = KeyFile {
        account: ACCOUNT,
        realm: REALM,
        signing: ann_key(),
        hpke: vec![StoredHpke {
            generation: 1,
            created: TIME,
            secret: HpkeSecret::from_bytes(&[0xF3; 32]),
        }],
        recovery: Some(RecoverySecret::from_bytes(&[0xF4; 32])),
        replica_key: [0xF5; 32].into(),
    };
    samples.bytes("key_file", &file.encode(rng, None));
    samples.bytes("key_file.sealed", &file.encode(rng, Some("correct horse")));
}
