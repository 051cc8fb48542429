//! How a message belongs to an earlier entry of its room: which one, in which way, and whether it
//! really does.
//!
//! Owns the rule that readers check when both entries are known. An index beside the log keeps
//! [`RelationKind`] by its byte, so kinds are only ever added.

use super::{ANSWER, Content, REACTION, STOP};
use crate::id::{AccountId, Seq};

/// That a message belongs to an earlier entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation {
    /// In which way.
    pub kind: RelationKind,
    /// The place of the earlier entry.
    pub target: Seq,
    /// The first half of SHA-256 of that entry, where the message names it.
    pub target_hash: Option<[u8; 16]>,
}

/// In which way a message belongs to an earlier entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RelationKind {
    /// It answers it.
    Answer,
    /// It takes it back, or stops its answer.
    Stop,
    /// It puts an emoji on it.
    Reaction,
}

/// What a reader knows of the entry that a message belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The first half of SHA-256 of its stored bytes.
    pub half: [u8; 16],
    /// What it is.
    pub content: TargetContent<'a>,
}

/// What the entry is that a message belongs to.
#[derive(Debug, Clone, Copy)]
pub enum TargetContent<'a> {
    /// A message that says this.
    Said(&'a Content),
    /// A message that cannot be read now: its key may come later, or it expired.
    Hidden,
    /// No message, or one that failed a check.
    Other,
}

impl RelationKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Answer, Self::Stop, Self::Reaction];

    /// The byte that stands for it in an index: the number of the content that makes it.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Answer => ANSWER,
            Self::Stop => STOP,
            Self::Reaction => REACTION,
        }
    }

    /// Reads what [`Self::to_byte`] writes; `None` for any other byte.
    pub fn from_byte(value: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.to_byte() == value)
    }
}

impl Content {
    /// Says whether this content, by `author` at `seq`, may belong to the entry it names.
    ///
    /// An answer must be the asked agent's, and stand behind the very question; a reaction belongs to
    /// what has a line of its own. What cannot be read now is given the benefit of the doubt: its key
    /// may come later.
    pub fn fits(&self, author: AccountId, seq: Seq, target: Target<'_>) -> bool {
        let Some(relation) = self.target() else { return true };
        let is_it = relation.target_hash.is_none_or(|half| half == target.half);
        let may_belong = match (relation.kind, target.content) {
            (RelationKind::Answer, TargetContent::Said(Self::Ask(ask))) => ask.agent == author,
            (RelationKind::Reaction, TargetContent::Said(target)) => !target.is_silent(),
            (RelationKind::Answer, TargetContent::Said(_))
            | (RelationKind::Answer | RelationKind::Reaction, TargetContent::Other) => false,
            (RelationKind::Answer | RelationKind::Reaction, TargetContent::Hidden)
            | (RelationKind::Stop, _) => true,
        };
        is_it && may_belong && relation.target < seq
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Emoji, Reaction};
    use super::*;

    #[test]
    fn a_reaction_belongs_to_the_very_message_it_names_and_to_one_that_is_shown() {
        let (author, half) = (AccountId([1; 32]), [8; 16]);
        let emoji = Emoji::parse("👍").unwrap();
        let reaction = Reaction { target: Seq(7), target_hash: half, emoji, is_removed: false };
        let reaction = Content::Reaction(reaction);
        let text = Content::Text("hello".to_owned());
        let fits = |seq, half, content| reaction.fits(author, Seq(seq), Target { half, content });
        assert!(fits(9, half, TargetContent::Said(&text)));
        assert!(fits(9, half, TargetContent::Hidden), "its key may come later");
        assert!(!fits(9, [9; 16], TargetContent::Said(&text)), "another entry");
        assert!(!fits(7, half, TargetContent::Hidden), "nothing belongs to what comes later");
        assert!(!fits(9, half, TargetContent::Said(&reaction)), "a reaction to a reaction");
        assert!(!fits(9, half, TargetContent::Other), "a change of the room");
    }

    #[test]
    fn a_kind_is_known_by_its_byte() {
        for kind in RelationKind::ALL {
            assert_eq!(RelationKind::from_byte(kind.to_byte()), Some(kind));
        }
        assert_eq!(RelationKind::from_byte(0), None);
    }
}
