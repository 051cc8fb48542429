//! Questions to an assistant and what becomes of them, cleaned for a terminal.

use mathia_protocol::client::StreamView;
use mathia_protocol::crypto::content::Attached;
use mathia_protocol::id::{AccountId, Seq, TimeMs};

use crate::safe_text::SafeText;

/// An answer on its way: what has come so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamingAnswer {
    pub(crate) ask: Seq,
    pub(crate) agent: AccountId,
    pub(crate) handle: SafeText,
    pub(crate) text: SafeText,
    pub(crate) has_gap: bool,
    /// When the first of it came.
    pub(crate) since: TimeMs,
}

/// A message that is shown to an assistant, cleaned.
pub(crate) fn shown(attached: &Attached) -> Attached<SafeText> {
    attached.map_text(&mut |shape, text| SafeText::shaped(shape, text))
}

impl StreamingAnswer {
    /// Cleans what the engine reported.
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
    /// The asker stopped it, and its end was not reported yet.
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
