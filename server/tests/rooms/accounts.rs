//! Coming in, growing a chain, and being shown the door.

use mathia_protocol::crypto::identity::SigningKey;
use mathia_protocol::crypto::user_chain::LinkBody;
use mathia_protocol::id::{AccountId, InviteToken, TimeMs};
use mathia_protocol::wire::{Event, Fault, Recover, Registration, Reply, Request};
use mathia_server::hub::SessionEnd;
use mathia_server::rooms::AdminJob;

use super::cast::{Person, Town, log_in};

const TOKEN: InviteToken = InviteToken([1; 16]);
const OTHER: InviteToken = InviteToken([2; 16]);
const DAY_MS: u64 = 24 * 3_600_000;

fn invited_town() -> Town {
    let mut town = Town::start();
    town.registration = Registration::Invite;
    town.restarts();
    town
}

#[test]
fn an_invite_is_used_up_by_one_and_a_lost_answer_burns_nothing() {
    let town = invited_town();
    let (_, ann) = Person::genesis(&town, "ann", 1);
    let (_, bob) = Person::genesis(&town, "bob", 2);
    assert_eq!(town.register(Person::registration(&ann, None)), Err(Fault::InviteNeeded));
    let by = |genesis, token| town.register(Person::registration(genesis, Some(token)));
    assert_eq!(by(&ann, TOKEN), Err(Fault::InviteInvalid), "not made yet");
    town.invites(TOKEN, 1);
    let first = by(&ann, TOKEN).unwrap();
    assert_eq!(by(&ann, TOKEN), Ok(first), "the same again");
    assert_eq!(by(&bob, TOKEN), Err(Fault::InviteInvalid), "used up");
    town.invites(OTHER, 1);
    assert_eq!(by(&ann, OTHER), Err(Fault::InviteInvalid), "she came by another");
    assert!(by(&bob, OTHER).is_ok());
}

#[test]
fn a_taken_name_is_told_only_to_a_live_invite_and_only_a_few_times() {
    let town = invited_town();
    town.invites(TOKEN, 2);
    let by = |name, seed, token| {
        let (_, genesis) = Person::genesis(&town, name, seed);
        town.register(Person::registration(&genesis, Some(token)))
    };
    by("ann", 1, TOKEN).unwrap();
    assert_eq!(by("ann", 2, OTHER), Err(Fault::InviteInvalid), "a stranger learns nothing");
    for seed in 10..15 {
        assert_eq!(by("ann", seed, TOKEN), Err(Fault::NameTaken));
    }
    assert_eq!(by("ann", 15, TOKEN), Err(Fault::InviteInvalid), "five names an invite");
    assert!(by("bob", 16, TOKEN).is_ok(), "a free name is still fine");
    assert_eq!(by("mathia", 17, TOKEN), Err(Fault::InviteInvalid));
}

#[test]
fn the_assistants_name_is_for_no_person() {
    let town = Town::start();
    assert_eq!(Person::registers_by(&town, "mathia", None).map(drop), Err(Fault::NameInvalid));
}

#[test]
fn a_member_invites_and_is_told_who_joined_until_the_join_is_done() {
    let town = invited_town();
    town.invites(OTHER, 1);
    let mut ann = Person::registers_by(&town, "ann", Some(OTHER)).unwrap();
    let room = ann.creates(&town, &[]).unwrap();
    let expires = TimeMs(town.now().0 + DAY_MS);
    let invite = Request::CreateInvite { token: TOKEN, uses: 1, expires, rooms: vec![room] };
    assert_eq!(ann.calls(&town, invite.clone()), Ok(Reply::Done));
    assert_eq!(ann.calls(&town, invite), Ok(Reply::Done), "a lost answer comes again");
    let Ok(Reply::Invites { invites }) = ann.reads(&town, &Request::Invites) else { panic!() };
    assert_eq!((invites.len(), invites[0].token, invites[0].uses_left), (1, TOKEN, 1));
    let bob = Person::registers_by(&town, "bob", Some(TOKEN)).unwrap();
    let joined = Event::Joined { token: TOKEN, account: bob.account };
    ann.hears("that Bob joined", |event| *event == joined);
    let Ok(Reply::Joins { joins }) = ann.reads(&town, &Request::Joins) else { panic!() };
    assert_eq!((joins[0].account, joins[0].proof), (bob.account, [5; 32]));
    assert_eq!(ann.resumes(&town).1, [joined], "also when she was away");
    ann.calls(&town, Request::FinishJoin { token: TOKEN, account: bob.account }).unwrap();
    assert_eq!(ann.reads(&town, &Request::Joins), Ok(Reply::Joins { joins: Vec::new() }));
}

#[test]
fn an_invite_that_was_taken_back_or_has_ended_lets_nobody_in() {
    let town = Town::start();
    let (mut ann, mut bob) = (Person::registers(&town, "ann"), Person::registers(&town, "bob"));
    let expires = TimeMs(town.now().0 + DAY_MS);
    for token in [TOKEN, OTHER] {
        let invite = Request::CreateInvite { token, uses: 9, expires, rooms: Vec::new() };
        ann.calls(&town, invite).unwrap();
    }
    let revoke = Request::RevokeInvite { token: TOKEN };
    assert_eq!(bob.calls(&town, revoke.clone()), Err(Fault::NotFound), "not his");
    ann.calls(&town, revoke).unwrap();
    let by = |name, token| Person::registers_by(&town, name, Some(token)).map(drop);
    assert_eq!(by("zoe", TOKEN), Err(Fault::InviteInvalid));
    assert_eq!(by("zoe", OTHER), Ok(()));
    town.clock.advance(DAY_MS);
    assert_eq!(by("max", OTHER), Err(Fault::InviteInvalid));
}

#[test]
fn a_revoked_device_is_shown_the_door_and_everybody_who_shares_a_room_is_told() {
    let town = Town::start();
    let (mut ann, mut bob, _, _) = town.three_friends();
    let (key, record) = ann.offers_device(&town, "phone");
    let add = ann.links(&town, LinkBody::AddDevice(Box::new(record)));
    assert_eq!(ann.calls(&town, Request::PutLink { link: add.0.clone() }), Ok(Reply::Done));
    assert_eq!(ann.calls(&town, Request::PutLink { link: add.0 }), Ok(Reply::Done), "again");
    let (phone, _) = log_in(&town, ann.account, key.device_id());
    let body = LinkBody::RevokeDevice { device: key.device_id(), reason: 0 };
    let revoke = ann.links(&town, body);
    ann.calls(&town, Request::PutLink { link: revoke.0.clone() }).unwrap();
    let session_end = phone.gather(&mut Vec::new(), &mut Vec::new());
    assert_eq!(session_end, Some(SessionEnd::Expelled));
    let (account, hash) = (ann.account, revoke.hash());
    let grew = Event::ChainGrew { account, seq: 3, hash };
    bob.hears("that Ann's chain grew", |event| *event == grew);
    let chain = Request::Chain { account, from: 3 };
    let newest = Reply::Chain { links: vec![revoke.0], more: false };
    assert_eq!(bob.reads(&town, &chain), Ok(newest));
}

#[test]
fn the_recovery_key_adds_a_device_and_no_other_key_does() {
    let town = Town::start();
    let mut ann = Person::registers(&town, "ann");
    let (_, record) = ann.offers_device(&town, "new laptop");
    let body = LinkBody::AddDevice(Box::new(record));
    let by = |signer: &SigningKey| {
        let link = ann.chain.next_link(body.clone(), town.now(), signer.device_id()).sign(signer);
        Recover { account: ann.account, link: link.0, signature: [0; 64] }
    };
    assert_eq!(town.recover(by(&ann.key)), Err(Fault::AuthFailed), "that is what logins are for");
    let recovery = by(&ann.recovery);
    assert_eq!(town.recover(recovery.clone()), Ok(()));
    assert_eq!(town.recover(recovery.clone()), Ok(()), "a lost answer comes again");
    let stranger = Recover { account: AccountId([9; 32]), ..recovery };
    assert_eq!(town.recover(stranger), Err(Fault::AuthFailed));
    ann.hears("that her chain grew", |event| matches!(event, Event::ChainGrew { seq: 2, .. }));
}

#[test]
fn a_young_device_cannot_lock_the_older_ones_out() {
    let town = Town::start();
    let mut ann = Person::registers(&town, "ann");
    town.clock.advance(2 * DAY_MS);
    let (thief, record) = ann.offers_device(&town, "thief");
    let added = town.now();
    let add = ann.links(&town, LinkBody::AddDevice(Box::new(record)));
    ann.calls(&town, Request::PutLink { link: add.0 }).unwrap();
    let body = LinkBody::RevokeDevice { device: ann.device, reason: 0 };
    let link = |body| ann.chain.next_link(body, town.now(), thief.device_id()).sign(&thief);
    let coup = link(body);
    let until = TimeMs(added.0 + DAY_MS);
    let put = Request::PutLink { link: coup.0 };
    assert_eq!(ann.calls(&town, put), Err(Fault::DeviceTooYoung { until }));
}

#[test]
fn a_link_that_is_not_the_next_one_or_of_another_time_is_refused() {
    let town = Town::start();
    let mut ann = Person::registers(&town, "ann");
    let before = ann.chain.clone();
    let (_, phone) = ann.offers_device(&town, "phone");
    let (_, tablet) = ann.offers_device(&town, "tablet");
    let add = ann.links(&town, LinkBody::AddDevice(Box::new(phone)));
    ann.calls(&town, Request::PutLink { link: add.0 }).unwrap();
    let body = LinkBody::AddDevice(Box::new(tablet));
    let rival = before.next_link(body.clone(), town.now(), ann.device).sign(&ann.key);
    let answer = ann.calls(&town, Request::PutLink { link: rival.0 });
    assert_eq!(answer, Err(Fault::ChainMoved { seq: 2 }));
    let late = ann.chain.next_link(body, town.now(), ann.device).sign(&ann.key);
    town.clock.advance(6 * 60_000);
    let answer = ann.calls(&town, Request::PutLink { link: late.0 });
    assert_eq!(answer, Err(Fault::ClockSkew { time: town.now() }));
}

#[test]
fn a_removed_account_is_expelled_and_not_found_any_more() {
    let town = Town::start();
    let (mut ann, bob, _, room) = town.three_friends();
    let found = bob.reads(&town, &Request::FindAccount { handle: "ann".into() });
    assert_eq!(found, Ok(Reply::Found { account: ann.account }));
    let handle = "ann".to_owned();
    town.admin(|answer| AdminJob::RemoveAccount { handle, answer }).unwrap();
    assert!(ann.is_expelled());
    let found = bob.reads(&town, &Request::FindAccount { handle: "ann".into() });
    assert_eq!(found, Err(Fault::NotFound));
    let read = town.read();
    assert!(town.reads.login_chain(read.as_ref(), ann.account).unwrap().is_none());
    assert!(town.reads.login_chain(read.as_ref(), bob.account).unwrap().is_some());
    assert_eq!(ann.says(&town, room, "one last word"), Err(Fault::AuthFailed));
}

#[test]
fn looking_names_up_is_slow_work() {
    let town = Town::start();
    let ann = Person::registers(&town, "ann");
    let find = Request::FindAccount { handle: "nobody".into() };
    for _ in 0..town.limits.lookups_per_hour {
        assert_eq!(ann.reads(&town, &find), Err(Fault::NotFound));
    }
    assert!(matches!(ann.reads(&town, &find), Err(Fault::RateLimited { .. })));
}
