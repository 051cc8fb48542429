//! What is forgotten leaves nothing: a walk through all tables.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use super::{CANARY, OPS, TEAM, batch, entry, facts, says, sealing};
use crate::client::entry::StoredContent;
use crate::client::event::UnreadableCause;
use crate::client::record::{
    DeviceLane, EntryRecord, MarkHistograms, OwnInvite, RoomMarks, RowState, StoredCommit,
    UnfinishedAnswer,
};
use crate::client::replica::{Replica, Span, Table, Write};
use crate::crypto::content::{Content, Stop};
use crate::crypto::epoch::{EpochSecret, SenderKey};
use crate::crypto::hash::sha256;
use crate::id::{AccountId, DeviceId, Epoch, InviteToken, RoomId, Seq, TimeMs};
use crate::wire::EntryBody;

pub(in crate::client) fn an_expired_entry_leaves_only_its_hash(replica: &Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    replica.apply(TEAM, batch(vec![entry(1, "one")])).unwrap();
    for _ in 0..2 {
        replica.put_content(TEAM, Seq(1), &StoredContent::Expired, false).unwrap();
    }
    let left = &replica.entries_after(TEAM, Seq(0), 1).unwrap()[0];
    assert_eq!(left.body, EntryBody::Gone(sha256(&[b"one"])));
    assert_eq!(left.content, StoredContent::Expired);
}

/// Every row of every table in which these bytes stand.
fn found(replica: &Replica, bytes: &[u8]) -> Vec<Table> {
    let has = |row: &[u8]| row.windows(bytes.len()).any(|window| window == bytes);
    let walk = replica.read(|rows| {
        let mut found = Vec::new();
        for table in Table::ALL {
            let all = rows.scan(*table, &Span::all())?;
            found.extend(all.iter().filter(|(k, v)| has(k) || has(v)).map(|_| *table));
        }
        Ok(found)
    });
    walk.unwrap()
}

/// Writes all there can be of a room, with the entry `last` as its newest.
fn fill(replica: &Replica, room: RoomId, last: Seq) {
    let asked = StoredContent::Unreadable(UnreadableCause::KeyAsked);
    let mut log = batch(vec![
        EntryRecord { content: asked, ..entry(1, "") },
        EntryRecord { seq: last, ..says_stop(1) },
    ]);
    log.lanes = vec![(DeviceId([2; 16]), DeviceLane::default())];
    log.commits = vec![StoredCommit { seq: Seq(1), time: TimeMs(1), entry: b"commit".to_vec() }];
    log.entries[1].is_mention = true;
    let (epoch, text) = (Epoch(1), CANARY.to_owned());
    let answer = UnfinishedAnswer { room, ask: last, n_tries: 1, text: text.clone() };
    let invite = OwnInvite {
        token: InviteToken([room.0[0]; 16]),
        secret: Zeroizing::new([2; 16]),
        rooms: vec![room, RoomId([9; 32])],
        expires: TimeMs(3),
    };
    let writes = [
        Write::Facts { room, facts: facts(CANARY) },
        Write::Marks { room, marks: RoomMarks::default() },
        Write::MarkHistograms { room, histograms: MarkHistograms::default() },
        Write::Batch { room, batch: log },
        Write::ExpiredUpto { room, upto: Seq(1) },
        Write::Shown { room, seqs: vec![last] },
        Write::Scheduled { room, id: 7 },
        Write::EpochSecret { room, epoch, secret: EpochSecret::from_bytes(&[1; 32]) },
        Write::AgentKey { room, epoch, key: SenderKey::from_bytes(&[1; 32]) },
        Write::Draft { room, text },
        Write::UnfinishedAnswer(answer),
        Write::AsksSettledUpto { room, upto: Seq(1) },
        Write::Invite(invite),
    ];
    replica.commit(&writes).unwrap();
    let ids: Vec<u64> =
        (0..4).map(|_| replica.queue(room, &says(CANARY), TimeMs(1)).unwrap()).collect();
    for _ in 0..2 {
        replica.seal_next(room, &mut sealing).unwrap().unwrap();
    }
    let states = [
        RowState::Accepted { seq: last, time: TimeMs(1) },
        RowState::Failed { cause: CANARY.to_owned() },
        RowState::Withdrawn,
    ];
    for (local_id, state) in ids.into_iter().zip(states) {
        assert!(replica.settle(local_id, &state).unwrap());
    }
}

fn says_stop(ask: u64) -> EntryRecord {
    let stop = Content::Stop(Stop { agent: AccountId([9; 32]), ask: Seq(ask) });
    let content = StoredContent::Said(stop);
    EntryRecord { content, ..entry(2, CANARY) }
}

pub(in crate::client) fn nothing_of_a_forgotten_room_is_in_any_table(replica: &Replica) {
    fill(replica, OPS, Seq(2));
    fill(replica, TEAM, Seq(2));
    let tables: BTreeSet<Table> = found(replica, &TEAM.0).into_iter().collect();
    let of_room = Table::ALL.iter().filter(|table| table.is_of_room()).count();
    assert!(tables.len() >= of_room, "the story fills every table of rooms: {tables:?}");
    let others = found(replica, &OPS.0);
    let last = replica.last_outbox_change().unwrap();
    replica.forget_room(TEAM).unwrap();
    assert_eq!(found(replica, &TEAM.0), []);
    assert_eq!(found(replica, &OPS.0), others, "another room loses nothing");
    let next = replica.queue(OPS, &says("next"), TimeMs(1)).unwrap();
    assert_eq!((next, replica.last_outbox_change().unwrap()), (9, last + 1), "none given twice");
    assert!(replica.room(TEAM).unwrap().is_none());
    assert!(replica.entries_after(TEAM, Seq(0), 9).unwrap().is_empty());
    assert!(replica.epochs(TEAM).unwrap().is_empty());
    assert_eq!(replica.own_lane(TEAM).unwrap(), DeviceLane::default());
    assert_eq!(replica.outbox(None).unwrap().len(), 3, "those of the other room");
    assert_eq!(replica.invites().unwrap().len(), 2, "an invite also grants other rooms");
}

pub(in crate::client) fn nothing_of_an_expired_entry_is_in_any_table(replica: &Replica) {
    let seq = Seq(0x0123_4567_89AB);
    fill(replica, TEAM, seq);
    let place = seq.0.to_be_bytes();
    let indexes = [Table::OutboxStates, Table::Relations, Table::Mentions, Table::Shown];
    let before = found(replica, &place);
    for table in indexes.into_iter().chain([Table::Outbox, Table::UnfinishedAnswers]) {
        assert!(before.contains(&table), "{table:?} knows the place");
    }
    replica.put_content(TEAM, seq, &StoredContent::Expired, false).unwrap();
    replica.put_content(TEAM, Seq(1), &StoredContent::Expired, false).unwrap();
    // The hash chain needs the place itself: it is the cursor of the room and the key of the entry.
    assert_eq!(found(replica, &place), [Table::Rooms, Table::Entries]);
    assert!(replica.unreadable(TEAM, UnreadableCause::KeyAsked, 9).unwrap().is_empty());
    let left = replica.entry(TEAM, seq).unwrap().unwrap();
    assert_eq!(left.body, EntryBody::Gone(sha256(&[CANARY.as_bytes()])));
    assert!(!left.is_mention && !left.is_shown);
}
