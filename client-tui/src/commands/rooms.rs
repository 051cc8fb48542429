//! `rooms`, `lobby`, `read`: which rooms there are, and how far they are read.

use mathia_protocol::client::{Command, Done};

use super::context::{CommandContext, out_of_turn};
use super::session::EngineSession;
use crate::exit::Failure;
use crate::output::{self, Line, LineFormat};

pub(super) async fn list(context: &mut CommandContext<'_>) -> Result<(), Failure> {
    let mut session = EngineSession::open(context)?;
    session.sync(context).await?;
    let rooms = session.rooms().await?;
    session.close().await;
    let style = LineFormat::local(context.config.is_24h, true);
    if rooms.is_empty() {
        context.out.report("no rooms yet: `mathia-tui room create NAME`, or `mathia-tui lobby`");
    }
    for room in &rooms {
        context.out.line(&output::room::room(room, &style))?;
    }
    Ok(())
}

pub(super) async fn lobby(context: &mut CommandContext<'_>) -> Result<(), Failure> {
    let session = EngineSession::open(context)?;
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
        context.out.line(&line)?;
    }
    Ok(())
}

pub(super) async fn mark_read(context: &mut CommandContext<'_>, word: &str) -> Result<(), Failure> {
    let mut session = EngineSession::open(context)?;
    session.sync(context).await?;
    let room = session.room(context, word).await?;
    session.run(Command::MarkRead { room: room.room, upto: room.head }).await?;
    session.close().await;
    let line = Line::new("receipt")
        .with("room", room.name.as_str())
        .with("room_id", room.room.to_hex())
        .with("seq", room.head.0)
        .with("mark", "read")
        .text(format!("{} is read up to {}", output::room::room_word(&room), room.head));
    context.out.line(&line)
}
