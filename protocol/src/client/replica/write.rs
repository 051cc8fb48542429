//! The one write: typed changes, all of them in one transaction.
//!
//! Owns which changes there are and the order in which they are made. A change is a plain value, so
//! that whoever decides what is to be written needs no storage for it. `Debug` shows which change and
//! where, never what it says.

use std::fmt;

use super::index::shown;
use super::key_value::RowsMut;
use super::rooms::{self, Piece};
use super::singles::{self, Single};
use super::{Replica, Stored, invites, journal, keys, logs, outbox, people};
use crate::client::StoredContent;
use crate::client::record::{
    Batch, Contact, MarkHistograms, OwnInvite, RoomFacts, RoomMarks, RowState, ServerRecord,
    UnfinishedAnswer,
};
use crate::crypto::content::Content;
use crate::crypto::epoch::{EpochSecret, SenderKey};
use crate::id::{AccountId, Epoch, InviteToken, RoomId, Seq, TimeMs};

/// A change of the replica.
pub enum Write {
    /// Replaces what is known of the server.
    Server(ServerRecord),
    /// Forgets the server's key, so that the next contact counts as the first one.
    ForgetServer,
    /// Replaces how far the server's clock is ahead of this device's.
    ClockSkew {
        /// In milliseconds.
        ahead_ms: i64,
    },
    /// Adds verified links to a user chain; those that are there stay.
    ChainLinks {
        /// Whose chain.
        account: AccountId,
        /// The number of the first link; 1 is the genesis.
        first_seq: u32,
        /// `blob || signature` each.
        links: Vec<Vec<u8>>,
    },
    /// Replaces a pin under its handle.
    Contact(Contact),
    /// Replaces the card of an agent.
    Card {
        /// The agent.
        agent: AccountId,
        /// The verified card, signature included.
        card: Vec<u8>,
    },
    /// Stores an own invite.
    Invite(OwnInvite),
    /// Forgets an own invite.
    ForgetInvite(InviteToken),
    /// Replaces what a room is; makes the room if it is new, with the cursor at `H_0`.
    Facts {
        /// The room.
        room: RoomId,
        /// What it is.
        facts: RoomFacts,
    },
    /// Replaces where this account stands in a room.
    Marks {
        /// The room.
        room: RoomId,
        /// The marks.
        marks: RoomMarks,
    },
    /// Replaces where all accounts stand in a room.
    MarkHistograms {
        /// The room.
        room: RoomId,
        /// The histograms.
        histograms: MarkHistograms,
    },
    /// Forgets a room with everything in it.
    ForgetRoom(RoomId),
    /// Adds verified entries, see [`Replica::apply`].
    Batch {
        /// The room.
        room: RoomId,
        /// The entries with what belongs to them.
        batch: Batch,
    },
    /// Replaces the content of one entry, see [`Replica::put_content`].
    Content {
        /// The room.
        room: RoomId,
        /// The place of the entry.
        seq: Seq,
        /// What is known of it now.
        content: StoredContent,
        /// Whether it names this account.
        is_mention: bool,
    },
    /// Notes up to where everything has expired.
    ExpiredUpto {
        /// The room.
        room: RoomId,
        /// The last place that has expired.
        upto: Seq,
    },
    /// Marks entries as shown to an agent.
    Shown {
        /// The room.
        room: RoomId,
        /// Their places.
        seqs: Vec<Seq>,
    },
    /// Remembers the number of a scheduled message that stands in the log.
    Scheduled {
        /// The room.
        room: RoomId,
        /// The number.
        id: u64,
    },
    /// Stores a proven epoch secret; one that is there stays.
    EpochSecret {
        /// The room.
        room: RoomId,
        /// The epoch.
        epoch: Epoch,
        /// The secret.
        secret: EpochSecret,
    },
    /// Wipes the secrets of an epoch, from the files as well.
    WipeEpoch {
        /// The room.
        room: RoomId,
        /// The epoch.
        epoch: Epoch,
    },
    /// Replaces the sender key that members made for this device.
    AgentKey {
        /// The room.
        room: RoomId,
        /// The epoch.
        epoch: Epoch,
        /// The key.
        key: SenderKey,
    },
    /// Queues a message.
    Queue {
        /// The room; one that is not kept is no obstacle.
        room: RoomId,
        /// What it says.
        content: Content,
        /// When it was queued.
        queued_at: TimeMs,
    },
    /// Moves a row of the outbox to another state, see [`Replica::settle`].
    Settle {
        /// The row.
        local_id: u64,
        /// The state.
        state: RowState,
    },
    /// Replaces the draft of a room; an empty text removes it.
    Draft {
        /// The room.
        room: RoomId,
        /// The text.
        text: String,
    },
    /// For an agent: notes how far an answer is.
    UnfinishedAnswer(UnfinishedAnswer),
    /// For an agent: forgets an answer that has ended.
    ForgetUnfinishedAnswer {
        /// The room.
        room: RoomId,
        /// The place of the question.
        ask: Seq,
    },
    /// For an agent: notes up to where no question needs anything.
    AsksSettledUpto {
        /// The room.
        room: RoomId,
        /// The last place.
        upto: Seq,
    },
}

/// What a change did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// What it says.
    Done,
    /// Nothing: the room is not kept, perhaps another process has forgotten it meanwhile.
    Skipped,
    /// It queued a row.
    Queued {
        /// The row's number, unique on this device and rising.
        local_id: u64,
    },
    /// Whether a row was moved.
    Settled(bool),
    /// It marked these entries, and no others, as shown to an agent that were not marked before.
    Shown(Vec<Seq>),
}

impl Written {
    /// The entries that are newly marked as shown to an agent.
    pub fn into_shown(self) -> Vec<Seq> {
        match self {
            Self::Shown(seqs) => seqs,
            _ => Vec::new(),
        }
    }
}

impl Write {
    /// The room without which the change means nothing.
    fn room(&self) -> Option<RoomId> {
        match self {
            Self::Marks { room, .. }
            | Self::MarkHistograms { room, .. }
            | Self::ForgetRoom(room)
            | Self::Batch { room, .. }
            | Self::Content { room, .. }
            | Self::ExpiredUpto { room, .. }
            | Self::Shown { room, .. }
            | Self::Scheduled { room, .. }
            | Self::EpochSecret { room, .. }
            | Self::WipeEpoch { room, .. }
            | Self::AgentKey { room, .. }
            | Self::Draft { room, .. }
            | Self::UnfinishedAnswer(UnfinishedAnswer { room, .. })
            | Self::ForgetUnfinishedAnswer { room, .. }
            | Self::AsksSettledUpto { room, .. } => Some(*room),
            Self::Server(_)
            | Self::ForgetServer
            | Self::ClockSkew { .. }
            | Self::ChainLinks { .. }
            | Self::Contact(_)
            | Self::Card { .. }
            | Self::Invite(_)
            | Self::ForgetInvite(_)
            | Self::Facts { .. }
            | Self::Queue { .. }
            | Self::Settle { .. } => None,
        }
    }

    /// Whether what it removes must be gone from the files when it returns.
    fn wipes(&self) -> bool {
        matches!(self, Self::WipeEpoch { .. } | Self::ForgetRoom(_))
    }

    fn run(&self, rows: &mut dyn RowsMut) -> Stored<Written> {
        if let Some(room) = self.room()
            && !rooms::is_kept(rows, room)?
        {
            // A room that was forgotten meanwhile stays forgotten. Texts may wait for one.
            return match self {
                Self::ForgetRoom(room) => rooms::forget(rows, *room).map(|()| Written::Done),
                _ => Ok(Written::Skipped),
            };
        }
        match self {
            Self::Queue { room, content, queued_at } => {
                let local_id = outbox::queue(rows, *room, content, *queued_at)?;
                return Ok(Written::Queued { local_id });
            }
            Self::Settle { local_id, state } => {
                return outbox::settle(rows, *local_id, state).map(Written::Settled);
            }
            Self::Batch { room, batch } => {
                return logs::apply(rows, *room, batch).map(Written::Shown);
            }
            Self::Content { room, seq, content, is_mention } => {
                let shown = logs::put_content(rows, (*room, *seq), content, *is_mention)?;
                return Ok(Written::Shown(shown));
            }
            Self::Shown { room, seqs } => {
                return shown::mark(rows, *room, seqs).map(Written::Shown);
            }
            Self::Server(server) => singles::put(rows, Single::Server, server),
            Self::ForgetServer => singles::forget(rows, Single::Server),
            Self::ClockSkew { ahead_ms } => {
                singles::put(rows, Single::ClockSkew, &ahead_ms.cast_unsigned())
            }
            Self::ChainLinks { account, first_seq, links } => {
                people::put_chain_links(rows, *account, *first_seq, links)
            }
            Self::Contact(contact) => people::put_contact(rows, contact),
            Self::Card { agent, card } => people::put_card(rows, *agent, card),
            Self::Invite(invite) => invites::put(rows, invite),
            Self::ForgetInvite(token) => invites::forget(rows, *token),
            Self::Facts { room, facts } => rooms::put(rows, *room, Piece::Facts, facts),
            Self::Marks { room, marks } => rooms::put(rows, *room, Piece::Marks, marks),
            Self::MarkHistograms { room, histograms } => {
                rooms::put(rows, *room, Piece::Histograms, histograms)
            }
            Self::ForgetRoom(room) => rooms::forget(rows, *room),
            Self::ExpiredUpto { room, upto } => rooms::put(rows, *room, Piece::ExpiredUpto, upto),
            Self::Scheduled { room, id } => logs::add_scheduled(rows, *room, *id),
            Self::EpochSecret { room, epoch, secret } => {
                keys::put_epoch_secret(rows, (*room, *epoch), secret)
            }
            Self::WipeEpoch { room, epoch } => keys::wipe_epoch(rows, *room, *epoch),
            Self::AgentKey { room, epoch, key } => keys::put_agent_key(rows, (*room, *epoch), key),
            Self::Draft { room, text } => rooms::put_draft(rows, *room, text),
            Self::UnfinishedAnswer(answer) => journal::put(rows, answer),
            Self::ForgetUnfinishedAnswer { room, ask } => journal::forget(rows, *room, *ask),
            Self::AsksSettledUpto { room, upto } => {
                rooms::put(rows, *room, Piece::AsksSettledUpto, upto)
            }
        }?;
        Ok(Written::Done)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Server(_) => "Server",
            Self::ForgetServer => "ForgetServer",
            Self::ClockSkew { .. } => "ClockSkew",
            Self::ChainLinks { .. } => "ChainLinks",
            Self::Contact(_) => "Contact",
            Self::Card { .. } => "Card",
            Self::Invite(_) => "Invite",
            Self::ForgetInvite(_) => "ForgetInvite",
            Self::Facts { .. } => "Facts",
            Self::Marks { .. } => "Marks",
            Self::MarkHistograms { .. } => "MarkHistograms",
            Self::ForgetRoom(_) => "ForgetRoom",
            Self::Batch { .. } => "Batch",
            Self::Content { .. } => "Content",
            Self::ExpiredUpto { .. } => "ExpiredUpto",
            Self::Shown { .. } => "Shown",
            Self::Scheduled { .. } => "Scheduled",
            Self::EpochSecret { .. } => "EpochSecret",
            Self::WipeEpoch { .. } => "WipeEpoch",
            Self::AgentKey { .. } => "AgentKey",
            Self::Queue { .. } => "Queue",
            Self::Settle { .. } => "Settle",
            Self::Draft { .. } => "Draft",
            Self::UnfinishedAnswer(_) => "UnfinishedAnswer",
            Self::ForgetUnfinishedAnswer { .. } => "ForgetUnfinishedAnswer",
            Self::AsksSettledUpto { .. } => "AsksSettledUpto",
        }
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Some(room) = self.room() {
            write!(f, " in {}", room.short())?;
        }
        match self {
            Self::Facts { room, .. } | Self::Queue { room, .. } => {
                write!(f, " in {}", room.short())
            }
            Self::Batch { batch, .. } => write!(f, " of {} entries", batch.entries.len()),
            Self::Content { seq, .. } => write!(f, " at {seq}"),
            Self::EpochSecret { epoch, .. }
            | Self::WipeEpoch { epoch, .. }
            | Self::AgentKey { epoch, .. } => write!(f, " of epoch {epoch}"),
            Self::Settle { local_id, state } => write!(f, " {local_id} as {}", state.name()),
            _ => Ok(()),
        }
    }
}

impl Replica {
    /// Makes all these changes in their order in one transaction, or none of them; returns what each
    /// did. A change in a room that is not kept is skipped, but for the two that need none.
    ///
    /// # Errors
    ///
    /// [`StorageError`](super::StorageError). What an epoch left in the files is removed after the
    /// transaction: if only that fails, the changes are made and making them once more is harmless.
    pub fn commit(&self, writes: &[Write]) -> Stored<Vec<Written>> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let written = self.write(|rows| writes.iter().map(|write| write.run(rows)).collect())?;
        if writes.iter().any(Write::wipes) {
            self.backend.scrub()?;
        }
        Ok(written)
    }

    /// Makes one change.
    pub(super) fn commit_one(&self, write: Write) -> Stored<Written> {
        Ok(self.commit(&[write])?.pop().unwrap_or(Written::Skipped))
    }
}
