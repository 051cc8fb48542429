//! Which messages enter a log, which are believed, and when a room must change its key first.

use mathia_protocol::crypto::commit::{AgentScope, HistoryRule, Policy, Role};
use mathia_protocol::crypto::epoch::{EpochSecret, RoomKey, SenderKey};
use mathia_protocol::crypto::hash::sha256;
use mathia_protocol::crypto::message::{
    Flags, Message, MessageContext, MessageDraft, Placement, Plaintext, SealWith, prev_own,
    seal_message,
};
use mathia_protocol::id::{AccountId, Counter, DeviceId, Epoch, Hash, Seq, TimeMs};
use mathia_protocol::limits::{EPOCH_MESSAGES_MAX, IN_FLIGHT_MAX};
use mathia_protocol::log::{
    Arrived, Change, Check, CheckFailure, Checked, Context, Decision, DeviceLane, Incoming,
    LaneEntry, MessageFault, RotateReason, Sender, SenderLane, author_of, check_message,
    must_rotate, needs_agent_key, validate_due, validate_message, validate_scheduled,
};
use mathia_protocol::wire::DropCause;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::town::{Room, Town};

const DAY_MS: u64 = 24 * 3_600_000;

/// Ann owns a group with bob; zoe is outside.
struct Cast {
    town: Town,
    room: Room,
    ann: AccountId,
    bob: AccountId,
    zoe: AccountId,
}

fn cast(policy: Policy) -> Cast {
    let mut town = Town::new();
    let [ann, bob, zoe] = ["ann", "bob", "zoe"].map(|handle| town.person(handle));
    let room = Room::group(&town, policy, &[(bob, Role::Member)], ann);
    Cast { town, room, ann, bob, zoe }
}

fn live(counter: u64, prev_own: [u8; 16]) -> Placement {
    Placement::Live { counter: Counter(counter), prev_own }
}

/// Seals a message on the newest position the room has, with a twist.
fn message_with(
    cast: &Cast,
    device: DeviceId,
    author: AccountId,
    placement: Placement,
    twist: impl FnOnce(&mut MessageDraft),
) -> Vec<u8> {
    let state = &cast.room.state;
    let mut draft = MessageDraft {
        flags: Flags::COUNTABLE,
        epoch: state.epoch().epoch,
        placement,
        seen_seq: cast.room.log.seq(),
        seen_hash: cast.room.log.hash(),
        time: TimeMs(1),
        plaintext: Plaintext { kind: 1, body: b"hello".to_vec() },
        agents: Vec::new(),
    };
    twist(&mut draft);
    let commit_hash = state.epoch_record(draft.epoch).map_or(Hash::ZERO, |epoch| epoch.commit_hash);
    let context = MessageContext { room: state.room(), commit_hash, account: author, device };
    let mut rng = StdRng::seed_from_u64(1);
    let secret = EpochSecret::from_bytes(&[8; 32]);
    let key = SenderKey::derive(&RoomKey::derive(commit_hash, &secret), author, device);
    let with = if draft.epoch == Epoch(0) { SealWith::Open } else { SealWith::SenderKey(&key) };
    seal_message(&mut rng, &context, with, &draft, cast.town.key(device))
        .expect("the draft is valid")
}

fn message(cast: &Cast, author: AccountId, counter: u64, prev_own: [u8; 16]) -> Vec<u8> {
    message_with(cast, cast.town.device(author), author, live(counter, prev_own), |_| {})
}

/// Asks the server about a message from the author's oldest device.
fn decide(cast: &Cast, lane: &DeviceLane, author: AccountId, entry: &[u8]) -> Decision {
    let device = cast.town.device(author);
    decide_from(cast, lane, author, device, entry)
}

fn decide_from(
    cast: &Cast,
    lane: &DeviceLane,
    author: AccountId,
    device: DeviceId,
    entry: &[u8],
) -> Decision {
    let message = Message::decode(entry).expect("the entry is a message");
    let sender = Sender { device, chain: &cast.town.chains[&author], has_key: true };
    let incoming =
        Incoming { header: message.header(), entry_len: entry.len(), entry_hash: sha256(&[entry]) };
    let known = |seq| cast.room.hash_at(seq);
    validate_message(&cast.room.state, lane, &sender, &incoming, cast.room.log.seq(), &known)
}

/// Puts a message into the log and the lane.
fn store(cast: &mut Cast, lane: &mut DeviceLane, counter: u64, entry: &[u8]) -> Seq {
    let entry_hash = sha256(&[entry]);
    let seq = cast.room.extend(entry_hash);
    lane.push(LaneEntry { ctr: Counter(counter), seq, time: TimeMs(seq.0), entry_hash });
    seq
}

/// Lets a receiver check a message that the log holds at `seq`.
fn check_at(
    cast: &Cast,
    lane: SenderLane,
    author: AccountId,
    entry: &[u8],
    seq: Seq,
    context: Context,
) -> Result<Checked, CheckFailure> {
    let arrived = Arrived { entry, author, seq, context, n_gone: 0, is_used: false };
    let known = |seq| cast.room.hash_at(seq);
    check_message(&cast.room.state, &cast.town.chains, lane, &arrived, &known)
}

fn check(cast: &mut Cast, author: AccountId, entry: &[u8]) -> Result<Checked, CheckFailure> {
    let seq = cast.room.extend(sha256(&[entry]));
    check_at(cast, SenderLane::Fresh, author, entry, seq, Context::Live)
}

/// The same, in a copy of the log: the next story begins where this one did.
fn check_aside(cast: &Cast, author: AccountId, entry: &[u8]) -> Result<Checked, CheckFailure> {
    let mut room = cast.room.clone();
    let seq = room.extend(sha256(&[entry]));
    let arrived = Arrived { entry, author, seq, context: Context::Live, n_gone: 0, is_used: false };
    let known = |seq| room.hash_at(seq);
    check_message(&room.state, &cast.town.chains, SenderLane::Fresh, &arrived, &known)
}

fn failed(result: Result<Checked, CheckFailure>) -> Option<Check> {
    result.err().map(|failure| failure.check)
}

#[test]
fn a_message_sent_twice_is_stored_once_whatever_happened_since() {
    let mut cast = cast(Policy::GROUP);
    let (ann, bob) = (cast.ann, cast.bob);
    let mut lane = DeviceLane::default();
    let first = message(&cast, bob, 1, [0; 16]);
    assert_eq!(decide(&cast, &lane, bob, &first), Decision::Accept);
    let seq = store(&mut cast, &mut lane, 1, &first);
    let again = Decision::Repeat { seq, time: TimeMs(seq.0) };
    assert_eq!(decide(&cast, &lane, bob, &first), again);
    cast.room.commit(&cast.town, ann, &Change::Rotate).unwrap();
    assert_eq!(decide(&cast, &lane, bob, &first), again, "the epoch moved on");
    cast.room.commit(&cast.town, ann, &Change::Remove(vec![bob])).unwrap();
    assert_eq!(decide(&cast, &lane, bob, &first), again, "even its author is gone");
}

#[test]
fn one_counter_never_stands_for_two_messages() {
    let mut cast = cast(Policy::GROUP);
    let bob = cast.bob;
    let mut lane = DeviceLane::default();
    let first = message(&cast, bob, 1, [0; 16]);
    store(&mut cast, &mut lane, 1, &first);
    let other = message(&cast, bob, 1, [0; 16]);
    assert_ne!(first, other, "the log was another when it was sealed");
    let conflict = Decision::Refuse(MessageFault::CtrConflict { last: Counter(1) });
    assert_eq!(decide(&cast, &lane, bob, &other), conflict);
}

#[test]
fn a_refusal_refuses_everything_behind_it() {
    let mut cast = cast(Policy::GROUP);
    let bob = cast.bob;
    let mut lane = DeviceLane::default();
    let first = message(&cast, bob, 1, [0; 16]);
    store(&mut cast, &mut lane, 1, &first);
    for counter in [3, 4, 17] {
        let entry = message(&cast, bob, counter, [1; 16]);
        let fault = MessageFault::OutOfOrder { last: Counter(1) };
        assert_eq!(decide(&cast, &lane, bob, &entry), Decision::Refuse(fault));
    }
    let second = message(&cast, bob, 2, prev_own(&first));
    assert_eq!(decide(&cast, &lane, bob, &second), Decision::Accept);
}

#[test]
fn a_lane_remembers_as_many_messages_as_may_be_in_flight() {
    let mut cast = cast(Policy::GROUP);
    let bob = cast.bob;
    let mut lane = DeviceLane::default();
    let entries: Vec<Vec<u8>> =
        (1..=18).map(|counter| message(&cast, bob, counter, [0; 16])).collect();
    for (counter, entry) in (1..).zip(&entries) {
        store(&mut cast, &mut lane, counter, entry);
    }
    assert_eq!(lane.recent().len(), IN_FLIGHT_MAX);
    assert_eq!(DeviceLane::new(lane.recent().copied()), lane);
    let conflict = Decision::Refuse(MessageFault::CtrConflict { last: Counter(18) });
    assert_eq!(decide(&cast, &lane, bob, &entries[1]), conflict, "too old to be told apart");
    assert!(matches!(decide(&cast, &lane, bob, &entries[2]), Decision::Repeat { .. }));
}

#[test]
fn the_server_checks_sender_then_epoch_then_counter_then_the_rest() {
    let mut cast = cast(Policy::GROUP);
    let (ann, bob, zoe) = (cast.ann, cast.bob, cast.zoe);
    let lane = DeviceLane::default();
    let refuse = Decision::Refuse;
    let strange = message(&cast, zoe, 1, [0; 16]);
    assert_eq!(decide(&cast, &lane, zoe, &strange), refuse(MessageFault::NotMember));
    let bobs = cast.town.device(bob);
    let anns = message(&cast, ann, 1, [0; 16]);
    assert_eq!(
        decide_from(&cast, &lane, bob, bobs, &anns),
        refuse(MessageFault::OtherDevice),
        "nobody sends another's message"
    );
    // Wrong in every later way at once: the earliest check names it.
    let everything = |draft: &mut MessageDraft| draft.seen_hash = Hash([1; 32]);
    let worst = message_with(&cast, bobs, bob, live(5, [1; 16]), everything);
    let out_of_order = refuse(MessageFault::OutOfOrder { last: Counter(0) });
    assert_eq!(decide(&cast, &lane, bob, &worst), out_of_order);
    let bad_seen = message_with(&cast, bobs, bob, live(1, [0; 16]), everything);
    assert_eq!(decide(&cast, &lane, bob, &bad_seen), refuse(MessageFault::BadSeen));
    let from_the_future = message_with(&cast, bobs, bob, live(1, [0; 16]), |draft| {
        draft.seen_seq = Seq(99);
    });
    assert_eq!(decide(&cast, &lane, bob, &from_the_future), refuse(MessageFault::BadSeen));
    cast.room.commit(&cast.town, ann, &Change::Rotate).unwrap();
    let stale = refuse(MessageFault::StaleEpoch { epoch: Epoch(2) });
    assert_eq!(decide(&cast, &lane, bob, &worst), stale);
    let phone = cast.town.add_device(bob);
    let revoked = message_with(&cast, phone, bob, live(5, [1; 16]), everything);
    cast.town.revoke(bob, phone);
    let fault = refuse(MessageFault::DeviceRevoked);
    assert_eq!(decide_from(&cast, &lane, bob, phone, &revoked), fault);
}

#[test]
fn clear_text_never_enters_an_end_to_end_room() {
    let sealed = cast(Policy::GROUP);
    let open = cast(Policy::OPEN);
    let bob = sealed.bob;
    let clear = message(&open, bob, 1, [0; 16]);
    let lane = DeviceLane::default();
    assert_eq!(decide(&open, &lane, bob, &clear), Decision::Accept);
    assert_eq!(decide(&sealed, &lane, bob, &clear), Decision::Refuse(MessageFault::Mode));
    assert_eq!(failed(check_aside(&sealed, bob, &clear)), Some(Check::Epoch));
}

#[test]
fn an_agent_that_is_only_mentioned_needs_a_key_of_the_epoch_to_write() {
    let policy = Policy { agent_scope: AgentScope::Mention, ..Policy::GROUP };
    let mut cast = cast(policy);
    let ai = cast.town.agent("mathia");
    cast.room.commit(&cast.town, cast.ann, &Change::AddAgent(ai)).unwrap();
    let chain = &cast.town.chains[&ai];
    assert!(needs_agent_key(&cast.room.state, chain));
    assert!(!needs_agent_key(&cast.room.state, &cast.town.chains[&cast.bob]));
    let entry = message(&cast, ai, 1, [0; 16]);
    let message = Message::decode(&entry).unwrap();
    let incoming = Incoming {
        header: message.header(),
        entry_len: entry.len(),
        entry_hash: sha256(&[&entry]),
    };
    let known = |seq| cast.room.hash_at(seq);
    let decide = |has_key| {
        let sender = Sender { device: cast.town.device(ai), chain, has_key };
        let head = cast.room.log.seq();
        let lane = DeviceLane::default();
        validate_message(&cast.room.state, &lane, &sender, &incoming, head, &known)
    };
    assert_eq!(decide(false), Decision::Refuse(MessageFault::NoAgentKey));
    assert_eq!(decide(true), Decision::Accept);
}

#[test]
fn a_receiver_believes_an_unbroken_lane_of_messages() {
    let mut cast = cast(Policy::GROUP);
    let bob = cast.bob;
    let mut lane = SenderLane::Fresh;
    let mut prev = [0; 16];
    for counter in 1..=3 {
        let entry = message(&cast, bob, counter, prev);
        prev = prev_own(&entry);
        let seq = cast.room.extend(sha256(&[&entry]));
        assert_eq!(
            author_of(&cast.room.state, seq, cast.town.device(bob), &cast.town.chains),
            Some(bob)
        );
        lane = check_at(&cast, lane, bob, &entry, seq, Context::Live).unwrap().lane;
    }
    assert_eq!(lane.last(), Counter(3));
}

#[test]
fn every_failed_check_has_a_name() {
    let mut cast = cast(Policy::GROUP);
    let (ann, bob, zoe) = (cast.ann, cast.bob, cast.zoe);
    let bobs = cast.town.device(bob);
    let good = message(&cast, bob, 1, [0; 16]);
    assert_eq!(failed(check_aside(&cast, bob, &good)), None);
    assert_eq!(failed(check_aside(&cast, bob, &good[..100])), Some(Check::Form));
    let mut flipped = good.clone();
    flipped[140] ^= 1;
    assert_eq!(failed(check_aside(&cast, bob, &flipped)), Some(Check::Signature));
    let strange = message(&cast, zoe, 1, [0; 16]);
    assert_eq!(failed(check_aside(&cast, zoe, &strange)), Some(Check::Member));
    let skipped = message(&cast, bob, 2, [1; 16]);
    assert_eq!(failed(check_aside(&cast, bob, &skipped)), Some(Check::Counter));
    let unlinked = message(&cast, bob, 1, [1; 16]);
    assert_eq!(failed(check_aside(&cast, bob, &unlinked)), Some(Check::PrevOwn));
    let forked = message_with(&cast, bobs, bob, live(1, [0; 16]), |draft| {
        draft.seen_hash = Hash([1; 32]);
    });
    let failure = check_aside(&cast, bob, &forked).unwrap_err();
    assert_eq!(failure.check, Check::Seen);
    assert!(failure.check.means_fork());
    assert_eq!(failure.to_string(), "message 2 failed check 9 (seen position)");
    cast.room.commit(&cast.town, ann, &Change::Rotate).unwrap();
    assert_eq!(failed(check(&mut cast, bob, &good)), Some(Check::Epoch), "sealed in epoch 1");
}

#[test]
fn a_device_unknown_so_far_asks_for_a_newer_chain_first() {
    let mut cast = cast(Policy::GROUP);
    let bob = cast.bob;
    let old_chains = cast.town.chains.clone();
    let phone = cast.town.add_device(bob);
    let entry = message_with(&cast, phone, bob, live(1, [0; 16]), |_| {});
    let new_chains = std::mem::replace(&mut cast.town.chains, old_chains);
    let failure = check_aside(&cast, bob, &entry).unwrap_err();
    assert_eq!((failure.check, failure.needs_chain), (Check::Device, true));
    cast.town.chains = new_chains;
    assert_eq!(failed(check(&mut cast, bob, &entry)), None);
}

#[test]
fn old_messages_of_a_device_revoked_later_stay_valid_until_the_next_commit() {
    let mut cast = cast(Policy::GROUP);
    let (ann, bob) = (cast.ann, cast.bob);
    let phone = cast.town.add_device(bob);
    cast.room.commit(&cast.town, ann, &Change::Rotate).unwrap();
    let entry = message_with(&cast, phone, bob, live(1, [0; 16]), |_| {});
    let seq = cast.room.extend(sha256(&[&entry]));
    cast.town.revoke(bob, phone);
    let fresh = SenderLane::Fresh;
    let live_check = check_at(&cast, fresh, bob, &entry, seq, Context::Live);
    assert_eq!(failed(live_check), Some(Check::Device));
    assert_eq!(failed(check_at(&cast, fresh, bob, &entry, seq, Context::History)), None);
    cast.room.commit(&cast.town, ann, &Change::Rotate).unwrap();
    assert_eq!(failed(check_at(&cast, fresh, bob, &entry, seq, Context::History)), None);
    let late = message_with(&cast, phone, bob, live(1, [0; 16]), |_| {});
    let seq = cast.room.extend(sha256(&[&late]));
    let late = check_at(&cast, fresh, bob, &late, seq, Context::History);
    assert_eq!(failed(late), Some(Check::Device), "the commit has recorded the revocation");
}

#[test]
fn only_a_valid_signature_moves_a_lane() {
    let mut cast = cast(Policy::GROUP);
    let bob = cast.bob;
    let skipped = message(&cast, bob, 3, [1; 16]);
    let failure = check_aside(&cast, bob, &skipped).unwrap_err();
    assert_eq!((failure.check, failure.lane.last()), (Check::Counter, Counter(3)));
    let mut forged = skipped;
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let failure = check(&mut cast, bob, &forged).unwrap_err();
    assert_eq!((failure.check, failure.lane), (Check::Signature, SenderLane::Fresh));
}

#[test]
fn a_replayed_message_fails_its_counter_and_leaves_the_lane_alone() {
    let mut cast = cast(Policy::GROUP);
    let bob = cast.bob;
    let first = message(&cast, bob, 1, [0; 16]);
    let lane = check(&mut cast, bob, &first).unwrap().lane;
    let second = message(&cast, bob, 2, prev_own(&first));
    let seq = cast.room.extend(sha256(&[&second]));
    let lane = check_at(&cast, lane, bob, &second, seq, Context::Live).unwrap().lane;
    let seq = cast.room.extend(sha256(&[&first]));
    let failure = check_at(&cast, lane, bob, &first, seq, Context::Live).unwrap_err();
    assert_eq!((failure.check, failure.lane), (Check::Counter, lane));
}

#[test]
fn counters_may_be_missing_only_where_bodies_were_deleted() {
    let mut cast = cast(Policy::GROUP);
    let bob = cast.bob;
    let at_one = SenderLane::At { ctr: Counter(1), half: [1; 16], n_gone: 0 };
    let fourth = message(&cast, bob, 4, [9; 16]);
    let seq = cast.room.extend(sha256(&[&fourth]));
    let with = |n_gone| {
        let (author, context) = (bob, Context::History);
        let arrived = Arrived { entry: &fourth, author, seq, context, n_gone, is_used: false };
        let known = |seq| cast.room.hash_at(seq);
        check_message(&cast.room.state, &cast.town.chains, at_one, &arrived, &known)
    };
    assert_eq!(failed(with(1)), Some(Check::Counter));
    assert_eq!(failed(with(2)), None);
    let newcomer = check_at(&cast, SenderLane::Unknown, bob, &fourth, seq, Context::History);
    assert_eq!(newcomer.unwrap().lane.last(), Counter(4), "a newcomer starts at the first seen");
}

#[test]
fn a_member_between_two_stays_is_not_believed() {
    let policy = Policy { history: HistoryRule::All, ..Policy::GROUP };
    let mut cast = cast(policy);
    let (ann, bob) = (cast.ann, cast.bob);
    cast.room.commit(&cast.town, bob, &Change::Leave).unwrap();
    let while_gone = message(&cast, bob, 1, [0; 16]);
    assert_eq!(failed(check_aside(&cast, bob, &while_gone)), Some(Check::Member));
    cast.room.commit(&cast.town, ann, &Change::Add(vec![(bob, Role::Member)])).unwrap();
    let back = message(&cast, bob, 1, [0; 16]);
    assert_eq!(failed(check(&mut cast, bob, &back)), None);
}

#[test]
fn a_scheduled_message_may_outlive_its_epoch_but_not_its_authors_membership() {
    let mut cast = cast(Policy::GROUP);
    let (ann, bob, zoe) = (cast.ann, cast.bob, cast.zoe);
    let bobs = cast.town.device(bob);
    let later = Placement::scheduled(&mut StdRng::seed_from_u64(3));
    let entry = message_with(&cast, bobs, bob, later, |_| {});
    let decoded = Message::decode(&entry).unwrap();
    let header = decoded.header();
    let lane = DeviceLane::default();
    let refused = Decision::Refuse(MessageFault::Placement);
    assert_eq!(decide(&cast, &lane, bob, &entry), refused, "it is scheduled, not sent");
    {
        let incoming = Incoming { header, entry_len: entry.len(), entry_hash: sha256(&[&entry]) };
        let known = |seq| cast.room.hash_at(seq);
        let chain = &cast.town.chains[&bob];
        let sender = Sender { device: bobs, chain, has_key: true };
        let head = cast.room.log.seq();
        assert_eq!(validate_scheduled(&cast.room.state, &sender, &incoming, head, &known), Ok(()));
    }
    cast.room.commit(&cast.town, ann, &Change::Add(vec![(zoe, Role::Member)])).unwrap();
    let due = |cast: &Cast, is_used| {
        validate_due(&cast.room.state, &cast.town.chains[&bob], header, is_used)
    };
    assert_eq!(due(&cast, false), Ok(()));
    assert_eq!(due(&cast, true), Err(DropCause::Used));
    let seq = cast.room.extend(sha256(&[&entry]));
    let checked = check_at(&cast, SenderLane::Fresh, bob, &entry, seq, Context::Live).unwrap();
    assert_eq!(checked.lane, SenderLane::Fresh, "it stands outside the counters");
    let (author, context) = (bob, Context::Live);
    let twice = Arrived { entry: &entry, author, seq, context, n_gone: 0, is_used: true };
    let known = |seq| cast.room.hash_at(seq);
    let twice =
        check_message(&cast.room.state, &cast.town.chains, SenderLane::Fresh, &twice, &known);
    assert_eq!(failed(twice), Some(Check::Counter));
    cast.room.commit(&cast.town, ann, &Change::Remove(vec![bob])).unwrap();
    assert_eq!(due(&cast, false), Err(DropCause::NotMember));
    assert_eq!(failed(check(&mut cast, bob, &entry)), Some(Check::Member));
}

#[test]
fn nobody_encrypts_for_a_device_or_a_member_that_is_gone() {
    let policy = Policy { history: HistoryRule::All, ..Policy::GROUP };
    let mut cast = cast(policy);
    let (ann, bob, zoe) = (cast.ann, cast.bob, cast.zoe);
    let ask = |cast: &Cast| must_rotate(&cast.room.state, &cast.town.chains, TimeMs(2_000), 1);
    assert_eq!(ask(&cast), None);
    cast.room.commit(&cast.town, ann, &Change::Add(vec![(zoe, Role::Member)])).unwrap();
    assert_eq!(ask(&cast), None);
    cast.room.commit(&cast.town, zoe, &Change::Leave).unwrap();
    assert_eq!(ask(&cast), Some(RotateReason::MemberGone(zoe)));
    cast.room.commit(&cast.town, bob, &Change::Rotate).unwrap();
    assert_eq!(ask(&cast), None);
    let phone = cast.town.add_device(bob);
    cast.town.revoke(bob, phone);
    assert_eq!(ask(&cast), Some(RotateReason::DeviceRevoked(bob)));
    let promote = Change::SetRole(vec![(bob, Role::Admin)]);
    cast.room.commit(&cast.town, ann, &promote).unwrap();
    let recorded = cast.room.state.member(bob).unwrap().chain_seq;
    assert_eq!(recorded, 3, "the commit refreshed the chain head, yet the secret is the old one");
    assert_eq!(ask(&cast), Some(RotateReason::DeviceRevoked(bob)));
    cast.room.commit(&cast.town, ann, &Change::Rotate).unwrap();
    assert_eq!(ask(&cast), None);
}

#[test]
fn an_old_or_long_epoch_ends_but_a_silent_one_may_rest() {
    let open = cast(Policy::OPEN);
    let cast = cast(Policy::GROUP);
    let ask =
        |now, n_messages| must_rotate(&cast.room.state, &cast.town.chains, TimeMs(now), n_messages);
    let eight_days = 8 * DAY_MS;
    assert_eq!(ask(eight_days, 0), None);
    assert_eq!(ask(eight_days, 1), Some(RotateReason::Age));
    assert_eq!(ask(6 * DAY_MS, 1), None);
    assert_eq!(ask(2_000, EPOCH_MESSAGES_MAX), None);
    assert_eq!(ask(2_000, EPOCH_MESSAGES_MAX + 1), Some(RotateReason::Messages));
    let ask = must_rotate(&open.room.state, &open.town.chains, TimeMs(eight_days), 99);
    assert_eq!(ask, None, "an open room has no key");
}
