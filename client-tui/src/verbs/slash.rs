//! Slash commands: what the composer's text means.
//!
//! A word of the table after a slash, and what follows it. An unknown word is an error and is never
//! sent; two slashes stand for a literal one.

use std::time::Duration;

use mathia_protocol::name::{Handle, RoomName};

use super::{OnScreen, RoleArg, SlashSpec, VERBS};
use crate::nearest::nearest;

/// What was written in the composer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComposerInput {
    /// A message.
    Message(String),
    /// A command.
    Command(SlashCommand),
}

/// A slash command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlashCommand {
    /// Shows the keys and the commands.
    Help,
    /// Joins an open room, or goes to a room of the own; without a name, lists the open rooms.
    Join(Option<RoomName>),
    /// Makes a room.
    Create {
        /// Its name.
        name: RoomName,
        /// Whether everyone may join and the server can read it.
        is_open: bool,
    },
    /// Goes to the direct room with a person, and sends a message there if one is given.
    Direct {
        /// With whom.
        person: Handle,
        /// The message.
        text: Option<String>,
    },
    /// Makes an invite link.
    Invite {
        /// How many may use it.
        uses: u32,
        /// How long it is valid.
        lifetime: Duration,
    },
    /// Shows the safety number with a person.
    Safety(Handle),
    /// Shows the safety number and asks whether it was compared.
    Verify(Handle),
    /// Asks the room's assistant.
    Ask(String),
    /// Lists what waits to be sent.
    Outbox,
    /// Sends what was refused again.
    Retry,
    /// Marks every room as read.
    ReadAll,
    /// Lists the own devices.
    Devices,
    /// Shows the state of the connection.
    Connection,
    /// Quits.
    Quit,
    /// Does something in the current room.
    InRoom(RoomCommand),
}

/// A slash command that needs a current room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomCommand {
    /// Leaves the room.
    Leave,
    /// Adds people.
    Add(Vec<Handle>),
    /// Removes a person.
    Remove(Handle),
    /// Gives the room another name.
    Rename(RoomName),
    /// Gives the room another topic.
    Topic(String),
    /// Begins a new epoch.
    Rotate,
    /// Explains who can read the room and shows the room code.
    Lock,
    /// Lists who is in the room, or explains its assistant.
    Members(Option<Handle>),
    /// Stops the answer to the own newest question.
    Stop,
    /// Asks the own newest question again.
    Again,
    /// Changes a member's role.
    Role {
        /// Whose.
        person: Handle,
        /// To what.
        role: RoleArg,
    },
    /// Changes a setting.
    Set {
        /// Which.
        key: String,
        /// To what.
        value: String,
    },
    /// Marks the room as read.
    Read,
}

/// Why a line is neither a message nor a command. The text stays in the composer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlashError {
    /// There is no such command.
    #[error("/{word} is no command{}; // says it literally", suggestion(.like.as_deref()))]
    Unknown {
        /// What was written.
        word: String,
        /// The most similar command.
        like: Option<String>,
    },
    /// An argument is missing.
    #[error("{0}")]
    Usage(&'static str),
    /// An argument is malformed.
    #[error("{0}")]
    Invalid(String),
    /// A space before the slash: a command by mistake, or meant literally?
    #[error("a space before the slash: remove it to command, or begin with // to say it")]
    Space,
}

fn suggestion(like: Option<&str>) -> String {
    like.map(|like| format!(", /{like} is")).unwrap_or_default()
}

/// All slash commands, in the order of the table.
pub fn slashes() -> impl Iterator<Item = &'static SlashSpec> {
    VERBS.iter().filter_map(|verb| match &verb.screen {
        OnScreen::Slash(slash) => Some(slash),
        OnScreen::Key(_) | OnScreen::Shown(_) | OnScreen::Absent(_) => None,
    })
}

/// The commands whose word begins with `prefix`.
pub fn beginning_with(prefix: &str) -> impl Iterator<Item = &'static SlashSpec> + '_ {
    slashes().filter(move |slash| slash.word.starts_with(prefix))
}

/// The command that a word after a slash stands for.
pub(crate) fn named(word: &str) -> Option<&'static SlashSpec> {
    slashes().find(|slash| slash.word == word || slash.aliases.contains(&word))
}

/// Understands what was written.
///
/// # Errors
///
/// [`SlashError`] for anything that looks like a command and is none; retrying never helps.
pub fn parse(text: &str) -> Result<ComposerInput, SlashError> {
    if let Some(literal) = text.strip_prefix("//") {
        return Ok(ComposerInput::Message(format!("/{literal}")));
    }
    let Some(line) = text.strip_prefix('/') else {
        let is_mistake = text.starts_with(' ') && text.trim_start().starts_with('/');
        return if is_mistake {
            Err(SlashError::Space)
        } else {
            Ok(ComposerInput::Message(text.to_owned()))
        };
    };
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (slash, rest) = (named(word).ok_or_else(|| unknown(word))?, rest.trim());
    if slash.takes.is_empty() && !rest.is_empty() {
        return Err(SlashError::Invalid(format!("/{} takes nothing behind it", slash.word)));
    }
    (slash.parse)(rest).map(ComposerInput::Command)
}

fn unknown(word: &str) -> SlashError {
    let like = nearest(word, slashes().map(|slash| slash.word)).map(str::to_owned);
    SlashError::Unknown { word: word.to_owned(), like }
}

/// The only argument, a person; `usage` is the error without one.
pub(super) fn one_person(rest: &str, usage: &'static str) -> Result<Handle, SlashError> {
    if rest.is_empty() { Err(SlashError::Usage(usage)) } else { handle(rest) }
}

/// A person's name, with or without `@`.
pub(super) fn handle(text: &str) -> Result<Handle, SlashError> {
    let name = text.strip_prefix('@').unwrap_or(text);
    name.parse().map_err(|error| SlashError::Invalid(format!("'{text}' is no name: {error}")))
}

/// A room's name.
pub(super) fn room_name(text: &str) -> Result<RoomName, SlashError> {
    text.parse().map_err(|error| SlashError::Invalid(format!("{error}")))
}
