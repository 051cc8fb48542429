//! The interactive client on a real account: engine, drafts and joining for the screen.
//!
//! Owns the adapters between [`crate::app`]'s traits and the rest of the program. Draws nothing,
//! prints nothing: the screen has the terminal.

use std::io::IsTerminal as _;
use std::sync::Arc;

use jiff::tz::TimeZone;
use mathia_protocol::client::home::{Found, HomeError, Joined};
use mathia_protocol::client::{
    Client, ClientConfig, Command, CommandError, Done, Events, LoginError, RegisterError, Replica,
    TrustAsk,
};
use mathia_protocol::crypto::invite::Invite;
use mathia_protocol::crypto::recovery::RecoverySecret;
use mathia_protocol::id::{Hash, RoomId};
use mathia_protocol::wire::Fault;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::app::join::{JoinAsk, PendingJoin};
use crate::app::keymap::Keymap;
use crate::app::model::Me;
use crate::app::runtime::{self, Ending, Start, StartOptions};
use crate::app::session::{Drafts, Engine, JoinEnd, Joiner, PendingReply, Session};
use crate::app::stamp::TimeFormat;
use crate::app::theme::{Theme, Tone};
use crate::clock;
use crate::config::{Background, Config};
use crate::exit::{Exit, Failure};
use crate::known_servers::KnownServers;
use crate::paths::Paths;
use crate::registration::{self, JoinError};

/// Events on their way to the screen; the engine collapses what waits behind them.
const EVENTS_MAX: usize = 64;

/// Runs the interactive client of a profile; without an account it asks for link and name first.
/// `warnings` are shown on the screen when it begins.
///
/// # Errors
///
/// Exit 2 without a terminal that can be drawn on; others as the files of the profile say.
pub async fn run(
    paths: Paths,
    config: &Config,
    keymap: Keymap,
    warnings: Vec<String>,
) -> Result<(), Failure> {
    check_terminal()?;
    let mut drafts = Vec::new();
    let start = match paths.home().find()? {
        Found::Joined(profile) => {
            drafts = kept_drafts(&profile.replica)?;
            Start::Session(session(&paths, *profile)?)
        }
        Found::Nothing => {
            Start::FirstRun { joiner: Arc::new(ProfileJoiner { paths }), pending_join: None }
        }
        Found::Unfinished(unfinished, _) => {
            let name = unfinished.identity.handle;
            let pending_join = Some(PendingJoin { name, address: unfinished.address });
            Start::FirstRun { joiner: Arc::new(ProfileJoiner { paths }), pending_join }
        }
    };
    let (theme, follows_background) = theme(config.background);
    let options = StartOptions {
        start,
        time_format: TimeFormat { zone: TimeZone::system(), is_24h: config.is_24h },
        theme,
        follows_background,
        keymap,
        warnings,
        drafts,
    };
    match runtime::run(options).await {
        Ok(Ending::Quit) => Ok(()),
        Ok(Ending::Terminated) => Err(Failure::silent(Exit::Terminated)),
        Err(error) => {
            Err(Failure::new(Exit::Failed, format!("the terminal cannot be used: {error}")))
        }
    }
}

/// A terminal must be there, and be one in which a cursor can be placed.
fn check_terminal() -> Result<(), Failure> {
    let refused = |why| {
        Err(Failure::new(Exit::Usage, why)
            .hint("`mathia-tui tail` and `mathia-tui send` work anywhere; --help lists them all"))
    };
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return refused("the interactive client needs a terminal");
    }
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return refused("the interactive client cannot draw on a dumb terminal");
    }
    Ok(())
}

/// The looks, and whether they follow what the terminal says of its background.
fn theme(background: Background) -> (Theme, bool) {
    let mut theme = Theme::from_environment(|name| std::env::var(name).ok());
    match background {
        Background::Auto => return (theme, !theme.is_colorless()),
        Background::Dark => theme.tone = Tone::Dark,
        Background::Light => theme.tone = Tone::Light,
    }
    (theme, false)
}

fn kept_drafts(replica: &Replica) -> Result<Vec<(RoomId, String)>, Failure> {
    let mut drafts = Vec::new();
    for room in replica.rooms().map_err(HomeError::from)? {
        let text = replica.draft(room.room).map_err(HomeError::from)?;
        if !text.is_empty() {
            drafts.push((room.room, text));
        }
    }
    Ok(drafts)
}

fn session(paths: &Paths, profile: Joined) -> Result<Session, Failure> {
    let me = Me {
        account: profile.identity.account,
        handle: profile.identity.handle.clone(),
        workspace: profile.address.clone(),
    };
    let replica = profile.replica.clone();
    let keeper = paths.home().keeper();
    let mut config = ClientConfig::new(profile.address, profile.identity, keeper);
    config.ask = Some(Arc::new(KnownOnly { paths: paths.clone() }));
    let (client, events) = Client::start(config, profile.replica).map_err(|error| {
        Failure::new(Exit::Failed, format!("the client engine cannot start: {error}"))
    })?;
    let (sender, receiver) = mpsc::channel(EVENTS_MAX);
    tokio::spawn(forward(events, sender));
    Ok(Session {
        me,
        engine: Arc::new(RunningEngine(client)),
        events: receiver,
        drafts: Arc::new(KeptDrafts(replica)),
    })
}

async fn forward(mut events: Events, screen: mpsc::Sender<mathia_protocol::client::ClientEvent>) {
    while let Some(event) = events.next().await {
        if screen.send(event).await.is_err() {
            return;
        }
    }
}

struct RunningEngine(Client);

impl Engine for RunningEngine {
    fn command(&self, command: Command) -> PendingReply<Result<Done, CommandError>> {
        let client = self.0.clone();
        Box::pin(async move { client.run(command).await })
    }
}

struct KeptDrafts(Replica);

impl Drafts for KeptDrafts {
    fn save(&self, room: RoomId, text: String) -> PendingReply<()> {
        let replica = self.0.clone();
        Box::pin(async move {
            let saved = tokio::task::spawn_blocking(move || replica.put_draft(room, &text)).await;
            if !matches!(saved, Ok(Ok(()))) {
                tracing::warn!(room = room.short(), "a draft was not kept");
            }
        })
    }
}

/// Accepts a server key that this person accepted before, and no other: the screen cannot be asked
/// while the engine connects.
#[derive(Debug)]
struct KnownOnly {
    paths: Paths,
}

impl TrustAsk for KnownOnly {
    fn is_trusted(&self, address: &str, pin: Hash, _words: &str) -> bool {
        KnownServers::load(&self.paths).ok().and_then(|known| known.pin(address)) == Some(pin)
    }
}

/// Accepts the key whose fingerprint the person saw and answered with `yes`.
#[derive(Debug)]
struct AcceptedKey {
    known: KnownOnly,
    fingerprint: Option<String>,
}

impl TrustAsk for AcceptedKey {
    fn is_trusted(&self, address: &str, pin: Hash, words: &str) -> bool {
        self.fingerprint.as_deref() == Some(fingerprint(pin).as_str())
            || self.known.is_trusted(address, pin, words)
    }
}

/// A pin as people read it aloud: groups of four digits.
fn fingerprint(pin: Hash) -> String {
    let digits = pin.to_hex();
    let groups: Vec<&str> =
        digits.as_bytes().chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(" ")
}

/// What happened and what to do, as sentences for the first screen. A shell's words name options
/// and commands, which do not help there.
fn told(error: JoinError) -> String {
    let fault = match &error {
        JoinError::Register(RegisterError::Login(LoginError::Refused(fault))) => Some(fault),
        _ => None,
    };
    let words = match fault {
        Some(Fault::NameTaken) => "Somebody has this name. Take another; the link is still good.",
        Some(Fault::NameInvalid) => "The server does not take this name. Take another.",
        Some(Fault::InviteInvalid) => "This link is used up or too old. Ask for a new one.",
        Some(Fault::ServerBusy { .. } | Fault::Stopping | Fault::RateLimited { .. }) => {
            "The server is busy. Wait a moment, then press Enter again."
        }
        _ => return sentences(&error.into()),
    };
    words.to_owned()
}

/// A failure as sentences.
fn sentences(failure: &Failure) -> String {
    let sentence = |text: &str| {
        let mut chars = text.chars();
        let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
        let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
        format!("{first}{}{end}", chars.as_str())
    };
    let hint = failure.hint.as_deref().map(|hint| format!(" {}", sentence(hint)));
    format!("{}{}", sentence(&failure.message), hint.unwrap_or_default())
}

struct ProfileJoiner {
    paths: Paths,
}

impl Joiner for ProfileJoiner {
    fn join(&self, ask: JoinAsk) -> PendingReply<JoinEnd> {
        let paths = self.paths.clone();
        Box::pin(async move {
            match join(&paths, ask).await {
                Ok(end) => end,
                Err(failure) => JoinEnd::Failed { text: sentences(&failure), is_about_link: false },
            }
        })
    }
}

async fn join(paths: &Paths, ask: JoinAsk) -> Result<JoinEnd, Failure> {
    let trust =
        AcceptedKey { known: KnownOnly { paths: paths.clone() }, fingerprint: ask.accepted_server };
    let joined =
        registration::join(paths, &ask.link, ask.name, Arc::new(trust), clock::now()).await;
    let registered = match joined {
        Ok(registered) => registered,
        Err(error) => {
            if let Some((pin, _)) = error.unvouched() {
                let invite = ask.link.parse::<Invite>();
                let address = invite.map_or_else(|_| String::new(), |invite| invite.address());
                return Ok(JoinEnd::UnknownServer { address, fingerprint: fingerprint(pin) });
            }
            let is_about_link = error.is_about_link();
            return Ok(JoinEnd::Failed { text: told(error), is_about_link });
        }
    };
    let words = registered.identity.recovery.as_ref().map_or_else(Vec::new, |secret| {
        let words = RecoverySecret::from_bytes(secret).words();
        words.split_whitespace().map(|word| Zeroizing::new(word.to_owned())).collect()
    });
    Ok(JoinEnd::Joined { session: session(paths, paths.home().open()?)?, words })
}
