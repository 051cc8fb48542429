//! Saying something: once, in order, and only by those who may.

use std::time::Instant;

use mathia_protocol::crypto::message::Placement;
use mathia_protocol::id::{Counter, Seq, TimeMs};
use mathia_protocol::limits::ENTRY_LEN_MAX;
use mathia_protocol::log::propose::Change;
use mathia_protocol::wire::{Event, Fault, Request};
use mathia_server::limits::Limits;

use super::cast::{DEADLINE, Person, Town};

#[test]
fn what_one_says_all_hear_and_everybody_has_the_same_log() {
    let town = Town::start();
    let (mut ann, mut bob, mut eve, room) = town.three_friends();
    assert_eq!(ann.says(&town, room, "hello"), Ok(Seq(2)));
    assert_eq!(bob.says(&town, room, "hi ann"), Ok(Seq(3)));
    for person in [&mut ann, &mut bob, &mut eve] {
        let is_third = |event: &Event| matches!(event, Event::Entry { seq: Seq(3), .. });
        person.hears("the second message", is_third);
        person.syncs(&town, room);
    }
    assert_eq!(ann.rooms[&room].log, bob.rooms[&room].log);
    assert_eq!(ann.rooms[&room].entries, eve.rooms[&room].entries);
}

#[test]
fn a_device_that_signs_wrongly_is_soon_dropped_and_says_no_more_until_a_restart() {
    let mut town = Town::start();
    let (mut ann, mut bob, mut eve, room) = town.three_friends();
    let deadline = Instant::now() + DEADLINE;
    while !eve.is_expelled() {
        assert!(Instant::now() < deadline, "nobody looked at what eve signs");
        town.clock.advance(1_000);
        let mut forged = eve.seals(&town, room, "believe me");
        *forged.last_mut().unwrap() ^= 1;
        // Refused once she was found out, which may be before she hears of it.
        drop(eve.appends(&town, room, forged));
        ann.says(&town, room, "honestly").unwrap();
    }
    eve.comes_back(&town);
    let rule = "this device signs its messages wrongly".to_owned();
    assert_eq!(eve.says(&town, room, "now truly"), Err(Fault::NotAllowed { rule: rule.clone() }));
    let later = eve.seals_as(&town, room, "later", Placement::Scheduled { id: 1 << 63 });
    let due = TimeMs(town.now().0 + 1_000);
    let refused = eve.calls(&town, Request::Schedule { room, entry: later, due });
    assert_eq!(refused, Err(Fault::NotAllowed { rule }));
    assert!(!ann.is_expelled() && !bob.is_expelled(), "they sign truly");
    bob.says(&town, room, "hi").unwrap();

    town.restarts();
    eve.comes_back(&town);
    let again = eve.says(&town, room, "me again");
    assert!(!matches!(again, Err(Fault::NotAllowed { .. })), "{again:?}");
}

#[test]
fn a_repeated_message_is_stored_once_and_answered_alike_whatever_happened_since() {
    let mut town = Town::start();
    let (mut ann, mut bob, eve, room) = town.three_friends();
    let entry = ann.seals(&town, room, "once");
    let first = ann.appends(&town, room, entry.clone());
    assert_eq!(first, Ok(Seq(2)));
    bob.syncs(&town, room);
    let rotated = bob.commit(&town, room, &Change::Rotate, &[&ann, &eve]);
    bob.commits(&town, room, rotated).unwrap();
    assert_eq!(ann.appends(&town, room, entry.clone()), first, "after a new epoch");
    town.restarts();
    ann.comes_back(&town);
    assert_eq!(ann.appends(&town, room, entry), first, "after a restart");
    ann.syncs(&town, room);
    assert_eq!(ann.rooms[&room].log.seq(), Seq(3));
}

#[test]
fn another_text_under_a_used_number_is_a_conflict() {
    let town = Town::start();
    let (mut ann, _, _, room) = town.three_friends();
    ann.says(&town, room, "first").unwrap();
    let placement = Placement::Live { counter: Counter(1), prev_own: [0; 16] };
    let other = ann.seals_as(&town, room, "another first", placement);
    let conflict = Err(Fault::CtrConflict { last: Counter(1) });
    assert_eq!(ann.appends(&town, room, other), conflict);
}

#[test]
fn after_a_refusal_all_later_messages_wait_for_the_refused_one() {
    let town = Town::start();
    let (mut ann, mut bob, eve, room) = town.three_friends();
    let rotated = bob.commit(&town, room, &Change::Rotate, &[&ann, &eve]);
    bob.commits(&town, room, rotated).unwrap();
    // Sealed before Ann knew of the new epoch, and sent one behind the other.
    let (one, two) = (ann.seals(&town, room, "one"), ann.seals(&town, room, "two"));
    let one = ann.asks(&town, Request::Append { room, entry: one });
    let two = ann.asks(&town, Request::Append { room, entry: two });
    let epoch = bob.rooms[&room].state.epoch().epoch.next();
    assert_eq!(ann.answer(one), Err(Fault::StaleEpoch { epoch }));
    assert_eq!(ann.answer(two), Err(Fault::StaleEpoch { epoch }));
    ann.syncs(&town, room);
    let skipped = Placement::Live { counter: Counter(2), prev_own: [0; 16] };
    let early = ann.seals_as(&town, room, "two", skipped);
    assert_eq!(ann.appends(&town, room, early), Err(Fault::OutOfOrder { last: Counter(0) }));
    let anew = Placement::Live { counter: Counter(1), prev_own: [0; 16] };
    let again = ann.seals_as(&town, room, "one", anew);
    assert_eq!(ann.appends(&town, room, again), Ok(Seq(3)));
}

#[test]
fn nobody_can_claim_to_have_seen_another_history() {
    let town = Town::start();
    let (mut ann, mut bob, _, room) = town.three_friends();
    bob.says(&town, room, "one").unwrap();
    let lie = ann.rooms[&room].log.extend(b"what was never said");
    ann.rooms.get_mut(&room).unwrap().log = lie;
    assert_eq!(ann.says(&town, room, "look"), Err(Fault::BadSeen));
    let future = lie.extend(b"a").extend(b"b").extend(b"c");
    bob.rooms.get_mut(&room).unwrap().log = future;
    assert_eq!(bob.says(&town, room, "I see the future"), Err(Fault::BadSeen));
}

#[test]
fn a_position_seen_long_ago_is_still_known() {
    let town = Town::start();
    let (mut ann, mut bob, _, room) = town.three_friends();
    for number in 0..300 {
        bob.says(&town, room, &format!("line {number}")).unwrap();
        town.clock.advance(1_000);
    }
    assert_eq!(ann.says(&town, room, "I am late"), Ok(Seq(302)));
}

#[test]
fn a_stranger_is_told_that_there_is_no_such_room() {
    let town = Town::start();
    let (mut ann, _, _, room) = town.three_friends();
    let mut mallory = Person::registers(&town, "mallory");
    mallory.rooms.insert(room, ann.rooms.remove(&room).unwrap());
    assert_eq!(mallory.says(&town, room, "let me in"), Err(Fault::NotFound));
}

#[test]
fn a_message_written_by_another_device_is_not_taken() {
    let town = Town::start();
    let (mut ann, mut bob, _, room) = town.three_friends();
    let stolen = ann.seals(&town, room, "mine");
    let answer = bob.appends(&town, room, stolen);
    assert!(matches!(answer, Err(Fault::NotAllowed { .. })), "{answer:?}");
}

#[test]
fn who_talks_too_much_is_told_when_to_go_on() {
    let town = Town::start_with(Limits { messages_burst: 3, ..Limits::default() });
    let (mut ann, _, _, room) = town.three_friends();
    for _ in 0..3 {
        ann.says(&town, room, "chatter").unwrap();
    }
    let entry = ann.seals(&town, room, "chatter");
    let Err(Fault::RateLimited { retry_after_ms }) = ann.appends(&town, room, entry.clone()) else {
        panic!("not limited");
    };
    town.clock.advance(retry_after_ms.into());
    assert_eq!(ann.appends(&town, room, entry), Ok(Seq(5)), "the same bytes, a little later");
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    let town = Town::start();
    let (mut ann, _, _, room) = town.three_friends();
    let good = ann.seals(&town, room, "fine");
    assert_eq!(ann.appends(&town, room, Vec::new()), Err(Fault::Malformed));
    assert_eq!(ann.appends(&town, room, good[..100].to_vec()), Err(Fault::Malformed));
    let mut other_tag = good.clone();
    other_tag[0] = 3;
    assert_eq!(ann.appends(&town, room, other_tag), Err(Fault::Malformed));
    assert!(matches!(
        ann.appends(&town, room, [good.clone(), vec![0; ENTRY_LEN_MAX]].concat()),
        Err(Fault::TooLarge { .. })
    ));
    assert_eq!(ann.appends(&town, room, good), Ok(Seq(2)), "none of it counted");
}
