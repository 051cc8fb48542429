//! A bot in a few lines: joins, hears texts, says texts.
//!
//! Owns no rule; it is one more face of the client, with a replica in memory unless it is given one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::clock::{Clock as _, SystemClock};
use super::command::{Command, CommandError, Done, NewReaction};
use super::entry::EntryContent;
use super::event::{ClientEvent, ConnectionState, EntryView};
use super::events::Events;
use super::handle::{Client, ClientConfig};
use super::identity::Forgetful;
use super::register::{Applicant, RegisterError, Registered, Visit};
use super::replica::{Replica, StorageError};
use crate::crypto::content::{Content, Emoji};
use crate::crypto::invite::InviteError;
use crate::crypto::user_chain::{AccountKind, DeviceLabel};
use crate::id::{AccountId, RoomId, Seq};
use crate::name::HandleError;

/// How long a bot waits for its first login.
const LOGIN_PATIENCE: Duration = Duration::from_secs(20);
/// Entries that could not be read, of which a bot knows that it has not heard them.
const UNREADABLE_MAX: usize = 1_024;

/// Why a bot does not start.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    /// The link is no invite.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// The name is no handle.
    #[error(transparent)]
    Handle(#[from] HandleError),
    /// No account was made.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The replica failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The engine could not be started.
    #[error("cannot start the client: {0}")]
    Start(#[from] std::io::Error),
    /// The server does not let the bot in, or cannot be reached.
    #[error("{0}")]
    Login(String),
}

/// A text that a bot heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Where.
    pub room: RoomId,
    /// At which place of the room's log.
    pub seq: Seq,
    /// Who said it.
    pub author: AccountId,
    /// By which name.
    pub handle: String,
    /// What.
    pub text: String,
    /// Whether it names the bot with an at sign.
    pub is_mention: bool,
}

/// A bot with its own account.
#[derive(Debug)]
pub struct Bot {
    client: Client,
    events: Events,
    ears: Ears,
}

/// What was told already. Entries are told again when something about them changes (a mark, or a
/// queue that overflowed), and nobody should be answered twice.
#[derive(Debug, Default)]
struct Ears {
    upto: HashMap<RoomId, Seq>,
    /// Told, but not to be read until a key comes.
    unreadable: BTreeSet<(RoomId, Seq)>,
}

impl Ears {
    /// Says whether an entry is told, or can be read, for the first time.
    fn is_news(&mut self, entry: &EntryView) -> bool {
        let place = (entry.room, entry.seq);
        let upto = self.upto.entry(entry.room).or_insert(Seq(0));
        let is_news = entry.seq > *upto || self.unreadable.contains(&place);
        *upto = entry.seq.max(*upto);
        if !matches!(entry.content, EntryContent::Unreadable(_)) {
            self.unreadable.remove(&place);
        } else if is_news {
            self.unreadable.insert(place);
            if self.unreadable.len() > UNREADABLE_MAX {
                self.unreadable.pop_first();
            }
        }
        is_news
    }
}

impl Bot {
    /// Makes an account by an invite, with keys and replica in memory only.
    ///
    /// # Errors
    ///
    /// [`BotError`]; an unreachable server may be tried again with the same link.
    pub async fn join(link: &str, name: &str) -> Result<Self, BotError> {
        let applicant = Applicant {
            handle: name.parse()?,
            label: DeviceLabel {
                name: format!("{name} (bot)"),
                os: std::env::consts::OS.to_owned(),
                created: SystemClock.now(),
            },
            kind: AccountKind::Human,
            operator: String::new(),
        };
        let visit = Visit::begin(link.parse()?, None).await?;
        let registered = visit.enrol(&mut rand::rng(), applicant).finish().await?;
        Self::start(registered, Replica::in_memory()).await
    }

    /// Starts the client of an account that was just made, on any replica.
    ///
    /// # Errors
    ///
    /// [`BotError`]; a lost connection may be tried again.
    pub async fn start(registered: Registered, replica: Replica) -> Result<Self, BotError> {
        replica.put_server(&registered.server)?;
        let address = registered.server.address.clone();
        let config = ClientConfig::new(address, registered.identity, Arc::new(Forgetful));
        let (client, events) = Client::start(config, replica)?;
        let mut waiting = client.clone();
        let decided = waiting.connection_where(|state| {
            matches!(state, ConnectionState::Online { .. } | ConnectionState::Stopped { .. })
        });
        match tokio::time::timeout(LOGIN_PATIENCE, decided).await {
            Ok(Some(ConnectionState::Online { .. })) => {
                Ok(Self { client, events, ears: Ears::default() })
            }
            Ok(Some(ConnectionState::Stopped { cause, .. })) => Err(BotError::Login(cause)),
            _ => Err(BotError::Login("the server does not answer".to_owned())),
        }
    }

    /// Waits for the next text somebody else said, each told once; `None` once the client has
    /// stopped.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            let ClientEvent::Entry(entry) = self.events.next().await? else { continue };
            if !self.ears.is_news(&entry) || entry.is_mine {
                continue;
            }
            if let EntryContent::Said(Content::Text(text)) = entry.content {
                let (room, seq, author) = (entry.room, entry.seq, entry.author);
                let (handle, is_mention) = (entry.handle, entry.is_mention);
                return Some(Heard { room, seq, author, handle, text, is_mention });
            }
        }
    }

    /// Says something in a room; it is sent exactly once, also after a lost connection.
    ///
    /// # Errors
    ///
    /// [`CommandError`]; the text is not in the outbox then.
    pub async fn say(&self, room: RoomId, text: impl Into<String>) -> Result<u64, CommandError> {
        match self.client.run(Command::Send { room, text: text.into(), tag: None }).await? {
            Done::Queued { local_id } => Ok(local_id),
            _ => Err(CommandError::Refused("the text was not queued".to_owned())),
        }
    }

    /// Puts an emoji on a message, or takes it back.
    ///
    /// # Errors
    ///
    /// [`CommandError::Invalid`] if the text is not one emoji or the entry no message,
    /// [`CommandError::NotFound`] if it is not here.
    pub async fn react(
        &self,
        room: RoomId,
        target: Seq,
        emoji: &str,
        is_removed: bool,
    ) -> Result<u64, CommandError> {
        let emoji = emoji.parse::<Emoji>();
        let emoji = emoji.map_err(|error| CommandError::Invalid(error.to_string()))?;
        self.client.react(NewReaction { room, target, emoji, is_removed }).await
    }

    /// The client, for everything else.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for the next event of any kind; for bots that do more than talk.
    pub async fn next_event(&mut self) -> Option<ClientEvent> {
        self.events.next().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::event::UnreadableCause;
    use crate::client::events::tests::entry as text;

    #[test]
    fn what_is_told_again_is_heard_once_and_what_becomes_readable_is_heard() {
        let cause = UnreadableCause::KeyAsked;
        let closed = |seq| EntryView { content: EntryContent::Unreadable(cause), ..text(seq) };
        let mut ears = Ears::default();
        assert!(ears.is_news(&text(1)));
        assert!(ears.is_news(&closed(2)));
        assert!(ears.is_news(&text(3)));
        let shown = EntryView { is_shown: true, ..text(1) };
        assert!(!ears.is_news(&shown), "it was shown to an assistant meanwhile");
        assert!(ears.is_news(&text(2)), "its key came");
        assert!(!ears.is_news(&text(2)) && !ears.is_news(&text(3)));
    }
}
