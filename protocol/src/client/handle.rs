//! The handle that faces hold: gives commands to the engine and hears its events.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::clock::{Clock, SystemClock};
use super::command::{Command, CommandError, Done};
use super::event::ConnectionState;
use super::events::{Backlog, Events};
use super::identity::{Identity, KeyKeeper};
use super::replica::Replica;
use super::trust::TrustAsk;

/// Commands that may wait for the engine; a face that is faster than that waits itself.
const COMMANDS_MAX: usize = 64;

/// Everything a client needs besides its replica.
#[derive(Debug)]
pub struct ClientConfig {
    /// `host:port` of the server.
    pub address: String,
    /// The keys of this device.
    pub identity: Identity,
    /// Where changed keys are saved.
    pub keeper: Arc<dyn KeyKeeper>,
    /// The first 128 bits of the server's pin, if an invite told them.
    pub invite_pin: Option<[u8; 16]>,
    /// Whom to ask about a server key that nothing vouches for; `None` refuses such servers.
    pub ask: Option<Arc<dyn TrustAsk>>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// How long a command waits for the server before it fails.
    pub patience: Duration,
}

impl ClientConfig {
    /// The usual settings: the machine's clock, ten seconds of patience, nobody to ask.
    pub fn new(address: impl Into<String>, identity: Identity, keeper: Arc<dyn KeyKeeper>) -> Self {
        Self {
            address: address.into(),
            identity,
            keeper,
            invite_pin: None,
            ask: None,
            clock: Arc::new(SystemClock),
            patience: Duration::from_secs(10),
        }
    }
}

/// What reaches the engine from outside.
#[derive(Debug)]
pub(super) enum Ask {
    /// A command with the place for its answer.
    Run(Command, oneshot::Sender<Result<Done, CommandError>>),
    /// Events that a slow face has missed, to be told again from the replica.
    Replay(Backlog),
    /// Gives the connection another local port, as a change of network does.
    Rebind(oneshot::Sender<io::Result<()>>),
}

/// A running client. Clones talk to the same engine; the engine ends after `Command::Stop` or when
/// the last clone and the [`Events`] are gone.
#[derive(Debug, Clone)]
pub struct Client {
    asks: mpsc::Sender<Ask>,
    connection: watch::Receiver<ConnectionState>,
}

impl Client {
    /// Starts the engine on a thread of its own; it connects by itself and keeps trying.
    ///
    /// # Errors
    ///
    /// If the thread or its runtime cannot be made. Retrying seldom helps.
    pub fn start(config: ClientConfig, replica: Replica) -> io::Result<(Self, Events)> {
        let (asks, inbox) = mpsc::channel(COMMANDS_MAX);
        let (sender, connection) = watch::channel(ConnectionState::Connecting);
        let events = Events::new(asks.downgrade());
        super::shell::spawn(config, replica, inbox, events.queue(), sender)?;
        Ok((Self { asks, connection }, events))
    }

    /// Runs one command to its end.
    ///
    /// # Errors
    ///
    /// [`CommandError`]; each variant says what happened and what it means for retrying.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the command back; its answer is lost.
    pub async fn run(&self, command: Command) -> Result<Done, CommandError> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask::Run(command, answer);
        self.asks.send(ask).await.map_err(|_| CommandError::Stopped)?;
        answered.await.unwrap_or(Err(CommandError::Stopped))
    }

    /// How the connection stands now.
    pub fn connection(&self) -> ConnectionState {
        self.connection.borrow().clone()
    }

    /// Waits until the connection is as `wanted` says, and returns its state; `None` if the client
    /// stopped before.
    pub async fn connection_where(
        &mut self,
        wanted: impl FnMut(&ConnectionState) -> bool,
    ) -> Option<ConnectionState> {
        self.connection.wait_for(wanted).await.ok().map(|state| state.clone())
    }

    /// Moves the connection to another local port, as a change of network would.
    ///
    /// # Errors
    ///
    /// If no socket can be made, or there is no connection.
    pub async fn rebind(&self) -> io::Result<()> {
        let (answer, answered) = oneshot::channel();
        let stopped = || io::Error::other(CommandError::Stopped);
        self.asks.send(Ask::Rebind(answer)).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}
