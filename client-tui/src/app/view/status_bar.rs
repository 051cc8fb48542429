//! The connection's truth, and keys that all work right now in this context.

use std::time::Duration;

use ratatui::layout::Rect;

use super::painter::{Painter, columns};
use crate::app::action::Action;
use crate::app::chord::Chord;
use crate::app::composer::Edit;
use crate::app::keymap::KeyContext;
use crate::app::model::Model;
use crate::app::model::connection::Connection;
use crate::app::model::overlay::Overlay;
use crate::app::model::timeline::Scroll;
use crate::app::stamp;
use crate::app::theme::Role;

pub(super) fn draw(painter: &mut Painter<'_>, area: Rect, model: &Model) {
    let (sign, words, role) = truth(model);
    let mut col = painter.put(area, (1, 0), sign, role);
    for (i, word) in words.iter().enumerate() {
        let role = match (i, &model.connection) {
            (0, Connection::Stopped { .. }) => Role::Failed,
            (0, Connection::Offline { .. }) => Role::Warn,
            _ => Role::Dim,
        };
        let begin = col + if i == 0 { 1 } else { 3 };
        // Half a word about the connection is worse than none.
        if i > 0 && begin + columns(word) > area.width {
            break;
        }
        col = painter.put_cut(area, (begin, 0), word, role);
    }
    hints(painter, area, col + 3, model);
}

/// A sign and words for how the connection stands.
fn truth(model: &Model) -> (&'static str, Vec<String>, Role) {
    let run = model.now.run;
    let n_queued = model.n_queued();
    let queued = match n_queued {
        0 => None,
        n => Some(format!("{n} queued")),
    };
    let lost = |at: &Duration| stamp::running(run.saturating_sub(*at));
    match &model.connection {
        Connection::Starting => ("◐", join(["connecting".to_owned()], queued), Role::Warn),
        Connection::Reconnecting { lost_at } => {
            let words = [format!("connecting {}", lost(lost_at))];
            ("◐", join(words, queued), Role::Warn)
        }
        Connection::Online { rtt, is_caught_up } => {
            let rtt = format!("{} ms", rtt.as_millis().max(1));
            if let Some(waited) = model.unanswered() {
                let waited = stamp::running(waited);
                let sent = format!("{n_queued} unanswered for {waited}");
                return ("◐", vec![rtt, sent], Role::Warn);
            }
            let sent = match n_queued {
                _ if !is_caught_up => "catching up".to_owned(),
                0 => "all sent".to_owned(),
                n => format!("{n} sending"),
            };
            ("●", vec![rtt, sent], Role::Online)
        }
        Connection::Offline { lost_at, retry_at, .. } => {
            let next = match retry_at.saturating_sub(run).as_secs_f64().ceil() {
                seconds if seconds < 1.0 => "next try now".to_owned(),
                seconds => format!("next try {seconds:.0} s"),
            };
            let mut words = join([format!("offline {}", lost(lost_at))], queued);
            words.push(next);
            ("○", words, Role::Warn)
        }
        Connection::Stopped { cause, .. } => ("✗", vec![format!("stopped: {cause}")], Role::Failed),
    }
}

fn join(first: [String; 1], then: Option<String>) -> Vec<String> {
    first.into_iter().chain(then).collect()
}

/// Writes the hints from the right, the most important last to go.
fn hints(painter: &mut Painter<'_>, area: Rect, from: u16, model: &Model) {
    let room_left = area.width.saturating_sub(from + 1);
    let mut shown: Vec<(String, String)> = Vec::new();
    let mut used = 0;
    for (key, does) in wanted(model) {
        let width = columns(&key) + 1 + columns(&does) + if shown.is_empty() { 0 } else { 2 };
        if used + width > room_left {
            break;
        }
        used += width;
        shown.push((key, does));
    }
    let mut col = area.width.saturating_sub(used + 1);
    for (key, does) in shown {
        col = painter.put(area, (col, 0), &key, Role::Text) + 1;
        col = painter.put(area, (col, 0), &does, Role::Dim) + 2;
    }
}

/// The hints of this moment, the most important first.
fn wanted(model: &Model) -> Vec<(String, String)> {
    let context = model.key_context();
    let hint = |action: Action, does: &str| hint(model, context, action, does);
    let moving = || Some((model.keymap.moving_keys(context)?, "move".to_owned()));
    let hints = match (context, model.overlays.last()) {
        // What floats tells its own keys.
        (
            _,
            Some(
                Overlay::Panel { .. }
                | Overlay::Confirmation(_)
                | Overlay::Outbox { .. }
                | Overlay::Envelope(_),
            ),
        ) => vec![],
        (KeyContext::List, _) => {
            vec![hint(Action::Choose, "go"), moving(), hint(Action::Back, "back")]
        }
        (KeyContext::Select, _) => vec![
            moving(),
            hint(Action::Copy, "copy"),
            hint(Action::React, "react"),
            hint(Action::Why, "why"),
            hint(Action::Ask, "ask").filter(|_| has_agent(model)),
            // The way back is shown before what else there is.
            hint(Action::Back, "back"),
            hint(Action::Ticks, "ticks"),
        ],
        _ => composing(model),
    };
    hints.into_iter().flatten().collect()
}

type Hint = Option<(String, String)>;

/// The first key that does something here and now: a letter is text where something is written,
/// and one key kills what stands behind the caret.
fn hint(model: &Model, context: KeyContext, action: Action, does: &str) -> Hint {
    let is_text = |chord: &Chord| model.is_written() && chord.typed().is_some();
    let kills = |chord: &Chord| {
        context == KeyContext::Compose
            && *chord == Chord::KILL
            && !model.composer.after_caret().is_empty()
    };
    let mut keys = model.keymap.keys_of(context, action).into_iter();
    let key = keys.find(|chord| !is_text(chord) && !kills(chord))?;
    Some((key.to_string(), does.to_owned()))
}

fn has_agent(model: &Model) -> bool {
    model.room().is_some_and(|room| room.facts.agent().is_some())
}

fn composing(model: &Model) -> Vec<Hint> {
    let hint = |action: Action, does: &str| hint(model, KeyContext::Compose, action, does);
    let has_text = !model.composer.is_empty();
    let is_live = model.room().is_none_or(|room| room.timeline.scroll == Scroll::Live);
    let is_waiting =
        matches!(model.connection, Connection::Offline { .. } | Connection::Reconnecting { .. });
    let elsewhere = model.rooms.values().filter(|room| Some(room.facts.room) != model.current_room);
    let n_elsewhere: u32 = elsewhere.map(|room| room.facts.n_unread).sum();
    let newest = if has_text { Action::Newest } else { Action::End };
    let may_select = !has_text && model.room().is_some();
    let is_asked = model.running_ask().is_some();
    vec![
        hint(Action::Back, "stop").filter(|_| is_asked),
        hint(Action::Send, "send").filter(|_| has_text),
        hint(Action::Edit(Edit::Newline), "line").filter(|_| has_text),
        hint(newest, "newest").filter(|_| !is_live),
        hint(Action::ConnectNow, "now").filter(|_| is_waiting),
        hint(Action::RoomUnread, &format!("{n_elsewhere} unread")).filter(|_| n_elsewhere > 0),
        hint(Action::Switcher, "go"),
        hint(Action::Select, "select").filter(|_| may_select),
        hint(Action::Keys, "keys"),
    ]
}
