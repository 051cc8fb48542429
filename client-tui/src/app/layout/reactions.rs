//! The row of reactions below a message.

use super::{ReactionChip, RowPart, TimelinePage};
use crate::app::model::entry::Entry;
use crate::app::wrap;
use crate::safe_text::SafeText;

/// Columns between two reactions.
const GAP: usize = 1;

impl TimelinePage<'_> {
    /// How often which emoji stands at an entry, as many rows as it takes.
    pub(super) fn push_reactions(&self, parts: &mut Vec<RowPart>, entry: &Entry) {
        let counts = self.room.timeline.reactions_to(entry, self.me);
        let width = self.width.saturating_sub(self.indent() + 1).max(2);
        let (mut row, mut n_columns) = (Vec::new(), 0);
        for count in counts {
            let is_mine = count.authors.contains(&self.me);
            let emoji = SafeText::line(count.emoji.as_str());
            let text = format!("{emoji} {}", count.authors.len());
            // The own ones are told apart without colors as well.
            let text = if is_mine { format!("[{text}]") } else { format!(" {text} ") };
            let columns = wrap::width(&text) + GAP;
            if n_columns + columns > width + GAP && !row.is_empty() {
                parts.push(RowPart::Reactions(std::mem::take(&mut row)));
                n_columns = 0;
            }
            n_columns += columns;
            row.push(ReactionChip { text, is_mine });
        }
        if !row.is_empty() {
            parts.push(RowPart::Reactions(row));
        }
    }
}
