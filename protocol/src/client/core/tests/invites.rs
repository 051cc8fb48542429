//! Invites, and letting in who joined by them.

use std::time::Duration;

use super::town::{Fate, Town, Who, is_commit};
use crate::client::{Command, CommandError, Done};
use crate::crypto::invite::{Invite, InviteSecret};
use crate::id::RoomId;
use crate::wire::{Fault, JoinLine, Request};

const SECOND: Duration = Duration::from_secs(1);

/// Makes an invite; its secret.
fn invites(town: &mut Town, who: Who, rooms: &[RoomId]) -> InviteSecret {
    let lifetime = Duration::from_hours(1);
    let command = Command::Invite { rooms: rooms.to_vec(), uses: 3, lifetime };
    let Done::Invite(link) = town.run(who, command).unwrap() else { panic!() };
    let invite: Invite = link.0.parse().unwrap();
    let ticket = invite.ticket.unwrap();
    assert!(ticket.is_from(town.account(who)));
    InviteSecret::from_bytes(&ticket.secret.to_bytes())
}

/// Somebody joins by an invite; the proof is of `secret`.
fn joins(town: &mut Town, who: Who, by: &InviteSecret, secret: &InviteSecret, rooms: &[RoomId]) {
    let account = town.account(who);
    let (token, proof) = (by.token(), secret.proof(account));
    town.server.join(JoinLine { token, account, proof, rooms: rooms.to_vec() });
}

#[test]
fn who_joins_by_an_invite_is_added_to_its_rooms() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    let other = town.makes_room(ada, &[]);
    let secret = invites(&mut town, ada, &[room, other]);
    let cleo = town.joins("cleo");
    joins(&mut town, cleo, &secret, &secret, &[room, other]);
    town.wait(5 * SECOND);
    assert!(town.server.joins.is_empty(), "it is finished");
    for room in [room, other] {
        let account = town.account(cleo);
        assert!(town.log(room).state.is_member(account));
    }
    assert!(town.devices[ada].notices().contains(&"cleo joined by your invite"));
    town.says(cleo, room, "here I am");
}

#[test]
fn who_joins_without_knowing_the_secret_is_not_added() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    let secret = invites(&mut town, ada, &[room]);
    let cleo = town.joins("cleo");
    joins(&mut town, cleo, &secret, &InviteSecret::from_bytes(&[5; 16]), &[room]);
    town.wait(5 * SECOND);
    assert!(town.server.joins.is_empty());
    assert_eq!(town.log(room).state.members().len(), 2);
    assert!(town.devices[ada].notices().iter().any(|text| text.contains("without knowing it")));
}

#[test]
fn who_joined_while_the_inviter_was_away_is_added_at_the_next_login() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    let secret = invites(&mut town, ada, &[room]);
    town.goes_offline(ada);
    let cleo = town.joins("cleo");
    joins(&mut town, cleo, &secret, &secret, &[room]);
    town.comes_back(ada);
    town.wait(5 * SECOND);
    assert_eq!(town.log(room).state.members().len(), 3);
}

#[test]
fn sync_lets_in_who_waits() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    let secret = invites(&mut town, ada, &[room]);
    let cleo = town.joins("cleo");
    town.filter = Some(Box::new(|_, input| {
        use super::super::io::Input;
        let is_join = matches!(input, Input::Event(crate::wire::Event::Joined { .. }));
        if is_join { Vec::new() } else { vec![input] }
    }));
    joins(&mut town, cleo, &secret, &secret, &[room]);
    town.run(ada, Command::Sync).unwrap();
    assert_eq!(town.log(room).state.members().len(), 3);
}

#[test]
fn a_join_that_cannot_work_is_finished_and_one_that_may_is_tried_again() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let secret = invites(&mut town, ada, &[room]);
    let cleo = town.joins("cleo");
    town.tamper = Some(Box::new(|_, request| {
        is_commit(request).then_some(Fate::Refuse(Fault::RateLimited { retry_after_ms: 10 }))
    }));
    joins(&mut town, cleo, &secret, &secret, &[room]);
    town.wait(5 * SECOND);
    assert_eq!(town.server.joins.len(), 1, "another time");
    town.tamper = None;
    // Meanwhile ada may no longer add anybody.
    let lifts = Command::SetRole {
        room,
        person: town.person(bob),
        role: crate::crypto::commit::Role::Owner,
    };
    town.run(ada, lifts).unwrap();
    let leaves = Command::Leave(room);
    town.run(ada, leaves).unwrap();
    town.wait(Duration::from_mins(11));
    assert!(town.server.joins.is_empty(), "never: it is not tried for ever");
    assert!(town.devices[ada].notices().iter().any(|text| text.contains("could not be added")));
}

#[test]
fn an_invite_of_another_device_is_left_to_that_device() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    let phone = town.adds_device(ada);
    let phone = town.starts(phone, crate::client::Replica::in_memory());
    town.wait(5 * SECOND);
    let secret = invites(&mut town, phone, &[room]);
    town.goes_offline(phone);
    let cleo = town.joins("cleo");
    joins(&mut town, cleo, &secret, &secret, &[room]);
    town.wait(5 * SECOND);
    assert_eq!(town.server.joins.len(), 1);
    let Done::Invites(views) = town.run(ada, Command::Invites).unwrap() else { panic!() };
    assert_eq!((views.len(), views[0].is_of_this_device), (1, false));
    town.comes_back(phone);
    town.wait(5 * SECOND);
    assert!(town.server.joins.is_empty());
}

#[test]
fn an_invite_is_listed_until_it_is_revoked() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    let token = invites(&mut town, ada, &[room]).token();
    let Done::Invites(views) = town.run(ada, Command::Invites).unwrap() else { panic!() };
    assert_eq!((views.len(), views[0].token, views[0].is_of_this_device), (1, token, true));
    town.run(ada, Command::RevokeInvite(token)).unwrap();
    let Done::Invites(views) = town.run(ada, Command::Invites).unwrap() else { panic!() };
    assert!(views.is_empty() && town.devices[ada].replica.invites().unwrap().is_empty());
    let gone = town.run(ada, Command::RevokeInvite(token));
    assert!(matches!(gone, Err(CommandError::NotFound(_))), "{gone:?}");
}

#[test]
fn an_invite_that_the_server_refuses_is_forgotten_here() {
    let (mut town, [ada, _], room) = Town::with_room(["ada", "bob"]);
    let is_invite = |request: &Request| matches!(request, Request::CreateInvite { .. });
    town.once(is_invite, Fate::Refuse(Fault::NotAllowed { rule: "no".into() }));
    let command = Command::Invite { rooms: vec![room], uses: 1, lifetime: SECOND };
    let refused = town.run(ada, command);
    assert!(matches!(refused, Err(CommandError::Refused(_))), "{refused:?}");
    assert!(town.devices[ada].replica.invites().unwrap().is_empty());
}

#[test]
fn what_is_scheduled_is_listed_and_can_be_taken_back() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let due = crate::id::TimeMs(town.server.now.0 + 60_000);
    let text = "later".to_owned();
    town.run(ada, Command::Schedule { room, text: text.clone(), due }).unwrap();
    let Done::Schedules(views) = town.run(ada, Command::Schedules).unwrap() else { panic!() };
    assert_eq!(views.len(), 1);
    let said = views[0].content.as_ref().and_then(|content| content.text().cloned());
    assert_eq!((said, views[0].due), (Some(text), due));
    let id = views[0].id;
    town.run(ada, Command::Unschedule { room, id }).unwrap();
    let gone = town.run(ada, Command::Unschedule { room, id });
    assert!(matches!(gone, Err(CommandError::NotFound(_))), "{gone:?}");
    town.wait(61 * SECOND);
    assert!(town.texts(bob, room).is_empty());
}
