//! Answers on their way: pieces that only the agent can make, and nothing lost with a lost one.

use std::collections::HashMap;

use mathia_protocol::client::{ClientEvent, Command};
use mathia_protocol::crypto::commit::RoomMode;
use mathia_protocol::crypto::content::{Answer, Content};
use mathia_protocol::crypto::delta::{AnswerId, DeltaContext, DeltaPlace, DeltaText, seal_delta};
use mathia_protocol::crypto::epoch::{RoomKey, SenderKey};
use mathia_protocol::crypto::hash::sha256;
use mathia_protocol::crypto::message::SealWith;
use mathia_protocol::id::{AccountId, Epoch, Hash};
use mathia_protocol::wire::{EntryBody, Event, Reply, Request, ServerFrame};

use super::stage::{Stage, whole};
use crate::cast::{TestResult, login};
use crate::liar::Fate;

/// Whoever comes while an answer is under way sees it when it is whole, and no piece before.
#[tokio::test]
async fn who_comes_late_sees_the_finished_answer_only() -> TestResult {
    let mut stage = Stage::begins().await?;
    let room = stage.room;
    let ask = stage.ann.asks(room, "why?").await?;
    stage.agent.knows(room).await?;
    stage.streams(ask, "It is ").await?;
    stage.ann.watches(ask, |view| view.text == "It is ").await?;
    let mut carol = stage.liar.newcomer("carol").await?;
    stage.ann.does(Command::Add { room, people: vec![carol.name()] }).await?;
    carol.knows(room).await?;
    stage.streams(ask, "so").await?;
    stage.ann.watches(ask, |view| view.text == "It is so" && !view.has_gap).await?;
    stage.concludes(ask, "It is so.").await?;
    let seen = carol.wait_for(|event| match event {
        ClientEvent::Stream(view) => Some(Err(view.text)),
        ClientEvent::Entry(entry) => super::asking::answer_of(&entry).map(Ok),
        _ => None,
    });
    assert_eq!(seen.await?.map(|answer| answer.text), Ok("It is so.".to_owned()));
    assert_eq!(stage.ann.is_answered(room, ask).await?.text, "It is so.");
    Ok(())
}

/// A lost piece leaves a gap that shows; the whole answer makes up for it.
#[tokio::test]
async fn a_lost_piece_shows_as_a_gap_until_the_answer_is_whole() -> TestResult {
    let mut stage = Stage::begins().await?;
    let room = stage.room;
    let ask = stage.ann.asks(room, "why?").await?;
    stage.agent.knows(room).await?;
    let mut n_pieces: HashMap<AccountId, usize> = HashMap::new();
    stage.liar.tells(move |to, _, frame| {
        if matches!(frame, ServerFrame::Event(Event::Delta { .. })) {
            let n_pieces = n_pieces.entry(to).or_default();
            *n_pieces += 1;
            if *n_pieces == 2 {
                return Vec::new();
            }
        }
        vec![frame]
    });
    for piece in ["one ", "two ", "three"] {
        stage.streams(ask, piece).await?;
    }
    for person in [&mut stage.ann, &mut stage.bob] {
        let view = person.watches(ask, |view| view.text.ends_with("three")).await?;
        assert!(view.has_gap && view.text.starts_with("one ") && !view.text.contains("two"));
    }
    stage.concludes(ask, "one two three").await?;
    for person in [&mut stage.ann, &mut stage.bob] {
        assert_eq!(person.is_answered(room, ask).await?.text, "one two three");
    }
    Ok(())
}

/// What could not be sent, since the room needed a new key, is a gap as well and not left out.
#[tokio::test]
async fn a_piece_that_could_not_be_sent_is_a_gap_too() -> TestResult {
    let mut stage = Stage::begins().await?;
    let room = stage.room;
    let ask = stage.ann.asks(room, "why?").await?;
    stage.agent.knows(room).await?;
    // Ann makes no new key as long as her changes do not pass.
    let ann = stage.ann.account();
    stage.liar.judges(move |from, request| match request {
        Request::Commit { .. } if from == ann => Fate::Answered(Reply::Done),
        _ => Fate::Passed,
    });
    stage.bob.does(Command::Leave(room)).await?;
    stage.agent.knows(room).await?;
    let (text, stream) = ("one ".to_owned(), |text| Command::Stream { room, ask, text });
    assert!(stage.agent.client.run(stream(text)).await.is_err(), "nobody may write now");
    stage.liar.repents();
    stage.ann.does(Command::Rotate(room)).await?;
    stage.agent.knows(room).await?;
    stage.streams(ask, "two").await?;
    let view = stage.ann.watches(ask, |view| view.text.ends_with("two")).await?;
    assert!(view.has_gap, "{}", view.text);
    Ok(())
}

/// Pieces that the server or another member makes up show nothing, in sealed rooms and in open ones.
#[tokio::test]
async fn a_piece_that_the_agent_did_not_make_shows_nothing() -> TestResult {
    forged_pieces_in(Stage::begins().await?).await?;
    forged_pieces_in(Stage::begins_in(|room| room.is_open = true).await?).await
}

async fn forged_pieces_in(mut stage: Stage) -> TestResult {
    let room = stage.room;
    let ask = stage.ann.asks(room, "why?").await?;
    stage.agent.knows(room).await?;
    stage.streams(ask, "true").await?;
    stage.ann.watches(ask, |view| view.text == "true").await?;
    let is_piece = |request: &Request| matches!(request, Request::Delta { .. });
    let Request::Delta { delta: genuine, .. } = stage.liar.hears(&stage.agent, is_piece).await?
    else {
        return Err("no piece".into());
    };
    let number = stage.town.number(room)?;
    let (agent, device) = (stage.agent.account(), stage.agent.device());

    // Bob holds the room's key, so he can seal like the agent, but he cannot sign like it.
    let view = stage.bob.knows(room).await?;
    let (epoch, commit_hash) = if view.mode == RoomMode::Open {
        (Epoch(0), Hash(room.0))
    } else {
        let epoch = view.epoch;
        let told = stage.town.state(room)?;
        (epoch, told.epoch_record(epoch).ok_or("no epoch")?.commit_hash)
    };
    let key = stage
        .bob
        .replica
        .epoch_secret(room, epoch)?
        .map(|secret| SenderKey::derive(&RoomKey::derive(commit_hash, &secret), agent, device));
    let place = DeltaPlace { epoch, answer: AnswerId([5; 16]), index: 0, offset: 4 };
    let piece = DeltaText { ask, text: " and false".to_owned() };
    let by_bob = |device| {
        let context = DeltaContext { room, commit_hash, device };
        let with = key.as_ref().map_or(SealWith::Open, SealWith::SenderKey);
        seal_delta(&context, with, place, &piece, &stage.bob.identity.signing)
    };
    let mut bent = genuine.clone();
    let last = bent.len() - 70;
    bent[last] ^= 1;
    for (account, device, delta) in [
        (agent, device, genuine.clone()),
        (agent, device, bent),
        (agent, device, by_bob(device).ok_or("too long")?),
        (agent, stage.bob.device(), by_bob(stage.bob.device()).ok_or("too long")?),
        (stage.bob.account(), stage.bob.device(), by_bob(stage.bob.device()).ok_or("too long")?),
        (stage.bob.account(), stage.bob.device(), genuine),
        (agent, device, Vec::new()),
    ] {
        let event = Event::Delta { room: number, account, device, delta };
        stage.liar.says(&stage.ann, event).await?;
    }
    // Nor does the honest server pass on what bob sends.
    let mut session = login(stage.town.address(), &stage.bob.identity).await?;
    let delta = by_bob(stage.bob.device()).ok_or("too long")?;
    let refused = session.ask(Request::Delta { room, delta }).await?;
    assert!(refused.is_err_and(|fault| fault.to_string().contains("only agents stream")));

    stage.streams(ask, " enough").await?;
    let next = stage.ann.watches(ask, |_| true).await?;
    assert_eq!((next.text.as_str(), next.has_gap), ("true enough", false));
    Ok(())
}

/// An answer that another member writes is none, and does not end the true one.
#[tokio::test]
async fn an_answer_that_the_agent_did_not_give_is_none() -> TestResult {
    let mut stage = Stage::begins().await?;
    let room = stage.room;
    let ask = stage.ann.asks(room, "why?").await?;
    stage.bob.knows(room).await?;
    let entry = stage.bob.replica.entries_before(room, ask.next(), 1)?.pop().ok_or("no ask")?;
    let EntryBody::Whole(bytes) = entry.body else {
        return Err("no body".into());
    };
    let ask_hash = sha256(&[&bytes]).first_half();
    let false_answer = Answer { ask_hash, ..whole(ask, "false") };
    stage.bob.smuggles(room, &Content::Answer(Box::new(false_answer))).await?;
    let (_, check) = stage.ann.doubts(room).await?;
    assert!(check.contains("answer"), "{check}");

    stage.agent.knows(room).await?;
    stage.streams(ask, "tr").await?;
    stage.ann.watches(ask, |view| view.text == "tr").await?;
    stage.concludes(ask, "true").await?;
    assert_eq!(stage.ann.is_answered(room, ask).await?.text, "true");
    assert_eq!(stage.ann.answers_to(room, ask).await?.len(), 1);
    Ok(())
}
