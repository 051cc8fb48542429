//! What is asked of an assistant, and what was shown to it with the question (CRYPTO B6).
//!
//! ```text
//! ask      = agent[32] | card[32] | opt(again u64) | left_out u32 | text | count | attached*
//! attached = seq u64 | author[32] | handle | time u64 | text
//! ```
//!
//! An ask is a message like any other: everybody in the room reads it, so everybody sees what was
//! shown. In an end-to-end room it also carries a slot for each device of the agent. The texts that
//! are attached come from the asker's own replica: that they are what others said is the asker's word.

use std::fmt;

use super::{Field, TextShape};
use crate::crypto::ce::{CeError, Reader, Writer};
use crate::crypto::plaintext::BODY_LEN_MAX;
use crate::id::{AccountId, Hash, Seq, TimeMs};
use crate::limits::{ASK_ATTACHED_MAX, HANDLE_LEN_MAX, MESSAGE_TEXT_LEN_MAX};

/// A question, with everything the agent is shown. `Debug` hides the texts.
#[derive(Clone, PartialEq, Eq)]
pub struct Ask<S = String> {
    /// The agent that is asked.
    pub agent: AccountId,
    /// Hash of the [`AgentCard`](crate::crypto::card::AgentCard) that the asker agreed to; zero if none was
    /// shown. The agent refuses what was asked for another card.
    pub card: Hash,
    /// The ask that this one repeats.
    pub again: Option<Seq>,
    /// How many messages the asker wanted to attach and could not, since the room for them was full.
    pub n_left_out: u32,
    /// The question, without the agent's name in front. Text from outside.
    pub text: S,
    /// What is shown with it, in the order of the log.
    pub attached: Vec<Attached<S>>,
}

/// A message that is shown to the agent with a question.
#[derive(Clone, PartialEq, Eq)]
pub struct Attached<S = String> {
    /// Its place in the room.
    pub seq: Seq,
    /// Who said it.
    pub author: AccountId,
    /// By which name. Text from outside.
    pub handle: S,
    /// When, by the server's clock.
    pub time: TimeMs,
    /// What. Text from outside.
    pub text: S,
}

impl<S: AsRef<str>> fmt::Debug for Ask<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n_bytes, n_attached) = (self.text.as_ref().len(), self.attached.len());
        write!(f, "Ask({n_bytes} bytes to {}, {n_attached} attached)", self.agent.short())
    }
}

impl<S: AsRef<str>> fmt::Debug for Attached<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attached({}, {} bytes)", self.seq, self.text.as_ref().len())
    }
}

impl<S> Ask<S> {
    /// The same question with texts of another type.
    pub fn map_text<T>(&self, map: &mut impl FnMut(TextShape, &S) -> T) -> Ask<T> {
        Ask {
            agent: self.agent,
            card: self.card,
            again: self.again,
            n_left_out: self.n_left_out,
            text: map(TextShape::Lines, &self.text),
            attached: self.attached.iter().map(|one| one.map_text(map)).collect(),
        }
    }
}

impl<S> Attached<S> {
    /// The same message with texts of another type.
    pub fn map_text<T>(&self, map: &mut impl FnMut(TextShape, &S) -> T) -> Attached<T> {
        Attached {
            seq: self.seq,
            author: self.author,
            handle: map(TextShape::Line, &self.handle),
            time: self.time,
            text: map(TextShape::Lines, &self.text),
        }
    }
}

impl Ask {
    /// Encodes the body of the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.encoded_len());
        writer.fixed(&self.agent.0).fixed(&self.card.0);
        writer.option(self.again, |w, seq| {
            w.u64(seq.0);
        });
        writer.u32(self.n_left_out).bytes(self.text.as_bytes()).count(self.attached.len());
        for one in &self.attached {
            writer.u64(one.seq.0).fixed(&one.author.0).bytes(one.handle.as_bytes());
            writer.u64(one.time.0).bytes(one.text.as_bytes());
        }
        writer.finish()
    }

    /// The bytes that [`Self::encode`] gives; what does not fit a message must be left out.
    pub fn encoded_len(&self) -> usize {
        let again = if self.again.is_some() { 9 } else { 1 };
        let attached: usize = self.attached.iter().map(Attached::encoded_len).sum();
        32 + 32 + again + 4 + 4 + self.text.len() + 4 + attached
    }

    /// Whether a message holds it.
    pub fn fits(&self) -> bool {
        self.text.len() <= MESSAGE_TEXT_LEN_MAX
            && self.attached.len() <= ASK_ATTACHED_MAX
            && self.encoded_len() <= BODY_LEN_MAX
    }

    pub(super) fn fields(&self) -> Vec<(&'static str, Field<'_>)> {
        let attached = self.attached.iter().map(|one| one.seq.0).collect();
        let again = self.again.map(|seq| ("again", Field::Number(seq.0)));
        let fields = [("text", Field::Text(&self.text)), ("attached", Field::Numbers(attached))];
        fields.into_iter().chain(again).collect()
    }

    /// Reads what [`Self::encode`] writes.
    ///
    /// # Errors
    ///
    /// Any [`CeError`]; retrying never helps.
    pub fn decode(body: &[u8]) -> Result<Self, CeError> {
        let mut r = Reader::new(body);
        let (agent, card) = (AccountId(r.array()?), Hash(r.array()?));
        let again = r.option(|r| r.u64().map(Seq))?;
        let n_left_out = r.u32()?;
        let text = r.text(MESSAGE_TEXT_LEN_MAX, "question")?.to_owned();
        let n_attached = r.count(ASK_ATTACHED_MAX)?;
        let mut attached = Vec::with_capacity(n_attached);
        for _ in 0..n_attached {
            let (seq, author) = (Seq(r.u64()?), AccountId(r.array()?));
            if attached.last().is_some_and(|last: &Attached| last.seq >= seq) {
                return Err(CeError::Unsorted("attached"));
            }
            let handle = r.text(HANDLE_LEN_MAX, "name")?.to_owned();
            let time = TimeMs(r.u64()?);
            let text = r.text(BODY_LEN_MAX, "attached text")?.to_owned();
            attached.push(Attached { seq, author, handle, time, text });
        }
        r.finish()?;
        Ok(Self { agent, card, again, n_left_out, text, attached })
    }
}

impl Attached {
    fn encoded_len(&self) -> usize {
        8 + 32 + 4 + self.handle.len() + 8 + 4 + self.text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(seq: u64, text: &str) -> Attached {
        let (author, handle) = (AccountId([2; 32]), "bob".to_owned());
        Attached { seq: Seq(seq), author, handle, time: TimeMs(9), text: text.to_owned() }
    }

    fn ask(attached: Vec<Attached>) -> Ask {
        let (agent, card, text) = (AccountId([1; 32]), Hash([3; 32]), "why?".to_owned());
        Ask { agent, card, again: Some(Seq(4)), n_left_out: 2, text, attached }
    }

    #[test]
    fn a_question_comes_back_with_what_was_shown_and_not_otherwise() {
        let ask = ask(vec![attached(5, "one"), attached(7, "two")]);
        let mut bytes = ask.encode();
        assert_eq!(bytes.len(), ask.encoded_len());
        assert_eq!(Ask::decode(&bytes), Ok(ask));
        bytes.push(0);
        assert!(Ask::decode(&bytes).is_err());
    }

    #[test]
    fn what_is_shown_stands_in_the_order_of_the_log_and_once() {
        for twisted in [vec![attached(7, "two"), attached(5, "one")], vec![attached(5, "a"); 2]] {
            let bytes = ask(twisted).encode();
            assert_eq!(Ask::decode(&bytes), Err(CeError::Unsorted("attached")));
        }
    }

    #[test]
    fn more_than_a_message_holds_does_not_fit() {
        assert!(ask(vec![attached(5, &"x".repeat(BODY_LEN_MAX / 2))]).fits());
        assert!(!ask(vec![attached(5, &"x".repeat(BODY_LEN_MAX))]).fits());
    }

    #[test]
    fn texts_never_show_in_debug_output() {
        let ask = ask(vec![attached(5, "canary")]);
        assert!(!format!("{ask:?} {:?}", ask.attached).contains("canary"));
    }
}
