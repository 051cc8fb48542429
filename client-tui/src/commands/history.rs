//! `history`: prints the messages of a room, oldest first.

use mathia_protocol::client::{Command, Done, EntryView};
use mathia_protocol::id::{RoomId, Seq};

use super::context::{CommandContext, out_of_turn};
use super::session::EngineSession;
use crate::exit::Failure;
use crate::output::{self, LineFormat};
use crate::verbs::HistoryArgs;

/// Entries asked of the engine at a time; it fetches what is missing in pages of its own.
const PAGE: u32 = 500;

pub(super) async fn run(
    context: &mut CommandContext<'_>,
    args: &HistoryArgs,
) -> Result<(), Failure> {
    let mut session = EngineSession::open(context)?;
    session.sync(context).await?;
    let room = session.room(context, &args.room).await?;
    let entries = collect(&session, room.room, args.count, Seq(args.before.unwrap_or(0))).await?;
    // Marks may have moved while pages were fetched: ticks are printed as they are now.
    let room = session.room_view(room.room).await?.unwrap_or(room);
    session.close().await;
    let style = LineFormat::local(context.config.is_24h, false);
    for entry in &entries {
        context.out.line(&output::entry::entry(entry, &room, &style))?;
    }
    Ok(())
}

/// Reads pages backwards until there are enough or there is no more.
async fn collect(
    session: &EngineSession,
    room: RoomId,
    count: u32,
    before: Seq,
) -> Result<Vec<EntryView>, Failure> {
    let mut pages = Vec::new();
    let (mut before, mut left) = (before, count);
    while left > 0 {
        let command = Command::Timeline { room, before, count: left.min(PAGE) };
        let Done::Timeline { entries, has_more } = session.run(command).await? else {
            return Err(out_of_turn());
        };
        let Some(first) = entries.first() else { break };
        (before, left) =
            (first.seq, left.saturating_sub(u32::try_from(entries.len()).unwrap_or(left)));
        pages.push(entries);
        if !has_more || before <= Seq(1) {
            break;
        }
    }
    Ok(pages.into_iter().rev().flatten().collect())
}
