//! The command line: the options of every command, and the verb of the table that was chosen.
//!
//! Parses, never acts. The subcommands, their arguments and their help are in [`crate::verbs`].

use std::path::PathBuf;

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser};

use crate::verbs::{self, Invocation};

/// A command line, read.
#[derive(Debug)]
pub struct Cli {
    /// Options that every command takes.
    pub global: GlobalOptions,
    /// What to do; nothing opens the interactive client.
    pub invocation: Option<Invocation>,
}

const ABOUT: &str =
    "Private chat for teams, from a terminal. Without a command: the interactive client";

/// The release, and what it speaks: both sides of a bug report need it.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (protocol mathia/1)");

const EXIT_STATUS: &str = "Exit status: 0 ok, 1 failed, 2 wrong usage, 3 not found, 4 not logged \
in or no permission, 5 server unreachable (nothing sent), 6 queued or unacknowledged, 7 refused \
by rules, 8 limit reached, 9 verification failed, 78 bad configuration, 124 --timeout ran out, \
130 interrupted, 143 terminated.";

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct GlobalOptions {
    /// Print one JSON object per line on stdout.
    #[arg(long, global = true)]
    pub json: bool,
    /// Never ask anything; refuse instead.
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Answer yes to questions (a changed server key is never accepted by it).
    #[arg(long, short = 'y', global = true)]
    pub yes: bool,
    /// Use another profile: its own account, keys and history [env: `MATHIA_PROFILE`].
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Read this configuration instead of the usual file.
    #[arg(long, global = true, value_name = "FILE", env = "MATHIA_CONFIG")]
    pub config: Option<PathBuf>,
}

impl CommandFactory for Cli {
    fn command() -> clap::Command {
        // In this order: the options bring the documentation of their type along.
        let command = GlobalOptions::augment_args(clap::Command::new("mathia-tui"))
            .version(VERSION)
            .propagate_version(true)
            .about(ABOUT)
            .after_help(EXIT_STATUS);
        verbs::add_subcommands(command)
    }

    fn command_for_update() -> clap::Command {
        Self::command()
    }
}

impl FromArgMatches for Cli {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let global = GlobalOptions::from_arg_matches(matches)?;
        Ok(Self { global, invocation: verbs::read_invocation(matches)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Parser for Cli {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("mathia-tui").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_sound() {
        let command = Cli::command();
        assert_eq!(command.get_about().map(ToString::to_string).as_deref(), Some(ABOUT));
        command.debug_assert();
    }

    #[test]
    fn every_promised_command_line_is_understood() {
        let lines = [
            "",
            "join mathia://h:1/#x --name ann --yes",
            "join - --name ann",
            "invite --room team --uses 3 --expires 7d",
            "whoami --json",
            "people",
            "rooms --json",
            "devices",
            "key show",
            "logout --yes",
            "room create team --open",
            "room add team bob cleo",
            "room remove team bob",
            "room leave team",
            "room members team",
            "room join lobby",
            "room rotate team",
            "room code team",
            "room rename team crew",
            "room role team bob admin",
            "room set team history all",
            "dm bob",
            "dm bob hi",
            "send team hi",
            "send #team -",
            "send team",
            "history team -n 20 --before 100",
            "tail",
            "tail team ops --since 3 --count 2 --timeout 10s --json",
            "read team",
            "device revoke 0102",
            "safety bob",
            "outbox list",
            "outbox withdraw 7",
            "lobby",
            "trust --replace example.org",
            "schedule team 10m hi",
            "config check",
            "config show --json",
            "doctor",
            "completions bash",
            "--profile work --no-input rooms",
        ];
        for line in lines {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn wrong_usage_ends_with_two() {
        let lines = [
            "join mathia://h:1/#x",
            "join mathia://h:1/#x --name Ann!",
            "invite --uses 0",
            "room add team",
            "room role team bob king",
            "history",
            "tail --timeout 10",
            "send",
            "nonsense",
        ];
        for line in lines {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
