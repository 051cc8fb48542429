//! The assistant's process: kept alive by its server, gone with it, and alone of its kind.

use std::time::Duration;

use mathia_protocol::client::{Command, CommandError};
use mathia_protocol::crypto::content::Outcome;
use mathia_protocol::id::{RoomId, Seq};

use super::agent::{Agent, settings, signal};
use super::house::mathia;
use super::serving::{Serve, children_of, is_gone};
use super::stage::enrols_agent;
use crate::cast::{Person, TestResult, Town, enrols};
use crate::model::wire::{answer, until_closed};
use crate::model::{ModelServer, within};

/// Ann alone with the assistant.
async fn ann_with_the_assistant(serve: &Serve) -> TestResult<(Person, RoomId)> {
    let ann = serve.newcomer("ann").await?;
    let room = ann.makes("team", &[], |room| room.people = vec![mathia()]).await?;
    Ok((ann, room))
}

async fn model_says(model: &mut ModelServer, text: &str) {
    let mut call = within(model.next_call()).await;
    call.sends(&until_closed(&answer(&[text], 1, 1))).await;
}

async fn hears(person: &mut Person, room: RoomId, ask: Seq, text: &str) -> TestResult {
    let heard = person.is_answered(room, ask).await?;
    assert_eq!((heard.outcome, heard.text.as_str()), (Outcome::Complete, text), "{}", heard.cause);
    assert_eq!(person.answers_to(room, ask).await?.len(), 1);
    Ok(())
}

/// Killed while it answers, the assistant is started again and answers once.
#[tokio::test]
async fn a_killed_assistant_comes_back_and_answers_once() -> TestResult {
    let mut model = ModelServer::start().await;
    let serve = Serve::starts(&settings(&model.base_url(), "")).await?;
    let (mut ann, room) = ann_with_the_assistant(&serve).await?;
    let first = serve.assistant(None).await?;
    let ask = ann.asks(room, "why?").await?;
    let mut call = within(model.next_call()).await;
    signal("KILL", first)?;
    within(call.is_hung_up_on()).await;
    model_says(&mut model, "So.").await;
    hears(&mut ann, room, ask, "So.").await?;
    let second = serve.assistant(Some(first)).await?;
    assert_eq!(children_of(serve.id()?), [second]);

    // And what it has answered, it does not answer again.
    signal("KILL", second)?;
    let next = ann.asks(room, "next?").await?;
    model_says(&mut model, "Next.").await;
    hears(&mut ann, room, next, "Next.").await?;
    assert_eq!(ann.answers_to(room, ask).await?.len(), 1);
    assert!(model.was_left_alone());
    Ok(())
}

/// However its server ends, the assistant ends with it; on another port both are back.
#[tokio::test]
async fn the_assistant_ends_with_its_server_and_comes_back_on_another_port() -> TestResult {
    let mut model = ModelServer::start().await;
    let mut serve = Serve::starts(&settings(&model.base_url(), "")).await?;
    let (mut ann, room) = ann_with_the_assistant(&serve).await?;
    let ask = ann.asks(room, "first?").await?;
    model_says(&mut model, "First.").await;
    hears(&mut ann, room, ask, "First.").await?;
    let mut addresses = vec![serve.address];
    for (text, by_force) in [("second?", true), ("third?", false)] {
        let child = serve.assistant(None).await?;
        ann.stops().await?;
        if by_force {
            serve.is_killed().await?;
            tokio::time::timeout(Duration::from_secs(5), is_gone(child)).await?;
        } else {
            serve.stops().await?;
            assert!(children_of(1).iter().all(|orphan| *orphan != child), "it is gone first");
            tokio::time::timeout(Duration::from_millis(100), is_gone(child)).await?;
        }
        serve.starts_again(&[]).await?;
        assert!(!addresses.contains(&serve.address));
        addresses.push(serve.address);
        ann = serve.welcomes(&ann)?;
        let ask = ann.asks(room, text).await?;
        model_says(&mut model, text).await;
        hears(&mut ann, room, ask, text).await?;
    }
    Ok(())
}

/// Without an assistant none is started, and nobody takes its name; later it comes all the same.
#[tokio::test]
async fn without_an_assistant_its_name_stays_free_and_reserved() -> TestResult {
    let mut model = ModelServer::start().await;
    let mut serve = Serve::starts(&settings(&model.base_url(), "")).await?;
    serve.stops().await?;
    std::fs::remove_dir_all(serve.data())?;
    serve.starts_again(&["--no-assistant"]).await?;
    assert!(children_of(serve.id()?).is_empty());
    assert!(!serve.data().join("assistant").exists());

    let link = format!("mathia://{}", serve.address);
    assert!(enrols("mathia", &link).await.is_err());
    let mut ann = serve.newcomer("ann").await?;
    assert!(enrols("mathia", &ann.invites(Vec::new()).await?).await.is_err());
    assert!(enrols_agent(&link).await.is_err());
    let room = ann.makes_room("team", &[]).await?;
    let add = Command::Add { room, people: vec![mathia()] };
    match ann.client.run(add.clone()).await {
        Err(CommandError::NotFound(_)) => {}
        other => return Err(format!("somebody was added: {other:?}").into()),
    }
    ann.stops().await?;
    serve.stops().await?;
    serve.starts_again(&[]).await?;
    ann = serve.welcomes(&ann)?;
    ann.does(add).await?;
    let ask = ann.asks(room, "there?").await?;
    model_says(&mut model, "Here.").await;
    hears(&mut ann, room, ask, "Here.").await
}

/// A person is not called like the assistant, not even by the operator's invite.
#[tokio::test]
async fn nobody_but_an_agent_of_the_operator_is_called_mathia() -> TestResult {
    let town = Town::start()?;
    let invite = town.operators_invite().await?;
    assert!(enrols("mathia", &invite).await.is_err());
    let ann = town.newcomer("ann").await?;
    let anns = ann.invites(Vec::new()).await?;
    assert!(enrols_agent(&anns).await.is_err());
    assert!(enrols_agent(&invite).await.is_ok());
    let again = town.operators_invite().await?;
    assert!(enrols_agent(&again).await.is_err(), "there is one only");
    Ok(())
}

/// A second assistant with the same identity says so and ends; one without an account says how it
/// gets one; a member's invite is none for it.
#[tokio::test]
async fn an_assistant_that_cannot_work_says_why_and_ends() -> TestResult {
    let town = Town::start()?;
    let model = ModelServer::start().await;
    let settings = settings(&model.base_url(), "");
    let agent = Agent::joins(&town, &settings).await?;
    let (code, said) = agent.second(&[], "").await?;
    assert_eq!(code, Some(1));
    assert!(said.contains("another assistant runs with the identity"), "{said}");

    let stray = Agent::nowhere(&town, &settings)?;
    let (code, said) = stray.second(&[], "").await?;
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("no account yet") && said.contains("hint: "), "{said}");
    let ann = town.newcomer("ann").await?;
    let invite = ann.invites(Vec::new()).await?;
    let (code, said) = stray.second(&["--join", "-"], &invite).await?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("an invite that the server made"), "{said}");
    let (code, said) = stray.second(&["--join", "-"], "mathia://nonsense").await?;
    assert_eq!(code, Some(2), "{said}");
    Ok(())
}
