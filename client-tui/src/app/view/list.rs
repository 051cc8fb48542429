//! Lists to choose from: the switcher, the outbox, the commands that fit what is written.

use mathia_protocol::wire::PresenceState;
use ratatui::layout::{Position, Rect};

use super::overlay::{bound, keys_row};
use super::painter::{Painter, columns};
use crate::app::action::Action;
use crate::app::explain::{self, OutboxLine};
use crate::app::model::Model;
use crate::app::model::areas::{self, Areas};
use crate::app::model::overlay::{Switcher, SwitcherList};
use crate::app::slash;
use crate::app::switcher::{self, Candidate, CandidateSign};
use crate::app::theme::Role;
use crate::app::wrap;
use crate::safe_text::SafeText;

/// Rows of candidates: the same however few there are, so that nothing jumps while filtering.
const CANDIDATES_SHOWN: usize = 10;
/// Columns of a list's text at most.
const LIST_WIDTH_MAX: usize = 48;
/// Commands offered while one is written.
const COMMANDS_SHOWN: usize = 7;

/// The quick switcher, or the lobby.
pub(super) fn switcher(painter: &mut Painter<'_>, model: &Model, switcher: &Switcher) -> Position {
    let width = areas::overlay_text_width(model.screen).min(LIST_WIDTH_MAX);
    let n_rows = CANDIDATES_SHOWN.min(areas::overlay_rows_max(model.screen).saturating_sub(1));
    let title = match switcher.among {
        SwitcherList::Places => "go to",
        SwitcherList::Lobby(_) => "open rooms",
        SwitcherList::Emoji { .. } => "react",
    };
    let inner = painter.overlay_box(areas::overlay(model.screen, width, n_rows + 1), title);
    painter.put(inner, (0, 0), "›", Role::Accent);
    let filter = Rect { x: inner.x + 2, width: inner.width.saturating_sub(2), ..inner };
    painter.put(filter, (0, 0), switcher.filter.text(), Role::Text);
    let candidates = switcher::candidates(model);
    if candidates.is_empty() {
        let text = match switcher.among {
            SwitcherList::Lobby(_) if switcher.filter.is_empty() => {
                "This workspace has no open rooms."
            }
            _ => "Nothing is called like this.",
        };
        painter.put_cut(inner, (2, 1), text, Role::Dim);
    }
    let skipped = (switcher.selected + 1).saturating_sub(n_rows);
    for (row, (i, candidate)) in (1..).zip(candidates.iter().enumerate().skip(skipped).take(n_rows))
    {
        let line = Rect { y: inner.y + row, height: 1, ..inner };
        draw_candidate(painter, line, candidate, i == switcher.selected);
    }
    let caret = columns(switcher.filter.before_caret()).min(filter.width.saturating_sub(1));
    Position { x: filter.x + caret, y: filter.y }
}

fn draw_candidate(painter: &mut Painter<'_>, area: Rect, candidate: &Candidate, is_selected: bool) {
    if is_selected {
        painter.tint(area, Role::Selected);
        painter.put(area, (0, 0), "▌", Role::Accent);
    }
    let (sign, role) = match &candidate.sign {
        CandidateSign::Emoji(emoji) => (emoji.as_str(), Role::Text),
        CandidateSign::Sealed => ("▣", Role::Dim),
        CandidateSign::Open => ("□", Role::Warn),
        CandidateSign::Agent => ("◆", Role::Assistant),
        CandidateSign::Person(PresenceState::Online) => ("●", Role::Online),
        CandidateSign::Person(PresenceState::Away) => ("◐", Role::Warn),
        CandidateSign::Person(PresenceState::Offline) => ("○", Role::Dim),
    };
    let mut right = area.width;
    if candidate.n_mentions > 0 {
        right =
            painter.put_right(area, 0, &format!("@{}", candidate.n_mentions), Role::Mention) - 1;
    }
    if candidate.n_unread > 0 {
        let counts = Rect { width: right, ..area };
        right = painter.put_right(counts, 0, &candidate.n_unread.to_string(), Role::Unread);
    }
    let text = Rect { width: right.saturating_sub(1), ..area };
    let sign = SafeText::line(sign);
    painter.put(text, (2, 0), sign.as_str(), role);
    let name_col = if matches!(candidate.sign, CandidateSign::Emoji(_)) { 5 } else { 4 };
    let name_role = if candidate.n_unread > 0 || is_selected { Role::Name } else { Role::Text };
    let end = painter.put_cut(text, (name_col, 0), &candidate.name, name_role);
    if end + 4 < text.width {
        painter.put_cut(text, (end + 2, 0), &candidate.aside, Role::Dim);
    }
}

/// What waits to be sent.
pub(super) fn outbox(painter: &mut Painter<'_>, model: &Model, selected: usize) {
    let lines = explain::outbox(model);
    let width = areas::overlay_text_width(model.screen);
    let n_rows = lines.len().clamp(1, areas::overlay_rows_max(model.screen));
    let inner = painter.overlay_box(areas::overlay(model.screen, width, n_rows + 1), "outbox");
    if lines.is_empty() {
        painter.put_cut(inner, (0, 0), "Everything you wrote is sent.", Role::Text);
        keys_row(painter, inner, bound(model, &[(Action::Back, "back")]));
        return;
    }
    let selected = selected.min(lines.len() - 1);
    let skipped = (selected + 1).saturating_sub(n_rows);
    for (row, (i, line)) in (0..).zip(lines.iter().enumerate().skip(skipped).take(n_rows)) {
        let area = Rect { y: inner.y + row, height: 1, ..inner };
        draw_outbox_line(painter, area, model, (line, i == selected));
    }
    let retry = lines[selected].cause.is_some().then_some((Action::Retry, "send again"));
    let mut actions: Vec<_> = retry.into_iter().collect();
    actions.extend([
        (Action::EditQueued, "take back and edit"),
        (Action::Withdraw, "withdraw"),
        (Action::Back, "back"),
    ]);
    keys_row(painter, inner, bound(model, &actions));
}

fn draw_outbox_line(
    painter: &mut Painter<'_>,
    area: Rect,
    model: &Model,
    (line, is_selected): (&OutboxLine, bool),
) {
    if is_selected {
        painter.tint(area, Role::Selected);
        painter.put(area, (0, 0), "▌", Role::Accent);
    }
    let state = match &line.cause {
        Some(cause) => (cause.as_str().to_owned(), Role::Failed),
        None if line.is_sent => ("sent, not answered".to_owned(), Role::Dim),
        None => (model.time_format.moment(line.queued_at, model.now.wall), Role::Dim),
    };
    let state_text = wrap::cut(&state.0, usize::from(area.width / 2));
    let right = painter.put_right(area, 0, &state_text, state.1);
    let text = Rect { width: right.saturating_sub(2), ..area };
    let end = painter.put_cut(text, (2, 0), &line.room_name, Role::Name);
    let first_line = line.text.as_str().lines().next().unwrap_or_default();
    painter.put_cut(text, (end + 2, 0), first_line, Role::Text);
}

/// The commands that fit the word being written, above the composer.
pub(super) fn commands(painter: &mut Painter<'_>, areas: &Areas, model: &Model) {
    let written = model.composer.text();
    let Some(word) = written.strip_prefix('/').filter(|word| !word.contains(char::is_whitespace))
    else {
        return;
    };
    let fitting: Vec<&slash::Entry> = slash::beginning_with(word).collect();
    let n_shown = fitting.len().min(COMMANDS_SHOWN).min(usize::from(areas.timeline.height / 2));
    if n_shown == 0 {
        return;
    }
    let height = u16::try_from(n_shown + 2).unwrap_or(3);
    let width = areas.timeline.width.min(60);
    let y = areas.hint_row.bottom().saturating_sub(height);
    let inner = painter.overlay_box(Rect { x: areas.hint_row.x, y, width, height }, "");
    for (row, entry) in (0..).zip(fitting.iter().take(n_shown)) {
        let end = painter.put(inner, (0, row), &format!("/{}", entry.word), Role::Accent);
        painter.put(inner, (end + 1, row), entry.takes, Role::Text);
        painter.put_cut(inner, (21, row), entry.does, Role::Dim);
    }
}
