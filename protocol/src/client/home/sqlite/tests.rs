//! The contract of [`Replica`], told as stories, and what only the file can show.

use crate::client::PinSource;
use crate::client::SealedMessage;
use crate::client::TrustState;
use crate::crypto::hash::sha256;
use crate::crypto::user_chain::ChainHead;
use crate::id::{Realm, RoomNumber};
use crate::wire::{EntryBody, MarkBucket};
use zeroize::Zeroizing;

use super::*;

const TEAM: RoomId = RoomId([0xAA; 32]);
const OPS: RoomId = RoomId([0xBB; 32]);
const CANARY: &str = "the heron lands at dawn";

fn says(text: &str) -> Content {
    Content::Text(text.to_owned())
}

fn facts(name: &str) -> RoomFacts {
    RoomFacts {
        number: Some(RoomNumber(7)),
        name: name.to_owned(),
        topic: "topic".to_owned(),
        announced: Seq(9),
        read_upto: Seq(3),
        delivered_upto: Seq(4),
        n_unread: 2,
        active_at: TimeMs(1_000),
        delivered: vec![MarkBucket { upto: Seq(9), n_accounts: 2 }],
        ..RoomFacts::unknown()
    }
}

fn entry(seq: u64, text: &str) -> EntryRecord {
    EntryRecord {
        seq: Seq(seq),
        time: TimeMs(seq * 10),
        body: EntryBody::Whole(text.as_bytes().to_vec()),
        hash: Hash([u8::try_from(seq).unwrap(); 32]),
        author: AccountId([1; 32]),
        device: DeviceId([2; 16]),
        content: StoredContent::Said(says(text)),
        is_mention: text.contains('@'),
        is_shown: false,
    }
}

fn batch(entries: Vec<EntryRecord>) -> Batch {
    let cursor = entries.last().map(|last| (last.seq, last.hash));
    Batch { entries, commits: Vec::new(), cursor, lanes: Vec::new() }
}

fn seqs(entries: &[EntryRecord]) -> Vec<u64> {
    entries.iter().map(|entry| entry.seq.0).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "the engine's sealer may decline")]
/// Seals as the engine does: the next counter, and bytes that name it.
fn sealing(lane: &DeviceLane, row: &OutboxRow) -> Option<SealedMessage> {
    let last = lane.last.next();
    let lane = DeviceLane { last, prev_own: [u8::try_from(last.0).unwrap(); 16] };
    Some(SealedMessage {
        entry: format!("{} {}", last.0, row.content.text().unwrap()).into_bytes(),
        lane,
    })
}

fn counters(rows: &[OutboxRow]) -> Vec<u64> {
    rows.iter()
        .filter_map(|row| match row.state {
            RowState::Sent { counter, .. } => Some(counter.0),
            _ => None,
        })
        .collect()
}

fn rooms_keep_their_facts_and_start_at_their_own_hash(replica: &dyn Replica) {
    assert!(replica.rooms().unwrap().is_empty());
    replica.put_room(TEAM, &facts("team")).unwrap();
    replica.put_room(OPS, &facts("ops")).unwrap();
    let room = replica.room(TEAM).unwrap().unwrap();
    assert_eq!((room.seq, room.hash), (Seq(0), TEAM.as_hash()));
    assert_eq!(room.facts, facts("team"));
    let mut renamed = facts("crew");
    renamed.stopped = Some("fork".to_owned());
    renamed.number = None;
    replica.put_room(TEAM, &renamed).unwrap();
    assert_eq!(replica.room(TEAM).unwrap().unwrap().facts, renamed);
    assert_eq!(replica.rooms().unwrap().len(), 2);
    assert!(replica.room(RoomId([9; 32])).unwrap().is_none());
}

fn pages_come_in_rising_order_from_either_end(replica: &dyn Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    replica.apply(TEAM, &batch((1..=20).map(|seq| entry(seq, "x")).collect())).unwrap();
    assert_eq!(seqs(&replica.entries_before(TEAM, Seq(0), 3).unwrap()), [18, 19, 20]);
    assert_eq!(seqs(&replica.entries_before(TEAM, Seq(3), 10).unwrap()), [1, 2]);
    assert_eq!(seqs(&replica.entries_after(TEAM, Seq(17), 2).unwrap()), [18, 19]);
    assert!(replica.entries_after(TEAM, Seq(20), 2).unwrap().is_empty());
    assert!(replica.entries_before(OPS, Seq(0), 3).unwrap().is_empty());
    assert_eq!(replica.entries_after(TEAM, Seq(4), 1).unwrap()[0], entry(5, "x"));
    assert_eq!(replica.hash_at(TEAM, Seq(5)).unwrap(), Some(Hash([5; 32])));
    assert_eq!(replica.hash_at(TEAM, Seq(21)).unwrap(), None);
    assert_eq!(replica.hash_at(TEAM, Seq(0)).unwrap(), Some(TEAM.as_hash()));
    assert_eq!(replica.hash_at(OPS, Seq(0)).unwrap(), None);
}

fn writing_an_entry_twice_changes_nothing_and_the_cursor_never_goes_back(replica: &dyn Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    let device = DeviceId([2; 16]);
    let lane = |last| DeviceLane { last: Counter(last), prev_own: [1; 16] };
    let mut first = batch(vec![entry(1, "one"), entry(2, "two")]);
    first.lanes = vec![(device, lane(2))];
    first.commits = vec![Commitment { seq: Seq(1), time: TimeMs(10), entry: b"commit".to_vec() }];
    replica.apply(TEAM, &first).unwrap();
    let mut slower = batch(vec![entry(1, "other")]);
    slower.lanes = vec![(device, lane(1))];
    replica.apply(TEAM, &slower).unwrap();
    let room = replica.room(TEAM).unwrap().unwrap();
    assert_eq!((room.seq, room.hash), (Seq(2), Hash([2; 32])));
    assert_eq!(replica.lanes(TEAM).unwrap(), [(device, lane(2))]);
    assert_eq!(replica.entries_after(TEAM, Seq(0), 1).unwrap(), [entry(1, "one")]);
    assert_eq!(replica.commits(TEAM).unwrap(), first.commits);
    // Older pages come without a cursor.
    let older = Batch { entries: vec![entry(3, "late")], ..Batch::default() };
    replica.apply(TEAM, &older).unwrap();
    assert_eq!(replica.room(TEAM).unwrap().unwrap().seq, Seq(2));
}

fn what_could_not_be_read_becomes_readable(replica: &dyn Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    let unreadable =
        |seq, cause| EntryRecord { content: StoredContent::Unreadable(cause), ..entry(seq, "") };
    let mut gone = entry(3, "");
    (gone.body, gone.content) = (EntryBody::Gone(Hash([9; 32])), StoredContent::Expired);
    replica
        .apply(
            TEAM,
            &batch(vec![
                unreadable(1, UnreadableCause::KeyAsked),
                unreadable(2, UnreadableCause::BeforeJoin),
                gone.clone(),
                unreadable(4, UnreadableCause::KeyAsked),
            ]),
        )
        .unwrap();
    let asked = |count| replica.unreadable(TEAM, UnreadableCause::KeyAsked, count).unwrap();
    assert_eq!(asked(10), [Seq(1), Seq(4)]);
    assert_eq!(asked(1), [Seq(1)]);
    let text = StoredContent::Said(says("@ann"));
    replica.put_content(TEAM, Seq(1), &text, true).unwrap();
    assert_eq!(asked(10), [Seq(4)]);
    let entries = replica.entries_after(TEAM, Seq(0), 10).unwrap();
    assert_eq!((&entries[0].content, entries[0].is_mention), (&text, true));
    assert_eq!(entries[2], gone);
    assert_eq!(replica.n_mentions(TEAM, Seq(0)).unwrap(), 1);
    assert_eq!(replica.n_mentions(TEAM, Seq(1)).unwrap(), 0);
}

fn an_expired_entry_leaves_only_its_hash(replica: &dyn Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    replica.apply(TEAM, &batch(vec![entry(1, "one")])).unwrap();
    for _ in 0..2 {
        replica.put_content(TEAM, Seq(1), &StoredContent::Expired, false).unwrap();
    }
    let left = &replica.entries_after(TEAM, Seq(0), 1).unwrap()[0];
    assert_eq!(left.body, EntryBody::Gone(sha256(&[b"one"])));
    assert_eq!(left.content, StoredContent::Expired);
}

fn a_text_goes_out_once_and_in_order(replica: &dyn Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    assert!(replica.seal_next(TEAM, &mut sealing).unwrap().is_none());
    let one = replica.queue(TEAM, &says("one"), TimeMs(5)).unwrap();
    let two = replica.queue(TEAM, &says("two"), TimeMs(6)).unwrap();
    replica.queue(OPS, &says("elsewhere"), TimeMs(7)).unwrap();
    assert!(one < two);
    assert!(replica.seal_next(TEAM, &mut |_, _| None).unwrap().is_none(), "declined");
    assert_eq!(replica.own_lane(TEAM).unwrap(), DeviceLane::default());
    let row = replica.seal_next(TEAM, &mut sealing).unwrap().unwrap();
    assert_eq!((row.local_id, row.content.text().unwrap().as_str()), (one, "one"));
    assert_eq!(row.state, RowState::Sent { counter: Counter(1), entry: b"1 one".to_vec() });
    assert_eq!(replica.outbox_row(one).unwrap().unwrap(), row);
    assert_eq!(replica.own_lane(TEAM).unwrap().last, Counter(1));
    replica.seal_next(TEAM, &mut sealing).unwrap().unwrap();
    assert_eq!(replica.row_of(TEAM, Counter(2)).unwrap().unwrap().local_id, two);
    assert_eq!(counters(&replica.outbox(Some(TEAM)).unwrap()), [1, 2]);
    assert_eq!(replica.outbox(None).unwrap().len(), 3);
    let accepted = RowState::Accepted { seq: Seq(4), time: TimeMs(9) };
    assert!(replica.settle(one, &accepted).unwrap());
    assert_eq!(replica.outbox_row(one).unwrap().unwrap().state, accepted);
    assert_eq!(replica.outbox(Some(TEAM)).unwrap().len(), 1);
    assert!(replica.row_of(TEAM, Counter(1)).unwrap().is_none());
    assert!(!replica.settle(one, &RowState::Queued).unwrap(), "what is accepted stays accepted");
}

fn a_new_epoch_seals_all_sent_texts_anew_or_none(replica: &dyn Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    for text in ["one", "two", "three"] {
        replica.queue(TEAM, &says(text), TimeMs(5)).unwrap();
    }
    for _ in 0..2 {
        replica.seal_next(TEAM, &mut sealing).unwrap().unwrap();
    }
    let from = DeviceLane { last: Counter(7), prev_own: [7; 16] };
    let mut n_calls = 0;
    let before = replica.outbox(Some(TEAM)).unwrap();
    let declined = replica.reseal(TEAM, &from, &mut |lane, row| {
        n_calls += 1;
        if n_calls == 2 { None } else { sealing(lane, row) }
    });
    assert!(declined.unwrap().is_empty());
    assert_eq!(replica.outbox(Some(TEAM)).unwrap(), before);
    let rows = replica.reseal(TEAM, &from, &mut sealing).unwrap();
    assert_eq!(counters(&rows), [8, 9]);
    assert_eq!(replica.own_lane(TEAM).unwrap().last, Counter(9));
    assert_eq!(replica.outbox(Some(TEAM)).unwrap()[2].state, RowState::Queued);
}

fn only_what_was_never_sealed_can_be_taken_back(replica: &dyn Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    let sent = replica.queue(TEAM, &says("one"), TimeMs(5)).unwrap();
    replica.seal_next(TEAM, &mut sealing).unwrap().unwrap();
    let queued = replica.queue(TEAM, &says("two"), TimeMs(5)).unwrap();
    assert!(!replica.settle(sent, &RowState::Withdrawn).unwrap());
    assert!(replica.settle(queued, &RowState::Withdrawn).unwrap());
    assert_eq!(replica.outbox_row(queued).unwrap().unwrap().state, RowState::Withdrawn);
    assert!(!replica.settle(999, &RowState::Withdrawn).unwrap());
    let failed = RowState::Failed { cause: "too large".to_owned() };
    assert!(replica.settle(sent, &failed).unwrap());
    assert_eq!(replica.outbox_row(sent).unwrap().unwrap().state, failed);
    assert!(replica.settle(sent, &RowState::Queued).unwrap(), "a person may try again");
}

fn epoch_secrets_stay_as_they_were_first_proven_until_wiped(replica: &dyn Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    let secret = |byte| EpochSecret::from_bytes(&[byte; 32]);
    replica.put_epoch_secret(TEAM, Epoch(2), &secret(2)).unwrap();
    replica.put_epoch_secret(TEAM, Epoch(1), &secret(1)).unwrap();
    replica.put_epoch_secret(TEAM, Epoch(1), &secret(9)).unwrap();
    assert_eq!(replica.epochs(TEAM).unwrap(), [Epoch(1), Epoch(2)]);
    let kept = replica.epoch_secret(TEAM, Epoch(1)).unwrap().unwrap();
    assert_eq!(*kept.to_bytes(), [1; 32]);
    replica.wipe_epoch_secret(TEAM, Epoch(1)).unwrap();
    assert!(replica.epoch_secret(TEAM, Epoch(1)).unwrap().is_none());
    assert!(replica.epoch_secret(OPS, Epoch(2)).unwrap().is_none());
}

fn people_and_their_chains_are_kept(replica: &dyn Replica) {
    let ann = AccountId([1; 32]);
    assert!(replica.chain_links(ann).unwrap().is_empty());
    replica.put_chain_links(ann, 1, &[b"genesis".to_vec(), b"add".to_vec()]).unwrap();
    replica.put_chain_links(ann, 2, &[b"other".to_vec(), b"revoke".to_vec()]).unwrap();
    let links = replica.chain_links(ann).unwrap();
    assert_eq!(links, [b"genesis".to_vec(), b"add".to_vec(), b"revoke".to_vec()]);
    replica.put_chain_links(ann, 5, &[b"behind a hole".to_vec()]).unwrap();
    assert_eq!(replica.chain_links(ann).unwrap(), links);
    assert_eq!(replica.chain_accounts().unwrap(), [ann]);
    let mut contact = Contact {
        handle: "ann".to_owned(),
        account: ann,
        seen: ChainHead { seq: 3, hash: Hash([3; 32]) },
        trust: TrustState::Verified,
        changed_to: None,
        refreshed: TimeMs(5),
    };
    replica.put_contact(&contact).unwrap();
    contact.trust = TrustState::Changed;
    contact.changed_to = Some(AccountId([2; 32]));
    replica.put_contact(&contact).unwrap();
    assert_eq!(replica.contacts().unwrap(), [contact]);
    assert!(replica.server().unwrap().is_none());
    let server = ServerRecord {
        address: "chat.example.org:4433".to_owned(),
        realm: Realm([4; 16]),
        pin: Hash([5; 32]),
        next_pin: Some(Hash([6; 32])),
        source: PinSource::Announced,
        first_seen: TimeMs(7),
    };
    replica.put_server(&server).unwrap();
    assert_eq!(replica.server().unwrap(), Some(server));
}

fn small_things_are_kept(replica: &dyn Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    assert_eq!(replica.draft(TEAM).unwrap(), "");
    replica.put_draft(TEAM, "half a thou").unwrap();
    assert_eq!(replica.draft(TEAM).unwrap(), "half a thou");
    replica.put_draft(TEAM, "").unwrap();
    assert_eq!(replica.draft(TEAM).unwrap(), "");
    let invite = OwnInvite {
        token: InviteToken([1; 16]),
        secret: Zeroizing::new([2; 16]),
        rooms: vec![TEAM, OPS],
        expires: TimeMs(3),
    };
    replica.put_invite(&invite).unwrap();
    assert_eq!(replica.invites().unwrap(), std::slice::from_ref(&invite));
    replica.forget_invite(invite.token).unwrap();
    assert!(replica.invites().unwrap().is_empty());
    assert_eq!(replica.setting("a").unwrap(), None);
    replica.put_setting("a", b"1").unwrap();
    replica.put_setting("a", b"2").unwrap();
    assert_eq!(replica.setting("a").unwrap().as_deref(), Some(&b"2"[..]));
}

fn a_forgotten_room_leaves_nothing(replica: &dyn Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    replica.apply(TEAM, &batch(vec![entry(1, "one")])).unwrap();
    replica.put_epoch_secret(TEAM, Epoch(1), &EpochSecret::from_bytes(&[1; 32])).unwrap();
    let queued = replica.queue(TEAM, &says("two"), TimeMs(1)).unwrap();
    replica.seal_next(TEAM, &mut sealing).unwrap();
    replica.put_draft(TEAM, "three").unwrap();
    replica.forget_room(TEAM).unwrap();
    assert!(replica.room(TEAM).unwrap().is_none());
    assert!(replica.entries_after(TEAM, Seq(0), 9).unwrap().is_empty());
    assert!(replica.epochs(TEAM).unwrap().is_empty());
    assert!(replica.outbox_row(queued).unwrap().is_none());
    assert_eq!(replica.own_lane(TEAM).unwrap(), DeviceLane::default());
    assert_eq!(replica.draft(TEAM).unwrap(), "");
}

fn one_process_drains_at_a_time(replica: &dyn Replica) {
    let guard = replica.try_lock_drain().unwrap();
    assert!(guard.is_some());
    assert!(replica.try_lock_drain().unwrap().is_none());
    drop(guard);
    assert!(replica.try_lock_drain().unwrap().is_some());
}

fn every_change_moves_the_stamp(replica: &dyn Replica) {
    let before = replica.change_stamp().unwrap();
    assert_eq!(replica.change_stamp().unwrap(), before);
    replica.put_room(TEAM, &facts("team")).unwrap();
    let after = replica.change_stamp().unwrap();
    assert_ne!(after, before);
    replica.queue(TEAM, &says("one"), TimeMs(1)).unwrap();
    assert_ne!(replica.change_stamp().unwrap(), after);
}

macro_rules! contract {
    ($($story:ident)+) => {
        mod sqlite {
            $(
                #[test]
                fn $story() {
                    let file = super::File::new();
                    super::$story(&file.open());
                }
            )+
        }

        mod memory {
            $(
                #[test]
                fn $story() {
                    super::$story(&crate::client::MemoryReplica::new());
                }
            )+
        }
    };
}

contract! {
    rooms_keep_their_facts_and_start_at_their_own_hash
    pages_come_in_rising_order_from_either_end
    writing_an_entry_twice_changes_nothing_and_the_cursor_never_goes_back
    what_could_not_be_read_becomes_readable
    an_expired_entry_leaves_only_its_hash
    a_text_goes_out_once_and_in_order
    a_new_epoch_seals_all_sent_texts_anew_or_none
    only_what_was_never_sealed_can_be_taken_back
    epoch_secrets_stay_as_they_were_first_proven_until_wiped
    people_and_their_chains_are_kept
    small_things_are_kept
    a_forgotten_room_leaves_nothing
    one_process_drains_at_a_time
    every_change_moves_the_stamp
}

/// A replica file of its own.
struct File(tempfile::TempDir);

impl File {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn try_open(&self, key: u8) -> Stored<SqliteReplica> {
        let dir = self.0.path().join("data");
        SqliteReplica::open(&dir.join("store.sqlite"), &dir.join("drain.lock"), &[key; 32])
    }

    fn open(&self) -> SqliteReplica {
        self.try_open(7).unwrap()
    }
}

#[test]
fn everything_is_there_after_a_restart_and_opens_only_with_its_key() {
    let file = File::new();
    {
        let replica = file.open();
        replica.put_room(TEAM, &facts("team")).unwrap();
        replica.queue(TEAM, &says("later"), TimeMs(1)).unwrap();
    }
    let replica = file.open();
    assert_eq!(replica.room(TEAM).unwrap().unwrap().facts.name, "team");
    assert_eq!(replica.outbox(None).unwrap()[0].content.text().unwrap(), "later");
    assert_eq!(replica.check().unwrap(), None);
    drop(replica);
    assert!(matches!(file.try_open(8), Err(StorageError::Broken(_))));
}

#[test]
fn no_text_name_or_secret_lies_in_clear_in_the_files() {
    let file = File::new();
    let replica = file.open();
    let mut room = facts(CANARY);
    (room.topic, room.stopped) = (CANARY.to_owned(), Some(CANARY.to_owned()));
    replica.put_room(TEAM, &room).unwrap();
    let mut open_room = batch(vec![entry(1, CANARY)]);
    open_room.commits =
        vec![Commitment { seq: Seq(2), time: TimeMs(1), entry: CANARY.as_bytes().to_vec() }];
    replica.apply(TEAM, &open_room).unwrap();
    let rejected = StoredContent::Rejected { check: CANARY.to_owned() };
    replica.put_content(TEAM, Seq(1), &rejected, false).unwrap();
    replica.queue(TEAM, &says(CANARY), TimeMs(1)).unwrap();
    let sent = replica.seal_next(TEAM, &mut sealing).unwrap().unwrap();
    replica.settle(sent.local_id, &RowState::Failed { cause: CANARY.to_owned() }).unwrap();
    replica.put_draft(TEAM, CANARY).unwrap();
    replica.put_setting("x", CANARY.as_bytes()).unwrap();
    replica.put_chain_links(AccountId([1; 32]), 1, &[CANARY.as_bytes().to_vec()]).unwrap();
    let secret: [u8; 32] = *b"0123456789canary0123456789canary";
    replica.put_epoch_secret(TEAM, Epoch(1), &EpochSecret::from_bytes(&secret)).unwrap();
    replica
        .put_contact(&Contact {
            handle: "heron-lands".to_owned(),
            account: AccountId([1; 32]),
            seen: ChainHead { seq: 1, hash: Hash([1; 32]) },
            trust: TrustState::Unverified,
            changed_to: None,
            refreshed: TimeMs(0),
        })
        .unwrap();
    let mut n_files = 0;
    for path in std::fs::read_dir(file.0.path().join("data")).unwrap() {
        let bytes = std::fs::read(path.unwrap().path()).unwrap();
        n_files += usize::from(!bytes.is_empty());
        for word in ["the heron lands", "heron-lands", "canary"] {
            let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found, "{word}");
        }
    }
    assert!(n_files >= 2, "database and its log");
}

#[cfg(unix)]
#[test]
fn the_files_belong_to_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let file = File::new();
    let replica = file.open();
    replica.put_room(TEAM, &facts("team")).unwrap();
    drop(replica.try_lock_drain().unwrap());
    let dir = file.0.path().join("data");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for path in std::fs::read_dir(&dir).unwrap() {
        assert_eq!(mode(&path.unwrap().path()), 0o600);
    }
}

#[test]
fn two_processes_take_counters_without_a_hole_or_a_double() {
    let file = File::new();
    let (left, right) = (file.open(), file.open());
    left.put_room(TEAM, &facts("team")).unwrap();
    let stamp = right.change_stamp().unwrap();
    for n in 0..20 {
        left.queue(TEAM, &says(&format!("{n}")), TimeMs(n)).unwrap();
    }
    assert_ne!(right.change_stamp().unwrap(), stamp, "the other one's change is seen");
    let both = std::thread::scope(|scope| {
        let run = |replica: SqliteReplica| {
            let mut taken = Vec::new();
            while let Some(row) = replica.seal_next(TEAM, &mut sealing).unwrap() {
                taken.push(row);
            }
            counters(&taken)
        };
        let (left, right) = (scope.spawn(move || run(left)), scope.spawn(move || run(right)));
        [left.join().unwrap(), right.join().unwrap()].concat()
    });
    let mut sorted = both.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=20).collect::<Vec<_>>());
}

#[test]
fn a_crash_while_sealing_takes_no_counter() {
    let file = File::new();
    let replica = file.open();
    replica.put_room(TEAM, &facts("team")).unwrap();
    replica.queue(TEAM, &says("one"), TimeMs(1)).unwrap();
    let crash = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        replica.seal_next(TEAM, &mut |_, _| panic!("the power goes"))
    }));
    assert!(crash.is_err());
    assert_eq!(replica.own_lane(TEAM).unwrap(), DeviceLane::default());
    assert_eq!(replica.outbox(None).unwrap()[0].state, RowState::Queued);
}

#[test]
fn a_file_of_a_newer_client_is_left_alone() {
    let file = File::new();
    drop(file.open());
    let store = file.0.path().join("data/store.sqlite");
    let conn = Connection::open(&store).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    let refused = file.try_open(7).unwrap_err().to_string();
    assert!(refused.contains("layout 99"), "{refused}");
}

#[test]
fn a_file_that_is_no_database_is_called_broken() {
    let file = File::new();
    let dir = file.0.path().join("data");
    make_private_dir(&dir).unwrap();
    std::fs::write(dir.join("store.sqlite"), "x".repeat(5_000)).unwrap();
    assert!(matches!(file.try_open(7), Err(StorageError::Broken(_))));
}

#[test]
fn a_full_disk_is_called_full_and_what_was_there_is_still_read() {
    let file = File::new();
    let replica = file.open();
    replica.put_room(TEAM, &facts("team")).unwrap();
    {
        let conn = lock(&replica.writer);
        let n_pages: i64 = conn.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        conn.pragma_update(None, "max_page_count", n_pages).unwrap();
    }
    let long = Content::Unknown { kind: 200, body: vec![b'x'; 30_000] };
    assert!(matches!(replica.queue(TEAM, &long, TimeMs(1)), Err(StorageError::Full)));
    assert_eq!(replica.room(TEAM).unwrap().unwrap().facts.name, "team");
    assert!(replica.outbox(None).unwrap().is_empty());
    lock(&replica.writer).pragma_update(None, "max_page_count", 1_000_000).unwrap();
    assert!(replica.queue(TEAM, &long, TimeMs(1)).is_ok(), "space came back");
}
