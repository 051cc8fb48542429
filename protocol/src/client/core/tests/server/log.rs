//! The log of one room as the server holds it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::super::super::io::Page;
use crate::crypto::commit::{Commit, RoomMode, TAG_COMMIT};
use crate::crypto::message::{Flags, Message};
use crate::id::{AccountId, DeviceId, Epoch, Hash, RoomId, RoomNumber, Seq, TimeMs};
use crate::id::{Counter, WorkspaceId};
use crate::log::admit::DeviceLane;
use crate::log::unread::mark_histogram;
use crate::log::{LogHash, Marks, RoomState};
use crate::wire::{
    BulkRequest, DeviceGrant, EntryBody, Event, Fault, LogEntry, MarkBucket, RoomHead, SignedTick,
    Wrap,
};

/// One room.
#[derive(Debug)]
pub(in super::super::super) struct Log {
    pub(in super::super::super) id: RoomId,
    pub(in super::super::super) number: RoomNumber,
    pub(in super::super::super) entries: Vec<LogEntry>,
    /// `H` before each entry and at the end.
    pub(in super::super::super) hashes: Vec<LogHash>,
    pub(in super::super::super) state: RoomState,
    pub(in super::super::super) wraps: Vec<(Epoch, Wrap)>,
    pub(in super::super::super) grants: Vec<(AccountId, AccountId, DeviceGrant)>,
    pub(super) lanes: HashMap<DeviceId, DeviceLane>,
    pub(super) marks: BTreeMap<AccountId, Marks>,
    pub(super) schedule: Vec<(TimeMs, Vec<u8>)>,
    pub(in super::super::super) ticks: BTreeMap<AccountId, SignedTick>,
}

impl Log {
    pub(super) fn found(number: RoomNumber, create: &Commit, now: TimeMs) -> Self {
        let id = create.room_id().unwrap();
        let mut log = Self {
            id,
            number,
            entries: Vec::new(),
            hashes: vec![LogHash::start(id)],
            state: RoomState::create(create, now).unwrap(),
            wraps: Vec::new(),
            grants: Vec::new(),
            lanes: HashMap::new(),
            marks: BTreeMap::new(),
            schedule: Vec::new(),
            ticks: BTreeMap::new(),
        };
        log.push(create.entry().to_vec(), now);
        log
    }

    /// Appends bytes, whatever they are.
    pub(in super::super::super) fn push(&mut self, entry: Vec<u8>, time: TimeMs) -> Seq {
        let at = self.head().extend(&entry);
        self.hashes.push(at);
        self.entries.push(LogEntry { seq: at.seq(), time, body: EntryBody::Whole(entry) });
        at.seq()
    }

    pub(in super::super::super) fn head(&self) -> LogHash {
        *self.hashes.last().unwrap()
    }

    pub(in super::super::super) fn hash_at(&self, seq: Seq) -> Option<Hash> {
        self.hashes.get(usize::try_from(seq.0).unwrap()).map(LogHash::hash)
    }

    pub(in super::super::super) fn members(&self) -> BTreeSet<AccountId> {
        self.state.members().map(|member| member.account).collect()
    }

    pub(super) fn is_open(&self) -> bool {
        self.state.mode() == RoomMode::Open
    }

    /// The place of an entry with these bytes.
    pub(super) fn place_of(&self, bytes: &[u8]) -> Option<(Seq, TimeMs)> {
        let is_it =
            |entry: &&LogEntry| matches!(&entry.body, EntryBody::Whole(kept) if kept == bytes);
        self.entries.iter().find(is_it).map(|entry| (entry.seq, entry.time))
    }

    /// The event of an entry.
    pub(in super::super::super) fn event(&self, seq: Seq) -> Event {
        let entry = &self.entries[usize::try_from(seq.0 - 1).unwrap()];
        let EntryBody::Whole(bytes) = &entry.body else { panic!("the entry is gone") };
        Event::Entry { room: self.number, seq, time: entry.time, entry: bytes.clone() }
    }

    pub(super) fn n_unread(&self, account: AccountId) -> u32 {
        let read = self.marks.get(&account).copied().unwrap_or_default().read_upto;
        let is_countable = |entry: &&LogEntry| {
            entry.seq > read
                && matches!(&entry.body, EntryBody::Whole(bytes) if Message::decode(bytes)
                    .is_ok_and(|message| message.header().flags.has(Flags::COUNTABLE)))
        };
        u32::try_from(self.entries.iter().filter(is_countable).count()).unwrap()
    }

    pub(super) fn staircases(&self) -> (Vec<MarkBucket>, Vec<MarkBucket>) {
        let people = self.state.members().filter(|member| !member.is_mention_agent());
        let marks: Vec<Marks> = people
            .map(|member| self.marks.get(&member.account).copied().unwrap_or_default())
            .collect();
        let delivered = mark_histogram(marks.iter().map(|mark| mark.delivered_upto), 8);
        (delivered, mark_histogram(marks.iter().map(|mark| mark.read_upto), 8))
    }

    pub(in super::super::super) fn room_head(
        &self,
        account: AccountId,
        device: DeviceId,
    ) -> RoomHead {
        let marks = self.marks.get(&account).copied().unwrap_or_default();
        let (delivered, read) = self.staircases();
        RoomHead {
            room: self.id,
            number: self.number,
            workspace: WorkspaceId::MAIN,
            seq: self.head().seq(),
            hash: self.head().hash(),
            commit_seq: self.state.head_seq(),
            last_counter: self.lanes.get(&device).map_or(Counter(0), DeviceLane::last),
            delivered_upto: marks.delivered_upto,
            read_upto: marks.read_upto,
            n_unread: self.n_unread(account),
            delivered,
            read,
        }
    }

    pub(super) fn pages(
        &self,
        request: &BulkRequest,
        page_len: usize,
    ) -> Result<VecDeque<Page>, Fault> {
        let head = self.head().seq();
        let wanted: Vec<LogEntry> = match *request {
            BulkRequest::After { after, .. } if after > head => return Err(Fault::BadSeen),
            BulkRequest::After { after, count, .. } => {
                let behind = self.entries.iter().filter(|entry| entry.seq > after);
                behind.take(count as usize).cloned().collect()
            }
            BulkRequest::Before { before, count, .. } => {
                let is_before = |entry: &&LogEntry| before == Seq(0) || entry.seq < before;
                let all: Vec<_> = self.entries.iter().filter(is_before).cloned().collect();
                all[all.len().saturating_sub(count as usize)..].to_vec()
            }
            BulkRequest::Commits { after, .. } => {
                let is_commit = |entry: &&LogEntry| {
                    entry.seq > after
                        && matches!(&entry.body, EntryBody::Whole(bytes)
                            if bytes.first() == Some(&TAG_COMMIT))
                };
                self.entries.iter().filter(is_commit).cloned().collect()
            }
        };
        let mut parts: Vec<Vec<LogEntry>> = match request {
            BulkRequest::Before { .. } => wanted.rchunks(page_len).map(<[_]>::to_vec).collect(),
            _ => wanted.chunks(page_len).map(<[_]>::to_vec).collect(),
        };
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let n_parts = parts.len();
        let pages = parts.into_iter().enumerate().map(|(at, entries)| {
            let before = entries.first().map_or(head, |first| Seq(first.seq.0 - 1));
            let hash_before = self.hash_at(before).unwrap();
            Page { hash_before, entries, is_last: at + 1 == n_parts }
        });
        Ok(pages.collect())
    }
}
