//! A running engine for the time of one command.
//!
//! Owns start, waiting with deadlines, and the stop in good order. Says on stderr when the answer
//! comes from the replica because the server cannot be reached.

use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::client::home::Joined;
use mathia_protocol::client::{
    Client, ClientConfig, Command, CommandError, ConnectionState, Done, Events, RoomView, TrustAsk,
};
use mathia_protocol::id::{DeviceId, Hash};
use mathia_protocol::name::Handle;
use tokio::time::timeout;

use super::{CommandContext, Prompt, out_of_turn, prompt, resolve};
use crate::exit::{Exit, Failure};
use crate::known_servers::KnownServers;
use crate::output::Output;
use crate::paths::Paths;

/// How long a reading command waits for the server before it answers from the replica: two lost
/// flights of a handshake fit, and a person does not yet think the program hangs.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long the engine may take to say goodbye.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// Starts the engine of a profile.
///
/// # Errors
///
/// Exit 1 if the engine's thread cannot be made.
pub(super) fn start_client(
    paths: &Paths,
    profile: Joined,
    prompt: Prompt,
) -> Result<(Client, Events), Failure> {
    note_server(paths, &profile);
    let ask = TerminalTrust { paths: paths.clone(), prompt };
    let keeper = paths.home().keeper();
    let mut config = ClientConfig::new(profile.address, profile.identity, keeper);
    config.ask = Some(Arc::new(ask));
    let started = Client::start(config, profile.replica);
    started.map_err(|error| {
        Failure::new(Exit::Failed, format!("the client engine cannot start: {error}"))
    })
}

/// Copies what the replica knows of the server (a key it announced, for example) to the file that
/// people and new profiles read. That file is a convenience: failing to write it stops nothing.
fn note_server(paths: &Paths, profile: &Joined) {
    let Ok(Some(server)) = profile.replica.server() else { return };
    let Ok(mut known) = KnownServers::load(paths) else { return };
    if known.note(&server)
        && let Err(error) = known.save(paths)
    {
        tracing::warn!(%error, "known_servers is not up to date");
    }
}

/// Decides about a server key that nothing vouches for: the stored pin, `--yes`, or a typed yes.
#[derive(Debug)]
pub(super) struct TerminalTrust {
    /// Where the pins of this person are kept.
    pub(super) paths: Paths,
    /// Who may be asked.
    pub(super) prompt: Prompt,
}

impl TrustAsk for TerminalTrust {
    fn is_trusted(&self, address: &str, pin: Hash, words: &str) -> bool {
        let mut out = Output::process(false);
        let known = KnownServers::load(&self.paths).ok().and_then(|known| known.pin(address));
        if let Some(known) = known {
            if known != pin {
                out.say(&format!(
                    "the key of {address} changed: known sha256:{}, found sha256:{}",
                    known.to_hex(),
                    pin.to_hex()
                ));
            }
            // `--yes` accepts an unknown key, never a changed one.
            return known == pin;
        }
        out.say(&format!("{address} shows the key sha256:{}", pin.to_hex()));
        out.say(&format!("in words: {words}"));
        if self.prompt.says_yes {
            out.say("accepted by --yes, unseen; compare it with the server's operator");
            return true;
        }
        if !self.prompt.is_interactive {
            return false;
        }
        out.ask("Compare it with the server's operator. Type yes to trust it:");
        prompt::read_answer().is_ok_and(|answer| answer.trim() == "yes")
    }
}

/// A running engine.
#[derive(Debug)]
pub(super) struct EngineSession {
    client: Client,
    /// What happens, in order.
    pub(super) events: Events,
    /// Who this is, for lines about what oneself did.
    pub(super) own: OwnDevice,
}

/// The own name and device.
#[derive(Debug, Clone)]
pub(super) struct OwnDevice {
    pub(super) handle: Handle,
    pub(super) device: DeviceId,
}

impl EngineSession {
    /// Starts the engine of the profile that somebody joined with.
    ///
    /// # Errors
    ///
    /// Exit 4 if nobody joined; others as the files say.
    pub(super) fn open(context: &CommandContext<'_>) -> Result<Self, Failure> {
        let profile = context.paths.home().open()?;
        let (handle, device) = (profile.identity.handle.clone(), profile.identity.device());
        let (client, events) = start_client(&context.paths, profile, context.prompt)?;
        Ok(Self { client, events, own: OwnDevice { handle, device } })
    }

    /// Runs one command of the engine, which has a deadline of its own.
    pub(super) async fn run(&self, command: Command) -> Result<Done, Failure> {
        match self.client.run(command).await {
            Ok(done) => Ok(done),
            // The connection knows better why the engine gave up.
            Err(error @ (CommandError::Stopped | CommandError::Offline(_))) => {
                Err(self.stopped().unwrap_or_else(|| error.into()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a queued text back; any error but a storage one means that it may be on its way.
    pub(super) async fn withdraw(&self, local_id: u64) -> Result<(), CommandError> {
        self.client.run(Command::Withdraw { local_id }).await.map(drop)
    }

    /// Why no connection will come by itself, if that is so.
    pub(super) fn stopped(&self) -> Option<Failure> {
        match self.client.connection() {
            ConnectionState::Stopped { cause, is_untrusted: true } => {
                Some(Failure::new(Exit::Untrusted, cause))
            }
            ConnectionState::Stopped { cause, is_untrusted: false } => {
                Some(Failure::new(Exit::NotLoggedIn, cause).hint(
                    "if this device was revoked, `mathia-tui logout` wipes what is left here",
                ))
            }
            _ => None,
        }
    }

    /// Why there is no connection now, for people.
    pub(super) fn offline_cause(&self) -> String {
        match self.client.connection() {
            ConnectionState::Offline { cause, .. } => cause,
            _ => "it does not answer".to_owned(),
        }
    }

    /// Brings the replica up to date. Returns whether it is; if the server cannot be reached, says
    /// so, and the replica is all there is.
    ///
    /// # Errors
    ///
    /// Exit 9 or 4 if the server may not be talked to at all.
    pub(super) async fn sync(&mut self, context: &mut CommandContext<'_>) -> Result<bool, Failure> {
        let is_settled = |state: &ConnectionState| *state != ConnectionState::Connecting;
        let state = timeout(CONNECT_PATIENCE, self.client.connection_where(is_settled)).await;
        let cause = match state {
            Ok(Some(ConnectionState::Online { .. })) => {
                match self.client.run(Command::Sync).await {
                    Ok(_) => return Ok(true),
                    Err(error) => error.to_string(),
                }
            }
            Ok(Some(ConnectionState::Offline { cause, .. })) => cause,
            Ok(_) => match self.stopped() {
                Some(failure) => return Err(failure),
                None => "the client has stopped".to_owned(),
            },
            Err(_) => "the server does not answer".to_owned(),
        };
        if let Some(failure) = self.stopped() {
            return Err(failure);
        }
        context.out.say(&format!("offline ({cause}): this is what was here before"));
        Ok(false)
    }

    /// All rooms the replica knows.
    pub(super) async fn rooms(&self) -> Result<Vec<RoomView>, Failure> {
        match self.run(Command::Rooms).await? {
            Done::Rooms(rooms) => Ok(rooms),
            _ => Err(out_of_turn()),
        }
    }

    /// Finds the room a word names; asks the server if the replica has none such.
    pub(super) async fn room(
        &mut self,
        context: &mut CommandContext<'_>,
        word: &str,
    ) -> Result<RoomView, Failure> {
        match resolve::room(&self.rooms().await?, word) {
            Err(failure) if failure.exit == Exit::NotFound => {}
            found => return found.cloned(),
        }
        self.sync(context).await?;
        resolve::room(&self.rooms().await?, word).cloned()
    }

    /// The room with this identifier as the replica knows it now.
    pub(super) async fn room_view(
        &self,
        room: mathia_protocol::id::RoomId,
    ) -> Result<Option<RoomView>, Failure> {
        Ok(self.rooms().await?.into_iter().find(|view| view.room == room))
    }

    /// Ends the engine in good order; what is queued stays queued.
    pub(super) async fn close(self) {
        // Both outcomes are fine: all that matters is durable already.
        drop(timeout(STOP_PATIENCE, self.client.run(Command::Stop)).await);
    }
}
