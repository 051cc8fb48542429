//! The text of panels: why something is as it is, who vouches for it, and what can be done about it.
//!
//! Made from the model each time it is drawn, so that an open panel is never out of date.

mod account;
mod assistant;
mod connection;
mod keys;
mod message;
pub(crate) mod room;

use mathia_protocol::id::{RoomId, TimeMs};

use super::action::Action;
use super::model::Model;
use super::model::areas;
use super::model::entry::PendingState;
use super::model::overlay::{Overlay, PanelTopic};
use super::wrap;
use crate::safe_text::SafeText;

/// A panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) rows: Vec<PanelRow>,
    /// What can be done in it besides scrolling, in a word or two.
    pub(crate) actions: Vec<(Action, &'static str)>,
}

/// The action of every panel.
const BACK: (Action, &str) = (Action::Back, "back");

/// A row of a panel; texts are wrapped to its width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PanelRow {
    /// A sentence.
    Text(String),
    /// A sentence that matters less.
    Quiet(String),
    /// A sentence about something wrong.
    Warn(String),
    /// A heading.
    Head(String),
    /// Something in the accent color on a line of its own: digits, a link.
    Shown(String),
    /// Two columns: a sign, a key or a name, and what it is.
    Pair(String, String),
    /// Nothing.
    Space,
}

/// Columns of the left side of a pair.
pub(crate) const PAIR_LEFT: usize = 17;

/// What a panel about a topic says now.
pub(crate) fn panel(model: &Model, topic: &PanelTopic) -> Panel {
    match topic {
        PanelTopic::Keys => keys::panel(model),
        PanelTopic::Why(key) => message::why(model, *key),
        PanelTopic::Ticks(key) => message::ticks(model, *key),
        PanelTopic::Lock => room::lock(model),
        PanelTopic::Who => room::who(model),
        PanelTopic::Assistant(account) => assistant::about(model, *account),
        PanelTopic::Exact => assistant::exact(model),
        PanelTopic::Net => connection::panel(model),
        PanelTopic::Devices(devices) => account::devices(model, devices),
        PanelTopic::Safety { account, handle, digits, asks } => {
            account::safety(model, *account, handle, (digits, *asks))
        }
        PanelTopic::Invite { link } => account::invite(link),
    }
}

impl Panel {
    /// The rows at a width, texts wrapped.
    pub(crate) fn wrapped(&self, width: usize) -> Vec<PanelRow> {
        self.rows.iter().flat_map(|row| wrapped(row, width)).collect()
    }
}

fn wrapped(row: &PanelRow, width: usize) -> Vec<PanelRow> {
    let each = |text: &str, make: fn(String) -> PanelRow| {
        let pieces = wrap::words(text, width.max(2)).into_iter();
        pieces.map(|range| make(text[range].trim_end().to_owned())).collect()
    };
    match row {
        PanelRow::Text(text) => each(text, PanelRow::Text),
        PanelRow::Quiet(text) => each(text, PanelRow::Quiet),
        PanelRow::Warn(text) => each(text, PanelRow::Warn),
        PanelRow::Shown(text) => each(text, PanelRow::Shown),
        PanelRow::Pair(left, right) => {
            let right_width = width.saturating_sub(PAIR_LEFT).max(2);
            let mut left = left.clone();
            wrap::words(right, right_width)
                .into_iter()
                .map(|range| {
                    let right = right[range].trim_end().to_owned();
                    PanelRow::Pair(std::mem::take(&mut left), right)
                })
                .collect()
        }
        PanelRow::Head(_) | PanelRow::Space => vec![row.clone()],
    }
}

/// How many rows of the panel on top do not fit: so far it can be scrolled.
pub(crate) fn n_rows_hidden(model: &Model) -> usize {
    let Some(Overlay::Panel { topic, .. }) = model.overlays.last() else { return 0 };
    let n_rows = panel(model, topic).wrapped(areas::overlay_text_width(model.screen)).len();
    n_rows.saturating_sub(areas::overlay_rows_max(model.screen))
}

/// Something that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutboxLine {
    pub(crate) room: RoomId,
    pub(crate) key: u64,
    pub(crate) room_name: String,
    pub(crate) text: SafeText,
    pub(crate) queued_at: TimeMs,
    /// Why it was refused, if it was.
    pub(crate) cause: Option<SafeText>,
    /// Whether it was written to the wire and may be stored already.
    pub(crate) is_sent: bool,
}

/// What waits to be sent in all rooms, in the order of the sidebar and of writing.
pub(crate) fn outbox(model: &Model) -> Vec<OutboxLine> {
    let rooms = model.rooms_in_order().into_iter().filter_map(|id| model.rooms.get(&id));
    rooms
        .flat_map(|room| {
            room.timeline.pending().iter().map(|pending| OutboxLine {
                room: room.facts.room,
                key: pending.key,
                room_name: room.facts.shown_name(),
                text: pending.text.clone(),
                queued_at: pending.queued_at,
                cause: match &pending.state {
                    PendingState::Failed(cause) => Some(cause.clone()),
                    PendingState::Queued | PendingState::Sent => None,
                },
                is_sent: pending.state == PendingState::Sent,
            })
        })
        .collect()
}
