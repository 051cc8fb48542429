//! The engine's answers to commands, folded by the tag of the command.

use mathia_protocol::client::{Command, CommandError, Done, EntryView, LobbyRoom, TrustState};
use mathia_protocol::id::{RoomId, Seq};
use mathia_protocol::name::{Handle, RoomName};

use super::{asking, editing, events, notices, outbox, rooms};
use crate::app::composer::Composer;
use crate::app::effect::{CommandTag, Effect};
use crate::app::model::Model;
use crate::app::model::entry::{Entry, PendingState};
use crate::app::model::overlay::{
    DeviceLine, LobbyLine, Overlay, PanelTopic, Switcher, SwitcherList,
};
use crate::safe_text::SafeText;

/// Folds an answer.
pub(super) fn handle(
    model: &mut Model,
    tag: CommandTag,
    result: Result<Done, CommandError>,
) -> Vec<Effect> {
    match result {
        Ok(done) => succeeded(model, tag, done),
        Err(error) => failed(model, tag, &Refusal::of(&error)),
    }
}

/// A command was never given to the engine: nothing was done.
pub(super) fn not_queued(model: &mut Model, tag: CommandTag) -> Vec<Effect> {
    let text = "too much at once, try again".to_owned();
    failed(model, tag, &Refusal { text, is_offline: false })
}

/// Why a command was not done.
struct Refusal {
    text: String,
    /// Whether it was for want of a connection alone.
    is_offline: bool,
}

impl Refusal {
    fn of(error: &CommandError) -> Self {
        let is_offline = matches!(error, CommandError::Offline(_));
        Self { text: error.to_string(), is_offline }
    }
}

fn succeeded(model: &mut Model, tag: CommandTag, done: Done) -> Vec<Effect> {
    match (tag, done) {
        (CommandTag::Rooms, Done::Rooms(views)) => {
            let is_first = model.current_room.is_none();
            // The first room is chosen among all of them, not the first that is reported.
            model.are_rooms_known = false;
            let mut effects = Vec::new();
            for view in &views {
                effects.extend(events::room(model, view));
            }
            model.are_rooms_known = true;
            let first =
                rooms::first_place(model).filter(|_| is_first && model.current_room.is_none());
            effects.extend(first.into_iter().flat_map(|first| rooms::enter(model, first)));
            effects
        }
        (CommandTag::People, Done::People(views)) => {
            model.people.replace(&views);
            Vec::new()
        }
        (CommandTag::Timeline { room, before }, Done::Timeline { entries, has_more }) => {
            page(model, room, before, &entries, has_more)
        }
        (CommandTag::Send { room, key }, Done::Queued { local_id }) => {
            queued(model, room, key, local_id)
        }
        (CommandTag::Envelope { number }, Done::Envelope(view)) => {
            asking::gathered(model, number, &view);
            Vec::new()
        }
        (CommandTag::Question { number }, Done::Queued { .. }) => asking::asked(model, number),
        (CommandTag::Withdraw { room, key, then }, _) => outbox::withdrawn(model, room, key, then),
        (CommandTag::Go { say }, Done::Room(room)) => arrive(model, room, say),
        (CommandTag::Lobby { wanted }, Done::Lobby(open)) => lobby(model, wanted, &open),
        (CommandTag::Invite, Done::Invite(link)) => {
            panel(model, PanelTopic::Invite { link: SafeText::line(&link.0) });
            Vec::new()
        }
        (CommandTag::Devices, Done::Devices(devices)) => {
            panel(model, PanelTopic::Devices(devices.iter().map(DeviceLine::of).collect()));
            Vec::new()
        }
        (CommandTag::Safety { person, asks }, Done::Safety(digits)) => {
            safety(model, &person, digits, asks);
            Vec::new()
        }
        (CommandTag::Plain(sentence), _) if !sentence.is_empty() => {
            notices::show(model, &sentence);
            Vec::new()
        }
        _ => Vec::new(),
    }
}

fn failed(model: &mut Model, tag: CommandTag, refusal: &Refusal) -> Vec<Effect> {
    match tag {
        CommandTag::Send { room, key } => {
            let pending = model
                .rooms
                .get_mut(&room)
                .and_then(|room| room.timeline.pending_mut(|pending| pending.key == key));
            if let Some(pending) = pending {
                pending.state = PendingState::Failed(SafeText::line(&refusal.text));
            }
        }
        CommandTag::Timeline { room, .. } => {
            if let Some(room) = model.rooms.get_mut(&room) {
                room.timeline.asked = None;
            }
            if !refusal.is_offline {
                notices::show_error(model, &refusal.text);
            }
        }
        CommandTag::Mark(room) => {
            // Sent again when the connection is back; until then it is not worth a notice.
            if let Some(room) = model.rooms.get_mut(&room)
                && !refusal.is_offline
            {
                room.marked = room.facts.read_upto;
            }
        }
        CommandTag::Envelope { number } | CommandTag::Question { number } => {
            asking::refused(model, number, &refusal.text);
        }
        CommandTag::Stop { room, ask } => asking::not_stopped(model, room, ask, &refusal.text),
        CommandTag::Withdraw { .. } => {
            notices::show_error(
                model,
                &format!("It cannot be taken back any more: {}.", refusal.text),
            );
        }
        CommandTag::Go { say: Some(text) } => {
            let effects = editing::take_up(model, &text);
            notices::show_error(model, &refusal.text);
            return effects;
        }
        // Nobody waits for these.
        CommandTag::Plain(sentence) if sentence.is_empty() => {}
        CommandTag::People | CommandTag::Rooms => {}
        CommandTag::Go { say: None }
        | CommandTag::Lobby { .. }
        | CommandTag::Invite
        | CommandTag::Devices
        | CommandTag::Safety { .. }
        | CommandTag::Plain(_) => notices::show_error(model, &refusal.text),
    }
    Vec::new()
}

/// Inserts a page of a room.
fn page(
    model: &mut Model,
    id: RoomId,
    before: Seq,
    entries: &[EntryView],
    has_more: bool,
) -> Vec<Effect> {
    let Some(room) = model.rooms.get_mut(&id) else { return Vec::new() };
    let timeline = &mut room.timeline;
    timeline.asked = None;
    let oldest_before = timeline.oldest();
    for view in entries {
        timeline.insert(Entry::of(view));
    }
    timeline.is_loaded = true;
    let reaches_oldest = oldest_before.is_none_or(|oldest| before <= oldest || before == Seq(0));
    let is_at_oldest = entries.first().map(|first| first.seq) == timeline.oldest();
    if entries.is_empty() || (reaches_oldest && is_at_oldest) {
        timeline.has_more = has_more && !entries.is_empty();
    }
    let hole = entries.first().and_then(|first| timeline.hole_before(first.seq));
    let mut effects: Vec<Effect> = hole
        .filter(|_| has_more)
        .and_then(|hole| rooms::load(model, id, hole))
        .into_iter()
        .collect();
    if model.current_room == Some(id) {
        // More is needed to show where the new messages begin, or to fill the window.
        let room = model.room();
        let wants_line = room.and_then(|room| {
            let line = room.line.filter(|line| !line.is_placed)?;
            room.timeline.oldest().filter(|oldest| *oldest > line.after.next())
        });
        if wants_line.is_none() || !has_more {
            rooms::place_line(model);
        }
        effects.extend(rooms::load_older(model));
        if let Some(oldest) = wants_line.filter(|_| has_more) {
            effects.extend(rooms::load(model, id, oldest));
        }
    }
    effects
}

/// A text is durable in the outbox: only now may its draft be forgotten.
fn queued(model: &mut Model, id: RoomId, key: u64, local_id: u64) -> Vec<Effect> {
    let is_here = model.current_room == Some(id);
    let written_here = model.composer.text().to_owned();
    let Some(room) = model.rooms.get_mut(&id) else { return Vec::new() };
    if let Some(pending) = room.timeline.pending_mut(|pending| pending.key == key) {
        pending.local_id = Some(local_id);
    }
    let text = if is_here { written_here } else { room.draft.clone() };
    vec![Effect::SaveDraft { room: id, text }]
}

/// Goes to a room that was found, made or joined. If the engine has not reported it yet, it is
/// entered when it does; until then the current room stays.
fn arrive(model: &mut Model, room: RoomId, say: Option<String>) -> Vec<Effect> {
    let mut effects = Vec::new();
    if let Some(text) = say {
        effects.push(outbox::queue(model, room, &text));
    }
    if model.rooms.contains_key(&room) {
        effects.extend(rooms::enter(model, room));
    } else {
        model.wanted = Some(room);
        effects.push(Effect::Command { tag: CommandTag::Rooms, command: Command::Rooms });
    }
    effects
}

fn lobby(model: &mut Model, wanted: Option<RoomName>, open: &[LobbyRoom]) -> Vec<Effect> {
    let Some(wanted) = wanted else {
        let lines = open.iter().map(LobbyLine::of).collect();
        let filter = Composer::default();
        model.overlays = vec![Overlay::Switcher(Switcher {
            filter,
            selected: 0,
            among: SwitcherList::Lobby(lines),
        })];
        return Vec::new();
    };
    let found: Vec<&LobbyRoom> = open.iter().filter(|room| room.name == wanted.as_str()).collect();
    match found[..] {
        [one] => {
            let command = Command::JoinRoom(one.room);
            vec![Effect::Command { tag: CommandTag::Go { say: None }, command }]
        }
        [] => {
            notices::show_error(
                model,
                &format!("There is no open room {wanted}; /join lists those there are."),
            );
            Vec::new()
        }
        _ => lobby(model, None, open),
    }
}

fn safety(model: &mut Model, person: &Handle, digits: String, asks: bool) {
    let Some(known) = model.people.named(person.as_str()) else {
        notices::show_error(model, &format!("Nobody you share a room with is called {person}."));
        return;
    };
    let is_settled = known.trust == TrustState::Verified;
    let (account, handle) = (known.account, known.handle.clone());
    panel(model, PanelTopic::Safety { account, handle, digits, asks: asks && !is_settled });
}

fn panel(model: &mut Model, topic: PanelTopic) {
    model.overlays = vec![Overlay::Panel { topic, scroll: 0 }];
}
