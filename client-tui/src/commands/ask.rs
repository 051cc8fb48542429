//! `ask`, `usage`: a question to the assistant, the answer as it comes, and what answers took.
//!
//! Owns the glass envelope of the command line: what would leave is shown, and nothing leaves without
//! a yes. The answer goes to stdout as it comes; how it ended, if not well, to stderr.

use std::time::Duration;

use mathia_protocol::client::{
    Answered, ClientEvent, Command, Done, EntryView, Envelope, NewAsk, NewRoom, OutboxState,
    RoomView, StreamView,
};
use mathia_protocol::crypto::commit::Role;
use mathia_protocol::crypto::content::{Answer, Attached, Content, Outcome};
use mathia_protocol::id::{Hash, Seq};
use mathia_protocol::name::Handle;
use tokio::time::{Instant, timeout_at};

use super::send::{ACK_PATIENCE, finish, read_text, settled, take_back};
use super::session::EngineSession;
use super::{CommandContext, out_of_turn, resolve};
use crate::asking::{self, Destination, tokens};
use crate::clock::rfc3339;
use crate::exit::{Exit, Failure};
use crate::output::{self, Line, LineFormat};

/// How long an answer is waited for, unless the command line says otherwise.
const ANSWER_PATIENCE: Duration = Duration::from_mins(10);
/// How long a stopped answer may take to say so.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Letters of a message that the envelope shows on its line.
const EXCERPT_LEN: usize = 48;

/// What `ask` was called with.
#[derive(Debug)]
pub(super) struct AskArgs {
    pub(super) room: Option<String>,
    pub(super) text: Option<String>,
    pub(super) n_context: u32,
    pub(super) quoted: Option<u64>,
    pub(super) timeout: Option<Duration>,
}

pub(super) async fn run(context: &mut CommandContext<'_>, args: AskArgs) -> Result<(), Failure> {
    let text = read_text(args.text.clone()).await?;
    let mut session = EngineSession::open(context)?;
    let asked = ask(context, &mut session, &args, text).await;
    session.close().await;
    asked
}

async fn ask(
    context: &mut CommandContext<'_>,
    session: &mut EngineSession,
    args: &AskArgs,
    text: String,
) -> Result<(), Failure> {
    let is_synced = session.sync(context).await?;
    let room = match &args.room {
        Some(word) => session.room(context, word).await?,
        None => own_room(context, session, is_synced).await?,
    };
    let quoted = args.quoted.map(Seq);
    let n_context = args.n_context;
    let command = Command::Envelope { room: room.room, text: text.clone(), quoted, n_context };
    let Done::Envelope(envelope) = session.run(command).await? else { return Err(out_of_turn()) };
    show_envelope(context, &envelope, &room, &text);
    context.prompt.confirm(&mut context.out, "Send this?", "yes")?;
    let attached = envelope.quoted.iter().chain(&envelope.context).map(|one| one.seq).collect();
    let promise: Hash = envelope.promise;
    let new = NewAsk { room: room.room, text, promise, attached, again: None, tag: None };
    let Done::Queued { local_id } = session.run(Command::Ask(new)).await? else {
        return Err(out_of_turn());
    };
    let deadline = Instant::now() + ACK_PATIENCE;
    let sent = tokio::select! {
        sent = timeout_at(deadline, settled(session, local_id)) => sent,
        () = context.stop.cancelled() => return take_back(session, local_id, None).await,
    };
    let view = match sent {
        Ok(Some(view)) => view,
        Ok(None) => return take_back(session, local_id, session.stopped()).await,
        Err(_) => {
            let text = format!("the server cannot be reached: {}", session.offline_cause());
            let failure = Failure::new(Exit::Unreachable, text);
            return take_back(session, local_id, Some(failure)).await;
        }
    };
    let OutboxState::Accepted { seq, .. } = view.state else {
        return finish(context, session, &room, view);
    };
    print_answer(context, session, &room, seq, args.timeout.unwrap_or(ANSWER_PATIENCE)).await
}

/// The room that one shares with the assistant alone; made at the first question.
async fn own_room(
    context: &mut CommandContext<'_>,
    session: &mut EngineSession,
    is_synced: bool,
) -> Result<RoomView, Failure> {
    let is_own = |room: &&RoomView| {
        room.members.len() == 2 && room.members.iter().any(|member| member.role == Role::Agent)
    };
    let rooms = session.rooms().await?;
    if let Some(room) = rooms.iter().filter(is_own).min_by_key(|room| room.room) {
        return Ok(room.clone());
    }
    if !is_synced {
        return Err(Failure::new(Exit::Unreachable, "you have no room with the assistant yet")
            .hint("the first question needs the server, which makes one"));
    }
    let (name, assistant) = (Handle::ASSISTANT, resolve::person(Handle::ASSISTANT)?);
    let name = name.parse().map_err(|_| out_of_turn())?;
    let (is_open, shares_history) = (false, false);
    let new = NewRoom { name, is_open, shares_history, people: vec![assistant] };
    let Done::Room(room) = session.run(Command::CreateRoom(new)).await? else {
        return Err(out_of_turn());
    };
    context.out.say("made #mathia, a sealed room of you and the assistant");
    session.room_view(room).await?.ok_or_else(out_of_turn)
}

fn show_envelope(
    context: &mut CommandContext<'_>,
    envelope: &Envelope,
    room: &RoomView,
    text: &str,
) {
    let style = LineFormat::local(context.config.is_24h, false);
    for line in envelope_lines(envelope, room, text, &style) {
        context.out.say(&line);
    }
}

/// The envelope in words: where it goes, and exactly what leaves.
fn envelope_lines(
    envelope: &Envelope,
    room: &RoomView,
    text: &str,
    style: &LineFormat,
) -> Vec<String> {
    let mut lines = vec![format!("ask {} in {}", envelope.handle, output::room::room_word(room))];
    let Destination { place, model, operator } = Destination::of(envelope.card.as_ref());
    let model = if model.is_empty() { String::new() } else { format!(", model {model}") };
    lines.push(format!("  goes to   {place}{model}"));
    if !operator.is_empty() {
        lines.push(format!("  operator  {operator}"));
    }
    let mut n_tokens = tokens(text);
    lines.push(format!("  question  {:>6} tokens  {}", tokens(text), excerpt(text)));
    let shown = envelope.quoted.iter().map(|one| ("quoted", one));
    for (what, one) in shown.chain(envelope.context.iter().map(|one| ("message", one))) {
        n_tokens += tokens(&one.text);
        lines.push(format!("  {what:<8}  {:>6} tokens  {}", tokens(&one.text), said(one, style)));
    }
    if envelope.n_left_out > 0 {
        lines.push(format!("  {} more messages do not fit", envelope.n_left_out));
    }
    lines.push(format!("  about {n_tokens} tokens; everybody in the room sees what was asked"));
    lines
}

fn said(one: &Attached, style: &LineFormat) -> String {
    format!("{} {}: {}", style.stamp(one.time), one.handle, excerpt(&one.text))
}

fn excerpt(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let short: String = line.chars().take(EXCERPT_LEN).collect();
    if short.len() < text.len() { format!("{short}\u{2026}") } else { short }
}

/// What was printed of an answer so far.
#[derive(Debug, Default)]
struct PrintedAnswer {
    printed: String,
}

impl PrintedAnswer {
    /// What is new in a stream that grows; nothing once it does not continue what was printed.
    fn more<'a>(&mut self, text: &'a str) -> &'a str {
        let Some(more) = text.strip_prefix(self.printed.as_str()) else { return "" };
        self.printed.push_str(more);
        more
    }
}

/// Prints the answer as it comes, until it is whole.
async fn print_answer(
    context: &mut CommandContext<'_>,
    session: &mut EngineSession,
    room: &RoomView,
    ask: Seq,
    patience: Duration,
) -> Result<(), Failure> {
    let mut printed = PrintedAnswer::default();
    let mut deadline = Instant::now() + patience;
    let mut is_stopping = false;
    loop {
        let event = tokio::select! {
            event = timeout_at(deadline, session.events.next()) => event,
            () = context.stop.cancelled(), if !is_stopping => {
                is_stopping = true;
                deadline = Instant::now() + STOP_PATIENCE;
                session.run(Command::StopAnswer { room: room.room, ask }).await?;
                continue;
            }
        };
        match event {
            Ok(Some(ClientEvent::Stream(view))) if is_ours(&view, room, ask) => {
                if !context.out.is_json() && !view.has_gap {
                    context.out.piece(printed.more(&view.text))?;
                }
            }
            Ok(Some(ClientEvent::Entry(view))) if view.room == room.room => {
                if let Some(Content::Answer(answer)) = view.content.said()
                    && answer.ask == ask
                {
                    return conclude(context, room, &view, answer, printed);
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => {
                return Err(session.stopped().unwrap_or_else(out_of_turn));
            }
            Err(_) if is_stopping => return Err(Failure::silent(Exit::Interrupted)),
            Err(_) => {
                let text = "no answer came in time";
                let hint = "the question is kept; the answer will stand in the room's history";
                return Err(Failure::new(Exit::TimedOut, text).hint(hint));
            }
        }
    }
}

fn is_ours(view: &StreamView, room: &RoomView, ask: Seq) -> bool {
    view.room == room.room && view.ask == ask
}

fn conclude(
    context: &mut CommandContext<'_>,
    room: &RoomView,
    view: &EntryView,
    answer: &Answer,
    mut printed: PrintedAnswer,
) -> Result<(), Failure> {
    if context.out.is_json() {
        let style = LineFormat::local(context.config.is_24h, false);
        context.out.line(&output::entry::entry(view, room, &style))?;
    } else if !answer.text.is_empty() {
        let was_lost = !answer.text.starts_with(&printed.printed);
        if was_lost {
            context.out.piece("\n")?;
            context.out.say("pieces were lost on the way; this is the whole answer:");
            printed = PrintedAnswer::default();
        }
        context.out.piece(printed.more(&answer.text))?;
        if !answer.text.ends_with('\n') {
            context.out.piece("\n")?;
        }
    }
    let Some(ending) = asking::ending(answer, "") else { return Ok(()) };
    match answer.outcome {
        Outcome::Complete => {}
        Outcome::CutOff | Outcome::Filtered => context.out.say(&ending),
        Outcome::Stopped => return Err(Failure::silent(Exit::Interrupted)),
        Outcome::Interrupted => return Err(Failure::new(Exit::Failed, ending)),
        Outcome::Refused => {
            context.out.say(&ending);
            return Err(Failure::silent(Exit::Failed));
        }
    }
    Ok(())
}

pub(super) async fn usage(
    context: &mut CommandContext<'_>,
    room: Option<String>,
) -> Result<(), Failure> {
    let mut session = EngineSession::open(context)?;
    session.sync(context).await?;
    let room = match room {
        Some(word) => Some(session.room(context, &word).await?.room),
        None => None,
    };
    let rooms = session.rooms().await?;
    let Done::Answers(answers) = session.run(Command::Answers { room }).await? else {
        return Err(out_of_turn());
    };
    session.close().await;
    let style = LineFormat::local(context.config.is_24h, false);
    for answered in &answers {
        if let Some(line) = usage_line(answered, &rooms, &style) {
            context.out.line(&line)?;
        }
    }
    Ok(())
}

/// One line per answer that a model gave.
fn usage_line(answered: &Answered, rooms: &[RoomView], style: &LineFormat) -> Option<Line> {
    let Answered { room, seq, time, handle, answer, .. } = answered;
    let usage = answer.usage?;
    let view = rooms.iter().find(|view| view.room == *room);
    let name = view.map_or("", |view| &view.name);
    let person = if handle.is_empty() { "?" } else { handle };
    let text = format!(
        "{}  {}  {person}  {}  {}",
        style.stamp(*time),
        view.map_or_else(|| room.short(), output::room::room_word),
        answer.model,
        asking::usage(&usage)
    );
    let line = Line::new("usage")
        .with("room", name)
        .with("room_id", room.to_hex())
        .with("person", person)
        .with("model", answer.model.as_str())
        .with("provider", answer.provider.as_str())
        .with("prompt_tokens", usage.prompt)
        .with("completion_tokens", usage.completion)
        .with("total_tokens", usage.total)
        .with("estimated", usage.is_estimated)
        .with("seq", seq.0)
        .with("time", rfc3339(*time));
    Some(line.text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_continues_the_answer_is_printed() {
        let mut printed = PrintedAnswer::default();
        assert_eq!(printed.more("The col"), "The col");
        assert_eq!(printed.more("The column"), "umn");
        assert_eq!(printed.more("Another answer"), "", "a second attempt does not run on");
        assert_eq!(printed.more("The column is"), " is");
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt("short"), "short");
        assert_eq!(excerpt("one\ntwo"), "one\u{2026}");
        assert_eq!(excerpt(&"x".repeat(100)).chars().count(), EXCERPT_LEN + 1);
    }
}
