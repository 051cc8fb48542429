//! Rooms: making, changing and leaving them, and who is in them.

use clap::{Args, ValueEnum};
use mathia_protocol::crypto::commit::Role;
use mathia_protocol::name::RoomName;

use super::slash::{RoomCommand, SlashError, handle, one_person, room_name};
use super::{CommandLine, Invocation, OnScreen, SlashCommand, Verb, slash_command, subcommand};

/// A subcommand of `room`, read.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is named as its row of the table, which has the help")]
pub enum RoomInvocation {
    Create(CreateArgs),
    Add(AddArgs),
    Remove(RemoveArgs),
    Leave(RoomArgs),
    Members(RoomArgs),
    Join(RoomArgs),
    Rotate(RoomArgs),
    Code(RoomArgs),
    Rename(RenameArgs),
    Role(RoleArgs),
    Set(SetArgs),
}

/// A room, and nothing else.
#[derive(Debug, Clone, Args)]
pub struct RoomArgs {
    /// The room: its name, or the beginning of its identifier.
    pub room: String,
}

/// Arguments of `room create`.
#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    /// Its name.
    pub name: RoomName,
    /// Readable by the server and open to all (default: end-to-end encrypted).
    #[arg(long)]
    pub open: bool,
    /// Newcomers may read messages from before they joined.
    #[arg(long)]
    pub share_history: bool,
    /// Add this person at once (repeatable).
    #[arg(long = "with", value_name = "PERSON")]
    pub people: Vec<String>,
}

/// Arguments of `room add`.
#[derive(Debug, Clone, Args)]
pub struct AddArgs {
    /// The room.
    pub room: String,
    /// The people.
    #[arg(required = true)]
    pub people: Vec<String>,
}

/// Arguments of `room remove`.
#[derive(Debug, Clone, Args)]
pub struct RemoveArgs {
    /// The room.
    pub room: String,
    /// The person.
    pub person: String,
}

/// Arguments of `room rename`.
#[derive(Debug, Clone, Args)]
pub struct RenameArgs {
    /// The room.
    pub room: String,
    /// The new name.
    pub name: RoomName,
}

/// Arguments of `room role`.
#[derive(Debug, Clone, Args)]
pub struct RoleArgs {
    /// The room.
    pub room: String,
    /// The person.
    pub person: String,
    /// The new role.
    pub role: RoleArg,
}

/// Arguments of `room set`.
#[derive(Debug, Clone, Args)]
pub struct SetArgs {
    /// The room.
    pub room: String,
    /// The setting.
    pub key: String,
    /// Its new value.
    pub value: String,
}

/// A role as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// May do everything.
    Owner,
    /// May do everything but change owners.
    Admin,
    /// May remove members and guests.
    Moderator,
    /// May talk, and add people where the room says so.
    Member,
    /// May talk.
    Guest,
}

impl RoleArg {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Moderator => "moderator",
            Self::Member => "member",
            Self::Guest => "guest",
        }
    }
}

impl From<RoleArg> for Role {
    fn from(arg: RoleArg) -> Self {
        match arg {
            RoleArg::Owner => Self::Owner,
            RoleArg::Admin => Self::Admin,
            RoleArg::Moderator => Self::Moderator,
            RoleArg::Member => Self::Member,
            RoleArg::Guest => Self::Guest,
        }
    }
}

pub(super) const LIST: Verb = Verb {
    name: "rooms",
    command_line: subcommand!(["rooms"], "List your rooms", Invocation::Rooms),
    screen: OnScreen::Key("switcher"),
};

pub(super) const LOBBY: Verb = Verb {
    name: "lobby",
    command_line: subcommand!(["lobby"], "List the open rooms of the server", Invocation::Lobby),
    screen: OnScreen::Shown("/join without a name lists them"),
};

pub(super) const JOIN: Verb = Verb {
    name: "room join",
    command_line: subcommand!(
        ["room", "join"],
        "Join an open room of the lobby",
        RoomArgs => |args| Invocation::Room(RoomInvocation::Join(args))
    ),
    screen: slash_command!(["join"], "[ROOM]", "join an open room, or list them", join, Rooms),
};

pub(super) const CREATE: Verb = Verb {
    name: "room create",
    command_line: subcommand!(
        ["room", "create"],
        "Make a room",
        CreateArgs => |args| Invocation::Room(RoomInvocation::Create(args))
    ),
    screen: slash_command!(["create"], "NAME [open]", "make a room, sealed unless open", create),
};

pub(super) const LEAVE: Verb = Verb {
    name: "room leave",
    command_line: subcommand!(
        ["room", "leave"],
        "Leave a room",
        RoomArgs => |args| Invocation::Room(RoomInvocation::Leave(args))
    ),
    screen: slash_command!(["leave", "part"], "", "leave this room", |_| Ok(SlashCommand::InRoom(
        RoomCommand::Leave
    ))),
};

pub(super) const MEMBERS: Verb = Verb {
    name: "room members",
    command_line: subcommand!(
        ["room", "members"],
        "List the members of a room",
        RoomArgs => |args| Invocation::Room(RoomInvocation::Members(args))
    ),
    screen: slash_command!(["who"], "[NAME]", "who is in this room, and who runs it", members),
};

pub(super) const ADD: Verb = Verb {
    name: "room add",
    command_line: subcommand!(
        ["room", "add"],
        "Add people",
        AddArgs => |args| Invocation::Room(RoomInvocation::Add(args))
    ),
    screen: slash_command!(["add"], "NAME..", "add people to this room", add, People),
};

pub(super) const REMOVE: Verb = Verb {
    name: "room remove",
    command_line: subcommand!(
        ["room", "remove"],
        "Remove a person; what comes after is sealed under a new key",
        RemoveArgs => |args| Invocation::Room(RoomInvocation::Remove(args))
    ),
    screen: slash_command!(
        ["remove", "kick"],
        "NAME",
        "remove a person from this room",
        |rest| Ok(SlashCommand::InRoom(RoomCommand::Remove(one_person(
            rest,
            "whom? /remove NAME"
        )?))),
        People
    ),
};

pub(super) const ROLE: Verb = Verb {
    name: "room role",
    command_line: subcommand!(
        ["room", "role"],
        "Change a member's role",
        RoleArgs => |args| Invocation::Room(RoomInvocation::Role(args))
    ),
    screen: slash_command!(["role"], "NAME ROLE", "admin, moderator, member, guest", role, People),
};

pub(super) const RENAME: Verb = Verb {
    name: "room rename",
    command_line: subcommand!(
        ["room", "rename"],
        "Give a room another name",
        RenameArgs => |args| Invocation::Room(RoomInvocation::Rename(args))
    ),
    screen: slash_command!(["rename"], "NAME", "give this room another name", rename),
};

pub(super) const TOPIC: Verb = Verb {
    name: "topic",
    command_line: CommandLine::Absent("`room set ROOM topic TEXT` sets it"),
    screen: slash_command!(["topic"], "TEXT", "say what this room is about", |rest| Ok(
        SlashCommand::InRoom(RoomCommand::Topic(rest.to_owned()))
    )),
};

pub(super) const SET: Verb = Verb {
    name: "room set",
    command_line: subcommand!(
        ["room", "set"],
        "Change a setting: `history` (`since_join`, `all`), `who_adds` (`admin`, `any`), \
         `retention_days`, `topic`",
        SetArgs => |args| Invocation::Room(RoomInvocation::Set(args))
    ),
    screen: slash_command!(["set"], "KEY VALUE", "history, who_adds, retention_days", set),
};

pub(super) const LOCK: Verb = Verb {
    name: "lock",
    command_line: CommandLine::Absent("`room members` and `room code` print the same"),
    screen: slash_command!(["lock"], "", "who can read here, and the room code", |_| Ok(
        SlashCommand::InRoom(RoomCommand::Lock)
    )),
};

pub(super) const CODE: Verb = Verb {
    name: "room code",
    command_line: subcommand!(
        ["room", "code"],
        "Show the room code: equal for all who hold the same members and key",
        RoomArgs => |args| Invocation::Room(RoomInvocation::Code(args))
    ),
    screen: slash_command!(["code"], "", "the room code, to compare with others", |_| Ok(
        SlashCommand::InRoom(RoomCommand::Lock)
    )),
};

pub(super) const ROTATE: Verb = Verb {
    name: "room rotate",
    command_line: subcommand!(
        ["room", "rotate"],
        "Give a room a new key",
        RoomArgs => |args| Invocation::Room(RoomInvocation::Rotate(args))
    ),
    screen: slash_command!(["rotate"], "", "give this room a new key", |_| Ok(
        SlashCommand::InRoom(RoomCommand::Rotate)
    )),
};

fn join(rest: &str) -> Result<SlashCommand, SlashError> {
    let name = if rest.is_empty() { None } else { Some(room_name(rest)?) };
    Ok(SlashCommand::Join(name))
}

fn create(rest: &str) -> Result<SlashCommand, SlashError> {
    let (name, is_open) = match rest.rsplit_once(' ') {
        Some((name, "open" | "--open")) => (name, true),
        _ => (rest, false),
    };
    if name.is_empty() {
        return Err(SlashError::Usage("which name? /create NAME [open]"));
    }
    Ok(SlashCommand::Create { name: room_name(name)?, is_open })
}

fn members(rest: &str) -> Result<SlashCommand, SlashError> {
    let person = if rest.is_empty() { None } else { Some(handle(rest)?) };
    Ok(SlashCommand::InRoom(RoomCommand::Members(person)))
}

fn add(rest: &str) -> Result<SlashCommand, SlashError> {
    if rest.is_empty() {
        return Err(SlashError::Usage("whom? /add NAME.."));
    }
    Ok(SlashCommand::InRoom(RoomCommand::Add(
        rest.split_whitespace().map(handle).collect::<Result<_, _>>()?,
    )))
}

fn role(rest: &str) -> Result<SlashCommand, SlashError> {
    let usage = SlashError::Usage("which role? /role NAME admin|moderator|member|guest|owner");
    let Some((person, role)) = rest.split_once(char::is_whitespace) else { return Err(usage) };
    let Ok(role) = RoleArg::from_str(role.trim(), false) else { return Err(usage) };
    Ok(SlashCommand::InRoom(RoomCommand::Role { person: handle(person)?, role }))
}

fn rename(rest: &str) -> Result<SlashCommand, SlashError> {
    if rest.is_empty() {
        return Err(SlashError::Usage("to what? /rename NAME"));
    }
    Ok(SlashCommand::InRoom(RoomCommand::Rename(room_name(rest)?)))
}

fn set(rest: &str) -> Result<SlashCommand, SlashError> {
    match rest.split_once(char::is_whitespace) {
        Some((key, value)) => Ok(SlashCommand::InRoom(RoomCommand::Set {
            key: key.to_owned(),
            value: value.trim().to_owned(),
        })),
        None => Err(SlashError::Usage(
            "/set history since_join|all, who_adds admin|any, retention_days 0..3650",
        )),
    }
}
