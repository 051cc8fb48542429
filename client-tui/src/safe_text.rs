//! The one type through which remote text reaches a terminal.
//!
//! Owns the rules of cleaning: what a stranger wrote can neither move the cursor, change colors,
//! reorder the line it stands in, nor overflow a cell. It must never lose a readable character, and
//! cleaning what is clean changes nothing.

use std::fmt;

use mathia_protocol::crypto::content::TextShape;
use unicode_width::UnicodeWidthChar;

/// Marks without a width of their own that may follow one character. Written languages need at
/// most four (vowel, tone, shadda, variation selector); more only smears over neighboring lines.
const MARKS_MAX: usize = 6;

/// Joiners within one emoji. The longest in use (two people with skin tones, kissing) has three.
const JOINERS_MAX: usize = 7;

const JOINER: char = '\u{200D}';

/// Text without anything a terminal would obey.
///
/// Escape and control characters are gone, direction overrides are spelled out, stacks of combining
/// marks are cut. `Display` and [`SafeText::as_str`] give text that may be printed as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SafeText(String);

impl SafeText {
    /// Cleans a text that may have several lines: newlines and tabs stay.
    pub fn clean(remote: &str) -> Self {
        let mut cleaner = Cleaner::with_capacity(remote.len());
        remote.chars().for_each(|c| cleaner.push(c));
        Self(cleaner.text)
    }

    /// Cleans a text that must fit one line: newlines and tabs become spaces.
    pub fn line(remote: &str) -> Self {
        let mut cleaner = Cleaner::with_capacity(remote.len());
        for c in remote.chars() {
            let is_break = matches!(c, '\n' | '\t' | '\u{2028}' | '\u{2029}');
            cleaner.push(if is_break { ' ' } else { c });
        }
        Self(cleaner.text)
    }

    /// Cleans a text of an entry as its shape asks for.
    pub fn shaped(shape: TextShape, remote: &str) -> Self {
        match shape {
            TextShape::Lines => Self::clean(remote),
            TextShape::Line => Self::line(remote),
        }
    }

    /// The text without white space at its end.
    #[must_use]
    pub fn trim_end(&self) -> Self {
        Self(self.0.trim_end().to_owned())
    }

    /// The clean text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The clean text, owned.
    pub fn into_string(self) -> String {
        self.0
    }

    /// Says whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for SafeText {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Takes characters one by one and remembers just enough of what came before.
struct Cleaner {
    text: String,
    n_marks: usize,
    n_joiners: usize,
    follows_joiner: bool,
}

impl Cleaner {
    fn with_capacity(len: usize) -> Self {
        let text = String::with_capacity(len);
        Self { text, n_marks: 0, n_joiners: 0, follows_joiner: false }
    }

    fn push(&mut self, c: char) {
        match c {
            '\n' | '\t' => self.base(c),
            '\u{2028}' | '\u{2029}' => self.base('\n'),
            _ if c.is_control() || is_invisible(c) => {}
            JOINER => self.joiner(),
            _ => match direction_name(c) {
                Some(name) => name.chars().for_each(|c| self.base(c)),
                None if c.width() == Some(0) => self.mark(c),
                None => self.base(c),
            },
        }
    }

    fn base(&mut self, c: char) {
        if !self.follows_joiner {
            self.n_joiners = 0;
        }
        self.n_marks = 0;
        self.follows_joiner = false;
        self.text.push(c);
    }

    fn mark(&mut self, c: char) {
        if self.n_marks < MARKS_MAX {
            self.n_marks += 1;
            self.follows_joiner = false;
            self.text.push(c);
        }
    }

    fn joiner(&mut self) {
        if self.n_joiners < JOINERS_MAX && !self.follows_joiner {
            self.n_joiners += 1;
            self.follows_joiner = true;
            self.text.push(JOINER);
        }
    }
}

/// Characters that show nothing anywhere and serve to hide data or to confuse widths: soft hyphen,
/// byte order mark, interlinear annotations, deprecated format characters, tags.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{AD}'
            | '\u{FEFF}'
            | '\u{206A}'..='\u{206F}'
            | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E007F}'
    )
}

/// The name of a control that embeds, overrides or isolates a direction of writing. Marks that only
/// hint (U+200E, U+200F, U+061C) are part of ordinary Arabic and Hebrew text and stay as they are.
fn direction_name(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{202A}' => "‹LRE›",
        '\u{202B}' => "‹RLE›",
        '\u{202C}' => "‹PDF›",
        '\u{202D}' => "‹LRO›",
        '\u{202E}' => "‹RLO›",
        '\u{2066}' => "‹LRI›",
        '\u{2067}' => "‹RLI›",
        '\u{2068}' => "‹FSI›",
        '\u{2069}' => "‹PDI›",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_segmentation::UnicodeSegmentation;

    use super::*;

    fn clean(text: &str) -> String {
        SafeText::clean(text).into_string()
    }

    #[test]
    fn an_escape_sequence_becomes_harmless_text() {
        assert_eq!(clean("\u{1b}[31mred\u{1b}]52;c;eA==\u{7}"), "[31mred]52;c;eA==");
        assert_eq!(clean("\u{9b}31m a\u{0}b\rc\u{7f}"), "31m abc");
    }

    #[test]
    fn newlines_and_tabs_stay_in_a_text_and_become_spaces_in_a_line() {
        assert_eq!(clean("a\r\n\tb\u{2028}c"), "a\n\tb\nc");
        assert_eq!(SafeText::line("a\n\tb\u{2029}c").as_str(), "a  b c");
    }

    #[test]
    fn an_override_of_the_writing_direction_is_spelled_out() {
        assert_eq!(clean("invoice\u{202E}fdp.exe"), "invoice‹RLO›fdp.exe");
        assert_eq!(clean("\u{2067}x\u{2069}"), "‹RLI›x‹PDI›");
    }

    #[test]
    fn ordinary_writing_in_any_language_is_left_alone() {
        for text in
            ["안녕하세요", "こんにちは、世界", "السَّلَامُ عَلَيْكُمْ", "👩🏻‍❤️‍💋‍👨🏿 👨‍👩‍👧‍👦 ❤️ 🇳🇴", "क्षत्रिय", "e\u{301}"]
        {
            assert_eq!(clean(text), text);
        }
    }

    #[test]
    fn a_tower_of_marks_is_cut_to_a_bearable_height() {
        let tower = format!("e{}x", "\u{301}".repeat(100));
        assert_eq!(clean(&tower), format!("e{}x", "\u{301}".repeat(MARKS_MAX)));
        let chain = clean(&"👩\u{200D}".repeat(100));
        let longest = chain.graphemes(true).map(|cluster| cluster.chars().count()).max();
        assert_eq!(longest, Some(2 * JOINERS_MAX + 1));
    }

    fn nasty() -> impl Strategy<Value = String> {
        let special = prop::sample::select(
            "\u{1b}\u{9b}\u{7}\r\n\t\u{202e}\u{2066}\u{200d}\u{301}\u{fe0f}\u{ad}\u{e0041}👩é한ع"
                .chars()
                .collect::<Vec<_>>(),
        );
        let any = prop_oneof![3 => special, 1 => any::<char>()];
        prop::collection::vec(any, 0..60).prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        /// Nothing a terminal obeys survives, whatever was written.
        #[test]
        fn no_control_survives(text in nasty()) {
            let clean = clean(&text);
            prop_assert!(clean.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
            prop_assert!(clean.chars().all(|c| direction_name(c).is_none()));
            let line = SafeText::line(&text).into_string();
            prop_assert!(!line.chars().any(char::is_control));
        }

        /// Cleaning twice is cleaning once.
        #[test]
        fn cleaning_is_idempotent(text in nasty()) {
            let once = clean(&text);
            prop_assert_eq!(clean(&once), once);
        }

        /// No cluster can grow beyond what one cell may hold.
        #[test]
        fn marks_never_pile_up(text in nasty()) {
            let mut n_marks = 0;
            for c in clean(&text).chars() {
                let is_mark = c.width() == Some(0) && c != JOINER;
                n_marks = if is_mark { n_marks + 1 } else if c == JOINER { n_marks } else { 0 };
                prop_assert!(n_marks <= MARKS_MAX);
            }
        }
    }
}
