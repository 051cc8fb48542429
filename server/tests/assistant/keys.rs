//! Keys of an assistant that may write and read only what is shown to it (CRYPTO B6).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mathia_protocol::client::{ClientEvent, Command, RowState, StoredContent, UnreadableCause};
use mathia_protocol::crypto::commit::{AgentScope, Commit};
use mathia_protocol::crypto::content::{Content, Outcome};
use mathia_protocol::crypto::epoch::{RoomKey, SenderKey};
use mathia_protocol::crypto::identity::SigningKey;
use mathia_protocol::crypto::wrap::{AgentPlace, AgentWrap, WrapContext, unwrap};
use mathia_protocol::id::{AccountId, DeviceId, Epoch, Hash, RoomId};
use mathia_protocol::wire::{Event, KeyAnswer, Reply, Request, ServerFrame};
use tokio::time::Instant;

use super::house::{House, mathia};
use super::stage::Stage;
use crate::cast::{Person, TestResult, Town};
use crate::liar::Fate;
use crate::model::wire::{answer, until_closed};
use crate::model::{DEADLINE, within};

/// The sender key that somebody who holds the room's key derives for the agent.
fn derived(town: &Town, by: &Person, room: RoomId, epoch: Epoch) -> TestResult<SenderKey> {
    let (account, device) = agent_in(town)?;
    let secret = by.replica.epoch_secret(room, epoch)?.ok_or("no key")?;
    let commit_hash = town.state(room)?.epoch_record(epoch).ok_or("no epoch")?.commit_hash;
    Ok(SenderKey::derive(&RoomKey::derive(commit_hash, &secret), account, device))
}

fn agent_in(town: &Town) -> TestResult<(AccountId, DeviceId)> {
    let row = town.store()?.account_by_handle("mathia")?.ok_or("no assistant")?;
    let chain = town.chain(row.account)?;
    let device = chain.devices_at(chain.head().seq).next().ok_or("no device")?.id();
    Ok((row.account, device))
}

/// The agent holds a sender key of its own and no secret of the room; the wrap that brought it is
/// signed by the device that made the commit.
#[tokio::test]
async fn an_assistant_holds_a_key_to_write_and_none_to_read() -> TestResult {
    let mut house = House::opens().await?;
    let room = house.room;
    let said = house.bob.says(room, "not for the assistant").await?;
    house.ann.hears(room).await?;
    let ask = house.ann_asks("why?", &until_closed(&answer(&["So."], 1, 1))).await?;
    house.both_hear(ask).await?;
    let epoch = house.ann.knows(room).await?.epoch;

    let has = house.agent.belongings()?;
    assert!(has.replica.epochs(room)?.is_empty(), "no secret of the room");
    let key = has.replica.agent_key(room, epoch)?.ok_or("no sender key")?;
    assert_eq!(*key.to_bytes(), *derived(&house.town, &house.ann, room, epoch)?.to_bytes());
    let entry = has.replica.entries_before(room, said.next(), 1)?.pop().ok_or("no entry")?;
    assert_eq!(entry.content, StoredContent::Unreadable(UnreadableCause::NotShown));

    let (account, device) = agent_in(&house.town)?;
    let wraps = house.town.store()?.wraps(house.town.number(room)?, device, Epoch(0))?;
    assert_eq!(wraps.len(), 1, "from its own time in the room only");
    let commit_hash = house.town.state(room)?.epoch().commit_hash;
    let wrap = AgentWrap::decode(&wraps[0].sealed)?;
    assert_eq!(wrap.signer, house.ann.device());
    let own = has.identity.hpke_secret(wraps[0].hpke_gen).ok_or("no key")?;
    let place = AgentPlace { commit_hash, device };
    let ann = house.ann.identity.signing.public();
    assert!(wrap.open(own, place, &ann).is_ok());
    assert!(wrap.open(own, place, &house.bob.identity.signing.public()).is_err());
    let context = WrapContext { commit_hash, account, device, hpke_gen: wraps[0].hpke_gen };
    assert!(unwrap(own, &context, &wraps[0].sealed).is_err());
    assert!(unwrap(own, &context, &wrap.wrap).is_err());
    Ok(())
}

/// People and the assistant are added in one command; removed and added again, it answers again.
#[tokio::test]
async fn people_and_the_assistant_are_added_in_one_command() -> TestResult {
    let mut house = House::opens().await?;
    let room = house.ann.makes_room("other", &[]).await?;
    house.ann.does(Command::Add { room, people: vec![house.bob.name(), mathia()] }).await?;
    assert_eq!(house.ann.knows(room).await?.members.len(), 3);
    house.bob.knows(room).await?;
    house.room = room;
    let ask = house.ann_asks("why?", &until_closed(&answer(&["One."], 1, 1))).await?;
    assert_eq!(house.both_hear(ask).await?.text, "One.");
    house.ann.does(Command::Remove { room, person: mathia() }).await?;
    let policy = house.ann.knows(room).await?.agent_scope;
    assert_eq!(policy, AgentScope::Mention, "the scope stays");
    // Once more, and again in one command, though nothing but the assistant is new.
    house.ann.does(Command::Add { room, people: vec![mathia(), house.bob.name()] }).await?;
    let ask = house.ann_asks("and now?", &until_closed(&answer(&["Two."], 1, 1))).await?;
    assert_eq!(house.both_hear(ask).await?.text, "Two.");
    Ok(())
}

/// After each change of the room's key the assistant answers on: its new key comes with the commit.
#[tokio::test]
async fn the_assistant_answers_on_after_every_change_of_keys() -> TestResult {
    let mut house = House::opens().await?;
    let room = house.room;
    let carol = house.town.newcomer("carol").await?;
    let phone = house.town.second_device(&house.bob).await?;
    house.ann.does(Command::Add { room, people: vec![carol.name()] }).await?;
    let first = house.ann.knows(room).await?.epoch;
    for step in ["rotated", "removed", "revoked", "left"] {
        match step {
            "rotated" => drop(house.ann.does(Command::Rotate(room)).await?),
            "removed" => {
                drop(house.ann.does(Command::Remove { room, person: carol.name() }).await?);
            }
            "revoked" => {
                house.bob.does(Command::RevokeDevice(phone.device())).await?;
                house.ann.knows_devices(&house.bob, 1).await?;
            }
            _ => {
                drop(house.bob.does(Command::Leave(room)).await?);
                house
                    .ann
                    .wait_for(|event| match event {
                        ClientEvent::Room(view) => (view.members.len() == 2).then_some(()),
                        _ => None,
                    })
                    .await?;
            }
        }
        let ask = house.ann_asks(step, &until_closed(&answer(&[step], 1, 1))).await?;
        let heard = house.ann.is_answered(room, ask).await?;
        assert_eq!((heard.outcome, heard.text.as_str()), (Outcome::Complete, step));
    }
    let last = house.ann.knows(room).await?.epoch;
    assert_eq!(last.0, first.0 + 4);
    let (_, device) = agent_in(&house.town)?;
    let epochs = house.town.epochs_wrapped(room, device)?;
    assert_eq!(epochs.last(), Some(&last));
    for epoch in epochs {
        let has = house.agent.belongings()?.replica.agent_key(room, epoch)?;
        assert!(has.is_some() || epoch <= first, "{epoch}");
    }
    assert!(!house.agent.log().contains("AskKeys"), "it never had to ask");
    Ok(())
}

/// A key for the agent that the server made up, or took from another epoch, is refused; the agent
/// asks, and what a member's device answers is used.
#[tokio::test]
async fn a_forged_or_swapped_agent_key_is_refused_and_asked_for() -> TestResult {
    let (town, liar, ann, bob, agent) = Stage::before_the_room().await?;
    let (account, device) = (agent.account(), agent.device());
    let hpke = agent.identity.hpke[0].secret.public();
    let stranger = SigningKey::generate(&mut rand::rng());
    let bobs_device = bob.device();
    let room = ann.makes_room("team", &[&bob]).await?;
    let commit_hash = Arc::new(Mutex::new(Hash::ZERO));
    let newest = Arc::clone(&commit_hash);
    liar.judges(move |_, request| {
        if let Request::Commit { entry, .. } = request {
            *newest.lock().unwrap() = Commit::decode(entry.clone()).unwrap().hash();
        }
        Fate::Passed
    });
    liar.tells(move |to, request, mut frame| {
        if to == account
            && let Some(Request::Wraps { .. }) = request
            && let ServerFrame::Reply { reply: Reply::Wraps { wraps }, .. } = &mut frame
        {
            // A key of the liar's own, signed by itself, in its own name and in bob's.
            let place = AgentPlace { commit_hash: *commit_hash.lock().unwrap(), device };
            let key = SenderKey::from_bytes(&[9; 32]);
            let own = AgentWrap::seal(&mut rand::rng(), &hpke, place, &key, &stranger).unwrap();
            let bobs = AgentWrap { signer: bobs_device, ..own.clone() };
            let forge = |answer: KeyAnswer| {
                [&own, &bobs].map(|wrap| KeyAnswer { sealed: wrap.encode(), ..answer.clone() })
            };
            *wraps = wraps.drain(..).flat_map(forge).collect();
        }
        vec![frame]
    });
    ann.does(Command::Add { room, people: vec![mathia()] }).await?;
    liar.hears(&agent, |request| matches!(request, Request::AskKeys { .. })).await?;
    let is_answer = |request: &Request| matches!(request, Request::AnswerKeys { .. });
    let epoch = ann.knows(room).await?.epoch;
    agent_has_key(&agent, room, epoch).await?;
    assert!(liar.requests_of(&ann).iter().chain(&liar.requests_of(&bob)).any(is_answer));
    let key = agent.replica.agent_key(room, epoch)?.ok_or("no key")?;
    assert_eq!(*key.to_bytes(), *derived(&town, &ann, room, epoch)?.to_bytes());

    // The wrap of an earlier epoch, as the key of the next one.
    let number = town.number(room)?;
    let old = town.store()?.wraps(number, device, epoch)?.pop().ok_or("no wrap")?;
    liar.repents();
    ann.does(Command::Rotate(room)).await?;
    let next = ann.knows(room).await?.epoch;
    agent.knows(room).await?;
    agent_has_key(&agent, room, next).await?;
    let kept = agent.replica.agent_key(room, next)?.ok_or("no key")?;
    let (hpke_gen, sealed) = (old.hpke_gen, old.sealed);
    liar.says(&agent, Event::Key { room, epoch: next, hpke_gen, sealed }).await?;
    agent.does(Command::Sync).await?;
    let still = agent.replica.agent_key(room, next)?.ok_or("no key")?;
    assert_eq!(*still.to_bytes(), *kept.to_bytes());
    assert_eq!(*still.to_bytes(), *derived(&town, &ann, room, next)?.to_bytes());
    Ok(())
}

/// An agent that was left without a key asks for one; the device of any member answers.
#[tokio::test]
async fn an_agent_without_a_key_is_given_one_by_a_member() -> TestResult {
    let (town, liar, ann, bob, agent) = Stage::before_the_room().await?;
    let account = agent.account();
    liar.tells(move |to, _, mut frame| {
        if to == account
            && let ServerFrame::Reply { reply: Reply::Wraps { wraps }, .. } = &mut frame
        {
            wraps.clear();
        }
        vec![frame]
    });
    let room = ann.makes_room("team", &[&bob]).await?;
    // Ann answers nothing: it is bob's device that helps.
    let anns = ann.account();
    liar.judges(move |from, request| match request {
        Request::AnswerKeys { .. } if from == anns => Fate::Answered(Reply::Done),
        _ => Fate::Passed,
    });
    ann.does(Command::Add { room, people: vec![mathia()] }).await?;
    let epoch = ann.knows(room).await?.epoch;
    agent_has_key(&agent, room, epoch).await?;
    let key = agent.replica.agent_key(room, epoch)?.ok_or("no key")?;
    assert_eq!(*key.to_bytes(), *derived(&town, &bob, room, epoch)?.to_bytes());
    let mut stage = Stage { town, liar, ann, bob, agent, room };
    stage.shows_card("model-1").await?;
    let ask = stage.ann.asks(room, "why?").await?;
    stage.agent.knows(room).await?;
    stage.concludes(ask, "So.").await?;
    assert_eq!(stage.ann.is_answered(room, ask).await?.text, "So.");
    Ok(())
}

async fn agent_has_key(agent: &Person, room: RoomId, epoch: Epoch) -> TestResult {
    let deadline = Instant::now() + DEADLINE;
    while agent.replica.agent_key(room, epoch)?.is_none() {
        if Instant::now() > deadline {
            return Err("the key never came".into());
        }
        agent.does(Command::Sync).await?;
    }
    Ok(())
}

/// Somebody leaves between question and answer: the asker's client makes the new key that the
/// assistant may not make, and the answer comes.
#[tokio::test]
async fn who_asked_makes_the_key_that_the_answer_needs() -> TestResult {
    let mut house = House::opens().await?;
    let room = house.room;
    let before = house.ann.knows(room).await?.epoch;
    let ask = house.ann.asks(room, "why?").await?;
    let mut call = within(house.model.next_call()).await;
    house.bob.does(Command::Leave(room)).await?;
    house.assistant_has_heard().await?;
    call.sends(&until_closed(&answer(&["So."], 1, 1))).await;
    let heard = house.ann.is_answered(room, ask).await?;
    assert_eq!((heard.outcome, heard.text.as_str()), (Outcome::Complete, "So."));
    assert_eq!(house.ann.knows(room).await?.epoch.0, before.0 + 1);
    Ok(())
}

/// The asker is gone as well: any other member's client makes the key.
#[tokio::test]
async fn anybody_else_makes_the_key_when_the_asker_is_gone() -> TestResult {
    let mut house = House::opens().await?;
    let room = house.room;
    let carol = house.town.newcomer("carol").await?;
    house.ann.does(Command::Add { room, people: vec![carol.name()] }).await?;
    carol.knows(room).await?;
    let ask = house.ann.asks(room, "why?").await?;
    let mut call = within(house.model.next_call()).await;
    house.bob.knows(room).await?;
    house.ann.stops().await?;
    carol.does(Command::Leave(room)).await?;
    house.assistant_has_heard().await?;
    call.sends(&until_closed(&answer(&["So."], 1, 1))).await;
    let heard = house.bob.is_answered(room, ask).await?;
    assert_eq!((heard.outcome, heard.text.as_str()), (Outcome::Complete, "So."));
    Ok(())
}

/// Nobody is there who could make the key: after the assistant's patience its outbox holds a refusal
/// with that cause, which comes as soon as somebody makes the key.
#[tokio::test]
async fn without_anybody_to_make_the_key_the_question_is_refused() -> TestResult {
    let mut house = House::opens_with("key_patience = \"2s\"").await?;
    let room = house.room;
    let ask = house.ann.asks(room, "why?").await?;
    let mut call = within(house.model.next_call()).await;
    house.ann.stops().await?;
    house.bob.does(Command::Leave(room)).await?;
    house.assistant_has_heard().await?;
    call.sends(&until_closed(&answer(&["So."], 1, 1))).await;
    drop(call);

    let replica = house.agent.belongings()?.replica;
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let refusal = within(async {
        loop {
            ticks.tick().await;
            let rows = replica.outbox(Some(room)).unwrap();
            let queued = rows.iter().filter(|row| row.state == RowState::Queued);
            let mut refused = queued.filter_map(|row| match &row.content {
                Content::Answer(answer) if answer.outcome == Outcome::Refused => {
                    Some(answer.clone())
                }
                _ => None,
            });
            if let Some(refusal) = refused.next() {
                return (refusal, rows.len());
            }
        }
    });
    let (refusal, n_rows) = refusal.await;
    assert_eq!((refusal.ask, n_rows), (ask, 1), "and the answer itself is taken back");
    assert!(refusal.cause.contains("needs a new key"), "{}", refusal.cause);

    house.ann.starts()?;
    house.ann.says(room, "I am back").await?;
    let heard = loop {
        let answers = house.ann.answers_to(room, ask).await?;
        if !answers.is_empty() {
            break answers;
        }
        house.ann.wait_for(|_| Some(())).await?;
    };
    assert_eq!(heard.len(), 1);
    assert_eq!((heard[0].outcome, heard[0].text.as_str()), (Outcome::Refused, ""));
    Ok(())
}
