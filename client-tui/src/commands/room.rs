//! `room ..`: making, changing and leaving rooms, and who is in them.

use mathia_protocol::client::{Command, Done, NewRoom, PersonRef};
use mathia_protocol::id::RoomId;

use super::session::EngineSession;
use super::{CommandContext, out_of_turn, resolve};
use crate::cli::RoomVerb;
use crate::exit::{Exit, Failure};
use crate::output::{self, Line, LineFormat};

pub(super) async fn run(context: &mut CommandContext<'_>, verb: RoomVerb) -> Result<(), Failure> {
    let mut session = EngineSession::open(context)?;
    let done = act(context, &mut session, verb).await;
    session.close().await;
    done
}

async fn act(
    context: &mut CommandContext<'_>,
    session: &mut EngineSession,
    verb: RoomVerb,
) -> Result<(), Failure> {
    match verb {
        RoomVerb::Create { name, open, share_history, people } => {
            let people = persons(&people)?;
            let new = NewRoom { name, is_open: open, shares_history: share_history, people };
            let Done::Room(room) = session.run(Command::CreateRoom(new)).await? else {
                return Err(out_of_turn());
            };
            show(context, session, room).await
        }
        RoomVerb::Members { room } => members(context, session, &room).await,
        RoomVerb::Code { room } => code(context, session, &room).await,
        RoomVerb::Join { room } => join(context, session, &room).await,
        RoomVerb::Leave { room } => leave(context, session, &room).await,
        RoomVerb::Add { room, people } => {
            let people = persons(&people)?;
            change(context, session, &room, |room| Command::Add { room, people }).await
        }
        RoomVerb::Remove { room, person } => {
            let person = resolve::person(&person)?;
            change(context, session, &room, |room| Command::Remove { room, person }).await
        }
        RoomVerb::Rotate { room } => change(context, session, &room, Command::Rotate).await,
        RoomVerb::Rename { room, name } => {
            change(context, session, &room, |room| Command::Rename { room, name }).await
        }
        RoomVerb::Role { room, person, role } => {
            let person = resolve::person(&person)?;
            let role = role.into();
            change(context, session, &room, |room| Command::SetRole { room, person, role }).await
        }
        RoomVerb::Set { room, key, value } => {
            change(context, session, &room, |room| Command::Set { room, key, value }).await
        }
    }
}

fn persons(words: &[String]) -> Result<Vec<PersonRef>, Failure> {
    words.iter().map(|word| resolve::person(word)).collect()
}

/// Changes a room and shows how it is afterwards.
async fn change(
    context: &mut CommandContext<'_>,
    session: &mut EngineSession,
    word: &str,
    command: impl FnOnce(RoomId) -> Command,
) -> Result<(), Failure> {
    let room = session.room(context, word).await?.room;
    session.run(command(room)).await?;
    show(context, session, room).await
}

async fn show(
    context: &mut CommandContext<'_>,
    session: &EngineSession,
    room: RoomId,
) -> Result<(), Failure> {
    let style = LineFormat::local(context.config.is_24h, true);
    match session.room_view(room).await? {
        Some(view) => context.out.line(&output::room::room(&view, &style)),
        None => Err(Failure::new(Exit::NotFound, "the room is gone")),
    }
}

async fn members(
    context: &mut CommandContext<'_>,
    session: &mut EngineSession,
    word: &str,
) -> Result<(), Failure> {
    session.sync(context).await?;
    let room = session.room(context, word).await?;
    for member in &room.members {
        context.out.line(&output::room::member(&room, member))?;
    }
    Ok(())
}

async fn code(
    context: &mut CommandContext<'_>,
    session: &mut EngineSession,
    word: &str,
) -> Result<(), Failure> {
    session.sync(context).await?;
    let room = session.room(context, word).await?;
    let line = Line::new("code")
        .with("room", room.name.as_str())
        .with("room_id", room.room.to_hex())
        .with("seq", room.head.0)
        .with("hash", room.head_hash.to_hex())
        .with("code", room.room_code.as_str())
        .with("mode", output::room::mode_word(room.mode))
        .with("epoch", room.epoch.0)
        .text(in_groups(&room.room_code));
    context.out.line(&line)?;
    context.out.say("The same for all who hold the same members and key: compare it by voice.");
    Ok(())
}

fn in_groups(digits: &str) -> String {
    let plain: Vec<char> = digits.chars().filter(char::is_ascii_digit).collect();
    let groups: Vec<String> = plain.chunks(5).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

/// Joins an open room: its name is looked up in the lobby, where it is unique.
async fn join(
    context: &mut CommandContext<'_>,
    session: &mut EngineSession,
    word: &str,
) -> Result<(), Failure> {
    let Done::Lobby(rooms) = session.run(Command::Lobby).await? else { return Err(out_of_turn()) };
    let name = word.strip_prefix('#').unwrap_or(word);
    let by_id = |hex: &str| word.len() >= 4 && hex.starts_with(&word.to_ascii_lowercase());
    let named = rooms.iter().find(|room| room.name == name);
    let found = named.or_else(|| rooms.iter().find(|room| by_id(&room.room.to_hex())));
    let Some(room) = found else {
        return Err(Failure::new(Exit::NotFound, format!("no open room {word:?}"))
            .hint("`mathia-tui lobby` lists them; sealed rooms are joined by being added"));
    };
    session.run(Command::JoinRoom(room.room)).await?;
    show(context, session, room.room).await
}

async fn leave(
    context: &mut CommandContext<'_>,
    session: &mut EngineSession,
    word: &str,
) -> Result<(), Failure> {
    let room = session.room(context, word).await?;
    let question = format!("Leave {}?", output::room::room_word(&room));
    context.prompt.confirm_if_person(&mut context.out, &question, "yes")?;
    session.run(Command::Leave(room.room)).await?;
    let line = Line::new("room")
        .with("room", room.name.as_str())
        .with("room_id", room.room.to_hex())
        .with("is_member", false)
        .text(format!("you left {}", output::room::room_word(&room)));
    context.out.line(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_code_is_read_aloud_in_fives() {
        assert_eq!(in_groups("27410938221234567890"), "27410 93822 12345 67890");
        assert_eq!(in_groups("27410 93822"), "27410 93822");
    }
}
