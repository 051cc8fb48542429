//! Areas of the screen, from 40 to 200 columns: on a narrow screen parts fold, none is lost.

use ratatui::layout::Rect;

use super::Model;

/// From this width on, the members have a panel.
const PANEL_FROM: u16 = 108;
/// From this width on, the rooms have a sidebar.
const SIDEBAR_FROM: u16 = 64;
/// From this width on, each run of messages has its stamp in a column of its own.
const STAMPS_FROM: u16 = 44;

/// Columns of the timeline at most: longer lines are hard to read back.
const TIMELINE_WIDTH_MAX: u16 = 112;

/// The parts of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Areas {
    pub(crate) sidebar: Option<Rect>,
    pub(crate) panel: Option<Rect>,
    /// The room's truth: one row, a rule below it.
    pub(crate) title: Rect,
    pub(crate) timeline: Rect,
    /// Who is typing, and notices: a row of its own, so that nothing moves.
    pub(crate) hint_row: Rect,
    pub(crate) composer: Rect,
    /// The connection's truth and the hints.
    pub(crate) status_bar: Rect,
    pub(crate) has_stamps: bool,
}

impl Areas {
    /// Divides the screen for what the model shows.
    pub(crate) fn of(model: &Model) -> Self {
        let (width, height) = model.screen;
        let side = side_width(width);
        let panel = if width >= PANEL_FROM { 24.min(width / 5) } else { 0 };
        let main_x = if side > 0 { side + 1 } else { 0 };
        let main_width =
            width.saturating_sub(main_x).saturating_sub(if panel > 0 { panel + 1 } else { 0 });
        let body_height = height.saturating_sub(1);
        let composer_height = composer_height(model, main_width, body_height);
        // Title and its rule, the hint row, the composer's rule.
        let timeline_height = body_height.saturating_sub(4 + composer_height);
        let row = |y: u16, height: u16| Rect {
            x: main_x,
            y: y.min(body_height),
            width: main_width,
            height: height.min(body_height.saturating_sub(y)),
        };
        let hint_row_y = 2 + timeline_height;
        Self {
            sidebar: (side > 0).then_some(Rect { x: 0, y: 0, width: side, height: body_height }),
            panel: (panel > 0).then_some(Rect {
                x: width - panel,
                y: 0,
                width: panel,
                height: body_height,
            }),
            title: row(0, 1),
            timeline: Rect { width: main_width.min(TIMELINE_WIDTH_MAX), ..row(2, timeline_height) },
            hint_row: row(hint_row_y, 1),
            composer: row(hint_row_y + 2, composer_height),
            status_bar: Rect { x: 0, y: body_height, width, height: height.min(1) },
            has_stamps: main_width >= STAMPS_FROM,
        }
    }

    /// Columns of the composer's text, beside its sign and the spare column for the caret.
    pub(crate) fn composer_width(&self) -> usize {
        usize::from(self.composer.width).saturating_sub(COMPOSER_INDENT + 1).max(2)
    }
}

/// Columns before the composer's text: a space, the sign, a space.
pub(crate) const COMPOSER_INDENT: usize = 3;

fn side_width(width: u16) -> u16 {
    if width < SIDEBAR_FROM { 0 } else { (width / 5).clamp(17, 26) }
}

/// Rows of the composer: those of its text, at most a third of the screen.
fn composer_height(model: &Model, main_width: u16, body_height: u16) -> u16 {
    let width = usize::from(main_width).saturating_sub(COMPOSER_INDENT + 1).max(2);
    let n_rows = u16::try_from(model.composer.rows(width).len()).unwrap_or(u16::MAX);
    n_rows.clamp(1, (body_height / 3).max(1))
}

/// Columns of the text in an overlay.
pub(crate) fn overlay_text_width(screen: (u16, u16)) -> usize {
    // The border and a space on either side, and a column of the screen beside them.
    usize::from(screen.0.saturating_sub(6).clamp(2, 66))
}

/// Rows of text that fit in an overlay: its border, the keys it shows and a row of space less.
pub(crate) fn overlay_rows_max(screen: (u16, u16)) -> usize {
    usize::from(screen.1.saturating_sub(5)).max(1)
}

/// A place in the middle of the screen for an overlay.
pub(crate) fn overlay(screen: (u16, u16), text_width: usize, n_rows: usize) -> Rect {
    let width = u16::try_from(text_width + 4).unwrap_or(u16::MAX).min(screen.0);
    let height = u16::try_from(n_rows + 2).unwrap_or(u16::MAX).min(screen.1);
    Rect { x: (screen.0 - width) / 2, y: (screen.1 - height) / 3, width, height }
}
