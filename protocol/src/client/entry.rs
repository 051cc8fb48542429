//! What an entry of a room's log is, from the replica to every face: one type.
//!
//! Owns the encoding of a replica's sealed column. A message is kept as the plaintext that was
//! opened, so that a kind this version does not know can be read by a later one.

use std::fmt;

use super::event::UnreadableCause;
use super::record::EntryRecord;
use crate::crypto::ce::{CeError, Reader, Writer};
use crate::crypto::commit::CommitKind;
use crate::crypto::content::{Content, Target, TargetContent, TextShape};
use crate::crypto::plaintext::Plaintext;
use crate::id::{AccountId, Epoch, Seq};
use crate::limits::{ENTRY_LEN_MAX, FRAME_LEN_MAX};

/// What an entry is, after all checks. `Debug` hides texts of people.
///
/// Texts are of type `S`; `C` is what is known of a change of the room.
#[derive(Clone, PartialEq, Eq)]
pub enum EntryContent<S = String, C = Change<S>> {
    /// A message that was opened.
    Said(Content<S>),
    /// A change of the room.
    Change(C),
    /// A message that cannot be read now: the cause and what helps.
    Unreadable(UnreadableCause),
    /// A check failed: it is shown as a red line and kept for a report.
    Rejected {
        /// Which check, in words.
        check: S,
    },
    /// Retention removed it.
    Expired,
}

/// A change of a room, as a face shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<S = String> {
    /// Which commit.
    pub kind: CommitKind,
    /// A sentence for people without its subject, for example "added bob".
    pub text: S,
    /// Whom it concerns.
    pub accounts: Vec<AccountId>,
    /// The epoch after it.
    pub epoch: Epoch,
}

/// What an entry is in a replica. Of a change nothing is kept here: it stands in the entry's bytes,
/// and its sentence needs the names of today.
pub type StoredContent = EntryContent<String, ()>;

impl<S, C> EntryContent<S, C> {
    /// What a message says, if it can be read.
    pub fn said(&self) -> Option<&Content<S>> {
        match self {
            Self::Said(content) => Some(content),
            _ => None,
        }
    }

    /// Says whether it shows nothing of its own in a timeline.
    pub fn is_silent(&self) -> bool {
        self.said().is_some_and(Content::is_silent)
    }

    /// The same with what is known of a change replaced.
    pub fn map_change<D>(self, map: impl FnOnce(C) -> EntryContent<S, D>) -> EntryContent<S, D> {
        match self {
            Self::Said(content) => EntryContent::Said(content),
            Self::Change(change) => map(change),
            Self::Unreadable(cause) => EntryContent::Unreadable(cause),
            Self::Rejected { check } => EntryContent::Rejected { check },
            Self::Expired => EntryContent::Expired,
        }
    }
}

impl<S: AsRef<str>, C> EntryContent<S, C> {
    /// Says whether a text calls somebody by name, with an at sign.
    pub fn mentions(&self, handle: &str) -> bool {
        self.said().is_some_and(|content| content.mentions(handle))
    }
}

impl<S> EntryContent<S> {
    /// The word for what it is, in data.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Said(content) => content.word(),
            Self::Change(change) => match change.kind {
                CommitKind::Create
                | CommitKind::Add
                | CommitKind::Remove
                | CommitKind::Leave
                | CommitKind::SetRole => "member",
                CommitKind::Rotate => "epoch",
                CommitKind::SetPolicy | CommitKind::SetAgent => "settings",
            },
            Self::Unreadable(_) => "unreadable",
            Self::Rejected { .. } => "rejected",
            Self::Expired => "expired",
        }
    }

    /// The same with texts of another type.
    pub fn map_text<T>(&self, map: &mut impl FnMut(TextShape, &S) -> T) -> EntryContent<T> {
        match self {
            Self::Said(content) => EntryContent::Said(content.map_text(map)),
            Self::Change(change) => EntryContent::Change(Change {
                kind: change.kind,
                text: map(TextShape::Line, &change.text),
                accounts: change.accounts.clone(),
                epoch: change.epoch,
            }),
            Self::Unreadable(cause) => EntryContent::Unreadable(*cause),
            Self::Rejected { check } => {
                EntryContent::Rejected { check: map(TextShape::Line, check) }
            }
            Self::Expired => EntryContent::Expired,
        }
    }
}

impl StoredContent {
    /// A message that was opened; rejected if its body is not what its number says.
    pub fn opened(plaintext: Plaintext) -> Self {
        match Content::decode(plaintext) {
            Ok(content) => Self::Said(content),
            Err(error) => Self::Rejected { check: error.to_string() },
        }
    }

    /// The same, rejected if it does not fit the entry that it names.
    ///
    /// `target` is that entry, if it is kept here: what was said before this device's time cannot be
    /// compared, and was not seen here either.
    #[must_use]
    pub fn fitting(self, (author, seq): (AccountId, Seq), target: Option<&EntryRecord>) -> Self {
        let (Self::Said(content), Some(target)) = (&self, target) else { return self };
        let Some(relation) = content.target() else { return self };
        let known = Target { half: target.half(), content: target.content.as_target() };
        if relation.target == target.seq && content.fits(author, seq, known) {
            return self;
        }
        Self::Rejected { check: format!("message {seq} failed check {}", content.word()) }
    }

    /// What it is for a message that belongs to it.
    pub fn as_target(&self) -> TargetContent<'_> {
        match self {
            Self::Said(content) => TargetContent::Said(content),
            Self::Unreadable(_) | Self::Expired => TargetContent::Hidden,
            Self::Change(()) | Self::Rejected { .. } => TargetContent::Other,
        }
    }

    /// Encodes the content for a sealed column.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Change(()) => w.u8(0),
            Self::Said(content) => {
                let Plaintext { kind, body } = content.encode();
                w.u8(1).u8(kind).bytes(&body)
            }
            Self::Unreadable(cause) => w.u8(2).u8(cause.to_byte()),
            Self::Rejected { check } => w.u8(3).bytes(check.as_bytes()),
            Self::Expired => w.u8(4),
        };
        w.finish()
    }

    /// Reads what [`Self::encode`] writes.
    ///
    /// # Errors
    ///
    /// [`CeError`] if the bytes are something else; the replica is broken then.
    pub fn decode(bytes: &[u8]) -> Result<Self, CeError> {
        let mut r = Reader::new(bytes);
        let content = match r.u8()? {
            0 => Self::Change(()),
            1 => {
                let (kind, body) = (r.u8()?, r.bytes(ENTRY_LEN_MAX)?.to_vec());
                Self::opened(Plaintext { kind, body })
            }
            2 => {
                let value = r.u8()?;
                let cause = UnreadableCause::from_byte(value)
                    .ok_or(CeError::Unknown { what: "cause", value })?;
                Self::Unreadable(cause)
            }
            3 => Self::Rejected { check: r.text(FRAME_LEN_MAX, "check")?.to_owned() },
            4 => Self::Expired,
            value => return Err(CeError::Unknown { what: "content", value }),
        };
        r.finish()?;
        Ok(content)
    }
}

impl<S: AsRef<str>, C> fmt::Debug for EntryContent<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(content) => write!(f, "Said({content:?})"),
            Self::Change(_) => f.write_str("Change"),
            Self::Unreadable(cause) => write!(f, "Unreadable({cause:?})"),
            Self::Rejected { check } => write!(f, "Rejected({})", check.as_ref()),
            Self::Expired => f.write_str("Expired"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> StoredContent {
        StoredContent::Said(Content::Text(text.to_owned()))
    }

    #[test]
    fn content_is_read_back_as_it_was_written_and_not_otherwise() {
        let all = [
            StoredContent::Change(()),
            text("hello"),
            StoredContent::Said(Content::Unknown { kind: 200, body: vec![7] }),
            StoredContent::Unreadable(UnreadableCause::BeforeJoin),
            StoredContent::Unreadable(UnreadableCause::KeyAsked),
            StoredContent::Unreadable(UnreadableCause::KeyBad),
            StoredContent::Rejected { check: "signature".to_owned() },
            StoredContent::Expired,
        ];
        for content in all {
            let mut bytes = content.encode();
            assert_eq!(StoredContent::decode(&bytes), Ok(content));
            bytes.push(0);
            assert!(StoredContent::decode(&bytes).is_err());
        }
    }

    #[test]
    fn a_body_that_is_not_what_its_number_says_is_rejected_and_not_an_error_of_the_replica() {
        let stored = Writer::new().u8(1).u8(1).bytes(&[0xFF]).finish();
        let check = "the text is not UTF-8".to_owned();
        assert_eq!(StoredContent::decode(&stored), Ok(StoredContent::Rejected { check }));
    }

    #[test]
    fn texts_never_show_in_debug_output() {
        assert!(!format!("{:?}", text("canary")).contains("canary"));
    }
}
