//! Disks that fail: nothing is skipped, nothing is said twice, and what can go on goes on.

use std::time::Duration;

use super::town::Town;
use crate::client::event::AlarmCause;
use crate::client::{Command, CommandError, Done, NewRoom};
use crate::id::Seq;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_entry_that_cannot_be_stored_is_read_again_and_nothing_is_skipped() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.wait(SECOND);
    town.says(ada, room, "one");
    town.wait(SECOND);
    for n_failing in [1, 2, 5, 9] {
        town.devices[bob].disk.n_failing_writes = n_failing;
        town.says(ada, room, "two");
        town.says(ada, room, "three");
        town.wait(SECOND);
        town.says(ada, room, "four");
        town.wait(40 * SECOND);
        town.assert_whole(bob, room);
        assert!(town.devices[bob].is_caught_up());
    }
    let mut seqs: Vec<Seq> = town.devices[bob].entries(room).map(|entry| entry.seq).collect();
    assert!(seqs.is_sorted());
    seqs.dedup();
    assert_eq!(seqs.len(), town.log(room).entries.len());
    assert!(town.devices[bob].notices().iter().any(|text| text.contains("cannot store")));
    town.says(bob, room, "I can speak");
    assert!(town.devices[bob].alarms().is_empty());
}

#[test]
fn while_a_room_waits_to_be_loaded_anew_it_is_not_sent_to() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.wait(SECOND);
    // What the settling of marks writes may fail as well.
    town.devices[bob].disk.n_failing_writes = 1;
    town.says(ada, room, "one");
    let local_id = town.queues(bob, room, "two");
    town.wait(SECOND);
    assert!(town.server.arrived.len() == 1);
    town.devices[bob].disk.n_failing_reads = 1;
    town.accepted(bob, local_id);
    town.wait(SECOND);
    assert_eq!(town.texts(ada, room), ["one", "two"]);
    town.assert_whole(bob, room);
}

#[test]
fn a_session_lost_while_a_room_waits_to_be_loaded_changes_nothing() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.wait(SECOND);
    town.devices[bob].disk.n_failing_writes = 1;
    town.says(ada, room, "one");
    town.settle();
    town.goes_offline(bob);
    town.wait(10 * SECOND);
    town.comes_back(bob);
    town.wait(SECOND);
    town.assert_whole(bob, room);
    assert_eq!(town.texts(bob, room), ["one"]);
}

#[test]
fn a_room_whose_entering_cannot_be_stored_is_entered_after_the_next_login() {
    let (mut town, [ada, bob]) = Town::with(["ada", "bob"]);
    for n_failing in [1, 2, 3, 4] {
        town.devices[bob].disk.n_failing_writes = n_failing;
        let room = town.makes_room(ada, &[bob]);
        town.devices[bob].disk.n_failing_writes = 0;
        town.cut(bob);
        town.wait(10 * SECOND);
        town.says(ada, room, "are you there?");
        town.wait(SECOND);
        assert_eq!(town.texts(bob, room), ["are you there?"], "{n_failing}");
        town.assert_whole(bob, room);
        town.says(bob, room, "yes");
    }
}

#[test]
fn commands_say_that_the_disk_failed() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    let local_id = town.queues(ada, room, "x");
    town.wait(SECOND);
    let invite = Command::Invite { rooms: vec![room], uses: 1, lifetime: SECOND };
    for command in [Command::Withdraw { local_id }, invite] {
        town.devices[ada].disk.n_failing_writes = 1;
        let failed = town.run(ada, command);
        assert!(matches!(failed, Err(CommandError::Storage(_))), "{failed:?}");
    }
    for command in [
        Command::Timeline { room, before: Seq(0), count: 5 },
        Command::Answers { room: None },
        Command::Invites,
    ] {
        town.devices[ada].disk.n_failing_reads = 1;
        let failed = town.run(ada, command);
        assert!(matches!(failed, Err(CommandError::Storage(_))), "{failed:?}");
    }
}

#[test]
fn older_pages_that_cannot_be_stored_are_asked_for_again() {
    let (mut town, [ada, bob]) = Town::with(["ada", "bob"]);
    let shared = NewRoom { shares_history: true, ..town.new_room(&[bob]) };
    let room = town.makes(ada, shared);
    town.says(ada, room, "old");
    let cleo = town.joins("cleo");
    let people = town.people(&[cleo]);
    town.run(ada, Command::Add { room, people }).unwrap();
    town.wait(SECOND);
    town.devices[cleo].disk.n_failing_writes = 1;
    let command = Command::Timeline { room, before: Seq(0), count: 50 };
    let done = town.run(cleo, command);
    assert!(matches!(done, Ok(Done::Timeline { .. })), "{done:?}");
    town.wait(5 * SECOND);
    assert_eq!(town.texts(cleo, room), ["old"]);
    town.assert_whole(cleo, room);
}

#[test]
fn a_disk_that_is_slow_holds_nothing_up_but_what_must_be_stored_first() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.devices[ada].disk.is_slow = true;
    let id = town.begin(ada, Command::Send { room, text: "hello".into(), tag: None });
    town.wait(5 * SECOND);
    assert!(town.answer(ada, id).is_none() && town.server.arrived.is_empty());
    town.says(bob, room, "meanwhile");
    town.devices[ada].disk.is_slow = false;
    town.wait(SECOND);
    assert!(matches!(town.answer(ada, id), Some(Ok(Done::Queued { .. }))));
    assert_eq!(town.texts(ada, room), ["meanwhile", "hello"]);
}

#[test]
fn forgetting_what_is_old_goes_on_where_the_disk_failed() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    let days = Command::Set { room, key: "retention_days".into(), value: "1".into() };
    town.run(ada, days).unwrap();
    town.says(ada, room, "old");
    town.wait(Duration::from_hours(23));
    town.devices[ada].disk.n_failing_reads = 1;
    town.wait(Duration::from_hours(2));
    assert!(town.texts(ada, room).is_empty());
}

#[test]
fn a_crash_in_any_moment_leaves_a_device_that_can_go_on() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    for n in 0..20 {
        town.queues(bob, room, &format!("bob {n}"));
        town.queues(ada, room, &format!("ada {n}"));
        // Some of what is on its way has arrived, and some has not.
        for _ in 0..n {
            town.step(ada);
            town.step(bob);
        }
        town.restart(ada);
    }
    town.wait(60 * SECOND);
    for who in [ada, bob] {
        town.assert_whole(who, room);
        let texts = town.texts(who, room);
        for (name, other) in [("ada", ada), ("bob", bob)] {
            let own: Vec<_> = texts.iter().filter(|text| text.starts_with(name)).collect();
            let expected: Vec<String> = (0..20).map(|n| format!("{name} {n}")).collect();
            assert!(own.iter().copied().eq(&expected), "{other}: {own:?}");
        }
        assert!(town.devices[who].alarms().is_empty());
    }
}

#[test]
fn a_log_that_has_shrunk_is_noticed_also_if_the_room_waits_for_the_disk_then() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    for n in 0..5 {
        town.says(ada, room, &n.to_string());
    }
    town.wait(SECOND);
    town.devices[bob].disk.n_failing_writes = 1;
    town.says(ada, room, "not stored");
    town.settle();
    // While bob waits the server comes back with an old backup.
    town.goes_offline(bob);
    let log = town.log(room);
    log.entries.truncate(3);
    log.hashes.truncate(4);
    town.devices[bob].is_unreachable = false;
    town.wait(10 * SECOND);
    assert!(town.devices[bob].alarms().contains(&AlarmCause::BrokenLog));
}
