//! Commands written in the composer: a word after a slash, and what follows it.
//!
//! Owns the parser and the list that help and completion show. An unknown command is an error and
//! is never sent; two slashes say a literal one.

use std::time::Duration;

use mathia_protocol::crypto::content::Emoji;
use mathia_protocol::name::{Handle, RoomName};

use crate::emoji;
use crate::nearest::nearest;

/// What was written, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// Something to say.
    Say(String),
    /// Something to do.
    Do(Slash),
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slash {
    /// Lists the commands.
    Help,
    /// Joins an open room, or goes to a room one is in; without a name, lists the open rooms.
    Join(Option<RoomName>),
    /// Makes a room.
    Create {
        /// Its name.
        name: RoomName,
        /// Whether everyone may join and the server can read it.
        is_open: bool,
    },
    /// Leaves this room.
    Leave,
    /// Goes to the direct room with a person, and says something there if told.
    Direct {
        /// With whom.
        person: Handle,
        /// What to say.
        text: Option<String>,
    },
    /// Makes an invite link.
    Invite {
        /// How many may use it.
        uses: u32,
        /// How long it lives.
        lifetime: Duration,
    },
    /// Adds people to this room.
    Add(Vec<Handle>),
    /// Removes a person from this room.
    Remove(Handle),
    /// Gives this room another name.
    Rename(RoomName),
    /// Gives this room another topic.
    Topic(String),
    /// Begins a new epoch.
    Rotate,
    /// Explains the lock and shows the room code.
    Lock,
    /// Shows the safety number with a person.
    Safety(Handle),
    /// Shows the safety number and asks whether it was compared.
    Verify(Handle),
    /// Lists who is in this room, or tells about the assistant.
    Who(Option<Handle>),
    /// Asks the room's assistant.
    Ask(String),
    /// Puts an emoji on the newest message; without one, lets it be chosen.
    React(Option<Emoji>),
    /// Stops the answer to the own newest question.
    Stop,
    /// Asks the own newest question again.
    Again,
    /// Lists what waits to be sent.
    Outbox,
    /// Sends what was refused again.
    Retry,
    /// Changes a member's role.
    Role {
        /// Whose.
        person: Handle,
        /// To what.
        role: String,
    },
    /// Changes a setting of this room.
    Set {
        /// Which.
        key: String,
        /// To what.
        value: String,
    },
    /// Marks this room as read, or all of them.
    Read {
        /// All of them.
        is_all: bool,
    },
    /// Lists the own devices.
    Devices,
    /// Says how the connection stands.
    Net,
    /// Quits.
    Quit,
}

/// Why a line is neither said nor done. The text stays in the composer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlashError {
    /// There is no such command.
    #[error("/{word} is no command{}; // says it literally", meant(.like.as_deref()))]
    Unknown {
        /// What was written.
        word: String,
        /// The most similar command.
        like: Option<String>,
    },
    /// The command needs something else behind it.
    #[error("{0}")]
    Usage(&'static str),
    /// What stands behind the command is not what it takes.
    #[error("{0}")]
    Invalid(String),
    /// A space before the slash: a command by mistake, or meant literally?
    #[error("a space before the slash: remove it to command, or begin with // to say it")]
    Space,
}

fn meant(like: Option<&str>) -> String {
    like.map(|like| format!(", /{like} is")).unwrap_or_default()
}

/// A command as help and completion show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The word after the slash.
    pub word: &'static str,
    /// What may follow.
    pub takes: &'static str,
    /// What it does.
    pub does: &'static str,
}

macro_rules! entries {
    ($($word:literal, $takes:literal, $does:literal;)*) => {
        &[$(Entry { word: $word, takes: $takes, does: $does },)*]
    };
}

/// All commands, in the order help shows them.
pub const ENTRIES: &[Entry] = entries! {
    "help", "", "keys and commands";
    "join", "[ROOM]", "join an open room, or list them";
    "create", "NAME [open]", "make a room, sealed unless open";
    "dm", "NAME [TEXT]", "talk to one person";
    "leave", "", "leave this room";
    "ai", "TEXT", "ask the assistant, as @mathia TEXT does";
    "react", "[EMOJI]", "an emoji on the newest message";
    "stop", "", "stop the answer to your question";
    "again", "", "ask your last question again";
    "who", "[NAME]", "who is in this room, and who runs it";
    "add", "NAME..", "add people to this room";
    "remove", "NAME", "remove a person from this room";
    "role", "NAME ROLE", "admin, moderator, member, guest";
    "rename", "NAME", "give this room another name";
    "topic", "TEXT", "say what this room is about";
    "set", "KEY VALUE", "history, who_adds, retention_days";
    "invite", "[USES] [7d]", "make an invite link";
    "lock", "", "who can read here, and the room code";
    "code", "", "the room code, to compare with others";
    "rotate", "", "give this room a new key";
    "safety", "NAME", "the safety number with a person";
    "verify", "NAME", "compare it and remember that you did";
    "devices", "", "your own devices";
    "read", "[all]", "mark this room, or all, as read";
    "outbox", "", "what waits to be sent";
    "retry", "", "send again what was refused";
    "net", "", "how the connection stands";
    "quit", "", "quit";
};

/// Other words for the same commands.
const ALIASES: &[(&str, &str)] =
    &[("part", "leave"), ("msg", "dm"), ("kick", "remove"), ("keys", "help"), ("exit", "quit")];

/// The commands whose word begins with `prefix`.
pub fn beginning_with(prefix: &str) -> impl Iterator<Item = &'static Entry> + '_ {
    ENTRIES.iter().filter(move |entry| entry.word.starts_with(prefix))
}

/// Understands what was written.
///
/// # Errors
///
/// [`SlashError`] for anything that looks like a command and is none; retrying never helps.
pub fn parse(text: &str) -> Result<Written, SlashError> {
    if let Some(literal) = text.strip_prefix("//") {
        return Ok(Written::Say(format!("/{literal}")));
    }
    let Some(line) = text.strip_prefix('/') else {
        let is_mistake = text.starts_with(' ') && text.trim_start().starts_with('/');
        return if is_mistake { Err(SlashError::Space) } else { Ok(Written::Say(text.to_owned())) };
    };
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let canonical = ALIASES.iter().find(|(alias, _)| *alias == word).map_or(word, |(_, to)| to);
    command(canonical, rest.trim()).map(Written::Do)
}

fn command(word: &str, rest: &str) -> Result<Slash, SlashError> {
    let nothing_behind = |slash: Slash| {
        if rest.is_empty() {
            Ok(slash)
        } else {
            Err(SlashError::Invalid(format!("/{word} takes nothing behind it")))
        }
    };
    match word {
        "help" => nothing_behind(Slash::Help),
        "leave" => nothing_behind(Slash::Leave),
        "rotate" => nothing_behind(Slash::Rotate),
        "lock" | "code" => nothing_behind(Slash::Lock),
        "who" if rest.is_empty() => Ok(Slash::Who(None)),
        "who" => Ok(Slash::Who(Some(handle(rest)?))),
        "ai" if rest.is_empty() => Err(SlashError::Usage("ask what? /ai TEXT")),
        "ai" => Ok(Slash::Ask(rest.to_owned())),
        "react" if rest.is_empty() => Ok(Slash::React(None)),
        "react" => match emoji::find(rest) {
            Some(emoji) => Ok(Slash::React(Some(emoji))),
            None => {
                Err(SlashError::Invalid(format!("'{rest}' is not one emoji; /react chooses one")))
            }
        },
        "stop" => nothing_behind(Slash::Stop),
        "again" => nothing_behind(Slash::Again),
        "outbox" => nothing_behind(Slash::Outbox),
        "retry" => nothing_behind(Slash::Retry),
        "devices" => nothing_behind(Slash::Devices),
        "net" => nothing_behind(Slash::Net),
        "quit" => nothing_behind(Slash::Quit),
        "read" if rest == "all" => Ok(Slash::Read { is_all: true }),
        "read" if rest.is_empty() => Ok(Slash::Read { is_all: false }),
        "read" => Err(SlashError::Usage("this room, or all of them? /read [all]")),
        "join" if rest.is_empty() => Ok(Slash::Join(None)),
        "join" => Ok(Slash::Join(Some(room_name(rest)?))),
        "create" => create(rest),
        "dm" => direct(rest),
        "invite" => invite(rest),
        "add" if rest.is_empty() => Err(SlashError::Usage("whom? /add NAME..")),
        "add" => rest.split_whitespace().map(handle).collect::<Result<_, _>>().map(Slash::Add),
        "remove" => one_person(rest, "whom? /remove NAME").map(Slash::Remove),
        "safety" => one_person(rest, "with whom? /safety NAME").map(Slash::Safety),
        "verify" => one_person(rest, "whom? /verify NAME").map(Slash::Verify),
        "rename" if rest.is_empty() => Err(SlashError::Usage("to what? /rename NAME")),
        "rename" => Ok(Slash::Rename(room_name(rest)?)),
        "topic" => Ok(Slash::Topic(rest.to_owned())),
        "role" => role(rest),
        "set" => set(rest),
        _ => Err(unknown(word)),
    }
}

fn create(rest: &str) -> Result<Slash, SlashError> {
    let (name, is_open) = match rest.rsplit_once(' ') {
        Some((name, "open" | "--open")) => (name, true),
        _ => (rest, false),
    };
    if name.is_empty() {
        return Err(SlashError::Usage("which name? /create NAME [open]"));
    }
    Ok(Slash::Create { name: room_name(name)?, is_open })
}

fn direct(rest: &str) -> Result<Slash, SlashError> {
    let (person, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if person.is_empty() {
        return Err(SlashError::Usage("to whom? /dm NAME [TEXT]"));
    }
    let text = Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(Slash::Direct { person: handle(person)?, text })
}

fn invite(rest: &str) -> Result<Slash, SlashError> {
    let (mut uses, mut lifetime) = (1, Duration::from_hours(7 * 24));
    for word in rest.split_whitespace() {
        if let Ok(number) = word.parse() {
            uses = number;
        } else {
            let bad = || SlashError::Invalid(format!("'{word}' is no time; write 30m, 12h or 7d"));
            lifetime = duration(word).ok_or_else(bad)?;
        }
    }
    if uses == 0 {
        return Err(SlashError::Usage("an invite is for one person or more: /invite [USES] [7d]"));
    }
    Ok(Slash::Invite { uses, lifetime })
}

/// Reads `30m`, `12h`, `7d`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    number.checked_mul(seconds).filter(|total| *total > 0).map(Duration::from_secs)
}

fn role(rest: &str) -> Result<Slash, SlashError> {
    let usage = SlashError::Usage("which role? /role NAME admin|moderator|member|guest|owner");
    let Some((person, role)) = rest.split_once(char::is_whitespace) else { return Err(usage) };
    let role = role.trim();
    if !["owner", "admin", "moderator", "member", "guest"].contains(&role) {
        return Err(usage);
    }
    Ok(Slash::Role { person: handle(person)?, role: role.to_owned() })
}

fn set(rest: &str) -> Result<Slash, SlashError> {
    match rest.split_once(char::is_whitespace) {
        Some((key, value)) => {
            Ok(Slash::Set { key: key.to_owned(), value: value.trim().to_owned() })
        }
        None => Err(SlashError::Usage(
            "/set history since_join|all, who_adds admin|any, retention_days 0..3650",
        )),
    }
}

fn one_person(rest: &str, usage: &'static str) -> Result<Handle, SlashError> {
    if rest.is_empty() { Err(SlashError::Usage(usage)) } else { handle(rest) }
}

fn handle(text: &str) -> Result<Handle, SlashError> {
    let name = text.strip_prefix('@').unwrap_or(text);
    name.parse().map_err(|error| SlashError::Invalid(format!("'{text}' is no name: {error}")))
}

fn room_name(text: &str) -> Result<RoomName, SlashError> {
    text.parse().map_err(|error| SlashError::Invalid(format!("{error}")))
}

fn unknown(word: &str) -> SlashError {
    let like = nearest(word, ENTRIES.iter().map(|entry| entry.word)).map(str::to_owned);
    SlashError::Unknown { word: word.to_owned(), like }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_is_said_and_two_slashes_say_one() {
        assert_eq!(parse("hello"), Ok(Written::Say("hello".to_owned())));
        assert_eq!(parse("//etc/passwd"), Ok(Written::Say("/etc/passwd".to_owned())));
    }

    #[test]
    fn an_unknown_command_is_an_error_that_names_the_likely_one() {
        let error = parse("/jion ops").unwrap_err();
        assert_eq!(error.to_string(), "/jion is no command, /join is; // says it literally");
        assert!(parse("/etc/passwd is readable").is_err());
        assert_eq!(parse(" /join ops"), Err(SlashError::Space));
    }

    #[test]
    fn commands_take_what_they_take() {
        let person = || "bob".parse::<Handle>().unwrap();
        assert_eq!(parse("/add @bob"), Ok(Written::Do(Slash::Add(vec![person()]))));
        assert_eq!(
            parse("/dm bob see you at six"),
            Ok(Written::Do(Slash::Direct {
                person: person(),
                text: Some("see you at six".to_owned())
            }))
        );
        assert_eq!(
            parse("/invite 3 12h"),
            Ok(Written::Do(Slash::Invite { uses: 3, lifetime: Duration::from_hours(12) }))
        );
        assert_eq!(
            parse("/create release train open"),
            Ok(Written::Do(Slash::Create {
                name: "release train".parse().unwrap(),
                is_open: true
            }))
        );
        assert!(matches!(parse("/leave now"), Err(SlashError::Invalid(_))));
        assert!(matches!(parse("/dm"), Err(SlashError::Usage(_))));
        assert!(matches!(parse("/invite 0"), Err(SlashError::Usage(_))));
        assert!(matches!(parse("/add Bob"), Err(SlashError::Invalid(_))));
    }

    #[test]
    fn every_command_of_the_list_is_known() {
        for entry in ENTRIES {
            let parsed = parse(&format!("/{}", entry.word));
            assert!(!matches!(parsed, Err(SlashError::Unknown { .. })), "{}", entry.word);
        }
        for (alias, word) in ALIASES {
            assert!(ENTRIES.iter().any(|entry| entry.word == *word), "{alias}");
        }
    }

    proptest! {
        /// What is said is exactly what was written, or one slash shorter.
        #[test]
        fn nothing_said_begins_with_an_unwanted_command(text in "[/a-z ]{0,20}") {
            match parse(&text) {
                Ok(Written::Say(said)) if text.starts_with('/') => {
                    prop_assert_eq!(format!("/{}", said), text);
                }
                Ok(Written::Say(said)) => prop_assert_eq!(said, text),
                Ok(Written::Do(_)) | Err(_) => prop_assert!(text.trim_start().starts_with('/')),
            }
        }
    }
}
