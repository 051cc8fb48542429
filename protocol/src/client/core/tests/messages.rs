//! Sending and receiving: exactly once, in order, whatever happens in between.

use std::time::Duration;

use super::town::{Fate, Town, is_append, is_entry};
use crate::client::event::{AlarmCause, ClientEvent, OutboxState, UnreadableCause};
use crate::client::{Command, CommandError, Done, EntryContent, RowTag};
use crate::crypto::content::Content;
use crate::id::Seq;
use crate::wire::Request;

use super::super::io::Input;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_ada_says_bob_reads() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.says(ada, room, "hello");
    town.says(bob, room, "hello yourself");
    town.wait(SECOND);
    assert_eq!(town.texts(ada, room), ["hello", "hello yourself"]);
    assert_eq!(town.texts(bob, room), ["hello", "hello yourself"]);
    town.assert_whole(ada, room);
    town.assert_whole(bob, room);
    assert!(town.devices[ada].alarms().is_empty() && town.devices[bob].alarms().is_empty());
}

#[test]
fn a_text_is_queued_sent_and_accepted_and_keeps_its_tag() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    let tag = Some(RowTag(7));
    let done = town.run(ada, Command::Send { room, text: "hello".into(), tag }).unwrap();
    let Done::Queued { local_id } = done else { panic!("{done:?}") };
    let seq = town.accepted(ada, local_id);
    let states = town.devices[ada].states(local_id);
    let accepted = OutboxState::Accepted { seq, time: town.server.rooms[&room].entries[1].time };
    assert_eq!(states, [OutboxState::Queued, OutboxState::Sent, accepted]);
    assert!(
        town.devices[ada].outbox_events().all(|view| view.tag == tag && view.text() == "hello")
    );
}

#[test]
fn a_text_too_long_is_refused_before_it_is_queued() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    let text = "x".repeat(20_000);
    let refused = town.run(ada, Command::Send { room, text, tag: None });
    assert!(matches!(refused, Err(CommandError::Invalid(_))), "{refused:?}");
    let nowhere = crate::id::RoomId([9; 32]);
    let refused = town.run(ada, Command::Send { room: nowhere, text: "x".into(), tag: None });
    assert!(matches!(refused, Err(CommandError::NotFound(_))), "{refused:?}");
}

#[test]
fn what_was_queued_offline_goes_out_in_order_and_once() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.goes_offline(ada);
    let texts: Vec<String> = (0..40).map(|n| format!("text {n}")).collect();
    for text in &texts {
        town.queues(ada, room, text);
    }
    assert!(town.server.arrived.is_empty());
    town.comes_back(ada);
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), texts);
    assert_eq!(town.server.arrived.len(), 40);
}

#[test]
fn after_a_lost_answer_the_same_bytes_go_out_again_and_stand_once_in_the_log() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    for fate in [Fate::CutAfter, Fate::CutBefore] {
        town.server.arrived.clear();
        town.once(is_append, fate);
        town.says(ada, room, "hello");
    }
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), ["hello", "hello"]);
    let appends: Vec<&Request> =
        town.devices[ada].calls.iter().filter(|call| is_append(call)).collect();
    // The log told of the first before it was sent again, so it was not; the second never arrived.
    assert_eq!(appends.len(), 3, "{appends:?}");
    assert_eq!(appends[1], appends[2]);
}

#[test]
fn a_crash_between_sealing_and_the_answer_loses_nothing_and_doubles_nothing() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.once(is_append, Fate::Silence);
    let local_id = town.queues(ada, room, "hello");
    town.settle();
    assert_eq!(town.devices[ada].states(local_id).last(), Some(&OutboxState::Sent));
    town.tamper = None;
    town.restart(ada);
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), ["hello"]);
    let appends: Vec<&Request> =
        town.devices[ada].calls.iter().filter(|call| is_append(call)).collect();
    assert!(appends.len() == 2 && appends[0] == appends[1], "{appends:?}");
}

#[test]
fn answers_that_come_in_another_order_settle_every_message() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.goes_offline(bob);
    // The log must not be what settles them.
    town.filter =
        Some(Box::new(
            move |who, input| {
                if who == ada && is_entry(&input) { Vec::new() } else { vec![input] }
            },
        ));
    town.tamper = Some(Box::new(|_, request| is_append(request).then_some(Fate::Hold)));
    let rows: Vec<u64> = (0..5).map(|n| town.queues(ada, room, &n.to_string())).collect();
    town.settle();
    assert_eq!(town.held.len(), 5);
    town.tamper = None;
    town.release(true);
    for row in rows {
        let last = town.devices[ada].states(row).last().cloned();
        assert!(matches!(last, Some(OutboxState::Accepted { .. })), "{row}: {last:?}");
    }
    town.says(ada, room, "on it goes");
}

#[test]
fn two_processes_of_a_device_share_the_outbox_and_one_of_them_sends() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let (identity, replica) =
        (town.devices[ada].identity.duplicate(), town.devices[ada].replica.clone());
    let pipe = town.starts(identity, replica);
    town.wait(SECOND);
    let local_id = town.queues(pipe, room, "from the pipe");
    town.accepted(pipe, local_id);
    town.accepted(ada, local_id);
    let has_sent = |town: &Town, who: usize| town.devices[who].calls.iter().any(is_append);
    assert!(has_sent(&town, ada) && !has_sent(&town, pipe));
    // The one that sends ends; the other takes over.
    town.goes_offline(ada);
    town.devices[ada].let_go_of_drain();
    town.devices[ada].disk.is_slow = true;
    let local_id = town.queues(pipe, room, "again");
    town.accepted(pipe, local_id);
    assert!(has_sent(&town, pipe));
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), ["from the pipe", "again"]);
}

#[test]
fn what_is_still_queued_can_be_taken_back_and_what_was_sent_cannot() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.goes_offline(ada);
    let local_id = town.queues(ada, room, "no");
    let kept = town.queues(ada, room, "yes");
    town.run(ada, Command::Withdraw { local_id }).unwrap();
    assert_eq!(town.devices[ada].states(local_id).last(), Some(&OutboxState::Withdrawn));
    town.comes_back(ada);
    town.accepted(ada, kept);
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), ["yes"]);
    for local_id in [local_id, kept, 99] {
        let refused = town.run(ada, Command::Withdraw { local_id });
        assert!(matches!(refused, Err(CommandError::Refused(_))), "{refused:?}");
    }
}

#[test]
fn what_waits_for_a_room_fails_when_one_is_removed_from_it() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.goes_offline(bob);
    let local_id = town.queues(bob, room, "too late");
    let person = town.person(bob);
    town.run(ada, Command::Remove { room, person }).unwrap();
    town.comes_back(bob);
    town.wait(SECOND);
    let last = town.devices[bob].states(local_id).last().cloned();
    assert!(matches!(last, Some(OutboxState::Failed { .. })), "{last:?}");
    let is_gone =
        |event: &ClientEvent| matches!(event, ClientEvent::RoomGone(gone) if *gone == room);
    assert!(town.devices[bob].events.iter().any(is_gone));
    let refused = town.run(bob, Command::Send { room, text: "x".into(), tag: None });
    assert!(matches!(refused, Err(CommandError::Refused(_))), "{refused:?}");
}

#[test]
fn a_seal_that_the_disk_refuses_is_made_a_little_later() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    town.devices[ada].disk.n_failing_seals = 2;
    let local_id = town.queues(ada, room, "hello");
    town.settle();
    assert!(town.server.arrived.is_empty());
    town.accepted(ada, local_id);
}

#[test]
fn a_text_that_cannot_be_queued_fails_and_nothing_is_sent() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    town.wait(SECOND);
    town.devices[ada].disk.n_failing_writes = 1;
    let failed = town.run(ada, Command::Send { room, text: "hello".into(), tag: None });
    assert!(matches!(failed, Err(CommandError::Storage(_))), "{failed:?}");
    town.wait(10 * SECOND);
    assert!(town.server.arrived.is_empty());
    assert!(town.devices[ada].notices().iter().any(|text| text.contains("cannot store")));
    town.says(ada, room, "now there is space");
}

#[test]
fn an_ack_that_cannot_be_stored_is_stored_after_the_next_login() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.tamper = Some(Box::new(|_, request| is_append(request).then_some(Fate::Hold)));
    let local_id = town.queues(ada, room, "hello");
    town.settle();
    town.tamper = None;
    town.devices[ada].disk.n_failing_writes = 2;
    town.release(false);
    town.wait(SECOND);
    town.cut(ada);
    town.accepted(ada, local_id);
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), ["hello"]);
}

#[test]
fn lost_doubled_and_delayed_events_change_nothing_about_the_log() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let (mut n, mut late) = (0, Vec::new());
    town.filter = Some(Box::new(move |who, input| {
        if who != bob || !is_entry(&input) {
            return vec![input];
        }
        let Input::Event(event) = &input else { return vec![input] };
        n += 1;
        match n % 4 {
            0 => Vec::new(),
            1 => vec![Input::Event(event.clone()), Input::Event(event.clone())],
            2 => {
                late.push(Input::Event(event.clone()));
                Vec::new()
            }
            _ => [vec![Input::Event(event.clone())], std::mem::take(&mut late)].concat_all(),
        }
    }));
    let texts: Vec<String> = (0..13).map(|n| n.to_string()).collect();
    for text in &texts {
        town.says(ada, room, text);
    }
    town.wait(5 * SECOND);
    assert_eq!(town.texts(bob, room), texts);
    assert!(town.devices[bob].alarms().is_empty());
}

/// Joins lists of what cannot be cloned.
trait ConcatAll<T> {
    fn concat_all(self) -> Vec<T>;
}

impl<T, const N: usize> ConcatAll<T> for [Vec<T>; N] {
    fn concat_all(self) -> Vec<T> {
        self.into_iter().flatten().collect()
    }
}

#[test]
fn a_message_that_names_somebody_is_a_mention_until_it_is_read() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.says(ada, room, "@bob, look");
    let seq = town.says(ada, room, "never mind");
    town.wait(SECOND);
    let view = town.devices[bob].room(room).unwrap();
    assert_eq!((view.n_mentions, view.n_unread), (1, 2));
    town.run(bob, Command::MarkRead { room, upto: seq }).unwrap();
    town.wait(SECOND);
    let view = town.devices[bob].room(room).unwrap();
    assert_eq!((view.n_mentions, view.n_unread), (0, 0));
}

#[test]
fn bytes_that_are_no_message_are_shown_as_a_red_line_and_the_log_goes_on() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let now = town.server.now;
    let seq = town.log(room).push(vec![2, 3, 4], now);
    let event = town.log(room).event(seq);
    town.server.tell_room(room, &event);
    town.says(ada, room, "hello");
    town.wait(SECOND);
    let entries = town.timeline(bob, room);
    assert!(matches!(entries[1].content, EntryContent::Rejected { .. }), "{entries:?}");
    assert_eq!(town.texts(bob, room), ["hello"]);
}

#[test]
fn a_message_that_the_server_stores_twice_is_shown_once() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.says(ada, room, "hello");
    let (entry, now) = (town.server.arrived[0].clone(), town.server.now);
    let seq = town.log(room).push(entry, now);
    let event = town.log(room).event(seq);
    town.server.tell_room(room, &event);
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), ["hello"]);
    assert!(town.devices[bob].alarms().contains(&AlarmCause::BrokenLog), "a replay");
    let refused = town.run(bob, Command::Send { room, text: "x".into(), tag: None });
    assert!(matches!(refused, Err(CommandError::Untrusted(_))), "{refused:?}");
}

#[test]
fn what_was_said_before_somebody_joined_stays_closed_to_them() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.says(ada, room, "between us");
    let cleo = town.joins("cleo");
    let people = town.people(&[cleo]);
    town.run(ada, Command::Add { room, people }).unwrap();
    town.says(bob, room, "welcome");
    town.wait(SECOND);
    let entries = town.timeline(cleo, room);
    let before: Vec<_> = entries
        .iter()
        .filter(|entry| entry.content == EntryContent::Unreadable(UnreadableCause::BeforeJoin))
        .collect();
    assert!(before.len() <= 1, "{before:?}");
    assert_eq!(town.texts(cleo, room), ["welcome"]);
    let is_text = |content: &EntryContent| matches!(content, EntryContent::Said(Content::Text(_)));
    assert_eq!(entries.iter().filter(|entry| is_text(&entry.content)).count(), 1);
    assert!(town.devices[cleo].replica.entry(room, Seq(2)).unwrap().is_none());
}
