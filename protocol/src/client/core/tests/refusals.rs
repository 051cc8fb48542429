//! What the server refuses: sealed anew, waited for, or given up, each as its fault says.

use std::time::Duration;

use super::town::{Fate, Town, is_append, is_commit, is_entry};
use crate::client::Command;
use crate::client::event::OutboxState;
use crate::crypto::message::Message;
use crate::id::{Counter, Epoch};
use crate::wire::{Fault, Request};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

#[test]
fn a_refusal_while_others_are_in_the_air_seals_only_what_was_refused() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let mut n = 0;
    town.tamper = Some(Box::new(move |_, request| {
        n += usize::from(is_append(request));
        (is_append(request) && n == 3).then_some(Fate::Refuse(Fault::BadSeen))
    }));
    town.goes_offline(ada);
    let texts: Vec<String> = (0..8).map(|n| n.to_string()).collect();
    for text in &texts {
        town.queues(ada, room, text);
    }
    town.comes_back(ada);
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), texts);
}

#[test]
fn a_message_sealed_under_an_old_key_is_sealed_anew_under_the_new_one() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.filter =
        Some(Box::new(
            move |who, input| {
                if who == ada && is_entry(&input) { Vec::new() } else { vec![input] }
            },
        ));
    town.run(bob, Command::Rotate(room)).unwrap();
    town.filter = None;
    town.says(ada, room, "under which key?");
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), ["under which key?"]);
    assert_eq!(town.server.arrived.len(), 2, "refused once");
    let epochs: Vec<Epoch> = town
        .server
        .arrived
        .iter()
        .map(|entry| Message::decode(entry).unwrap().header().epoch)
        .collect();
    assert_eq!(epochs, [Epoch(1), Epoch(2)]);
}

#[test]
fn a_copy_of_a_device_goes_on_behind_what_the_log_shows() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.says(ada, room, "first");
    let copy = town.devices[ada].identity.duplicate();
    let copy = town.starts(copy, crate::client::Replica::in_memory());
    town.wait(SECOND);
    town.filter =
        Some(Box::new(
            move |who, input| {
                if who == copy && is_entry(&input) { Vec::new() } else { vec![input] }
            },
        ));
    town.says(ada, room, "of the one");
    town.filter = None;
    town.says(copy, room, "of the other");
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), ["first", "of the one", "of the other"]);
    assert_eq!(town.texts(copy, room), ["first", "of the one", "of the other"]);
    let counters: Vec<u64> =
        town.server.arrived.iter().map(|e| Message::decode(e).unwrap().header().ctr()).collect();
    assert_eq!(counters, [1, 2, 2, 3], "refused with a conflict once");
}

#[test]
fn each_refusal_that_sealing_anew_mends_is_mended() {
    let faults = [
        Fault::StaleEpoch { epoch: Epoch(1) },
        Fault::CtrConflict { last: Counter(0) },
        Fault::OutOfOrder { last: Counter(0) },
        Fault::BadSeen,
    ];
    for fault in faults {
        let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
        town.once(is_append, Fate::Refuse(fault.clone()));
        town.says(ada, room, "hello");
        town.wait(SECOND);
        assert_eq!(town.texts(bob, room), ["hello"], "{fault}");
        assert!(town.devices[bob].alarms().is_empty(), "{fault}");
    }
}

#[test]
fn a_server_that_refuses_for_ever_is_asked_ever_more_slowly() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    town.tamper = Some(Box::new(|_, request| {
        is_append(request).then_some(Fate::Refuse(Fault::OutOfOrder { last: Counter(0) }))
    }));
    let local_id = town.queues(ada, room, "hello");
    town.wait(60 * SECOND);
    let n_appends = town.devices[ada].calls.iter().filter(|call| is_append(call)).count();
    assert!((6..50).contains(&n_appends), "{n_appends}");
    town.tamper = None;
    town.accepted(ada, local_id);
}

#[test]
fn a_server_that_asks_for_a_new_key_gets_one_first() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.once(is_append, Fate::Refuse(Fault::NeedRotate));
    town.says(ada, room, "hello");
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), ["hello"]);
    assert_eq!(town.log(room).state.epoch().epoch, Epoch(2));
}

#[test]
fn an_old_key_is_replaced_before_the_next_message() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.says(ada, room, "hello");
    town.wait(8 * DAY);
    assert_eq!(town.log(room).state.epoch().epoch, Epoch(1), "nobody says anything");
    town.says(bob, room, "still there?");
    town.wait(SECOND);
    assert_eq!(town.log(room).state.epoch().epoch, Epoch(2));
    assert_eq!(town.texts(ada, room), ["hello", "still there?"]);
}

#[test]
fn a_rotation_that_is_refused_keeps_what_is_queued_and_says_why() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    town.says(ada, room, "hello");
    town.wait(8 * DAY);
    town.tamper = Some(Box::new(|_, request| {
        is_commit(request).then(|| Fate::Refuse(Fault::Invalid { rule: "no".into() }))
    }));
    let local_id = town.queues(ada, room, "later");
    town.wait(20 * SECOND);
    let blocked: Vec<_> = town.devices[ada]
        .notices()
        .into_iter()
        .filter(|text| text.starts_with("what is queued here has to wait"))
        .map(str::to_owned)
        .collect();
    assert_eq!(blocked.len(), 1, "said once: {blocked:?}");
    town.tamper = None;
    town.accepted(ada, local_id);
}

#[test]
fn a_server_that_asks_to_wait_gets_the_same_bytes_after_the_time() {
    let limited = || Fault::RateLimited { retry_after_ms: 3_000 };
    let busy = || Fault::ServerBusy { retry_after_ms: 3_000 };
    for fault in [limited(), busy()] {
        let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
        town.once(is_append, Fate::Refuse(fault));
        let local_id = town.queues(ada, room, "hello");
        town.wait(Duration::from_millis(2_900));
        assert!(town.server.arrived.is_empty());
        town.accepted(ada, local_id);
        let appends: Vec<&Request> =
            town.devices[ada].calls.iter().filter(|call| is_append(call)).collect();
        assert!(appends.len() == 2 && appends[0] == appends[1], "{appends:?}");
    }
}

#[test]
fn a_damaged_room_keeps_what_is_queued_and_is_asked_again_after_a_minute() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    town.once(is_append, Fate::Refuse(Fault::Damaged));
    let local_id = town.queues(ada, room, "hello");
    town.wait(59 * SECOND);
    assert!(town.server.arrived.is_empty());
    town.accepted(ada, local_id);
}

#[test]
fn what_the_server_refuses_for_good_fails_and_the_rest_moves_up() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.once(is_append, Fate::Refuse(Fault::TooLarge { max: 1 }));
    town.goes_offline(ada);
    let bad = town.queues(ada, room, "bad");
    let good = town.queues(ada, room, "good");
    town.comes_back(ada);
    town.accepted(ada, good);
    let last = town.devices[ada].states(bad).last().cloned();
    assert!(matches!(last, Some(OutboxState::Failed { .. })), "{last:?}");
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), ["good"]);
}

#[test]
fn a_stopping_server_gets_the_message_after_the_next_login() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.once(is_append, Fate::Refuse(Fault::Stopping));
    let local_id = town.queues(ada, room, "hello");
    town.wait(SECOND);
    town.cut(ada);
    town.accepted(ada, local_id);
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), ["hello"]);
}
