//! People go, and read nothing more.

use mathia_protocol::client::{ClientEvent, Command, OutboxState};

use crate::cast::{TestResult, Town};

/// Who was removed hears of it and reads nothing that comes after.
#[tokio::test]
async fn a_removed_member_reads_nothing_that_comes_after() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;

    let room = ann.makes_room("team", &[&bob]).await?;
    ann.says(room, "with bob").await?;
    assert_eq!(bob.hears(room).await?, "with bob");
    let before = ann.knows(room).await?.epoch;
    ann.does(Command::Remove { room, person: bob.name() }).await?;
    ann.says(room, "without bob").await?;

    bob.wait_for(|event| {
        matches!(event, ClientEvent::RoomGone(gone) if gone == room).then_some(())
    })
    .await?;
    assert_eq!(bob.texts(room).await?, ["with bob"]);
    assert!(ann.knows(room).await?.epoch > before, "a removal starts a new epoch");
    assert!(bob.queues(room, "let me in").await.is_err());
    Ok(())
}

/// The next who says something after a leave starts a new epoch first.
#[tokio::test]
async fn after_a_leave_the_next_sender_rotates() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let eve = town.newcomer("eve").await?;

    let room = ann.makes_room("team", &[&bob, &eve]).await?;
    let before = ann.knows(room).await?.epoch;
    bob.knows(room).await?;
    eve.knows(room).await?;
    eve.does(Command::Leave(room)).await?;
    ann.wait_for(|event| match event {
        ClientEvent::Room(view) if view.room == room && view.members.len() == 2 => Some(()),
        _ => None,
    })
    .await?;
    assert_eq!(ann.knows(room).await?.epoch, before, "the leaver does not choose the next key");

    ann.says(room, "eve is gone").await?;
    assert_eq!(bob.hears(room).await?, "eve is gone");
    assert_eq!(ann.knows(room).await?.epoch, before.next());
    Ok(())
}

/// What waits in the outbox of a room that is gone fails with its text kept.
#[tokio::test]
async fn a_message_to_a_room_that_is_gone_fails_and_is_kept() -> TestResult {
    let mut town = Town::start()?;
    let ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let eve = town.newcomer("eve").await?;
    let room = ann.makes_room("team", &[&bob, &eve]).await?;
    bob.knows(room).await?;
    eve.knows(room).await?;

    bob.stops().await?;
    ann.does(Command::Remove { room, person: bob.name() }).await?;
    town.sleeps().await;
    bob.starts()?;
    let queued = bob.queues(room, "too late").await?;
    town.wakes().await?;
    let cause = bob
        .wait_for(|event| match event {
            ClientEvent::Outbox(view) if view.local_id == queued => match &view.state {
                OutboxState::Failed { cause } => Some((cause.clone(), view.text().to_owned())),
                _ => None,
            },
            _ => None,
        })
        .await?;
    assert_eq!(cause.1, "too late");
    Ok(())
}
