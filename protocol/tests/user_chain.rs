//! Stories about user chains: who may say what about an account's devices (CRYPTO B2).

use mathia_protocol::crypto::ce::CeError;
use mathia_protocol::crypto::identity::{HpkePublic, HpkeSecret, SigningKey};
use mathia_protocol::crypto::recovery::RecoverySecret;
use mathia_protocol::crypto::user_chain::{
    AccountKind, ChainError, ChainHead, DeviceLabel, DeviceRecord, Genesis, HeadOrder, LinkBody,
    SignedLink, UserChain, UserLink,
};
use mathia_protocol::id::{AccountId, DeviceId, Hash, Realm, TimeMs};
use mathia_protocol::limits::{CHAIN_LINKS_MAX, DEVICES_MAX};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

const NOW: TimeMs = TimeMs(1_800_000_000_000);

/// A person with a laptop, all the links signed so far, and what they prove.
struct Person {
    rng: StdRng,
    laptop: SigningKey,
    recovery: SigningKey,
    links: Vec<SignedLink>,
    chain: UserChain,
}

fn label(name: &str) -> DeviceLabel {
    DeviceLabel { name: name.to_owned(), os: "linux".to_owned(), created: NOW }
}

fn hpke_key(rng: &mut StdRng) -> HpkePublic {
    HpkeSecret::generate(rng).public()
}

fn genesis(laptop: &SigningKey, recovery: &SigningKey, hpke: HpkePublic) -> UserLink {
    let genesis = Genesis {
        realm: Realm([1; 16]),
        handle: "ann".parse().expect("a valid name"),
        kind: AccountKind::Human,
        operator: String::new(),
        device: DeviceRecord::founding(laptop.public(), hpke, label("laptop")),
        recovery_key: recovery.public(),
    };
    UserLink::founding(genesis, NOW)
}

impl Person {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let laptop = SigningKey::generate(&mut rng);
        let recovery = RecoverySecret::generate(&mut rng).signing_key();
        let link = genesis(&laptop, &recovery, hpke_key(&mut rng)).sign(&laptop);
        let chain = UserChain::found(&link).expect("the genesis is valid");
        Self { rng, laptop, recovery, links: vec![link], chain }
    }

    /// A new device and its offer to join this account.
    fn offer(&mut self, name: &str) -> (SigningKey, DeviceRecord) {
        let key = SigningKey::generate(&mut self.rng);
        let hpke = hpke_key(&mut self.rng);
        let account = self.chain.account();
        let record = DeviceRecord::offer(&mut self.rng, &key, hpke, label(name), account, [7; 16]);
        (key, record)
    }

    fn link(&self, body: LinkBody, signer: &SigningKey) -> SignedLink {
        self.chain.next_link(body, NOW, signer.device_id()).sign(signer)
    }

    fn says(&mut self, body: LinkBody, signer: &SigningKey) -> Result<(), ChainError> {
        let link = self.link(body, signer);
        self.chain.extend(&link)?;
        self.links.push(link);
        Ok(())
    }

    fn laptop(&self) -> SigningKey {
        SigningKey::from_seed(&self.laptop.seed())
    }

    fn recovery(&self) -> SigningKey {
        SigningKey::from_seed(&self.recovery.seed())
    }

    fn adds(&mut self, name: &str) -> SigningKey {
        let (key, record) = self.offer(name);
        let laptop = self.laptop();
        self.says(add(record), &laptop).expect("the laptop may add");
        key
    }
}

fn add(record: DeviceRecord) -> LinkBody {
    LinkBody::AddDevice(Box::new(record))
}

fn revoke(device: &SigningKey) -> LinkBody {
    LinkBody::RevokeDevice { device: device.device_id(), reason: 0 }
}

#[test]
fn an_account_is_founded_by_its_first_device() {
    let ann = Person::new(1);
    let device = ann.laptop.device_id();
    assert_eq!(ann.chain.account(), ann.links[0].account());
    assert_eq!(ann.chain.handle().as_str(), "ann");
    assert_eq!(ann.chain.kind(), AccountKind::Human);
    assert_eq!(ann.chain.head(), ChainHead { seq: 1, hash: ann.links[0].hash() });
    assert!(ann.chain.is_active(device) && ann.chain.is_active_at(device, 1));
    assert!(!ann.chain.is_active_at(device, 0));
    assert_eq!(ann.chain.devices_at(1).count(), 1);
}

#[test]
fn a_genesis_that_is_none_or_signed_by_another_is_refused() {
    let mut rng = StdRng::seed_from_u64(2);
    let (ann, eve) = (SigningKey::generate(&mut rng), SigningKey::generate(&mut rng));
    let hpke = hpke_key(&mut rng);
    let good = genesis(&ann, &eve, hpke);
    assert_eq!(UserChain::found(&good.sign(&eve)).unwrap_err(), ChainError::Signature);

    let foreign = UserLink { signer: eve.device_id(), ..good.clone() };
    let refused = UserChain::found(&foreign.sign(&eve)).unwrap_err();
    assert_eq!(refused, ChainError::Signer(eve.device_id()));

    let second = UserLink { seq: 2, ..good.clone() };
    assert_eq!(UserChain::found(&second.sign(&ann)).unwrap_err(), ChainError::NoGenesis);
    let continued = UserLink { prev: Hash([1; 32]), ..good.clone() };
    assert_eq!(UserChain::found(&continued.sign(&ann)).unwrap_err(), ChainError::NoGenesis);

    let LinkBody::Genesis(mut body) = good.body.clone() else { panic!("a genesis") };
    body.device.rv = [1; 16];
    let with_offer = UserLink { body: LinkBody::Genesis(body), ..good };
    assert_eq!(UserChain::found(&with_offer.sign(&ann)).unwrap_err(), ChainError::NoGenesis);

    let own_recovery = genesis(&ann, &ann, hpke).sign(&ann);
    let refused = UserChain::found(&own_recovery).unwrap_err();
    assert_eq!(refused, ChainError::DeviceTwice(ann.device_id()));
    let weak = genesis(&ann, &eve, HpkePublic([0; 32])).sign(&ann);
    assert_eq!(UserChain::found(&weak).unwrap_err(), ChainError::HpkeWeak);
    assert_eq!(UserChain::verify(&[]).unwrap_err(), ChainError::Empty);
}

#[test]
fn a_second_device_joins_with_its_own_agreement() {
    let mut ann = Person::new(3);
    let phone = ann.adds("phone");
    let device = ann.chain.device(phone.device_id()).unwrap();
    assert_eq!((device.added_seq, device.revoked_seq), (2, None));
    assert_eq!(device.record.name, "phone");
    assert!(!ann.chain.is_active_at(phone.device_id(), 1));
    assert!(ann.chain.is_active_at(phone.device_id(), 2));
    assert_eq!(UserChain::verify(&ann.links).unwrap(), ann.chain);
}

#[test]
fn nobody_can_put_another_persons_device_into_his_chain() {
    let (mut ann, mut eve) = (Person::new(4), Person::new(5));
    let (_, offered_to_ann) = ann.offer("phone");
    let eve_laptop = eve.laptop();
    assert_eq!(eve.says(add(offered_to_ann.clone()), &eve_laptop), Err(ChainError::Offer));

    // Nor with another key for wraps than the one the device offered.
    let swapped = DeviceRecord { hpke: hpke_key(&mut eve.rng), ..offered_to_ann };
    let ann_laptop = ann.laptop();
    assert_eq!(ann.says(add(swapped), &ann_laptop), Err(ChainError::Offer));
}

#[test]
fn a_revoked_device_says_nothing_more_but_its_past_stands() {
    let mut ann = Person::new(6);
    let phone = ann.adds("phone");
    let laptop = ann.laptop();
    ann.says(revoke(&phone), &laptop).unwrap();
    let (_, tablet) = ann.offer("tablet");
    assert_eq!(ann.says(add(tablet), &phone), Err(ChainError::Signer(phone.device_id())));
    assert_eq!(ann.says(revoke(&phone), &laptop), Err(ChainError::NoDevice(phone.device_id())));

    assert!(ann.chain.is_active_at(phone.device_id(), 2));
    assert!(!ann.chain.is_active_at(phone.device_id(), 3));
    assert!(ann.chain.hpke_at(phone.device_id(), 2).is_some());
    assert!(ann.chain.hpke_at(phone.device_id(), 3).is_none());
    assert!(ann.chain.has_revocation_after(2));
    assert!(!ann.chain.has_revocation_after(3));
}

#[test]
fn a_revoked_device_never_comes_back_under_the_same_key() {
    let mut ann = Person::new(7);
    let (phone, record) = ann.offer("phone");
    let laptop = ann.laptop();
    ann.says(add(record.clone()), &laptop).unwrap();
    let again = add(record);
    let twice = Err(ChainError::DeviceTwice(phone.device_id()));
    assert_eq!(ann.says(again.clone(), &laptop), twice);
    ann.says(revoke(&phone), &laptop).unwrap();
    assert_eq!(ann.says(again, &laptop), twice);
}

#[test]
fn a_stranger_cannot_extend_a_chain() {
    let (mut ann, eve) = (Person::new(8), Person::new(9));
    let (_, phone) = ann.offer("phone");
    let by_eve = ann.says(add(phone.clone()), &eve.laptop);
    assert_eq!(by_eve, Err(ChainError::Signer(eve.laptop.device_id())));
    // Nor by claiming to be the laptop.
    let claimed = ann.chain.next_link(add(phone), NOW, ann.laptop.device_id());
    assert_eq!(ann.chain.extend(&claimed.sign(&eve.laptop)), Err(ChainError::Signature));
    assert_eq!(ann.chain.head().seq, 1);
}

#[test]
fn the_recovery_key_adds_a_device_when_all_are_lost() {
    let mut ann = Person::new(10);
    let (laptop, recovery) = (ann.laptop(), ann.recovery());
    ann.says(revoke(&laptop), &laptop).unwrap();
    assert_eq!(ann.chain.devices_at(2).count(), 0);
    let (phone, record) = ann.offer("phone");
    ann.says(add(record), &recovery).unwrap();
    assert!(ann.chain.is_active(phone.device_id()));

    let hpke = hpke_key(&mut ann.rng);
    let device = phone.device_id();
    let rotate = LinkBody::RotateHpke { device, hpke, hpke_gen: 2 };
    let refused = Err(ChainError::Signer(recovery.device_id()));
    assert_eq!(ann.says(rotate, &recovery), refused, "only a device changes its key for wraps");
}

#[test]
fn a_replaced_recovery_key_opens_nothing_any_more() {
    let mut ann = Person::new(11);
    let (laptop, old) = (ann.laptop(), ann.recovery());
    let new = SigningKey::generate(&mut ann.rng);
    let rotate = |key: &SigningKey| LinkBody::RotateRecovery { recovery_key: key.public() };
    ann.says(rotate(&new), &laptop).unwrap();
    assert_eq!(ann.chain.recovery_key(), new.public());
    let (_, phone) = ann.offer("phone");
    assert_eq!(ann.says(add(phone), &old), Err(ChainError::Signer(old.device_id())));

    let same = Err(ChainError::DeviceTwice(new.device_id()));
    assert_eq!(ann.says(rotate(&new), &laptop), same);
    let device_as_recovery = Err(ChainError::DeviceTwice(laptop.device_id()));
    assert_eq!(ann.says(rotate(&laptop), &laptop), device_as_recovery);
}

#[test]
fn a_device_changes_its_own_key_for_wraps_one_generation_at_a_time() {
    let mut ann = Person::new(12);
    let phone = ann.adds("phone");
    let laptop = ann.laptop();
    let (device, hpke) = (laptop.device_id(), hpke_key(&mut ann.rng));
    let before = ann.chain.hpke_at(device, 2).unwrap();
    let rotate = |device, hpke_gen| LinkBody::RotateHpke { device, hpke, hpke_gen };
    assert_eq!(ann.says(rotate(device, 3), &laptop), Err(ChainError::HpkeStep));
    assert_eq!(ann.says(rotate(device, 1), &laptop), Err(ChainError::HpkeStep));
    let of_phone = rotate(phone.device_id(), 2);
    assert_eq!(ann.says(of_phone, &laptop), Err(ChainError::HpkeStep));
    let weak = LinkBody::RotateHpke { device, hpke: HpkePublic([0; 32]), hpke_gen: 2 };
    assert_eq!(ann.says(weak, &laptop), Err(ChainError::HpkeWeak));

    ann.says(rotate(device, 2), &laptop).unwrap();
    assert_eq!(ann.chain.hpke_at(device, 2), Some(before));
    assert_eq!(ann.chain.hpke_at(device, 3), Some((hpke, 2)));
}

#[test]
fn links_out_of_order_or_from_another_history_are_refused() {
    let mut ann = Person::new(13);
    ann.adds("phone");
    let before = UserChain::found(&ann.links[0]).unwrap();
    ann.adds("tablet");
    let mut chain = before.clone();
    let skipped = chain.extend(&ann.links[2]);
    assert_eq!(skipped, Err(ChainError::Seq { expected: 2, found: 3 }));
    let founded_again = chain.extend(&ann.links[0]);
    assert_eq!(founded_again, Err(ChainError::Seq { expected: 2, found: 1 }));
    assert_eq!(chain, before, "a refused link changes nothing");

    // The laptop signs two different second links: each is valid, but they do not mix.
    let (_, other) = ann.offer("watch");
    let fork = before.next_link(add(other), NOW, ann.laptop.device_id()).sign(&ann.laptop);
    chain.extend(&fork).unwrap();
    assert_eq!(chain.extend(&ann.links[2]), Err(ChainError::Prev));
}

#[test]
fn a_fork_and_a_rollback_are_told_apart_from_news() {
    let mut ann = Person::new(14);
    let first = ann.chain.head();
    ann.adds("phone");
    let pinned = ann.chain.head();
    assert_eq!(ann.chain.compare(first), HeadOrder::Newer);
    assert_eq!(ann.chain.compare(pinned), HeadOrder::Same);
    let rolled_back = UserChain::found(&ann.links[0]).unwrap();
    assert_eq!(rolled_back.compare(pinned), HeadOrder::Stale);

    let (_, other) = ann.offer("watch");
    let link = rolled_back.next_link(add(other), NOW, ann.laptop.device_id()).sign(&ann.laptop);
    let mut forked = rolled_back;
    forked.extend(&link).unwrap();
    assert_eq!(forked.compare(pinned), HeadOrder::Fork);
    let (_, third) = ann.offer("desk");
    let link = forked.next_link(add(third), NOW, ann.laptop.device_id()).sign(&ann.laptop);
    forked.extend(&link).unwrap();
    assert_eq!(forked.compare(pinned), HeadOrder::Fork, "a longer fork is still a fork");
    assert_eq!(forked.hash_at(0), None);
    assert_eq!(forked.compare(ChainHead { seq: 0, hash: Hash::ZERO }), HeadOrder::Fork);
}

#[test]
fn an_account_has_a_bounded_number_of_active_devices() {
    let mut ann = Person::new(15);
    let laptop = ann.laptop();
    let mut last = None;
    for n in 1..DEVICES_MAX {
        last = Some(ann.adds(&format!("device {n}")));
    }
    let (_, one_more) = ann.offer("one more");
    assert_eq!(ann.says(add(one_more.clone()), &laptop), Err(ChainError::TooManyDevices));
    ann.says(revoke(&last.unwrap()), &laptop).unwrap();
    ann.says(add(one_more), &laptop).unwrap();
}

#[test]
fn a_chain_does_not_grow_for_ever() {
    let mut ann = Person::new(16);
    let laptop = ann.laptop();
    let keys = [SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32])];
    for n in 1..CHAIN_LINKS_MAX {
        let recovery_key = keys[n % 2].public();
        ann.says(LinkBody::RotateRecovery { recovery_key }, &laptop).unwrap();
    }
    let more = LinkBody::RotateRecovery { recovery_key: keys[0].public() };
    assert_eq!(ann.says(more, &laptop), Err(ChainError::TooLong));
}

#[test]
fn a_second_genesis_and_an_unknown_kind_are_refused() {
    let mut ann = Person::new(17);
    let laptop = ann.laptop();
    let again = genesis(&ann.laptop, &ann.recovery, hpke_key(&mut ann.rng)).body;
    assert_eq!(ann.says(again, &laptop), Err(ChainError::SecondGenesis));

    let link = ann.link(revoke(&laptop), &laptop);
    // Version, suite and kind stand at these places (CRYPTO B2).
    for (place, what) in [(0, "version"), (1, "suite"), (38, "link kind")] {
        let mut bytes = link.0.clone();
        bytes[place] = 9;
        let refused = ann.chain.extend(&SignedLink(bytes));
        let unknown = CeError::Unknown { what, value: 9 };
        assert_eq!(refused, Err(ChainError::Malformed(unknown)));
    }
}

proptest! {
    /// Whatever bytes arrive as a link: an answer, never a panic, and never an accepted link.
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let link = SignedLink(bytes);
        prop_assert!(UserChain::found(&link).is_err());
        if let Ok(decoded) = link.decode_unverified() {
            prop_assert_eq!(decoded.encode(), &link.0[..link.0.len() - 64]);
        }
    }

    /// A link that is read is written again as the same bytes: there is one encoding.
    #[test]
    fn a_link_has_one_encoding(
        (seq, prev, time, signer) in (any::<u32>(), any::<[u8; 32]>(), any::<u64>(), any::<[u8; 16]>()),
        (device, reason) in (any::<[u8; 16]>(), any::<u8>()),
    ) {
        let link = UserLink {
            seq,
            prev: Hash(prev),
            body: LinkBody::RevokeDevice { device: DeviceId(device), reason },
            time: TimeMs(time),
            signer: DeviceId(signer),
        };
        prop_assert_eq!(UserLink::decode(&link.encode()), Ok(link.clone()));
        let mut trailing = link.encode();
        trailing.push(0);
        prop_assert_eq!(UserLink::decode(&trailing), Err(CeError::Trailing(1)));
    }

    /// A device record that is read is written again as the same bytes.
    #[test]
    fn a_device_record_has_one_encoding(
        seed in any::<u64>(), name in "\\PC{0,16}", rv in any::<[u8; 16]>(),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let key = SigningKey::generate(&mut rng);
        let hpke = hpke_key(&mut rng);
        let account = AccountId([5; 32]);
        let record = DeviceRecord::offer(&mut rng, &key, hpke, label(&name), account, rv);
        let back = DeviceRecord::decode(&record.encode()).unwrap();
        prop_assert!(back.verify_offer(account).is_ok());
        prop_assert!(back.verify_offer(AccountId([6; 32])).is_err());
        prop_assert_eq!(back, record);
    }
}
