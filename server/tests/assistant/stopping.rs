//! An answer that is stopped: really, by who asked, and by nobody else.

use mathia_protocol::client::{Command, CommandError};
use mathia_protocol::crypto::content::{Content, Outcome, Stop};

use super::house::House;
use crate::cast::TestResult;
use crate::model::wire::{answer, delta, ending, until_closed};
use crate::model::within;

/// Who asked stops the answer: the model's server is hung up on, and what came is kept and said to
/// be stopped. Somebody else's stop does nothing.
#[tokio::test]
async fn who_asked_may_stop_and_nobody_else() -> TestResult {
    let mut house = House::opens().await?;
    let room = house.room;
    let agent = house.ann.looks(room, "").await?.agent;
    let ask = house.ann.asks(room, "why?").await?;
    let mut call = within(house.model.next_call()).await;
    call.sends(&until_closed(&delta("The column "))).await;
    house.ann.watches(ask, |view| view.text == "The column ").await?;

    house.bob.knows(room).await?;
    match house.bob.client.run(Command::StopAnswer { room, ask }).await {
        Err(CommandError::NotFound(_)) => {}
        other => return Err(format!("bob may stop it: {other:?}").into()),
    }
    house.bob.smuggles(room, &Content::Stop(Stop { agent, ask })).await?;
    // The assistant hears in order: when it has heard the next question, it has heard that.
    let next = house.ann.asks(room, "next?").await?;
    let mut other_call = within(house.model.next_call()).await;
    other_call.sends(&until_closed(&answer(&["Next."], 1, 1))).await;
    assert_eq!(house.both_hear(next).await?.text, "Next.");
    call.sends(delta("is added").as_bytes()).await;
    house.ann.watches(ask, |view| view.text == "The column is added").await?;

    house.ann.does(Command::StopAnswer { room, ask }).await?;
    within(call.is_hung_up_on()).await;
    let heard = house.both_hear(ask).await?;
    assert_eq!((heard.outcome, heard.text.as_str()), (Outcome::Stopped, "The column is added"));
    assert!(heard.usage.is_some_and(|usage| usage.is_estimated && usage.completion > 0));
    Ok(())
}

/// A stop that comes when the answer is there already changes nothing.
#[tokio::test]
async fn a_stop_that_comes_too_late_changes_nothing() -> TestResult {
    let mut house = House::opens().await?;
    let room = house.room;
    let ask = house.ann_asks("why?", &until_closed(&answer(&["So."], 1, 1))).await?;
    assert_eq!(house.both_hear(ask).await?.outcome, Outcome::Complete);
    house.ann.does(Command::StopAnswer { room, ask }).await?;
    let next = house.ann.asks(room, "next?").await?;
    let mut call = within(house.model.next_call()).await;
    call.sends(&until_closed(&delta("Next."))).await;
    call.sends(ending("stop", 1, 1).as_bytes()).await;
    assert_eq!(house.both_hear(next).await?.text, "Next.");
    assert_eq!(house.ann.answers_to(room, ask).await?.len(), 1);
    Ok(())
}
