//! Opens the profile, or asks for link and name, and runs the interactive client over it.

use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;
use mathia_protocol::client::{Client, ClientConfig, TrustAsk};
use mathia_protocol::crypto::invite::Invite;
use mathia_protocol::crypto::recovery::RecoverySecret;
use mathia_protocol::id::Hash;
use zeroize::Zeroizing;

use super::engine::ReplicaDrafts;
use super::join::JoinAsk;
use super::keymap::Keymap;
use super::model::Me;
use super::runtime::{self, Begin, Ending, From};
use super::session::{JoinEnd, Joiner, Pending, Session};
use super::theme::Theme;
use crate::clock;
use crate::enrol::{self, JoinError};
use crate::exit::{Exit, Failure};
use crate::known_servers::KnownServers;
use crate::paths::Paths;
use crate::profile::{Found, Profile};

/// Runs the interactive client until the person quits.
///
/// # Errors
///
/// A [`Failure`] if the profile or the terminal cannot be used; exit 143 after a signal.
pub async fn run(paths: Paths) -> Result<(), Failure> {
    let (from, drafts) = match Profile::find(&paths)? {
        Found::Joined(profile) => {
            let drafts = ReplicaDrafts(profile.replica.clone()).load().unwrap_or_else(|error| {
                tracing::warn!(%error, "drafts cannot be read");
                Vec::new()
            });
            (From::Session(open(*profile)?), drafts)
        }
        Found::Nothing | Found::Unfinished(..) => {
            (From::FirstStart { joiner: Arc::new(Newcomer { paths }), link: None }, Vec::new())
        }
    };
    let begin = Begin {
        from,
        zone: TimeZone::system(),
        theme: Theme::from_environment(|name| std::env::var(name).ok()),
        keymap: Keymap::default(),
        drafts,
    };
    match runtime::run(begin).await {
        Ok(Ending::Quit) => Ok(()),
        Ok(Ending::Terminated) => Err(Failure::silent(Exit::Terminated)),
        Err(error) => {
            let text = format!("the terminal cannot be used: {error}");
            Err(Failure::new(Exit::Failed, text).hint("commands work without one: mathia-tui help"))
        }
    }
}

/// Starts the engine of a profile.
fn open(profile: Profile) -> Result<Session, Failure> {
    let me = Me {
        account: profile.identity.account,
        handle: profile.identity.handle.clone(),
        workspace: host(&profile.address).to_owned(),
    };
    let ask = Vouching { paths: profile.paths.clone(), accepted: None };
    let keeper = Profile::keeper(&profile.paths);
    let mut config = ClientConfig::new(profile.address, profile.identity, keeper);
    config.ask = Some(Arc::new(ask));
    let drafts = Arc::new(ReplicaDrafts(profile.replica.clone()));
    let (client, events) = Client::start(config, profile.replica).map_err(|error| {
        Failure::new(Exit::Failed, format!("the client engine cannot start: {error}"))
    })?;
    Ok(Session { me, engine: Arc::new(client), events: Box::new(events), drafts })
}

/// The host of `host:port`: what the workspace is called until it has a name of its own.
fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// Vouches for a server's key: the one that was pinned before, or the one a person accepted.
struct Vouching {
    paths: Paths,
    /// The words of the key that was accepted.
    accepted: Option<String>,
}

impl fmt::Debug for Vouching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vouching").finish_non_exhaustive()
    }
}

impl TrustAsk for Vouching {
    fn is_trusted(&self, address: &str, pin: Hash, words: &str) -> bool {
        let known = KnownServers::load(&self.paths).ok().and_then(|known| known.pin(address));
        match known {
            // A key that was pinned is never replaced by a yes.
            Some(known) => known == pin,
            None => self.accepted.as_deref() == Some(words),
        }
    }
}

/// Makes an account with a profile.
struct Newcomer {
    paths: Paths,
}

impl Joiner for Newcomer {
    fn join(&self, ask: JoinAsk) -> Pending<'static, JoinEnd> {
        Box::pin(join(self.paths.clone(), ask))
    }
}

async fn join(paths: Paths, ask: JoinAsk) -> JoinEnd {
    let vouching = Arc::new(Vouching { paths: paths.clone(), accepted: ask.accepted_server });
    let registered = match enrol::join(&paths, &ask.link, ask.name, vouching, clock::now()).await {
        Ok(registered) => registered,
        Err(error) => return refused(error, &ask.link),
    };
    let words = registered.identity.recovery.as_ref().map(|secret| {
        let words = RecoverySecret::from_bytes(secret).words();
        words.split_whitespace().map(|word| Zeroizing::new(word.to_owned())).collect()
    });
    match Profile::open(&paths).map_err(Failure::from).and_then(open) {
        Ok(session) => JoinEnd::Joined { session, words: words.unwrap_or_default() },
        Err(failure) => JoinEnd::Failed { text: sentences(&failure), is_about_name: false },
    }
}

fn refused(error: JoinError, link: &str) -> JoinEnd {
    if let Some((_, words)) = error.unvouched() {
        let address = link.parse::<Invite>().map(|invite| invite.address()).unwrap_or_default();
        return JoinEnd::UnknownServer { address, fingerprint: words.to_owned() };
    }
    let is_about_name = error.is_about_name();
    JoinEnd::Failed { text: sentences(&Failure::from(error)), is_about_name }
}

/// What happened and what to do, as sentences.
fn sentences(failure: &Failure) -> String {
    let sentence = |text: &str| {
        let mut chars = text.chars();
        let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
        format!("{first}{}.", chars.as_str())
    };
    match &failure.hint {
        Some(hint) => format!("{} {}", sentence(&failure.message), sentence(hint)),
        None => sentence(&failure.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_becomes_sentences() {
        let failure = Failure::new(Exit::Refused, "the name is taken").hint("take another");
        assert_eq!(sentences(&failure), "The name is taken. Take another.");
    }

    #[test]
    fn a_workspace_is_called_by_its_host() {
        assert_eq!(host("example.org:4433"), "example.org");
        assert_eq!(host("[::1]:4433"), "[::1]");
    }
}
