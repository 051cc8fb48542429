//! `send`, `dm`, `schedule`: saying something, and waiting for the server's word.

use std::time::Duration;

use mathia_protocol::client::{
    ClientEvent, Command, CommandError, Done, OutboxState, OutboxView, RoomView,
};
use mathia_protocol::id::RoomId;
use mathia_protocol::limits::MESSAGE_TEXT_LEN_MAX;
use tokio::time::{Instant, timeout_at};

use super::session::EngineSession;
use super::{CommandContext, out_of_turn, prompt, resolve};
use crate::clock::{self, rfc3339};
use crate::exit::{Exit, Failure};
use crate::output::{self, Line, LineFormat};

/// How long a text may take until the server has it on disk.
pub(super) const ACK_PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn run(
    context: &mut CommandContext<'_>,
    word: &str,
    text: Option<String>,
) -> Result<(), Failure> {
    let text = read_text(text).await?;
    let mut session = EngineSession::open(context)?;
    let room = session.room(context, word).await?;
    let sent = say(context, &mut session, &room, text).await;
    session.close().await;
    sent
}

pub(super) async fn direct(
    context: &mut CommandContext<'_>,
    word: &str,
    text: Option<String>,
) -> Result<(), Failure> {
    let person = resolve::person(word)?;
    let text = match text {
        Some(text) => Some(read_text(Some(text)).await?),
        None => None,
    };
    let mut session = EngineSession::open(context)?;
    let Done::Room(room) = session.run(Command::Direct(person)).await? else {
        return Err(out_of_turn());
    };
    let room = view_of(&session, room).await?;
    let done = match text {
        Some(text) => say(context, &mut session, &room, text).await,
        None => context
            .out
            .line(&output::room::room(&room, &LineFormat::local(context.config.is_24h, true))),
    };
    session.close().await;
    done
}

async fn view_of(session: &EngineSession, room: RoomId) -> Result<RoomView, Failure> {
    session.room_view(room).await?.ok_or_else(|| Failure::new(Exit::NotFound, "the room is gone"))
}

pub(super) async fn schedule(
    context: &mut CommandContext<'_>,
    word: &str,
    when: &str,
    text: String,
) -> Result<(), Failure> {
    let now = clock::now();
    let due = clock::parse_when(when, now).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{when:?} is no time"))
            .hint("write 2026-11-20T17:00:00Z, or 10m for ten minutes from now")
    })?;
    let text = check_text(text)?;
    let mut session = EngineSession::open(context)?;
    let room = session.room(context, word).await?;
    session.run(Command::Schedule { room: room.room, text, due }).await?;
    session.close().await;
    let style = LineFormat::local(context.config.is_24h, false);
    let line = Line::new("schedule")
        .with("room", room.name.as_str())
        .with("room_id", room.room.to_hex())
        .with("due", rfc3339(due))
        .text(format!(
            "it will be said in {} at {}",
            output::room::room_word(&room),
            style.stamp(due)
        ));
    context.out.line(&line)
}

/// The text of the command line, or of stdin.
pub(super) async fn read_text(text: Option<String>) -> Result<String, Failure> {
    let text = match text.as_deref() {
        Some("-") => prompt::read_stdin(MESSAGE_TEXT_LEN_MAX).await?,
        Some(text) => text.to_owned(),
        None if std::io::IsTerminal::is_terminal(&std::io::stdin()) => {
            return Err(Failure::new(Exit::Usage, "what should be sent?")
                .hint("give the text, or - to read it from stdin"));
        }
        None => prompt::read_stdin(MESSAGE_TEXT_LEN_MAX).await?,
    };
    check_text(text)
}

fn check_text(text: String) -> Result<String, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::new(Exit::Usage, "there is nothing to say"));
    }
    if text.len() > MESSAGE_TEXT_LEN_MAX {
        let message = format!(
            "a message has at most {MESSAGE_TEXT_LEN_MAX} bytes of text, this has {}",
            text.len()
        );
        return Err(Failure::new(Exit::Usage, message).hint("send it in parts; nothing was sent"));
    }
    Ok(text)
}

/// Queues a text and waits until the server has it.
async fn say(
    context: &mut CommandContext<'_>,
    session: &mut EngineSession,
    room: &RoomView,
    text: String,
) -> Result<(), Failure> {
    if let Some(cause) = &room.sending_stopped {
        return Err(Failure::new(Exit::Untrusted, format!("sending is stopped here: {cause}"))
            .hint("nothing was sent"));
    }
    let command = Command::Send { room: room.room, text, tag: None };
    let Done::Queued { local_id } = session.run(command).await? else {
        return Err(out_of_turn());
    };
    let deadline = Instant::now() + ACK_PATIENCE;
    let outcome = tokio::select! {
        outcome = timeout_at(deadline, settled(session, local_id)) => outcome,
        () = context.stop.cancelled() => return take_back(session, local_id, None).await,
    };
    match outcome {
        Ok(Some(view)) => finish(context, session, room, view),
        // The engine stopped: whatever the cause, it will not be sent by this process.
        Ok(None) => take_back(session, local_id, session.stopped()).await,
        Err(_) => {
            let text = format!("the server cannot be reached: {}", session.offline_cause());
            take_back(session, local_id, Some(Failure::new(Exit::Unreachable, text))).await
        }
    }
}

/// Waits for the last word about a text; `None` if the engine stops.
pub(super) async fn settled(session: &mut EngineSession, local_id: u64) -> Option<OutboxView> {
    while session.stopped().is_none() {
        match session.events.next().await? {
            ClientEvent::Outbox(view)
                if view.local_id == local_id
                    && !matches!(view.state, OutboxState::Queued | OutboxState::Sent) =>
            {
                return Some(view);
            }
            _ => {}
        }
    }
    None
}

pub(super) fn finish(
    context: &mut CommandContext<'_>,
    session: &EngineSession,
    room: &RoomView,
    view: OutboxView,
) -> Result<(), Failure> {
    match view.state {
        OutboxState::Accepted { seq, time } => {
            let line = Line::new("message")
                .with("room", room.name.as_str())
                .with("room_id", room.room.to_hex())
                .with("seq", seq.0)
                .with("from", session.own.handle.as_str())
                .with("device", session.own.device.to_hex())
                .with("time", rfc3339(time))
                .with("text", view.text())
                .with("ticks", "accepted");
            context.out.line(&line)
        }
        OutboxState::Failed { cause } => {
            Err(Failure::new(Exit::Refused, cause)
                .hint("the text is kept: `mathia-tui outbox list`"))
        }
        OutboxState::Withdrawn => {
            Err(Failure::new(Exit::Failed, "it was taken back by another process of this device"))
        }
        OutboxState::Queued | OutboxState::Sent => Err(out_of_turn()),
    }
}

/// Takes a text back if it was never written to the wire: then nothing was sent. Otherwise it stays
/// queued, and the next client of this device finds out what became of it.
pub(super) async fn take_back(
    session: &EngineSession,
    local_id: u64,
    cause: Option<Failure>,
) -> Result<(), Failure> {
    match session.withdraw(local_id).await {
        Ok(()) => Err(match cause {
            Some(cause) if cause.hint.is_none() => cause.hint("nothing was sent"),
            Some(cause) => cause,
            None => Failure::new(Exit::Interrupted, "interrupted").hint("nothing was sent"),
        }),
        Err(CommandError::Storage(text)) => Err(CommandError::Storage(text).into()),
        Err(_) => Err(Failure::new(Exit::Queued, "the server did not acknowledge it yet")
            .hint("it stays in the outbox and goes out with the next command; never twice")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_too_much_are_refused_before_anything_is_queued() {
        assert_eq!(check_text(" \n".to_owned()).unwrap_err().exit, Exit::Usage);
        let long = "x".repeat(MESSAGE_TEXT_LEN_MAX + 1);
        let refused = check_text(long).unwrap_err();
        assert!(refused.exit == Exit::Usage && refused.message.contains("16385"));
        assert!(check_text("x".repeat(MESSAGE_TEXT_LEN_MAX)).is_ok());
    }
}
