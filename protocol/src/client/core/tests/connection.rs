//! Connecting, trusting, losing the session and coming back; and what is said at the end.

use std::time::Duration;

use super::super::Backlog;
use super::super::io::{CallError, CallId, ConnectFailure, Input, Output};
use super::device::unvouched;
use super::town::{Fate, Town};
use crate::client::event::{AlarmCause, ClientEvent, ConnectionState};
use crate::client::{Command, CommandError, Done, Expected, PinSource, Replica};
use crate::crypto::user_chain::AccountKind;
use crate::id::{Hash, Seq};
use crate::wire::{ClientDatagram, Event, Fault, PresenceState, Reply, Request, ServerDatagram};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn attempts_come_ever_more_slowly_and_at_once_when_somebody_asks() {
    let (mut town, [ada]) = Town::with(["ada"]);
    town.goes_offline(ada);
    let n_before = town.devices[ada].n_attempts;
    town.wait(10 * SECOND);
    let n_first = town.devices[ada].n_attempts - n_before;
    town.wait(100 * SECOND);
    let n_later = town.devices[ada].n_attempts - n_before - n_first;
    assert!((4..9).contains(&n_first) && (3..9).contains(&n_later), "{n_first} {n_later}");
    town.devices[ada].is_unreachable = false;
    town.run(ada, Command::ConnectNow).unwrap();
    town.settle();
    assert!(town.devices[ada].is_online());
    town.run(ada, Command::ConnectNow).unwrap();
    // After a good session the pause is short again.
    town.wait(11 * SECOND);
    town.cut(ada);
    town.wait(Duration::from_millis(260));
    assert!(town.devices[ada].is_online());
}

#[test]
fn a_session_that_ends_at_once_does_not_make_the_next_pause_short() {
    let (mut town, [ada]) = Town::with(["ada"]);
    let n_before = town.devices[ada].n_attempts;
    for _ in 0..60 {
        town.cut(ada);
        town.wait(SECOND);
    }
    assert!(town.devices[ada].n_attempts - n_before < 20);
}

#[test]
fn commands_that_need_the_server_say_why_it_cannot_be_reached() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.goes_offline(ada);
    let commands = [
        Command::Lobby,
        Command::SetAway(true),
        Command::Rotate(room),
        Command::CreateRoom(town.new_room(&[bob])),
        Command::JoinRoom(crate::id::RoomId([4; 32])),
        Command::Sync,
        Command::RevokeDevice(town.device(ada)),
        Command::Invite { rooms: vec![room], uses: 1, lifetime: SECOND },
        Command::Schedule { room, text: "x".into(), due: town.server.now },
        Command::Safety(crate::client::PersonRef::Handle("nobody".parse().unwrap())),
    ];
    for command in commands {
        let failed = town.run(ada, command.clone());
        assert!(matches!(failed, Err(CommandError::Offline(_))), "{command:?}: {failed:?}");
    }
    let Done::Devices(devices) = town.run(ada, Command::Devices).unwrap() else { panic!() };
    assert_eq!(devices.len(), 1, "what is known here is shown all the same");
}

#[test]
fn a_command_waits_for_a_session_that_comes_in_time() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.goes_offline(ada);
    let id = town.begin(ada, Command::Rotate(room));
    town.wait(5 * SECOND);
    assert!(town.answer(ada, id).is_none());
    town.devices[ada].is_unreachable = false;
    town.run(ada, Command::ConnectNow).unwrap();
    town.wait(2 * SECOND);
    assert!(matches!(town.answer(ada, id), Some(Ok(Done::Room(_)))));
    town.assert_whole(bob, room);
}

#[test]
fn a_server_that_refuses_the_device_is_not_asked_again() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    let refused = ConnectFailure::Refused("this device was revoked".into());
    town.devices[ada].failures.push_back(refused);
    town.cut(ada);
    town.wait(100 * SECOND);
    let state = town.devices[ada].connection().cloned();
    assert!(
        matches!(state, Some(ConnectionState::Stopped { is_untrusted: false, .. })),
        "{state:?}"
    );
    assert!(town.devices[ada].failures.is_empty());
    let n_attempts = town.devices[ada].n_attempts;
    let failed = town.run(ada, Command::Rotate(room));
    assert!(matches!(failed, Err(CommandError::NotLoggedIn(_))), "{failed:?}");
    town.run(ada, Command::ConnectNow).unwrap();
    town.wait(100 * SECOND);
    assert_eq!(town.devices[ada].n_attempts, n_attempts);
}

#[test]
fn another_key_of_the_server_is_an_alarm_and_the_end() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    town.devices[ada].failures.push_back(ConnectFailure::Untrusted("another key".into()));
    town.cut(ada);
    town.wait(10 * SECOND);
    assert_eq!(town.devices[ada].alarms(), [AlarmCause::ServerChanged]);
    let failed = town.run(ada, Command::Rotate(room));
    assert!(matches!(failed, Err(CommandError::Untrusted(_))), "{failed:?}");
}

#[test]
fn a_person_is_asked_about_a_key_that_nothing_vouches_for() {
    for answer in [None, Some(false), Some(true)] {
        let mut town = Town::new();
        let identity = town.registers("ada", AccountKind::Human);
        let ada = town.add_device(identity, Replica::in_memory(), |settings| {
            super::super::Settings { has_trust_ask: answer.is_some(), ..settings }
        });
        let pin = town.server.pin;
        town.devices[ada].failures.push_back(unvouched(pin));
        town.give(ada, Input::Start);
        town.settle();
        assert_eq!(town.devices[ada].words.is_some(), answer.is_some());
        if let Some(is_trusted) = answer {
            town.wait(100 * SECOND);
            assert!(!town.devices[ada].is_online(), "as long as nobody answers");
            town.give(ada, Input::TrustDecided(is_trusted));
            town.wait(SECOND);
        }
        let state = town.devices[ada].connection().cloned();
        if answer == Some(true) {
            assert!(town.devices[ada].is_online(), "{state:?}");
            let server = town.devices[ada].replica.server().unwrap().unwrap();
            assert_eq!((server.pin, server.source), (pin, PinSource::Asked));
        } else {
            assert!(
                matches!(state, Some(ConnectionState::Stopped { is_untrusted: true, .. })),
                "{state:?}"
            );
        }
        // Nobody asked: it changes nothing.
        town.give(ada, Input::TrustDecided(true));
    }
}

#[test]
fn a_pin_from_an_invite_and_an_announced_one_are_remembered_with_their_source() {
    let mut town = Town::new();
    let identity = town.registers("ada", AccountKind::Human);
    let ada = town.add_device(identity, Replica::in_memory(), |settings| super::super::Settings {
        invite_pin: Some([7; 16]),
        ..settings
    });
    town.give(ada, Input::Start);
    let is_pin = |output: &Output| matches!(output, Output::Connect(Expected::InvitePin(_)));
    assert!(town.devices[ada].outside.iter().any(is_pin));
    town.settle();
    let server = town.devices[ada].replica.server().unwrap().unwrap();
    assert_eq!(server.source, PinSource::Invite);
    // The server comes back under the key that it had announced.
    town.cut(ada);
    town.devices[ada].is_unreachable = true;
    town.settle();
    let mut welcome = town.welcome(town.account(ada));
    welcome.server_pin_next = Some(Hash([9; 32]));
    let pin = Hash([8; 32]);
    town.give(ada, Input::Connected { pin, welcome: Box::new(welcome), rtt: SECOND });
    town.settle();
    let server = town.devices[ada].replica.server().unwrap().unwrap();
    assert_eq!((server.pin, server.source), (pin, PinSource::Announced));
    assert_eq!(server.next_pin, Some(Hash([9; 32])));
}

#[test]
fn a_session_that_cannot_be_resumed_is_begun_again() {
    for fate in [
        Fate::Refuse(Fault::ServerBusy { retry_after_ms: 10 }),
        Fate::Answer(Reply::Done),
        Fate::CutBefore,
    ] {
        let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
        town.goes_offline(ada);
        town.says(bob, room, "are you back?");
        town.once(|request| matches!(request, Request::Resume { .. }), fate);
        town.comes_back(ada);
        town.wait(5 * SECOND);
        assert_eq!(town.texts(ada, room), ["are you back?"]);
        assert!(town.devices[ada].is_caught_up());
    }
}

#[test]
fn heads_of_many_rooms_come_in_several_answers() {
    let (mut town, [ada, bob]) = Town::with(["ada", "bob"]);
    let rooms: Vec<_> = (0..7).map(|_| town.makes_room(ada, &[bob])).collect();
    let copy = town.devices[bob].identity.duplicate();
    town.server.page_len = 2;
    let copy = town.starts(copy, Replica::in_memory());
    town.wait(5 * SECOND);
    for room in &rooms {
        town.assert_whole(copy, *room);
    }
    // The one somebody looks at is caught up first.
    town.server.page_len = 128;
    town.run(copy, Command::Timeline { room: rooms[4], before: Seq(0), count: 1 }).unwrap();
    town.goes_offline(copy);
    for room in &rooms {
        town.says(ada, *room, "news");
    }
    town.devices[copy].events.clear();
    town.comes_back(copy);
    let first = town.devices[copy].events.iter().find_map(|event| match event {
        ClientEvent::Entry(entry) => Some(entry.room),
        _ => None,
    });
    assert_eq!(first, Some(rooms[4]));
}

#[test]
fn sync_waits_until_everything_is_in_the_replica() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.filter = Some(Box::new(move |who, input| {
        let is_entry = matches!(input, Input::Event(Event::Entry { .. }));
        if who == bob && is_entry { Vec::new() } else { vec![input] }
    }));
    town.says(ada, room, "missed");
    town.devices[bob].disk.is_slow = true;
    let id = town.begin(bob, Command::Sync);
    town.wait(SECOND);
    assert!(town.answer(bob, id).is_none(), "what was read is not stored yet");
    town.devices[bob].disk.is_slow = false;
    town.settle();
    assert!(matches!(town.answer(bob, id), Some(Ok(Done::Done))));
    assert_eq!(town.texts(bob, room), ["missed"]);
    // A server that hands nothing out is not waited for longer than a command may.
    town.filter = Some(Box::new(move |who, input| {
        let is_page = matches!(input, Input::Page(..));
        if who == bob && is_page { Vec::new() } else { vec![input] }
    }));
    let failed = town.run(bob, Command::Sync);
    assert!(matches!(failed, Err(CommandError::TimedOut)), "{failed:?}");
    let id = town.begin(bob, Command::Sync);
    town.settle();
    town.goes_offline(bob);
    let failed = town.answer(bob, id);
    assert!(matches!(failed, Some(Err(CommandError::TimedOut))), "{failed:?}");
}

#[test]
fn round_trips_are_told_when_they_changed_enough_to_show() {
    let (mut town, [ada]) = Town::with(["ada"]);
    let count = |town: &Town| {
        let is_connection = |event: &&ClientEvent| matches!(event, ClientEvent::Connection(_));
        town.devices[ada].events.iter().filter(is_connection).count()
    };
    let n_before = count(&town);
    town.give(ada, Input::RoundTrip(Duration::from_millis(21)));
    assert_eq!(count(&town), n_before);
    town.give(ada, Input::RoundTrip(Duration::from_millis(80)));
    assert_eq!(count(&town), n_before + 1);
    town.goes_offline(ada);
    let n_before = count(&town);
    town.give(ada, Input::RoundTrip(Duration::from_millis(1)));
    assert_eq!(count(&town), n_before);
}

#[test]
fn who_is_there_is_told_and_forgotten_with_the_session() {
    let (mut town, [ada, bob], _) = Town::with_room(["ada", "bob"]);
    let bobs = town.account(bob);
    let presence = |town: &Town| {
        let last = town.devices[ada].events.iter().rev().find_map(|event| match event {
            ClientEvent::Presence(view) if view.account == bobs => Some(view.state),
            _ => None,
        });
        last.unwrap()
    };
    assert_eq!(presence(&town), PresenceState::Online);
    town.run(bob, Command::SetAway(true)).unwrap();
    assert_eq!(presence(&town), PresenceState::Away);
    town.goes_offline(ada);
    assert_eq!(presence(&town), PresenceState::Offline);
    let Done::People(people) = town.run(ada, Command::People).unwrap() else { panic!() };
    assert!(people.iter().all(|one| one.presence.state == PresenceState::Offline));
}

#[test]
fn typing_is_said_now_and_then_and_told_of_others() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let number = town.log(room).number;
    let (adas, bobs) = (town.account(ada), town.account(bob));
    for _ in 0..3 {
        town.run(ada, Command::Typing(room)).unwrap();
    }
    town.wait(3 * SECOND);
    town.run(ada, Command::Typing(room)).unwrap();
    town.run(ada, Command::TypingStopped(room)).unwrap();
    town.run(ada, Command::Typing(crate::id::RoomId([5; 32]))).unwrap();
    let typing = ClientDatagram::Typing { room: number };
    let stopped = ClientDatagram::TypingStopped { room: number };
    assert_eq!(town.devices[ada].datagrams, [typing, typing, stopped]);
    for datagram in [
        ServerDatagram::Typing { room: number, account: bobs },
        ServerDatagram::TypingStopped { room: number, account: bobs },
        ServerDatagram::Typing { room: number, account: adas },
    ] {
        town.give(ada, Input::Datagram(datagram));
    }
    let told: Vec<(_, bool)> = town.devices[ada]
        .events
        .iter()
        .filter_map(|event| match event {
            ClientEvent::Typing { account, is_typing, .. } => Some((*account, *is_typing)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(bobs, true), (bobs, false)]);
    town.goes_offline(ada);
    town.run(ada, Command::TypingStopped(room)).unwrap();
    assert_eq!(town.devices[ada].datagrams.len(), 3);
}

#[test]
fn a_face_that_was_slow_gets_what_it_missed_in_pages() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    for n in 0..70 {
        town.queues(ada, room, &n.to_string());
    }
    town.wait(5 * SECOND);
    town.give(ada, Input::Replay(Backlog { room, from: Seq(2) }));
    town.settle();
    let (_, entries, next) = town.devices[ada].replayed.pop().unwrap();
    assert_eq!((entries.first().unwrap().seq, entries.len()), (Seq(2), 64));
    assert_eq!(next, Some(Seq(66)));
    town.give(ada, Input::Replay(Backlog { room, from: Seq(66) }));
    town.settle();
    let (_, entries, next) = town.devices[ada].replayed.pop().unwrap();
    assert_eq!((entries.len(), next), (6, None));
    town.devices[ada].disk.n_failing_reads = 1;
    town.give(ada, Input::Replay(Backlog { room, from: Seq(2) }));
    town.settle();
    let (_, entries, next) = town.devices[ada].replayed.pop().unwrap();
    assert!(entries.is_empty() && next.is_none());
}

#[test]
fn what_arrived_is_said_at_the_end_and_nothing_new_is_begun() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.wait(SECOND);
    town.says(ada, room, "just before the end");
    town.give(bob, Input::Stopping);
    assert!(town.devices[bob].core.is_saying_goodbye());
    town.settle();
    assert!(!town.devices[bob].core.is_saying_goodbye());
    let marks = town.head_of(bob, room);
    assert_eq!(marks.delivered_upto, Seq(2));
    town.queues(bob, room, "too late");
    town.wait(SECOND);
    assert_eq!(town.server.arrived.len(), 1);
    town.cut(bob);
    let n_attempts = town.devices[bob].n_attempts;
    town.wait(100 * SECOND);
    assert_eq!(town.devices[bob].n_attempts, n_attempts);
    assert!(matches!(town.run(bob, Command::Stop), Ok(Done::Done)));
}

#[test]
fn a_server_that_refuses_the_goodbye_is_not_asked_over_and_over() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.wait(SECOND);
    let is_delivered = |request: &Request| matches!(request, Request::Delivered { .. });
    town.tamper = Some(Box::new(move |who, request| {
        let busy = Fault::ServerBusy { retry_after_ms: 100 };
        (who == bob && is_delivered(request)).then_some(Fate::Refuse(busy))
    }));
    town.says(ada, room, "hello");
    let n_before = town.devices[bob].calls.len();
    town.give(bob, Input::Stopping);
    town.settle();
    assert!(town.devices[bob].calls.len() - n_before <= 2);
    assert!(!town.devices[bob].core.is_saying_goodbye());
}

#[test]
fn answers_that_nobody_waits_for_are_dropped() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    town.give(ada, Input::Reply(CallId(999), Ok(Reply::Done)));
    town.give(ada, Input::Reply(CallId(998), Err(CallError::Lost)));
    town.give(ada, Input::Page(super::super::io::BulkId(999), Ok(None)));
    town.give(ada, Input::Wake);
    town.give(ada, Input::Event(Event::Stopping { retry_after_ms: 5 }));
    town.says(ada, room, "still here");
}

#[test]
fn an_hour_of_silence_costs_next_to_nothing() {
    let (mut town, [ada, bob], _) = Town::with_room(["ada", "bob"]);
    town.wait(10 * SECOND);
    let n_calls = |town: &Town| town.devices[ada].calls.len() + town.devices[bob].calls.len();
    let n_before = n_calls(&town);
    town.wait(Duration::from_hours(1));
    assert!(n_calls(&town) - n_before < 20, "{}", n_calls(&town) - n_before);
}
