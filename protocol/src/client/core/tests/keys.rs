//! Keys that are missing: wraps, boxes, grants, and in the end the other members.

use std::time::Duration;

use super::super::io::Input;
use super::town::{Fate, Town, Who};
use crate::client::event::{AlarmCause, UnreadableCause};
use crate::client::{Command, EntryContent, NewRoom, Replica};
use crate::id::{Epoch, RoomId};
use crate::wire::{Event, Fault, KeyAnswer, Reply, Request};

const SECOND: Duration = Duration::from_secs(1);

/// A room with something said in it, and a phone that bob has just added to his account.
fn with_phone() -> (Town, [Who; 3], RoomId) {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.says(ada, room, "old");
    let phone = town.adds_device(bob);
    town.settle();
    let phone = town.add_device(phone, Replica::in_memory(), |settings| settings);
    (town, [ada, bob, phone], room)
}

fn starts(town: &mut Town, who: Who) {
    town.give(who, Input::Start);
    town.settle();
}

fn asks(town: &Town, who: Who) -> usize {
    let is_ask = |call: &&Request| matches!(call, Request::AskKeys { .. });
    town.devices[who].calls.iter().filter(is_ask).count()
}

#[test]
fn a_new_device_asks_the_others_and_opens_what_waited() {
    let (mut town, [ada, _, phone], room) = with_phone();
    starts(&mut town, phone);
    let waits = EntryContent::Unreadable(UnreadableCause::KeyAsked);
    assert!(town.devices[phone].entries(room).any(|entry| entry.content == waits));
    assert_eq!(town.devices[phone].room(room).map_or("", |view| view.name.as_str()), "");
    town.wait(5 * SECOND);
    assert_eq!(town.texts(phone, room), ["old"]);
    assert_eq!(town.devices[phone].room(room).unwrap().name, "team");
    assert_eq!(asks(&town, phone), 1, "one question is enough");
    town.says(phone, room, "from the phone");
    town.wait(SECOND);
    assert_eq!(town.texts(ada, room), ["old", "from the phone"]);
}

#[test]
fn what_a_device_says_before_its_key_came_is_sent_when_it_does() {
    let (mut town, [ada, bob, phone], room) = with_phone();
    town.goes_offline(ada);
    town.goes_offline(bob);
    starts(&mut town, phone);
    let local_id = town.queues(phone, room, "early");
    town.wait(30 * SECOND);
    assert_eq!(town.server.arrived.len(), 1);
    // Who comes back is told that keys were asked for.
    town.comes_back(ada);
    town.accepted(phone, local_id);
    assert_eq!(town.texts(phone, room), ["old", "early"]);
}

#[test]
fn a_key_that_does_not_fit_is_one_alarm_and_asked_for_again() {
    let (mut town, [_, _, phone], room) = with_phone();
    let mut n_spoilt = 0;
    town.filter = Some(Box::new(move |who, input| match input {
        Input::Event(Event::Key { room, epoch, hpke_gen, mut sealed })
            if who == phone && n_spoilt < 2 =>
        {
            n_spoilt += 1;
            sealed[7] ^= 1;
            vec![Input::Event(Event::Key { room, epoch, hpke_gen, sealed })]
        }
        input => vec![input],
    }));
    // The server keeps no answer: it is the next answer that has to fit.
    town.tamper = Some(Box::new(move |who, request| match request {
        Request::Wraps { .. } if who == phone => {
            Some(Fate::Answer(Reply::Wraps { wraps: Vec::new() }))
        }
        _ => None,
    }));
    starts(&mut town, phone);
    town.wait(20 * SECOND);
    assert_eq!(town.devices[phone].alarms(), [AlarmCause::BadKey]);
    assert_eq!(town.texts(phone, room), ["old"]);
    assert!(asks(&town, phone) > 1);
}

#[test]
fn an_entry_whose_key_is_bad_says_so() {
    let (mut town, [ada, bob, phone], room) = with_phone();
    town.goes_offline(ada);
    town.goes_offline(bob);
    town.tamper = Some(Box::new(move |who, request| match request {
        Request::Wraps { .. } if who == phone => {
            let bad = KeyAnswer { epoch: Epoch(1), hpke_gen: 1, sealed: vec![1; 80] };
            Some(Fate::Answer(Reply::Wraps { wraps: vec![bad] }))
        }
        _ => None,
    }));
    starts(&mut town, phone);
    town.wait(5 * SECOND);
    assert_eq!(town.devices[phone].alarms(), [AlarmCause::BadKey]);
    let entries = town.timeline(phone, room);
    let bad = EntryContent::Unreadable(UnreadableCause::KeyBad);
    assert!(entries.iter().any(|entry| entry.content == bad), "{entries:#?}");
    town.tamper = None;
    town.comes_back(ada);
    town.wait(10 * SECOND);
    assert_eq!(town.texts(phone, room), ["old"]);
}

#[test]
fn a_grant_that_does_not_fit_is_discarded_and_the_keys_are_asked_for() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.says(ada, room, "old");
    town.run(ada, Command::Rotate(room)).unwrap();
    let all = Command::Set { room, key: "history".into(), value: "all".into() };
    town.run(ada, all).unwrap();
    let cleo = town.joins("cleo");
    town.tamper = Some(Box::new(|_, request| {
        matches!(request, Request::PutGrant { .. }).then_some(Fate::Answer(Reply::Done))
    }));
    let people = town.people(&[cleo]);
    town.run(ada, Command::Add { room, people }).unwrap();
    town.wait(SECOND);
    town.cut(cleo);
    let ada_account = town.account(ada);
    let device = town.device(cleo);
    town.tamper = Some(Box::new(move |who, request| match request {
        Request::Grants { .. } if who == cleo => {
            let (hpke_gen, sealed) = (1, vec![9; 100]);
            let grant = crate::wire::DeviceGrant { device, hpke_gen, sealed };
            Some(Fate::Answer(Reply::Grants { grants: vec![(ada_account, grant)] }))
        }
        _ => None,
    }));
    town.wait(10 * SECOND);
    assert_eq!(town.texts(cleo, room), ["old"], "{:?}", town.devices[bob].alarms());
    assert!(town.devices[cleo].alarms().iter().all(|alarm| *alarm == AlarmCause::BadKey));
}

#[test]
fn older_pages_bring_the_keys_that_they_need() {
    let (mut town, [ada, bob]) = Town::with(["ada", "bob"]);
    let shared = NewRoom { shares_history: true, ..town.new_room(&[bob]) };
    let room = town.makes(ada, shared);
    town.says(ada, room, "one");
    town.run(ada, Command::Rotate(room)).unwrap();
    town.says(ada, room, "two");
    let phone = town.adds_device(bob);
    town.settle();
    let phone = town.starts(phone, Replica::in_memory());
    town.wait(10 * SECOND);
    assert_eq!(town.texts(phone, room), ["one", "two"]);
    // The older key came in the box of the newer one.
    assert_eq!(town.devices[phone].replica.epochs(room).unwrap(), [Epoch(1), Epoch(2)]);
}

#[test]
fn nobody_hands_out_keys_of_a_time_before_somebody_joined() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.says(ada, room, "between us");
    town.run(ada, Command::Rotate(room)).unwrap();
    let cleo = town.joins("cleo");
    let people = town.people(&[cleo]);
    town.run(ada, Command::Add { room, people }).unwrap();
    town.wait(5 * SECOND);
    let (account, device) = (town.account(cleo), town.device(cleo));
    let epochs = vec![Epoch(1), Epoch(7)];
    let stranger = town.joins("dora");
    let (other, others) = (town.account(stranger), town.device(stranger));
    for who in [ada, bob] {
        let n_before = town.devices[who].calls.len();
        for (account, device) in [(account, device), (other, others)] {
            let epochs = epochs.clone();
            town.give(who, Input::Event(Event::KeysAsked { room, account, device, epochs }));
        }
        town.wait(5 * SECOND);
        let is_answer = |call: &Request| matches!(call, Request::AnswerKeys { .. });
        assert!(!town.devices[who].calls[n_before..].iter().any(is_answer));
    }
}

#[test]
fn a_question_for_keys_that_is_refused_is_asked_again_another_time() {
    let (mut town, [_, _, phone], room) = with_phone();
    let is_ask = |request: &Request| matches!(request, Request::AskKeys { .. });
    town.once(is_ask, Fate::Refuse(Fault::RateLimited { retry_after_ms: 1_000 }));
    starts(&mut town, phone);
    town.wait(10 * SECOND);
    assert_eq!(asks(&town, phone), 2);
    assert_eq!(town.texts(phone, room), ["old"]);
}

#[test]
fn reading_keys_survives_the_loss_of_the_session_at_each_call() {
    for at in 0..12 {
        let (mut town, [_, _, phone], room) = with_phone();
        let mut n_calls = 0;
        town.tamper = Some(Box::new(move |who, _| {
            n_calls += usize::from(who == phone);
            (who == phone && n_calls == at + 1).then_some(Fate::CutAfter)
        }));
        starts(&mut town, phone);
        town.wait(30 * SECOND);
        assert_eq!(town.texts(phone, room), ["old"], "cut at call {at}");
    }
}

#[test]
fn a_key_that_another_process_of_the_device_stored_is_found_in_the_replica() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let (identity, replica) =
        (town.devices[bob].identity.duplicate(), town.devices[bob].replica.clone());
    let pipe = town.starts(identity, replica);
    town.wait(SECOND);
    town.run(bob, Command::Rotate(room)).unwrap();
    town.says(ada, room, "under the new key");
    town.wait(SECOND);
    assert_eq!(town.texts(pipe, room), ["under the new key"]);
    assert_eq!(asks(&town, pipe), 0);
}
