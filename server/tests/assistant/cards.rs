//! Where questions go: the card that people were shown is the one that counts.

use std::sync::{Arc, Mutex};

use mathia_protocol::client::{Command, CommandError, Done};
use mathia_protocol::crypto::card::AgentCard;
use mathia_protocol::crypto::content::Outcome;
use mathia_protocol::crypto::identity::SigningKey;
use mathia_protocol::id::{Hash, TimeMs};
use mathia_protocol::wire::{Reply, ServerFrame};

use super::agent::settings;
use super::house::House;
use super::stage::Stage;
use crate::cast::{Person, TestResult};
use crate::model::wire::{answer, until_closed};
use crate::model::within;

/// A question that was made for another card, or for none, is refused with its cause, and nothing
/// of it reaches a model.
#[tokio::test]
async fn a_question_for_another_card_goes_nowhere() -> TestResult {
    let mut house = House::opens().await?;
    let room = house.room;
    for (promise, cause) in [
        (Hash([7; 32]), "the provider or model changed"),
        (Hash::ZERO, "without seeing where questions go"),
    ] {
        let ask = house.ann.asks_with(room, "why?", &[], |new| new.promise = promise).await?;
        let heard = house.both_hear(ask).await?;
        assert_eq!((heard.outcome, heard.text.as_str()), (Outcome::Refused, ""));
        assert!(heard.cause.contains(cause), "{}", heard.cause);
        assert_eq!(heard.usage, None);
    }
    assert!(house.model.was_left_alone());
    Ok(())
}

/// Who agreed to one model is not sent to another: the operator changed it in between.
#[tokio::test]
async fn who_agreed_to_one_model_is_not_sent_to_another() -> TestResult {
    let mut house = House::opens().await?;
    let room = house.room;
    let before = house.ann.looks(room, "why?").await?;
    house.agent.stops().await?;
    let other = settings(&house.model.base_url(), "").replace("some-model", "other-model");
    house.agent.is_told(&format!("{other}operator = \"Dan, dan@example.org\"\n"))?;
    house.agent.starts().await?;
    let promise = before.promise;
    let ask = house.ann.asks_with(room, "why?", &[], |new| new.promise = promise).await?;
    assert_eq!(house.ann.is_answered(room, ask).await?.outcome, Outcome::Refused);
    assert!(house.model.was_left_alone());

    let card = house.ann.looks(room, "why?").await?.card.ok_or("no card")?;
    assert_eq!(
        (card.model.as_str(), card.operator.as_str()),
        ("other-model", "Dan, dan@example.org")
    );
    let ask = house.ann.asks(room, "why?").await?;
    let mut call = within(house.model.next_call()).await;
    assert_eq!(call.body["model"], "other-model");
    call.sends(&until_closed(&answer(&["So."], 1, 1))).await;
    assert_eq!(house.ann.is_answered(room, ask).await?.text, "So.");
    Ok(())
}

/// The server can show no card but the newest one that the agent signed.
#[tokio::test]
async fn the_server_cannot_change_a_card_or_roll_it_back() -> TestResult {
    let stage = Stage::begins().await?;
    let room = stage.room;
    let first = Arc::new(Mutex::new(Vec::new()));
    let shown = Arc::clone(&first);
    stage.liar.tells(move |_, _, frame| {
        if let ServerFrame::Reply { reply: Reply::Card { card: Some(card) }, .. } = &frame {
            shown.lock().unwrap().clone_from(card);
        }
        vec![frame]
    });
    assert_eq!(model_shown_to(&stage.ann, &stage).await?, Ok("model-1".to_owned()));
    stage.shows_card("model-2").await?;
    let old = first.lock().unwrap().clone();
    assert_eq!(model_shown_to(&stage.ann, &stage).await?, Ok("model-2".to_owned()));

    let mut changed = old.clone();
    let at = changed.windows(7).position(|seven| seven == b"model-1").ok_or("no model")?;
    changed[at + 6] = b'9';
    let mut forged = AgentCard::decode_unverified(&old)?;
    let other_key = SigningKey::generate(&mut rand::rng());
    forged.device = other_key.device_id();
    forged.issued = TimeMs(u64::MAX);
    for (lie, cause) in [
        (old, "an older card"),
        (changed, "not signed by it"),
        (forged.sign(&other_key), "not signed by it"),
        (vec![1, 2, 3], "not signed by it"),
    ] {
        stage.liar.tells(move |_, _, mut frame| {
            if let ServerFrame::Reply { reply: Reply::Card { card }, .. } = &mut frame {
                *card = Some(lie.clone());
            }
            vec![frame]
        });
        let refused = model_shown_to(&stage.ann, &stage).await?;
        assert!(refused.as_ref().is_err_and(|text| text.contains(cause)), "{refused:?}");
    }
    // Hidden, the card that was seen before counts.
    stage.liar.tells(|_, _, mut frame| {
        if let ServerFrame::Reply { reply: Reply::Card { card }, .. } = &mut frame {
            *card = None;
        }
        vec![frame]
    });
    assert_eq!(model_shown_to(&stage.ann, &stage).await?, Ok("model-2".to_owned()));
    assert!(stage.liar.messages_of(&stage.ann, room).is_empty(), "nothing was asked");
    Ok(())
}

/// The model that somebody's envelope names, or why there is no envelope.
async fn model_shown_to(person: &Person, stage: &Stage) -> TestResult<Result<String, String>> {
    let (room, text, quoted, n_context) = (stage.room, "why?".to_owned(), None, 0);
    match person.client.run(Command::Envelope { room, text, quoted, n_context }).await {
        Ok(Done::Envelope(envelope)) => Ok(Ok(envelope.card.ok_or("no card")?.model)),
        Err(CommandError::Untrusted(text)) => Ok(Err(text)),
        other => Err(format!("neither shown nor refused: {other:?}").into()),
    }
}
