//! Every command that takes several calls survives the loss of the session at each of them.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::town::{Fate, Town, Who};
use crate::client::{Command, NewRoom};
use crate::crypto::commit::Role;
use crate::id::RoomId;

/// More calls than any command makes.
const CALLS_MAX: usize = 60;

/// What a story begins with.
struct Scene {
    town: Town,
    ada: Who,
    bob: Who,
    cleo: Who,
    room: RoomId,
}

fn scene() -> Scene {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let cleo = town.joins("cleo");
    town.says(ada, room, "hello");
    town.wait(Duration::from_secs(1));
    Scene { town, ada, bob, cleo, room }
}

/// Runs a command with the session cut at its first call, its second, and so on, before the call
/// arrives and before its answer does. Afterwards everybody must be whole and able to speak.
fn survives(name: &str, command: impl Fn(&mut Scene) -> (Who, Command)) {
    for is_done in [false, true] {
        for at in 0..CALLS_MAX {
            let mut scene = scene();
            let (who, command) = command(&mut scene);
            let n_calls = Rc::new(Cell::new(0));
            let counted = Rc::clone(&n_calls);
            scene.town.tamper = Some(Box::new(move |caller, _| {
                if caller != who {
                    return None;
                }
                counted.set(counted.get() + 1);
                let fate = if is_done { Fate::CutAfter } else { Fate::CutBefore };
                (counted.get() == at + 1).then_some(fate)
            }));
            let id = scene.town.begin(who, command);
            scene.town.wait(Duration::from_mins(1));
            let answer = scene.town.answer(who, id);
            assert!(answer.is_some(), "{name}, cut at call {at}: never answered");
            scene.town.tamper = None;
            speaks(&mut scene, &format!("{name}, cut at call {at}: {answer:?}"));
            if n_calls.get() <= at {
                assert!(answer.is_some_and(|answer| answer.is_ok()), "{name}: without a cut");
                break;
            }
            assert!(at + 1 < CALLS_MAX, "{name} calls for ever");
        }
    }
}

/// Everybody who is still in a room can read and write there.
fn speaks(scene: &mut Scene, context: &str) {
    let town = &mut scene.town;
    for room in town.server.rooms.keys().copied().collect::<Vec<_>>() {
        let members = town.log(room).members();
        let present: Vec<Who> =
            (0..town.devices.len()).filter(|who| members.contains(&town.account(*who))).collect();
        for who in &present {
            assert!(town.devices[*who].is_caught_up(), "{context}: device {who} is not caught up");
            town.says(*who, room, &format!("from {who}"));
        }
        town.wait(Duration::from_secs(1));
        for who in present {
            town.assert_whole(who, room);
            let texts = town.texts(who, room);
            assert!(texts.iter().any(|text| text == &format!("from {who}")), "{context}");
        }
    }
    for device in &town.devices {
        assert!(device.alarms().is_empty(), "{context}: {:?}", device.alarms());
    }
}

#[test]
fn making_a_room() {
    survives("create", |scene| {
        let room = scene.town.new_room(&[scene.bob, scene.cleo]);
        (scene.ada, Command::CreateRoom(room))
    });
}

#[test]
fn making_a_direct_room() {
    survives("direct", |scene| (scene.ada, Command::Direct(scene.town.person(scene.cleo))));
}

#[test]
fn adding_somebody() {
    survives("add", |scene| {
        let people = scene.town.people(&[scene.cleo]);
        (scene.ada, Command::Add { room: scene.room, people })
    });
}

#[test]
fn adding_somebody_who_gets_older_keys() {
    survives("add with grants", |scene| {
        let room = scene.room;
        let all = Command::Set { room, key: "history".into(), value: "all".into() };
        scene.town.run(scene.ada, all).unwrap();
        let people = scene.town.people(&[scene.cleo]);
        (scene.ada, Command::Add { room, people })
    });
}

#[test]
fn joining_an_open_room() {
    survives("join", |scene| {
        let open = NewRoom { is_open: true, ..scene.town.new_room(&[]) };
        let room = scene.town.makes(scene.ada, open);
        scene.town.says(scene.ada, room, "welcome");
        (scene.cleo, Command::JoinRoom(room))
    });
}

#[test]
fn beginning_a_new_epoch() {
    survives("rotate", |scene| (scene.ada, Command::Rotate(scene.room)));
}

#[test]
fn removing_somebody() {
    survives("remove", |scene| {
        let person = scene.town.person(scene.bob);
        (scene.ada, Command::Remove { room: scene.room, person })
    });
}

#[test]
fn leaving() {
    survives("leave", |scene| (scene.bob, Command::Leave(scene.room)));
}

#[test]
fn renaming() {
    survives("rename", |scene| {
        (scene.ada, Command::Rename { room: scene.room, name: "crew".parse().unwrap() })
    });
}

#[test]
fn giving_a_role() {
    survives("role", |scene| {
        let person = scene.town.person(scene.bob);
        (scene.ada, Command::SetRole { room: scene.room, person, role: Role::Moderator })
    });
}

#[test]
fn scheduling_a_text() {
    survives("schedule", |scene| {
        let due = crate::id::TimeMs(scene.town.server.now.0 + 30_000);
        (scene.ada, Command::Schedule { room: scene.room, text: "later".into(), due })
    });
}

#[test]
fn trusting_somebody_who_is_not_known_yet() {
    survives("trust", |scene| {
        let person = scene.town.person(scene.cleo);
        (scene.ada, Command::Trust { person, is_verified: true })
    });
    survives("safety", |scene| (scene.ada, Command::Safety(scene.town.person(scene.cleo))));
}

#[test]
fn listing_and_revoking_devices() {
    survives("devices", |scene| (scene.ada, Command::Devices));
    survives("revoke", |scene| {
        let phone = scene.town.adds_device(scene.ada);
        scene.town.settle();
        (scene.ada, Command::RevokeDevice(phone.device()))
    });
}

#[test]
fn inviting() {
    survives("invite", |scene| {
        let lifetime = Duration::from_hours(1);
        (scene.ada, Command::Invite { rooms: vec![scene.room], uses: 1, lifetime })
    });
}

#[test]
fn small_questions() {
    survives("lobby", |scene| (scene.ada, Command::Lobby));
    survives("sync", |scene| (scene.ada, Command::Sync));
    survives("schedules", |scene| (scene.ada, Command::Schedules));
    survives("invites", |scene| (scene.ada, Command::Invites));
    survives("ticks", |scene| (scene.ada, Command::Ticks(scene.room)));
}
