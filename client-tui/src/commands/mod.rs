//! The commands: one file per noun, each a thin face of the engine.
//!
//! Owns what a command prints and with which code it ends. A face never sees keys or frames; it
//! asks the engine, waits with a deadline, and writes through [`Output`].

mod account;
mod ask;
mod config;
mod doctor;
mod history;
mod invite;
mod join;
mod outbox;
mod people;
mod prompt;
mod react;
mod resolve;
mod room;
mod rooms;
mod send;
mod session;
mod tail;
mod trust;

pub use prompt::Prompt;

use clap::CommandFactory as _;
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, ConfigVerb, DeviceVerb, KeyVerb, OutboxVerb, Verb};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::paths::Paths;

/// Everything a command may use besides its arguments.
#[derive(Debug)]
pub struct CommandContext<'a> {
    /// Where data and talk go.
    pub out: Output<'a>,
    /// The places of the profile.
    pub paths: Paths,
    /// What the person configured.
    pub config: Config,
    /// What is wrong with the configuration; it was told already.
    pub warnings: Vec<String>,
    /// What may be asked, and what is answered already.
    pub prompt: Prompt,
    /// Cancelled when the process should end (SIGINT, SIGTERM).
    pub stop: CancellationToken,
}

/// Runs one command to its end.
///
/// # Errors
///
/// A [`Failure`] with the exit code and what to say.
pub async fn run(verb: Verb, context: &mut CommandContext<'_>) -> Result<(), Failure> {
    match verb {
        Verb::Join { link, name } => join::run(context, &link, name).await,
        Verb::Invite { rooms, uses, expires } => invite::run(context, &rooms, uses, expires).await,
        Verb::Whoami => account::whoami(context),
        Verb::People => people::list(context).await,
        Verb::Rooms => rooms::list(context).await,
        Verb::Lobby => rooms::lobby(context).await,
        Verb::Devices => account::devices(context).await,
        Verb::Key(KeyVerb::Show) => account::show_words(context),
        Verb::Logout => account::logout(context),
        Verb::Room(verb) => room::run(context, verb).await,
        Verb::Dm { person, text } => send::direct(context, &person, text).await,
        Verb::Send { room, text } => send::run(context, &room, text).await,
        Verb::React { room, seq, emoji, remove } => {
            let args = react::ReactArgs { room, target: seq, emoji, is_removed: remove };
            react::run(context, args).await
        }
        Verb::Ask { room, text, context: n_context, reply, timeout } => {
            let args = ask::AskArgs { room, text, n_context, quoted: reply, timeout };
            ask::run(context, args).await
        }
        Verb::Usage { room } => ask::usage(context, room).await,
        Verb::Schedule { room, when, text } => send::schedule(context, &room, &when, text).await,
        Verb::History { room, count, before } => history::run(context, &room, count, before).await,
        Verb::Tail { rooms, since, count, timeout } => {
            tail::run(context, tail::TailArgs { rooms, since, count, timeout }).await
        }
        Verb::Read { room } => rooms::mark_read(context, &room).await,
        Verb::Device(DeviceVerb::Revoke { device }) => account::revoke(context, &device).await,
        Verb::Safety { person, verified } => people::safety(context, &person, verified).await,
        Verb::Outbox(OutboxVerb::List) => outbox::list(context),
        Verb::Outbox(OutboxVerb::Withdraw { id }) => outbox::withdraw(context, id).await,
        Verb::Trust { replace } => trust::run(context, replace.as_deref()),
        Verb::Config(ConfigVerb::Check) => config::check(context),
        Verb::Config(ConfigVerb::Show) => config::show(context),
        Verb::Doctor => doctor::run(context).await,
        Verb::Completions { shell } => completions(context, shell),
    }
}

fn completions(
    context: &mut CommandContext<'_>,
    shell: clap_complete::Shell,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mathia-tui", &mut script);
    context.out.raw(&script)
}

/// The failure of something that should not happen: the engine answered another question.
fn out_of_turn() -> Failure {
    Failure::new(Exit::Failed, "the client engine answered something else than was asked")
}
