//! What stood in a log before somebody came, and what is forgotten of it.

use std::time::Duration;

use super::super::io::{BulkFailure, Input};
use super::town::{Town, set};
use crate::client::event::UnreadableCause;
use crate::client::{Command, Done, EntryContent, NewRoom};
use crate::crypto::commit::HistoryRule;
use crate::crypto::hash::sha256;
use crate::id::{Epoch, Seq};
use crate::wire::{EntryBody, Fault, Request};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

#[test]
fn a_newcomer_reads_what_was_said_before_where_history_is_shared() {
    let (mut town, [ada, bob]) = Town::with(["ada", "bob"]);
    let shared = NewRoom { shares_history: true, ..town.new_room(&[bob]) };
    let room = town.makes(ada, shared);
    let mut texts: Vec<String> = (0..10).map(|n| format!("text {n}")).collect();
    for text in &texts {
        town.says(ada, room, text);
    }
    town.run(ada, Command::Rotate(room)).unwrap();
    texts.push("@cleo was here?".to_owned());
    town.says(bob, room, "@cleo was here?");
    let cleo = town.joins("cleo");
    let people = town.people(&[cleo]);
    town.run(ada, Command::Add { room, people }).unwrap();
    town.wait(SECOND);
    assert_eq!(town.devices[cleo].room(room).unwrap().history, HistoryRule::All);
    assert!(town.devices[cleo].replica.entry(room, Seq(3)).unwrap().is_none(), "not asked for");
    town.server.page_len = 4;
    let command = Command::Timeline { room, before: Seq(0), count: 5 };
    let Done::Timeline { has_more, .. } = town.run(cleo, command).unwrap() else { panic!() };
    assert!(has_more);
    assert_eq!(town.texts(cleo, room), texts);
    town.restart(cleo);
    town.wait(SECOND);
    assert_eq!(town.texts(cleo, room), texts);
    let command = Command::Timeline { room, before: Seq(3), count: 50 };
    let Done::Timeline { entries, has_more } = town.run(cleo, command).unwrap() else { panic!() };
    assert_eq!((entries.len(), has_more), (2, false));
    assert!(town.devices[cleo].alarms().is_empty());
}

#[test]
fn keys_that_no_box_leads_to_are_granted_to_a_newcomer() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.says(ada, room, "of the first key");
    town.run(ada, Command::Rotate(room)).unwrap();
    town.says(bob, room, "of the second key");
    town.run(ada, set(room, "history", "all")).unwrap();
    town.says(ada, room, "now shared");
    let cleo = town.joins("cleo");
    let people = town.people(&[cleo]);
    town.run(ada, Command::Add { room, people }).unwrap();
    town.wait(SECOND);
    assert_eq!(town.texts(cleo, room), ["of the first key", "of the second key", "now shared"]);
    assert!(!town.log(room).grants.is_empty());
    let asked = town.devices[cleo].calls.iter().any(|call| matches!(call, Request::AskKeys { .. }));
    assert!(!asked, "nobody had to be asked");
}

#[test]
fn a_timeline_waits_for_older_pages_only_so_long() {
    let (mut town, [ada, bob]) = Town::with(["ada", "bob"]);
    let shared = NewRoom { shares_history: true, ..town.new_room(&[bob]) };
    let room = town.makes(ada, shared);
    for n in 0..5 {
        town.says(ada, room, &n.to_string());
    }
    let cleo = town.joins("cleo");
    let people = town.people(&[cleo]);
    town.run(ada, Command::Add { room, people }).unwrap();
    town.wait(SECOND);
    // Pages of older entries do not come.
    town.filter = Some(Box::new(move |who, input| {
        if who == cleo && matches!(input, Input::Page(..)) { Vec::new() } else { vec![input] }
    }));
    let id = town.begin(cleo, Command::Timeline { room, before: Seq(0), count: 50 });
    town.wait(9 * SECOND);
    assert!(town.answer(cleo, id).is_none());
    town.wait(2 * SECOND);
    let answer = town.answer(cleo, id);
    assert!(matches!(answer, Some(Ok(Done::Timeline { has_more: true, .. }))), "{answer:?}");
    // The session ends while another one waits: what is here is shown.
    let id = town.begin(cleo, Command::Timeline { room, before: Seq(0), count: 50 });
    town.settle();
    town.filter = None;
    town.goes_offline(cleo);
    assert!(matches!(town.answer(cleo, id), Some(Ok(Done::Timeline { .. }))));
    assert!(town.texts(cleo, room).is_empty(), "offline there is what there is");
    town.comes_back(cleo);
    assert_eq!(town.texts(cleo, room), ["0", "1", "2", "3", "4"]);
}

#[test]
fn older_pages_that_fail_are_asked_for_again_and_damage_is_told_once() {
    let (mut town, [ada, bob]) = Town::with(["ada", "bob"]);
    let shared = NewRoom { shares_history: true, ..town.new_room(&[bob]) };
    let room = town.makes(ada, shared);
    town.says(ada, room, "old");
    let cleo = town.joins("cleo");
    let people = town.people(&[cleo]);
    town.run(ada, Command::Add { room, people }).unwrap();
    town.wait(SECOND);
    for _ in 0..2 {
        town.filter = Some(Box::new(move |who, input| match input {
            Input::Page(id, _) if who == cleo => {
                vec![Input::Page(id, Err(BulkFailure::Fault(Fault::Damaged)))]
            }
            input => vec![input],
        }));
        assert!(town.texts(cleo, room).is_empty());
    }
    let damaged = |text: &&str| text.starts_with("a part of this room cannot be read");
    assert_eq!(town.devices[cleo].notices().into_iter().filter(damaged).count(), 1);
    town.filter = None;
    assert_eq!(town.texts(cleo, room), ["old"]);
}

#[test]
fn texts_older_than_the_policy_are_forgotten_with_their_keys() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.run(ada, set(room, "retention_days", "2")).unwrap();
    town.says(ada, room, "forget me");
    town.run(ada, Command::Rotate(room)).unwrap();
    town.wait(DAY);
    town.says(bob, room, "remember me");
    town.wait(DAY + Duration::from_hours(1));
    for who in [ada, bob] {
        assert_eq!(town.texts(who, room), ["remember me"], "{who}");
        let epochs = town.devices[who].replica.epochs(room).unwrap();
        assert!(!epochs.contains(&Epoch(1)), "{epochs:?}");
        let gone = town.timeline(who, room);
        assert!(gone.iter().any(|entry| entry.content == EntryContent::Expired));
        town.restart(who);
        town.wait(SECOND);
        assert_eq!(town.texts(who, room), ["remember me"]);
        assert!(town.devices[who].alarms().is_empty());
    }
    town.wait(2 * DAY);
    assert!(town.texts(ada, room).is_empty());
    for who in [ada, bob] {
        assert_eq!(town.devices[who].disk.wiped, [Epoch(1)], "the files are scrubbed once");
    }
    town.says(ada, room, "on it goes");
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), ["on it goes"]);
}

#[test]
fn what_the_server_forgot_is_shown_as_expired() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.run(ada, set(room, "retention_days", "30")).unwrap();
    town.goes_offline(bob);
    for n in 0..3 {
        town.says(ada, room, &n.to_string());
    }
    let log = town.log(room);
    for entry in &mut log.entries[2..4] {
        let EntryBody::Whole(bytes) = &entry.body else { panic!() };
        entry.body = EntryBody::Gone(sha256(&[bytes]));
    }
    town.comes_back(bob);
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), ["2"]);
    town.assert_whole(bob, room);
    assert!(town.devices[bob].alarms().is_empty());
}

#[test]
fn somebody_removed_and_added_again_goes_on_reading() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.says(ada, room, "one");
    town.wait(SECOND);
    let (person, people) = (town.person(bob), town.people(&[bob]));
    town.run(ada, Command::Remove { room, person }).unwrap();
    town.says(ada, room, "not for bob");
    town.run(ada, Command::Add { room, people }).unwrap();
    town.says(ada, room, "two");
    town.wait(5 * SECOND);
    assert_eq!(town.texts(bob, room), ["one", "two"]);
    let entries = town.timeline(bob, room);
    let closed = EntryContent::Unreadable(UnreadableCause::BeforeJoin);
    assert!(entries.iter().any(|entry| entry.content == closed), "{entries:#?}");
    assert!(town.devices[bob].alarms().is_empty(), "{:?}", town.devices[bob].alarms());
    town.says(bob, room, "three");
    town.wait(SECOND);
    assert_eq!(town.texts(ada, room).last().map(String::as_str), Some("three"));
}
