//! Bulk reads: a room's log in pages, each checked against the rolling hash on its way out.
//!
//! Owns who may fetch what. Fetching is not reading: a newcomer may fetch sealed entries from before
//! its time, to verify the log's hash chain, and can open none of them.

use std::fmt;
use std::sync::Arc;

use mathia_protocol::crypto::hash::sha256;
use mathia_protocol::id::{AccountId, Hash, RoomId, RoomNumber, Seq};
use mathia_protocol::limits::{HISTORY_PAGE_BYTES_MAX, HISTORY_PAGE_MAX};
use mathia_protocol::log::LogHash;
use mathia_protocol::wire::{BulkReply, BulkRequest, EntryBody, Fault, LogEntry};

use super::at_rest::MasterKey;
use super::keyring::RoomKeys;
use super::reads::{Reads, is_open, own_room};
use super::room::true_bytes;
use crate::refusal::Refusal;
use crate::store::{EntryRange, EntryRow, Read, RoomRow, StoreError};

/// Commits fetched at once; most have a few hundred bytes.
const COMMITS_FETCHED: u32 = 32;

/// A bulk read under way. Each page is one read of its own, so a long one holds no thread.
pub struct BulkRead {
    account: AccountId,
    room: RoomRow,
    /// Opens the room's keys, page by page: a long read may see the next one made.
    master: Arc<MasterKey>,
    plan: Plan,
}

impl fmt::Debug for BulkRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BulkRead({:?})", self.plan)
    }
}

#[derive(Debug)]
enum Plan {
    /// Forward from behind `after`.
    After { after: Seq, left: u32 },
    /// Backward from before `before`.
    Before { before: Seq, left: u32 },
    /// Commits, forward from behind `after`.
    Commits { after: Seq },
    /// The last page was handed out.
    Done,
}

impl Reads {
    /// Begins a bulk read.
    ///
    /// # Errors
    ///
    /// [`Fault::NotFound`] for a room the account is not in; commits of an open room are for the
    /// whole workspace, since one must know a room to join it.
    pub fn bulk(
        &self,
        read: &dyn Read,
        account: AccountId,
        request: &BulkRequest,
    ) -> Result<BulkRead, Refusal> {
        let (id, is_commits) = match request {
            BulkRequest::After { room, .. } | BulkRequest::Before { room, .. } => (*room, false),
            BulkRequest::Commits { room, .. } => (*room, true),
        };
        let room = visible_room(read, account, id, is_commits)?;
        let head = read.head(room.number)?.seq;
        let plan = match *request {
            BulkRequest::After { after, count, .. } => Plan::After { after, left: count },
            BulkRequest::Before { before: Seq(0), count, .. } => {
                Plan::Before { before: head.next(), left: count }
            }
            BulkRequest::Before { before, count, .. } => {
                Plan::Before { before: before.min(head.next()), left: count }
            }
            BulkRequest::Commits { after, .. } => Plan::Commits { after },
        };
        if matches!(plan, Plan::After { after, .. } if after > head) {
            return Err(Fault::BadSeen.into());
        }
        Ok(BulkRead { account, room, master: Arc::clone(&self.master), plan })
    }
}

impl BulkRead {
    /// Reads the next page; `None` after the last.
    ///
    /// # Errors
    ///
    /// [`Fault::NotFound`] once the account is no longer in the room. [`StoreError::Rotten`] if the
    /// entries do not yield the stored rolling hash: bits have rotted on the disk.
    pub fn next_page(&mut self, read: &dyn Read) -> Result<Option<BulkReply>, Refusal> {
        if matches!(self.plan, Plan::Done) {
            return Ok(None);
        }
        let is_commits = matches!(self.plan, Plan::Commits { .. });
        visible_room(read, self.account, self.room.room, is_commits)?;
        match self.plan {
            Plan::After { after, left } => self.page_after(read, after, left).map(Some),
            Plan::Before { before, left } => self.page_before(read, before, left).map(Some),
            Plan::Commits { after } => self.page_commits(read, after).map(Some),
            Plan::Done => Ok(None),
        }
    }

    fn page_after(&mut self, read: &dyn Read, after: Seq, left: u32) -> Result<BulkReply, Refusal> {
        let head = read.head(self.room.number)?.seq;
        let n_rows_max = left.min(page_rows());
        let range = EntryRange {
            room: self.room.number,
            from: after.next(),
            to: head,
            n_rows_max,
            n_bytes_max: HISTORY_PAGE_BYTES_MAX,
        };
        let rows = if n_rows_max == 0 { Vec::new() } else { read.entries(range)? };
        let n_rows = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let (hash_before, entries) = self.verified(read, after, rows)?;
        let last = entries.last().map_or(after, |entry| entry.seq);
        let left = left.saturating_sub(n_rows);
        let is_last = left == 0 || last >= head || n_rows == 0;
        self.plan = if is_last { Plan::Done } else { Plan::After { after: last, left } };
        Ok(BulkReply::Page { hash_before, entries, is_last })
    }

    fn page_before(
        &mut self,
        read: &dyn Read,
        before: Seq,
        left: u32,
    ) -> Result<BulkReply, Refusal> {
        let n_rows = u64::from(left.min(page_rows())).min(before.0.saturating_sub(1));
        let from = Seq(before.0 - n_rows);
        let range = EntryRange {
            room: self.room.number,
            from,
            to: Seq(before.0 - 1),
            n_rows_max: page_rows(),
            // What does not fit stands at the beginning: it is cut off below.
            n_bytes_max: usize::MAX,
        };
        let mut rows = if n_rows == 0 { Vec::new() } else { read.entries(range)? };
        let mut budget = HISTORY_PAGE_BYTES_MAX;
        let n_fitting = rows
            .iter()
            .rev()
            .take_while(|row| {
                let size = row.body.as_ref().map_or(0, Vec::len);
                budget.checked_sub(size).inspect(|left| budget = *left).is_some()
            })
            .count();
        rows.drain(..rows.len() - n_fitting.max(1).min(rows.len()));
        let first = rows.first().map_or(before, |row| row.seq);
        let left = left.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        let after = Seq(first.0.saturating_sub(1));
        let (hash_before, entries) = self.verified(read, after, rows)?;
        let is_last = left == 0 || after == Seq(0);
        self.plan = if is_last { Plan::Done } else { Plan::Before { before: first, left } };
        Ok(BulkReply::Page { hash_before, entries, is_last })
    }

    fn page_commits(&mut self, read: &dyn Read, after: Seq) -> Result<BulkReply, Refusal> {
        let mut rows = read.commits(self.room.number, after, COMMITS_FETCHED)?;
        let is_exhausted = rows.len() < usize::try_from(COMMITS_FETCHED).unwrap_or(usize::MAX);
        let mut budget = HISTORY_PAGE_BYTES_MAX;
        let n_fitting = rows
            .iter()
            .take_while(|row| {
                let size = row.body.as_ref().map_or(0, Vec::len);
                budget.checked_sub(size).inspect(|left| budget = *left).is_some()
            })
            .count();
        let n_kept = n_fitting.max(1).min(rows.len());
        let is_last = is_exhausted && n_kept == rows.len();
        rows.truncate(n_kept);
        let last = rows.last().map_or(after, |row| row.seq);
        let keys = self.keys(read)?;
        let entries: Result<Vec<LogEntry>, StoreError> =
            rows.into_iter().map(|row| entry_of(keys.as_ref(), row)).collect();
        self.plan = if is_last { Plan::Done } else { Plan::Commits { after: last } };
        Ok(BulkReply::Page { hash_before: Hash::ZERO, entries: entries?, is_last })
    }

    /// Opens the rows behind `after` and recomputes the rolling hash over them.
    fn verified(
        &self,
        read: &dyn Read,
        after: Seq,
        rows: Vec<EntryRow>,
    ) -> Result<(Hash, Vec<LogEntry>), StoreError> {
        let position = read.position(self.room.number, after)?;
        let (hash_before, _) = position.ok_or_else(|| rotten(self.room.number, after, "a gap"))?;
        let keys = self.keys(read)?;
        let mut log = LogHash::at(after, hash_before);
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            log = log.extend_hash(row.entry_hash);
            if (log.seq(), log.hash()) != (row.seq, row.hash) {
                return Err(rotten(row.room, row.seq, "the rolling hash does not fit"));
            }
            entries.push(entry_of(keys.as_ref(), row)?);
        }
        Ok((hash_before, entries))
    }

    /// The keys for rows that were read before: one that was made meanwhile is among them.
    fn keys(&self, read: &dyn Read) -> Result<Option<RoomKeys>, StoreError> {
        RoomKeys::load(read, &self.master, &self.room)
    }
}

fn entry_of(keys: Option<&RoomKeys>, row: EntryRow) -> Result<LogEntry, StoreError> {
    let EntryRow { room, seq, time, entry_hash, .. } = row;
    let opened = true_bytes(keys, seq, row.body);
    let body = match opened.map_err(|_| rotten(room, seq, "the body does not open"))? {
        None => EntryBody::Gone(entry_hash),
        Some(bytes) if sha256(&[&bytes]) == entry_hash => EntryBody::Whole(bytes),
        Some(_) => return Err(rotten(room, seq, "the body is not the one that was stored")),
    };
    Ok(LogEntry { seq, time, body })
}

/// What was read cannot be what was written: bits have rotted, or a hand has changed them.
fn rotten(room: RoomNumber, seq: Seq, what: &str) -> StoreError {
    StoreError::rotten(format!("room {room} at entry {seq}: {what}"))
}

fn page_rows() -> u32 {
    u32::try_from(HISTORY_PAGE_MAX).unwrap_or(u32::MAX)
}

/// The room, if the account may fetch its entries, or its commits only.
fn visible_room(
    read: &dyn Read,
    account: AccountId,
    room: RoomId,
    is_commits: bool,
) -> Result<RoomRow, Refusal> {
    if is_commits && let Some(row) = read.room(room)?.filter(is_open) {
        return Ok(row);
    }
    own_room(read, account, room)
}
