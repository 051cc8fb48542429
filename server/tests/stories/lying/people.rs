//! Lies about people: members, devices, names and roles that nobody gave.

use mathia_protocol::client::{AlarmCause, ClientEvent, Command, CommandError, Done, PersonRef};
use mathia_protocol::crypto::commit::{Policy, Role, RoomMode, SUITE_E2EE};
use mathia_protocol::crypto::identity::{HpkeSecret, SigningKey};
use mathia_protocol::crypto::user_chain::{
    AccountKind, DeviceLabel, DeviceRecord, Genesis, LinkBody, SignedLink, UserLink,
};
use mathia_protocol::id::AccountId;
use mathia_protocol::log::Change;
use mathia_protocol::wire::{ChainHeadLine, Event, JoinLine, Reply, Request, ServerFrame};

use super::scene::{Scene, may_not_speak};
use crate::cast::{Person, TestResult, now};
use crate::liar::Fate;

/// A member that ann has not added: the commit bears her name and another's signature.
#[tokio::test]
async fn an_injected_member_is_refused_and_sending_stops() -> TestResult {
    let mut scene = Scene::begin().await?;
    let mallory = scene.liar.newcomer("mallory").await?;
    let change = Change::Add(vec![(mallory.account(), Role::Member)]);
    let forged = scene.forge(&scene.ann, &change, &mallory.identity.signing, |_| {})?;
    let seq = scene.end()?.seq().next();
    scene.liar.says(&scene.bob, scene.entry(seq, forged.entry().to_vec())).await?;
    let (cause, text) = scene.bob.is_alarmed().await?;
    assert_eq!(cause, AlarmCause::BrokenLog);
    assert!(text.contains("signature"), "{text}");
    is_not_in(&scene, &mallory).await?;
    may_not_speak(&scene, &scene.bob).await
}

/// A stranger who adds himself signs truly, and is nobody here.
#[tokio::test]
async fn a_stranger_who_adds_himself_is_refused_and_sending_stops() -> TestResult {
    let mut scene = Scene::begin().await?;
    let mallory = scene.liar.newcomer("mallory").await?;
    let change = Change::Add(vec![(mallory.account(), Role::Member)]);
    let (account, device) = (mallory.account(), mallory.device());
    let forged = scene.forge(&scene.ann, &change, &mallory.identity.signing, |fields| {
        (fields.author, fields.device) = (account, device);
    })?;
    let seq = scene.end()?.seq().next();
    scene.liar.says(&scene.bob, scene.entry(seq, forged.entry().to_vec())).await?;
    assert_eq!(scene.bob.is_alarmed().await?.0, AlarmCause::BrokenLog);
    is_not_in(&scene, &mallory).await?;
    may_not_speak(&scene, &scene.bob).await
}

/// Not even the owner, in league with the server, makes an open room of a sealed one.
#[tokio::test]
async fn a_room_is_never_downgraded() -> TestResult {
    let mut scene = Scene::begin().await?;
    let open = Policy { mode: RoomMode::Open, ..scene.town.state(scene.room)?.policy() };
    let change = Change::SetPolicy(open, Vec::new());
    let signed = scene.forge(&scene.ann, &change, &scene.ann.identity.signing, |fields| {
        fields.suite = SUITE_E2EE;
    })?;
    let seq = scene.end()?.seq().next();
    scene.liar.says(&scene.bob, scene.entry(seq, signed.entry().to_vec())).await?;
    let (cause, text) = scene.bob.is_alarmed().await?;
    assert_eq!(cause, AlarmCause::BrokenLog);
    assert!(text.contains("mode of a room never changes"), "{text}");
    assert_eq!(scene.bob.sees(scene.room).await?.mode, RoomMode::E2ee);
    may_not_speak(&scene, &scene.bob).await
}

/// A device that bob has not added stands in his chain, signed by somebody else.
#[tokio::test]
async fn an_injected_device_is_refused_and_sending_stops() -> TestResult {
    let mut scene = Scene::begin().await?;
    let intruder = SigningKey::generate(&mut rand::rng());
    let bob = scene.bob.account();
    let hpke = HpkeSecret::generate(&mut rand::rng()).public();
    let record =
        DeviceRecord::offer(&mut rand::rng(), &intruder, hpke, label("a phone"), bob, [7; 16]);
    let body = LinkBody::AddDevice(Box::new(record));
    let chain = scene.town.chain(bob)?;
    let link = chain.next_link(body, now(), scene.bob.device()).sign(&intruder);
    let (hash, forged, ann) = (link.hash(), link.0, scene.ann.account());
    scene.liar.tells(move |to, request, mut frame| {
        let is_bobs = matches!(request, Some(Request::Chain { account, .. }) if *account == bob);
        if to == ann
            && is_bobs
            && let ServerFrame::Reply { reply: Reply::Chain { links, .. }, .. } = &mut frame
        {
            links.push(forged.clone());
        }
        vec![frame]
    });
    let grown = Event::ChainGrew { account: bob, seq: chain.head().seq + 1, hash };
    scene.liar.says(&scene.ann, grown).await?;
    assert_eq!(scene.ann.is_alarmed().await?.0, AlarmCause::ChainFork);
    assert_eq!(n_devices(&scene.ann, bob).await?, 1);
    may_not_speak(&scene, &scene.ann).await
}

/// Bob has revoked a device; the server shows his chain as it was before.
#[tokio::test]
async fn a_chain_that_is_rolled_back_is_refused_and_told_after_three_tries() -> TestResult {
    let mut scene = Scene::begin().await?;
    let phone = scene.town.second_device(&scene.bob).await?;
    scene.ann.knows_devices(&scene.bob, 2).await?;
    scene.bob.does(Command::RevokeDevice(phone.device())).await?;
    scene.ann.knows_devices(&scene.bob, 1).await?;

    shows_old_chain(&scene, &scene.ann, &scene.bob, 2)?;
    for _ in 0..3 {
        let rotated = scene.ann.client.run(Command::Rotate(scene.room)).await;
        assert!(matches!(rotated, Err(CommandError::Untrusted(_))), "{rotated:?}");
    }
    assert_eq!(scene.ann.is_alarmed().await?.0, AlarmCause::StaleChain);
    assert_eq!(n_devices(&scene.ann, scene.bob.account()).await?, 1, "what was seen stays");
    let is_rotation = |request: &Request| matches!(request, Request::Commit { room: Some(_), .. });
    assert!(!scene.liar.requests_of(&scene.ann).iter().any(is_rotation), "no key was wrapped");

    // The sender rule knows the revocation, and nothing is sealed for the device.
    scene.liar.repents();
    scene.ann.says(scene.room, "only us").await?;
    let after = scene.town.state(scene.room)?.epoch().epoch;
    assert!(!scene.town.epochs_wrapped(scene.room, phone.device())?.contains(&after));
    Ok(())
}

/// The server hides a revocation: the next change of the room lists a chain that it does not show.
#[tokio::test]
async fn a_hidden_revocation_is_found_at_the_next_change() -> TestResult {
    let mut scene = Scene::begin().await?;
    let phone = scene.town.second_device(&scene.ann).await?;
    scene.bob.knows_devices(&scene.ann, 2).await?;
    shows_old_chain(&scene, &scene.bob, &scene.ann, 2)?;
    scene.ann.does(Command::RevokeDevice(phone.device())).await?;
    scene.ann.says(scene.room, "to the rest of us").await?;
    assert_eq!(scene.bob.is_alarmed().await?.0, AlarmCause::BrokenLog);
    may_not_speak(&scene, &scene.bob).await
}

/// The server makes a second bob.
#[tokio::test]
async fn another_account_under_a_known_name_is_an_alarm_and_sending_stops() -> TestResult {
    let mut scene = Scene::begin().await?;
    let genesis = false_bob(&scene);
    let (account, ann) = (genesis.account(), scene.ann.account());
    scene.liar.judges(move |from, request| match request {
        Request::Chain { account: asked, .. } if from == ann && *asked == account => {
            Fate::Answered(Reply::Chain { links: vec![genesis.0.clone()], more: false })
        }
        _ => Fate::Passed,
    });
    let meet = Command::Direct(PersonRef::Account(account));
    assert!(matches!(scene.ann.client.run(meet).await, Err(CommandError::Untrusted(_))));
    assert_eq!(scene.ann.is_alarmed().await?.0, AlarmCause::IdentityChanged);
    may_not_speak(&scene, &scene.ann).await
}

/// Asked for one name the server gives the account of another.
#[tokio::test]
async fn an_account_of_another_name_is_refused() -> TestResult {
    let scene = Scene::begin().await?;
    let mallory = scene.liar.newcomer("mallory").await?;
    let dan = scene.liar.newcomer("dan").await?;
    let account = mallory.account();
    scene.liar.judges(move |_, request| match request {
        Request::FindAccount { .. } => Fate::Answered(Reply::Found { account }),
        _ => Fate::Passed,
    });
    let add = Command::Add { room: scene.room, people: vec![dan.name()] };
    assert!(matches!(scene.ann.client.run(add).await, Err(CommandError::Untrusted(_))));
    is_not_in(&scene, &mallory).await
}

/// The server says that mallory came by ann's invite: without the invite's secret nobody did.
#[tokio::test]
async fn a_joiner_that_the_server_made_up_is_not_added() -> TestResult {
    let mut scene = Scene::begin().await?;
    let mallory = scene.liar.newcomer("mallory").await?;
    scene.ann.invites(vec![scene.room]).await?;
    let token = scene.ann.replica.invites()?.pop().ok_or("no invite was kept")?.token;
    let (account, rooms) = (mallory.account(), vec![scene.room]);
    let line = JoinLine { token, account, proof: [9; 32], rooms };
    scene.liar.judges(move |_, request| match request {
        Request::Joins => Fate::Answered(Reply::Joins { joins: vec![line.clone()] }),
        _ => Fate::Passed,
    });
    scene.liar.says(&scene.ann, Event::Joined { token, account }).await?;
    scene
        .ann
        .wait_for(|event| match event {
            ClientEvent::Notice { text, .. } if text.contains("not added") => Some(()),
            _ => None,
        })
        .await?;
    let is_add = |request: &Request| matches!(request, Request::Commit { room: Some(_), .. });
    assert!(!scene.liar.requests_of(&scene.ann).iter().any(is_add));
    is_not_in(&scene, &mallory).await
}

/// Shows somebody another's chain as if it ended at a link.
fn shows_old_chain(scene: &Scene, to: &Person, of: &Person, end: u32) -> TestResult {
    let (victim, account) = (to.account(), of.account());
    let hash = scene.town.chain(account)?.hash_at(end).ok_or("the chain is shorter")?;
    scene.liar.tells(move |to, request, mut frame| {
        if to != victim {
            return vec![frame];
        }
        match &mut frame {
            ServerFrame::Event(Event::ChainGrew { account: grown, .. }) if *grown == account => {
                return Vec::new();
            }
            ServerFrame::Reply { reply: Reply::ChainHeads { heads }, .. } => {
                for head in heads.iter_mut().filter(|head| head.account == account) {
                    *head = ChainHeadLine { account, seq: end, hash };
                }
            }
            ServerFrame::Reply { reply: Reply::Chain { links, .. }, .. } => {
                let is_it =
                    |r: &Request| matches!(r, Request::Chain { account: a, .. } if *a == account);
                if request.is_some_and(is_it) {
                    let is_old = |link: &Vec<u8>| {
                        let link = SignedLink(link.clone()).decode_unverified();
                        link.is_ok_and(|link| link.seq <= end)
                    };
                    links.retain(is_old);
                }
            }
            _ => {}
        }
        vec![frame]
    });
    Ok(())
}

fn false_bob(scene: &Scene) -> SignedLink {
    let key = SigningKey::generate(&mut rand::rng());
    let hpke = HpkeSecret::generate(&mut rand::rng()).public();
    let genesis = Genesis {
        realm: scene.bob.identity.realm,
        handle: scene.bob.identity.handle.clone(),
        kind: AccountKind::Human,
        operator: String::new(),
        device: DeviceRecord::founding(key.public(), hpke, label("bob's laptop")),
        recovery_key: SigningKey::generate(&mut rand::rng()).public(),
    };
    UserLink::founding(genesis, now()).sign(&key)
}

fn label(name: &str) -> DeviceLabel {
    DeviceLabel { name: name.to_owned(), os: "linux".to_owned(), created: now() }
}

async fn n_devices(of: &Person, account: AccountId) -> TestResult<u32> {
    let Done::People(people) = of.does(Command::People).await? else { return Err("?".into()) };
    let person = people.into_iter().find(|person| person.account == account);
    Ok(person.ok_or("nobody")?.n_devices)
}

async fn is_not_in(scene: &Scene, stranger: &Person) -> TestResult {
    for person in [&scene.ann, &scene.bob] {
        let members = person.sees(scene.room).await?.members;
        assert!(members.iter().all(|member| member.account != stranger.account()));
    }
    let epochs = scene.town.epochs_wrapped(scene.room, stranger.device())?;
    assert!(epochs.is_empty(), "no key was sealed to a stranger");
    Ok(())
}
