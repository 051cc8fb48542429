//! Saying something later: exactly once, whatever happens to the server meanwhile.

use mathia_protocol::crypto::message::Placement;
use mathia_protocol::id::{Seq, TimeMs};
use mathia_protocol::log::propose::Change;
use mathia_protocol::wire::{DropCause, Event, Fault, Reply, Request};

use super::cast::{Person, Town};

const HOUR_MS: u64 = 3_600_000;
/// Scheduled entries have numbers with the highest bit set.
const ID: u64 = 0x8000_0000_0000_0077;

fn later(town: &Town, ann: &mut Person, room: mathia_protocol::id::RoomId) -> (Request, Vec<u8>) {
    let entry = ann.seals_as(town, room, "remember the milk", Placement::Scheduled { id: ID });
    let due = TimeMs(town.now().0 + HOUR_MS);
    (Request::Schedule { room, entry: entry.clone(), due }, entry)
}

#[test]
fn a_scheduled_entry_is_appended_once_also_across_a_restart() {
    let mut town = Town::start();
    let (mut ann, mut bob, _, room) = town.three_friends();
    let (request, entry) = later(&town, &mut ann, room);
    assert_eq!(ann.calls(&town, request.clone()), Ok(Reply::Done));
    assert_eq!(ann.calls(&town, request.clone()), Ok(Reply::Done), "a lost answer comes again");
    let Ok(Reply::Schedules { schedules }) = ann.reads(&town, &Request::Schedules) else {
        panic!()
    };
    assert_eq!(schedules.len(), 1);
    town.time_passes(HOUR_MS - 1);
    bob.syncs(&town, room);
    assert_eq!(bob.rooms[&room].log.seq(), Seq(1), "not before its time");

    town.restarts();
    bob.comes_back(&town);
    town.time_passes(1);
    bob.hears("the reminder", |event| matches!(event, Event::Entry { seq: Seq(2), .. }));
    town.restarts();
    town.time_passes(HOUR_MS);
    bob.syncs(&town, room);
    assert_eq!(bob.rooms[&room].entries.len(), 2);
    assert_eq!(bob.rooms[&room].entries[1], entry);
    ann.comes_back(&town);
    let again = ann.calls(&town, request);
    assert!(again.is_err(), "its time and its number are used: {again:?}");
}

#[test]
fn an_entry_that_came_due_while_the_server_was_down_is_appended_at_once() {
    let mut town = Town::start_on_disk();
    let (mut ann, mut bob, _, room) = town.three_friends();
    let (request, _) = later(&town, &mut ann, room);
    ann.calls(&town, request).unwrap();
    town.clock.advance(10 * HOUR_MS);
    town.restarts();
    bob.comes_back(&town);
    town.time_passes(1);
    bob.syncs(&town, room);
    assert_eq!(bob.rooms[&room].log.seq(), Seq(2));
}

#[test]
fn what_was_taken_back_is_not_said() {
    let town = Town::start();
    let (mut ann, mut bob, _, room) = town.three_friends();
    let (request, _) = later(&town, &mut ann, room);
    ann.calls(&town, request).unwrap();
    let take_back = Request::Unschedule { room, id: ID };
    assert_eq!(bob.calls(&town, take_back.clone()), Err(Fault::NotFound), "not his");
    assert_eq!(ann.calls(&town, take_back.clone()), Ok(Reply::Done));
    assert_eq!(ann.calls(&town, take_back), Err(Fault::NotFound));
    town.time_passes(2 * HOUR_MS);
    bob.syncs(&town, room);
    assert_eq!(bob.rooms[&room].log.seq(), Seq(1));
}

#[test]
fn who_left_meanwhile_is_told_that_it_was_not_said() {
    let town = Town::start();
    let (ann, mut bob, mut eve, room) = town.three_friends();
    let (request, _) = later(&town, &mut eve, room);
    eve.calls(&town, request).unwrap();
    let leave = eve.commit(&town, room, &Change::Leave, &[&ann, &bob]);
    eve.commits(&town, room, leave).unwrap();
    town.time_passes(2 * HOUR_MS);
    let cause = DropCause::NotMember;
    let dropped = Event::ScheduleDropped { room, id: ID, cause };
    eve.hears("that it was dropped", |event| *event == dropped);
    bob.syncs(&town, room);
    assert_eq!(bob.rooms[&room].log.seq(), Seq(2));
}

#[test]
fn a_full_disk_delays_a_scheduled_entry_and_does_not_lose_it() {
    let town = Town::start();
    let (mut ann, mut bob, _, room) = town.three_friends();
    let (request, _) = later(&town, &mut ann, room);
    ann.calls(&town, request).unwrap();
    town.stage.set_full(true);
    town.clock.advance(HOUR_MS);
    let entry = bob.seals(&town, room, "hello");
    assert!(bob.appends(&town, room, entry.clone()).is_err());
    town.stage.set_full(false);
    town.time_passes(2_000);
    bob.hears("the reminder", |event| matches!(event, Event::Entry { seq: Seq(2), .. }));
    assert_eq!(bob.appends(&town, room, entry), Ok(Seq(3)));
}
