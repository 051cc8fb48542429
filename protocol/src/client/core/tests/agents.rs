//! Assistants: what they say of themselves, what is shown to them, and their answers.

use std::time::Duration;

use super::super::io::Input;
use super::town::{Fate, Town, Who};
use crate::client::event::{ClientEvent, SealedBy};
use crate::client::{
    Command, CommandError, Done, EntryContent, Envelope, NewAsk, NewCard, NewRoom,
};
use crate::crypto::commit::{AgentScope, Role};
use crate::crypto::content::{Answer, Content, Outcome};
use crate::id::{Hash, RoomId, Seq};
use crate::wire::{Event, Fault, Request};

const SECOND: Duration = Duration::from_secs(1);

fn card(model: &str) -> NewCard {
    NewCard {
        provider: "models.example".into(),
        model: model.into(),
        is_local: false,
        operator: "ops".into(),
    }
}

/// Ada, bob and an assistant in a room, after some talk.
pub(super) fn with_agent() -> (Town, [Who; 3], RoomId) {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let agent = town.agent_joins("mathia");
    town.run(agent, Command::PutCard(card("m1"))).unwrap();
    town.says(bob, room, "the column is added twice");
    town.says(ada, room, "why?");
    let people = town.people(&[agent]);
    town.run(ada, Command::Add { room, people }).unwrap();
    town.wait(3 * SECOND);
    (town, [ada, bob, agent], room)
}

pub(super) fn envelope(town: &mut Town, who: Who, room: RoomId) -> Envelope {
    let text = "what is wrong?".to_owned();
    let command = Command::Envelope { room, text, quoted: None, n_context: 10 };
    let Done::Envelope(envelope) = town.run(who, command).unwrap() else { panic!() };
    *envelope
}

/// Asks the assistant, showing it these messages; the place of the question.
pub(super) fn asks(town: &mut Town, who: Who, room: RoomId, attached: Vec<Seq>) -> Seq {
    let promise = envelope(town, who, room).promise;
    let text = "what is wrong?".to_owned();
    let ask = NewAsk { room, text, promise, attached, again: None, tag: None };
    let Done::Queued { local_id } = town.run(who, Command::Ask(ask)).unwrap() else { panic!() };
    let seq = town.accepted(who, local_id);
    town.wait(SECOND);
    seq
}

fn answer(ask: Seq, text: &str) -> Box<Answer> {
    Box::new(Answer {
        ask,
        ask_hash: [0; 16],
        outcome: Outcome::Complete,
        cause: String::new(),
        text: text.into(),
        provider: "models.example".into(),
        model: "m1".into(),
        usage: None,
    })
}

pub(super) fn answers(town: &mut Town, agent: Who, room: RoomId, ask: Seq) -> Seq {
    let command = Command::Answer { room, answer: answer(ask, "a trigger fires twice") };
    let Done::Queued { local_id } = town.run(agent, command).unwrap() else { panic!() };
    town.accepted(agent, local_id)
}

/// Pieces of an answer as somebody saw them.
pub(super) fn streams(town: &Town, who: Who) -> Vec<(String, bool)> {
    let seen = town.devices[who].events.iter().filter_map(|event| match event {
        ClientEvent::Stream(view) => Some((view.text.clone(), view.has_gap)),
        _ => None,
    });
    seen.collect()
}

#[test]
fn an_assistant_reads_the_question_and_what_is_shown_with_it_and_nothing_else() {
    let (mut town, [ada, bob, agent], room) = with_agent();
    let shown = envelope(&mut town, ada, room);
    let context: Vec<&str> = shown.context.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(context, ["the column is added twice", "why?"]);
    assert_eq!(shown.card.as_ref().map(|card| card.model.as_str()), Some("m1"));
    let ask = asks(&mut town, ada, room, vec![shown.context[0].seq]);
    let seen: Vec<EntryContent> =
        town.timeline(agent, room).into_iter().map(|entry| entry.content).collect();
    let said: Vec<&Content> = seen.iter().filter_map(EntryContent::said).collect();
    assert_eq!(said.len(), 1, "{seen:?}");
    let Content::Ask(asked) = said[0] else { panic!() };
    assert_eq!(asked.attached[0].text, "the column is added twice");
    let answered = answers(&mut town, agent, room, ask);
    town.wait(SECOND);
    for who in [ada, bob] {
        let entries = town.timeline(who, room);
        let entry = entries.iter().find(|entry| entry.seq == answered).unwrap();
        let Some(Content::Answer(answer)) = entry.content.said() else { panic!("{entry:?}") };
        assert_eq!(answer.text, "a trigger fires twice");
        let shown: Vec<Seq> =
            entries.iter().filter(|entry| entry.is_shown).map(|entry| entry.seq).collect();
        assert_eq!(shown, [Seq(2), ask], "the attached one and the question itself");
        let question = entries.iter().find(|entry| entry.seq == ask).unwrap();
        assert!(matches!(question.sealed, SealedBy::EpochAndAgent(_)));
    }
    let Done::Answers(answered) = town.run(bob, Command::Answers { room: None }).unwrap() else {
        panic!()
    };
    assert_eq!((answered.len(), answered[0].handle.as_str()), (1, "ada"));
    let here = Command::Answers { room: Some(room) };
    let Done::Answers(answered) = town.run(bob, here).unwrap() else { panic!() };
    assert_eq!(answered.len(), 1);
    assert!(town.devices[agent].alarms().is_empty());
}

#[test]
fn the_room_says_that_the_assistant_reads_what_is_shown_to_it() {
    let (mut town, [ada, bob, agent], room) = with_agent();
    let view = town.devices[bob].room(room).unwrap();
    assert_eq!(view.agent_scope, AgentScope::Mention);
    let member = view.members.iter().find(|member| member.handle == "mathia").unwrap();
    assert!(member.role == Role::Agent && member.is_agent);
    assert_eq!(member.card.as_ref().map(|card| card.model.as_str()), Some("m1"));
    let second = town.agent_joins("helper");
    let people = town.people(&[second]);
    town.run(ada, Command::Add { room, people }).unwrap();
    town.wait(SECOND);
    let told: Vec<String> = town
        .timeline(bob, room)
        .into_iter()
        .filter_map(|entry| match entry.content {
            EntryContent::Change(change) => Some(change.text),
            _ => None,
        })
        .collect();
    assert!(told.iter().any(|text| text == "added mathia, who reads only what is shown to it"));
    assert!(told.iter().any(|text| text == "added helper, who reads only what is shown to it"));
    let person = town.person(agent);
    town.run(ada, Command::Remove { room, person }).unwrap();
    let people = town.people(&[agent]);
    let refused = town.run(bob, Command::Add { room, people });
    assert!(matches!(refused, Err(CommandError::Refused(_))), "{refused:?}");
    let refused = town.run(bob, Command::Direct(town.person(second)));
    assert!(matches!(refused, Err(CommandError::Invalid(_))), "{refused:?}");
}

#[test]
fn an_answer_is_seen_as_it_comes_and_a_lost_piece_shows() {
    let (mut town, [ada, bob, agent], room) = with_agent();
    let ask = asks(&mut town, ada, room, Vec::new());
    let mut n = 0;
    town.filter = Some(Box::new(move |who, input| {
        let is_delta = matches!(input, Input::Event(Event::Delta { .. }));
        n += usize::from(who == bob && is_delta);
        if who == bob && is_delta && n == 2 { Vec::new() } else { vec![input] }
    }));
    for text in ["the column ", "is added ", "twice"] {
        town.run(agent, Command::Stream { room, ask, text: text.into() }).unwrap();
    }
    town.settle();
    let whole = "the column is added twice".to_owned();
    assert_eq!(streams(&town, ada).last(), Some(&(whole, false)));
    assert_eq!(streams(&town, bob).last(), Some(&("the column  \u{2026} twice".to_owned(), true)));
    answers(&mut town, agent, room, ask);
    town.wait(SECOND);
    // What still comes behind the answer is not shown.
    let n_before = streams(&town, ada).len();
    town.run(agent, Command::Stream { room, ask, text: "more".into() }).unwrap();
    town.settle();
    assert_eq!(streams(&town, ada).len(), n_before);
}

#[test]
fn another_attempt_begins_anew_and_pieces_of_others_are_not_shown() {
    let (mut town, [ada, bob, agent], room) = with_agent();
    let ask = asks(&mut town, ada, room, Vec::new());
    town.run(agent, Command::Stream { room, ask, text: "first try".into() }).unwrap();
    town.restart(agent);
    town.wait(SECOND);
    town.run(agent, Command::Stream { room, ask, text: "second".into() }).unwrap();
    town.settle();
    assert_eq!(streams(&town, ada).last(), Some(&("second".to_owned(), false)));
    // Somebody who is no agent cannot stream, whatever the server passes on.
    let n_before = streams(&town, ada).len();
    town.run(bob, Command::Stream { room, ask, text: "me too".into() }).unwrap();
    let number = town.log(room).number;
    let (account, device) = (town.account(agent), town.device(agent));
    let delta = vec![1, 2, 3];
    town.give(ada, Input::Event(Event::Delta { room: number, account, device, delta }));
    let spoil = town.devices[agent].calls.iter().rev().find_map(|call| match call {
        Request::Delta { delta, .. } => Some(delta.clone()),
        _ => None,
    });
    let mut delta = spoil.unwrap();
    let at = delta.len() - 70;
    delta[at] ^= 1;
    town.give(ada, Input::Event(Event::Delta { room: number, account, device, delta }));
    town.settle();
    assert_eq!(streams(&town, ada).len(), n_before);
    town.goes_offline(agent);
    let lost = town.run(agent, Command::Stream { room, ask, text: "lost".into() });
    assert!(matches!(lost, Err(CommandError::Offline(_))), "{lost:?}");
    town.comes_back(agent);
    town.once(
        |request| matches!(request, Request::Delta { .. }),
        Fate::Refuse(Fault::RateLimited { retry_after_ms: 50 }),
    );
    let lost = town.run(agent, Command::Stream { room, ask, text: "lost".into() });
    assert!(matches!(lost, Err(CommandError::RateLimited { .. })), "{lost:?}");
    let long = "x".repeat(20_000);
    let lost = town.run(agent, Command::Stream { room, ask, text: long });
    assert!(matches!(lost, Err(CommandError::Invalid(_))), "{lost:?}");
    let nowhere = RoomId([8; 32]);
    assert!(town.run(agent, Command::Stream { room: nowhere, ask, text: "x".into() }).is_err());
}

#[test]
fn only_who_asked_stops_an_answer() {
    let (mut town, [ada, bob, agent], room) = with_agent();
    let ask = asks(&mut town, ada, room, Vec::new());
    for (who, seq) in [(bob, ask), (ada, Seq(2)), (ada, Seq(99))] {
        let refused = town.run(who, Command::StopAnswer { room, ask: seq });
        assert!(matches!(refused, Err(CommandError::NotFound(_))), "{refused:?}");
    }
    town.run(ada, Command::StopAnswer { room, ask }).unwrap();
    town.wait(SECOND);
    let stops = |entry: crate::client::EntryView| matches!(entry.content.said(), Some(Content::Stop(stop)) if stop.ask == ask);
    assert!(town.timeline(agent, room).into_iter().any(stops));
    let refused = town.run(agent, Command::Answer { room, answer: answer(Seq(99), "x") });
    assert!(matches!(refused, Err(CommandError::NotFound(_))), "{refused:?}");
}

#[test]
fn an_envelope_says_what_fits_and_a_question_what_it_may_not_hold() {
    let (mut town, [ada, _, _], room) = with_agent();
    let long = "y".repeat(16_000);
    for _ in 0..6 {
        town.says(ada, room, &long);
    }
    town.wait(SECOND);
    let text = "why?".to_owned();
    let quoted = Some(Seq(2));
    let command = Command::Envelope { room, text: text.clone(), quoted, n_context: 300 };
    let Done::Envelope(shown) = town.run(ada, command).unwrap() else { panic!() };
    assert_eq!(shown.quoted.as_ref().map(|one| one.seq), Some(Seq(2)));
    assert!(shown.n_left_out > 0 && shown.context.iter().all(|one| one.seq != Seq(2)));
    let too_long = "z".repeat(20_000);
    let quoted_nothing =
        Command::Envelope { room, text: text.clone(), quoted: Some(Seq(1)), n_context: 0 };
    let empty = NewAsk {
        room,
        text: "  ".into(),
        promise: Hash([0; 32]),
        attached: Vec::new(),
        again: None,
        tag: None,
    };
    let all: Vec<Seq> = town
        .timeline(ada, room)
        .into_iter()
        .filter(|entry| entry.content.said().is_some())
        .map(|entry| entry.seq)
        .collect();
    let too_much = NewAsk { text, attached: all, ..empty.clone() };
    let no_text = NewAsk { text: "x".into(), attached: vec![Seq(1)], ..empty.clone() };
    for command in [
        quoted_nothing,
        Command::Envelope { room, text: too_long.clone(), quoted: None, n_context: 0 },
        Command::Envelope { room, text: too_long.clone(), quoted: Some(Seq(2)), n_context: 0 },
        Command::Ask(empty.clone()),
        Command::Ask(too_much),
        Command::Ask(no_text),
        Command::Ask(NewAsk { text: too_long, ..empty }),
    ] {
        let refused = town.run(ada, command.clone());
        assert!(matches!(refused, Err(CommandError::Invalid(_))), "{command:?}: {refused:?}");
    }
}

#[test]
fn a_room_without_an_assistant_says_how_to_add_one() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    let text = "why?".to_owned();
    let (promise, attached) = (Hash([0; 32]), Vec::new());
    for command in [
        Command::Envelope { room, text: text.clone(), quoted: None, n_context: 3 },
        Command::Ask(NewAsk { room, text, promise, attached, again: None, tag: None }),
    ] {
        let refused = town.run(ada, command);
        assert!(matches!(refused, Err(CommandError::NotFound(_))), "{refused:?}");
    }
}

#[test]
fn a_card_that_is_forged_or_older_than_seen_is_not_believed() {
    let (mut town, [ada, bob, agent], room) = with_agent();
    let account = town.account(agent);
    let old = town.server.cards[&account].clone();
    town.wait(SECOND);
    town.run(agent, Command::PutCard(card("m2"))).unwrap();
    let shown = envelope(&mut town, ada, room);
    assert_eq!(shown.card.unwrap().model, "m2");
    let mut forged = town.server.cards[&account].clone();
    let at = forged.len() - 1;
    forged[at] ^= 1;
    for bad in [old, forged, vec![1, 2]] {
        town.server.cards.insert(account, bad);
        let text = "why?".to_owned();
        let command = Command::Envelope { room, text, quoted: None, n_context: 3 };
        let refused = town.run(ada, command);
        assert!(matches!(refused, Err(CommandError::Untrusted(_))), "{refused:?}");
    }
    // Offline, or if the server has none, it is the one that is kept here.
    town.server.cards.remove(&account);
    assert_eq!(envelope(&mut town, ada, room).card.unwrap().model, "m2");
    town.goes_offline(ada);
    assert_eq!(envelope(&mut town, ada, room).card.unwrap().model, "m2");
    town.goes_offline(bob);
    town.restart(bob);
    assert_eq!(envelope(&mut town, bob, room).card.unwrap().model, "m1");
}

#[test]
fn an_assistant_in_an_open_room_answers_what_it_is_asked() {
    let (mut town, [ada, bob]) = Town::with(["ada", "bob"]);
    let agent = town.agent_joins("mathia");
    town.run(agent, Command::PutCard(card("m1"))).unwrap();
    let open = NewRoom { is_open: true, ..town.new_room(&[bob, agent]) };
    let room = town.makes(ada, open);
    town.says(bob, room, "hello everybody");
    let ask = asks(&mut town, bob, room, Vec::new());
    town.run(agent, Command::Stream { room, ask, text: "well ".into() }).unwrap();
    town.settle();
    assert_eq!(streams(&town, ada), [("well ".to_owned(), false)]);
    answers(&mut town, agent, room, ask);
    town.wait(SECOND);
    let told = town.timeline(ada, room);
    assert!(told.iter().any(|entry| matches!(entry.content.said(), Some(Content::Answer(_)))));
    assert!(told.iter().any(|entry| matches!(
        &entry.content,
        EntryContent::Change(change) if change.text == "added mathia, who answers what it is asked"
    )));
}

#[test]
fn asking_survives_the_loss_of_the_session_at_each_call() {
    for at in 0..10 {
        let (mut town, [ada, bob, agent], room) = with_agent();
        let mut n_calls = 0;
        town.tamper = Some(Box::new(move |who, _| {
            n_calls += usize::from(who == ada);
            (who == ada && n_calls == at + 1).then_some(Fate::CutAfter)
        }));
        let text = "why?".to_owned();
        let command = Command::Envelope { room, text: text.clone(), quoted: None, n_context: 3 };
        let first = town.run(ada, command.clone());
        town.wait(2 * SECOND);
        let Done::Envelope(shown) = first.or_else(|_| town.run(ada, command)).unwrap() else {
            panic!()
        };
        let promise = shown.promise;
        let attached = shown.context.iter().map(|one| one.seq).collect();
        let ask = NewAsk { room, text, promise, attached, again: None, tag: None };
        let Done::Queued { local_id } = town.run(ada, Command::Ask(ask)).unwrap() else { panic!() };
        let seq = town.accepted(ada, local_id);
        town.wait(SECOND);
        answers(&mut town, agent, room, seq);
        town.wait(5 * SECOND);
        let entries = town.timeline(bob, room);
        let n_asks = entries
            .iter()
            .filter(|entry| matches!(entry.content.said(), Some(Content::Ask(_))))
            .count();
        assert_eq!(n_asks, 1, "cut at call {at}");
    }
}

#[test]
fn publishing_a_card_that_the_server_refuses_fails() {
    let (mut town, [ada]) = Town::with(["ada"]);
    let is_card = |request: &Request| matches!(request, Request::PutCard { .. });
    town.once(is_card, Fate::Refuse(Fault::NotAllowed { rule: "agents only".into() }));
    let refused = town.run(ada, Command::PutCard(card("m1")));
    assert!(matches!(refused, Err(CommandError::Refused(_))), "{refused:?}");
}
