//! Breaking text into rows of a screen by display width.
//!
//! Owns the one measure of width (that of the drawing library, so that what is computed is what is
//! drawn). Never splits a cluster of characters that is drawn as one.

use std::ops::Range;

use ratatui::buffer::CellWidth;
use unicode_segmentation::UnicodeSegmentation;

/// Columns a tab takes. A fixed step, so that a text is as wide wherever it begins.
pub const TAB_WIDTH: usize = 4;

/// A row of a wrapped text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedRow {
    /// What it says; without tabs, newlines and spaces at its end.
    pub text: String,
    /// How many columns it takes.
    pub width: usize,
    /// What it is part of.
    pub kind: RowKind,
}

/// What a row is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// Prose.
    Prose,
    /// Code between fences: the line's number on its first row, nothing on those that continue it.
    Code(Option<u32>),
}

/// The columns a text takes on one row.
pub fn width(text: &str) -> usize {
    text.graphemes(true).map(cluster_width).sum()
}

/// The columns one cluster takes; nothing for a newline.
pub fn cluster_width(cluster: &str) -> usize {
    match cluster {
        "\t" => TAB_WIDTH,
        _ if cluster.contains(char::is_control) => 0,
        _ => usize::from(cluster.cell_width()),
    }
}

/// Cuts a text to a width, ending it with `…` where something is missing.
pub fn cut(text: &str, width_max: usize) -> String {
    if width(text) <= width_max {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut used = 1;
    for cluster in text.graphemes(true) {
        used += cluster_width(cluster);
        if used > width_max {
            break;
        }
        shown.push_str(cluster);
    }
    if width_max > 0 {
        shown.truncate(shown.trim_end().len());
        shown.push('…');
    }
    shown
}

/// Wraps a text into rows of at most `width` columns. Between fences of three backticks it is
/// code: numbered, and broken only where a line is full.
pub fn rows(text: &str, width: usize) -> Vec<WrappedRow> {
    let mut rows = Vec::new();
    let mut code_line = None;
    for line in text.split('\n') {
        if line.trim_start().starts_with("```") {
            code_line = if code_line.is_some() { None } else { Some(0) };
            continue;
        }
        match &mut code_line {
            None => push_rows(&mut rows, line, width, words, |_| RowKind::Prose),
            Some(number) => {
                *number += 1;
                let kind = |is_first| RowKind::Code(if is_first { Some(*number) } else { None });
                push_rows(&mut rows, line, width.saturating_sub(CODE_PREFIX), cells, kind);
            }
        }
    }
    if rows.is_empty() {
        rows.push(row("", RowKind::Prose));
    }
    rows
}

/// Columns in front of a row of code: two for the number, the rule, a space.
pub const CODE_PREFIX: usize = 4;

fn push_rows(
    rows: &mut Vec<WrappedRow>,
    line: &str,
    width: usize,
    split: fn(&str, usize) -> Vec<Range<usize>>,
    kind: impl Fn(bool) -> RowKind,
) {
    for (i, range) in split(line, width.max(1)).into_iter().enumerate() {
        rows.push(row(line[range].trim_end(), kind(i == 0)));
    }
}

fn row(text: &str, kind: RowKind) -> WrappedRow {
    let text = text.replace('\t', &" ".repeat(TAB_WIDTH));
    WrappedRow { width: width(&text), text, kind }
}

/// Splits a line into rows at spaces, between wide characters, or where nothing else helps.
///
/// Each range ends where the next begins; spaces at a break stay at the end of their row and may
/// hang over the width.
pub fn words(line: &str, width: usize) -> Vec<Range<usize>> {
    split(line, width, true)
}

/// Splits a line into rows wherever they are full.
pub fn cells(line: &str, width: usize) -> Vec<Range<usize>> {
    split(line, width, false)
}

fn split(line: &str, width: usize, is_prose: bool) -> Vec<Range<usize>> {
    let clusters: Vec<(usize, &str)> = line.grapheme_indices(true).collect();
    let mut ranges = Vec::new();
    let (mut start, mut col, mut last_break, mut i) = (0, 0, None, 0);
    while let Some(&(at, cluster)) = clusters.get(i) {
        let cluster_width = cluster_width(cluster);
        let is_space = is_prose && cluster == " ";
        if col + cluster_width > width && at > start && !is_space {
            let cut = last_break.filter(|_| is_prose).unwrap_or(i);
            let cut_at = clusters[cut].0;
            ranges.push(start..cut_at);
            (start, col, last_break, i) = (cut_at, 0, None, cut);
            continue;
        }
        col += cluster_width;
        let next = clusters.get(i + 1).map_or("", |(_, next)| *next);
        if !next.is_empty() && next != " " && may_break(cluster, next) {
            last_break = Some(i + 1);
        }
        i += 1;
    }
    ranges.push(start..line.len());
    ranges
}

/// Says whether a row may end between two clusters.
fn may_break(before: &str, after: &str) -> bool {
    // Korean is written with spaces between words, and broken there.
    let is_ideograph = |cluster: &str| {
        let first = cluster.chars().next().unwrap_or(' ');
        let is_hangul = matches!(first, '\u{AC00}'..='\u{D7A3}');
        first >= '\u{2E80}' && !is_hangul && cluster_width(cluster) == 2
    };
    if matches!(before, " " | "\t" | "-" | "—") {
        return true;
    }
    let opens = matches!(before, "「" | "『" | "（" | "【" | "《" | "〈");
    let closes = "、。，．！？」』）】》〉：；ー々".contains(after);
    (is_ideograph(before) || is_ideograph(after)) && !opens && !closes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str, width: usize) -> Vec<String> {
        rows(text, width).into_iter().map(|row| row.text).collect()
    }

    #[test]
    fn prose_breaks_between_words() {
        assert_eq!(texts("the cut is on the branch", 10), ["the cut is", "on the", "branch"]);
        assert_eq!(texts("a\n\nb", 10), ["a", "", "b"]);
        assert_eq!(texts("", 10), [""]);
    }

    #[test]
    fn a_word_longer_than_a_row_is_broken_where_the_row_is_full() {
        assert_eq!(texts("see aaaaaaaaaaaa", 8), ["see", "aaaaaaaa", "aaaa"]);
    }

    #[test]
    fn wide_characters_count_twice_and_break_anywhere_but_before_a_full_stop() {
        assert_eq!(texts("こんにちは世界。", 10), ["こんにちは", "世界。"]);
        assert_eq!(texts("日本語です。", 10), ["日本語で", "す。"]);
        assert_eq!(texts("회의가 있습니다", 10), ["회의가", "있습니다"]);
    }

    #[test]
    fn a_family_is_never_split() {
        assert_eq!(width("👨‍👩‍👧‍👦"), 2);
        assert_eq!(texts("👨‍👩‍👧‍👦👨‍👩‍👧‍👦", 3), ["👨‍👩‍👧‍👦", "👨‍👩‍👧‍👦"]);
    }

    #[test]
    fn code_between_fences_is_numbered_and_keeps_its_spaces() {
        let rows = rows("so:\n```sql\nalter  table entries\n  add column\n```\nok", 16);
        let seen: Vec<_> = rows.iter().map(|row| (row.text.as_str(), row.kind)).collect();
        let expected = [
            ("so:", RowKind::Prose),
            ("alter  table", RowKind::Code(Some(1))),
            (" entries", RowKind::Code(None)),
            ("  add column", RowKind::Code(Some(2))),
            ("ok", RowKind::Prose),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_cut_text_says_that_it_was_cut() {
        assert_eq!(cut("release-train", 8), "release…");
        assert_eq!(cut("世界世界", 4), "世…");
        assert_eq!(cut("fits", 4), "fits");
        assert_eq!(cut("x y", 0), "");
    }

    proptest! {
        /// Wrapping loses nothing but spaces, and no row is too wide.
        #[test]
        fn wrapping_loses_no_word(text in "[a-c 世👩é\u{301}ـع\n-]{0,80}", width in 2usize..20) {
            let rows = rows(&text, width);
            let squeeze = |text: &str| text.split_whitespace().collect::<String>();
            let joined = rows.iter().map(|row| row.text.as_str()).collect::<Vec<_>>().join("\n");
            prop_assert_eq!(squeeze(&joined), squeeze(&text));
            prop_assert!(rows.iter().all(|row| row.width <= width));
        }
    }
}
