//! Clocks that are an hour wrong: on a client, on the server. People talk on, nothing is lost, and
//! what needs a right clock says so.

use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::client::{ClientEvent, Command, CommandError, SystemClock};
use mathia_protocol::id::RoomId;

use crate::cast::{Person, TestResult, Town, TownClock};

const HOUR: Duration = Duration::from_hours(1);

/// Ann and bob in a room, and eve.
async fn three_friends(town: &Town) -> TestResult<(Person, Person, Person, RoomId)> {
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let eve = town.newcomer("eve").await?;
    let room = ann.makes_room("team", &[&bob, &eve]).await?;
    eve.knows(room).await?;
    ann.says(room, "at noon").await?;
    assert_eq!(bob.hears(room).await?, "at noon");
    Ok((ann, bob, eve, room))
}

/// A change of the room is refused with the sentence that says what to do.
async fn may_change_nothing(person: &Person, room: RoomId) {
    let refused = person.client.run(Command::Rotate(room)).await;
    let Err(CommandError::Refused(text)) = refused else { panic!("not refused: {refused:?}") };
    let sentence = "this clock is over 5 minutes off the server's: set it right, then try again";
    assert_eq!(text, sentence);
}

/// What ann says with a clock that is an hour ahead arrives like everything else.
#[tokio::test]
async fn with_a_wrong_clock_people_talk_on_and_change_nothing() -> TestResult {
    let town = Town::start()?;
    let (mut ann, mut bob, _eve, room) = three_friends(&town).await?;
    ann.stops().await?;
    ann.starts_at(Arc::new(TownClock::ahead(HOUR)))?;
    ann.knows(room).await?;
    ann.says(room, "an hour ahead").await?;
    assert_eq!(bob.hears(room).await?, "an hour ahead");
    bob.says(room, "are you?").await?;
    assert_eq!(ann.hears(room).await?, "are you?");
    may_change_nothing(&ann, room).await;

    // Once the clock is right, the same command works.
    ann.stops().await?;
    ann.starts_at(Arc::new(SystemClock))?;
    ann.knows(room).await?;
    ann.does(Command::Rotate(room)).await?;
    ann.says(room, "on time").await?;
    assert_eq!(bob.hears(room).await?, "on time");
    let said = ["at noon", "an hour ahead", "are you?", "on time"];
    ann.has_texts(room, &said).await?;
    bob.has_texts(room, &said).await
}

/// A text that needs a new key first waits, its author is told why, and it is not lost.
#[tokio::test]
async fn a_text_that_a_wrong_clock_keeps_back_waits_for_the_right_one() -> TestResult {
    let town = Town::start()?;
    let (mut ann, mut bob, eve, room) = three_friends(&town).await?;
    ann.stops().await?;
    eve.does(Command::Leave(room)).await?;
    ann.starts_at(Arc::new(TownClock::ahead(HOUR)))?;
    ann.knows(room).await?;
    ann.queues(room, "without eve").await?;
    let told = ann
        .wait_for(|event| match event {
            ClientEvent::Notice { room: Some(of), text } if of == room => Some(text),
            _ => None,
        })
        .await?;
    assert!(told.contains("has to wait") && told.contains("set it right"), "{told}");
    assert_eq!(bob.texts(room).await?, ["at noon"]);

    ann.stops().await?;
    ann.starts_at(Arc::new(SystemClock))?;
    assert_eq!(bob.hears(room).await?, "without eve");
    ann.has_texts(room, &["at noon", "without eve"]).await
}

/// The server's own clock is wrong: the same, for everybody.
#[tokio::test]
async fn when_the_server_s_clock_is_wrong_people_talk_on_and_change_nothing() -> TestResult {
    let town = Town::start()?;
    let (mut ann, mut bob, _eve, room) = three_friends(&town).await?;
    for person in [&mut ann, &mut bob] {
        person.stops().await?;
        person.starts_at(Arc::new(SystemClock))?;
    }
    town.clock.passes(HOUR);
    ann.knows(room).await?;
    ann.says(room, "what time is it?").await?;
    assert_eq!(bob.hears(room).await?, "what time is it?");
    may_change_nothing(&ann, room).await;
    may_change_nothing(&bob, room).await;
    ann.has_texts(room, &["at noon", "what time is it?"]).await
}
