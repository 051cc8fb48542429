//! Following a log, and what happens when the server's log is not what it was.

use std::time::Duration;

use super::super::io::{BulkFailure, Input, Page};
use super::town::Town;
use crate::client::event::AlarmCause;
use crate::client::{Command, CommandError};
use crate::id::Hash;
use crate::wire::{EntryBody, Fault};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_log_is_followed_over_many_pages_without_reading_ahead_of_its_judging() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.goes_offline(bob);
    let texts: Vec<String> = (0..400).map(|n| n.to_string()).collect();
    for text in &texts {
        town.queues(ada, room, text);
    }
    town.wait(5 * SECOND);
    town.server.page_len = 50;
    town.comes_back(bob);
    assert_eq!(town.texts(bob, room), texts);
    assert!(town.devices[bob].is_caught_up());
}

#[test]
fn entries_that_are_announced_and_not_handed_out_are_an_alarm() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.goes_offline(bob);
    town.says(ada, room, "withheld");
    town.filter = Some(Box::new(move |who, input| match input {
        Input::Page(id, Ok(Some(page))) if who == bob => {
            let page = Page { entries: Vec::new(), is_last: true, ..page };
            vec![Input::Page(id, Ok(Some(page)))]
        }
        input => vec![input],
    }));
    town.comes_back(bob);
    town.wait(10 * SECOND);
    assert_eq!(town.devices[bob].alarms(), [AlarmCause::Withheld]);
    assert!(!town.devices[bob].is_caught_up());
    town.filter = None;
    town.cut(bob);
    town.wait(10 * SECOND);
    assert_eq!(town.texts(bob, room), ["withheld"]);
    assert!(town.devices[bob].is_caught_up());
}

#[test]
fn a_read_that_breaks_off_goes_on_after_a_moment() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.goes_offline(bob);
    let texts: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    for text in &texts {
        town.queues(ada, room, text);
    }
    town.wait(SECOND);
    town.server.page_len = 5;
    let mut n = 0;
    town.filter = Some(Box::new(move |who, input| match input {
        Input::Page(id, page) if who == bob => {
            n += 1;
            let broken = BulkFailure::Lost("reset".into());
            vec![if n % 3 == 0 { Input::Page(id, Err(broken)) } else { Input::Page(id, page) }]
        }
        input => vec![input],
    }));
    town.comes_back(bob);
    town.wait(10 * SECOND);
    assert_eq!(town.texts(bob, room), texts);
    assert!(town.devices[bob].alarms().is_empty());
}

#[test]
fn a_log_with_another_history_stops_the_room() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.says(ada, room, "one");
    town.goes_offline(bob);
    let seq = town.says(ada, room, "two");
    // Somebody else's bytes stand where bob is told of.
    town.filter = Some(Box::new(move |who, input| match input {
        Input::Page(id, Ok(Some(mut page))) if who == bob => {
            if let Some(last) = page.entries.last_mut() {
                last.body = EntryBody::Whole(vec![2, 0, 0]);
            }
            vec![Input::Page(id, Ok(Some(page)))]
        }
        input => vec![input],
    }));
    town.comes_back(bob);
    town.wait(SECOND);
    assert!(town.devices[bob].alarms().contains(&AlarmCause::Fork), "{seq}");
    let refused = town.run(bob, Command::Send { room, text: "x".into(), tag: None });
    assert!(matches!(refused, Err(CommandError::Untrusted(_))), "{refused:?}");
    assert!(town.devices[bob].room(room).unwrap().sending_stopped.is_some());
    for command in
        [Command::Rotate(room), Command::Schedule { room, text: "x".into(), due: town.server.now }]
    {
        let refused = town.run(bob, command);
        assert!(matches!(refused, Err(CommandError::Untrusted(_))), "{refused:?}");
    }
    town.filter = None;
    town.restart(bob);
    let refused = town.run(bob, Command::Send { room, text: "x".into(), tag: None });
    assert!(matches!(refused, Err(CommandError::Untrusted(_))), "it stays so: {refused:?}");
}

#[test]
fn a_commit_that_breaks_the_rules_stops_the_room_before_anything_behind_it() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.says(ada, room, "good");
    town.wait(SECOND);
    // The first commit once more: it follows nothing here.
    let now = town.server.now;
    let EntryBody::Whole(mut bytes) = town.log(room).entries[0].body.clone() else { panic!() };
    let at = bytes.len() - 1;
    bytes[at] ^= 1;
    for bytes in [bytes, town.server.arrived[0].clone()] {
        let seq = town.log(room).push(bytes, now);
        let event = town.log(room).event(seq);
        town.server.tell_room(room, &event);
    }
    town.wait(SECOND);
    assert!(town.devices[bob].alarms().contains(&AlarmCause::BrokenLog));
    assert_eq!(town.texts(bob, room), ["good"]);
    assert!(town.devices[bob].room(room).unwrap().sending_stopped.is_some());
    town.restart(bob);
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), ["good"]);
}

#[test]
fn a_room_whose_changes_do_not_verify_is_not_entered() {
    let cases: [fn(&mut Page); 5] = [
        |page| page.entries.clear(),
        |page| page.entries[0].body = EntryBody::Gone(Hash([0; 32])),
        |page| page.entries[0].body = EntryBody::Whole(vec![1, 2, 3]),
        |page| {
            let EntryBody::Whole(bytes) = &mut page.entries[0].body else { return };
            let at = bytes.len() - 1;
            bytes[at] ^= 1;
        },
        |page| page.entries.push(page.entries[0].clone()),
    ];
    for (n, spoil) in cases.into_iter().enumerate() {
        let (mut town, [ada, bob]) = Town::with(["ada", "bob"]);
        town.filter = Some(Box::new(move |who, input| match input {
            Input::Page(id, Ok(Some(mut page))) if who == bob => {
                spoil(&mut page);
                vec![Input::Page(id, Ok(Some(page)))]
            }
            input => vec![input],
        }));
        let room = town.makes_room(ada, &[bob]);
        assert_eq!(town.devices[bob].alarms(), [AlarmCause::BrokenLog], "{n}");
        assert!(town.devices[bob].room(room).unwrap().sending_stopped.is_some(), "{n}");
    }
}

#[test]
fn a_room_that_cannot_be_entered_now_is_entered_later() {
    for fault in [Fault::NotFound, Fault::ServerBusy { retry_after_ms: 100 }] {
        let (mut town, [ada, bob]) = Town::with(["ada", "bob"]);
        town.filter = Some(Box::new(move |who, input| match input {
            Input::Page(id, _) if who == bob => {
                vec![Input::Page(id, Err(BulkFailure::Fault(fault.clone())))]
            }
            input => vec![input],
        }));
        let room = town.makes_room(ada, &[bob]);
        town.filter = None;
        town.says(ada, room, "are you there?");
        town.cut(bob);
        town.wait(5 * SECOND);
        assert_eq!(town.texts(bob, room), ["are you there?"]);
    }
}

#[test]
fn a_log_that_the_server_has_lost_is_an_alarm_and_sending_stops() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    for n in 0..300 {
        town.queues(ada, room, &n.to_string());
    }
    town.wait(5 * SECOND);
    town.goes_offline(bob);
    // A backup from long ago: what bob has there is in his replica only.
    let log = town.log(room);
    log.entries.truncate(20);
    log.hashes.truncate(21);
    town.comes_back(bob);
    assert_eq!(town.devices[bob].alarms(), [AlarmCause::BrokenLog]);
    assert!(town.devices[bob].room(room).unwrap().sending_stopped.is_some());
    assert_eq!(town.texts(bob, room).len(), 300, "what is here stays here");
}
