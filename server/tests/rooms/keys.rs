//! Keys that are missing: asked for, answered once, and only for who may have them.

use mathia_protocol::crypto::commit::Role;
use mathia_protocol::id::{Epoch, RoomId};
use mathia_protocol::log::propose::Change;
use mathia_protocol::wire::{DeviceGrant, Event, Fault, KeyAnswer, Reply, Request};

use super::cast::{Person, Town};

fn answer_for(asker: &Person, room: RoomId, epoch: Epoch, byte: u8) -> Request {
    let (account, device) = (asker.account, asker.device);
    let answers = vec![KeyAnswer { epoch, hpke_gen: 1, sealed: vec![byte; 80] }];
    Request::AnswerKeys { room, account, device, answers }
}

#[test]
fn a_lost_key_is_asked_for_and_the_first_answer_counts() {
    let town = Town::start();
    let (mut ann, mut bob, mut eve, room) = town.three_friends();
    let epochs = vec![Epoch(1)];
    ann.calls(&town, Request::AskKeys { room, epochs: epochs.clone() }).unwrap();
    let (account, device) = (ann.account, ann.device);
    let asked = Event::KeysAsked { room, account, device, epochs };
    bob.hears("the question", |event| *event == asked);
    assert_eq!(eve.resumes(&town).1, [asked], "also one who was away");
    bob.calls(&town, answer_for(&ann, room, Epoch(1), 1)).unwrap();
    eve.calls(&town, answer_for(&ann, room, Epoch(1), 2)).unwrap();
    let event = ann.hears("the key", |event| matches!(event, Event::Key { .. }));
    assert!(matches!(event, Event::Key { sealed, .. } if sealed == [1; 80]));
    let is_key = |event: &Event| matches!(event, Event::Key { .. });
    assert!(!ann.events().iter().any(is_key), "the second answer is thanked for and forgotten");
    let wraps = ann.reads(&town, &Request::Wraps { room, from: Epoch(1) });
    let only = KeyAnswer { epoch: Epoch(1), hpke_gen: 1, sealed: vec![1; 80] };
    assert_eq!(wraps, Ok(Reply::Wraps { wraps: vec![only] }));
    assert_eq!(eve.resumes(&town).1, [], "nothing is asked any more");
}

#[test]
fn nobody_gets_a_key_unasked_or_of_a_time_before_its_own() {
    let town = Town::start();
    let (mut ann, mut bob, eve, room) = town.three_friends();
    bob.calls(&town, answer_for(&ann, room, Epoch(1), 9)).unwrap();
    let is_key = |event: &Event| matches!(event, Event::Key { .. });
    assert!(!ann.events().iter().any(is_key), "she did not ask");

    let mut zoe = Person::registers(&town, "zoe");
    let add = Change::Add(vec![(zoe.account, Role::Member)]);
    let add = ann.commit(&town, room, &add, &[&bob, &eve, &zoe]);
    ann.commits(&town, room, add).unwrap();
    let past = Request::AskKeys { room, epochs: vec![Epoch(1)] };
    let answer = zoe.calls(&town, past);
    assert!(matches!(answer, Err(Fault::NotAllowed { .. })), "{answer:?}");
    let own = Request::AskKeys { room, epochs: vec![Epoch(1), Epoch(2), Epoch(3)] };
    zoe.calls(&town, own).unwrap();
    let asked = bob.hears("the question", |event| matches!(event, Event::KeysAsked { .. }));
    assert!(matches!(asked, Event::KeysAsked { epochs, .. } if epochs == [Epoch(2)]));
}

#[test]
fn asking_is_limited_per_device() {
    let town = Town::start();
    let (mut ann, _, _, room) = town.three_friends();
    let ask = Request::AskKeys { room, epochs: vec![Epoch(1)] };
    for _ in 0..town.limits.key_asks_per_minute {
        ann.calls(&town, ask.clone()).unwrap();
    }
    assert!(matches!(ann.calls(&town, ask), Err(Fault::RateLimited { .. })));
}

#[test]
fn a_grant_reaches_the_devices_of_a_member_and_nobody_else() {
    let town = Town::start();
    let (mut ann, mut bob, _, room) = town.three_friends();
    let grant = DeviceGrant { device: bob.device, hpke_gen: 1, sealed: vec![6; 100] };
    let put = |account| Request::PutGrant { room, account, grants: vec![grant.clone()] };
    ann.calls(&town, put(bob.account)).unwrap();
    bob.hears("that keys were left", |event| *event == Event::Granted { room });
    let left = Reply::Grants { grants: vec![(ann.account, grant.clone())] };
    assert_eq!(bob.reads(&town, &Request::Grants { room }), Ok(left));
    let stranger = Person::registers(&town, "mallory");
    let answer = ann.calls(&town, put(stranger.account));
    assert!(matches!(answer, Err(Fault::NotAllowed { .. })), "{answer:?}");
}
