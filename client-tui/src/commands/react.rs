//! `react`: an emoji on a message, or taken back.

use mathia_protocol::client::{Command, Done, NewReaction, OutboxState};
use mathia_protocol::id::Seq;
use tokio::time::{Instant, timeout_at};

use super::send::{ACK_PATIENCE, settled, take_back};
use super::session::EngineSession;
use super::{CommandContext, out_of_turn};
use crate::clock::rfc3339;
use crate::emoji;
use crate::exit::{Exit, Failure};
use crate::output::Line;

/// What the command line asks for.
#[derive(Debug)]
pub(super) struct ReactArgs {
    pub(super) room: String,
    pub(super) target: u64,
    pub(super) emoji: String,
    pub(super) is_removed: bool,
}

pub(super) async fn run(context: &mut CommandContext<'_>, args: ReactArgs) -> Result<(), Failure> {
    let emoji = emoji::find(&args.emoji).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{:?} is not one emoji", args.emoji))
            .hint("write the emoji itself, or its name as :thumbsup:")
    })?;
    let mut session = EngineSession::open(context)?;
    let room = session.room(context, &args.room).await?;
    let (target, is_removed) = (Seq(args.target), args.is_removed);
    let new = NewReaction { room: room.room, target, emoji: emoji.clone(), is_removed };
    let queued = match session.run(Command::React(new.clone())).await {
        // It may have been said after this device was here last.
        Err(failure) if failure.exit == Exit::NotFound => {
            session.sync(context).await?;
            session.run(Command::React(new)).await?
        }
        queued => queued?,
    };
    let Done::Queued { local_id } = queued else { return Err(out_of_turn()) };
    let deadline = Instant::now() + ACK_PATIENCE;
    let outcome = tokio::select! {
        outcome = timeout_at(deadline, settled(&mut session, local_id)) => outcome,
        () = context.stop.cancelled() => return take_back(&session, local_id, None).await,
    };
    let view = match outcome {
        Ok(Some(view)) => view,
        Ok(None) => return take_back(&session, local_id, session.stopped()).await,
        Err(_) => {
            let text = format!("the server cannot be reached: {}", session.offline_cause());
            let failure = Failure::new(Exit::Unreachable, text);
            return take_back(&session, local_id, Some(failure)).await;
        }
    };
    let (handle, device) = (session.own.handle.to_string(), session.own.device.to_hex());
    session.close().await;
    match view.state {
        OutboxState::Accepted { seq, time } => {
            let (what, from) = if is_removed { ("taken back", "from") } else { ("put", "on") };
            let line = Line::new("reaction")
                .with("room", room.name.as_str())
                .with("room_id", room.room.to_hex())
                .with("seq", seq.0)
                .with("from", handle)
                .with("device", device)
                .with("time", rfc3339(time))
                .with("target", target.0)
                .with("emoji", emoji.as_str())
                .with("removed", is_removed)
                .text(format!("{emoji} {what} {from} message {target}"));
            context.out.line(&line)
        }
        OutboxState::Failed { cause } => Err(Failure::new(Exit::Refused, cause)),
        OutboxState::Withdrawn => {
            Err(Failure::new(Exit::Failed, "it was taken back by another process of this device"))
        }
        OutboxState::Queued | OutboxState::Sent => Err(out_of_turn()),
    }
}
