//! The table of verbs: everything a person can do, and the ways to it.
//!
//! One row a verb gives its name, its help, its arguments, and where it can be reached: from the
//! command line, as a slash command, by a key. The command line ([`crate::cli`]), the shell
//! completions, the parser of slash commands and the list in the help panel are made from it. What a
//! verb does is not known here: [`Invocation`] and [`SlashCommand`] are matched exhaustively where
//! they are run, so that a verb without an implementation does not compile.

mod account;
mod assistant;
mod command_line;
mod invite;
mod messages;
mod outbox;
mod people;
mod program;
mod room;
mod slash;

pub use self::account::{RegisterArgs, RevokeDeviceArgs};
pub use self::assistant::{AskArgs, UsageArgs};
pub(crate) use self::command_line::{add_subcommands, read_invocation};
pub use self::invite::InviteArgs;
pub use self::messages::{DirectArgs, HistoryArgs, ScheduleArgs, SendArgs, TailArgs};
pub use self::outbox::WithdrawArgs;
pub use self::people::SafetyArgs;
pub use self::program::{CompletionsArgs, TrustArgs};
pub use self::room::{
    AddArgs, CreateArgs, RemoveArgs, RenameArgs, RoleArg, RoleArgs, RoomArgs, RoomInvocation,
    SetArgs,
};
pub(crate) use self::slash::named;
pub use self::slash::{
    ComposerInput, RoomCommand, SlashCommand, SlashError, beginning_with, parse, slashes,
};

use clap::ArgMatches;

/// Something a person can do.
#[derive(Debug, Clone, Copy)]
pub struct Verb {
    /// The name, unique in the table.
    pub name: &'static str,
    /// The way to it from the command line.
    pub command_line: CommandLine,
    /// The way to it from the screen of the interactive client.
    pub screen: OnScreen,
}

/// How the command line reaches a verb.
#[derive(Debug, Clone, Copy)]
pub enum CommandLine {
    /// By a subcommand.
    Command(CommandSpec),
    /// Not at all, for this reason.
    Absent(&'static str),
}

/// A subcommand.
#[derive(Debug, Clone, Copy)]
pub struct CommandSpec {
    /// Its words: `["room", "create"]`.
    pub path: &'static [&'static str],
    /// What it does, as `--help` says it.
    pub help: &'static str,
    /// Adds its arguments.
    pub arguments: fn(clap::Command) -> clap::Command,
    /// Reads them.
    pub read: fn(&ArgMatches) -> Result<Invocation, clap::Error>,
}

/// How the screen of the interactive client reaches a verb.
#[derive(Debug, Clone, Copy)]
pub enum OnScreen {
    /// By a slash command.
    Slash(SlashSpec),
    /// By a key: the configuration's name of the action.
    Key(&'static str),
    /// It is always shown, or a step of the first start: where.
    Shown(&'static str),
    /// Not at all, for this reason.
    Absent(&'static str),
}

/// A slash command.
#[derive(Debug, Clone, Copy)]
pub struct SlashSpec {
    /// The word after the slash.
    pub word: &'static str,
    /// Other words for the same.
    pub aliases: &'static [&'static str],
    /// Its arguments, as help shows them.
    pub takes: &'static str,
    /// What it does, in a few words.
    pub help: &'static str,
    /// What its arguments can be completed to.
    pub completes: Completes,
    /// Reads what follows the word.
    pub parse: fn(&str) -> Result<SlashCommand, SlashError>,
}

/// What Tab completes in the arguments of a slash command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completes {
    /// Nothing but what can be completed everywhere.
    Nothing,
    /// Names of people.
    People,
    /// Names of rooms.
    Rooms,
}

/// A subcommand with its arguments, read.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is named as its row of the table, which has the help")]
pub enum Invocation {
    Register(RegisterArgs),
    Invite(InviteArgs),
    Whoami,
    People,
    Rooms,
    Lobby,
    Devices,
    RevokeDevice(RevokeDeviceArgs),
    ShowWords,
    Logout,
    Room(RoomInvocation),
    Direct(DirectArgs),
    Send(SendArgs),
    Ask(AskArgs),
    Usage(UsageArgs),
    Schedule(ScheduleArgs),
    History(HistoryArgs),
    Tail(TailArgs),
    MarkRead(RoomArgs),
    Safety(SafetyArgs),
    ListOutbox,
    Withdraw(WithdrawArgs),
    Trust(TrustArgs),
    CheckConfig,
    ShowConfig,
    Doctor,
    Completions(CompletionsArgs),
}

/// Groups of subcommands, with what `--help` says of them.
pub(crate) const GROUPS: &[(&str, &str)] = &[
    ("room", "Make and change rooms, and show who is in them"),
    ("device", "Manage one of your devices"),
    ("key", "Show the account's keys"),
    ("outbox", "Show and take back messages that wait to be sent"),
    ("config", "Check and show the configuration"),
];

/// Every verb, in the order in which help shows them.
pub const VERBS: &[Verb] = &[
    account::REGISTER,
    program::HELP,
    room::JOIN,
    room::CREATE,
    messages::DIRECT,
    messages::SEND,
    room::LEAVE,
    assistant::ASK,
    assistant::STOP,
    assistant::AGAIN,
    assistant::USAGE,
    room::MEMBERS,
    room::ADD,
    room::REMOVE,
    room::ROLE,
    room::RENAME,
    room::TOPIC,
    room::SET,
    invite::INVITE,
    room::LOCK,
    room::CODE,
    room::ROTATE,
    people::LIST,
    room::LIST,
    room::LOBBY,
    people::SAFETY,
    people::VERIFY,
    account::DEVICES,
    account::REVOKE_DEVICE,
    account::WHOAMI,
    account::SHOW_WORDS,
    account::LOGOUT,
    messages::READ,
    messages::HISTORY,
    messages::TAIL,
    messages::SCHEDULE,
    outbox::LIST,
    outbox::WITHDRAW,
    outbox::RETRY,
    program::CONNECTION,
    program::DOCTOR,
    program::TRUST,
    program::CHECK_CONFIG,
    program::SHOW_CONFIG,
    program::COMPLETIONS,
    program::QUIT,
];

/// A subcommand of the table: `subcommand!(["room", "add"], "Add people", AddArgs => Invocation::..)`.
macro_rules! subcommand {
    ($path:expr, $help:literal, $invocation:expr) => {
        crate::verbs::CommandLine::Command(crate::verbs::CommandSpec {
            path: &$path,
            help: $help,
            arguments: |command| command,
            read: |_| Ok($invocation),
        })
    };
    ($path:expr, $help:literal, $args:ty => $wrap:expr) => {
        crate::verbs::CommandLine::Command(crate::verbs::CommandSpec {
            path: &$path,
            help: $help,
            arguments: <$args as clap::Args>::augment_args,
            read: |matches| <$args as clap::FromArgMatches>::from_arg_matches(matches).map($wrap),
        })
    };
}

/// A slash command of the table: word with aliases, arguments, help, parser, what is completed.
macro_rules! slash_command {
    ([$word:literal $(, $alias:literal)*], $takes:literal, $help:literal, $parse:expr) => {
        slash_command!([$word $(, $alias)*], $takes, $help, $parse, Nothing)
    };
    ([$word:literal $(, $alias:literal)*], $takes:literal, $help:literal, $parse:expr, $completes:ident) => {
        crate::verbs::OnScreen::Slash(crate::verbs::SlashSpec {
            word: $word,
            aliases: &[$($alias),*],
            takes: $takes,
            help: $help,
            completes: crate::verbs::Completes::$completes,
            parse: $parse,
        })
    };
}

use {slash_command, subcommand};

#[cfg(test)]
mod tests;
