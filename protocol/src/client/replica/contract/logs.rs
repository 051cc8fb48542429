//! Rooms and their logs.

use super::{OPS, TEAM, batch, entry, facts, seqs};
use crate::client::record::{
    Batch, DeviceLane, MarkHistograms, RoomFacts, RoomMarks, StoredCommit,
};
use crate::client::replica::{Replica, Write, Written};
use crate::crypto::epoch::{EpochSecret, SenderKey};
use crate::id::{Counter, DeviceId, Epoch, Hash, RoomId, Seq, TimeMs};
use crate::wire::MarkStep;

fn marks() -> RoomMarks {
    RoomMarks {
        announced: Seq(9),
        read_upto: Seq(3),
        delivered_upto: Seq(4),
        n_unread: 2,
        active_at: TimeMs(1_000),
    }
}

fn histograms() -> MarkHistograms {
    let delivered = vec![MarkStep { upto: Seq(9), n_accounts: 2 }];
    MarkHistograms { delivered, read: Vec::new() }
}

pub(in crate::client) fn rooms_keep_what_is_known_piece_by_piece(replica: &Replica) {
    assert!(replica.rooms().unwrap().is_empty());
    replica.put_room(TEAM, &facts("team")).unwrap();
    replica.put_room(OPS, &facts("ops")).unwrap();
    let room = replica.room(TEAM).unwrap().unwrap();
    assert_eq!((room.seq, room.hash), (Seq(0), TEAM.as_hash()));
    assert_eq!((room.facts, room.marks), (facts("team"), RoomMarks::default()));
    let mut renamed = facts("crew");
    renamed.stopped = Some("fork".to_owned());
    renamed.number = None;
    replica.put_room(TEAM, &renamed).unwrap();
    replica.put_marks(TEAM, &marks()).unwrap();
    replica.put_mark_histograms(TEAM, &histograms()).unwrap();
    let room = replica.room(TEAM).unwrap().unwrap();
    assert_eq!((&room.facts, room.marks, &room.histograms), (&renamed, marks(), &histograms()));
    assert_eq!(replica.rooms().unwrap()[0], room);
    assert_eq!(replica.rooms().unwrap().len(), 2);
    assert!(replica.room(RoomId([9; 32])).unwrap().is_none());
}

pub(in crate::client) fn pages_come_in_rising_order_from_either_end(replica: &Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    replica.apply(TEAM, batch((1..=20).map(|seq| entry(seq, "x")).collect())).unwrap();
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

pub(in crate::client) fn writing_an_entry_twice_changes_nothing_and_the_cursor_never_goes_back(
    replica: &Replica,
) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    let device = DeviceId([2; 16]);
    let lane = |last| DeviceLane { last: Counter(last), prev_own: [1; 16] };
    let mut first = batch(vec![entry(1, "one"), entry(2, "two")]);
    first.lanes = vec![(device, lane(2))];
    first.commits = vec![StoredCommit { seq: Seq(1), time: TimeMs(10), entry: b"commit".to_vec() }];
    replica.apply(TEAM, first.clone()).unwrap();
    let mut slower = batch(vec![entry(1, "other")]);
    slower.lanes = vec![(device, lane(1))];
    replica.apply(TEAM, slower).unwrap();
    let room = replica.room(TEAM).unwrap().unwrap();
    assert_eq!((room.seq, room.hash), (Seq(2), Hash([2; 32])));
    assert_eq!(replica.lanes(TEAM).unwrap(), [(device, lane(2))]);
    assert_eq!(replica.entries_after(TEAM, Seq(0), 1).unwrap(), [entry(1, "one")]);
    assert_eq!(replica.commits(TEAM).unwrap(), first.commits);
    // Older pages come without a cursor.
    let older = Batch { entries: vec![entry(3, "late")], ..Batch::default() };
    replica.apply(TEAM, older).unwrap();
    assert_eq!(replica.room(TEAM).unwrap().unwrap().seq, Seq(2));
}

pub(in crate::client) fn a_room_is_loaded_in_one_step(replica: &Replica) {
    assert!(replica.load_room(TEAM).unwrap().is_none());
    let (device, lane) = (DeviceId([2; 16]), DeviceLane { last: Counter(2), prev_own: [1; 16] });
    let mut log = batch(vec![entry(3, "@one"), entry(4, "two"), entry(5, "@three")]);
    log.lanes = vec![(device, lane)];
    log.commits = vec![StoredCommit { seq: Seq(1), time: TimeMs(10), entry: b"commit".to_vec() }];
    let (commits, held_from) = (log.commits.clone(), Seq(3));
    let (secret, key) = (EpochSecret::from_bytes(&[1; 32]), SenderKey::from_bytes(&[2; 32]));
    let written = replica
        .commit(&[
            Write::Facts { room: TEAM, facts: RoomFacts { held_from, ..facts("t") } },
            Write::Marks { room: TEAM, marks: marks() },
            Write::Batch { room: TEAM, batch: log },
            Write::Scheduled { room: TEAM, id: 1 << 63 },
            Write::Scheduled { room: TEAM, id: 7 },
            Write::ExpiredUpto { room: TEAM, upto: Seq(2) },
            Write::EpochSecret { room: TEAM, epoch: Epoch(4), secret },
            Write::AgentKey { room: TEAM, epoch: Epoch(5), key },
        ])
        .unwrap();
    assert_eq!(written.len(), 8);
    let room = replica.load_room(TEAM).unwrap().unwrap();
    assert_eq!(room.record, replica.room(TEAM).unwrap().unwrap());
    assert_eq!((room.record.seq, room.record.hash), (Seq(5), Hash([5; 32])));
    assert_eq!((room.commits, room.lanes), (commits, vec![(device, lane)]));
    assert_eq!(room.own_lane, DeviceLane::default());
    assert_eq!((room.scheduled, room.expired_upto), (vec![7, 1 << 63], Seq(2)));
    let secrets: Vec<_> = room.epoch_secrets.iter().map(|(e, s)| (*e, *s.to_bytes())).collect();
    let keys: Vec<_> = room.agent_keys.iter().map(|(e, key)| (*e, *key.to_bytes())).collect();
    assert_eq!((secrets, keys), (vec![(Epoch(4), [1; 32])], vec![(Epoch(5), [2; 32])]));
    assert_eq!((room.oldest_hash, room.newest_entry), (Some(Hash([3; 32])), Some(Seq(5))));
    assert_eq!(room.mentions, [Seq(5)], "behind the read mark");
}

pub(in crate::client) fn writes_to_a_room_that_is_not_kept_are_skipped(replica: &Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    let writes = |room| {
        let batch = batch(vec![entry(1, "one")]);
        [Write::Batch { room, batch }, Write::Draft { room, text: "two".to_owned() }]
    };
    let written = replica.commit(&writes(TEAM)).unwrap();
    assert_eq!(written, [Written::Shown(Vec::new()), Written::Done]);
    replica.forget_room(TEAM).unwrap();
    assert_eq!(replica.commit(&writes(TEAM)).unwrap(), [Written::Skipped, Written::Skipped]);
    assert!(replica.rooms().unwrap().is_empty());
    assert!(replica.entries_after(TEAM, Seq(0), 9).unwrap().is_empty());
    assert_eq!(replica.draft(TEAM).unwrap(), "");
}
