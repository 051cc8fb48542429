//! Messages: everything that reaches the core from outside.

use crossterm::event::KeyEvent;
use mathia_protocol::client::{ClientEvent, CommandError, Done};

use super::effect::CommandTag;
use super::join::JoinAnswer;
use super::theme::Tone;

/// Something that happened.
#[derive(Debug)]
pub enum Msg {
    /// A key was pressed (never released).
    Key(KeyEvent),
    /// Text was pasted, all at once.
    Paste(String),
    /// The terminal has another size, in columns and rows.
    Resize(u16, u16),
    /// The terminal's window got the focus, or lost it.
    Focus(bool),
    /// The terminal says what background it has.
    Background(Tone),
    /// Time passed; sent when the model's next deadline is due.
    Tick,
    /// The client was suspended and is back.
    Resumed,
    /// The engine reports an event.
    Client(ClientEvent),
    /// The engine answered a command.
    Answer {
        /// What was asked.
        tag: CommandTag,
        /// The answer.
        result: Result<Done, CommandError>,
    },
    /// A command was not given to the engine: too many are waiting already.
    NotQueued {
        /// What was asked.
        tag: CommandTag,
    },
    /// The engine has ended: nothing comes from it any more.
    EngineEnded,
    /// An attempt to join ended.
    Joined(JoinAnswer),
    /// Somebody asks the program to end in good order (a signal).
    Terminate,
}
