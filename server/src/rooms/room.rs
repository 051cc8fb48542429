//! One room as the writer holds it: what its commits say, where its log stands, who has it how far.
//!
//! Owns how an entry gets its place, its rolling hash and its event frame. Decides nothing: rules
//! are asked by the callers before they store.

use std::cmp::Reverse;
use std::collections::VecDeque;

use bytes::Bytes;
use mathia_protocol::crypto::commit::{Commit, Role};
use mathia_protocol::id::{AccountId, Counter, DeviceId, Hash, RoomNumber, Seq, TimeMs};
use mathia_protocol::log::{LogHash, RoomState};
use mathia_protocol::wire::{Event, ServerFrame, encode_frame};

use super::at_rest::MasterKey;
use super::batch::Batch;
use super::device_counters::DeviceCounters;
use super::keyring::RoomKeys;
use super::marks::RoomMarks;
use crate::rate::Bucket;
use crate::store::{EntryRow, HeadRow, Read, RoomRow, StoreError, Write};

/// Positions kept at hand: what live senders claim to have seen is almost always among them.
const POSITIONS_MAX: usize = 256;
/// Commits read at once when a room is loaded.
const COMMITS_PAGE: u32 = 64;

/// A room as the writer holds it.
#[derive(Debug)]
pub(crate) struct Room {
    /// The stored row; its number is set.
    pub(crate) row: RoomRow,
    /// What the commits say.
    pub(crate) state: RoomState,
    /// Where the log stands, including what the present batch has added.
    pub(crate) head: HeadRow,
    /// Who has it how far.
    pub(crate) marks: RoomMarks,
    /// Messages of all members together.
    pub(crate) bucket: Bucket,
    /// Seal the bodies of an open room.
    pub(crate) keys: Option<RoomKeys>,
    /// The last messages of each device.
    pub(crate) counters: DeviceCounters,
    /// `(H, countable entries)` of the newest places; the last is the head's.
    positions: VecDeque<(Hash, u64)>,
    /// When it was last used, in batches; who is unused longest goes first.
    pub(super) used: u64,
}

/// An entry about to get its place.
#[derive(Debug)]
pub(crate) struct NewEntry {
    /// First byte of the entry.
    pub(crate) tag: u8,
    /// The whole entry, tag included.
    pub(crate) bytes: Vec<u8>,
    /// SHA-256 of the bytes.
    pub(crate) entry_hash: Hash,
    /// Whether it counts as unread.
    pub(crate) is_countable: bool,
    /// The author's device.
    pub(crate) device: DeviceId,
    /// Counter, random number, or 0 (commits).
    pub(crate) ctr: Counter,
}

/// An entry in its place, ready to be emitted.
#[derive(Debug)]
pub(crate) struct StoredEntry {
    /// The place.
    pub(crate) seq: Seq,
    /// The event, encoded once for all who get it.
    pub(crate) frame: Bytes,
}

impl Room {
    /// Founds a room whose Create is about to be stored at place 1.
    pub(crate) fn found(row: RoomRow, state: RoomState, keys: Option<RoomKeys>) -> Self {
        let hash = row.room.as_hash();
        let head = HeadRow { seq: Seq(0), hash, n_countable: 0, commit_seq: Seq(0) };
        Self::new(row, state, head, keys, RoomMarks::default())
    }

    fn new(
        row: RoomRow,
        state: RoomState,
        head: HeadRow,
        keys: Option<RoomKeys>,
        marks: RoomMarks,
    ) -> Self {
        let positions = VecDeque::from([(head.hash, head.n_countable)]);
        let (bucket, counters) = (Bucket::default(), DeviceCounters::default());
        Self { row, state, head, marks, bucket, keys, counters, positions, used: 0 }
    }

    /// Loads a room: rebuilds its state from its commits, and its marks.
    pub(crate) fn load(
        read: &dyn Read,
        master: &MasterKey,
        row: RoomRow,
    ) -> Result<Self, StoreError> {
        let keys = RoomKeys::load(read, master, &row)?;
        let head = read.head(row.number)?;
        let mut state: Option<RoomState> = None;
        let mut after = Seq(0);
        loop {
            let rows = read.commits(row.number, after, COMMITS_PAGE)?;
            let Some(last) = rows.last() else { break };
            after = last.seq;
            for entry in rows {
                let (seq, time) = (entry.seq, entry.time);
                let commit = stored_commit(&row, keys.as_ref(), entry)?;
                match &mut state {
                    Some(state) => state.apply(seq, time, &commit),
                    None => state = RoomState::create(&commit, time),
                }
            }
        }
        let state = state.ok_or_else(|| StoreError::rotten("a room without a Create"))?;
        let mut marks = RoomMarks::default();
        for mark in read.marks(row.number)? {
            if state.member(mark.account).is_some_and(|member| member.role != Role::Agent) {
                marks.load(&mark);
            }
        }
        Ok(Self::new(row, state, head, keys, marks))
    }

    /// Takes over what a copy of the same room held that the store has not, or that is no part of it.
    pub(super) fn take_over(&mut self, other: Self) {
        self.bucket = other.bucket;
        let Self { state, marks, .. } = self;
        marks.take_over(other.marks, |account| is_person(state, account));
    }

    /// The room's short number.
    pub(crate) fn number(&self) -> RoomNumber {
        self.row.number
    }

    /// Says whether the account is a member who is a person: only those have marks.
    pub(crate) fn is_person(&self, account: AccountId) -> bool {
        is_person(&self.state, account)
    }

    /// `H` and the countable entries up to a place; `None` beyond the head.
    pub(crate) fn position(
        &self,
        read: &dyn Read,
        seq: Seq,
    ) -> Result<Option<(Hash, u64)>, StoreError> {
        let Some(behind) = self.head.seq.0.checked_sub(seq.0) else { return Ok(None) };
        if let Some(at) = usize::try_from(behind).ok().filter(|at| *at < self.positions.len()) {
            return Ok(self.positions.get(self.positions.len() - 1 - at).copied());
        }
        read.position(self.row.number, seq)
    }

    /// Gives an entry the next place and writes it.
    ///
    /// Hashes once, encodes the event once, and moves the bytes into the row. In an open room it is
    /// also the moment at which a key that has served its time is followed by the next.
    pub(crate) fn store(
        &mut self,
        b: &mut Batch<'_>,
        master: &MasterKey,
        entry: NewEntry,
    ) -> Result<StoredEntry, StoreError> {
        let log = LogHash::at(self.head.seq, self.head.hash).extend_hash(entry.entry_hash);
        let (seq, hash) = (log.seq(), log.hash());
        let n_countable = self.head.n_countable + u64::from(entry.is_countable);
        let (frame, bytes) = entry_frame(self.row.number, seq, b.now, entry.bytes);
        // Data of a server that did not keep it in the row yet heals here.
        self.note_retention(b.tx)?;
        if self.keys.as_ref().is_some_and(|keys| keys.are_due(b.now)) {
            self.renew_key(b, master)?;
        }
        let body = match &self.keys {
            None => bytes,
            Some(keys) => keys.seal_entry(&mut b.rng, seq, &bytes),
        };
        b.tx.insert_entry(&EntryRow {
            room: self.row.number,
            seq,
            time: b.now,
            tag: entry.tag,
            body: Some(body),
            entry_hash: entry.entry_hash,
            hash,
            n_countable,
            device: entry.device,
            ctr: entry.ctr,
        })?;
        self.head.seq = seq;
        self.head.hash = hash;
        self.head.n_countable = n_countable;
        if self.positions.len() >= POSITIONS_MAX {
            self.positions.pop_front();
        }
        self.positions.push_back((hash, n_countable));
        Ok(StoredEntry { seq, frame })
    }

    /// Keeps the row as the policy is, for whoever looks for rooms that forget.
    pub(crate) fn note_retention(&mut self, tx: &mut dyn Write) -> Result<(), StoreError> {
        let days = self.state.policy().retention_days;
        if self.row.retention_days != days {
            tx.set_retention(self.row.number, days)?;
            self.row.retention_days = days;
        }
        Ok(())
    }

    /// Gives an open room its next key, which seals from behind the head on.
    pub(crate) fn renew_key(
        &mut self,
        b: &mut Batch<'_>,
        master: &MasterKey,
    ) -> Result<(), StoreError> {
        let Some(keys) = &mut self.keys else { return Ok(()) };
        let from = self.head.seq.next();
        let row = keys.renew(master, &mut b.rng, &self.row, from, b.now);
        b.tx.insert_room_key(&row)
    }

    /// The timer that its marks need now, if they need a new one.
    pub(crate) fn newly_due(&mut self, now: TimeMs) -> Option<Reverse<(TimeMs, RoomNumber)>> {
        let due = self.marks.newly_due(now)?;
        Some(Reverse((due, self.row.number)))
    }

    /// Countable entries above a place.
    pub(crate) fn n_unread(&self, read: &dyn Read, upto: Seq) -> Result<u32, StoreError> {
        let n_read = self.position(read, upto)?.map_or(0, |(_, n_countable)| n_countable);
        Ok(u32::try_from(self.head.n_countable.saturating_sub(n_read)).unwrap_or(u32::MAX))
    }
}

fn is_person(state: &RoomState, account: AccountId) -> bool {
    state.member(account).is_some_and(|member| member.role != Role::Agent)
}

/// The true bytes of a stored entry; `None` once retention removed them.
pub(crate) fn true_bytes(
    keys: Option<&RoomKeys>,
    seq: Seq,
    body: Option<Vec<u8>>,
) -> Result<Option<Vec<u8>>, StoreError> {
    match (body, keys) {
        (None, _) => Ok(None),
        (Some(body), None) => Ok(Some(body)),
        (Some(body), Some(keys)) => Ok(Some(keys.open_entry(seq, &body)?)),
    }
}

fn stored_commit(
    row: &RoomRow,
    keys: Option<&RoomKeys>,
    entry: EntryRow,
) -> Result<Commit, StoreError> {
    debug_assert_eq!(row.number, entry.room);
    let bytes = true_bytes(keys, entry.seq, entry.body)?;
    let bytes = bytes.ok_or_else(|| StoreError::rotten("a commit without its bytes"))?;
    Commit::decode(bytes).map_err(StoreError::rotten)
}

/// Encodes the event of an entry and hands the entry's bytes back, so that they are never copied
/// but into the frame.
fn entry_frame(room: RoomNumber, seq: Seq, time: TimeMs, entry: Vec<u8>) -> (Bytes, Vec<u8>) {
    let frame = ServerFrame::Event(Event::Entry { room, seq, time, entry });
    let encoded = encode_frame(&frame);
    match frame {
        ServerFrame::Event(Event::Entry { entry, .. }) => (encoded, entry),
        _ => unreachable!("the frame was made three lines above"),
    }
}
