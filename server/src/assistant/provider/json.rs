//! Reads JSON the way servers write it, which is not always the way it is defined.
//!
//! Two faults occur in the wild and must not lose a piece of an answer: control characters that
//! stand in a string as they are, and halves of surrogate pairs, where a server cut its text in
//! UTF-16. Both are mended before a second try; nothing else is.

use std::borrow::Cow;

use serde_json::Value;

/// Parses `text`, mending what can be mended; `None` when it is no JSON.
pub fn read(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().or_else(|| serde_json::from_str(&mended(text)).ok())
}

/// The same text with control characters escaped within strings and dropped outside, and with
/// escaped halves of surrogate pairs replaced.
fn mended(text: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len() + 16);
    let mut is_in_string = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '\\' if is_in_string => mend_escape(rest, &mut out),
            c if c.is_ascii_control() && is_in_string => {
                out.extend(["\\u", &format!("{:04x}", u32::from(c))]);
                c.len_utf8()
            }
            c if c.is_ascii_control() && !c.is_ascii_whitespace() => c.len_utf8(),
            c => {
                is_in_string ^= c == '"';
                out.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    Cow::Owned(out)
}

/// Copies one escape sequence, or what stands in its place, and says how long it was.
fn mend_escape(rest: &str, out: &mut String) -> usize {
    let Some(unit) = utf16_escape(rest) else {
        // Any other escape: the backslash and what it protects.
        let len = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
        out.push_str(&rest[..len]);
        return len;
    };
    let low = utf16_escape(&rest[ESCAPE_LEN..]);
    match (unit, low) {
        (0xd800..=0xdbff, Some(0xdc00..=0xdfff)) => {
            out.push_str(&rest[..2 * ESCAPE_LEN]);
            2 * ESCAPE_LEN
        }
        (0xd800..=0xdfff, _) => {
            out.push(char::REPLACEMENT_CHARACTER);
            ESCAPE_LEN
        }
        _ => {
            out.push_str(&rest[..ESCAPE_LEN]);
            ESCAPE_LEN
        }
    }
}

/// A backslash, a `u` and four digits.
const ESCAPE_LEN: usize = 6;

fn utf16_escape(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn control_characters_within_strings_are_kept() {
        let text = "\0{\"a\":\"x\u{1b}[1m\0\ny\"\u{1},\"b\":1}";
        assert_eq!(read(text), Some(json!({"a": "x\u{1b}[1m\0\ny", "b": 1})));
    }

    #[test]
    fn halves_of_surrogate_pairs_do_not_lose_the_rest() {
        let halves = r#"{"a":"one \ud83d two \ude00 \ud83d\ud83d\ude00 \\ud83d \"\u00e4"}"#;
        let whole = "one \u{fffd} two \u{fffd} \u{fffd}\u{1f600} \\ud83d \"ä";
        assert_eq!(read(halves), Some(json!({ "a": whole })));
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for text in ["", "{", "{\"a\":", "nul", "{\"a\":\"\\", "{\"a\":\"\\ud8", "\\"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&"[".repeat(100_000)), None);
    }

    proptest! {
        /// Whatever a string holds, written down without care it reads as it was.
        #[test]
        fn careless_strings_read_as_they_were(text in "[\\x00-\\x21\\x23-\\x5b\\x5d-\\x7fäß😀]*") {
            prop_assert_eq!(read(&format!("[\"{text}\"]")), Some(json!([text])));
        }

        #[test]
        fn no_text_is_too_odd_to_be_read(text in ".*") {
            let _ = read(&text);
        }
    }
}
