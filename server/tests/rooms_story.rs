//! Stories about rooms: what people send through the desk, what the log holds, what each hears.

mod cast;

use cast::{Person, Town};
use mathia_protocol::id::Seq;
use mathia_protocol::wire::{Event, Fault};

#[test]
fn what_one_says_all_hear_and_everybody_has_the_same_log() {
    let town = Town::start();
    let (mut ann, mut bob, mut eve, room) = town.three_friends();
    assert_eq!(ann.says(&town, room, "hello"), Ok(Seq(2)));
    assert_eq!(bob.says(&town, room, "hi ann"), Ok(Seq(3)));
    for person in [&mut ann, &mut bob, &mut eve] {
        person
            .hears("the second message", |event| matches!(event, Event::Entry { seq: Seq(3), .. }));
        person.syncs(&town, room);
    }
    assert_eq!(ann.rooms[&room].log, bob.rooms[&room].log);
    assert_eq!(ann.rooms[&room].entries, eve.rooms[&room].entries);
}

#[test]
fn a_repeated_message_is_stored_once_and_answered_alike() {
    let town = Town::start();
    let (mut ann, mut bob, _, room) = town.three_friends();
    let entry = ann.seals(&town, room, "once");
    let first = ann.appends(&town, room, entry.clone());
    bob.says(&town, room, "between").unwrap();
    assert_eq!(ann.appends(&town, room, entry), first);
    bob.syncs(&town, room);
    assert_eq!(bob.rooms[&room].log.seq(), Seq(3));
}

#[test]
fn a_stranger_is_told_that_there_is_no_such_room() {
    let town = Town::start();
    let (mut ann, _, _, room) = town.three_friends();
    let mut mallory = Person::registers(&town, "mallory");
    mallory.rooms.insert(room, ann.rooms.remove(&room).unwrap());
    assert_eq!(mallory.says(&town, room, "let me in"), Err(Fault::NotFound));
}
