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
mod line;
mod outbox;
mod people;
mod prompt;
mod resolve;
mod room;
mod rooms;
mod send;
mod session;
mod tail;
#[cfg(test)]
mod testing;
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
pub struct Call<'a> {
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
pub async fn run(verb: Verb, call: &mut Call<'_>) -> Result<(), Failure> {
    match verb {
        Verb::Join { link, name } => join::run(call, &link, name).await,
        Verb::Invite { rooms, uses, expires } => invite::run(call, &rooms, uses, expires).await,
        Verb::Whoami => account::whoami(call),
        Verb::People => people::list(call).await,
        Verb::Rooms => rooms::list(call).await,
        Verb::Lobby => rooms::lobby(call).await,
        Verb::Devices => account::devices(call).await,
        Verb::Key(KeyVerb::Show) => account::show_words(call),
        Verb::Logout => account::logout(call),
        Verb::Room(verb) => room::run(call, verb).await,
        Verb::Dm { person, text } => send::direct(call, &person, text).await,
        Verb::Send { room, text } => send::run(call, &room, text).await,
        Verb::Ask { room, text, context, reply, timeout } => {
            let n_context = context;
            ask::run(call, ask::Wish { room, text, n_context, quoted: reply, timeout }).await
        }
        Verb::Usage { room } => ask::usage(call, room).await,
        Verb::Schedule { room, when, text } => send::schedule(call, &room, &when, text).await,
        Verb::History { room, count, before } => history::run(call, &room, count, before).await,
        Verb::Tail { rooms, since, count, timeout } => {
            tail::run(call, tail::Wish { rooms, since, count, timeout }).await
        }
        Verb::Read { room } => rooms::mark_read(call, &room).await,
        Verb::Device(DeviceVerb::Revoke { device }) => account::revoke(call, &device).await,
        Verb::Safety { person, verified } => people::safety(call, &person, verified).await,
        Verb::Outbox(OutboxVerb::List) => outbox::list(call),
        Verb::Outbox(OutboxVerb::Withdraw { id }) => outbox::withdraw(call, id).await,
        Verb::Trust { replace } => trust::run(call, replace.as_deref()),
        Verb::Config(ConfigVerb::Check) => config::check(call),
        Verb::Config(ConfigVerb::Show) => config::show(call),
        Verb::Doctor => doctor::run(call).await,
        Verb::Completions { shell } => completions(call, shell),
    }
}

fn completions(call: &mut Call<'_>, shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mathia-tui", &mut script);
    call.out.raw(&script)
}

/// The failure of something that should not happen: the engine answered another question.
fn out_of_turn() -> Failure {
    Failure::new(Exit::Failed, "the client engine answered something else than was asked")
}
