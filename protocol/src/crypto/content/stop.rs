//! The end of a question: its asker takes it back, or stops the answer that comes (CRYPTO B6).
//!
//! ```text
//! stop = agent[32] | ask u64
//! ```
//!
//! A silent message, sealed to the agent as the question was. Only the asker's counts.

use super::Field;
use crate::crypto::ce::{CeError, Reader, Writer};
use crate::id::{AccountId, Seq};

/// The asker takes a question back, or stops its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// The agent.
    pub agent: AccountId,
    /// The ask.
    pub ask: Seq,
}

impl Stop {
    /// Encodes the body of the message.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new().fixed(&self.agent.0).u64(self.ask.0).finish()
    }

    /// Reads what [`Self::encode`] writes.
    ///
    /// # Errors
    ///
    /// Any [`CeError`]; retrying never helps.
    pub fn decode(body: &[u8]) -> Result<Self, CeError> {
        let mut r = Reader::new(body);
        let stop = Self { agent: AccountId(r.array()?), ask: Seq(r.u64()?) };
        r.finish()?;
        Ok(stop)
    }

    pub(super) fn fields(self) -> Vec<(&'static str, Field<'static>)> {
        vec![("ask", Field::Number(self.ask.0))]
    }
}
