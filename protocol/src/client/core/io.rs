//! What goes into the core and what comes out of it: plain values.
//!
//! Owns the border between deciding and acting. Every [`Input`] is a fact that the shell observed,
//! every [`Output`] something the shell is to do, in the order given. Nothing here performs I/O.

use std::sync::Arc;
use std::time::Duration;

use super::super::command::{Command, CommandError, Done};
use super::super::event::{ClientEvent, UnreadableCause};
use super::super::events::Backlog;
use super::super::identity::Identity;
use super::super::record::{DeviceLane, EntryRecord, OutboxRow, OwnInvite};
use super::super::replica::{LoadedRoom, StorageError, Write, Written};
use super::super::trust::Expected;
use super::sender::sealing::SealingRoom;
use crate::crypto::epoch::EpochSecret;
use crate::id::{Epoch, Hash, RoomId, Seq, TimeMs};
use crate::wire::{
    BulkRequest, ClientDatagram, Event, Fault, LogEntry, Reply, Request, ServerDatagram, Welcome,
};

/// What time it is, as far as the core knows: it never looks itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since 1970 by this machine's clock; it may jump.
    pub time: TimeMs,
    /// Time since the core started, by a clock that never goes back: intervals and deadlines.
    pub uptime: Duration,
}

/// Defines a number that names one piece of work which the shell does for the core.
macro_rules! ticket {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);
    };
}

ticket! {
    /// A command of a face; it is answered exactly once.
    CommandId
}
ticket! {
    /// A request to the server.
    CallId
}
ticket! {
    /// A long read from the server on a stream of its own.
    BulkId
}
ticket! {
    /// A read from the replica.
    ReadId
}
ticket! {
    /// A write to the replica.
    WriteId
}
ticket! {
    /// A message that is sealed inside a transaction of the replica.
    SealId
}

/// Why a call brought no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The server refused; the fault says what helps.
    #[error("{0}")]
    Fault(Fault),
    /// The session ended before an answer: it may or may not have been done.
    #[error("the connection was lost")]
    Lost,
    /// No answer came in time; the session is closed.
    #[error("the server did not answer in time")]
    TimedOut,
}

/// One page of a long read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// `H` before the first entry, as the server says.
    pub hash_before: Hash,
    /// Entries in rising order.
    pub entries: Vec<LogEntry>,
    /// Whether it is the last page.
    pub is_last: bool,
}

/// Why an attempt to connect failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectFailure {
    /// Nothing answers, or the login broke off. Another attempt may help.
    Retry(String),
    /// The server refuses this account or version. No attempt helps.
    Refused(String),
    /// The server shows another key than the expected one. No attempt helps.
    Untrusted(String),
    /// Nothing vouches for the server's key: a person may.
    Unvouched {
        /// SHA-256 of the key that the server showed.
        pin: Hash,
        /// The same as words.
        words: String,
    },
}

/// Something that happened outside.
#[derive(Debug)]
pub enum Input {
    /// The shell is ready: begin.
    Start,
    /// A face wants something done.
    Command(CommandId, Command),
    /// A face has missed entries and wants them from the replica.
    Replay(Backlog),
    /// The session stands.
    Connected {
        /// SHA-256 of the key that the server proved to hold.
        pin: Hash,
        /// What it said at login.
        welcome: Box<Welcome>,
        /// Round trip of the path.
        rtt: Duration,
    },
    /// An attempt to connect failed.
    ConnectFailed(ConnectFailure),
    /// A person decided about a server key that nothing vouches for.
    TrustDecided(bool),
    /// The session ended. All open calls and bulk reads are over.
    Disconnected {
        /// Why, for people.
        cause: String,
    },
    /// The round trip of the path was measured.
    RoundTrip(Duration),
    /// The answer to a call.
    Reply(CallId, Result<Reply, CallError>),
    /// The next page of a bulk read; `None` after the last one.
    Page(BulkId, Result<Option<Page>, BulkFailure>),
    /// An event of the session stream.
    Event(Event),
    /// A datagram.
    Datagram(ServerDatagram),
    /// What a query found.
    Read(ReadId, Result<Found, StorageError>),
    /// How a write ended.
    Written(WriteId, Result<Vec<Written>, StorageError>),
    /// How sealing the next message of a room ended; `None` if nothing was queued or sealable.
    Sealed(SealId, Result<Vec<OutboxRow>, StorageError>),
    /// Rows of the outbox that any process of this device changed.
    OutboxChanged(Vec<OutboxRow>),
    /// This process is the one that sends the outbox from now on.
    DrainTaken,
    /// How saving the identity ended; the cause if it failed.
    IdentitySaved(Result<(), String>),
    /// A deadline of [`Output::WakeAt`] has come.
    Wake,
    /// The shell is about to stop: what can be said in one call is said now.
    Stopping,
}

/// Why a bulk read stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BulkFailure {
    /// The server refused.
    #[error("{0}")]
    Fault(Fault),
    /// The stream broke.
    #[error("{0}")]
    Lost(String),
}

/// Something to be done outside.
#[derive(Debug)]
pub enum Output {
    /// Connect and log in.
    Connect(Expected),
    /// Ask a person whether the server's key is the right one.
    AskTrust {
        /// SHA-256 of the key.
        pin: Hash,
        /// The same as words.
        words: String,
    },
    /// End the session.
    Disconnect,
    /// Send a request; calls go out in the order of their outputs.
    Call(CallId, Request),
    /// Open a stream for a long read and read its first page.
    Bulk(BulkId, BulkRequest),
    /// Read the next page of a bulk read.
    NextPage(BulkId),
    /// Stop a bulk read.
    CancelBulk(BulkId),
    /// Send something that is worthless late.
    Datagram(ClientDatagram),
    /// Read from the replica.
    Read(ReadId, Query),
    /// Write to the replica, in one transaction.
    Write(WriteId, Vec<Write>),
    /// Seal messages of the outbox in one immediate transaction of the replica.
    Seal(SealId, Box<SealOrder>),
    /// Save the identity durably, before its new key is published.
    SaveIdentity(Arc<Identity>),
    /// Tell the faces.
    Event(ClientEvent),
    /// The answer to a command.
    Answer(CommandId, Result<Done, CommandError>),
    /// Entries that a face has missed, and where the next ones begin.
    Replayed(Backlog, Vec<super::super::event::EntryView>, Option<Seq>),
    /// Give [`Input::Wake`] when the uptime reaches this, unless another input comes first.
    WakeAt(Duration),
}

/// Which messages are sealed, and with what.
#[derive(Debug)]
pub struct SealOrder {
    /// The room.
    pub room: RoomId,
    /// Keys, position and readers, taken once.
    pub with: SealingRoom,
    /// How far the log shows this device's messages.
    pub logged: DeviceLane,
    /// Whether everything that was sent is sealed anew behind `logged`, instead of the next message.
    pub is_anew: bool,
}

/// A question to the replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// `H` at a position of the verified log.
    HashAt {
        /// The room.
        room: RoomId,
        /// The position.
        seq: Seq,
    },
    /// Entries at these positions, as far as they are kept.
    Entries {
        /// The room.
        room: RoomId,
        /// The positions.
        seqs: Vec<Seq>,
    },
    /// At most `count` entries before a position (`Seq(0)`: from the newest), rising.
    Before {
        /// The room.
        room: RoomId,
        /// The position.
        before: Seq,
        /// How many.
        count: u32,
    },
    /// At most `count` entries after a position, rising.
    After {
        /// The room.
        room: RoomId,
        /// The position.
        after: Seq,
        /// How many.
        count: u32,
    },
    /// Entries that could not be read for this cause, at most `count`.
    Unreadable {
        /// The room.
        room: RoomId,
        /// The cause.
        cause: UnreadableCause,
        /// How many.
        count: u32,
    },
    /// The epoch secrets of a room: another process of this device may have stored some.
    Secrets(RoomId),
    /// Rows of a room that were sent and are not settled.
    SentRows(RoomId),
    /// The invites of this device.
    Invites,
    /// A room as it is stored, after its memory was thrown away.
    Room(RoomId),
}

/// What the replica found.
#[derive(Debug)]
pub enum Found {
    /// For [`Query::HashAt`].
    Hash(Option<Hash>),
    /// For the queries about entries.
    Entries(Vec<EntryRecord>),
    /// For [`Query::Secrets`].
    Secrets(Vec<(Epoch, EpochSecret)>),
    /// For [`Query::SentRows`].
    Rows(Vec<OutboxRow>),
    /// For [`Query::Invites`].
    Invites(Vec<OwnInvite>),
    /// For [`Query::Room`].
    Room(Option<Box<LoadedRoom>>),
}
