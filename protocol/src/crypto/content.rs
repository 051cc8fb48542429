//! What a message says: the meaning of content numbers (CRYPTO B4).
//!
//! Numbers are a promise and only ever added. A number this version does not know is kept as it
//! came, so that a newer client's message is shown as "not understood" instead of as broken.
//!
//! | number | content | | number | content |
//! |---|---|---|---|---|
//! | 1 | text | | 7 | note |
//! | 2 | reply | | 8 | pin |
//! | 3 | edit | | 9 | poll |
//! | 4 | delete | | 10 | location |
//! | 5 | reaction | | 11 | settings change |
//! | 6 | file | | 12 | answer of an assistant |
//! | | | | 13 | question to an assistant |
//! | | | | 14 | stop of an answer |

use std::fmt;

use super::answer::Answer;
use super::ask::{Ask, Stop};
use super::ce::CeError;
use super::plaintext::Plaintext;
use crate::limits::MESSAGE_TEXT_LEN_MAX;

/// Content number of [`Content::Text`].
pub const TEXT: u8 = 1;
/// Reserved: a text that answers another message.
pub const REPLY: u8 = 2;
/// Reserved: another text for an earlier message of the same author.
pub const EDIT: u8 = 3;
/// Reserved: takes an earlier message back.
pub const DELETE: u8 = 4;
/// Reserved: an emoji on an earlier message.
pub const REACTION: u8 = 5;
/// Reserved: a file, by its key, size and hash.
pub const FILE: u8 = 6;
/// Reserved: a page of the room's notebook.
pub const NOTE: u8 = 7;
/// Reserved: keeps an earlier message in sight.
pub const PIN: u8 = 8;
/// Reserved: a question with choices, or a vote.
pub const POLL: u8 = 9;
/// Reserved: a place.
pub const LOCATION: u8 = 10;
/// Reserved: a change of what the room shows.
pub const SETTINGS: u8 = 11;
/// Content number of [`Content::Answer`].
pub const ANSWER: u8 = 12;
/// Content number of [`Content::Ask`].
pub const ASK: u8 = 13;
/// Content number of [`Content::Stop`].
pub const STOP: u8 = 14;

/// What a message says. `Debug` hides it: what people write never reaches a log.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// Something written (1): the body is the UTF-8 text itself.
    Text {
        /// The text, at most [`MESSAGE_TEXT_LEN_MAX`] bytes. Text from outside.
        text: String,
    },
    /// What an assistant answered (12).
    Answer(Answer),
    /// A question to an assistant, with what is shown to it (13).
    Ask(Ask),
    /// An answer is stopped by who asked (14).
    Stop(Stop),
    /// A number this version does not know, as it came.
    Unknown {
        /// The number.
        kind: u8,
        /// The body.
        body: Vec<u8>,
    },
}

/// Why a body is not what its number says. Retrying never helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// A text is not UTF-8.
    #[error("the text is not UTF-8")]
    Utf8,
    /// A text is longer than allowed.
    #[error("a text of {0} bytes exceeds {MESSAGE_TEXT_LEN_MAX}")]
    TooLong(usize),
    /// A body is malformed.
    #[error("the content is malformed: {0}")]
    Malformed(#[from] CeError),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { text } => write!(f, "Text({} bytes)", text.len()),
            Self::Answer(answer) => answer.fmt(f),
            Self::Ask(ask) => ask.fmt(f),
            Self::Stop(stop) => stop.fmt(f),
            Self::Unknown { kind, body } => write!(f, "Unknown({kind}, {} bytes)", body.len()),
        }
    }
}

impl Content {
    /// Something written.
    ///
    /// # Errors
    ///
    /// [`ContentError::TooLong`] above [`MESSAGE_TEXT_LEN_MAX`] bytes: send a file or shorten it.
    pub fn text(text: impl Into<String>) -> Result<Self, ContentError> {
        let text = text.into();
        if text.len() > MESSAGE_TEXT_LEN_MAX {
            return Err(ContentError::TooLong(text.len()));
        }
        Ok(Self::Text { text })
    }

    /// Encodes the content for sealing.
    pub fn encode(&self) -> Plaintext {
        match self {
            Self::Text { text } => Plaintext { kind: TEXT, body: text.as_bytes().to_vec() },
            Self::Answer(answer) => Plaintext { kind: ANSWER, body: answer.encode() },
            Self::Ask(ask) => Plaintext { kind: ASK, body: ask.encode() },
            Self::Stop(stop) => Plaintext { kind: STOP, body: stop.encode() },
            Self::Unknown { kind, body } => Plaintext { kind: *kind, body: body.clone() },
        }
    }

    /// Reads an opened message.
    ///
    /// # Errors
    ///
    /// [`ContentError`] if a known number has a body that it cannot have.
    pub fn decode(plaintext: Plaintext) -> Result<Self, ContentError> {
        match plaintext.kind {
            TEXT => Self::text(String::from_utf8(plaintext.body).map_err(|_| ContentError::Utf8)?),
            ANSWER => Ok(Self::Answer(Answer::decode(&plaintext.body)?)),
            ASK => Ok(Self::Ask(Ask::decode(&plaintext.body)?)),
            STOP => Ok(Self::Stop(Stop::decode(&plaintext.body)?)),
            kind => Ok(Self::Unknown { kind, body: plaintext.body }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_and_a_newer_content_both_come_back_as_they_were() {
        let newer = Content::Unknown { kind: 200, body: vec![0xFF, 0] };
        for content in [Content::text("h\u{e9}llo").unwrap(), newer] {
            assert_eq!(Content::decode(content.encode()), Ok(content));
        }
    }

    #[test]
    fn a_text_that_is_no_text_or_too_long_is_refused() {
        let broken = Plaintext { kind: TEXT, body: vec![0xFF] };
        assert_eq!(Content::decode(broken), Err(ContentError::Utf8));
        let long = Plaintext { kind: TEXT, body: vec![b'x'; MESSAGE_TEXT_LEN_MAX + 1] };
        assert!(matches!(Content::decode(long), Err(ContentError::TooLong(_))));
    }
}
