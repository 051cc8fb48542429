//! Effects: everything the core cannot do itself and the shell does for it.

use mathia_protocol::client::Command;
use mathia_protocol::id::{RoomId, Seq};
use mathia_protocol::name::{Handle, RoomName};

use super::join::JoinAsk;

/// Bytes of text that terminals take into the clipboard; more is silently dropped by some.
pub(crate) const CLIPBOARD_LEN_MAX: usize = 74_000;

/// Something to do, in the order it was returned.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Give a command to the engine; its answer comes back with `ask`.
    Command {
        /// What is asked, to know the answer by.
        tag: CommandTag,
        /// The command.
        command: Command,
    },
    /// Try to make an account.
    Join(JoinAsk),
    /// Keep what is being written in a room; an empty text forgets it.
    SaveDraft {
        /// Where.
        room: RoomId,
        /// What.
        text: String,
    },
    /// Ring the terminal's bell.
    Bell,
    /// Show this as the terminal's title.
    Title(String),
    /// Put this into the clipboard; never more than terminals take.
    Copy(String),
    /// Draw every cell again.
    Redraw,
    /// Give the terminal back until the person continues the program.
    Suspend,
    /// End.
    Quit,
}

impl Effect {
    /// A command of which only a failure is shown.
    pub(crate) fn silent(command: Command) -> Self {
        Self::reporting(command, "")
    }

    /// A command whose success is reported with a sentence.
    pub(crate) fn reporting(command: Command, success: &str) -> Self {
        Self::Command { tag: CommandTag::Plain(success.to_owned()), command }
    }
}

/// What was asked of the engine: all that is needed to understand the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandTag {
    /// The rooms.
    Rooms,
    /// The people.
    People,
    /// A page of a room.
    Timeline {
        /// Which room.
        room: RoomId,
        /// Entries before this place.
        before: Seq,
    },
    /// To say something.
    Send {
        /// Where.
        room: RoomId,
        /// The number of the text on this screen.
        key: u64,
    },
    /// To take a queued text back.
    Withdraw {
        /// Where.
        room: RoomId,
        /// The number of the text on this screen.
        key: u64,
        /// What is done with it.
        then: AfterWithdraw,
    },
    /// What would leave with a question: for the envelope of this number.
    Envelope {
        /// The envelope.
        number: u64,
    },
    /// To ask what an envelope shows.
    Question {
        /// The envelope.
        number: u64,
    },
    /// To stop an answer.
    Stop {
        /// Where.
        room: RoomId,
        /// The ask it answers.
        ask: Seq,
    },
    /// To move the read mark.
    Mark(RoomId),
    /// To go to a room that is found, made or joined, and say something there.
    Go {
        /// What to say on arrival.
        say: Option<String>,
    },
    /// The open rooms: all to choose from, or one to join.
    Lobby {
        /// The one to join.
        wanted: Option<RoomName>,
    },
    /// An invite link.
    Invite,
    /// The own devices.
    Devices,
    /// A safety number.
    Safety {
        /// With whom.
        person: Handle,
        /// Whether to ask if it was compared.
        asks: bool,
    },
    /// Anything else; its success is reported with this sentence, or not at all if it is empty.
    Plain(String),
}

/// What is done with a text that was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterWithdraw {
    /// It is dropped.
    Drop,
    /// It goes back into the composer.
    Edit,
    /// It is sent again.
    Resend,
}
