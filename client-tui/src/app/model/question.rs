//! Questions to an assistant and what becomes of them, cleaned for a terminal.

use mathia_protocol::client::StreamView;
use mathia_protocol::crypto::answer::{Answer, Outcome, Usage};
use mathia_protocol::crypto::ask::{Ask, Attached};
use mathia_protocol::id::{AccountId, Seq, TimeMs};

use crate::safe_text::SafeText;

/// A question to an assistant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) agent: AccountId,
    pub(crate) text: SafeText,
    /// What was shown with it; `None` until the entry itself is told.
    pub(crate) attached: Option<Vec<Shown>>,
    /// How many more were wanted and did not fit.
    pub(crate) n_left_out: u32,
}

/// A message that is shown to an assistant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) seq: Seq,
    pub(crate) handle: SafeText,
    pub(crate) time: TimeMs,
    pub(crate) text: SafeText,
}

/// What an assistant answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) ask: Seq,
    pub(crate) outcome: Outcome,
    pub(crate) cause: SafeText,
    pub(crate) text: SafeText,
    pub(crate) provider: SafeText,
    pub(crate) model: SafeText,
    pub(crate) usage: Option<Usage>,
}

/// An answer on its way: what has come so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answering {
    pub(crate) ask: Seq,
    pub(crate) agent: AccountId,
    pub(crate) handle: SafeText,
    pub(crate) text: SafeText,
    pub(crate) has_gap: bool,
    /// When the first of it came.
    pub(crate) since: TimeMs,
}

impl Asked {
    /// Cleans what the engine tells.
    pub(crate) fn of(ask: &Ask) -> Self {
        Self {
            agent: ask.agent,
            text: SafeText::clean(&ask.text),
            attached: Some(ask.attached.iter().map(Shown::of).collect()),
            n_left_out: ask.n_left_out,
        }
    }

    /// How many messages were shown, as far as that is known.
    pub(crate) fn n_attached(&self) -> usize {
        self.attached.as_ref().map_or(0, Vec::len)
    }
}

impl Shown {
    /// Cleans what the engine tells.
    pub(crate) fn of(attached: &Attached) -> Self {
        Self {
            seq: attached.seq,
            handle: SafeText::line(&attached.handle),
            time: attached.time,
            text: SafeText::clean(&attached.text),
        }
    }
}

impl Answered {
    /// Cleans what the engine tells.
    pub(crate) fn of(answer: &Answer) -> Self {
        Self {
            ask: answer.ask,
            outcome: answer.outcome,
            cause: SafeText::line(&answer.cause),
            text: SafeText::clean(answer.text.trim_end()),
            provider: SafeText::line(&answer.provider),
            model: SafeText::line(&answer.model),
            usage: answer.usage,
        }
    }
}

impl Answering {
    /// Cleans what the engine tells.
    pub(crate) fn of(view: &StreamView, since: TimeMs) -> Self {
        Self {
            ask: view.ask,
            agent: view.agent,
            handle: SafeText::line(&view.handle),
            text: SafeText::clean(&view.text),
            has_gap: view.has_gap,
            since,
        }
    }
}

/// What has become of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The answer is there.
    Answered,
    /// Who asked does not want it any more, and its end was not told yet.
    Stopped,
    /// The answer comes in.
    Coming,
    /// The assistant has not begun.
    Waiting,
    /// The assistant is not here.
    Away,
    /// The assistant was taken out of the room.
    Left,
}
