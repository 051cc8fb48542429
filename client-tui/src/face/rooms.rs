//! `rooms`, `lobby`, `read`: which rooms there are, and how far they are read.

use mathia_protocol::client::{Command, Done};

use super::line::{self, Style};
use super::session::Session;
use super::{Call, out_of_turn};
use crate::exit::Failure;
use crate::output::Line;

pub(super) async fn list(call: &mut Call<'_>) -> Result<(), Failure> {
    let mut session = Session::open(call)?;
    session.sync(call).await?;
    let rooms = session.rooms().await?;
    session.close().await;
    let style = Style::local(call.config.is_24h, true);
    if rooms.is_empty() {
        call.out.say("no rooms yet: `mathia-tui room create NAME`, or `mathia-tui lobby`");
    }
    for room in &rooms {
        call.out.line(&line::room(room, &style))?;
    }
    Ok(())
}

pub(super) async fn lobby(call: &mut Call<'_>) -> Result<(), Failure> {
    let session = Session::open(call)?;
    let Done::Lobby(rooms) = session.run(Command::Lobby).await? else { return Err(out_of_turn()) };
    session.close().await;
    for room in rooms {
        let joined = if room.is_member { "  joined" } else { "" };
        let (name, topic, n_members) = (&room.name, &room.topic, room.n_members);
        let line = Line::new("lobby")
            .with("room", name.as_str())
            .with("room_id", room.room.to_hex())
            .with("topic", topic.as_str())
            .with("members", n_members)
            .with("is_member", room.is_member)
            .text(format!("#{name}  {n_members} members{joined}  {topic}").trim_end());
        call.out.line(&line)?;
    }
    Ok(())
}

pub(super) async fn mark_read(call: &mut Call<'_>, word: &str) -> Result<(), Failure> {
    let mut session = Session::open(call)?;
    session.sync(call).await?;
    let room = session.room(call, word).await?;
    session.run(Command::MarkRead { room: room.room, upto: room.head }).await?;
    session.close().await;
    let line = Line::new("receipt")
        .with("room", room.name.as_str())
        .with("room_id", room.room.to_hex())
        .with("seq", room.head.0)
        .with("mark", "read")
        .text(format!("{} is read up to {}", line::room_word(&room), room.head));
    call.out.line(&line)
}
