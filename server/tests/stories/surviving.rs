//! Everything goes down and comes back: nothing is lost, doubled or reordered.

use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::client::{ClientEvent, Command, ConnectionState};

use crate::cast::{TestResult, Town, TownClock};

/// After everything was restarted all have the same history, and talk on.
#[tokio::test]
async fn a_restart_of_everything_changes_nothing() -> TestResult {
    let mut town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let room = ann.makes_room("team", &[&bob]).await?;
    ann.says(room, "one").await?;
    assert_eq!(bob.hears(room).await?, "one");
    bob.says(room, "two").await?;
    let before = ann.knows(room).await?;

    town.restarts().await?;
    ann.restarts().await?;
    bob.restarts().await?;

    let after = ann.knows(room).await?;
    assert_eq!((after.head, after.head_hash), (before.head, before.head_hash));
    assert_eq!(ann.texts(room).await?, ["one", "two"]);
    assert_eq!(bob.texts(room).await?, ["one", "two"]);
    ann.says(room, "three").await?;
    assert_eq!(bob.hears(room).await?, "three");
    Ok(())
}

/// What is said while the server is away waits, and arrives once, in order.
#[tokio::test]
async fn what_is_said_offline_arrives_once_and_in_order() -> TestResult {
    let mut town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let bob = town.newcomer("bob").await?;
    let room = ann.makes_room("team", &[&bob]).await?;
    bob.knows(room).await?;

    town.sleeps().await;
    let said: Vec<String> = (1..=40).map(|n| format!("text {n}")).collect();
    let mut last = 0;
    for text in &said {
        last = ann.queues(room, text).await?;
    }
    town.wakes().await?;
    ann.does(Command::ConnectNow).await?;
    bob.does(Command::ConnectNow).await?;
    ann.accepted(last).await?;

    bob.knows(room).await?;
    assert_eq!(bob.texts(room).await?, said);
    assert_eq!(ann.texts(room).await?, said);
    Ok(())
}

/// A text that was queued before the client ended is sent by the next one.
#[tokio::test]
async fn a_queued_text_survives_the_client() -> TestResult {
    let mut town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let room = ann.makes_room("team", &[&bob]).await?;
    bob.knows(room).await?;

    town.sleeps().await;
    ann.queues(room, "kept").await?;
    let withdrawn = ann.queues(room, "taken back").await?;
    ann.does(Command::Withdraw { local_id: withdrawn }).await?;
    ann.restarts().await?;
    town.wakes().await?;
    ann.does(Command::ConnectNow).await?;
    bob.does(Command::ConnectNow).await?;
    assert_eq!(bob.hears(room).await?, "kept");
    assert_eq!(bob.texts(room).await?, ["kept"]);
    Ok(())
}

/// The session goes on from another local address.
#[tokio::test]
async fn a_change_of_address_keeps_the_session() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let room = ann.makes_room("team", &[&bob]).await?;
    bob.knows(room).await?;

    ann.client.rebind().await?;
    ann.says(room, "from elsewhere").await?;
    assert_eq!(bob.hears(room).await?, "from elsewhere");
    while let Some(event) = ann.events.try_next() {
        let is_lost = matches!(event, ClientEvent::Connection(ConnectionState::Offline { .. }));
        assert!(!is_lost, "the session was lost");
    }
    Ok(())
}

/// A face that does not read its events for a while is told everything all the same, from the
/// replica.
#[tokio::test]
async fn a_face_that_reads_slowly_misses_nothing() -> TestResult {
    let town = Town::start_with(|limits| {
        limits.messages_per_minute = 60_000;
        limits.messages_burst = 2_000;
        limits.room_messages_per_minute = 60_000;
    })?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let room = ann.makes("plaza", &[&bob], |room| room.is_open = true).await?;
    bob.knows(room).await?;
    let said: Vec<String> = (1..=700).map(|n| format!("text {n}")).collect();
    let mut last = 0;
    for text in &said {
        last = ann.queues(room, text).await?;
    }
    ann.accepted(last).await?;
    // All of it has arrived before the first event is looked at.
    bob.knows(room).await?;
    let mut heard = Vec::new();
    while heard.len() < said.len() {
        heard.push(bob.hears(room).await?);
    }
    assert_eq!(heard, said);
    Ok(())
}

/// Two processes of one device share its replica: one sends for both, each text once.
#[tokio::test]
async fn two_processes_of_one_device_send_each_text_once() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let room = ann.makes_room("team", &[&bob]).await?;
    bob.knows(room).await?;

    let mut pipe = ann.again()?;
    pipe.knows(room).await?;
    let from_pipe = pipe.queues(room, "from a pipe").await?;
    pipe.accepted(from_pipe).await?;
    assert_eq!(bob.hears(room).await?, "from a pipe");
    // The process that sends goes; the other takes over.
    ann.stops().await?;
    pipe.says(room, "still here").await?;
    assert_eq!(bob.hears(room).await?, "still here");
    assert_eq!(bob.texts(room).await?, ["from a pipe", "still here"]);
    assert_eq!(pipe.texts(room).await?, ["from a pipe", "still here"]);
    Ok(())
}

/// Where a room forgets after a day, a client that comes back later has forgotten, and talks on.
#[tokio::test]
async fn what_a_room_forgets_is_wiped_here_too() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let room = ann.makes_room("team", &[&bob]).await?;
    ann.does(Command::Set { room, key: "retention_days".into(), value: "1".into() }).await?;
    bob.knows(room).await?;
    ann.says(room, "soon forgotten").await?;
    assert_eq!(bob.hears(room).await?, "soon forgotten");
    ann.does(Command::Rotate(room)).await?;
    bob.knows(room).await?;

    bob.stops().await?;
    bob.starts_at(Arc::new(TownClock::ahead(Duration::from_hours(48))))?;
    bob.knows(room).await?;
    assert_eq!(bob.texts(room).await?, Vec::<String>::new());
    ann.says(room, "something new").await?;
    assert_eq!(bob.hears(room).await?, "something new");
    Ok(())
}
