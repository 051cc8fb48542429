//! Changing a room: first come first served, with every key in place, and told to whom it concerns.

use mathia_protocol::crypto::commit::{Policy, Role, RoomKind};
use mathia_protocol::id::{Epoch, Seq, WorkspaceId};
use mathia_protocol::log::propose::Change;
use mathia_protocol::wire::{BulkRequest, Event, Fault, Reply, Request};
use mathia_server::limits::Limits;

use super::cast::{Person, Town};

#[test]
fn of_two_commits_on_one_head_the_first_wins_and_the_other_rebuilds() {
    let town = Town::start();
    let (mut ann, mut bob, eve, room) = town.three_friends();
    let by_ann = ann.commit(&town, room, &Change::Rotate, &[&bob, &eve]);
    let by_bob = bob.commit(&town, room, &Change::Rotate, &[&ann, &eve]);
    assert_eq!(ann.commits(&town, room, by_ann.clone()), Ok(Seq(2)));
    let head = by_ann.0.hash();
    assert_eq!(bob.commits(&town, room, by_bob), Err(Fault::HeadMoved { commit: head }));
    assert_eq!(ann.commits(&town, room, by_ann.clone()), Ok(Seq(2)), "a lost answer comes again");
    bob.syncs(&town, room);
    let rebuilt = bob.commit(&town, room, &Change::Rotate, &[&ann, &eve]);
    assert_eq!(bob.commits(&town, room, rebuilt), Ok(Seq(3)));
    assert_eq!(ann.commits(&town, room, by_ann), Ok(Seq(2)), "also later");
}

#[test]
fn a_room_is_founded_once_however_often_the_commit_comes() {
    let town = Town::start();
    let mut ann = Person::registers(&town, "ann");
    let bob = Person::registers(&town, "bob");
    let (commit, wraps) = ann.create_commit(&town, RoomKind::Group, Policy::GROUP, &[&bob]);
    let room = ann.founds(&town, &commit, wraps.clone());
    assert_eq!(ann.founds(&town, &commit, wraps), room);
    assert_eq!(town.read().rooms_of(ann.account).unwrap().len(), 1);
}

#[test]
fn two_people_have_one_direct_room() {
    let town = Town::start();
    let (mut ann, mut bob) = (Person::registers(&town, "ann"), Person::registers(&town, "bob"));
    let (commit, wraps) = ann.create_commit(&town, RoomKind::Direct, Policy::DIRECT, &[&bob]);
    let room = ann.founds(&town, &commit, wraps).unwrap();
    let (commit, wraps) = bob.create_commit(&town, RoomKind::Direct, Policy::DIRECT, &[&ann]);
    assert_eq!(bob.founds(&town, &commit, wraps), Err(Fault::Exists { room }));
}

#[test]
fn who_is_removed_hears_nothing_more_and_can_fetch_nothing_more() {
    let town = Town::start();
    let (mut ann, bob, mut eve, room) = town.three_friends();
    let removal = ann.commit(&town, room, &Change::Remove(vec![eve.account]), &[&bob, &eve]);
    ann.commits(&town, room, removal).unwrap();
    ann.syncs(&town, room);
    ann.says(&town, room, "now we are alone").unwrap();
    eve.hears("that the room is gone", |event| *event == Event::RoomGone { room });
    assert_eq!(eve.events(), [], "neither the commit nor what came after");
    let all = BulkRequest::After { room, after: Seq(0), count: 100 };
    assert_eq!(eve.fetches(&town, &all), Err(Fault::NotFound));
    let wraps = Request::Wraps { room, from: Epoch(1) };
    assert_eq!(eve.reads(&town, &wraps), Err(Fault::NotFound));
    assert_eq!(eve.says(&town, room, "hello?"), Err(Fault::NotFound));
    assert_eq!(ann.fetches(&town, &all).unwrap().len(), 1);
}

#[test]
fn a_newcomer_learns_of_the_room_first_and_finds_nothing_unread() {
    let town = Town::start();
    let mut ann = Person::registers(&town, "ann");
    let mut zoe = Person::registers(&town, "zoe");
    let room = ann.creates(&town, &[]).unwrap();
    ann.syncs(&town, room);
    ann.says(&town, room, "before zoe").unwrap();
    ann.syncs(&town, room);
    let add = Change::Add(vec![(zoe.account, Role::Member)]);
    let add = ann.commit(&town, room, &add, &[&zoe]);
    assert_eq!(ann.commits(&town, room, add), Ok(Seq(3)));
    zoe.hears("the commit that added her", |event| {
        matches!(event, Event::Entry { seq: Seq(3), .. })
    });
    let events = zoe.events();
    let [Event::Room(head)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((head.room, head.seq, head.n_unread), (room, Seq(3), 0));
    ann.syncs(&town, room);
    ann.says(&town, room, "welcome").unwrap();
    zoe.hears("what is said from now on", |event| {
        matches!(event, Event::Entry { seq: Seq(4), .. })
    });
    let Reply::Resumed { heads, .. } = zoe.resumes(&town).0 else { panic!() };
    assert_eq!((heads[0].seq, heads[0].n_unread), (Seq(4), 1));
    zoe.syncs(&town, room);
    assert_eq!(zoe.rooms[&room].entries.len(), 4, "she may verify the log from its beginning");
}

#[test]
fn a_commit_waits_for_a_key_for_every_device() {
    let town = Town::start();
    let (mut ann, bob, eve, room) = town.three_friends();
    let (commit, wraps) = ann.commit(&town, room, &Change::Rotate, &[&bob, &eve]);
    let (first, rest) = wraps.split_at(1);
    let some = (commit.clone(), first.to_vec());
    assert_eq!(ann.commits(&town, room, some.clone()), Err(Fault::MissingWraps { n_missing: 2 }));
    let stage = Request::StageWraps { commit: commit.hash(), wraps: rest.to_vec() };
    assert_eq!(ann.calls(&town, stage), Ok(Reply::Staged { n_wraps: 2 }));
    assert_eq!(ann.commits(&town, room, some), Ok(Seq(2)));
    for person in [&ann, &bob, &eve] {
        let Ok(Reply::Wraps { wraps }) =
            person.reads(&town, &Request::Wraps { room, from: Epoch(1) })
        else {
            panic!("no wraps");
        };
        let epochs: Vec<Epoch> = wraps.iter().map(|wrap| wrap.epoch).collect();
        assert_eq!(epochs, [Epoch(1), Epoch(2)]);
    }
}

#[test]
fn an_open_room_has_a_name_of_its_own_and_anybody_joins_alone() {
    let town = Town::start();
    let (mut ann, mut bob) = (Person::registers(&town, "ann"), Person::registers(&town, "bob"));
    let room = ann.creates_open(&town, "lobby").unwrap();
    assert_eq!(bob.creates_open(&town, "lobby"), Err(Fault::NameTaken));
    ann.syncs(&town, room);
    ann.says(&town, room, "a canary sings").unwrap();

    let lobby = Request::Lobby { workspace: WorkspaceId::MAIN, after: None };
    let Ok(Reply::Lobby { rooms, more: false }) = bob.reads(&town, &lobby) else { panic!() };
    let lines: Vec<_> = rooms.iter().map(|line| (line.name.as_str(), line.n_members)).collect();
    assert_eq!(lines, [("lobby", 1)]);
    let all = BulkRequest::After { room, after: Seq(0), count: 100 };
    assert_eq!(bob.fetches(&town, &all), Err(Fault::NotFound), "reading is for members");
    let commits = bob.fetches(&town, &BulkRequest::Commits { room, after: Seq(0) });
    assert_eq!(commits.unwrap().len(), 1, "joining is for all");

    bob.rooms.insert(room, ann.rooms.remove(&room).unwrap());
    let join = Change::Add(vec![(bob.account, Role::Member)]);
    let join = bob.commit(&town, room, &join, &[&ann]);
    bob.commits(&town, room, join).unwrap();
    bob.syncs(&town, room);
    assert_eq!(bob.says(&town, room, "hello ann"), Ok(Seq(4)));
    ann.hears("bob", |event| matches!(event, Event::Entry { seq: Seq(4), .. }));
    let bodies = town.read().entries(mathia_server::store::EntryRange {
        room: town.read().room(room).unwrap().unwrap().number,
        from: Seq(1),
        to: Seq(9),
        n_rows_max: 9,
        n_bytes_max: usize::MAX,
    });
    for row in bodies.unwrap() {
        let body = row.body.unwrap();
        assert!(!body.windows(6).any(|bytes| bytes == b"canary"), "a body lies in clear");
    }
}

#[test]
fn an_open_room_can_be_renamed_to_a_free_name_only() {
    let town = Town::start();
    let mut ann = Person::registers(&town, "ann");
    let room = ann.creates_open(&town, "lobby").unwrap();
    ann.creates_open(&town, "kitchen").unwrap();
    ann.syncs(&town, room);
    assert_eq!(ann.renames(&town, room, "kitchen"), Err(Fault::NameTaken));
    assert_eq!(ann.renames(&town, room, "garden"), Ok(Seq(2)));
    let find = |name: &str| {
        let read = town.read();
        town.reads.open_room_named(read.as_ref(), WorkspaceId::MAIN, name).unwrap()
    };
    assert_eq!((find("garden"), find("lobby")), (Some(room), None));
}

#[test]
fn a_rotation_that_must_be_is_never_put_off() {
    let town = Town::start_with(Limits { commits_per_hour: 2, ..Limits::default() });
    let (mut ann, bob, mut eve, room) = town.three_friends();
    let rotation = ann.commit(&town, room, &Change::Rotate, &[&bob, &eve]);
    ann.commits(&town, room, rotation).unwrap();
    eve.syncs(&town, room);
    let leave = eve.commit(&town, room, &Change::Leave, &[&ann, &bob]);
    eve.commits(&town, room, leave).unwrap();
    ann.syncs(&town, room);
    let forced = ann.commit(&town, room, &Change::Rotate, &[&bob, &eve]);
    assert_eq!(ann.commits(&town, room, forced), Ok(Seq(4)), "Eve still holds the key");
    ann.syncs(&town, room);
    let whim = ann.commit(&town, room, &Change::Rotate, &[&bob, &eve]);
    let answer = ann.commits(&town, room, whim);
    assert!(matches!(answer, Err(Fault::RateLimited { .. })), "{answer:?}");
}

#[test]
fn a_clock_that_is_wrong_is_told_the_right_time() {
    let town = Town::start();
    let (mut ann, bob, eve, room) = town.three_friends();
    let rotation = ann.commit(&town, room, &Change::Rotate, &[&bob, &eve]);
    town.clock.advance(6 * 60_000);
    let skew = Err(Fault::ClockSkew { time: town.now() });
    assert_eq!(ann.commits(&town, room, rotation), skew);
}

#[test]
fn a_member_may_not_change_what_its_role_does_not_allow() {
    let town = Town::start();
    let (ann, mut bob, eve, room) = town.three_friends();
    let removal = bob.commit(&town, room, &Change::Remove(vec![eve.account]), &[&ann, &eve]);
    let answer = bob.commits(&town, room, removal);
    assert!(matches!(answer, Err(Fault::NotAllowed { .. })), "{answer:?}");
}
