//! `tail`: prints messages as they arrive.
//!
//! Events are hints: a cursor per room says what was printed, and what an event skips is read from
//! the replica. So nothing is printed twice or left out, whatever order events come in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mathia_protocol::client::{
    ClientEvent, Command, ConnectionState, Done, EntryContent, EntryView, MarkCounts, PresenceView,
    RoomView,
};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::id::{AccountId, RoomId, Seq, TimeMs};
use tokio::time::{Instant, sleep_until};

use super::context::{CommandContext, out_of_turn};
use super::session::EngineSession;
use crate::clock::rfc3339;
use crate::exit::{Exit, Failure};
use crate::output::{self, Line, LineFormat};
use crate::verbs::TailArgs;

/// Entries read from the replica at a time.
const PAGE: u32 = 200;
/// A deadline for those who gave none: longer than any process runs.
const FOREVER: Duration = Duration::from_hours(10 * 365 * 24);

pub(super) async fn run(context: &mut CommandContext<'_>, args: TailArgs) -> Result<(), Failure> {
    let deadline = Instant::now() + args.timeout.unwrap_or(FOREVER).min(FOREVER);
    let mut session = EngineSession::open(context)?;
    let stop = context.stop.clone();
    let outcome = tokio::select! {
        outcome = follow(context, &mut session, &args) => outcome,
        () = stop.cancelled() => Err(Failure::silent(Exit::Interrupted)),
        () = sleep_until(deadline) => Err(Failure::new(Exit::TimedOut, "the time ran out")),
    };
    session.close().await;
    outcome
}

async fn follow(
    context: &mut CommandContext<'_>,
    session: &mut EngineSession,
    args: &TailArgs,
) -> Result<(), Failure> {
    if args.count == Some(0) {
        return Ok(());
    }
    session.sync(context).await?;
    let mut chosen = BTreeSet::new();
    for word in &args.rooms {
        chosen.insert(session.room(context, word).await?.room);
    }
    let style = LineFormat::local(context.config.is_24h, chosen.len() != 1);
    let mut tail = Tail::new(style, chosen, args.count);
    for room in session.rooms().await? {
        tail.begin(room, args.since.map(Seq));
    }
    let rooms: Vec<RoomId> = tail.rooms.keys().copied().collect();
    for room in rooms {
        if tail.catch_up(context, session, room).await? {
            return Ok(());
        }
    }
    while let Some(event) = session.events.next().await {
        if tail.handle(context, session, event).await? {
            return Ok(());
        }
    }
    Err(session.stopped().unwrap_or_else(|| Failure::new(Exit::Failed, "the client has stopped")))
}

struct Tail {
    style: LineFormat,
    /// The rooms that were asked for; empty means all.
    chosen: BTreeSet<RoomId>,
    rooms: BTreeMap<RoomId, FollowedRoom>,
    /// Messages still to be printed.
    n_left: Option<u64>,
    is_offline: bool,
}

/// A room with what was printed of it.
struct FollowedRoom {
    view: RoomView,
    /// The last printed place.
    cursor: Seq,
    /// Places that were printed as unreadable: printed again when their key arrives.
    unreadable: BTreeSet<Seq>,
    /// How far all others have received and read, as last reported.
    reported: (Seq, Seq),
}

impl Tail {
    fn new(style: LineFormat, chosen: BTreeSet<RoomId>, n_left: Option<u64>) -> Self {
        Self { style, chosen, rooms: BTreeMap::new(), n_left, is_offline: false }
    }

    /// Follows a room from now on, or from behind a place.
    fn begin(&mut self, view: RoomView, since: Option<Seq>) {
        if !self.chosen.is_empty() && !self.chosen.contains(&view.room) {
            return;
        }
        let cursor = since.unwrap_or(view.head);
        let reported = all_upto(&view.marks);
        let followed = FollowedRoom { view, cursor, unreadable: BTreeSet::new(), reported };
        self.rooms.insert(followed.view.room, followed);
    }

    /// Prints what an event reports. `true`: enough was printed.
    async fn handle(
        &mut self,
        context: &mut CommandContext<'_>,
        session: &EngineSession,
        event: ClientEvent,
    ) -> Result<bool, Failure> {
        match event {
            ClientEvent::Entry(entry) => self.entry(context, session, &entry).await,
            ClientEvent::Room(view) => self.room(context, session, *view).await,
            ClientEvent::RoomGone(room) => {
                self.rooms.remove(&room);
                Ok(false)
            }
            ClientEvent::Connection(state) => self.connection(context, session, state),
            other => {
                if let Some(line) = self.line_of(other) {
                    context.out.line_or_report(&line)?;
                }
                Ok(false)
            }
        }
    }

    async fn room(
        &mut self,
        context: &mut CommandContext<'_>,
        session: &EngineSession,
        view: RoomView,
    ) -> Result<bool, Failure> {
        let room = view.room;
        let Some(followed) = self.rooms.get_mut(&room) else {
            // A room that was just joined: from here on.
            self.begin(view, None);
            return Ok(false);
        };
        followed.view = view;
        if let Some(line) = followed.receipt() {
            context.out.line(&line)?;
        }
        self.catch_up(context, session, room).await
    }

    async fn entry(
        &mut self,
        context: &mut CommandContext<'_>,
        session: &EngineSession,
        entry: &EntryView,
    ) -> Result<bool, Failure> {
        let Some(followed) = self.rooms.get_mut(&entry.room) else { return Ok(false) };
        if entry.seq == followed.cursor.next() {
            return self.print(context, entry);
        }
        if entry.seq > followed.cursor {
            followed.view.head = followed.view.head.max(entry.seq);
            return self.catch_up(context, session, entry.room).await;
        }
        // Told again: worth a line only if a key arrived for what could not be read.
        if followed.unreadable.contains(&entry.seq) && is_readable(entry) {
            return self.print(context, entry);
        }
        Ok(false)
    }

    /// Prints from the cursor to the head. `true`: enough was printed.
    async fn catch_up(
        &mut self,
        context: &mut CommandContext<'_>,
        session: &EngineSession,
        room: RoomId,
    ) -> Result<bool, Failure> {
        while let Some(followed) = self.rooms.get_mut(&room).filter(|f| f.cursor < f.view.head) {
            let (from, upto) = (followed.cursor, Seq(followed.cursor.0 + u64::from(PAGE)));
            let command = Command::Timeline { room, before: upto.next(), count: PAGE };
            let Done::Timeline { entries, .. } = session.run(command).await? else {
                return Err(out_of_turn());
            };
            for entry in entries.iter().filter(|entry| entry.seq > from) {
                if self.print(context, entry)? {
                    return Ok(true);
                }
            }
            // What is not kept here and may not be read is passed over.
            if let Some(followed) = self.rooms.get_mut(&room) {
                followed.cursor = followed.cursor.max(upto.min(followed.view.head));
            }
        }
        Ok(false)
    }

    /// Prints one entry. `true`: enough was printed.
    fn print(
        &mut self,
        context: &mut CommandContext<'_>,
        entry: &EntryView,
    ) -> Result<bool, Failure> {
        let Some(followed) = self.rooms.get_mut(&entry.room) else { return Ok(false) };
        followed.cursor = followed.cursor.max(entry.seq);
        followed.view.head = followed.view.head.max(entry.seq);
        if is_readable(entry) {
            followed.unreadable.remove(&entry.seq);
        } else {
            followed.unreadable.insert(entry.seq);
        }
        context.out.line(&output::entry::entry(entry, &followed.view, &self.style))?;
        if matches!(entry.content, EntryContent::Said(Content::Text(_)))
            && let Some(n_left) = &mut self.n_left
        {
            *n_left = n_left.saturating_sub(1);
        }
        Ok(self.n_left == Some(0))
    }

    fn connection(
        &mut self,
        context: &mut CommandContext<'_>,
        session: &EngineSession,
        state: ConnectionState,
    ) -> Result<bool, Failure> {
        match state {
            ConnectionState::Stopped { cause, .. } => {
                let stopped = session.stopped();
                return Err(stopped.unwrap_or_else(|| Failure::new(Exit::Failed, cause)));
            }
            ConnectionState::Offline { cause, .. } if !self.is_offline => {
                self.is_offline = true;
                context.out.report(&format!("offline: {cause}"));
            }
            ConnectionState::Online { .. } if self.is_offline => {
                self.is_offline = false;
                context.out.report("online again");
            }
            _ => {}
        }
        Ok(false)
    }

    /// What passes without a place in a log.
    fn line_of(&mut self, event: ClientEvent) -> Option<Line> {
        match event {
            ClientEvent::Marks { room, marks } => {
                let followed = self.rooms.get_mut(&room)?;
                followed.view.marks = marks;
                followed.receipt()
            }
            ClientEvent::Typing { room, account, is_typing } => {
                let view = &self.rooms.get(&room)?.view;
                Some(
                    of_room("typing", view)
                        .with_some("from", handle_of(view, account))
                        .with("is_typing", is_typing),
                )
            }
            ClientEvent::Presence(presence) => self.presence(presence),
            ClientEvent::Alarm { room, text, cause, .. } => {
                let line = self.about("alarm", room)?;
                Some(
                    line.with("cause", format!("{cause:?}"))
                        .with("text", text.as_str())
                        .text(format!("! {text}")),
                )
            }
            ClientEvent::Notice { room, text } => Some(
                self.about("notice", room)?.with("text", text.as_str()).text(format!("* {text}")),
            ),
            ClientEvent::ScheduleDropped { room, text } => {
                let line = self.about("schedule_dropped", Some(room))?;
                Some(line.with("text", text.as_str()).text(format!("! {text}")))
            }
            _ => None,
        }
    }

    /// A line about a followed room, or about none; `None` for a room that is not followed.
    fn about(&self, kind: &'static str, room: Option<RoomId>) -> Option<Line> {
        match room {
            Some(room) => self.rooms.get(&room).map(|followed| of_room(kind, &followed.view)),
            None => Some(Line::new(kind)),
        }
    }

    fn presence(&self, presence: PresenceView) -> Option<Line> {
        let from = self.rooms.values().find_map(|room| handle_of(&room.view, presence.account))?;
        let (state, _) = output::person::presence_words(&presence, &self.style);
        let seen = presence.last_seen;
        Some(
            Line::new("presence")
                .with("from", from)
                .with("account", presence.account.to_hex())
                .with("state", state)
                .with_some("last_seen", (seen != TimeMs(0)).then(|| rfc3339(seen))),
        )
    }
}

impl FollowedRoom {
    /// Tells when all others have received or read further than before.
    fn receipt(&mut self) -> Option<Line> {
        let now = all_upto(&self.view.marks);
        let ticks = if now.1 > self.reported.1 {
            "read"
        } else if now.0 > self.reported.0 {
            "delivered"
        } else {
            return None;
        };
        self.reported = now;
        let seq = if ticks == "read" { now.1 } else { now.0 };
        Some(of_room("receipt", &self.view).with("seq", seq.0).with("ticks", ticks))
    }
}

/// How far all others have received and read.
fn all_upto(marks: &MarkCounts) -> (Seq, Seq) {
    let upto = |pick: fn((u32, u32)) -> u32| {
        let steps = marks.delivered.iter().chain(&marks.read);
        let all = steps.filter(|step| pick(marks.reached(step.upto)) >= marks.n_others);
        all.map(|step| step.upto).max().unwrap_or_default()
    };
    if marks.n_others == 0 {
        return (Seq(0), Seq(0));
    }
    (upto(|reached| reached.0), upto(|reached| reached.1))
}

fn of_room(kind: &'static str, view: &RoomView) -> Line {
    Line::new(kind).with("room", view.name.as_str()).with("room_id", view.room.to_hex())
}

fn handle_of(view: &RoomView, account: AccountId) -> Option<&str> {
    view.members.iter().find(|member| member.account == account).map(|m| m.handle.as_str())
}

fn is_readable(entry: &EntryView) -> bool {
    !matches!(entry.content, EntryContent::Unreadable(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::{marks, room_named};

    fn tail(chosen: &[u8]) -> Tail {
        let style = LineFormat { zone: jiff::tz::TimeZone::UTC, is_24h: true, names_rooms: true };
        Tail::new(style, chosen.iter().map(|id| RoomId([*id; 32])).collect(), None)
    }

    #[test]
    fn only_chosen_rooms_are_followed_and_all_if_none_is() {
        let mut some = tail(&[0xAA]);
        some.begin(room_named("team", 0xAA), None);
        some.begin(room_named("ops", 0xBB), None);
        assert_eq!(some.rooms.keys().map(|id| id.0[0]).collect::<Vec<_>>(), [0xAA]);
        let mut all = tail(&[]);
        all.begin(room_named("team", 0xAA), Some(Seq(3)));
        all.begin(room_named("ops", 0xBB), None);
        assert_eq!(all.rooms[&RoomId([0xAA; 32])].cursor, Seq(3));
        assert_eq!(all.rooms[&RoomId([0xBB; 32])].cursor, Seq(12));
    }

    #[test]
    fn a_receipt_is_told_once_for_each_step_that_all_others_took() {
        let mut all = tail(&[]);
        let mut room = room_named("team", 0xAA);
        room.marks = marks(2, 1, 1);
        all.begin(room, None);
        let mut reported = |marks| {
            let event = ClientEvent::Marks { room: RoomId([0xAA; 32]), marks };
            all.line_of(event).map(|line| line.to_json())
        };
        assert_eq!(reported(marks(2, 2, 1)), None, "one of two");
        let delivered = reported(marks(2, 3, 1)).unwrap();
        assert!(delivered.ends_with("\"seq\":12,\"ticks\":\"delivered\"}"), "{delivered}");
        assert_eq!(reported(marks(2, 3, 1)), None);
        assert!(reported(marks(2, 3, 3)).unwrap().ends_with("\"ticks\":\"read\"}"));
    }

    #[test]
    fn what_happens_in_other_rooms_is_not_told() {
        let mut some = tail(&[0xAA]);
        some.begin(room_named("team", 0xAA), None);
        let typing = |id| ClientEvent::Typing {
            room: RoomId([id; 32]),
            account: AccountId([1; 32]),
            is_typing: true,
        };
        assert!(some.line_of(typing(0xAA)).is_some());
        assert!(some.line_of(typing(0xBB)).is_none());
    }
}
