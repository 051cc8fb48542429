//! The editor in which people write: several lines, graphemes, display width, readline's habits.
//!
//! Owns a text, a caret and what undo needs. It never sends, stores or draws anything, and no
//! operation but an explicit kill or delete makes text disappear; what was killed can be yanked.

mod caret;
mod rows;

use unicode_segmentation::UnicodeSegmentation;

pub use rows::{CaretCell, EditRow};

/// Bytes an editor takes. Four messages long: too long to send is still not lost.
pub const COMPOSER_LEN_MAX: usize = 64 * 1024;
/// Steps back that undo remembers.
const UNDO_MAX: usize = 100;

/// A text being written.
#[derive(Debug, Clone, Default)]
pub struct Composer {
    text: String,
    /// Byte position of the caret, always at the border of a cluster.
    caret: usize,
    /// The column that moving up and down tries to keep.
    goal_col: Option<usize>,
    undo: Vec<(String, usize)>,
    killed: String,
    last: LastEdit,
}

/// What the last edit was: typed letters share one step of undo, kills in a row share one yank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum LastEdit {
    #[default]
    Other,
    Typed,
    Killed,
}

/// Something a key does to the text or the caret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Edit {
    /// A new line at the caret.
    Newline,
    /// Deletes what is before the caret.
    Backspace,
    /// Deletes what is under the caret.
    Delete,
    /// One cluster to the left.
    Left,
    /// One cluster to the right.
    Right,
    /// To the beginning of the word.
    WordLeft,
    /// To the end of the word.
    WordRight,
    /// To the beginning of the line.
    LineStart,
    /// To the end of the line.
    LineEnd,
    /// Kills to the beginning of the line, or the line break before it.
    KillToStart,
    /// Kills to the end of the line, or the line break behind it.
    KillToEnd,
    /// Kills back to a space.
    KillWordBack,
    /// Kills to the end of the word.
    KillWord,
    /// Puts back what was killed last.
    Yank,
    /// Takes the last edit back.
    Undo,
}

impl Composer {
    /// An editor holding a text, with the caret at its end.
    pub fn with_text(text: &str) -> Self {
        let mut composer = Self::default();
        composer.insert(text);
        composer.undo.clear();
        composer.last = LastEdit::Other;
        composer
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Says whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text before the caret.
    pub fn before_caret(&self) -> &str {
        &self.text[..self.caret]
    }

    /// The text from the caret on.
    pub fn after_caret(&self) -> &str {
        &self.text[self.caret..]
    }

    /// Puts the caret at the end.
    pub fn move_to_end(&mut self) {
        self.caret = self.text.len();
        self.goal_col = None;
        self.last = LastEdit::Other;
    }

    /// Takes the whole text out, leaving an empty editor that can still undo and yank.
    pub fn take(&mut self) -> String {
        let text = self.text.clone();
        self.replace("");
        text
    }

    /// Replaces the whole text; one step of undo.
    pub fn replace(&mut self, text: &str) {
        self.remember(LastEdit::Other);
        self.text.clear();
        self.caret = 0;
        self.splice(0..0, text);
    }

    /// Replaces the text between a byte position before the caret and the caret; one step of undo.
    pub fn replace_before_caret(&mut self, from: usize, text: &str) {
        self.remember(LastEdit::Other);
        self.splice(from.min(self.caret)..self.caret, text);
    }

    /// Inserts a typed character. Typing letters is one step of undo up to the next space.
    pub fn type_char(&mut self, c: char) {
        let continues_word = self.last == LastEdit::Typed && !c.is_whitespace();
        if !continues_word {
            self.remember(LastEdit::Typed);
        }
        self.last = LastEdit::Typed;
        self.splice(self.caret..self.caret, c.encode_utf8(&mut [0; 4]));
    }

    /// Inserts a text at the caret; one step of undo. Returns how many bytes did not fit and were
    /// left out: all or nothing, so that no half paste is sent by accident.
    pub fn insert(&mut self, text: &str) -> usize {
        if self.text.len() + text.len() > COMPOSER_LEN_MAX {
            return text.len();
        }
        self.remember(LastEdit::Other);
        self.splice(self.caret..self.caret, text);
        0
    }

    /// Does one edit; says whether the text changed.
    pub fn edit(&mut self, edit: Edit) -> bool {
        let text_before = self.text.len();
        match edit {
            Edit::Newline => self.type_char('\n'),
            Edit::Backspace => self.delete(self.left_of_caret()..self.caret),
            Edit::Delete => self.delete(self.caret..self.right_of_caret()),
            Edit::Left => self.move_to(self.left_of_caret()),
            Edit::Right => self.move_to(self.right_of_caret()),
            Edit::WordLeft => self.move_to(self.word_start()),
            Edit::WordRight => self.move_to(self.word_end()),
            Edit::LineStart => self.move_to(self.line_start()),
            Edit::LineEnd => self.move_to(self.line_end()),
            Edit::KillToStart => self.kill_to_start(),
            Edit::KillToEnd => self.kill_to_end(),
            Edit::KillWordBack => self.kill(self.space_word_start()..self.caret),
            Edit::KillWord => self.kill(self.caret..self.word_end()),
            Edit::Yank => {
                let killed = self.killed.clone();
                self.insert(&killed);
            }
            Edit::Undo => return self.undo(),
        }
        self.text.len() != text_before
    }

    fn undo(&mut self) -> bool {
        let Some((text, caret)) = self.undo.pop() else { return false };
        self.text = text;
        self.caret = caret;
        self.goal_col = None;
        self.last = LastEdit::Other;
        true
    }

    fn kill_to_start(&mut self) {
        let start = self.line_start();
        let from = if start == self.caret { self.left_of_caret() } else { start };
        self.kill(from..self.caret);
    }

    fn kill_to_end(&mut self) {
        let end = self.line_end();
        let to = if end == self.caret { self.right_of_caret() } else { end };
        self.kill(self.caret..to);
    }

    fn kill(&mut self, range: std::ops::Range<usize>) {
        if range.is_empty() {
            return;
        }
        let piece = self.text[range.clone()].to_owned();
        if self.last != LastEdit::Killed {
            self.killed.clear();
        }
        if range.start < self.caret {
            self.killed.insert_str(0, &piece);
        } else {
            self.killed.push_str(&piece);
        }
        self.remember(LastEdit::Killed);
        self.splice(range, "");
    }

    fn delete(&mut self, range: std::ops::Range<usize>) {
        if !range.is_empty() {
            self.remember(LastEdit::Other);
            self.splice(range, "");
        }
    }

    fn remember(&mut self, next: LastEdit) {
        if self.undo.len() == UNDO_MAX {
            self.undo.remove(0);
        }
        let is_news = self.undo.last().is_none_or(|(text, _)| *text != self.text);
        if is_news {
            self.undo.push((self.text.clone(), self.caret));
        }
        self.last = next;
    }

    /// Replaces a range and puts the caret behind what was put in, at the border of a cluster.
    fn splice(&mut self, range: std::ops::Range<usize>, text: &str) {
        if self.text.len() - range.len() + text.len() > COMPOSER_LEN_MAX {
            return;
        }
        let end = range.start + text.len();
        self.text.replace_range(range, text);
        self.caret = self.cluster_border(end);
        self.goal_col = None;
    }

    fn move_to(&mut self, caret: usize) {
        self.caret = caret;
        self.goal_col = None;
        self.last = LastEdit::Other;
    }

    /// The first border of a cluster at or behind a position: a typed mark joins what is before it.
    fn cluster_border(&self, at: usize) -> usize {
        let line_start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        self.text[line_start..]
            .grapheme_indices(true)
            .map(|(i, _)| line_start + i)
            .find(|border| *border >= at)
            .unwrap_or(self.text.len())
    }
}

#[cfg(test)]
mod tests;
