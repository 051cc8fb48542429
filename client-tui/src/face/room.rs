//! `room ..`: making, changing and leaving rooms, and who is in them.

use mathia_protocol::client::{Command, Done, MemberView, NewRoom, PersonRef, RoomView};
use mathia_protocol::crypto::commit::RoomMode;
use mathia_protocol::id::RoomId;

use super::line::{self, Style};
use super::session::Session;
use super::{Call, out_of_turn, resolve};
use crate::cli::RoomVerb;
use crate::exit::{Exit, Failure};
use crate::output::Line;

pub(super) async fn run(call: &mut Call<'_>, verb: RoomVerb) -> Result<(), Failure> {
    let mut session = Session::open(call)?;
    let done = act(call, &mut session, verb).await;
    session.close().await;
    done
}

async fn act(call: &mut Call<'_>, session: &mut Session, verb: RoomVerb) -> Result<(), Failure> {
    match verb {
        RoomVerb::Create { name, open, share_history, people } => {
            let people = persons(&people)?;
            let new = NewRoom { name, is_open: open, shares_history: share_history, people };
            let Done::Room(room) = session.run(Command::CreateRoom(new)).await? else {
                return Err(out_of_turn());
            };
            show(call, session, room).await
        }
        RoomVerb::Members { room } => members(call, session, &room).await,
        RoomVerb::Code { room } => code(call, session, &room).await,
        RoomVerb::Join { room } => join(call, session, &room).await,
        RoomVerb::Leave { room } => leave(call, session, &room).await,
        RoomVerb::Add { room, people } => {
            let people = persons(&people)?;
            change(call, session, &room, |room| Command::Add { room, people }).await
        }
        RoomVerb::Remove { room, person } => {
            let person = resolve::person(&person)?;
            change(call, session, &room, |room| Command::Remove { room, person }).await
        }
        RoomVerb::Rotate { room } => change(call, session, &room, Command::Rotate).await,
        RoomVerb::Rename { room, name } => {
            change(call, session, &room, |room| Command::Rename { room, name }).await
        }
        RoomVerb::Role { room, person, role } => {
            let person = resolve::person(&person)?;
            let role = role.into();
            change(call, session, &room, |room| Command::SetRole { room, person, role }).await
        }
        RoomVerb::Set { room, key, value } => {
            change(call, session, &room, |room| Command::Set { room, key, value }).await
        }
    }
}

fn persons(words: &[String]) -> Result<Vec<PersonRef>, Failure> {
    words.iter().map(|word| resolve::person(word)).collect()
}

/// Changes a room and shows how it is afterwards.
async fn change(
    call: &mut Call<'_>,
    session: &mut Session,
    word: &str,
    command: impl FnOnce(RoomId) -> Command,
) -> Result<(), Failure> {
    let room = session.room(call, word).await?.room;
    session.run(command(room)).await?;
    show(call, session, room).await
}

async fn show(call: &mut Call<'_>, session: &Session, room: RoomId) -> Result<(), Failure> {
    let style = Style::local(call.config.is_24h, true);
    match session.room_view(room).await? {
        Some(view) => call.out.line(&line::room(&view, &style)),
        None => Err(Failure::new(Exit::NotFound, "the room is gone")),
    }
}

async fn members(call: &mut Call<'_>, session: &mut Session, word: &str) -> Result<(), Failure> {
    session.sync(call).await?;
    let room = session.room(call, word).await?;
    for member in &room.members {
        call.out.line(&member_line(&room, member))?;
    }
    Ok(())
}

fn member_line(room: &RoomView, member: &MemberView) -> Line {
    let role = line::role_word(member.role);
    let card = member.card.as_ref();
    let operator = card.map_or(&member.operator, |card| &card.operator);
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (provider, model) = card.map_or(("", ""), |card| (&card.provider, &card.model));
    let goes_to = match card {
        Some(card) if card.provider.is_empty() => Some("no model".to_owned()),
        Some(card) => Some(format!("{} at {}", card.model, card.provider)),
        None => None,
    };
    let scope = match room.mode {
        RoomMode::Open => "answers what it is asked",
        RoomMode::E2ee => "reads only what is shown to it",
    };
    let scope = member.is_agent.then(|| scope.to_owned());
    let words =
        [Some(member.handle.clone()), Some(role.to_owned()), scope, goes_to, some(operator)];
    Line::new("room_member")
        .with("room", room.name.as_str())
        .with("room_id", room.room.to_hex())
        .with("name", member.handle.as_str())
        .with("account", member.account.to_hex())
        .with("role", role)
        .with("is_agent", member.is_agent)
        .with_some("operator", some(operator))
        .with_some("provider", some(provider))
        .with_some("model", some(model))
        .text(words.into_iter().flatten().collect::<Vec<_>>().join("  "))
}

async fn code(call: &mut Call<'_>, session: &mut Session, word: &str) -> Result<(), Failure> {
    session.sync(call).await?;
    let room = session.room(call, word).await?;
    let line = Line::new("code")
        .with("room", room.name.as_str())
        .with("room_id", room.room.to_hex())
        .with("seq", room.head.0)
        .with("hash", room.head_hash.to_hex())
        .with("code", room.room_code.as_str())
        .with("mode", line::mode_word(room.mode))
        .with("epoch", room.epoch.0)
        .text(in_groups(&room.room_code));
    call.out.line(&line)?;
    call.out.say("The same for all who hold the same members and key: compare it by voice.");
    Ok(())
}

fn in_groups(digits: &str) -> String {
    let plain: Vec<char> = digits.chars().filter(char::is_ascii_digit).collect();
    let groups: Vec<String> = plain.chunks(5).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

/// Joins an open room: its name is looked up in the lobby, where it is unique.
async fn join(call: &mut Call<'_>, session: &mut Session, word: &str) -> Result<(), Failure> {
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
    show(call, session, room.room).await
}

async fn leave(call: &mut Call<'_>, session: &mut Session, word: &str) -> Result<(), Failure> {
    let room = session.room(call, word).await?;
    let question = format!("Leave {}?", line::room_word(&room));
    call.prompt.confirm_if_person(&mut call.out, &question, "yes")?;
    session.run(Command::Leave(room.room)).await?;
    let line = Line::new("room")
        .with("room", room.name.as_str())
        .with("room_id", room.room.to_hex())
        .with("is_member", false)
        .text(format!("you left {}", line::room_word(&room)));
    call.out.line(&line)
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
