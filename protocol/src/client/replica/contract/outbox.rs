//! Messages on their way out.

use super::{OPS, TEAM, counters, facts, says, sealing};
use crate::client::record::{DeviceLane, RowState};
use crate::client::replica::{Replica, Write};
use crate::id::{Counter, Seq, TimeMs};

pub(in crate::client) fn a_text_goes_out_once_and_in_order(replica: &Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    assert!(replica.seal_next(TEAM, &mut sealing).unwrap().is_none());
    let one = replica.queue(TEAM, &says("one"), TimeMs(5)).unwrap();
    let two = replica.queue(TEAM, &says("two"), TimeMs(6)).unwrap();
    replica.queue(OPS, &says("elsewhere"), TimeMs(7)).unwrap();
    assert!(one < two);
    assert_eq!(replica.rooms_to_send().unwrap(), [TEAM, OPS]);
    assert!(replica.has_queued(TEAM).unwrap());
    assert!(replica.seal_next(TEAM, &mut |_, _| None).unwrap().is_none(), "declined");
    assert_eq!(replica.own_lane(TEAM).unwrap(), DeviceLane::default());
    let row = replica.seal_next(TEAM, &mut sealing).unwrap().unwrap();
    assert_eq!((row.local_id, row.content.text().unwrap().as_ref()), (one, "one"));
    assert_eq!(row.state, RowState::Sent { counter: Counter(1), entry: b"1 one".to_vec() });
    assert_eq!(replica.outbox_row(one).unwrap().unwrap(), row);
    assert_eq!(replica.own_lane(TEAM).unwrap().last, Counter(1));
    replica.seal_next(TEAM, &mut sealing).unwrap().unwrap();
    assert_eq!(replica.row_of(TEAM, Counter(2)).unwrap().unwrap().local_id, two);
    assert_eq!(counters(&replica.outbox(Some(TEAM)).unwrap()), [1, 2]);
    assert_eq!(counters(&replica.sent_rows(TEAM).unwrap()), [1, 2]);
    assert!(!replica.has_queued(TEAM).unwrap());
    assert_eq!(replica.rooms_to_send().unwrap(), [TEAM, OPS], "what is sent may be lost");
    assert_eq!(replica.outbox(None).unwrap().len(), 3);
    let accepted = RowState::Accepted { seq: Seq(4), time: TimeMs(9) };
    assert!(replica.settle(one, &accepted).unwrap());
    assert_eq!(replica.outbox_row(one).unwrap().unwrap().state, accepted);
    assert_eq!(replica.outbox(Some(TEAM)).unwrap().len(), 1);
    assert!(replica.row_of(TEAM, Counter(1)).unwrap().is_none());
    assert!(!replica.settle(one, &RowState::Queued).unwrap(), "what is accepted stays accepted");
}

pub(in crate::client) fn a_new_epoch_seals_all_sent_texts_anew_or_none(replica: &Replica) {
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

pub(in crate::client) fn what_fails_frees_its_counter_when_the_rest_is_sealed_anew(
    replica: &Replica,
) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    for text in ["one", "two", "three"] {
        replica.queue(TEAM, &says(text), TimeMs(5)).unwrap();
    }
    while replica.seal_next(TEAM, &mut sealing).unwrap().is_some() {}
    assert!(replica.settle(2, &RowState::Failed { cause: "no".to_owned() }).unwrap());
    assert!(replica.settle(1, &RowState::Accepted { seq: Seq(5), time: TimeMs(1) }).unwrap());
    let lane = DeviceLane { last: Counter(1), prev_own: [0; 16] };
    let rows = replica.reseal(TEAM, &lane, &mut sealing).unwrap();
    assert_eq!((counters(&rows), rows[0].content.text().unwrap().as_ref()), (vec![2], "three"));
    assert_eq!(replica.own_lane(TEAM).unwrap().last, Counter(2));
    let kept: Vec<u64> = replica.outbox(None).unwrap().iter().map(|row| row.local_id).collect();
    assert_eq!(kept, [2, 3], "a failed text is kept");
}

pub(in crate::client) fn only_what_was_never_sealed_can_be_taken_back(replica: &Replica) {
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

pub(in crate::client) fn one_process_drains_at_a_time(replica: &Replica) {
    let guard = replica.try_lock_drain().unwrap();
    assert!(guard.is_some());
    assert!(replica.try_lock_drain().unwrap().is_none());
    drop(guard);
    assert!(replica.try_lock_drain().unwrap().is_some());
}

pub(in crate::client) fn every_change_moves_the_stamp(replica: &Replica) {
    let before = replica.change_stamp().unwrap();
    assert_eq!(replica.change_stamp().unwrap(), before);
    replica.put_room(TEAM, &facts("team")).unwrap();
    let after = replica.change_stamp().unwrap();
    assert_ne!(after, before);
    replica.queue(TEAM, &says("one"), TimeMs(1)).unwrap();
    assert_ne!(replica.change_stamp().unwrap(), after);
}

pub(in crate::client) fn what_changed_is_read_without_the_rest(replica: &Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    assert_eq!(replica.outbox_changes(0).unwrap(), (Vec::new(), 0));
    let one = replica.queue(TEAM, &says("one"), TimeMs(1)).unwrap();
    let two = replica.queue(TEAM, &says("two"), TimeMs(2)).unwrap();
    let (rows, upto) = replica.outbox_changes(0).unwrap();
    assert_eq!(rows.iter().map(|row| row.local_id).collect::<Vec<_>>(), [one, two]);
    assert_eq!(upto, replica.last_outbox_change().unwrap());
    assert_eq!(replica.outbox_changes(upto).unwrap(), (Vec::new(), upto));
    // Another process of this device sends, and the first text is accepted.
    let other = replica.clone();
    other.seal_next(TEAM, &mut sealing).unwrap().unwrap();
    let accepted = RowState::Accepted { seq: Seq(4), time: TimeMs(9) };
    assert!(other.settle(one, &accepted).unwrap());
    let (rows, upto) = replica.outbox_changes(upto).unwrap();
    assert_eq!(rows.len(), 1, "only its last state");
    assert_eq!((rows[0].local_id, &rows[0].state), (one, &accepted));
    let (all, upto) = (replica.outbox_changes(0).unwrap(), upto);
    assert_eq!(all.0.iter().map(|row| row.local_id).collect::<Vec<_>>(), [two, one]);
    assert_eq!(all.1, upto);
}

pub(in crate::client) fn settled_rows_are_forgotten_after_the_next_thousand(replica: &Replica) {
    let text = |n| Write::Queue { room: TEAM, content: says("x"), queued_at: TimeMs(n) };
    replica.put_room(TEAM, &facts("team")).unwrap();
    replica.commit(&(0..1_100).map(text).collect::<Vec<_>>()).unwrap();
    let (first, upto) = replica.outbox_changes(0).unwrap();
    let (rest, upto) = replica.outbox_changes(upto).unwrap();
    assert_eq!((first.len(), rest.len()), (1_000, 100), "page by page");
    assert!(replica.outbox_changes(upto).unwrap().0.is_empty());
    let withdrawn = |local_id| Write::Settle { local_id, state: RowState::Withdrawn };
    replica.commit(&(1..=1_100).map(withdrawn).collect::<Vec<_>>()).unwrap();
    assert!(replica.outbox_row(1).unwrap().is_none());
    assert_eq!(replica.outbox_row(1_100).unwrap().unwrap().state, RowState::Withdrawn);
    assert!(replica.outbox(None).unwrap().is_empty());
    assert!(replica.rooms_to_send().unwrap().is_empty());
    let n_kept = replica.outbox_changes(0).unwrap().0.len();
    assert_eq!(n_kept, 1_000);
    assert_eq!(replica.queue(TEAM, &says("x"), TimeMs(1)).unwrap(), 1_101, "never given twice");
}
