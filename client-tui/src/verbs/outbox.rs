//! Messages that wait to be sent.

use clap::Args;

use super::{CommandLine, Invocation, OnScreen, SlashCommand, Verb, slash_command, subcommand};

/// Arguments of `outbox withdraw`.
#[derive(Debug, Clone, Args)]
pub struct WithdrawArgs {
    /// Its number in the list.
    pub id: u64,
}

pub(super) const LIST: Verb = Verb {
    name: "outbox list",
    command_line: subcommand!(
        ["outbox", "list"],
        "List messages that wait to be sent",
        Invocation::ListOutbox
    ),
    screen: slash_command!(["outbox"], "", "what waits to be sent", |_| Ok(SlashCommand::Outbox)),
};

pub(super) const WITHDRAW: Verb = Verb {
    name: "outbox withdraw",
    command_line: subcommand!(
        ["outbox", "withdraw"],
        "Take back a message that was not sent yet",
        WithdrawArgs => Invocation::Withdraw
    ),
    screen: OnScreen::Key("withdraw"),
};

pub(super) const RETRY: Verb = Verb {
    name: "retry",
    command_line: CommandLine::Absent(
        "`outbox withdraw` takes a refused one back; `send` sends it",
    ),
    screen: slash_command!(["retry"], "", "send again what was refused", |_| Ok(
        SlashCommand::Retry
    )),
};
