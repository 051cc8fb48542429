//! The rows an edited text takes on a screen, and the caret's cell among them.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::{Composer, LastEdit};
use crate::app::wrap;

/// One row of the editor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditRow {
    /// The bytes of the text it shows, without the newline.
    pub range: Range<usize>,
}

/// A cell, counted from the editor's first row and column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaretCell {
    /// The row.
    pub row: usize,
    /// The column.
    pub col: usize,
}

impl Composer {
    /// The rows at a width; at least one.
    pub fn rows(&self, width: usize) -> Vec<EditRow> {
        let mut rows = Vec::new();
        let mut start = 0;
        for line in self.text.split('\n') {
            let ranges = wrap::words(line, width.max(2)).into_iter();
            rows.extend(ranges.map(|r| EditRow { range: start + r.start..start + r.end }));
            start += line.len() + 1;
        }
        rows
    }

    /// Where the caret stands at a width. Spaces that hang over the edge keep it at the edge.
    pub fn caret_cell(&self, width: usize) -> CaretCell {
        let rows = self.rows(width);
        let row = row_of(&rows, self.caret);
        let col = wrap::width(&self.text[rows[row].range.start..self.caret]).min(width);
        CaretCell { row, col }
    }

    /// Moves the caret one row up; `false` if it is in the first.
    pub fn move_up(&mut self, width: usize) -> bool {
        let cell = self.caret_cell(width);
        cell.row > 0 && self.move_to_row(cell.row - 1, cell.col, width)
    }

    /// Moves the caret one row down; `false` if it is in the last.
    pub fn move_down(&mut self, width: usize) -> bool {
        let cell = self.caret_cell(width);
        cell.row + 1 < self.rows(width).len() && self.move_to_row(cell.row + 1, cell.col, width)
    }

    fn move_to_row(&mut self, row: usize, col: usize, width: usize) -> bool {
        let goal = self.goal_col.unwrap_or(col);
        let rows = self.rows(width);
        let range = rows[row].range.clone();
        let is_continued = rows.get(row + 1).is_some_and(|next| next.range.start == range.end);
        let (mut caret, mut used) = (range.start, 0);
        for cluster in self.text[range.clone()].graphemes(true) {
            let is_last = caret + cluster.len() == range.end;
            used += wrap::cluster_width(cluster);
            if used > goal || (is_last && is_continued) {
                break;
            }
            caret += cluster.len();
        }
        self.caret = caret;
        self.goal_col = Some(goal);
        self.last = LastEdit::Other;
        true
    }
}

/// The row a caret is shown in: where a line is wrapped, the beginning of the next row.
fn row_of(rows: &[EditRow], caret: usize) -> usize {
    rows.iter().rposition(|row| row.range.start <= caret).unwrap_or(0)
}
