//! People come: later, by invite, into open rooms, into direct ones.

use std::time::Duration;

use mathia_protocol::client::{Bot, ClientEvent, Command, CommandError, Done};

use crate::cast::{TestResult, Town};

/// A newcomer reads from its joining on, and nothing before.
#[tokio::test]
async fn a_newcomer_reads_only_what_is_said_after_joining() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let mut dan = town.newcomer("dan").await?;

    let room = ann.makes_room("team", &[&bob]).await?;
    ann.says(room, "before dan").await?;
    ann.does(Command::Add { room, people: vec![dan.name()] }).await?;
    bob.knows(room).await?;
    bob.says(room, "after dan").await?;

    assert_eq!(dan.hears(room).await?, "after dan");
    assert_eq!(dan.texts(room).await?, ["after dan"]);
    dan.says(room, "hello all").await?;
    let (one, other) = (dan.knows(room).await?, ann.knows(room).await?);
    assert_eq!(one.head_hash, other.head_hash);
    assert_eq!(one.room_code, other.room_code);
    assert_eq!(one.name, "team");
    assert_eq!(ann.texts(room).await?, ["before dan", "after dan", "hello all"]);
    Ok(())
}

/// Several strangers come at once: who is there already gets to know them all.
#[tokio::test]
async fn strangers_who_come_together_are_all_taken_in() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let cleo = town.newcomer("cleo").await?;
    let mut dan = town.newcomer("dan").await?;
    let eve = town.newcomer("eve").await?;

    let room = ann.makes_room("team", &[&bob]).await?;
    bob.knows(room).await?;
    let people = vec![cleo.name(), dan.name(), eve.name()];
    ann.does(Command::Add { room, people }).await?;
    cleo.knows(room).await?;
    dan.says(room, "hello all").await?;

    assert_eq!(bob.hears(room).await?, "hello all");
    let view = bob.knows(room).await?;
    assert_eq!((view.members.len(), view.sending_stopped), (5, None));
    bob.says(room, "welcome").await?;
    assert_eq!(ann.hears(room).await?, "hello all");
    assert_eq!(ann.hears(room).await?, "welcome");
    Ok(())
}

/// Where a room shares its history, a newcomer reads everything, across epochs.
#[tokio::test]
async fn a_newcomer_reads_everything_where_history_is_shared() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let dan = town.newcomer("dan").await?;

    let room = ann.makes("archive", &[], |room| room.shares_history = true).await?;
    ann.says(room, "one").await?;
    ann.does(Command::Rotate(room)).await?;
    ann.says(room, "two").await?;
    ann.does(Command::Rotate(room)).await?;
    ann.says(room, "three").await?;
    ann.does(Command::Add { room, people: vec![dan.name()] }).await?;

    dan.knows(room).await?;
    assert_eq!(dan.texts(room).await?, ["one", "two", "three"]);
    Ok(())
}

/// A room that begins to share its history hands older keys to newcomers as grants.
#[tokio::test]
async fn older_keys_are_granted_where_no_box_leads_to_them() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let dan = town.newcomer("dan").await?;

    let room = ann.makes_room("team", &[]).await?;
    ann.says(room, "private once").await?;
    let set = Command::Set { room, key: "history".into(), value: "all".into() };
    ann.does(set).await?;
    ann.says(room, "shared now").await?;
    ann.does(Command::Add { room, people: vec![dan.name()] }).await?;

    dan.knows(room).await?;
    assert_eq!(dan.texts(room).await?, ["private once", "shared now"]);
    Ok(())
}

/// Who joins by an invite is added to its rooms by the inviter's client.
#[tokio::test]
async fn an_invite_leads_into_an_encrypted_room() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let room = ann.makes_room("team", &[]).await?;
    let lifetime = Duration::from_hours(1);
    let invite = Command::Invite { rooms: vec![room], uses: 1, lifetime };
    let Done::Invite(link) = ann.does(invite).await? else { return Err("no invite".into()) };

    let mut dan = town.newcomer_by("dan", &link.0).await?;
    dan.wait_for(|event| match event {
        ClientEvent::Room(view) if view.room == room && view.name == "team" => Some(()),
        _ => None,
    })
    .await?;
    dan.says(room, "here I am").await?;
    assert_eq!(ann.hears(room).await?, "here I am");
    Ok(())
}

/// Two people have one direct room, whoever asks for it.
#[tokio::test]
async fn a_pair_has_one_direct_room() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;

    let Done::Room(room) = ann.does(Command::Direct(bob.name())).await? else {
        return Err("no room".into());
    };
    ann.says(room, "psst").await?;
    assert_eq!(bob.hears(room).await?, "psst");
    let Done::Room(again) = bob.does(Command::Direct(ann.name())).await? else {
        return Err("no room".into());
    };
    assert_eq!(again, room);
    bob.says(room, "yes?").await?;
    assert_eq!(ann.hears(room).await?, "yes?");
    assert_eq!(
        (ann.knows(room).await?.name, bob.knows(room).await?.name),
        ("bob".into(), "ann".into())
    );
    Ok(())
}

/// Anybody may join an open room, and reads all of it.
#[tokio::test]
async fn an_open_room_is_found_in_the_lobby_and_joined() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;

    let room = ann.makes("plaza", &[], |room| room.is_open = true).await?;
    ann.says(room, "welcome").await?;
    let Done::Lobby(lobby) = bob.does(Command::Lobby).await? else { return Err("no lobby".into()) };
    assert_eq!(lobby.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), ["plaza"]);
    bob.does(Command::JoinRoom(room)).await?;
    bob.knows(room).await?;
    assert_eq!(bob.texts(room).await?, ["welcome"]);
    bob.says(room, "thanks").await?;
    assert_eq!(ann.hears(room).await?, "thanks");
    Ok(())
}

/// A bot is a member like any other: it joins by an invite and answers what it is told.
#[tokio::test]
async fn a_bot_echoes_what_it_is_told() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let room = ann.makes_room("team", &[]).await?;
    let lifetime = Duration::from_hours(1);
    let invite = Command::Invite { rooms: vec![room], uses: 1, lifetime };
    let Done::Invite(link) = ann.does(invite).await? else { return Err("no invite".into()) };

    let mut bot = Bot::join(&link.0, "echo").await?;
    let echoing = tokio::spawn(async move {
        while let Some(heard) = bot.next().await {
            bot.say(heard.room, format!("echo: {}", heard.text)).await?;
        }
        Ok::<(), CommandError>(())
    });
    ann.wait_for(|event| match event {
        ClientEvent::Room(view) if view.room == room && view.members.len() == 2 => Some(()),
        _ => None,
    })
    .await?;
    ann.says(room, "hello").await?;
    assert_eq!(ann.hears(room).await?, "echo: hello");
    echoing.abort();
    Ok(())
}
