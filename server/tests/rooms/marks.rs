//! How far everybody is: told to the room in few words, and never backwards.

use mathia_protocol::id::{RoomId, Seq};
use mathia_protocol::wire::{DeliveredMark, Event, MarkBucket, Reply, Request, SignedTick};

use super::cast::{Person, Town};

/// More than the time between two flushes.
const MOMENT_MS: u64 = 300;

fn delivered(room: RoomId, upto: u64) -> Request {
    Request::Delivered { marks: vec![DeliveredMark { room, upto: Seq(upto) }] }
}

fn n_marks(person: &mut Person) -> usize {
    let is_marks = |event: &&Event| matches!(event, Event::Marks { .. });
    person.events().iter().filter(is_marks).count()
}

#[test]
fn many_marks_of_one_moment_are_told_once() {
    let town = Town::start();
    let (mut ann, mut bob, mut eve, room) = town.three_friends();
    for text in ["one", "two", "three"] {
        ann.says(&town, room, text).unwrap();
    }
    town.time_passes(MOMENT_MS);
    ann.events();
    for upto in 2..=4 {
        bob.calls(&town, delivered(room, upto)).unwrap();
        eve.calls(&town, delivered(room, upto - 1)).unwrap();
    }
    assert_eq!(n_marks(&mut ann), 0, "not at once");
    town.time_passes(MOMENT_MS);
    let event = ann.hears("marks", |event| matches!(event, Event::Marks { .. }));
    let Event::Marks { delivered: stairs, .. } = event else { panic!() };
    let step = |upto, n_accounts| MarkBucket { upto: Seq(upto), n_accounts };
    assert_eq!(stairs, [step(4, 2), step(3, 3)], "Ann has her own by sending");
    assert_eq!(n_marks(&mut ann), 0, "and only once");
    eve.calls(&town, delivered(room, 1)).unwrap();
    town.time_passes(MOMENT_MS);
    assert_eq!(n_marks(&mut ann), 0, "a mark that does not rise is no news");
}

#[test]
fn reading_is_told_to_the_own_devices_and_signed_to_the_others() {
    let town = Town::start();
    let (mut ann, mut bob, _, room) = town.three_friends();
    for text in ["one", "two"] {
        ann.says(&town, room, text).unwrap();
    }
    town.time_passes(MOMENT_MS);
    ann.events();
    let signature = [4; 64];
    let read = Request::Read { room, upto: Seq(2), signature };
    let marked = Reply::Marked { read_upto: Seq(2), n_unread: 1 };
    assert_eq!(bob.calls(&town, read.clone()), Ok(marked.clone()));
    town.time_passes(MOMENT_MS);
    bob.hears("the own mark", |event| {
        matches!(event, Event::OwnMark { read_upto: Seq(2), n_unread: 1, .. })
    });
    let tick = SignedTick { account: bob.account, device: bob.device, upto: Seq(2), signature };
    ann.hears(
        "Bob's tick",
        |event| matches!(event, Event::Ticks { ticks, .. } if *ticks == [tick.clone()]),
    );
    let listed = ann.reads(&town, &Request::Ticks { room });
    assert_eq!(listed, Ok(Reply::Ticks { ticks: vec![tick] }));
    let older = Request::Read { room, upto: Seq(1), signature };
    assert_eq!(bob.calls(&town, older), Ok(marked), "a read mark never falls");
}

#[test]
fn a_read_mark_survives_a_crash_right_after_its_answer() {
    let mut town = Town::start_on_disk();
    let (mut ann, mut bob, _, room) = town.three_friends();
    ann.says(&town, room, "one").unwrap();
    let read = Request::Read { room, upto: Seq(2), signature: [4; 64] };
    bob.calls(&town, read).unwrap();
    town.stage.breaks();
    ann.asks(&town, delivered(room, 1));
    town.stage.last_words();
    town.is_repaired();
    let Reply::Resumed { heads, .. } = bob.resumes(&town).0 else { panic!() };
    assert_eq!((heads[0].read_upto, heads[0].n_unread), (Seq(2), 0));
}

#[test]
fn a_graceful_stop_keeps_every_mark() {
    let mut town = Town::start();
    let (mut ann, mut bob, _, room) = town.three_friends();
    ann.says(&town, room, "one").unwrap();
    bob.calls(&town, delivered(room, 2)).unwrap();
    town.restarts();
    let Reply::Resumed { heads, .. } = bob.resumes(&town).0 else { panic!() };
    assert_eq!((heads[0].delivered_upto, heads[0].n_unread), (Seq(2), 1));
    let step = |upto, n_accounts| MarkBucket { upto: Seq(upto), n_accounts };
    assert_eq!(heads[0].delivered, [step(2, 2), step(1, 3)]);
    let Reply::Resumed { heads, .. } = ann.resumes(&town).0 else { panic!() };
    assert_eq!((heads[0].read_upto, heads[0].n_unread), (Seq(2), 0), "sending is reading");
    assert_eq!(heads[0].last_counter.0, 1);
}

#[test]
fn a_mark_beyond_the_head_is_not_believed() {
    let town = Town::start();
    let (mut ann, mut bob, _, room) = town.three_friends();
    bob.calls(&town, delivered(room, 1_000)).unwrap();
    let read = Request::Read { room, upto: Seq(9), signature: [0; 64] };
    assert!(bob.calls(&town, read).is_err());
    ann.says(&town, room, "one").unwrap();
    town.time_passes(MOMENT_MS);
    let event = ann.hears("marks", |event| matches!(event, Event::Marks { .. }));
    let Event::Marks { delivered: stairs, .. } = event else { panic!() };
    assert_eq!(stairs[0], MarkBucket { upto: Seq(2), n_accounts: 1 });
}
