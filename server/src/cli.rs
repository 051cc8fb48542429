//! The command line of the server.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::duration_text::parse_duration;

/// Headless server of a private, end-to-end encrypted team chat.
#[derive(Debug, Parser)]
#[command(name = "mathia-server", version = crate::VERSION, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the server's program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves until stopped.
    Serve(ServeArgs),
    /// Runs the assistant alone, on another host or under another user; `serve` starts its own.
    Assistant(AssistantArgs),
    /// Makes, lists or revokes invites; works beside a running server.
    Invite(InviteArgs),
    /// Lists or removes accounts; works beside a running server.
    User(UserArgs),
    /// Gives every open room a new key at rest; works beside a running server.
    ///
    /// Happens by itself every 30 days. What was written before stays readable.
    RotateKeys {
        /// The data directory.
        #[command(flatten)]
        place: DataArgs,
    },
    /// Writes a verified copy of the data.
    Backup {
        /// The file to write; it must not exist.
        file: PathBuf,
        /// The data directory.
        #[command(flatten)]
        place: DataArgs,
    },
    /// Says how a running server is doing.
    Status {
        /// The data directory.
        #[command(flatten)]
        place: DataArgs,
    },
    /// Checks a configuration file without using it.
    CheckConfig {
        /// The file.
        file: PathBuf,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Prints versions of program and protocol.
    Version {
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Where the data is, and how to print.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// The data directory.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Prints JSON, one object per line.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The data directory; made when absent.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address and port to listen on, such as 0.0.0.0:4433.
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// A configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Starts no assistant: none is wanted, or it runs elsewhere.
    #[arg(long)]
    pub no_assistant: bool,
    /// Prints JSON instead of plain lines on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `assistant`.
#[derive(Debug, Args)]
pub struct AssistantArgs {
    /// The assistant's own directory, with its keys; made when absent.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// A configuration file; its `assistant` section counts.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// At the first start, the invite that `mathia-server invite` printed; `-` reads it from stdin.
    #[arg(long, value_name = "LINK|-")]
    pub join: Option<String>,
    /// The server's address, where it is another than at the first start.
    #[arg(long, value_name = "HOST:PORT")]
    pub server: Option<String>,
    /// Ends when standard input closes, as a child of `serve` does.
    #[arg(long, hide = true)]
    pub supervised: bool,
}

/// Arguments of `invite`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct InviteArgs {
    /// List or revoke instead of making one.
    #[command(subcommand)]
    pub verb: Option<InviteVerb>,
    /// The data directory.
    #[arg(long, value_name = "DIR", required = true)]
    pub data: Option<PathBuf>,
    /// How many may use it.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub uses: u32,
    /// How long it lives: 30m, 12h, 7d.
    #[arg(long, default_value = "7d", value_parser = parse_duration)]
    pub expires: std::time::Duration,
    /// An open room the joiner may enter at once; may be repeated.
    #[arg(long, value_name = "OPENROOM")]
    pub room: Vec<String>,
    /// Prints one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What else can be done with invites.
#[derive(Debug, Subcommand)]
pub enum InviteVerb {
    /// Lists live invites.
    List {
        /// The data directory.
        #[command(flatten)]
        place: DataArgs,
    },
    /// Ends an invite, named by the identifier that `list` shows.
    Revoke {
        /// The identifier, or a unique beginning of it.
        id: String,
        /// The data directory.
        #[command(flatten)]
        place: DataArgs,
    },
}

/// Arguments of `user`.
#[derive(Debug, Args)]
pub struct UserArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: UserVerb,
}

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub enum UserVerb {
    /// Lists all accounts.
    List {
        /// The data directory.
        #[command(flatten)]
        place: DataArgs,
    },
    /// Ends an account's right to log in; what it wrote stays.
    Remove {
        /// Its name.
        name: String,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
        /// The data directory.
        #[command(flatten)]
        place: DataArgs,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn invites_are_made_without_a_verb_and_listed_with_one() {
        let cli = Cli::try_parse_from(["mathia-server", "invite", "--data", "/d", "--uses", "3"]);
        assert!(matches!(
            cli.unwrap().command,
            Command::Invite(InviteArgs { verb: None, uses: 3, .. })
        ));
        let cli = Cli::try_parse_from(["mathia-server", "invite", "list", "--data", "/d"]).unwrap();
        assert!(matches!(
            cli.command,
            Command::Invite(InviteArgs { verb: Some(InviteVerb::List { .. }), .. })
        ));
    }
}
