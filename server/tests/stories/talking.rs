//! People talk, in both directions, and after everything was restarted.

use mathia_protocol::client::Command;

use crate::cast::{TestResult, Town};

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

/// Everybody talks at once while keys change all the time: each text arrives once, readable, in one
/// order for all.
#[tokio::test]
async fn keys_change_under_a_conversation_and_nothing_is_lost() -> TestResult {
    let town = Town::start_with(|limits| {
        limits.messages_per_minute = 60_000;
        limits.messages_burst = 2_000;
        limits.room_messages_per_minute = 60_000;
        limits.commits_per_hour = 10_000;
    })?;
    let mut people = Vec::new();
    for name in ["ann", "bob", "eve"] {
        people.push(town.newcomer(name).await?);
    }
    let room = people[0].makes_room("team", &[&people[1], &people[2]]).await?;
    for person in &people {
        person.knows(room).await?;
    }
    let mut queued: Vec<Vec<u64>> = vec![Vec::new(); people.len()];
    for round in 0..12 {
        for (person, rows) in people.iter().zip(&mut queued) {
            for n in 0..5 {
                rows.push(person.queues(room, &format!("{} {round}.{n}", person.handle)).await?);
            }
        }
        let turning = &people[round % people.len()];
        turning.does(Command::Rotate(room)).await?;
    }
    for (person, rows) in people.iter_mut().zip(&queued) {
        person.accepted(*rows.last().unwrap()).await?;
    }
    let head = people[0].knows(room).await?;
    let truth = people[0].history(room).await?;
    assert_eq!(truth.len(), 3 * 12 * 5, "each text once");
    assert!(head.epoch.0 >= 12);
    for person in &people {
        let view = person.knows(room).await?;
        assert_eq!((view.head, view.head_hash), (head.head, head.head_hash));
        assert_eq!(person.history(room).await?, truth);
        let own = |text: &&(_, String, String)| text.1 == person.handle;
        let said: Vec<String> = truth.iter().filter(own).map(|text| text.2.clone()).collect();
        let order = (0..12).flat_map(|round| (0..5).map(move |n| (round, n)));
        let expected: Vec<String> =
            order.map(|(round, n)| format!("{} {round}.{n}", person.handle)).collect();
        assert_eq!(said, expected, "in the order of saying");
    }
    Ok(())
}
