//! The keys by which an assistant writes, and the answers that wait for one.

use std::time::Duration;

use super::agents::{answers, asks, envelope, streams, with_agent};
use crate::client::event::{OutboxState, SealedBy};
use crate::client::{Command, Done, NewAsk, Replica};
use crate::crypto::commit::Role;
use crate::crypto::content::Content;
use crate::wire::Request;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_assistant_gets_its_key_of_each_new_epoch_or_asks_for_it() {
    let (mut town, [ada, bob, agent], room) = with_agent();
    let first = asks(&mut town, ada, room, Vec::new());
    town.run(bob, Command::Rotate(room)).unwrap();
    town.wait(SECOND);
    answers(&mut town, agent, room, first);
    let second = asks(&mut town, ada, room, Vec::new());
    // A commit that leaves the assistant's key out: it asks, and a member answers.
    town.goes_offline(agent);
    town.run(bob, Command::Rotate(room)).unwrap();
    let device = town.device(agent);
    let epoch = town.log(room).state.epoch().epoch;
    town.log(room).wraps.retain(|(of, wrap)| *of != epoch || wrap.device != device);
    town.comes_back(agent);
    let answered = answers(&mut town, agent, room, second);
    town.wait(SECOND);
    let entries = town.timeline(ada, room);
    let entry = entries.iter().find(|entry| entry.seq == answered).unwrap();
    assert!(matches!(entry.content.said(), Some(Content::Answer(_))), "{entry:?}");
    assert_eq!(entry.sealed, SealedBy::Epoch(epoch));
    town.restart(agent);
    let third = asks(&mut town, bob, room, Vec::new());
    answers(&mut town, agent, room, third);
    assert!(town.devices[agent].alarms().is_empty());
}

#[test]
fn an_agent_key_that_nobody_in_the_room_signed_is_not_used() {
    let (mut town, [ada, bob, agent], room) = with_agent();
    let ask = asks(&mut town, ada, room, Vec::new());
    town.goes_offline(agent);
    town.run(bob, Command::Rotate(room)).unwrap();
    let (device, epoch) = (town.device(agent), town.log(room).state.epoch().epoch);
    for (of, wrap) in &mut town.log(room).wraps {
        if *of == epoch && wrap.device == device {
            wrap.sealed[40] ^= 1;
        }
    }
    town.comes_back(agent);
    // It has no key of its own, so it asked.
    let is_ask = |call: &Request| matches!(call, Request::AskKeys { .. });
    assert!(town.devices[agent].calls.iter().any(is_ask));
    town.wait(5 * SECOND);
    answers(&mut town, agent, room, ask);
}

#[test]
fn an_answer_that_waits_for_a_key_gets_one_made_by_who_asked() {
    let (mut town, [ada, bob, agent], room) = with_agent();
    let phone = town.adds_device(bob);
    let phone_id = phone.device();
    let phone = town.starts(phone, Replica::in_memory());
    town.wait(5 * SECOND);
    let ask = asks(&mut town, ada, room, Vec::new());
    let before = town.log(room).state.epoch().epoch;
    // A device is revoked: nobody may seal before somebody has made a new key.
    town.goes_offline(phone);
    town.run(bob, Command::RevokeDevice(phone_id)).unwrap();
    let person = town.person(bob);
    town.run(ada, Command::SetRole { room, person, role: Role::Moderator }).unwrap();
    town.wait(10 * SECOND);
    assert!(town.log(room).state.epoch().epoch > before, "who waits makes the key");
    answers(&mut town, agent, room, ask);
}

#[test]
fn a_question_to_an_assistant_that_was_removed_meanwhile_fails() {
    let (mut town, [ada, bob, agent], room) = with_agent();
    let promise = envelope(&mut town, bob, room).promise;
    town.goes_offline(bob);
    let text = "why?".to_owned();
    let ask = NewAsk { room, text, promise, attached: Vec::new(), again: None, tag: None };
    let Done::Queued { local_id } = town.run(bob, Command::Ask(ask)).unwrap() else { panic!() };
    let person = town.person(agent);
    town.run(ada, Command::Remove { room, person }).unwrap();
    town.comes_back(bob);
    town.wait(5 * SECOND);
    let last = town.devices[bob].states(local_id).last().cloned();
    assert!(matches!(last, Some(OutboxState::Failed { .. })), "{last:?}");
    assert!(town.devices[bob].alarms().is_empty());
    town.says(bob, room, "then not");
}

#[test]
fn a_device_that_gets_its_key_late_sees_the_answer_that_is_being_given() {
    let (mut town, [ada, bob, agent], room) = with_agent();
    let phone = town.adds_device(bob);
    town.settle();
    for who in [ada, bob] {
        town.goes_offline(who);
    }
    let phone = town.starts(phone, Replica::in_memory());
    town.comes_back(ada);
    let ask = asks(&mut town, ada, room, Vec::new());
    town.wait(5 * SECOND);
    town.run(agent, Command::Stream { room, ask, text: "well ".into() }).unwrap();
    town.settle();
    assert_eq!(streams(&town, phone), [("well ".to_owned(), false)]);
}
