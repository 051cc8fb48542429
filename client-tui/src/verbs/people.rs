//! The people one shares rooms with, and whether they are who they seem to be.

use clap::Args;

use super::slash::one_person;
use super::{CommandLine, Invocation, OnScreen, SlashCommand, Verb, slash_command, subcommand};

/// Arguments of `safety`.
#[derive(Debug, Clone, Args)]
pub struct SafetyArgs {
    /// The person.
    pub person: String,
    /// Note that you compared it and it was the same (or accept a changed identity).
    #[arg(long)]
    pub verified: bool,
}

pub(super) const LIST: Verb = Verb {
    name: "people",
    command_line: subcommand!(
        ["people"],
        "List everybody who shares a room with you",
        Invocation::People
    ),
    screen: OnScreen::Shown("the sidebar and the switcher list them"),
};

pub(super) const SAFETY: Verb = Verb {
    name: "safety",
    command_line: subcommand!(
        ["safety"],
        "Show the safety number with a person, to be compared by voice",
        SafetyArgs => Invocation::Safety
    ),
    screen: slash_command!(
        ["safety"],
        "NAME",
        "the safety number with a person",
        |rest| one_person(rest, "with whom? /safety NAME").map(SlashCommand::Safety),
        People
    ),
};

pub(super) const VERIFY: Verb = Verb {
    name: "verify",
    command_line: CommandLine::Absent("`safety --verified` notes it"),
    screen: slash_command!(
        ["verify"],
        "NAME",
        "compare it and remember that you did",
        |rest| one_person(rest, "whom? /verify NAME").map(SlashCommand::Verify),
        People
    ),
};
