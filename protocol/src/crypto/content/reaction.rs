//! An emoji on an earlier message, or taken from it again (CRYPTO B4).
//!
//! ```text
//! reaction = target u64 | target_hash[16] | is_removed u8 | emoji
//! ```
//!
//! A silent message: it rings nowhere and is not counted as unread. Of an author's reactions with one
//! emoji to one message, the last in the log counts; [`tally`] is the one place that counts them.

use super::Field;
use super::emoji::Emoji;
use crate::crypto::ce::{CeError, Reader, Writer};
use crate::id::{AccountId, Seq};
use crate::limits::EMOJI_LEN_MAX;

/// An emoji on an earlier message, or taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// The message.
    pub target: Seq,
    /// The first half of SHA-256 of that entry.
    pub target_hash: [u8; 16],
    /// The emoji.
    pub emoji: Emoji,
    /// Whether it is taken back.
    pub is_removed: bool,
}

/// Who reacted to one message with one emoji.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactionCount {
    /// The emoji.
    pub emoji: Emoji,
    /// Whose last word it is, in the order of the log; never empty.
    pub authors: Vec<AccountId>,
}

impl Reaction {
    /// Encodes the body of the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u64(self.target.0).fixed(&self.target_hash).u8(u8::from(self.is_removed));
        writer.bytes(self.emoji.as_str().as_bytes()).finish()
    }

    /// Reads what [`Self::encode`] writes.
    ///
    /// # Errors
    ///
    /// Any [`CeError`]; retrying never helps.
    pub fn decode(body: &[u8]) -> Result<Self, CeError> {
        let mut r = Reader::new(body);
        let (target, target_hash) = (Seq(r.u64()?), r.array()?);
        let is_removed = match r.u8()? {
            0 => false,
            1 => true,
            value => return Err(CeError::Unknown { what: "reaction", value }),
        };
        let text = r.text(EMOJI_LEN_MAX, "emoji")?;
        // There is one form of an emoji, so that equal ones are equal bytes.
        let emoji = Emoji::parse(text).ok().filter(|emoji| emoji.as_str() == text);
        let emoji = emoji.ok_or(CeError::Text("emoji"))?;
        r.finish()?;
        Ok(Self { target, target_hash, emoji, is_removed })
    }

    pub(super) fn fields(&self) -> Vec<(&'static str, Field<'_>)> {
        vec![
            ("target", Field::Number(self.target.0)),
            ("emoji", Field::Text(self.emoji.as_str())),
            ("removed", Field::Flag(self.is_removed)),
        ]
    }
}

/// Counts reactions to one message, given in the order of the log: of each author and emoji the last
/// word, emoji in the order in which they were first used.
pub fn tally<'a>(
    reactions: impl IntoIterator<Item = (AccountId, &'a Reaction)>,
) -> Vec<ReactionCount> {
    let mut counts: Vec<ReactionCount> = Vec::new();
    for (author, reaction) in reactions {
        let at = counts.iter().position(|count| count.emoji == reaction.emoji);
        let at = at.unwrap_or_else(|| {
            counts.push(ReactionCount { emoji: reaction.emoji.clone(), authors: Vec::new() });
            counts.len() - 1
        });
        let authors = &mut counts[at].authors;
        match authors.iter().position(|there| *there == author) {
            Some(there) if reaction.is_removed => {
                authors.remove(there);
            }
            None if !reaction.is_removed => authors.push(author),
            _ => {}
        }
    }
    counts.retain(|count| !count.authors.is_empty());
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: AccountId = AccountId([1; 32]);
    const BOB: AccountId = AccountId([2; 32]);

    fn reaction(emoji: &str, is_removed: bool) -> Reaction {
        let emoji = Emoji::parse(emoji).unwrap();
        Reaction { target: Seq(7), target_hash: [8; 16], emoji, is_removed }
    }

    #[test]
    fn a_reaction_comes_back_as_it_was_and_not_otherwise() {
        for is_removed in [false, true] {
            let mut bytes = reaction("👍🏽", is_removed).encode();
            assert_eq!(Reaction::decode(&bytes), Ok(reaction("👍🏽", is_removed)));
            bytes.push(0);
            assert!(Reaction::decode(&bytes).is_err());
        }
    }

    #[test]
    fn an_emoji_in_another_spelling_and_a_word_are_refused() {
        for text in ["❤", "👍👍", "ok", ""] {
            let mut w = Writer::new();
            let body = w.u64(7).fixed(&[8; 16]).u8(0).bytes(text.as_bytes()).finish();
            assert_eq!(Reaction::decode(&body), Err(CeError::Text("emoji")), "{text}");
        }
    }

    #[test]
    fn the_last_word_of_each_author_counts() {
        let said = [
            (ANN, reaction("👍", false)),
            (BOB, reaction("🎉", false)),
            (BOB, reaction("👍", false)),
            (ANN, reaction("👍", false)),
            (BOB, reaction("🎉", true)),
            (ANN, reaction("❤", true)),
        ];
        let counts = tally(said.iter().map(|(author, reaction)| (*author, reaction)));
        let found: Vec<_> = counts.iter().map(|c| (c.emoji.as_str(), &c.authors[..])).collect();
        assert_eq!(found, [("👍", &[ANN, BOB][..])]);
    }

    #[test]
    fn an_emoji_never_shows_in_debug_output() {
        assert!(!format!("{:?}", reaction("👍", false)).contains('👍'));
    }
}
