//! Marks: what arrived, what was read, and which history who read it says to have.

use std::time::Duration;

use super::super::io::Input;
use super::town::{Fate, Town};
use crate::client::event::{AlarmCause, ClientEvent};
use crate::client::{Command, CommandError, Done};
use crate::id::{DeviceId, Seq};
use crate::wire::{Event, Fault, Reply, Request, SignedTick};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_message_is_delivered_to_everybody_and_then_read_by_everybody() {
    let (mut town, [ada, bob, cleo], room) = Town::with_room(["ada", "bob", "cleo"]);
    let seq = town.says(ada, room, "hello");
    town.wait(SECOND);
    let reached = |town: &Town| town.devices[ada].room(room).unwrap().marks.reached(seq);
    let told = |town: &Town| {
        let last = town.devices[ada].events.iter().rev().find_map(|event| match event {
            ClientEvent::Marks { marks, .. } => Some(marks.reached(seq)),
            _ => None,
        });
        last.unwrap()
    };
    assert_eq!(told(&town), (2, 0));
    for (n_read, who) in [(1, bob), (2, cleo)] {
        let done = town.run(who, Command::MarkRead { room, upto: seq });
        assert!(matches!(done, Ok(Done::Done)), "{done:?}");
        town.wait(SECOND);
        assert_eq!(told(&town), (2, n_read));
    }
    let Done::Ticks(ticks) = town.run(ada, Command::Ticks(room)).unwrap() else { panic!() };
    let names: Vec<_> = ticks.iter().map(|tick| (tick.handle.as_str(), tick.is_verified)).collect();
    assert_eq!(names, [("bob", true), ("cleo", true)]);
    town.restart(ada);
    town.wait(SECOND);
    assert_eq!(reached(&town), (2, 2));
    assert!(town.devices[ada].alarms().is_empty());
}

#[test]
fn a_mark_never_moves_back_and_never_beyond_what_is_here() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let seq = town.says(ada, room, "hello");
    town.wait(SECOND);
    town.run(bob, Command::MarkRead { room, upto: Seq(99) }).unwrap();
    town.wait(SECOND);
    assert_eq!(town.devices[bob].room(room).unwrap().read_upto, seq);
    let n_before = town.devices[bob].calls.len();
    town.run(bob, Command::MarkRead { room, upto: Seq(1) }).unwrap();
    assert_eq!(town.devices[bob].calls.len(), n_before);
}

#[test]
fn what_is_read_on_one_device_is_read_on_the_other() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let phone = town.adds_device(bob);
    let phone = town.starts(phone, crate::client::Replica::in_memory());
    town.wait(3 * SECOND);
    let seq = town.says(ada, room, "hello");
    town.wait(SECOND);
    assert_eq!(town.devices[phone].room(room).unwrap().n_unread, 1);
    town.run(bob, Command::MarkRead { room, upto: seq }).unwrap();
    town.wait(SECOND);
    let view = town.devices[phone].room(room).unwrap();
    assert_eq!((view.n_unread, view.read_upto), (0, seq));
}

#[test]
fn a_mark_made_offline_is_sent_after_the_next_login() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let seq = town.says(ada, room, "hello");
    town.wait(SECOND);
    town.goes_offline(bob);
    let failed = town.run(bob, Command::MarkRead { room, upto: seq });
    assert!(matches!(failed, Err(CommandError::Offline(_))), "{failed:?}");
    town.comes_back(bob);
    let head = town.head_of(bob, room);
    assert_eq!(head.read_upto, seq);
}

#[test]
fn a_mark_that_is_refused_or_answered_out_of_turn_is_an_error_of_its_command() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let seq = town.says(ada, room, "hello");
    town.wait(SECOND);
    let is_read = |request: &Request| matches!(request, Request::Read { .. });
    for fate in [Fate::Refuse(Fault::BadSeen), Fate::Answer(Reply::Done)] {
        town.once(is_read, fate);
        assert!(town.run(bob, Command::MarkRead { room, upto: seq }).is_err());
    }
    town.run(bob, Command::MarkRead { room, upto: seq }).unwrap();
}

#[test]
fn delivered_marks_that_are_refused_are_sent_again() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.wait(SECOND);
    let is_delivered = |request: &Request| matches!(request, Request::Delivered { .. });
    town.once(is_delivered, Fate::Refuse(Fault::ServerBusy { retry_after_ms: 100 }));
    let seq = town.says(ada, room, "hello");
    town.wait(5 * SECOND);
    let head = town.head_of(bob, room);
    assert_eq!(head.delivered_upto, seq);
}

#[test]
fn an_old_position_is_looked_up_in_the_replica_for_a_mark() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    for n in 0..300 {
        town.queues(ada, room, &n.to_string());
    }
    town.wait(5 * SECOND);
    town.restart(bob);
    town.wait(SECOND);
    let n_before = town.devices[ada].alarms().len();
    town.run(bob, Command::MarkRead { room, upto: Seq(3) }).unwrap();
    town.wait(SECOND);
    // Ada compares it with her log, in which it is just as old.
    town.restart(ada);
    town.wait(SECOND);
    town.run(bob, Command::MarkRead { room, upto: Seq(4) }).unwrap();
    let Done::Ticks(ticks) = town.run(ada, Command::Ticks(room)).unwrap() else { panic!() };
    assert!(ticks.iter().all(|tick| tick.is_verified));
    town.wait(SECOND);
    assert_eq!(town.devices[ada].alarms().len(), n_before);
    town.devices[bob].disk.n_failing_reads = 1;
    let failed = town.run(bob, Command::MarkRead { room, upto: Seq(5) });
    assert!(matches!(failed, Err(CommandError::Invalid(_))), "{failed:?}");
}

#[test]
fn a_forged_tick_says_that_there_is_another_history_and_stops_the_room() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let seq = town.says(bob, room, "hello");
    town.filter = Some(Box::new(move |who, input| match input {
        Input::Event(Event::Ticks { room, mut ticks }) if who == ada => {
            ticks[0].signature[3] ^= 1;
            vec![Input::Event(Event::Ticks { room, ticks })]
        }
        input => vec![input],
    }));
    town.says(ada, room, "and you?");
    town.wait(SECOND);
    town.run(bob, Command::MarkRead { room, upto: seq.next() }).unwrap();
    town.wait(SECOND);
    assert_eq!(town.devices[ada].alarms(), [AlarmCause::Fork]);
    let refused = town.run(ada, Command::Send { room, text: "x".into(), tag: None });
    assert!(matches!(refused, Err(CommandError::Untrusted(_))), "{refused:?}");
}

#[test]
fn a_tick_that_comes_before_its_entry_waits_for_it() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.filter = Some(Box::new(move |who, input| {
        let is_entry = matches!(input, Input::Event(Event::Entry { .. }));
        if who == ada && is_entry { Vec::new() } else { vec![input] }
    }));
    let seq = town.says(bob, room, "hello");
    town.run(bob, Command::MarkRead { room, upto: seq }).unwrap();
    town.wait(SECOND);
    town.filter = None;
    // A tick of somebody who is no member is not kept, one of an unknown device has its chain read.
    let (number, now) = (town.log(room).number, town.account(bob));
    let stranger = SignedTick {
        account: crate::id::AccountId([3; 32]),
        device: DeviceId([3; 16]),
        upto: Seq(1),
        signature: [0; 64],
    };
    let unknown = SignedTick { account: now, ..stranger.clone() };
    let n_before = town.devices[ada].calls.len();
    let ticks = vec![stranger, unknown];
    town.give(ada, Input::Event(Event::Ticks { room: number, ticks }));
    town.settle();
    let is_chain = |call: &Request| matches!(call, Request::Chain { .. });
    assert!(town.devices[ada].calls[n_before..].iter().any(is_chain));
    town.says(ada, room, "and you?");
    town.wait(SECOND);
    assert!(town.devices[ada].alarms().is_empty());
}

#[test]
fn events_of_rooms_that_are_not_known_change_nothing() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    let number = crate::id::RoomNumber(77);
    let nowhere = crate::id::RoomId([5; 32]);
    let (account, device) = (town.account(ada), town.device(ada));
    for event in [
        Event::Marks { room: number, delivered: Vec::new(), read: Vec::new() },
        Event::Ticks { room: number, ticks: Vec::new() },
        Event::OwnMark { room: number, read_upto: Seq(1), n_unread: 0 },
        Event::Lagged { room: number, next_seq: Seq(1) },
        Event::RoomGone { room: nowhere },
        Event::Granted { room: nowhere },
        Event::Key { room: nowhere, epoch: crate::id::Epoch(1), hpke_gen: 1, sealed: vec![1] },
        Event::KeysAsked { room: nowhere, account, device, epochs: Vec::new() },
        Event::Delta { room: number, account, device, delta: vec![1] },
        Event::Entry { room: number, seq: Seq(1), time: town.server.now, entry: vec![1] },
    ] {
        town.give(ada, Input::Event(event));
    }
    let number = town.log(room).number;
    town.give(ada, Input::Event(Event::Lagged { room: number, next_seq: Seq(1) }));
    town.wait(5 * SECOND);
    town.says(ada, room, "still here");
}
