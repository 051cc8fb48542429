//! Calls: how many are open, what is lost with the session, and what is left for later.

use std::time::Duration;

use super::town::{Fate, Town, is_append};
use crate::client::event::ClientEvent;
use crate::client::{Command, CommandError, Done};
use crate::id::TimeMs;
use crate::wire::Request;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_call_without_an_answer_ends_the_session_and_the_next_one_goes_on() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.once(is_append, Fate::Silence);
    let local_id = town.queues(ada, room, "hello");
    town.wait(19 * SECOND);
    assert_eq!(town.devices[ada].n_disconnects, 0);
    town.wait(2 * SECOND);
    assert_eq!(town.devices[ada].n_disconnects, 1);
    town.accepted(ada, local_id);
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), ["hello"]);
}

#[test]
fn more_calls_than_the_server_takes_wait_in_their_order() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    town.says(ada, room, "x");
    town.wait(SECOND);
    town.tamper = Some(Box::new(|_, request| {
        matches!(request, Request::SetAway { .. }).then_some(Fate::Hold)
    }));
    let n_before = town.devices[ada].calls.len();
    let commands: Vec<_> =
        (0..100).map(|n| town.begin(ada, Command::SetAway(n % 3 == 0))).collect();
    town.settle();
    assert_eq!(town.held.len(), 64);
    town.tamper = None;
    town.release(false);
    let asked: Vec<bool> = town.devices[ada].calls[n_before..]
        .iter()
        .map(|call| matches!(call, Request::SetAway { is_away: true }))
        .collect();
    assert_eq!(asked, (0..100).map(|n| n % 3 == 0).collect::<Vec<_>>());
    for command in commands {
        assert!(matches!(town.answer(ada, command), Some(Ok(Done::Done))));
    }
}

#[test]
fn calls_that_wait_behind_others_are_lost_with_the_session() {
    let (mut town, [ada, _], _) = Town::with_room(["ada", "bob"]);
    town.tamper = Some(Box::new(|_, request| {
        matches!(request, Request::SetAway { .. }).then_some(Fate::Silence)
    }));
    let commands: Vec<_> = (0..70).map(|_| town.begin(ada, Command::SetAway(true))).collect();
    town.settle();
    town.cut(ada);
    town.settle();
    for command in commands {
        let answer = town.answer(ada, command);
        assert!(matches!(answer, Some(Err(CommandError::TimedOut))), "{answer:?}");
    }
}

#[test]
fn a_scheduled_text_appears_when_it_is_due() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let due = TimeMs(town.server.now.0 + 60_000);
    let text = "good morning".to_owned();
    town.run(ada, Command::Schedule { room, text, due }).unwrap();
    town.wait(30 * SECOND);
    assert!(town.texts(bob, room).is_empty());
    town.says(ada, room, "before");
    town.wait(40 * SECOND);
    town.says(ada, room, "after");
    town.wait(SECOND);
    for who in [ada, bob] {
        assert_eq!(town.texts(who, room), ["before", "good morning", "after"]);
        // Its number is remembered over a restart, so it can stand in the log once only.
        town.restart(who);
    }
    town.says(bob, room, "and on");
}

#[test]
fn a_scheduled_text_of_somebody_removed_is_dropped_and_they_are_told() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let due = TimeMs(town.server.now.0 + 60_000);
    town.run(bob, Command::Schedule { room, text: "hi".into(), due }).unwrap();
    let person = town.person(bob);
    town.run(ada, Command::Remove { room, person }).unwrap();
    town.wait(61 * SECOND);
    let is_dropped = |event: &ClientEvent| matches!(event, ClientEvent::ScheduleDropped { .. });
    assert!(town.devices[bob].events.iter().any(is_dropped));
}
