//! The commands: one file per noun, each a thin layer over the engine.
//!
//! Owns what a command prints and with which code it ends. A command never sees keys or frames; it
//! asks the engine, waits with a deadline, and writes through [`crate::output::Output`].

mod account;
mod ask;
mod config;
mod context;
mod doctor;
mod history;
mod invite;
mod join;
mod outbox;
mod people;
mod prompt;
mod resolve;
mod room;
mod rooms;
mod send;
mod session;
mod tail;
mod trust;

pub use context::CommandContext;
pub use prompt::Prompt;

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::exit::Failure;
use crate::verbs::Invocation;

/// Runs one command to its end.
///
/// # Errors
///
/// A [`Failure`] with the exit code and what to say.
pub async fn run(invocation: Invocation, context: &mut CommandContext<'_>) -> Result<(), Failure> {
    match invocation {
        Invocation::Register(args) => join::run(context, &args.link, args.name).await,
        Invocation::Invite(args) => invite::run(context, &args).await,
        Invocation::Whoami => account::whoami(context),
        Invocation::People => people::list(context).await,
        Invocation::Rooms => rooms::list(context).await,
        Invocation::Lobby => rooms::lobby(context).await,
        Invocation::Devices => account::devices(context).await,
        Invocation::RevokeDevice(args) => account::revoke(context, &args.device).await,
        Invocation::ShowWords => account::show_words(context),
        Invocation::Logout => account::logout(context),
        Invocation::Room(room) => room::run(context, room).await,
        Invocation::Direct(args) => send::direct(context, args).await,
        Invocation::Send(args) => send::run(context, args).await,
        Invocation::Ask(args) => ask::run(context, args).await,
        Invocation::Usage(args) => ask::usage(context, args.room).await,
        Invocation::Schedule(args) => send::schedule(context, args).await,
        Invocation::History(args) => history::run(context, &args).await,
        Invocation::Tail(args) => tail::run(context, args).await,
        Invocation::MarkRead(args) => rooms::mark_read(context, &args.room).await,
        Invocation::Safety(args) => people::safety(context, &args.person, args.verified).await,
        Invocation::ListOutbox => outbox::list(context),
        Invocation::Withdraw(args) => outbox::withdraw(context, args.id).await,
        Invocation::Trust(args) => trust::run(context, args.replace.as_deref()),
        Invocation::CheckConfig => config::check(context),
        Invocation::ShowConfig => config::show(context),
        Invocation::Doctor => doctor::run(context).await,
        Invocation::Completions(args) => completions(context, args.shell),
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
