//! `room ..`: making, changing and leaving rooms, and who is in them.

use mathia_protocol::client::{Command, Done, NewRoom, PersonRef};
use mathia_protocol::id::RoomId;

use super::context::{CommandContext, out_of_turn};
use super::resolve;
use super::session::EngineSession;
use crate::exit::{Exit, Failure};
use crate::output::{self, Line, LineFormat};
use crate::verbs::{
    AddArgs, CreateArgs, RemoveArgs, RenameArgs, RoleArgs, RoomInvocation, SetArgs,
};

pub(super) async fn run(
    context: &mut CommandContext<'_>,
    invocation: RoomInvocation,
) -> Result<(), Failure> {
    let mut session = EngineSession::open(context)?;
    let done = act(context, &mut session, invocation).await;
    session.close().await;
    done
}

async fn act(
    context: &mut CommandContext<'_>,
    session: &mut EngineSession,
    invocation: RoomInvocation,
) -> Result<(), Failure> {
    match invocation {
        RoomInvocation::Create(args) => create(context, session, args).await,
        RoomInvocation::Members(args) => members(context, session, &args.room).await,
        RoomInvocation::Code(args) => code(context, session, &args.room).await,
        RoomInvocation::Join(args) => join(context, session, &args.room).await,
        RoomInvocation::Leave(args) => leave(context, session, &args.room).await,
        RoomInvocation::Add(AddArgs { room, people }) => {
            let people = persons(&people)?;
            change(context, session, &room, |room| Command::Add { room, people }).await
        }
        RoomInvocation::Remove(RemoveArgs { room, person }) => {
            let person = resolve::person(&person)?;
            change(context, session, &room, |room| Command::Remove { room, person }).await
        }
        RoomInvocation::Rotate(args) => change(context, session, &args.room, Command::Rotate).await,
        RoomInvocation::Rename(RenameArgs { room, name }) => {
            change(context, session, &room, |room| Command::Rename { room, name }).await
        }
        RoomInvocation::Role(RoleArgs { room, person, role }) => {
            let person = resolve::person(&person)?;
            let role = role.into();
            change(context, session, &room, |room| Command::SetRole { room, person, role }).await
        }
        RoomInvocation::Set(SetArgs { room, key, value }) => {
            change(context, session, &room, |room| Command::Set { room, key, value }).await
        }
    }
}

async fn create(
    context: &mut CommandContext<'_>,
    session: &EngineSession,
    args: CreateArgs,
) -> Result<(), Failure> {
    let people = persons(&args.people)?;
    let (name, is_open, shares_history) = (args.name, args.open, args.share_history);
    let new = NewRoom { name, is_open, shares_history, people };
    let Done::Room(room) = session.run(Command::CreateRoom(new)).await? else {
        return Err(out_of_turn());
    };
    show(context, session, room).await
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
    context.out.report("The same for all who hold the same members and key: compare it by voice.");
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
