//! The mathia terminal client: parses the command line, runs one command, ends with its exit code.
//!
//! Owns the process: signals, the log file, the async runtime. Decides nothing else.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use clap::Parser as _;
use mathia_protocol::client::home::{make_private_dir, open_private};
use mathia_tui::app::keymap::Keymap;
use mathia_tui::cli::Cli;
use mathia_tui::commands::{self, CommandContext, Prompt};
use mathia_tui::config::Config;
use mathia_tui::exit::{Exit, Failure};
use mathia_tui::interactive;
use mathia_tui::output::Output;
use mathia_tui::paths::Paths;
use mathia_tui::verbs::Invocation;
use tokio_util::sync::CancellationToken;

/// How long a command may take to end in good order after a signal.
const STOP_PATIENCE: Duration = Duration::from_secs(4);

/// A log longer than this, in bytes, is put aside at the next start.
const LOG_LEN_MAX: u64 = 10 * 1024 * 1024;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout, mistakes to stderr; a closed pipe is nobody's loss.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut out = Output::process(cli.global.json);
    match run(cli, &mut out) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            out.failure(&failure);
            failure.exit.into()
        }
    }
}

fn run(cli: Cli, out: &mut Output<'_>) -> Result<(), Failure> {
    let paths = Paths::find(|name| std::env::var_os(name), cli.global.profile.as_deref())?;
    let usual = paths.config_file();
    let named = cli.global.config.as_deref();
    let (config, mut warnings) = Config::load(named.unwrap_or(&usual), named.is_some())?;
    let (keymap, about_keys) = Keymap::configured(&config.keys);
    if matches!(cli.invocation, None | Some(Invocation::CheckConfig | Invocation::ShowConfig)) {
        // Nobody presses a key in the other commands.
        warnings.extend(about_keys);
    }
    for warning in &warnings {
        out.report(&format!("warning: configuration: {warning}"));
    }
    if let Some(filter) = std::env::var("MATHIA_LOG").ok().filter(|filter| !filter.is_empty()) {
        start_log(&paths.log_file(), &filter)?;
    }
    let Some(invocation) = cli.invocation else {
        return with_runtime(|| interactive::run(paths, &config, keymap, warnings));
    };
    let context = CommandContext {
        out: Output::process(cli.global.json),
        paths,
        config,
        warnings,
        prompt: Prompt::process(cli.global.yes, cli.global.no_input),
        stop: CancellationToken::new(),
    };
    run_command(invocation, context)
}

/// Runs something on an async runtime of its own.
fn with_runtime<F: Future<Output = Result<(), Failure>>>(
    work: impl FnOnce() -> F,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("no runtime: {error}")))?;
    let outcome = runtime.block_on(work());
    // A thread that still reads a silent stdin is left behind.
    runtime.shutdown_background();
    outcome
}

/// Runs one command, and lets SIGINT and SIGTERM end it.
fn run_command(invocation: Invocation, mut context: CommandContext<'_>) -> Result<(), Failure> {
    let patience = stop_patience(&invocation);
    with_runtime(|| async move {
        let stop = context.stop.clone();
        let signal = Arc::new(AtomicU8::new(0));
        tokio::spawn(watch_signals(stop.clone(), Arc::clone(&signal)));
        let outcome = tokio::select! {
            outcome = commands::run(invocation, &mut context) => outcome,
            () = overdue(&stop, patience) => Err(Failure::silent(Exit::Interrupted)),
        };
        outcome.map_err(|mut failure| {
            // A command knows that it was interrupted; which signal it was is known here.
            if failure.exit == Exit::Interrupted && signal.load(Ordering::Relaxed) == TERM {
                failure.exit = Exit::Terminated;
            }
            failure
        })
    })
}

const INT: u8 = 2;
const TERM: u8 = 15;

async fn watch_signals(stop: CancellationToken, signal: Arc<AtomicU8>) {
    let got = next_signal().await;
    signal.store(got, Ordering::Relaxed);
    stop.cancel();
}

#[cfg(unix)]
async fn next_signal() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => INT,
            _ = terminate.recv() => TERM,
        },
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn next_signal() -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => INT,
        Err(_) => std::future::pending().await,
    }
}

/// Passes when a signal came and the command did not end by itself in time.
async fn overdue(stop: &CancellationToken, patience: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(patience).await;
}

/// Those that have something to take back or to close get time for it; the rest ends at once.
fn stop_patience(invocation: &Invocation) -> Duration {
    match invocation {
        Invocation::Send(_) | Invocation::Direct(_) | Invocation::Tail(_) => STOP_PATIENCE,
        _ => Duration::ZERO,
    }
}

/// Sends the log to a file of the owner alone. It never holds texts, names or keys.
fn start_log(path: &Path, filter: &str) -> Result<(), Failure> {
    use tracing_subscriber::EnvFilter;

    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::new(Exit::BadConfig, format!("MATHIA_LOG is no log filter: {error}"))
            .hint("write for example MATHIA_LOG=info or MATHIA_LOG=mathia_protocol=debug")
    })?;
    if let Some(dir) = path.parent() {
        make_private_dir(dir)?;
    }
    // One older file is kept: a log never fills the disk.
    if std::fs::metadata(path).is_ok_and(|meta| meta.len() > LOG_LEN_MAX) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    let file = open_private(path)?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::sync::Mutex::new(file))
        .init();
    Ok(())
}
