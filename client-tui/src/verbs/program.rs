//! The program itself: help, connection, configuration, server keys.

use clap::Args;
use clap_complete::Shell;

use super::{CommandLine, Invocation, OnScreen, SlashCommand, Verb, slash_command, subcommand};

/// Arguments of `trust`.
#[derive(Debug, Clone, Args)]
pub struct TrustArgs {
    /// Forget the pin of this server (HOST or HOST:PORT), after its key really changed.
    #[arg(long, value_name = "HOST")]
    pub replace: Option<String>,
}

/// Arguments of `completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
}

pub(super) const HELP: Verb = Verb {
    name: "help",
    command_line: CommandLine::Absent("`--help` is an option of every command"),
    screen: slash_command!(["help", "keys"], "", "keys and commands", |_| Ok(SlashCommand::Help)),
};

pub(super) const CONNECTION: Verb = Verb {
    name: "net",
    command_line: CommandLine::Absent("`doctor` checks the connection"),
    screen: slash_command!(["net"], "", "how the connection stands", |_| Ok(
        SlashCommand::Connection
    )),
};

pub(super) const DOCTOR: Verb = Verb {
    name: "doctor",
    command_line: subcommand!(
        ["doctor"],
        "Check directories, keys, clock, network and terminal, and say how to fix them",
        Invocation::Doctor
    ),
    screen: OnScreen::Absent("it is for when the interactive client does not start"),
};

pub(super) const TRUST: Verb = Verb {
    name: "trust",
    command_line: subcommand!(
        ["trust"],
        "List the server keys that this machine trusts, or forget one",
        TrustArgs => Invocation::Trust
    ),
    screen: OnScreen::Absent("without a trusted key there is no connection to show anything of"),
};

pub(super) const CHECK_CONFIG: Verb = Verb {
    name: "config check",
    command_line: subcommand!(
        ["config", "check"],
        "Report what is wrong with it; exit code 78 if anything is",
        Invocation::CheckConfig
    ),
    screen: OnScreen::Shown("warnings are shown when the client starts"),
};

pub(super) const SHOW_CONFIG: Verb = Verb {
    name: "config show",
    command_line: subcommand!(
        ["config", "show"],
        "Print every setting with its value",
        Invocation::ShowConfig
    ),
    screen: OnScreen::Absent("it is read once, before the client starts"),
};

pub(super) const COMPLETIONS: Verb = Verb {
    name: "completions",
    command_line: subcommand!(
        ["completions"],
        "Print a completion script",
        CompletionsArgs => Invocation::Completions
    ),
    screen: OnScreen::Absent("it is for shells"),
};

pub(super) const QUIT: Verb = Verb {
    name: "quit",
    command_line: CommandLine::Absent("each command ends by itself"),
    screen: slash_command!(["quit", "exit"], "", "quit", |_| Ok(SlashCommand::Quit)),
};
