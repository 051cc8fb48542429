//! An attempt to make an account on the first start, and how it ends.

use std::fmt;

use mathia_protocol::name::Handle;
use zeroize::Zeroizing;

use super::me::Me;

/// An attempt to make an account.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinAsk {
    /// The invite link: a secret.
    pub link: Zeroizing<String>,
    /// The name wanted.
    pub name: Handle,
    /// The fingerprint of the server's key that the person accepted by typing `yes`.
    pub accepted_server: Option<String>,
}

impl fmt::Debug for JoinAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinAsk").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A join that was begun here before and never answered: the same link and name take it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingJoin {
    /// As whom.
    pub name: Handle,
    /// At which server.
    pub address: String,
}

/// How an attempt to join ended.
pub enum JoinAnswer {
    /// The account is made. The engine is ready.
    Joined {
        /// The own person.
        me: Me,
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

impl fmt::Debug for JoinAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined { me, .. } => {
                f.debug_struct("Joined").field("me", me).finish_non_exhaustive()
            }
            Self::UnknownServer { address, fingerprint } => f
                .debug_struct("UnknownServer")
                .field("address", address)
                .field("fingerprint", fingerprint)
                .finish(),
            Self::Failed { text, .. } => f.debug_struct("Failed").field("text", text).finish(),
        }
    }
}
