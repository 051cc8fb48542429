//! The interface of the interactive client to the rest of the program: engine, drafts, joining.
//!
//! Traits, so that the shell can be run over a scripted engine as well.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use mathia_protocol::client::{ClientEvent, Command, CommandError, Done};
use mathia_protocol::id::RoomId;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::join::JoinAsk;
use super::me::Me;

/// An answer that is being waited for.
pub type PendingReply<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Takes commands.
pub trait Engine: Send + Sync + 'static {
    /// Gives a command; the answer comes within the command's own deadline.
    fn command(&self, command: Command) -> PendingReply<Result<Done, CommandError>>;
}

/// Keeps what is being written, on this device and sealed.
pub trait Drafts: Send + Sync + 'static {
    /// Keeps the draft of a room; an empty text forgets it. A failure is for the log only.
    fn save(&self, room: RoomId, text: String) -> PendingReply<()>;
}

/// Makes accounts.
pub trait Joiner: Send + Sync + 'static {
    /// Tries to make an account and start its engine.
    fn join(&self, ask: JoinAsk) -> PendingReply<JoinEnd>;
}

/// An account that is ready to be used.
pub struct Session {
    /// The own person.
    pub me: Me,
    /// Takes commands.
    pub engine: Arc<dyn Engine>,
    /// Events of the engine.
    pub events: mpsc::Receiver<ClientEvent>,
    /// Keeps drafts.
    pub drafts: Arc<dyn Drafts>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("me", &self.me).finish_non_exhaustive()
    }
}

/// How an attempt to join ended.
pub enum JoinEnd {
    /// The account is made and its engine runs.
    Joined {
        /// The account, ready to be used.
        session: Session,
        /// The words that bring the account back; shown once and nowhere kept.
        words: Vec<Zeroizing<String>>,
    },
    /// Nothing vouches for the server's key: a person must.
    UnknownServer {
        /// Where the server is.
        address: String,
        /// Its key, as both sides can read it aloud.
        fingerprint: String,
    },
    /// It did not work; nothing was kept.
    Failed {
        /// What happened and what to do, a sentence.
        text: String,
        /// Whether another link is needed; else the same may be tried again.
        is_about_link: bool,
    },
}

impl fmt::Debug for JoinEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Joined { .. } => "Joined(..)",
            Self::UnknownServer { .. } => "UnknownServer(..)",
            Self::Failed { .. } => "Failed(..)",
        })
    }
}
