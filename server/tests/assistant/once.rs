//! Every question is answered once: told again, asked anew, or asked while nobody was there.

use std::time::Duration;

use mathia_protocol::client::{ClientEvent, Command, Done, EntryContent, NewAsk, OutboxState};
use mathia_protocol::crypto::commit::Role;
use mathia_protocol::crypto::content::{Content, Outcome};

use super::house::{House, mathia};
use crate::cast::TestResult;
use crate::model::wire::{answer, until_closed};
use crate::model::within;

/// A question that is shown to the assistant again, as part of another one, is not answered again.
#[tokio::test]
async fn a_question_that_is_shown_again_is_not_answered_again() -> TestResult {
    let mut house = House::opens().await?;
    let room = house.room;
    let first = house.ann_asks("first?", &until_closed(&answer(&["One."], 1, 1))).await?;
    assert_eq!(house.ann.is_answered(room, first).await?.text, "One.");
    // What it remembers after a start is only what it wrote down.
    house.agent.stops().await?;
    house.agent.starts().await?;
    for text in ["second?", "third?"] {
        let ask = house.ann.asks_with(room, text, &[first], |_| {}).await?;
        let mut call = within(house.model.next_call()).await;
        let messages = call.body["messages"].as_array().ok_or("no messages")?;
        let asked = messages.last().and_then(|message| message["content"].as_str());
        assert!(asked.is_some_and(|asked| asked.ends_with(text)), "{asked:?}");
        call.sends(&until_closed(&answer(&["Another."], 1, 1))).await;
        house.ann.is_answered(room, ask).await?;
    }
    assert_eq!(house.ann.answers_to(room, first).await?.len(), 1);
    assert!(house.model.was_left_alone());
    Ok(())
}

/// Asked anew, a question is answered anew, and everybody sees what it repeats.
#[tokio::test]
async fn a_question_asked_again_is_answered_anew() -> TestResult {
    let mut house = House::opens().await?;
    let room = house.room;
    let first = house.ann_asks("why?", &until_closed(&answer(&["One."], 1, 1))).await?;
    assert_eq!(house.both_hear(first).await?.text, "One.");
    let again = house.ann.asks_with(room, "why?", &[], |new| new.again = Some(first)).await?;
    let mut call = within(house.model.next_call()).await;
    call.sends(&until_closed(&answer(&["Two."], 1, 1))).await;
    assert_eq!(house.both_hear(again).await?.text, "Two.");
    let repeated =
        house.bob.timeline(room).await?.into_iter().find_map(|entry| match entry.content {
            EntryContent::Said(Content::Ask(ask)) if entry.seq == again => ask.again,
            _ => None,
        });
    assert_eq!(repeated, Some(first));
    Ok(())
}

/// What was asked while the assistant was away is answered when it comes back, and what was taken
/// back meanwhile is not even asked.
#[tokio::test]
async fn what_was_asked_meanwhile_is_answered_and_what_was_taken_back_is_not() -> TestResult {
    let mut house = House::opens().await?;
    let room = house.room;
    house.agent.stops().await?;
    let kept = house.ann.asks(room, "kept?").await?;
    let dropped = house.ann.asks(room, "dropped?").await?;
    house.ann.does(Command::StopAnswer { room, ask: dropped }).await?;
    house.ann.says(room, "a word more").await?;
    house.agent.starts().await?;
    let mut call = within(house.model.next_call()).await;
    assert!(call.body.to_string().contains("kept?"));
    call.sends(&until_closed(&answer(&["Yes."], 1, 1))).await;
    let mut heard = Vec::new();
    for ask in [kept, dropped] {
        let answers = loop {
            let answers = house.ann.answers_to(room, ask).await?;
            if !answers.is_empty() {
                break answers;
            }
            house.ann.wait_for(|_| Some(())).await?;
        };
        heard.extend(answers);
    }
    let ends: Vec<_> = heard.iter().map(|one| (one.outcome, one.text.as_str())).collect();
    assert_eq!(ends, [(Outcome::Complete, "Yes."), (Outcome::Stopped, "")]);
    // Another start finds nothing left to do.
    house.agent.stops().await?;
    house.agent.starts().await?;
    let last = house.ann_asks("last?", &until_closed(&answer(&["Last."], 1, 1))).await?;
    assert_eq!(house.ann.is_answered(room, last).await?.text, "Last.");
    assert_eq!(house.ann.answers_to(room, kept).await?.len(), 1);
    assert!(house.model.was_left_alone());
    Ok(())
}

/// What was asked long ago is not answered out of the blue, whatever the assistant's own clock says.
#[tokio::test]
async fn what_was_asked_long_ago_is_refused_by_the_servers_clock() -> TestResult {
    let mut house = House::opens().await?;
    let room = house.room;
    house.agent.stops().await?;
    let ask = house.ann.asks(room, "why?").await?;
    house.town.clock.passes(Duration::from_mins(11));
    house.agent.starts().await?;
    let heard = house.both_hear(ask).await?;
    assert_eq!((heard.outcome, heard.text.as_str()), (Outcome::Refused, ""));
    assert!(heard.cause.contains("while the assistant was away"), "{}", heard.cause);
    let next = house.ann_asks("and now?", &until_closed(&answer(&["So."], 1, 1))).await?;
    assert_eq!(house.both_hear(next).await?.text, "So.");
    Ok(())
}

/// An ask that waits in an outbox is not sealed to an assistant that was removed meanwhile: it fails,
/// and says why.
#[tokio::test]
async fn nothing_is_sealed_to_an_assistant_that_is_gone() -> TestResult {
    let mut house = House::opens().await?;
    let room = house.room;
    let (person, role) = (house.bob.name(), Role::Admin);
    house.ann.does(Command::SetRole { room, person, role }).await?;
    let promise = house.ann.looks(room, "why?").await?.promise;
    house.town.sleeps().await;
    let (text, attached, again) = ("why?".to_owned(), Vec::new(), None);
    let new = NewAsk { room, text, promise, attached, again, tag: None };
    let Done::Queued { local_id } = house.ann.does(Command::Ask(new)).await? else {
        return Err("not queued".into());
    };
    house.ann.stops().await?;
    house.town.wakes().await?;
    house.bob.does(Command::Remove { room, person: mathia() }).await?;
    house.ann.starts()?;
    let cause = house.ann.wait_for(|event| match event {
        ClientEvent::Outbox(view) if view.local_id == local_id => match view.state {
            OutboxState::Failed { cause } => Some(Ok(cause)),
            OutboxState::Accepted { .. } => Some(Err("it was sent")),
            _ => None,
        },
        _ => None,
    });
    assert!(cause.await??.contains("assistant"), "it says why");
    // What is said next is not held up by it.
    house.ann.says(room, "onward").await?;
    let entries = house.bob.timeline(room).await?;
    assert!(
        !entries.iter().any(|entry| matches!(entry.content, EntryContent::Said(Content::Ask(_))))
    );
    Ok(())
}
