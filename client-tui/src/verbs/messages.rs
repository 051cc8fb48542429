//! Sending, reading and following messages.

use std::time::Duration;

use clap::Args;

use super::slash::{RoomCommand, SlashError, handle};
use super::{Invocation, OnScreen, RoomArgs, SlashCommand, Verb, slash_command, subcommand};
use crate::clock::span_arg;

/// Arguments of `send`.
#[derive(Debug, Clone, Args)]
pub struct SendArgs {
    /// The room: its name, or the beginning of its identifier.
    pub room: String,
    /// The message; `-` (or nothing, in a pipe) reads it from stdin.
    pub text: Option<String>,
}

/// Arguments of `dm`.
#[derive(Debug, Clone, Args)]
pub struct DirectArgs {
    /// The person.
    pub person: String,
    /// The message; `-` reads it from stdin.
    pub text: Option<String>,
}

/// Arguments of `schedule`.
#[derive(Debug, Clone, Args)]
pub struct ScheduleArgs {
    /// The room.
    pub room: String,
    /// When: 2026-11-20T17:00:00Z, or 10m from now.
    pub when: String,
    /// The message.
    pub text: String,
}

/// Arguments of `history`.
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    /// The room.
    pub room: String,
    /// How many entries at most.
    #[arg(short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub count: u32,
    /// Only entries before this sequence number.
    #[arg(long, value_name = "SEQ")]
    pub before: Option<u64>,
}

/// Arguments of `tail`.
#[derive(Debug, Clone, Args)]
pub struct TailArgs {
    /// The rooms.
    pub rooms: Vec<String>,
    /// Begin with the entries after this sequence number.
    #[arg(long, value_name = "SEQ")]
    pub since: Option<u64>,
    /// End after this many messages.
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// End after this time, with exit code 124.
    #[arg(long, value_name = "TIME", value_parser = span_arg)]
    pub timeout: Option<Duration>,
}

pub(super) const SEND: Verb = Verb {
    name: "send",
    command_line: subcommand!(
        ["send"],
        "Send a message; waits up to ten seconds until the server has stored it",
        SendArgs => Invocation::Send
    ),
    screen: OnScreen::Key("send"),
};

pub(super) const DIRECT: Verb = Verb {
    name: "dm",
    command_line: subcommand!(
        ["dm"],
        "Open the direct room with a person, and send a message if one is given",
        DirectArgs => Invocation::Direct
    ),
    screen: slash_command!(["dm", "msg"], "NAME [TEXT]", "talk to one person", direct, People),
};

pub(super) const SCHEDULE: Verb = Verb {
    name: "schedule",
    command_line: subcommand!(
        ["schedule"],
        "Leave a message with the server, which sends it when it is due",
        ScheduleArgs => Invocation::Schedule
    ),
    screen: OnScreen::Absent("the screen has no list of scheduled messages to take one back from"),
};

pub(super) const HISTORY: Verb = Verb {
    name: "history",
    command_line: subcommand!(
        ["history"],
        "Print the messages of a room, oldest first",
        HistoryArgs => Invocation::History
    ),
    screen: OnScreen::Key("page_up"),
};

pub(super) const TAIL: Verb = Verb {
    name: "tail",
    command_line: subcommand!(
        ["tail"],
        "Print messages as they arrive. Without rooms: in all of them",
        TailArgs => Invocation::Tail
    ),
    screen: OnScreen::Shown("the timeline shows what arrives"),
};

pub(super) const READ: Verb = Verb {
    name: "read",
    command_line: subcommand!(
        ["read"],
        "Move your read mark to the newest entry",
        RoomArgs => Invocation::MarkRead
    ),
    screen: slash_command!(["read"], "[all]", "mark this room, or all, as read", |rest| {
        match rest {
            "" => Ok(SlashCommand::InRoom(RoomCommand::Read)),
            "all" => Ok(SlashCommand::ReadAll),
            _ => Err(SlashError::Usage("this room, or all of them? /read [all]")),
        }
    }),
};

fn direct(rest: &str) -> Result<SlashCommand, SlashError> {
    let (person, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if person.is_empty() {
        return Err(SlashError::Usage("to whom? /dm NAME [TEXT]"));
    }
    let text = Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(SlashCommand::Direct { person: handle(person)?, text })
}
