//! The `assistant` command: the agent's process, alone or as a child of `serve`.
//!
//! Owns the process: its identity's lock, its start, and its end with whoever started it. Prints
//! `ready` once the agent is there, and nothing else.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::client::home::{
    Found, Home, HomeError, HomeJoinError, Joined, KeyLock, make_private_dir, open_private,
    read_private,
};
use mathia_protocol::client::{
    Applicant, Client, ClientConfig, Clock as _, NewCard, Replica, SystemClock, Visit,
};
use mathia_protocol::crypto::invite::Invite;
use mathia_protocol::crypto::user_link::{AccountKind, DeviceLabel};
use mathia_protocol::limits::DEVICE_NAME_LEN_MAX;
use mathia_protocol::name::Handle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::info;
use zeroize::Zeroizing;

use super::agent::{Agent, Parts};
use super::provider::{Provider, connect};
use crate::cli::AssistantArgs;
use crate::command::{CommandError, load_config};
use crate::config::AssistantSettings;
use crate::error_text::with_causes;
use crate::{EXIT_CONFIG, EXIT_FAILED};

/// The file beside the keys in which `serve` leaves the invite of its assistant.
pub const INVITE_FILE: &str = "invite.link";
/// Longest invite line, in bytes: a host name and four parts.
const LINK_LEN_MAX: usize = 1_024;
/// How long a child waits for the one before it to end: that one's server was killed, and it is
/// about to notice.
const PREDECESSOR_PATIENCE: Duration = Duration::from_secs(4);
/// How often it looks.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// How long the agent waits for its server's answer to a command.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the agent until it is told to stop.
///
/// # Errors
///
/// [`CommandError`] with 78 for a bad configuration, 4 without an account, 1 for everything else.
pub async fn assistant(args: AssistantArgs) -> Result<(), CommandError> {
    let config = load_config(args.config.as_deref())?;
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(std::path::PathBuf::from);
    let provider = connect(&config.assistant, credentials.as_deref()).map_err(|error| {
        CommandError::new(
            EXIT_CONFIG,
            with_causes(&error),
            "mathia-server check-config FILE checks it",
        )
    })?;
    let home = Home::at(args.data.clone());
    let patience = if args.supervised { PREDECESSOR_PATIENCE } else { Duration::ZERO };
    let _lock = identity_lock(&home, patience).await?;
    let card = card(provider.as_ref(), &config.assistant);
    let joined = join_or_open(&home, args.join.as_deref(), &card.operator).await?;
    let address = args.server.unwrap_or_else(|| joined.address.clone());
    let stop = CancellationToken::new();
    tokio::spawn(stop_when_told(args.supervised, stop.clone()));
    let work =
        Work { provider: provider.into(), card, key_patience: config.assistant.key_patience };
    run(joined, &home, address, work, stop).await
}

/// What the agent does, by its configuration.
struct Work {
    provider: Arc<dyn Provider>,
    card: NewCard,
    key_patience: Duration,
}

async fn run(
    joined: Joined,
    home: &Home,
    address: String,
    work: Work,
    stop: CancellationToken,
) -> Result<(), CommandError> {
    let Work { provider, card, key_patience } = work;
    let failed =
        |error: &dyn std::fmt::Display| CommandError::new(EXIT_FAILED, error.to_string(), "");
    let account = joined.identity.account;
    let replica: Replica = joined.replica;
    let mut client_config = ClientConfig::new(address, joined.identity, home.keeper());
    client_config.patience = PATIENCE;
    let (client, events) =
        Client::start(client_config, replica.clone()).map_err(|error| failed(&error))?;
    let clock = Arc::new(SystemClock);
    let parts = Parts { client, replica, provider, account, card, clock, key_patience };
    let agent = Agent::new(parts).map_err(|error| failed(&error))?;
    let ready = || {
        let mut out = std::io::stdout().lock();
        // Nobody may be listening: the agent works all the same.
        drop(writeln!(out, "ready").and_then(|()| out.flush()));
    };
    agent.run(events, ready, stop).await.map_err(|cause| {
        CommandError::new(EXIT_FAILED, format!("the assistant cannot go on: {cause}"), "")
    })
}

/// What the agent says of itself, by its configuration.
fn card(provider: &dyn Provider, settings: &AssistantSettings) -> NewCard {
    let source = provider.source();
    NewCard {
        provider: source.host.clone(),
        model: source.model.clone(),
        is_local: source.is_local,
        operator: settings.operator.clone().unwrap_or_default(),
    }
}

/// Held as long as the agent lives: two with one identity would answer everything twice.
async fn identity_lock(home: &Home, patience: Duration) -> Result<File, CommandError> {
    let failed =
        |error: &dyn std::error::Error| CommandError::new(EXIT_FAILED, with_causes(error), "");
    make_private_dir(home.dir()).map_err(|error| failed(&error))?;
    let path = home.dir().join("agent.lock");
    let file = open_private(&path).map_err(|error| failed(&error))?;
    let deadline = Instant::now() + patience;
    let mut locked = file.try_lock();
    while matches!(locked, Err(TryLockError::WouldBlock)) && Instant::now() < deadline {
        sleep(LOOK_PAUSE).await;
        locked = file.try_lock();
    }
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CommandError::new(
            EXIT_FAILED,
            format!("another assistant runs with the identity in {}", home.dir().display()),
            "stop that one, or give this one a directory of its own",
        )),
        Err(TryLockError::Error(error)) => Err(failed(&error)),
    }
}

/// Opens the agent's account; makes it by the invite first, where there is none.
async fn join_or_open(
    home: &Home,
    link: Option<&str>,
    operator: &str,
) -> Result<Joined, CommandError> {
    let failed =
        |error: &dyn std::error::Error| CommandError::new(EXIT_FAILED, with_causes(error), "");
    if let Found::Joined(joined) = home.find().map_err(|error| failed(&error))? {
        return Ok(*joined);
    }
    let left = home.dir().join(INVITE_FILE);
    let link = match link {
        Some("-") => read_line().await?,
        Some(link) => Zeroizing::new(link.to_owned()),
        None => left_invite(&left)?,
    };
    join(home, &link, operator).await?;
    // It is used up; nobody can join with it again.
    drop(std::fs::remove_file(&left));
    home.open().map_err(|error: HomeError| failed(&error))
}

fn left_invite(path: &Path) -> Result<Zeroizing<String>, CommandError> {
    let bytes = read_private(path)
        .map_err(|error| CommandError::new(EXIT_FAILED, with_causes(&error), ""))?
        .ok_or_else(|| {
            CommandError::new(
                4,
                "this assistant has no account yet",
                "make an invite with `mathia-server invite --data DIR` and give it with --join -",
            )
        })?;
    let text = Zeroizing::new(String::from_utf8_lossy(&Zeroizing::new(bytes)).into_owned());
    Ok(Zeroizing::new(text.trim().to_owned()))
}

async fn join(home: &Home, link: &str, operator: &str) -> Result<(), CommandError> {
    let invite: Invite = link.parse().map_err(|error| {
        CommandError::new(
            2,
            with_causes(&error),
            "the whole line that `mathia-server invite` printed",
        )
    })?;
    let lock = KeyLock::take(home)
        .map_err(|error| CommandError::new(EXIT_FAILED, with_causes(&error), ""))?;
    let address = invite.address();
    let visit = Visit::begin(invite, None).await.map_err(|error| {
        CommandError::new(EXIT_FAILED, with_causes(&error), "is the server running?")
    })?;
    let label = DeviceLabel {
        name: device_name(),
        os: std::env::consts::OS.to_owned(),
        created: SystemClock.now(),
    };
    let applicant = Applicant {
        handle: Handle::ASSISTANT.parse().expect("the assistant's name is a handle"),
        label,
        kind: AccountKind::Agent,
        operator: operator.to_owned(),
    };
    let registered = home.join(&lock, visit, &address, applicant).await.map_err(|error| {
        let hint = match &error {
            HomeJoinError::Register(_) => {
                "it needs an invite that the server made, and the name mathia must be free"
            }
            _ => "",
        };
        CommandError::new(EXIT_FAILED, with_causes(&error), hint)
    })?;
    info!(account = registered.identity.account.short(), "the assistant has an account");
    Ok(())
}

/// What people see its device called: the machine's name.
fn device_name() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = name.trim();
    let name = if name.is_empty() { "assistant" } else { name };
    let end = name.floor_char_boundary(DEVICE_NAME_LEN_MAX);
    name[..end].chars().filter(|c| !c.is_control()).collect()
}

async fn read_line() -> Result<Zeroizing<String>, CommandError> {
    let failed =
        |error: &dyn std::fmt::Display| CommandError::new(EXIT_FAILED, error.to_string(), "");
    let read = tokio::task::spawn_blocking(|| {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LINK_LEN_MAX));
        std::io::stdin().take(LINK_LEN_MAX as u64).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    });
    let bytes = read.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).trim().to_owned()))
}

/// Stops on a signal, and as a child when standard input closes: then the parent is gone.
async fn stop_when_told(is_supervised: bool, stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};

    if is_supervised {
        let orphaned = stop.clone();
        // A thread of its own: the end of the process need not wait for it.
        std::thread::spawn(move || {
            let mut rest = [0; 64];
            // An error means the same as the end: nobody is there.
            while std::io::stdin().read(&mut rest).is_ok_and(|n_bytes| n_bytes > 0) {}
            orphaned.cancel();
        });
    }
    if let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        stop.cancel();
    }
}
