//! `outbox`: what waits to be sent, and taking it back.

use mathia_protocol::client::home::HomeError;
use mathia_protocol::client::{Command, OutboxRow, RowState};

use super::CommandContext;
use super::session::EngineSession;
use crate::clock::rfc3339;
use crate::exit::{Exit, Failure};
use crate::output::{Line, LineFormat};

/// Lists from the replica alone: it is the outbox.
pub(super) fn list(context: &mut CommandContext<'_>) -> Result<(), Failure> {
    let profile = context.paths.home().open()?;
    let rows = profile.replica.outbox(None).map_err(HomeError::from)?;
    let style = LineFormat::local(context.config.is_24h, true);
    for row in rows {
        let room = profile.replica.room(row.room).map_err(HomeError::from)?;
        let name = room.map(|room| room.facts.name).unwrap_or_default();
        context.out.line(&outbox_line(&row, &name, &style))?;
    }
    Ok(())
}

fn outbox_line(row: &OutboxRow, room: &str, style: &LineFormat) -> Line {
    let (state, cause) = match &row.state {
        RowState::Queued => ("queued", None),
        RowState::Sent { .. } => ("sent", None),
        RowState::Accepted { .. } => ("accepted", None),
        RowState::Failed { cause } => ("failed", Some(cause.as_str())),
        RowState::Withdrawn => ("withdrawn", None),
    };
    let text = row.text().replace('\n', "\n       ");
    let why = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
    let stamp = style.stamp(row.queued_at);
    Line::new("outbox")
        .with("room", room)
        .with("room_id", row.room.to_hex())
        .with("id", row.local_id)
        .with("time", rfc3339(row.queued_at))
        .with("text", row.text())
        .with("state", state)
        .with_some("cause", cause)
        .text(format!("{:>5}  {stamp}  #{room}  {state}{why}  {text}", row.local_id))
}

pub(super) async fn withdraw(
    context: &mut CommandContext<'_>,
    local_id: u64,
) -> Result<(), Failure> {
    let known = context.paths.home().open()?.replica.outbox_row(local_id);
    if known.map_err(HomeError::from)?.is_none() {
        return Err(Failure::new(Exit::NotFound, format!("the outbox has no number {local_id}"))
            .hint("`mathia-tui outbox list` lists them"));
    }
    let session = EngineSession::open(context)?;
    session.run(Command::Withdraw { local_id }).await?;
    session.close().await;
    let line = Line::new("outbox")
        .with("id", local_id)
        .with("state", "withdrawn")
        .text(format!("{local_id} is taken back; it was never sent"));
    context.out.line(&line)
}
