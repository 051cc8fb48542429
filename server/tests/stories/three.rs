//! Three people, three clients, from the invites to a restart of everything.

use crate::cast::{Person, TestResult, Town};
use mathia_protocol::client::{ClientEvent, Command, RoomView};
use mathia_protocol::id::{RoomId, Seq};

/// Three people join by invites, make an end-to-end room and talk; after a restart of the server
/// and of all clients they have the same history, order, places and room hash.
#[tokio::test]
async fn after_everything_restarts_all_have_the_same_history() -> TestResult {
    let mut town = Town::start()?;
    let mut ann = town.newcomer_by("ann", &town.operators_invite().await?).await?;
    let mut bob = town.newcomer_by("bob", &ann.invites(Vec::new()).await?).await?;
    let room = ann.makes_room("team", &[&bob]).await?;
    // The inviter's client lets the third one in, once it has proven to know the invite.
    let mut eve = town.newcomer_by("eve", &ann.invites(vec![room]).await?).await?;
    has_joined(&mut bob, room).await?;

    let first = ann.says(room, "hello").await?;
    assert_eq!(bob.hears(room).await?, "hello");
    assert_eq!(eve.hears(room).await?, "hello");
    bob.says(room, "hi ann").await?;
    eve.says(room, "hi all").await?;
    assert_eq!(ann.hears(room).await?, "hi ann");
    assert_eq!(ann.hears(room).await?, "hi all");
    bob.does(Command::MarkRead { room, upto: first }).await?;
    is_read_by(&mut ann, room, first, 1).await?;

    let before = same_for_all(&[&ann, &bob, &eve], room).await?;
    town.restarts().await?;
    for person in [&mut ann, &mut bob, &mut eve] {
        person.restarts().await?;
    }
    let after = same_for_all(&[&ann, &bob, &eve], room).await?;
    assert_eq!(after.head_hash, before.head_hash);
    assert_eq!(after.head, before.head);

    eve.says(room, "still here").await?;
    assert_eq!(ann.hears(room).await?, "still here");
    assert_eq!(bob.hears(room).await?, "still here");
    same_for_all(&[&ann, &bob, &eve], room).await?;
    Ok(())
}

async fn has_joined(witness: &mut Person, room: RoomId) -> TestResult {
    witness
        .wait_for(|event| match event {
            ClientEvent::Room(view) if view.room == room && view.members.len() == 3 => Some(()),
            _ => None,
        })
        .await
}

async fn is_read_by(author: &mut Person, room: RoomId, seq: Seq, n_readers: u32) -> TestResult {
    author
        .wait_for(|event| match event {
            ClientEvent::Marks { room: marked, marks } if marked == room => {
                let (n_delivered, n_read) = marks.reached(seq);
                (n_read >= n_readers && n_delivered >= n_read).then_some(())
            }
            _ => None,
        })
        .await
}

async fn same_for_all(people: &[&Person], room: RoomId) -> TestResult<RoomView> {
    let view = people[0].knows(room).await?;
    let history = people[0].history(room).await?;
    assert!(history.len() >= 3);
    for person in people {
        let other = person.knows(room).await?;
        assert_eq!(other.head_hash, view.head_hash, "{}", person.handle);
        assert_eq!(other.head, view.head, "{}", person.handle);
        assert_eq!(other.room_code, view.room_code, "{}", person.handle);
        assert_eq!(person.history(room).await?, history, "{}", person.handle);
    }
    Ok(view)
}
