//! The answer of an assistant: one entry for each ask, whatever became of it (CRYPTO B6).
//!
//! ```text
//! answer = ask u64 | ask_hash[16] | outcome u8 | cause | text | provider | model | opt(usage)
//! usage  = prompt u32 | completion u32 | total u32 | is_estimated u8
//! ```

use std::fmt;

use super::{Field, TextShape};
use crate::crypto::ce::{CeError, Reader, Writer};
use crate::id::Seq;
use crate::limits::{ANSWER_TEXT_LEN_MAX, CARD_TEXT_LEN_MAX, CAUSE_LEN_MAX};

/// What an assistant answered. `Debug` hides the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer<S = String> {
    /// The ask that is answered.
    pub ask: Seq,
    /// The first half of SHA-256 of that entry.
    pub ask_hash: [u8; 16],
    /// How it ended.
    pub outcome: Outcome,
    /// For people: why it was refused or interrupted; empty when complete. Text from outside.
    pub cause: S,
    /// What was answered, at most [`ANSWER_TEXT_LEN_MAX`] bytes; all that arrived if it broke off.
    /// Text from outside.
    pub text: S,
    /// Host of the model, or the name of a built-in. Text from outside.
    pub provider: S,
    /// The model, as the provider calls it. Text from outside.
    pub model: S,
    /// What it took; `None` if nothing was asked of a model.
    pub usage: Option<Usage>,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is here.
    Complete,
    /// The limit of its length was reached.
    CutOff,
    /// The provider's filter ended it.
    Filtered,
    /// The asker stopped it.
    Stopped,
    /// It broke off; what had arrived is kept.
    Interrupted,
    /// Nothing was answered: the provider failed, or the assistant refuses.
    Refused,
}

/// Tokens that an answer took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the question with all that was shown.
    pub prompt: u32,
    /// Tokens of the answer.
    pub completion: u32,
    /// Tokens in all, as the provider counts.
    pub total: u32,
    /// Whether the assistant estimated them, since the provider told none.
    pub is_estimated: bool,
}

impl Outcome {
    /// All outcomes, by number.
    pub const ALL: [Self; 6] = [
        Self::Complete,
        Self::CutOff,
        Self::Filtered,
        Self::Stopped,
        Self::Interrupted,
        Self::Refused,
    ];

    fn to_byte(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::CutOff => 1,
            Self::Filtered => 2,
            Self::Stopped => 3,
            Self::Interrupted => 4,
            Self::Refused => 5,
        }
    }

    /// The word for it in data.
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::CutOff => "cut_off",
            Self::Filtered => "filtered",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
            Self::Refused => "refused",
        }
    }
}

impl<S: AsRef<str>> fmt::Debug for Answer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_bytes = self.text.as_ref().len();
        write!(f, "Answer(to {}, {:?}, {n_bytes} bytes)", self.ask, self.outcome)
    }
}

impl<S> Answer<S> {
    /// The same answer with texts of another type.
    pub fn map_text<T>(&self, map: &mut impl FnMut(TextShape, &S) -> T) -> Answer<T> {
        Answer {
            ask: self.ask,
            ask_hash: self.ask_hash,
            outcome: self.outcome,
            cause: map(TextShape::Line, &self.cause),
            text: map(TextShape::Lines, &self.text),
            provider: map(TextShape::Line, &self.provider),
            model: map(TextShape::Line, &self.model),
            usage: self.usage,
        }
    }
}

impl Answer {
    /// Encodes the body of the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.text.len() + self.cause.len() + 256);
        writer.u64(self.ask.0).fixed(&self.ask_hash).u8(self.outcome.to_byte());
        writer.bytes(self.cause.as_bytes()).bytes(self.text.as_bytes());
        writer.bytes(self.provider.as_bytes()).bytes(self.model.as_bytes());
        writer.option(self.usage, |w, usage| {
            w.u32(usage.prompt).u32(usage.completion).u32(usage.total);
            w.u8(u8::from(usage.is_estimated));
        });
        writer.finish()
    }

    /// The fields of a line of data.
    pub fn fields(&self) -> Vec<(&'static str, Field<'_>)> {
        let mut fields = vec![
            ("ask", Field::Number(self.ask.0)),
            ("text", Field::Text(&self.text)),
            ("outcome", Field::Text(self.outcome.word())),
        ];
        if !self.cause.is_empty() {
            fields.push(("cause", Field::Text(&self.cause)));
        }
        fields.push(("provider", Field::Text(&self.provider)));
        fields.push(("model", Field::Text(&self.model)));
        if let Some(usage) = &self.usage {
            fields.push(("prompt_tokens", Field::Number(usage.prompt.into())));
            fields.push(("completion_tokens", Field::Number(usage.completion.into())));
            fields.push(("total_tokens", Field::Number(usage.total.into())));
            fields.push(("estimated", Field::Flag(usage.is_estimated)));
        }
        fields
    }

    /// Reads what [`Self::encode`] writes.
    ///
    /// # Errors
    ///
    /// Any [`CeError`]; retrying never helps.
    pub fn decode(body: &[u8]) -> Result<Self, CeError> {
        let mut r = Reader::new(body);
        let (ask, ask_hash) = (Seq(r.u64()?), r.array()?);
        let value = r.u8()?;
        let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.to_byte() == value);
        let outcome = outcome.ok_or(CeError::Unknown { what: "outcome", value })?;
        let cause = r.text(CAUSE_LEN_MAX, "cause")?.to_owned();
        let text = r.text(ANSWER_TEXT_LEN_MAX, "answer")?.to_owned();
        let provider = r.text(CARD_TEXT_LEN_MAX, "provider")?.to_owned();
        let model = r.text(CARD_TEXT_LEN_MAX, "model")?.to_owned();
        let usage = r.option(|r| {
            let (prompt, completion, total) = (r.u32()?, r.u32()?, r.u32()?);
            let is_estimated = match r.u8()? {
                0 => false,
                1 => true,
                value => return Err(CeError::Unknown { what: "estimate", value }),
            };
            Ok(Usage { prompt, completion, total, is_estimated })
        })?;
        r.finish()?;
        Ok(Self { ask, ask_hash, outcome, cause, text, provider, model, usage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(outcome: Outcome) -> Answer {
        let usage = Usage { prompt: 1, completion: 2, total: 3, is_estimated: true };
        Answer {
            ask: Seq(7),
            ask_hash: [8; 16],
            outcome,
            cause: "because".to_owned(),
            text: "canary".to_owned(),
            provider: "api.example.org".to_owned(),
            model: "small-4".to_owned(),
            usage: Some(usage),
        }
    }

    #[test]
    fn an_answer_comes_back_with_its_outcome_and_not_otherwise() {
        for outcome in Outcome::ALL {
            let mut bytes = answer(outcome).encode();
            assert_eq!(Answer::decode(&bytes), Ok(answer(outcome)));
            bytes.push(0);
            assert!(Answer::decode(&bytes).is_err());
        }
    }

    #[test]
    fn a_longer_answer_than_a_message_holds_is_refused() {
        let text = "x".repeat(ANSWER_TEXT_LEN_MAX);
        let full = Answer {
            text,
            cause: "y".repeat(CAUSE_LEN_MAX),
            provider: "p".repeat(CARD_TEXT_LEN_MAX),
            model: "m".repeat(CARD_TEXT_LEN_MAX),
            ..answer(Outcome::CutOff)
        };
        assert!(full.encode().len() <= crate::crypto::plaintext::BODY_LEN_MAX);
        let longer = Answer { text: format!("{}x", full.text), ..full };
        assert!(Answer::decode(&longer.encode()).is_err());
    }

    #[test]
    fn texts_never_show_in_debug_output() {
        assert!(!format!("{:?}", answer(Outcome::Complete)).contains("canary"));
    }
}
