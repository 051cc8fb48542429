//! No single flipped bit of anything signed or sealed is ever accepted (CRYPTO D3, figure 7).
//!
//! Messages and commits are flipped where they are defined; here is everything else.

use mathia_protocol::crypto::at_rest::KeyFile;
use mathia_protocol::crypto::auth::{AuthScope, ExporterValue};
use mathia_protocol::crypto::epoch::{EpochSecret, RoomKey, SenderKey};
use mathia_protocol::crypto::identity::{HpkeSecret, Signature, SigningKey};
use mathia_protocol::crypto::recovery::RecoverySecret;
use mathia_protocol::crypto::seal::{open_once, seal_once};
use mathia_protocol::crypto::settings::RoomSettings;
use mathia_protocol::crypto::tick::ReadTick;
use mathia_protocol::crypto::user_chain::{
    AccountKind, DeviceLabel, DeviceRecord, Genesis, LinkBody, SignedLink, UserChain, UserLink,
};
use mathia_protocol::crypto::words::{from_words, to_words};
use mathia_protocol::crypto::wrap::{
    AgentPlace, AgentWrap, GrantContext, WrapContext, open_grant, seal_grant, unwrap, wrap,
};
use mathia_protocol::id::{AccountId, DeviceId, Epoch, Hash, Realm, RoomId, Seq, TimeMs};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

const ACCOUNT: AccountId = AccountId([4; 32]);
const DEVICE: DeviceId = DeviceId([5; 16]);
const COMMIT: Hash = Hash([6; 32]);

/// Flips each bit of `bytes` in turn and wants `accepts` to refuse; the bytes as they are must pass.
fn each_flip_is_refused(name: &str, bytes: &[u8], accepts: impl Fn(&[u8]) -> bool) {
    assert!(accepts(bytes), "{name} is accepted as it is");
    let mut flipped = bytes.to_vec();
    for bit in 0..bytes.len() * 8 {
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!accepts(&flipped), "{name} with bit {bit} flipped");
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

#[test]
fn of_a_sealed_text() {
    let sealed = seal_once(&mut rng(), &[1; 32], "backup", b"aad", b"some text");
    each_flip_is_refused("seal_once", &sealed, |bytes| {
        open_once(&[1; 32], "backup", b"aad", bytes).is_ok()
    });
}

#[test]
fn of_a_wrap_and_of_its_context() {
    let (secret, key) = (EpochSecret::generate(&mut rng()), HpkeSecret::generate(&mut rng()));
    let context =
        WrapContext { commit_hash: COMMIT, account: ACCOUNT, device: DEVICE, hpke_gen: 3 };
    let wrapped = wrap(&mut rng(), &key.public(), &context, &secret).unwrap();
    assert_eq!(unwrap(&key, &context, &wrapped).unwrap().to_bytes(), secret.to_bytes());
    each_flip_is_refused("wrap", &wrapped, |bytes| unwrap(&key, &context, bytes).is_ok());

    let others = [
        WrapContext { commit_hash: Hash([7; 32]), ..context },
        WrapContext { account: AccountId([7; 32]), ..context },
        WrapContext { device: DeviceId([7; 16]), ..context },
        WrapContext { hpke_gen: 4, ..context },
    ];
    for other in others {
        assert!(unwrap(&key, &other, &wrapped).is_err(), "{other:?}");
    }
}

#[test]
fn of_a_history_grant() {
    let key = HpkeSecret::generate(&mut rng());
    let context =
        GrantContext { room: RoomId([8; 32]), account: ACCOUNT, device: DEVICE, hpke_gen: 3 };
    let secret = EpochSecret::generate(&mut rng());
    let secrets = [(Epoch(1), secret.duplicate()), (Epoch(4), secret)];
    let grant = seal_grant(&mut rng(), &key.public(), &context, &secrets).unwrap();
    let epochs: Vec<_> =
        open_grant(&key, &context, &grant).unwrap().into_iter().map(|(epoch, _)| epoch).collect();
    assert_eq!(epochs, [Epoch(1), Epoch(4)]);
    each_flip_is_refused("grant", &grant, |bytes| open_grant(&key, &context, bytes).is_ok());
    let elsewhere = GrantContext { room: RoomId([9; 32]), ..context };
    assert!(open_grant(&key, &elsewhere, &grant).is_err());

    let [first, second] = secrets;
    let falling = [second, first];
    assert!(seal_grant(&mut rng(), &key.public(), &context, &falling).is_err());
}

#[test]
fn of_the_boxes_of_a_commit() {
    let (secret, before) = (EpochSecret::from_bytes(&[1; 32]), EpochSecret::from_bytes(&[2; 32]));
    let prev_box = secret.seal_prev(&mut rng(), COMMIT, Epoch(2), &before);
    each_flip_is_refused("prev_box", &prev_box, |bytes| {
        secret.open_prev(COMMIT, Epoch(2), bytes).is_ok()
    });
    let settings = RoomSettings::named("ops".parse().unwrap());
    let settings_box = settings.seal(&mut rng(), &secret, COMMIT, Epoch(2));
    each_flip_is_refused("settings_box", &settings_box, |bytes| {
        RoomSettings::open(&secret, COMMIT, Epoch(2), bytes).is_ok()
    });
}

#[test]
fn of_an_agents_key() {
    let (key, ann) = (HpkeSecret::generate(&mut rng()), SigningKey::generate(&mut rng()));
    let room_key = RoomKey::derive(COMMIT, &EpochSecret::from_bytes(&[1; 32]));
    let sender_key = SenderKey::derive(&room_key, ACCOUNT, DEVICE);
    let place = AgentPlace { commit_hash: COMMIT, device: DEVICE };
    let sealed = AgentWrap::seal(&mut rng(), &key.public(), place, &sender_key, &ann).unwrap();
    let opened = sealed.open(&key, place, &ann.public()).unwrap();
    assert_eq!(opened.to_bytes(), sender_key.to_bytes());
    each_flip_is_refused("agent wrap", &sealed.encode(), |bytes| {
        AgentWrap::decode(bytes).and_then(|sealed| sealed.open(&key, place, &ann.public())).is_ok()
    });
    let eve = SigningKey::generate(&mut StdRng::seed_from_u64(2));
    assert!(sealed.open(&key, place, &eve.public()).is_err(), "swapped by somebody else");
}

#[test]
fn of_user_chain_links() {
    let (laptop, recovery) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
    let hpke = HpkeSecret::from_bytes(&[3; 32]).public();
    let label = |name: &str| DeviceLabel {
        name: name.to_owned(),
        os: "linux".to_owned(),
        created: TimeMs(1),
    };
    let genesis = Genesis {
        realm: Realm([4; 16]),
        handle: "ann".parse().unwrap(),
        kind: AccountKind::Human,
        operator: "nobody".to_owned(),
        device: DeviceRecord::founding(laptop.public(), hpke, label("laptop")),
        recovery_key: recovery.public(),
    };
    let link = UserLink::founding(genesis, TimeMs(2)).sign(&laptop);
    each_flip_is_refused("genesis", &link.0, |bytes| {
        UserChain::found(&SignedLink(bytes.to_vec())).is_ok()
    });

    let chain = UserChain::found(&link).unwrap();
    let phone = SigningKey::from_seed(&[5; 32]);
    let record =
        DeviceRecord::offer(&mut rng(), &phone, hpke, label("phone"), chain.account(), [6; 16]);
    let body = LinkBody::AddDevice(Box::new(record));
    let link = chain.next_link(body, TimeMs(3), laptop.device_id()).sign(&laptop);
    each_flip_is_refused("add device", &link.0, |bytes| {
        chain.clone().extend(&SignedLink(bytes.to_vec())).is_ok()
    });
}

#[test]
fn of_logins_and_ticks() {
    let key = SigningKey::from_seed(&[1; 32]);
    let ekm = ExporterValue::new([2; 32]).unwrap();
    let scope = AuthScope { realm: Realm([3; 16]), account: ACCOUNT, device: key.device_id() };
    each_flip_is_refused("hello", &scope.sign_hello(&key, &ekm).0, |bytes| {
        let signature = Signature(bytes.try_into().unwrap());
        scope.verify_hello(&key.public(), &ekm, &signature).is_ok()
    });
    let tick = ReadTick { room: RoomId([4; 32]), seq: Seq(5), hash: COMMIT };
    each_flip_is_refused("tick", &tick.sign(&key).0, |bytes| {
        tick.verify(&key.public(), &Signature(bytes.try_into().unwrap())).is_ok()
    });
}

/// A passphrase takes long on purpose, so only a sample of bits is flipped, spread over all fields.
#[test]
fn of_a_sealed_key_file() {
    let file = KeyFile {
        account: ACCOUNT,
        realm: Realm([3; 16]),
        signing: SigningKey::from_seed(&[1; 32]),
        hpke: Vec::new(),
        recovery: Some(RecoverySecret::from_bytes(&[2; 32])),
        replica_key: [3; 32].into(),
    };
    let bytes = file.encode(&mut rng(), Some("correct horse"));
    assert!(KeyFile::decode(&bytes, Some("correct horse")).is_ok());
    // The mark, the salt, the lowest bit of each cost but memory, the length, the sealed body.
    for bit in [3, 70, 90, 8 * 33 + 1, 8 * 37, 8 * 41, 8 * 50, 8 * 120, bytes.len() * 8 - 1] {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(KeyFile::decode(&flipped, Some("correct horse")).is_err(), "bit {bit}");
    }
}

/// Words have eight bits of checksum: one wrong word of 24 passes about once in 256.
#[test]
fn a_wrong_word_is_mostly_noticed() {
    let words = to_words(&[0x42; 32]);
    let list: Vec<_> = words.split(' ').collect();
    let mut n_passed = 0;
    for n in 0..24 {
        for other in ["zoo", "abandon", "legal", "winner", "thank", "year", "sausage", "bless"] {
            let mut wrong = list.clone();
            wrong[n] = other;
            let passed = from_words::<32>(&wrong.join(" ")).is_ok_and(|bytes| *bytes != [0x42; 32]);
            n_passed += usize::from(passed);
        }
    }
    assert!(n_passed <= 4, "{n_passed} of 192 wrong words passed");
}
