//! The command line: every command, its arguments and its help. Parses, never acts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use mathia_protocol::crypto::commit::Role;
use mathia_protocol::name::{Handle, RoomName};

use crate::clock::parse_span;

/// Private chat for teams, from a terminal. Without a command: the interactive client.
#[derive(Debug, Parser)]
#[command(name = "mathia-tui", version = VERSION, after_help = EXIT_STATUS, propagate_version = true)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: GlobalOptions,
    /// What to do; nothing opens the interactive client.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

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

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make an account by an invite link (or a plain server address where that is allowed).
    Join {
        /// The link; `-` reads it from stdin, so that it stays out of process lists.
        link: String,
        /// The name others will see.
        #[arg(long)]
        name: Handle,
    },
    /// Make an invite link. Whoever has it may join: hand it over privately.
    Invite {
        /// Add whoever joins to this room (repeatable).
        #[arg(long = "room", value_name = "ROOM")]
        rooms: Vec<String>,
        /// How many people may use it.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        uses: u32,
        /// How long it lives, such as 12h or 7d.
        #[arg(long, default_value = "7d", value_parser = span)]
        expires: Duration,
    },
    /// Tell who and where this profile is.
    Whoami,
    /// List everybody who shares a room with you.
    People,
    /// List your rooms.
    Rooms,
    /// List the open rooms of the server.
    Lobby,
    /// List your devices.
    Devices,
    /// The account's keys.
    #[command(subcommand)]
    Key(KeyVerb),
    /// Wipe this profile's keys and history from this machine.
    Logout,
    /// Rooms and who is in them.
    #[command(subcommand)]
    Room(RoomVerb),
    /// Open the direct room with a person, and perhaps say something.
    Dm {
        /// Whom.
        person: String,
        /// What; `-` reads it from stdin.
        text: Option<String>,
    },
    /// Say something; waits up to ten seconds for the server's word that it is stored.
    Send {
        /// Where: a name, or the beginning of an identifier.
        room: String,
        /// What; `-` (or nothing, in a pipe) reads it from stdin.
        text: Option<String>,
    },
    /// Put an emoji on a message, or take yours back.
    React {
        /// Where.
        room: String,
        /// Which message, by its number.
        seq: u64,
        /// The emoji, or its name as :thumbsup:.
        emoji: String,
        /// Take it back.
        #[arg(long)]
        remove: bool,
    },
    /// Ask the assistant, and print its answer as it comes.
    Ask {
        /// Where; without it, in the room you share with the assistant alone.
        #[arg(long)]
        room: Option<String>,
        /// What; `-` (or nothing, in a pipe) reads it from stdin.
        text: Option<String>,
        /// Show it the last N messages of the room too.
        #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=200))]
        context: u32,
        /// Show it this message too.
        #[arg(long, value_name = "SEQ")]
        reply: Option<u64>,
        /// Give up after this time, with exit code 124; the question stays.
        #[arg(long, value_name = "TIME", value_parser = span)]
        timeout: Option<Duration>,
    },
    /// Print what the answers of models took.
    Usage {
        /// Where; without it, in all rooms.
        #[arg(long)]
        room: Option<String>,
    },
    /// Leave a message with the server until it is due.
    Schedule {
        /// Where.
        room: String,
        /// When: 2026-11-20T17:00:00Z, or 10m from now.
        when: String,
        /// What.
        text: String,
    },
    /// Print what was said, oldest first.
    History {
        /// Where.
        room: String,
        /// How many entries at most.
        #[arg(short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        count: u32,
        /// Only entries before this place.
        #[arg(long, value_name = "SEQ")]
        before: Option<u64>,
    },
    /// Print what is said, as it is said. Without rooms: in all of them.
    Tail {
        /// Where.
        rooms: Vec<String>,
        /// Begin with what came after this place.
        #[arg(long, value_name = "SEQ")]
        since: Option<u64>,
        /// End after this many messages.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
        /// End after this time, with exit code 124.
        #[arg(long, value_name = "TIME", value_parser = span)]
        timeout: Option<Duration>,
    },
    /// Move your read mark to the newest entry.
    Read {
        /// Where.
        room: String,
    },
    /// One of your devices.
    #[command(subcommand)]
    Device(DeviceVerb),
    /// Show the safety number with a person, to be compared by voice.
    Safety {
        /// Whose.
        person: String,
        /// Say that you compared it and it was the same (or accept a changed identity).
        #[arg(long)]
        verified: bool,
    },
    /// What waits to be sent.
    #[command(subcommand)]
    Outbox(OutboxVerb),
    /// The server's key that this machine trusts.
    Trust {
        /// Forget the pin of this server (HOST or HOST:PORT), after its key really changed.
        #[arg(long, value_name = "HOST")]
        replace: Option<String>,
    },
    /// The configuration file.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Check directories, keys, clock, network and terminal, and say how to mend them.
    Doctor,
    /// Print a completion script.
    Completions {
        /// For which shell.
        shell: Shell,
    },
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyVerb {
    /// Show the 24 recovery words: whoever has them is you.
    Show,
}

/// What to do with rooms.
#[derive(Debug, Subcommand)]
pub enum RoomVerb {
    /// Make a room.
    Create {
        /// Its name.
        name: RoomName,
        /// Readable by the server and open to all (default: end-to-end encrypted).
        #[arg(long)]
        open: bool,
        /// Newcomers may read what was said before they came.
        #[arg(long)]
        share_history: bool,
        /// Add this person at once (repeatable).
        #[arg(long = "with", value_name = "PERSON")]
        people: Vec<String>,
    },
    /// Add people.
    Add {
        /// Where.
        room: String,
        /// Whom.
        #[arg(required = true)]
        people: Vec<String>,
    },
    /// Remove a person; what comes after is sealed under a new key.
    Remove {
        /// Where.
        room: String,
        /// Whom.
        person: String,
    },
    /// Leave a room.
    Leave {
        /// Which.
        room: String,
    },
    /// List who is in a room.
    Members {
        /// Which.
        room: String,
    },
    /// Join an open room of the lobby.
    Join {
        /// Its name there.
        room: String,
    },
    /// Begin a new key.
    Rotate {
        /// Which.
        room: String,
    },
    /// Show the room code: equal for all who hold the same members and key.
    Code {
        /// Which.
        room: String,
    },
    /// Give a room another name.
    Rename {
        /// Which.
        room: String,
        /// The new name.
        name: RoomName,
    },
    /// Change a member's role.
    Role {
        /// Where.
        room: String,
        /// Whose.
        person: String,
        /// To what.
        role: RoleArg,
    },
    /// Change a setting: `history` (`since_join`, `all`), `who_adds` (`admin`, `any`),
    /// `retention_days`, `topic`.
    Set {
        /// Where.
        room: String,
        /// Which.
        key: String,
        /// To what.
        value: String,
    },
}

/// What to do with a device.
#[derive(Debug, Subcommand)]
pub enum DeviceVerb {
    /// Revoke one of your devices: it reads nothing that comes after.
    Revoke {
        /// The beginning of its identifier.
        device: String,
    },
}

/// What to do with the outbox.
#[derive(Debug, Subcommand)]
pub enum OutboxVerb {
    /// List what waits to be sent.
    List,
    /// Take something back that was never written to the wire.
    Withdraw {
        /// Its number in the list.
        id: u64,
    },
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Say what is wrong with it; exit code 78 if anything is.
    Check,
    /// Print every setting with the value that counts.
    Show,
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

impl From<RoleArg> for Role {
    fn from(word: RoleArg) -> Self {
        match word {
            RoleArg::Owner => Self::Owner,
            RoleArg::Admin => Self::Admin,
            RoleArg::Moderator => Self::Moderator,
            RoleArg::Member => Self::Member,
            RoleArg::Guest => Self::Guest,
        }
    }
}

fn span(text: &str) -> Result<Duration, String> {
    parse_span(text).ok_or_else(|| "a time has a number and a unit, such as 10s or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("mathia-tui").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
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
