//! Something written: the body is the UTF-8 text itself, and who it calls by name.

use super::ContentError;
use crate::limits::MESSAGE_TEXT_LEN_MAX;

/// Reads the body of a text.
pub(super) fn decode(body: Vec<u8>) -> Result<String, ContentError> {
    checked(String::from_utf8(body).map_err(|_| ContentError::Utf8)?)
}

/// Gives a text back that is short enough for a message.
pub(super) fn checked(text: String) -> Result<String, ContentError> {
    if text.len() > MESSAGE_TEXT_LEN_MAX {
        return Err(ContentError::TooLong(text.len()));
    }
    Ok(text)
}

/// Says whether a text calls somebody: `@handle` as a whole word, in any case of letters.
///
/// An address such as `ann@example` calls nobody, and `@ann` does not call `ann-marie`.
pub(super) fn mentions(text: &str, handle: &str) -> bool {
    let is_handle = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let bytes = text.as_bytes();
    bytes.iter().enumerate().filter(|(_, byte)| **byte == b'@').any(|(at, _)| {
        let stands_free = at.checked_sub(1).and_then(|before| bytes.get(before)).is_none_or(
            // A letter of another script before the sign is part of a word too.
            |byte| !is_handle(*byte) && byte.is_ascii() && !matches!(byte, b'.' | b'@' | b'/'),
        );
        let rest = &bytes[at + 1..];
        let len = rest.iter().take_while(|byte| is_handle(**byte)).count();
        stands_free && rest[..len].eq_ignore_ascii_case(handle.as_bytes()) && len > 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mention_is_a_whole_word() {
        for text in ["@ann", "hi @Ann!", "(@ann)", "@ann, @bob", "x\n@ann", "@@bob @ann"] {
            assert!(mentions(text, "ann"), "{text}");
        }
        for text in ["ann", "@anna", "@ann-marie", "me@ann", "@ an", "é@ann", "@@ann", "a.b/@ann"]
        {
            assert!(!mentions(text, "ann"), "{text}");
        }
        assert!(!mentions("hello @ all", ""));
    }
}
