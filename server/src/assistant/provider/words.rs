//! What an upstream says about itself, made fit for a cause: one short line without a key in it.
//!
//! An upstream's error text is remote text. It may quote the key it was given, hold control
//! characters, be an HTML page or have a megabyte. Answers do not pass through here.

use std::fmt;

use super::key::ApiKey;
use crate::limits::{MODEL_NAME_LEN_MAX, REMOTE_WORDS_LEN_MAX};

/// What stands where a key stood.
const KEY_SHOWN_AS: &str = "[key]";

/// One line of an upstream's words: cleaned, without the key, short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteWords(String);

impl RemoteWords {
    /// Where nothing is known.
    pub fn unknown() -> Self {
        Self("for a reason it does not tell".to_owned())
    }
}

impl fmt::Display for RemoteWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes [`RemoteWords`]; knows the key that must not be among them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cleaner<'a> {
    key: Option<&'a ApiKey>,
}

impl<'a> Cleaner<'a> {
    /// Cleans with regard to this key.
    pub fn new(key: Option<&'a ApiKey>) -> Self {
        Self { key }
    }

    /// Words fit for a cause; `None` when nothing is left of them, or they are a page of markup.
    pub fn words(self, text: &str) -> Option<RemoteWords> {
        if text.trim_start().starts_with('<') {
            return None;
        }
        let line = self.line(text, REMOTE_WORDS_LEN_MAX);
        let line = line.trim_end_matches(['.', ' ']);
        (!line.is_empty()).then(|| RemoteWords(line.to_owned()))
    }

    /// A model's name; `None` when nothing is left of it.
    pub fn model(self, text: &str) -> Option<String> {
        let name = self.line(text, MODEL_NAME_LEN_MAX);
        (!name.is_empty()).then_some(name)
    }

    /// The key goes first, whole: cutting before would leave a part of it.
    fn line(self, text: &str, len_max: usize) -> String {
        let without_key = match self.key {
            Some(key) => text.replace(key.as_str(), KEY_SHOWN_AS),
            None => text.to_owned(),
        };
        let visible: String =
            without_key.chars().map(|c| if is_disturbing(c) { ' ' } else { c }).collect();
        let words: Vec<&str> = visible.split_whitespace().collect();
        let line = words.join(" ");
        match line.char_indices().nth(len_max) {
            Some((end, _)) => format!("{}…", line[..end].trim_end()),
            None => line,
        }
    }
}

/// Characters that move a cursor, turn the direction of text, or cannot be seen.
fn is_disturbing(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<String> {
        Cleaner::default().words(text).map(|words| words.to_string())
    }

    #[test]
    fn words_are_one_short_line() {
        assert_eq!(words(" no\r\n such\tmodel\u{202e}. ").as_deref(), Some("no such model"));
        assert_eq!(words("a\u{1b}[31mb\u{202e}c\0d").as_deref(), Some("a [31mb c d"));
        let long = words(&"ä".repeat(10_000)).unwrap();
        assert_eq!(long.chars().count(), REMOTE_WORDS_LEN_MAX + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn nothing_and_markup_are_no_words() {
        for text in ["", " \n\0 ", "...", "<!doctype html><h1>502</h1>", "\n <html>"] {
            assert_eq!(words(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_key_is_not_among_them_however_long_the_words() {
        let key = ApiKey::parse(b"sk-very-secret").unwrap();
        let cleaner = Cleaner::new(Some(&key));
        let said = cleaner.words("the key sk-very-secret is wrong (sk-very-secret)").unwrap();
        assert_eq!(said.to_string(), "the key [key] is wrong ([key])");
        for n in 0..REMOTE_WORDS_LEN_MAX {
            let said = cleaner.words(&format!("{}sk-very-secret", "x".repeat(n))).unwrap();
            assert!(!said.to_string().contains("sk-"), "{said}");
        }
        assert_eq!(cleaner.model("sk-very-secret").as_deref(), Some(KEY_SHOWN_AS));
    }
}
