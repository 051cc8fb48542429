//! Making and changing rooms, and reading them back.

use std::time::Duration;

use super::super::io::Input;
use super::town::{Fate, Town, is_commit, set};
use crate::client::{Command, CommandError, Done, EntryContent};
use crate::crypto::commit::{CommitKind, Role, RoomKind, RoomMode};
use crate::id::{Epoch, Hash, RoomId, Seq};
use crate::wire::{Event, Fault, Reply, Request};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_room_is_named_peopled_and_shown_to_everybody_in_it() {
    let (mut town, [ada, bob, cleo], room) = Town::with_room(["ada", "bob", "cleo"]);
    for who in [ada, bob, cleo] {
        let view = town.devices[who].room(room).unwrap();
        assert_eq!(
            (view.name.as_str(), view.kind, view.mode),
            ("team", RoomKind::Group, RoomMode::E2ee)
        );
        let names: Vec<&str> = view.members.iter().map(|member| member.handle.as_str()).collect();
        assert_eq!(names, ["ada", "bob", "cleo"]);
        assert_eq!(view.epoch, Epoch(1));
    }
    let codes: Vec<String> = [ada, bob, cleo]
        .map(|who| town.devices[who].room(room).unwrap().room_code.clone())
        .to_vec();
    assert!(codes[0] == codes[1] && codes[1] == codes[2]);
    let Done::Rooms(rooms) = town.run(bob, Command::Rooms).unwrap() else { panic!() };
    assert_eq!(rooms.len(), 1);
    let Done::People(people) = town.run(bob, Command::People).unwrap() else { panic!() };
    assert_eq!(
        people.iter().map(|one| one.handle.as_str()).collect::<Vec<_>>(),
        ["ada", "bob", "cleo"]
    );
}

#[test]
fn each_change_of_a_room_reaches_everybody_and_is_told_in_a_sentence() {
    let (mut town, [ada, bob, cleo], room) = Town::with_room(["ada", "bob", "cleo"]);
    let dora = town.joins("dora");
    let (bobs, cleos) = (town.person(bob), town.person(cleo));
    let people = town.people(&[dora]);
    let commands = [
        Command::Rename { room, name: "crew".parse().unwrap() },
        set(room, "topic", "what we do"),
        set(room, "who_adds", "any"),
        set(room, "who_adds", "admin"),
        set(room, "retention_days", "30"),
        set(room, "history", "all"),
        set(room, "history", "all"),
        set(room, "history", "since_join"),
        Command::SetRole { room, person: bobs, role: Role::Admin },
        Command::Add { room, people: people.clone() },
        Command::Add { room, people },
        Command::Remove { room, person: cleos },
        Command::Rotate(room),
        Command::Leave(room),
    ];
    for command in commands {
        let who = if matches!(command, Command::Leave(_)) { dora } else { ada };
        let done = town.run(who, command.clone());
        assert!(matches!(done, Ok(Done::Room(of)) if of == room), "{command:?}: {done:?}");
    }
    town.wait(SECOND);
    let view = town.devices[bob].room(room).unwrap();
    assert_eq!((view.name.as_str(), view.topic.as_str()), ("crew", "what we do"));
    assert_eq!((view.role, view.members.len()), (Role::Admin, 2));
    let told = |entries: Vec<crate::client::EntryView>| -> Vec<String> {
        let text = |entry: crate::client::EntryView| match entry.content {
            EntryContent::Change(change) => Some(change.text),
            _ => None,
        };
        entries.into_iter().filter_map(text).collect()
    };
    let sentences = told(town.timeline(bob, room));
    for sentence in [
        "made the room",
        "changed the room's settings",
        "made bob admin",
        "added dora",
        "removed cleo",
        "left",
    ] {
        assert!(sentences.iter().any(|told| told == sentence), "{sentence}: {sentences:?}");
    }
    assert!(sentences.iter().any(|told| told.starts_with("changed the room's key (epoch")));
    for who in [ada, bob] {
        town.assert_whole(who, room);
    }
    assert!(town.devices[cleo].replica.room(room).unwrap().is_some_and(|one| !one.facts.is_member));
}

#[test]
fn what_makes_no_sense_is_refused_before_the_server_hears_of_it() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.wait(SECOND);
    let n_before = town.devices[ada].calls.len();
    let long = "x".repeat(300);
    for command in [
        set(room, "topic", &long),
        set(room, "history", "some"),
        set(room, "who_adds", "nobody"),
        set(room, "retention_days", "4000"),
        set(room, "retention_days", "many"),
        set(room, "colour", "green"),
    ] {
        let refused = town.run(ada, command.clone());
        assert!(matches!(refused, Err(CommandError::Invalid(_))), "{command:?}: {refused:?}");
    }
    for command in
        [Command::Rename { room, name: "mine".parse().unwrap() }, set(room, "topic", "mine")]
    {
        let refused = town.run(bob, command);
        assert!(matches!(refused, Err(CommandError::Refused(_))), "{refused:?}");
    }
    let nowhere = RoomId([3; 32]);
    for command in [
        Command::Leave(nowhere),
        set(nowhere, "topic", "x"),
        Command::MarkRead { room: nowhere, upto: Seq(1) },
        Command::Timeline { room: nowhere, before: Seq(0), count: 1 },
        Command::Ticks(nowhere),
    ] {
        let refused = town.run(ada, command.clone());
        assert!(matches!(refused, Err(CommandError::NotFound(_))), "{command:?}: {refused:?}");
    }
    let sent = town.devices[ada].calls[n_before..].iter().filter(|call| is_commit(call)).count();
    assert_eq!(sent, 0);
}

#[test]
fn rules_of_the_room_are_kept_for_who_may_not_change_it() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let cleo = town.joins("cleo");
    let (adas, people) = (town.person(ada), town.people(&[cleo]));
    for command in [
        Command::Remove { room, person: adas.clone() },
        Command::SetRole { room, person: adas, role: Role::Guest },
        Command::Add { room, people },
        set(room, "history", "all"),
    ] {
        let refused = town.run(bob, command.clone());
        assert!(matches!(refused, Err(CommandError::Refused(_))), "{command:?}: {refused:?}");
    }
}

#[test]
fn a_direct_room_is_found_or_made_and_called_by_the_others_name() {
    let (mut town, [ada, bob]) = Town::with(["ada", "bob"]);
    let (adas, bobs) = (town.person(ada), town.person(bob));
    let Done::Room(room) = town.run(ada, Command::Direct(bobs.clone())).unwrap() else { panic!() };
    town.wait(SECOND);
    assert_eq!(town.devices[ada].room(room).unwrap().name, "bob");
    assert_eq!(town.devices[bob].room(room).unwrap().name, "ada");
    for (who, person) in [(ada, bobs), (bob, adas.clone())] {
        let Done::Room(known) = town.run(who, Command::Direct(person)).unwrap() else { panic!() };
        assert_eq!(known, room);
    }
    let refused = town.run(ada, Command::Direct(adas));
    assert!(matches!(refused, Err(CommandError::Invalid(_))), "{refused:?}");
    town.says(bob, room, "psst");
    town.wait(SECOND);
    assert_eq!(town.texts(ada, room), ["psst"]);
}

#[test]
fn who_makes_a_direct_room_at_the_same_time_gets_the_one_that_is_there() {
    let (mut town, [ada, bob]) = Town::with(["ada", "bob"]);
    let (adas, bobs) = (town.person(ada), town.person(bob));
    // Bob hears of the room only by the refusal.
    town.filter = Some(Box::new(move |who, input| {
        let is_head = matches!(input, Input::Event(Event::Room(_)));
        if who == bob && is_head { Vec::new() } else { vec![input] }
    }));
    let Done::Room(room) = town.run(ada, Command::Direct(bobs)).unwrap() else { panic!() };
    let id = town.begin(bob, Command::Direct(adas));
    town.wait(SECOND);
    town.filter = None;
    let account = town.account(bob);
    town.server.tell_head(account, room);
    town.wait(SECOND);
    let done = town.answer(bob, id);
    assert!(matches!(done, Some(Ok(Done::Room(found))) if found == room), "{done:?}");
}

#[test]
fn an_open_room_stands_in_the_lobby_and_anybody_may_join() {
    let (mut town, [ada, bob, cleo]) = Town::with(["ada", "bob", "cleo"]);
    let mut rooms = Vec::new();
    for name in ["square", "market", "harbour"] {
        let open = crate::client::NewRoom {
            name: name.parse().unwrap(),
            is_open: true,
            ..town.new_room(&[])
        };
        rooms.push(town.makes(ada, open));
    }
    town.server.page_len = 2;
    let Done::Lobby(lobby) = town.run(bob, Command::Lobby).unwrap() else { panic!() };
    assert_eq!(lobby.len(), 3);
    assert!(lobby.iter().all(|room| room.n_members == 1 && !room.is_member));
    town.server.page_len = 128;
    let room = rooms[0];
    town.says(ada, room, "hear, hear");
    for who in [bob, cleo] {
        let done = town.run(who, Command::JoinRoom(room));
        assert!(matches!(done, Ok(Done::Room(joined)) if joined == room), "{done:?}");
        let again = town.run(who, Command::JoinRoom(room));
        assert!(matches!(again, Ok(Done::Room(joined)) if joined == room), "{again:?}");
    }
    town.says(bob, room, "hello everybody");
    town.run(ada, Command::Rename { room, name: "plaza".parse().unwrap() }).unwrap();
    town.wait(SECOND);
    for who in [ada, bob, cleo] {
        assert_eq!(town.texts(who, room), ["hear, hear", "hello everybody"]);
        assert_eq!(town.devices[who].room(room).unwrap().name, "plaza");
        town.assert_whole(who, room);
    }
    let refused = town.run(bob, Command::JoinRoom(RoomId([9; 32])));
    assert!(matches!(refused, Err(CommandError::NotFound(_))), "{refused:?}");
}

#[test]
fn a_join_that_loses_the_race_is_made_anew() {
    let (mut town, [ada, bob]) = Town::with(["ada", "bob"]);
    let open = crate::client::NewRoom { is_open: true, ..town.new_room(&[]) };
    let room = town.makes(ada, open);
    let mut n = 0;
    town.tamper = Some(Box::new(move |_, request| {
        n += usize::from(is_commit(request));
        let moved = Fault::HeadMoved { commit: Hash([0; 32]) };
        (is_commit(request) && n <= 3).then_some(Fate::Refuse(moved))
    }));
    town.run(bob, Command::JoinRoom(room)).unwrap();
    town.tamper = Some(Box::new(|_, request| {
        let moved = Fault::HeadMoved { commit: Hash([0; 32]) };
        is_commit(request).then_some(Fate::Refuse(moved))
    }));
    let cleo = town.joins("cleo");
    let refused = town.run(cleo, Command::JoinRoom(room));
    assert!(matches!(refused, Err(CommandError::Refused(_))), "{refused:?}");
    let not = |_: &Request| true;
    town.once(not, Fate::Refuse(Fault::NotAllowed { rule: "no".into() }));
}

#[test]
fn of_two_changes_at_once_both_are_made_one_after_the_other() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.run(ada, set(room, "who_adds", "any")).unwrap();
    let (cleo, dora) = (town.joins("cleo"), town.joins("dora"));
    town.wait(SECOND);
    let (cleos, doras) = (town.people(&[cleo]), town.people(&[dora]));
    let first = town.begin(ada, Command::Add { room, people: cleos });
    let second = town.begin(bob, Command::Add { room, people: doras });
    town.wait(10 * SECOND);
    for (who, id) in [(ada, first), (bob, second)] {
        let done = town.answer(who, id);
        assert!(matches!(done, Some(Ok(Done::Room(_)))), "{done:?}");
    }
    assert_eq!(town.log(room).state.members().len(), 4);
    let is_moved = |call: &&Request| is_commit(call);
    let n_commits = [ada, bob]
        .map(|who| town.devices[who].calls.iter().filter(is_moved).count())
        .iter()
        .sum::<usize>();
    assert_eq!(n_commits, 5, "one was refused");
}

#[test]
fn refusals_of_a_change_are_tried_again_or_reported() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    for fault in [
        Fault::BadSeen,
        Fault::MissingWraps { n_missing: 1 },
        Fault::ServerBusy { retry_after_ms: 60_000 },
    ] {
        town.once(is_commit, Fate::Refuse(fault.clone()));
        let done = town.run(ada, Command::Rotate(room));
        assert!(matches!(done, Ok(Done::Room(_))), "{fault}: {done:?}");
    }
    for fault in [Fault::Invalid { rule: "no".into() }, Fault::RateLimited { retry_after_ms: 5 }] {
        town.once(is_commit, Fate::Refuse(fault.clone()));
        let refused = town.run(ada, Command::Rotate(room));
        assert!(
            matches!(refused, Err(CommandError::Refused(_) | CommandError::RateLimited { .. })),
            "{fault}: {refused:?}"
        );
    }
    town.once(is_commit, Fate::Answer(Reply::Done));
    assert!(town.run(ada, Command::Rotate(room)).is_err());
    town.tamper = Some(Box::new(|_, request| {
        let moved = Fault::HeadMoved { commit: Hash([0; 32]) };
        is_commit(request).then_some(Fate::Refuse(moved))
    }));
    let refused = town.run(ada, Command::Rotate(room));
    assert!(matches!(refused, Err(CommandError::Refused(_))), "{refused:?}");
    let room = town.new_room(&[]);
    town.tamper = Some(Box::new(|_, request| {
        is_commit(request).then_some(Fate::Refuse(Fault::ServerBusy { retry_after_ms: 10 }))
    }));
    let refused = town.run(ada, Command::CreateRoom(room.clone()));
    assert!(matches!(refused, Err(CommandError::Refused(_))), "{refused:?}");
    town.once(is_commit, Fate::Refuse(Fault::NameTaken));
    let refused = town.run(ada, Command::CreateRoom(room));
    assert!(matches!(refused, Err(CommandError::Refused(_))), "{refused:?}");
}

#[test]
fn a_room_of_very_many_devices_gets_its_wraps_in_batches() {
    let mut town = Town::new();
    let ada = town.joins("ada");
    let mut people = Vec::new();
    for n in 0..14 {
        let who = town.joins(&format!("person{n}"));
        for _ in 0..30 {
            town.adds_device(who);
        }
        people.push(who);
    }
    let room = town.makes_room(ada, &people);
    assert_eq!(town.log(room).wraps.len(), 14 * 31 + 1);
    let is_staging = |call: &&Request| matches!(call, Request::StageWraps { .. });
    assert_eq!(town.devices[ada].calls.iter().filter(is_staging).count(), 1);
    town.says(people[3], room, "a crowd");
    town.wait(SECOND);
    assert_eq!(town.texts(ada, room), ["a crowd"]);
}

#[test]
fn a_change_says_who_did_what_also_for_many() {
    let mut town = Town::new();
    let ada = town.joins("ada");
    let many: Vec<usize> = (0..8).map(|n| town.joins(&format!("person{n}"))).collect();
    let room = town.makes_room(ada, &[]);
    let people = town.people(&many);
    town.run(ada, Command::Add { room, people }).unwrap();
    town.wait(SECOND);
    let entries = town.timeline(ada, room);
    let Some(EntryContent::Change(change)) = entries.last().map(|entry| entry.content.clone())
    else {
        panic!()
    };
    assert_eq!(change.kind, CommitKind::Add);
    assert!(
        change.text.starts_with("added ") && change.text.ends_with("2 more"),
        "{}",
        change.text
    );
}
