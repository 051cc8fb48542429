//! What a room's timeline shows: entries as the engine verified them, cleaned for a terminal.

use mathia_protocol::client::{EntryContent, EntryView, UnreadableCause};
use mathia_protocol::crypto::content::{Content, ReactionCount};
use mathia_protocol::id::{AccountId, Seq, TimeMs};

use crate::safe_text::SafeText;

/// Names a thing in a timeline. The order is that of the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ItemKey {
    /// An entry, or a note that stands behind the entry at this place (0 is the entry itself).
    Placed(Seq, u32),
    /// Something of the own outbox.
    Pending(u64),
    /// The answer to the ask at this place, while it comes: what is said meanwhile stands in the
    /// log before it.
    Answering(Seq),
}

/// A verified entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, as the engine tells them")]
pub(crate) struct Entry {
    pub(crate) seq: Seq,
    pub(crate) time: TimeMs,
    pub(crate) author: AccountId,
    pub(crate) handle: SafeText,
    pub(crate) is_mine: bool,
    pub(crate) is_countable: bool,
    pub(crate) is_mention: bool,
    pub(crate) is_shown_to_agent: bool,
    pub(crate) content: EntryContent<SafeText>,
    /// Who reacted to it, as the engine counted.
    pub(crate) reactions: Vec<ReactionCount>,
}

impl Entry {
    /// Cleans what the engine tells.
    pub(crate) fn of(view: &EntryView) -> Self {
        Self {
            seq: view.seq,
            time: view.time,
            author: view.author,
            handle: SafeText::line(&view.handle),
            is_mine: view.is_mine,
            is_countable: view.is_countable,
            is_mention: view.is_mention,
            is_shown_to_agent: view.is_shown,
            content: clean(&view.content),
            reactions: view.reactions.clone(),
        }
    }

    /// Says whether somebody said this, readable or not, so that it stands under their name.
    pub(crate) fn is_said(&self) -> bool {
        let is_told =
            matches!(self.content, EntryContent::Change(_) | EntryContent::Rejected { .. });
        !is_told && !self.is_silent() && !self.is_before_join()
    }

    /// Says whether it shows nothing of its own.
    pub(crate) fn is_silent(&self) -> bool {
        self.content.is_silent()
    }

    /// Says whether this is one of the messages from before the account joined.
    pub(crate) fn is_before_join(&self) -> bool {
        self.content == EntryContent::Unreadable(UnreadableCause::BeforeJoin)
    }
}

/// What an entry is, with texts that may reach a terminal.
pub(crate) fn clean(content: &EntryContent) -> EntryContent<SafeText> {
    let mut clean = content.map_text(&mut |shape, text| SafeText::shaped(shape, text));
    if let EntryContent::Said(Content::Answer(answer)) = &mut clean {
        // Models like to end with empty lines.
        answer.text = answer.text.trim_end();
    }
    clean
}

/// A line this client adds for its own person only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// Behind which entry it stands, and which of the notes there it is.
    pub(crate) after: Seq,
    pub(crate) number: u32,
    pub(crate) time: TimeMs,
    pub(crate) text: SafeText,
    pub(crate) is_alarm: bool,
}

/// Something of the own outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Its number in this program.
    pub(crate) key: u64,
    /// Its number in the outbox, once it is durable there.
    pub(crate) local_id: Option<u64>,
    pub(crate) text: SafeText,
    /// Whether it is a question to the assistant.
    pub(crate) is_ask: bool,
    pub(crate) queued_at: TimeMs,
    pub(crate) state: PendingState,
}

/// How far something of the own outbox is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PendingState {
    /// Not yet written to the wire.
    Queued,
    /// Written to the wire, no answer yet.
    Sent,
    /// Refused; kept here with the cause.
    Failed(SafeText),
}
