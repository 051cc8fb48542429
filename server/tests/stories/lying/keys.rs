//! Lies about keys: swapped, forged, asked for by strangers, or kept alive too long.

use mathia_protocol::client::{AlarmCause, Command};
use mathia_protocol::crypto::epoch::EpochSecret;
use mathia_protocol::crypto::message::Message;
use mathia_protocol::crypto::wrap::{GrantContext, WrapContext, seal_grant, wrap};
use mathia_protocol::id::{Epoch, Hash};
use mathia_protocol::wire::{BulkReply, Event, Reply, Request, ServerFrame};

use super::scene::{SECRET, Scene, is_entry_from};
use crate::cast::{TestResult, Town, now};
use crate::liar::{Fate, Liar};

/// A wrap with another secret in it is dropped, told, and asked for among the members.
#[tokio::test]
async fn a_swapped_wrap_is_dropped_and_asked_for_again() -> TestResult {
    let town = Town::start()?;
    let liar = Liar::before(&town)?;
    let mut ann = liar.newcomer("ann").await?;
    let mut bob = liar.newcomer("bob").await?;
    let (account, device) = (bob.account(), bob.device());
    let key = bob.identity.hpke[0].secret.public();
    let other = EpochSecret::generate(&mut rand::rng());
    let false_secret = other.duplicate();
    liar.tells(move |to, request, mut frame| {
        if to == account
            && let Some(Request::Wraps { room, .. }) = request
            && let ServerFrame::Reply { reply: Reply::Wraps { wraps }, .. } = &mut frame
        {
            for answer in wraps.iter_mut() {
                // The first epoch starts with the commit that the room is named after.
                let (commit_hash, hpke_gen) = (Hash(room.0), answer.hpke_gen);
                let context = WrapContext { commit_hash, account, device, hpke_gen };
                let sealed = wrap(&mut rand::rng(), &key, &context, &false_secret);
                answer.sealed = sealed.expect("the key is a good one").to_vec();
            }
        }
        vec![frame]
    });
    let room = ann.makes_room("team", &[&bob]).await?;
    let (cause, _) = bob.is_alarmed().await?;
    assert_eq!(cause, AlarmCause::BadKey);
    liar.hears(&bob, |request| matches!(request, Request::AskKeys { .. })).await?;
    ann.says(room, "hello").await?;
    assert_eq!(bob.hears(room).await?, "hello", "ann's answer heals it");
    let kept = bob.replica.epoch_secret(room, Epoch(1))?.ok_or("no key")?;
    assert_ne!(*kept.to_bytes(), *other.to_bytes());
    Ok(())
}

/// A grant of older keys that are not the room's is thrown away as a whole, and told.
#[tokio::test]
async fn a_forged_grant_is_thrown_away() -> TestResult {
    let town = Town::start()?;
    let liar = Liar::before(&town)?;
    let mut ann = liar.newcomer("ann").await?;
    let mut dan = liar.newcomer("dan").await?;
    let room = ann.makes_room("team", &[]).await?;
    ann.says(room, "old").await?;
    ann.does(Command::Set { room, key: "history".into(), value: "all".into() }).await?;
    let (account, device) = (dan.account(), dan.device());
    let key = dan.identity.hpke[0].secret.public();
    let other = EpochSecret::generate(&mut rand::rng());
    let false_secret = other.duplicate();
    liar.tells(move |to, _, mut frame| {
        if to == account
            && let ServerFrame::Reply { reply: Reply::Grants { grants }, .. } = &mut frame
        {
            for (_, grant) in grants.iter_mut() {
                let context = GrantContext { room, account, device, hpke_gen: grant.hpke_gen };
                let secrets = [(Epoch(1), false_secret.duplicate())];
                let sealed = seal_grant(&mut rand::rng(), &key, &context, &secrets);
                grant.sealed = sealed.expect("the key is a good one");
            }
        }
        vec![frame]
    });
    ann.does(Command::Add { room, people: vec![dan.name()] }).await?;
    assert_eq!(dan.is_alarmed().await?.0, AlarmCause::BadKey);
    // The members are asked, and their answer fits.
    liar.hears(&dan, |request| matches!(request, Request::AskKeys { .. })).await?;
    let kept = dan.replica.epoch_secret(room, Epoch(1))?;
    assert!(kept.is_none_or(|kept| *kept.to_bytes() != *other.to_bytes()));
    Ok(())
}

/// The server asks for the room's key in a stranger's name: nobody answers.
#[tokio::test]
async fn a_stranger_is_handed_no_key() -> TestResult {
    let scene = Scene::begin().await?;
    let mallory = scene.liar.newcomer("mallory").await?;
    let (account, device) = (mallory.account(), mallory.device());
    let asked = Event::KeysAsked { room: scene.room, account, device, epochs: vec![Epoch(1)] };
    scene.liar.says(&scene.ann, asked).await?;
    // Ann looks up who asks, and then has nothing to say.
    let looks_up = |request: &Request| matches!(request, Request::Chain { account: asked, .. } if *asked == account);
    scene.liar.hears(&scene.ann, looks_up).await?;
    for _ in 0..3 {
        scene.ann.does(Command::Sync).await?;
    }
    let is_answer = |request: &Request| matches!(request, Request::AnswerKeys { .. });
    assert!(!scene.liar.requests_of(&scene.ann).iter().any(is_answer));
    Ok(())
}

/// Eve has left and a new epoch has begun, but bob is not shown it: he does not seal in the old one,
/// since he knows by himself that a new one is due.
#[tokio::test]
async fn nothing_is_sealed_in_a_stale_epoch() -> TestResult {
    let (mut scene, others) = Scene::begin_with(&["eve"]).await?;
    let (bob, room) = (scene.bob.account(), scene.room);
    others[0].does(Command::Leave(room)).await?;
    scene.bob.knows(room).await?;
    let from = scene.end()?.seq().next();
    scene.liar.tells(move |to, _, frame| {
        if to == bob && is_entry_from(&frame, from) { Vec::new() } else { vec![frame] }
    });
    scene.liar.reads_out(move |to, _, reply| match reply {
        BulkReply::Page { hash_before, .. } if to == bob => {
            BulkReply::Page { hash_before, entries: Vec::new(), is_last: true }
        }
        reply => reply,
    });
    scene.ann.knows(room).await?;
    scene.ann.says(room, "without eve").await?;

    let n_before = scene.liar.messages_of(&scene.bob, room).len();
    let queued = scene.bob.queues(room, SECRET).await?;
    let is_rotation = |request: &Request| matches!(request, Request::Commit { room: Some(_), .. });
    scene.liar.hears(&scene.bob, is_rotation).await?;
    assert_eq!(scene.liar.messages_of(&scene.bob, room).len(), n_before, "nothing was sealed");

    scene.liar.repents();
    scene.bob.restarts().await?;
    scene.bob.accepted(queued).await?;
    for entry in scene.liar.messages_of(&scene.bob, room).iter().skip(n_before) {
        assert!(Message::decode(entry)?.header().epoch > Epoch(1));
    }
    assert_eq!(scene.ann.hears(room).await?, SECRET);
    assert!(!scene.liar.has_heard(SECRET));
    Ok(())
}

/// Bob is not shown that eve was removed, and goes on in the old epoch: nobody who knows better
/// believes what he says there.
#[tokio::test]
async fn a_message_from_a_stale_epoch_is_not_believed() -> TestResult {
    let (mut scene, others) = Scene::begin_with(&["eve"]).await?;
    let (bob, room, from) = (scene.bob.account(), scene.room, scene.end()?.seq().next());
    scene.liar.tells(move |to, _, frame| {
        if to == bob && is_entry_from(&frame, from) { Vec::new() } else { vec![frame] }
    });
    scene.ann.does(Command::Remove { room, person: others[0].name() }).await?;
    let end = scene.end()?.seq();
    let time = now();
    scene.liar.judges(move |from, request| match request {
        Request::Append { .. } if from == bob => {
            Fate::Answered(Reply::Accepted { seq: end.next(), time })
        }
        _ => Fate::Passed,
    });
    scene.bob.says(room, "in the old epoch").await?;
    let stale = scene.liar.messages_of(&scene.bob, room).pop().ok_or("nothing was sent")?;
    scene.liar.says(&scene.ann, scene.entry(end.next(), stale)).await?;
    let (seq, check) = scene.ann.doubts(room).await?;
    assert_eq!(seq, end.next());
    assert!(check.contains("epoch"), "{check}");
    assert!(!scene.liar.has_heard("in the old epoch"));
    Ok(())
}
