//! People talk, in both directions, and after everything was restarted.

use super::cast::{TestResult, Town};

/// Three people talk in an end-to-end encrypted room, and all have the same history.
#[tokio::test]
async fn three_people_talk_and_agree_on_what_was_said() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let mut eve = town.newcomer("eve").await?;

    let room = ann.makes_room("team", &[&bob, &eve]).await?;
    ann.says(room, "hello").await?;
    assert_eq!(bob.hears(room).await?, "hello");
    assert_eq!(eve.hears(room).await?, "hello");
    bob.says(room, "hi ann").await?;
    assert_eq!(ann.hears(room).await?, "hi ann");
    assert_eq!(eve.hears(room).await?, "hi ann");

    let views = [ann.knows(room).await?, bob.knows(room).await?, eve.knows(room).await?];
    assert!(views.iter().all(|view| view.head_hash == views[0].head_hash));
    assert!(views.iter().all(|view| view.room_code == views[0].room_code));
    assert!(views.iter().all(|view| view.name == "team"));
    let history = ann.history(room).await?;
    assert_eq!(history.len(), 2);
    assert_eq!(bob.history(room).await?, history);
    assert_eq!(eve.history(room).await?, history);
    Ok(())
}
