//! Positions of the caret: clusters, words, lines.

use unicode_segmentation::UnicodeSegmentation;

use super::Composer;

impl Composer {
    /// The border of the cluster before the caret.
    pub(super) fn left_of_caret(&self) -> usize {
        let before = &self.text[..self.caret];
        before.grapheme_indices(true).next_back().map_or(0, |(i, _)| i)
    }

    /// The border of the cluster behind the caret.
    pub(super) fn right_of_caret(&self) -> usize {
        let first = self.text[self.caret..].graphemes(true).next();
        self.caret + first.map_or(0, str::len)
    }

    /// The beginning of the line the caret is in.
    pub(super) fn line_start(&self) -> usize {
        self.text[..self.caret].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// The end of the line the caret is in.
    pub(super) fn line_end(&self) -> usize {
        self.text[self.caret..].find('\n').map_or(self.text.len(), |newline| self.caret + newline)
    }

    /// The beginning of the word at or before the caret; words are letters and digits.
    pub(super) fn word_start(&self) -> usize {
        let before = &self.text[..self.caret];
        let words = before.split_word_bound_indices().rev();
        words
            .into_iter()
            .find(|(_, word)| word.chars().any(char::is_alphanumeric))
            .map_or(0, |(i, _)| i)
    }

    /// The end of the word at or behind the caret.
    pub(super) fn word_end(&self) -> usize {
        self.text[self.caret..]
            .split_word_bound_indices()
            .find(|(_, word)| word.chars().any(char::is_alphanumeric))
            .map_or(self.text.len(), |(i, word)| self.caret + i + word.len())
    }

    /// The beginning of the run without spaces before the caret, as a shell's Ctrl-W sees words.
    pub(super) fn space_word_start(&self) -> usize {
        let before = &self.text[..self.caret];
        let trimmed = before.trim_end_matches(char::is_whitespace);
        trimmed
            .char_indices()
            .rev()
            .find(|(_, c)| c.is_whitespace())
            .map_or(0, |(i, c)| i + c.len_utf8())
    }
}
