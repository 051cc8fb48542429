//! Questions to the assistant.

use std::time::Duration;

use clap::Args;

use super::slash::{RoomCommand, SlashError};
use super::{CommandLine, Invocation, OnScreen, SlashCommand, Verb, slash_command, subcommand};
use crate::clock::span_arg;

/// Arguments of `ask`.
#[derive(Debug, Clone, Args)]
pub struct AskArgs {
    /// The room; without it, the room that you share with the assistant alone.
    #[arg(long)]
    pub room: Option<String>,
    /// The question; `-` (or nothing, in a pipe) reads it from stdin.
    pub text: Option<String>,
    /// Show the assistant the last N messages of the room too.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=200))]
    pub context: u32,
    /// Show the assistant this message too.
    #[arg(long, value_name = "SEQ")]
    pub reply: Option<u64>,
    /// Give up after this time, with exit code 124; the question stays.
    #[arg(long, value_name = "TIME", value_parser = span_arg)]
    pub timeout: Option<Duration>,
}

/// Arguments of `usage`.
#[derive(Debug, Clone, Args)]
pub struct UsageArgs {
    /// The room; without it, all rooms.
    #[arg(long)]
    pub room: Option<String>,
}

pub(super) const ASK: Verb = Verb {
    name: "ask",
    command_line: subcommand!(
        ["ask"],
        "Ask the assistant, and print its answer as it comes",
        AskArgs => Invocation::Ask
    ),
    screen: slash_command!(["ai"], "TEXT", "ask the assistant, as @mathia TEXT does", |rest| {
        if rest.is_empty() {
            return Err(SlashError::Usage("ask what? /ai TEXT"));
        }
        Ok(SlashCommand::Ask(rest.to_owned()))
    }),
};

pub(super) const STOP: Verb = Verb {
    name: "stop",
    command_line: CommandLine::Absent("Ctrl-C stops the answer that `ask` prints"),
    screen: slash_command!(["stop"], "", "stop the answer to your question", |_| Ok(
        SlashCommand::InRoom(RoomCommand::Stop)
    )),
};

pub(super) const AGAIN: Verb = Verb {
    name: "again",
    command_line: CommandLine::Absent("the shell's history repeats an `ask`"),
    screen: slash_command!(["again"], "", "ask your last question again", |_| Ok(
        SlashCommand::InRoom(RoomCommand::Again)
    )),
};

pub(super) const USAGE: Verb = Verb {
    name: "usage",
    command_line: subcommand!(
        ["usage"],
        "Print how many tokens the answers of models took",
        UsageArgs => Invocation::Usage
    ),
    screen: OnScreen::Key("why"),
};
