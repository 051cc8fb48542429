//! The server's program: reads the command line, does one thing, prints what it promises.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use mathia_server::admin::socket::AdminRequest;
use mathia_server::assistant::assistant;
use mathia_server::cli::{Cli, Command, InviteArgs, InviteVerb, UserArgs, UserVerb};
use mathia_server::command::CommandError;
use mathia_server::config::Config;
use mathia_server::error_text::with_causes;
use mathia_server::program::{administer, serve};
use mathia_server::{EXIT_CONFIG, EXIT_FAILED, VERSION};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(Err(CommandError::new(EXIT_FAILED, error.to_string(), ""))),
    };
    end(runtime.block_on(run(cli.command)))
}

fn end(result: Result<(), CommandError>) -> ExitCode {
    let Err(CommandError { code, error, hint }) = result else { return ExitCode::SUCCESS };
    let mut err = io::stderr().lock();
    // Nobody is left to report to that standard error is closed.
    drop(writeln!(err, "error: {error}"));
    if !hint.is_empty() {
        drop(writeln!(err, "hint: {hint}"));
    }
    ExitCode::from(code)
}

async fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Serve(args) => serve(args).await,
        Command::Assistant(args) => assistant(args).await,
        Command::Invite(args) => invite(args).await,
        Command::User(args) => user(args).await,
        Command::RotateKeys { place } => {
            let lines = administer(&place.data, AdminRequest::RotateKeys).await?;
            print(&lines, place.json, |line| {
                format!("{} open rooms have a new key, the old ones are kept", line["rooms"])
            })
        }
        Command::Backup { file, place } => {
            let file = std::path::absolute(&file)
                .map_err(|error| CommandError::new(EXIT_FAILED, error.to_string(), ""))?;
            let lines = administer(&place.data, AdminRequest::Backup { file }).await?;
            print(&lines, place.json, |line| {
                let number = |key: &str| line[key].as_u64().unwrap_or(0);
                format!(
                    "verified copy of {} rooms with {} entries, {} bytes\n\
                     keep storage.key beside it, elsewhere than the server",
                    number("rooms"),
                    number("entries"),
                    number("bytes")
                )
            })
        }
        Command::Status { place } => {
            let lines = administer(&place.data, AdminRequest::Status).await?;
            print(&lines, place.json, status_text)
        }
        Command::CheckConfig { file, json } => check_config(&file, json),
        Command::Version { json } => print(
            &[json!({"v": 1, "type": "version", "version": VERSION, "protocol": "mathia/1"})],
            json,
            |_| format!("mathia-server {VERSION}, protocol mathia/1"),
        ),
    }
}

async fn invite(args: InviteArgs) -> Result<(), CommandError> {
    match args.verb {
        None => {
            // The command line requires it where there is no verb.
            let data = args.data.unwrap_or_default();
            let request = AdminRequest::Invite {
                uses: args.uses,
                lifetime_s: args.expires.as_secs(),
                rooms: args.room,
            };
            print(&administer(&data, request).await?, args.json, |line| text(line, "link"))
        }
        Some(InviteVerb::List { place }) => {
            let lines = administer(&place.data, AdminRequest::InviteList).await?;
            print(&lines, place.json, |line| {
                format!(
                    "{}  {} uses left, until {}, by {}",
                    text(line, "id"),
                    line["uses_left"],
                    text(line, "expires"),
                    text(line, "made_by")
                )
            })
        }
        Some(InviteVerb::Revoke { id, place }) => {
            let lines = administer(&place.data, AdminRequest::InviteRevoke { id }).await?;
            print(&lines, place.json, |line| format!("revoked {}", text(line, "id")))
        }
    }
}

async fn user(args: UserArgs) -> Result<(), CommandError> {
    match args.verb {
        UserVerb::List { place } => {
            let lines = administer(&place.data, AdminRequest::UserList).await?;
            print(&lines, place.json, |line| {
                let removed = if line["removed"] == json!(true) { "  removed" } else { "" };
                format!(
                    "{:20} {:6} since {}, last seen {}{removed}",
                    text(line, "name"),
                    text(line, "kind"),
                    text(line, "created"),
                    text(line, "last_seen")
                )
            })
        }
        UserVerb::Remove { name, yes, place } => {
            if !yes && !confirmed(&name)? {
                return Err(CommandError::new(EXIT_FAILED, "nothing was removed", ""));
            }
            let lines = administer(&place.data, AdminRequest::UserRemove { name }).await?;
            print(&lines, place.json, |line| format!("{} can no longer log in", text(line, "name")))
        }
    }
}

/// Lets the operator type the name again.
fn confirmed(name: &str) -> Result<bool, CommandError> {
    use std::io::IsTerminal as _;
    if !io::stdin().is_terminal() {
        return Err(CommandError::new(
            2,
            "this asks on a terminal",
            "give --yes to remove without asking",
        ));
    }
    let failed = |error: io::Error| CommandError::new(EXIT_FAILED, error.to_string(), "");
    write!(io::stderr(), "{name} will be logged out for good. Type the name to go on: ")
        .map_err(failed)?;
    let mut typed = String::new();
    io::stdin().read_line(&mut typed).map_err(failed)?;
    Ok(typed.trim() == name)
}

fn check_config(file: &Path, as_json: bool) -> Result<(), CommandError> {
    Config::read(file).map_err(|error| CommandError::new(EXIT_CONFIG, with_causes(&error), ""))?;
    let line = json!({"v": 1, "type": "config", "file": file, "ok": true});
    print(&[line], as_json, |_| format!("{} is a valid configuration", file.display()))
}

fn status_text(line: &Value) -> String {
    let head = if line["running"] == json!(true) {
        format!(
            "running since {} on {}, {} sessions",
            text(line, "started"),
            text(line, "listening"),
            line["sessions"]
        )
    } else {
        "not running".to_owned()
    };
    let damage = match line["damage_found"].as_u64() {
        None | Some(0) => String::new(),
        Some(n_found) => format!("\ndamaged data was met {n_found} times: see the log"),
    };
    format!(
        "{head}\n{} accounts, {} rooms, {} entries, {} scheduled{damage}\nversion {}",
        line["accounts"],
        line["rooms"],
        line["entries"],
        line["schedules"],
        text(line, "version")
    )
}

fn text(line: &Value, key: &str) -> String {
    line[key].as_str().unwrap_or_default().to_owned()
}

/// Prints lines as JSON or as text; a reader who has gone is success.
fn print(
    lines: &[Value],
    as_json: bool,
    as_text: impl Fn(&Value) -> String,
) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    for line in lines {
        let line = if as_json { line.to_string() } else { as_text(line) };
        match writeln!(out, "{line}") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => {
                written.map_err(|error| CommandError::new(EXIT_FAILED, error.to_string(), ""))?;
            }
        }
    }
    Ok(())
}
