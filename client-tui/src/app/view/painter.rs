//! Puts cleaned text on cells: clipped, by meaning, never beyond its area.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Block, BorderType, Clear, Widget};

use crate::app::theme::{Role, Theme};
use crate::app::wrap;

/// Writes on a buffer in the styles of a theme.
pub(super) struct Painter<'a> {
    buffer: &'a mut Buffer,
    theme: Theme,
}

impl<'a> Painter<'a> {
    pub(super) fn new(buffer: &'a mut Buffer, theme: Theme) -> Self {
        Self { buffer, theme }
    }

    pub(super) fn theme(&self) -> Theme {
        self.theme
    }

    /// Writes a text on one row of an area, from a column on; returns the column behind it.
    pub(super) fn put(
        &mut self,
        area: Rect,
        (col, row): (u16, u16),
        text: &str,
        role: Role,
    ) -> u16 {
        let style = self.theme.style(role);
        self.put_styled(area, (col, row), text, style)
    }

    /// Writes a text that is cut with `…` where the area ends.
    pub(super) fn put_cut(
        &mut self,
        area: Rect,
        (col, row): (u16, u16),
        text: &str,
        role: Role,
    ) -> u16 {
        let text = wrap::cut(text, usize::from(area.width.saturating_sub(col)));
        self.put(area, (col, row), &text, role)
    }

    /// Writes a text at the right edge of an area; returns the column it begins at.
    pub(super) fn put_right(&mut self, area: Rect, row: u16, text: &str, role: Role) -> u16 {
        let col = area.width.saturating_sub(columns(text));
        self.put(area, (col, row), text, role);
        col
    }

    /// Writes a text in the middle of a row.
    pub(super) fn put_middle(&mut self, area: Rect, row: u16, text: &str, role: Role) {
        let col = area.width.saturating_sub(columns(text)) / 2;
        self.put_cut(area, (col, row), text, role);
    }

    /// Writes a text in a style of its own.
    pub(super) fn put_styled(
        &mut self,
        area: Rect,
        (col, row): (u16, u16),
        text: &str,
        style: Style,
    ) -> u16 {
        // Whatever was computed, nothing is written beyond the screen.
        let area = area.intersection(self.buffer.area);
        if row >= area.height || col >= area.width {
            return col;
        }
        let width = usize::from(area.width - col);
        let (end, _) = self.buffer.set_stringn(area.x + col, area.y + row, text, width, style);
        end.saturating_sub(area.x)
    }

    /// Draws a rule over a row.
    pub(super) fn rule(&mut self, area: Rect, row: u16) {
        self.put(area, (0, row), &"─".repeat(usize::from(area.width)), Role::Rule);
    }

    /// Draws a rule down a column of the screen.
    pub(super) fn column_rule(&mut self, x: u16, height: u16) {
        let area = Rect { x, y: 0, width: 1, height };
        (0..height).for_each(|row| {
            self.put(area, (0, row), "│", Role::Rule);
        });
    }

    /// Lays a style over cells that are already written.
    pub(super) fn tint(&mut self, area: Rect, role: Role) {
        self.buffer.set_style(area.intersection(self.buffer.area), self.theme.style(role));
    }

    /// Clears an area for an overlay and draws its box; returns the area inside, a
    /// column of space on either side.
    pub(super) fn overlay_box(&mut self, area: Rect, title: &str) -> Rect {
        Clear.render(area, self.buffer);
        let block = Block::bordered()
            .border_type(BorderType::Rounded)
            .border_style(self.theme.style(Role::Rule));
        let inner = block.inner(area);
        block.render(area, self.buffer);
        if !title.is_empty() {
            let end = self.put(area, (1, 0), " ", Role::Rule);
            let end = self.put_cut(area, (end, 0), title, Role::Accent);
            self.put(area, (end, 0), " ", Role::Rule);
        }
        Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
    }
}

/// The columns of a text as the drawing library counts them.
pub(super) fn columns(text: &str) -> u16 {
    u16::try_from(wrap::width(text)).unwrap_or(u16::MAX)
}
