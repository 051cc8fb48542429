//! What a message says: one type from the wire to every face (CRYPTO B4).
//!
//! Owns the meaning of content numbers, and all that the rest of the program asks of a message:
//! its text, what it belongs to, whether it counts as unread, who may read it. A new kind is a file
//! here; what it answers is decided by the `match` below that does not compile without it.
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

mod answer;
mod ask;
mod emoji;
mod reaction;
mod relation;
mod stop;
mod text;

use std::fmt;

pub use answer::{Answer, Outcome, Usage};
pub use ask::{Ask, Attached};
pub use emoji::{Emoji, NotEmoji};
pub use reaction::{Reaction, ReactionCount, tally};
pub use relation::{Relation, RelationKind, Target, TargetContent};
pub use stop::Stop;

use super::ce::CeError;
use super::message_header::Flags;
use super::plaintext::Plaintext;
use crate::id::{AccountId, Seq};
use crate::limits::MESSAGE_TEXT_LEN_MAX;

/// Content number of [`Content::Text`].
pub const TEXT: u8 = 1;
/// Reserved: a text that answers another message.
pub const REPLY: u8 = 2;
/// Reserved: another text for an earlier message of the same author.
pub const EDIT: u8 = 3;
/// Reserved: takes an earlier message back.
pub const DELETE: u8 = 4;
/// Content number of [`Content::Reaction`].
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
///
/// Texts are of type `S`: a `String` as it came from outside, or what a face made of it.
#[derive(Clone, PartialEq, Eq)]
pub enum Content<S = String> {
    /// Something written (1): the body is the UTF-8 text itself, at most
    /// [`MESSAGE_TEXT_LEN_MAX`] bytes. Text from outside.
    Text(S),
    /// What an assistant answered (12).
    Answer(Box<Answer<S>>),
    /// A question to an assistant, with what is shown to it (13).
    Ask(Box<Ask<S>>),
    /// An answer is stopped by who asked (14).
    Stop(Stop),
    /// An emoji on an earlier message, or taken back (5).
    Reaction(Reaction),
    /// A number this version does not know, as it came.
    Unknown {
        /// The number.
        kind: u8,
        /// The body.
        body: Vec<u8>,
    },
}

/// How many lines a text of a content may have, for who cleans it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextShape {
    /// As many as were written.
    Lines,
    /// One: a name, a model, a cause.
    Line,
}

/// The value of a field in a line of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field<'a> {
    /// A text, as it came from outside.
    Text(&'a str),
    /// A number.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// Numbers in order.
    Numbers(Vec<u64>),
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

impl<S: AsRef<str>> fmt::Debug for Content<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.as_ref().len()),
            Self::Answer(answer) => answer.fmt(f),
            Self::Ask(ask) => ask.fmt(f),
            Self::Stop(stop) => stop.fmt(f),
            Self::Reaction(reaction) => reaction.fmt(f),
            Self::Unknown { kind, body } => write!(f, "Unknown({kind}, {} bytes)", body.len()),
        }
    }
}

impl<S> Content<S> {
    /// Its number.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Text(_) => TEXT,
            Self::Answer(_) => ANSWER,
            Self::Ask(_) => ASK,
            Self::Stop(_) => STOP,
            Self::Reaction(_) => REACTION,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// The word for its kind in data.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Text(_) => "message",
            Self::Answer(_) => "answer",
            Self::Ask(_) => "ask",
            Self::Stop(_) => "stop",
            Self::Reaction(_) => "reaction",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// What a person wrote or an assistant answered; `None` for what says nothing in words.
    pub fn text(&self) -> Option<&S> {
        match self {
            Self::Text(text) => Some(text),
            Self::Answer(answer) => Some(&answer.text),
            Self::Ask(ask) => Some(&ask.text),
            Self::Stop(_) | Self::Reaction(_) | Self::Unknown { .. } => None,
        }
    }

    /// The text under which a search finds it.
    pub fn search_text(&self) -> Option<&S> {
        self.text()
    }

    /// The earlier entry that it belongs to, and how.
    pub fn target(&self) -> Option<Relation> {
        let (kind, target, target_hash) = match self {
            Self::Answer(answer) => (RelationKind::Answer, answer.ask, Some(answer.ask_hash)),
            Self::Stop(stop) => (RelationKind::Stop, stop.ask, None),
            Self::Reaction(reaction) => {
                (RelationKind::Reaction, reaction.target, Some(reaction.target_hash))
            }
            Self::Text(_) | Self::Ask(_) | Self::Unknown { .. } => return None,
        };
        Some(Relation { kind, target, target_hash })
    }

    /// The marks that its header carries.
    pub fn flags(&self) -> Flags {
        match self {
            Self::Text(_) | Self::Answer(_) | Self::Ask(_) | Self::Unknown { .. } => {
                Flags::COUNTABLE
            }
            Self::Stop(_) | Self::Reaction(_) => Flags::SILENT,
        }
    }

    /// Says whether it shows nothing of its own in a timeline: what it changes is shown at its
    /// target.
    pub fn is_silent(&self) -> bool {
        self.flags().has(Flags::SILENT)
    }

    /// The agent that it is also sealed to.
    pub fn reader(&self) -> Option<AccountId> {
        match self {
            Self::Ask(ask) => Some(ask.agent),
            Self::Stop(stop) => Some(stop.agent),
            Self::Text(_) | Self::Answer(_) | Self::Reaction(_) | Self::Unknown { .. } => None,
        }
    }

    /// The places of the entries that it shows to an agent.
    pub fn shown(&self) -> impl Iterator<Item = Seq> {
        let attached = match self {
            Self::Ask(ask) => ask.attached.as_slice(),
            Self::Text(_)
            | Self::Answer(_)
            | Self::Stop(_)
            | Self::Reaction(_)
            | Self::Unknown { .. } => &[],
        };
        attached.iter().map(|one| one.seq)
    }

    /// The same content with texts of another type.
    pub fn map_text<T>(&self, map: &mut impl FnMut(TextShape, &S) -> T) -> Content<T> {
        match self {
            Self::Text(text) => Content::Text(map(TextShape::Lines, text)),
            Self::Answer(answer) => Content::Answer(Box::new(answer.map_text(map))),
            Self::Ask(ask) => Content::Ask(Box::new(ask.map_text(map))),
            Self::Stop(stop) => Content::Stop(*stop),
            Self::Reaction(reaction) => Content::Reaction(reaction.clone()),
            Self::Unknown { kind, body } => Content::Unknown { kind: *kind, body: body.clone() },
        }
    }
}

impl<S: AsRef<str>> Content<S> {
    /// Says whether its text calls somebody by name, with an at sign.
    pub fn mentions(&self, handle: &str) -> bool {
        self.text().is_some_and(|text| text::mentions(text.as_ref(), handle))
    }
}

impl Content {
    /// Something written.
    ///
    /// # Errors
    ///
    /// [`ContentError::TooLong`] above [`MESSAGE_TEXT_LEN_MAX`] bytes: send a file or shorten it.
    pub fn from_text(text: impl Into<String>) -> Result<Self, ContentError> {
        text::checked(text.into()).map(Self::Text)
    }

    /// Encodes the content for sealing.
    pub fn encode(&self) -> Plaintext {
        let body = match self {
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Answer(answer) => answer.encode(),
            Self::Ask(ask) => ask.encode(),
            Self::Stop(stop) => stop.encode(),
            Self::Reaction(reaction) => reaction.encode(),
            Self::Unknown { body, .. } => body.clone(),
        };
        Plaintext { kind: self.kind(), body }
    }

    /// Reads an opened message.
    ///
    /// # Errors
    ///
    /// [`ContentError`] if a known number has a body that it cannot have.
    pub fn decode(plaintext: Plaintext) -> Result<Self, ContentError> {
        let Plaintext { kind, body } = plaintext;
        Ok(match kind {
            TEXT => Self::Text(text::decode(body)?),
            ANSWER => Self::Answer(Box::new(Answer::decode(&body)?)),
            ASK => Self::Ask(Box::new(Ask::decode(&body)?)),
            STOP => Self::Stop(Stop::decode(&body)?),
            REACTION => Self::Reaction(Reaction::decode(&body)?),
            kind => Self::Unknown { kind, body },
        })
    }

    /// The fields of a line of data, in order.
    pub fn fields(&self) -> Vec<(&'static str, Field<'_>)> {
        match self {
            Self::Text(text) => vec![("text", Field::Text(text))],
            Self::Answer(answer) => answer.fields(),
            Self::Ask(ask) => ask.fields(),
            Self::Stop(stop) => stop.fields(),
            Self::Reaction(reaction) => reaction.fields(),
            Self::Unknown { kind, .. } => vec![("kind", Field::Number((*kind).into()))],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_and_a_newer_content_both_come_back_as_they_were() {
        let newer = Content::Unknown { kind: 200, body: vec![0xFF, 0] };
        for content in [Content::from_text("h\u{e9}llo").unwrap(), newer] {
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
