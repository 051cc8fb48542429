//! People and their devices: new ones, revoked ones, and identities that come into question.

use std::time::Duration;

use super::super::io::Input;
use super::town::{Fate, Town, Who};
use crate::client::event::{AlarmCause, TrustState};
use crate::client::{Command, CommandError, Done, PersonRef};
use crate::crypto::user_chain::{AccountKind, LinkBody, SignedLink, UserChain};
use crate::id::{Epoch, TimeMs};
use crate::wire::{ChainHeadLine, Event, Fault, Reply, Request};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

fn handle(name: &str) -> PersonRef {
    PersonRef::Handle(name.parse().unwrap())
}

fn is_chain(request: &Request) -> bool {
    matches!(request, Request::Chain { .. })
}

/// What is handed out as the chain of the first of two.
type Links = fn(&Town, Who, Who) -> Vec<Vec<u8>>;

/// Another second link of an account than the server has: what a liar would hand out.
fn other_link(town: &Town, who: Who) -> SignedLink {
    let identity = &town.devices[who].identity;
    let genesis = &town.server.links[&identity.account][0];
    let chain = UserChain::found(genesis).unwrap();
    let recovery_key = crate::crypto::identity::SigningKey::from_seed(&[77; 32]).public();
    let body = LinkBody::RotateRecovery { recovery_key };
    chain.next_link(body, TimeMs(5), identity.device()).sign(&identity.signing)
}

/// Has everybody but the account itself served another history of a chain.
fn forks(town: &mut Town, of: Who) {
    let (account, link) = (town.account(of), other_link(town, of));
    let genesis = town.server.links[&account][0].clone();
    let hash = link.hash();
    town.tamper = Some(Box::new(move |who, request| match request {
        Request::Chain { account: asked, from } if *asked == account && who != of => {
            let all = [genesis.0.clone(), link.0.clone()];
            let links = all[usize::try_from(from.max(&1) - 1).unwrap()..].to_vec();
            Some(Fate::Answer(Reply::Chain { links, more: false }))
        }
        Request::ChainHeads { accounts } if accounts.contains(&account) && who != of => {
            let heads = vec![ChainHeadLine { account, seq: 2, hash }];
            Some(Fate::Answer(Reply::ChainHeads { heads }))
        }
        _ => None,
    }));
}

#[test]
fn a_new_device_of_somebody_is_told_and_a_revoked_one_gets_no_new_keys() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let phone = town.adds_device(bob);
    let device = phone.device();
    let phone = town.starts(phone, crate::client::Replica::in_memory());
    town.wait(5 * SECOND);
    assert!(town.devices[ada].notices().contains(&"new device for bob: phone"));
    let Done::Devices(devices) = town.run(bob, Command::Devices).unwrap() else { panic!() };
    let seen: Vec<_> = devices.iter().map(|one| (one.name.as_str(), one.is_this)).collect();
    assert_eq!(seen, [("bob", true), ("phone", false)]);
    town.run(bob, Command::RevokeDevice(device)).unwrap();
    town.run(bob, Command::RevokeDevice(device)).unwrap();
    let unknown = town.run(bob, Command::RevokeDevice(crate::id::DeviceId([4; 16])));
    assert!(matches!(unknown, Err(CommandError::NotFound(_))), "{unknown:?}");
    town.wait(SECOND);
    assert!(town.devices[ada].notices().contains(&"bob revoked a device: phone"));
    town.cut(phone);
    town.wait(60 * SECOND);
    assert!(!town.devices[phone].is_online(), "it may not log in");
    town.says(ada, room, "not for the phone");
    assert_eq!(town.log(room).state.epoch().epoch, Epoch(2));
    town.wait(SECOND);
    assert_eq!(town.texts(bob, room), ["not for the phone"]);
}

#[test]
fn a_link_that_loses_the_race_is_made_anew() {
    let (mut town, [ada, _], _) = Town::with_room(["ada", "bob"]);
    let device = town.adds_device(ada).device();
    town.settle();
    let mut n = 0;
    town.tamper = Some(Box::new(move |_, request| {
        let is_put = matches!(request, Request::PutLink { .. });
        n += usize::from(is_put);
        (is_put && n < 3).then_some(Fate::Refuse(Fault::ChainMoved { seq: 1 }))
    }));
    town.run(ada, Command::RevokeDevice(device)).unwrap();
    let device = town.adds_device(ada).device();
    town.settle();
    town.tamper = Some(Box::new(|_, request| {
        let is_put = matches!(request, Request::PutLink { .. });
        is_put.then_some(Fate::Refuse(Fault::ChainMoved { seq: 1 }))
    }));
    let refused = town.run(ada, Command::RevokeDevice(device));
    assert!(matches!(refused, Err(CommandError::Refused(_))), "{refused:?}");
    let until = TimeMs(9);
    town.once(
        |request| matches!(request, Request::PutLink { .. }),
        Fate::Refuse(Fault::DeviceTooYoung { until }),
    );
    let refused = town.run(ada, Command::RevokeDevice(device));
    assert!(matches!(refused, Err(CommandError::Refused(_))), "{refused:?}");
}

#[test]
fn a_chain_is_read_in_pages() {
    let (mut town, [ada, bob]) = Town::with(["ada", "bob"]);
    for _ in 0..7 {
        town.adds_device(bob);
    }
    town.server.page_len = 3;
    let room = town.makes_room(ada, &[bob]);
    assert_eq!(town.log(room).wraps.len(), 9);
}

#[test]
fn a_chain_served_shorter_than_seen_is_one_alarm_after_three_tries() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.adds_device(bob);
    town.wait(SECOND);
    let account = town.account(bob);
    let hash = town.server.chains[&account].hash_at(1).unwrap();
    let withheld = move |who: Who, request: &Request| match request {
        Request::Chain { account: asked, .. } if *asked == account && who == ada => {
            Some(Fate::Answer(Reply::Chain { links: Vec::new(), more: false }))
        }
        Request::ChainHeads { accounts } if accounts.contains(&account) && who == ada => {
            let heads = vec![ChainHeadLine { account, seq: 1, hash }];
            Some(Fate::Answer(Reply::ChainHeads { heads }))
        }
        _ => None,
    };
    town.tamper = Some(Box::new(withheld));
    for _ in 0..2 {
        let n_before = town.devices[ada].calls.iter().filter(|call| is_chain(call)).count();
        let failed = town.run(ada, Command::Rotate(room));
        assert!(matches!(failed, Err(CommandError::Untrusted(_))), "{failed:?}");
        let n_after = town.devices[ada].calls.iter().filter(|call| is_chain(call)).count();
        assert_eq!(n_after - n_before, 3);
    }
    assert_eq!(town.devices[ada].alarms(), [AlarmCause::StaleChain]);
    town.tamper = None;
    town.run(ada, Command::Rotate(room)).unwrap();
    town.says(ada, room, "all is well");
}

#[test]
fn two_histories_of_a_chain_stop_sending_until_a_person_decides() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let bobs = town.account(bob);
    // Bob gets a device; ada is served another link in its place.
    town.goes_offline(ada);
    town.adds_device(bob);
    town.devices[ada].is_unreachable = false;
    town.wait(31 * SECOND);
    forks(&mut town, bob);
    let hash = other_link(&town, bob).hash();
    town.give(ada, Input::Event(Event::ChainGrew { account: bobs, seq: 2, hash }));
    town.settle();
    if town.devices[ada].alarms().is_empty() {
        // She had not seen the true link yet: now it is the true one that is the other history.
        town.tamper = None;
        let head = town.server.chain_head(bobs).unwrap();
        let (seq, hash) = (head.seq, head.hash);
        town.give(ada, Input::Event(Event::ChainGrew { account: bobs, seq, hash }));
        town.settle();
    }
    assert_eq!(town.devices[ada].alarms(), [AlarmCause::ChainFork]);
    town.wait(SECOND);
    let stopped = town.devices[ada].room(room).unwrap().sending_stopped.clone();
    assert!(stopped.is_some_and(|cause| cause.contains("bob")));
    let refused = town.run(ada, Command::Send { room, text: "x".into(), tag: None });
    assert!(matches!(refused, Err(CommandError::Untrusted(_))), "{refused:?}");
    let refused = town.run(ada, Command::Direct(handle("bob")));
    assert!(matches!(refused, Err(CommandError::Untrusted(_))), "{refused:?}");
    let Done::Safety(number) = town.run(ada, Command::Safety(handle("bob"))).unwrap() else {
        panic!()
    };
    let Done::Safety(other) = town.run(bob, Command::Safety(handle("ada"))).unwrap() else {
        panic!()
    };
    assert_eq!(number, other, "they compare the same digits");
    town.tamper = None;
    town.run(ada, Command::Trust { person: handle("bob"), is_verified: true }).unwrap();
    town.wait(SECOND);
    assert!(town.devices[ada].room(room).unwrap().sending_stopped.is_none());
    town.says(ada, room, "so it is you");
}

#[test]
fn links_that_do_not_verify_or_are_of_somebody_else_are_refused() {
    let cases: [Links; 3] = [
        |town, _, other| vec![town.server.links[&town.account(other)][0].0.clone()],
        |_, _, _| vec![vec![1, 2, 3]],
        |_, _, _| Vec::new(),
    ];
    for (n, links) in cases.into_iter().enumerate() {
        let (mut town, [ada, bob, cleo]) = Town::with(["ada", "bob", "cleo"]);
        let links = links(&town, bob, cleo);
        town.tamper = Some(Box::new(move |who, request| {
            let answer = Reply::Chain { links: links.clone(), more: false };
            (who == ada && is_chain(request)).then_some(Fate::Answer(answer))
        }));
        let failed = town.run(ada, Command::Direct(handle("bob")));
        assert!(
            matches!(failed, Err(CommandError::Untrusted(_) | CommandError::NotFound(_))),
            "{n}: {failed:?}"
        );
        town.tamper = None;
        let done = town.run(ada, Command::Direct(handle("bob")));
        assert!(matches!(done, Ok(Done::Room(_))), "{n}: {done:?}");
    }
}

#[test]
fn another_identity_under_a_known_name_is_an_alarm_until_it_is_accepted() {
    let (mut town, [ada, bob], _) = Town::with_room(["ada", "bob"]);
    let old = town.account(bob);
    // Somebody else appears under bob's name, in a room that ada is added to.
    let other = town.registers("bob", AccountKind::Human);
    let account = other.account;
    let other = town.starts(other, crate::client::Replica::in_memory());
    let room = town.makes_room(other, &[ada]);
    assert_eq!(town.devices[ada].alarms(), [AlarmCause::IdentityChanged]);
    for command in [
        Command::Send { room, text: "x".into(), tag: None },
        Command::Direct(PersonRef::Account(account)),
        Command::Direct(handle("bob")),
    ] {
        let refused = town.run(ada, command.clone());
        assert!(matches!(refused, Err(CommandError::Untrusted(_))), "{command:?}: {refused:?}");
    }
    assert!(town.devices[ada].room(room).unwrap().sending_stopped.is_some());
    let Done::Safety(by_name) = town.run(ada, Command::Safety(handle("bob"))).unwrap() else {
        panic!()
    };
    let by_account = Command::Safety(PersonRef::Account(account));
    let Done::Safety(by_account) = town.run(ada, by_account).unwrap() else { panic!() };
    assert_eq!(by_name, by_account, "the numbers of the new one are wanted");
    town.run(ada, Command::Trust { person: handle("bob"), is_verified: true }).unwrap();
    town.wait(SECOND);
    assert!(town.devices[ada].room(room).unwrap().sending_stopped.is_none());
    town.says(ada, room, "so you are the new one");
    let Done::People(people) = town.run(ada, Command::People).unwrap() else { panic!() };
    let trust = |account| people.iter().find(|one| one.account == account).unwrap().trust;
    assert_eq!(trust(account), TrustState::Verified);
    let contacts = town.devices[ada].replica.contacts().unwrap();
    assert!(contacts.iter().all(|contact| contact.account != old));
    // It is the old one now that is not who the name means.
    let refused = town.run(ada, Command::Direct(PersonRef::Account(old)));
    assert!(matches!(refused, Err(CommandError::Untrusted(_))), "{refused:?}");
}

#[test]
fn people_are_found_by_name_or_not_at_all() {
    let (mut town, [ada, bob]) = Town::with(["ada", "bob"]);
    let nobody = town.run(ada, Command::Direct(handle("nobody")));
    assert!(matches!(nobody, Err(CommandError::NotFound(_))), "{nobody:?}");
    let nobody = town.run(ada, Command::Direct(PersonRef::Account(crate::id::AccountId([9; 32]))));
    assert!(matches!(nobody, Err(CommandError::NotFound(_))), "{nobody:?}");
    for person in [handle("nobody"), PersonRef::Account(crate::id::AccountId([9; 32]))] {
        let nobody = town.run(ada, Command::Trust { person: person.clone(), is_verified: true });
        assert!(matches!(nobody, Err(CommandError::NotFound(_))), "{nobody:?}");
        assert!(town.run(ada, Command::Safety(person)).is_err());
    }
    let account = town.account(bob);
    let is_find = |request: &Request| matches!(request, Request::FindAccount { .. });
    town.once(is_find, Fate::Answer(Reply::Found { account }));
    let other = town.run(ada, Command::Direct(handle("cleo")));
    assert!(matches!(other, Err(CommandError::Untrusted(_))), "{other:?}");
    town.once(is_find, Fate::Answer(Reply::Done));
    assert!(town.run(ada, Command::Direct(handle("dora"))).is_err());
    town.once(is_find, Fate::Refuse(Fault::RateLimited { retry_after_ms: 7 }));
    let limited = town.run(ada, Command::Direct(handle("dora")));
    assert!(matches!(limited, Err(CommandError::RateLimited { retry_after_ms: 7 })), "{limited:?}");
    town.run(ada, Command::Trust { person: handle("bob"), is_verified: true }).unwrap();
    let done = town.run(ada, Command::Direct(PersonRef::Account(account)));
    assert!(matches!(done, Ok(Done::Room(_))), "{done:?}");
}

#[test]
fn the_own_key_is_replaced_every_month_and_saved_before_it_is_published() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let generations = |town: &Town| -> Vec<u32> {
        town.devices[ada].identity.hpke.iter().map(|key| key.generation).collect()
    };
    town.devices[ada].disk.is_save_failing = true;
    town.wait(30 * DAY);
    town.wait(Duration::from_hours(1));
    assert_eq!(generations(&town), [1, 2]);
    let account = town.account(ada);
    let published = |town: &Town| {
        let chain = &town.server.chains[&account];
        chain.hpke_at(town.device(ada), chain.head().seq).unwrap().1
    };
    assert_eq!(published(&town), 2);
    town.says(bob, room, "for the new key");
    town.wait(SECOND);
    assert_eq!(town.texts(ada, room), ["for the new key"]);
    town.wait(62 * DAY);
    assert!(generations(&town).len() <= 3, "{:?}", generations(&town));
    assert_eq!(published(&town), 4);
    // A key that was saved and not published is published at the next chance.
    town.once(
        |request| matches!(request, Request::PutLink { .. }),
        Fate::Refuse(Fault::ClockSkew { time: TimeMs(1) }),
    );
    town.wait(31 * DAY);
    assert_eq!(published(&town), 5);
    town.restart(ada);
    town.says(bob, room, "and on");
    town.wait(SECOND);
    assert_eq!(town.texts(ada, room), ["for the new key", "and on"]);
}

#[test]
fn chain_heads_are_asked_for_once_a_day() {
    let (mut town, [ada, _], _) = Town::with_room(["ada", "bob"]);
    town.wait(SECOND);
    let heads = |town: &Town| {
        let is_heads = |call: &&Request| matches!(call, Request::ChainHeads { .. });
        town.devices[ada].calls.iter().filter(is_heads).count()
    };
    let n_before = heads(&town);
    town.wait(5 * DAY);
    assert!((4..=12).contains(&(heads(&town) - n_before)), "{}", heads(&town) - n_before);
}

#[test]
fn a_member_whose_chain_is_not_known_yet_is_looked_up_before_the_entry_is_judged() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    let phone = town.adds_device(bob);
    town.settle();
    let phone = town.starts(phone, crate::client::Replica::in_memory());
    town.wait(5 * SECOND);
    // Ada never heard of the phone.
    town.devices[ada].events.clear();
    let other = town.adds_device(bob);
    town.filter = Some(Box::new(move |who, input| {
        let is_chain = matches!(input, Input::Event(Event::ChainGrew { .. }));
        if who == ada && is_chain { Vec::new() } else { vec![input] }
    }));
    let third = town.adds_device(bob);
    drop(other);
    let third = town.starts(third, crate::client::Replica::in_memory());
    town.wait(5 * SECOND);
    town.says(third, room, "who am I?");
    town.says(phone, room, "you know me");
    town.wait(SECOND);
    assert_eq!(town.texts(ada, room), ["who am I?", "you know me"]);
}

#[test]
fn entries_that_wait_for_a_chain_are_judged_after_the_session_was_lost() {
    let (mut town, [ada, bob], room) = Town::with_room(["ada", "bob"]);
    town.filter = Some(Box::new(move |who, input| {
        let tells =
            matches!(input, Input::Event(Event::ChainGrew { .. } | Event::KeysAsked { .. }));
        if who == ada && tells { Vec::new() } else { vec![input] }
    }));
    let phone = town.adds_device(bob);
    let phone = town.starts(phone, crate::client::Replica::in_memory());
    town.wait(5 * SECOND);
    town.tamper = Some(Box::new(move |who, request| {
        (who == ada && is_chain(request)).then_some(Fate::Silence)
    }));
    town.says(phone, room, "who am I?");
    town.settle();
    assert!(town.texts(ada, room).is_empty());
    town.tamper = None;
    town.goes_offline(ada);
    town.comes_back(ada);
    assert_eq!(town.texts(ada, room), ["who am I?"]);
    assert!(town.devices[ada].is_caught_up());
}
