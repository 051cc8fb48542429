//! Invite links.

use std::time::Duration;

use clap::Args;

use super::slash::SlashError;
use super::{Invocation, SlashCommand, Verb, slash_command, subcommand};
use crate::clock::{parse_span, span_arg};

/// Arguments of `invite`.
#[derive(Debug, Clone, Args)]
pub struct InviteArgs {
    /// Add whoever joins to this room (repeatable).
    #[arg(long = "room", value_name = "ROOM")]
    pub rooms: Vec<String>,
    /// How many people may use it.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub uses: u32,
    /// How long it is valid, such as 12h or 7d.
    #[arg(long, default_value = "7d", value_parser = span_arg)]
    pub expires: Duration,
}

pub(super) const INVITE: Verb = Verb {
    name: "invite",
    command_line: subcommand!(
        ["invite"],
        "Make an invite link. Whoever has it may join: hand it over privately",
        InviteArgs => Invocation::Invite
    ),
    screen: slash_command!(["invite"], "[USES] [7d]", "make an invite link", parse),
};

fn parse(rest: &str) -> Result<SlashCommand, SlashError> {
    let (mut uses, mut lifetime) = (1, Duration::from_hours(7 * 24));
    for word in rest.split_whitespace() {
        if let Ok(number) = word.parse() {
            uses = number;
        } else {
            let bad = || SlashError::Invalid(format!("'{word}' is no time; write 30m, 12h or 7d"));
            lifetime = parse_span(word).filter(|span| !span.is_zero()).ok_or_else(bad)?;
        }
    }
    if uses == 0 {
        return Err(SlashError::Usage("an invite is for one person or more: /invite [USES] [7d]"));
    }
    Ok(SlashCommand::Invite { uses, lifetime })
}
