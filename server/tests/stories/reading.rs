//! Marks, unread counts, presence, typing, names.

use mathia_protocol::client::{ClientEvent, Command};
use mathia_protocol::id::TimeMs;
use mathia_protocol::wire::PresenceState;

use crate::cast::{TestResult, Town};

/// The unread count is the server's, and reading clears it for all; the author sees who has read.
#[tokio::test]
async fn reading_clears_the_count_and_tells_the_author() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;

    let room = ann.makes_room("team", &[&bob]).await?;
    bob.knows(room).await?;
    let seq = ann.says(room, "news for @bob").await?;
    let mentioned = bob
        .wait_for(|event| match event {
            ClientEvent::Entry(entry) if entry.room == room && entry.seq == seq => {
                Some(entry.is_mention)
            }
            _ => None,
        })
        .await?;
    assert!(mentioned);
    assert_eq!(bob.knows(room).await?.n_mentions, 1);

    bob.does(Command::MarkRead { room, upto: seq }).await?;
    let view = bob.knows(room).await?;
    assert_eq!((view.read_upto, view.n_unread, view.n_mentions), (seq, 0, 0));
    ann.wait_for(|event| match event {
        ClientEvent::Marks { room: of, marks } if of == room => {
            marks.read.iter().any(|step| step.upto >= seq && step.n_accounts == 2).then_some(())
        }
        _ => None,
    })
    .await
}

/// People see each other come, type and go.
#[tokio::test]
async fn presence_and_typing_are_seen() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let room = ann.makes_room("team", &[&bob]).await?;
    bob.knows(room).await?;

    bob.does(Command::Typing(room)).await?;
    ann.wait_for(|event| match event {
        ClientEvent::Typing { room: of, is_typing: true, .. } if of == room => Some(()),
        _ => None,
    })
    .await?;
    bob.stops().await?;
    ann.wait_for(|event| match event {
        ClientEvent::Presence(view) if view.state == PresenceState::Offline => Some(()),
        _ => None,
    })
    .await
}

/// A new name is sealed, and everybody sees it.
#[tokio::test]
async fn a_room_is_renamed_and_gets_a_topic() -> TestResult {
    let town = Town::start()?;
    let ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let room = ann.makes_room("team", &[&bob]).await?;
    ann.does(Command::Rename { room, name: "crew".parse()? }).await?;
    let set = Command::Set { room, key: "topic".into(), value: "what we do".into() };
    ann.does(set).await?;
    bob.wait_for(|event| match event {
        ClientEvent::Room(view) if view.name == "crew" && view.topic == "what we do" => Some(()),
        _ => None,
    })
    .await?;
    assert!(bob.client.run(Command::Rename { room, name: "mine".parse()? }).await.is_err());
    Ok(())
}

/// A scheduled message is said when it is due.
#[tokio::test]
async fn a_scheduled_message_is_said_when_due() -> TestResult {
    let town = Town::start()?;
    let ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let room = ann.makes_room("team", &[&bob]).await?;
    bob.knows(room).await?;
    let due = TimeMs(crate::cast::now().0 + 300);
    ann.does(Command::Schedule { room, text: "good morning".into(), due }).await?;
    assert_eq!(bob.hears(room).await?, "good morning");
    Ok(())
}

/// Both sides of a pair compute the same safety number.
#[tokio::test]
async fn a_pair_compares_equal_safety_numbers() -> TestResult {
    let town = Town::start()?;
    let ann = town.newcomer("ann").await?;
    let bob = town.newcomer("bob").await?;
    let room = ann.makes_room("team", &[&bob]).await?;
    bob.knows(room).await?;
    let one = format!("{:?}", ann.does(Command::Safety(bob.name())).await?);
    let other = format!("{:?}", bob.does(Command::Safety(ann.name())).await?);
    assert_eq!(one, other);
    Ok(())
}
