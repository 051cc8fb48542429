//! One room in memory: state, verified position, lanes, keys at hand, entries that wait.
//!
//! Owns no rule about entries (those are in `log`), only what the engine must remember between them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::super::record::{
    DeviceLane, EntryRecord, MarkHistograms, RoomFacts, RoomMarks, RoomRecord,
};
use super::super::replica::{Replica, Stored, Write};
use super::views::is_countable;
use crate::crypto::commit::{Commit, RoomMode};
use crate::crypto::epoch::{EpochSecret, RoomKey, SenderKey};
use crate::crypto::settings::RoomSettings;
use crate::id::{AccountId, DeviceId, Epoch, Hash, RoomId, Seq};
use crate::log::sync::RoomSync;
use crate::log::{Context, KnownHashes as _, LogHash, RoomState, SenderLane, SettingsRecord};
use crate::wire::{LogEntry, RoomHead, SignedTick};

/// An entry with a place in the log, waiting to be judged.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) entry: LogEntry,
    pub(super) at: LogHash,
    pub(super) context: Context,
}

/// Work that goes on in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// Judging entries.
    Pump,
    /// Entering the room: its commits are read and verified.
    Enter,
    /// Sending the outbox.
    Drain,
    /// Getting missing keys.
    Keys,
    /// Getting missing keys once more when done.
    KeysAgain,
}

/// One room.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) id: RoomId,
    own_device: DeviceId,
    pub(super) facts: RoomFacts,
    pub(super) marks: RoomMarks,
    pub(super) histograms: MarkHistograms,
    /// `None` until the commits were verified.
    pub(super) state: Option<RoomState>,
    /// Keeps the log whole; `None` until it is known where to begin.
    pub(super) sync: Option<RoomSync>,
    /// Entries in place that were not judged yet.
    pub(super) queue: VecDeque<Placed>,
    /// The last entry that was judged and stored.
    pub(super) applied: LogHash,
    /// The newest of those, which may not be in the replica yet.
    pub(super) recent: VecDeque<LogHash>,
    pub(super) lanes: HashMap<DeviceId, SenderLane>,
    /// Whether the log was held from its first entry, so that every lane begins at 1.
    pub(super) is_whole: bool,
    pub(super) n_gone: u64,
    /// Numbers of scheduled messages in the log.
    pub(super) scheduled: HashSet<u64>,
    /// What is at work here; each at most once at a time.
    pub(super) tasks: BTreeSet<Task>,
    /// What the server last said about the end of the log, until the log can be compared with it.
    pub(super) head: Option<(Seq, Hash)>,
    /// Everything up to here has expired by the room's policy.
    pub(super) expired_upto: Seq,
    /// How many reads of older pages have ended, one way or the other.
    pub(super) n_older_reads: u64,
    /// The server has lost a part of the log, and that was told.
    pub(super) is_damage_told: bool,
    senders: HashMap<(Epoch, DeviceId), SenderKey>,
    /// Secrets of own commits that are on their way, by the hash of the commit.
    pub(super) own_secrets: HashMap<Hash, EpochSecret>,
    /// Epochs whose key was asked of the other members.
    pub(super) asked: BTreeSet<Epoch>,
    /// Epochs for which a key came that did not fit.
    pub(super) bad_keys: BTreeSet<Epoch>,
    pub(super) settings: Option<RoomSettings>,
    /// Messages of the newest epoch.
    pub(super) n_messages: u64,
    /// Signed ticks about positions that are not here yet.
    pub(super) early_ticks: BTreeMap<AccountId, SignedTick>,
    /// A read mark that could not be told yet.
    pub(super) unsent_read: Option<Seq>,
    /// Entries up to here are in the server's count of what is unread.
    pub(super) counted_upto: Seq,
}

impl Room {
    /// A room that was just heard of.
    pub(super) fn new(id: RoomId, own_device: DeviceId, facts: RoomFacts) -> Self {
        Self {
            id,
            own_device,
            facts,
            marks: RoomMarks::default(),
            histograms: MarkHistograms::default(),
            state: None,
            sync: None,
            queue: VecDeque::new(),
            applied: LogHash::start(id),
            recent: VecDeque::new(),
            lanes: HashMap::new(),
            is_whole: true,
            n_gone: 0,
            scheduled: HashSet::new(),
            tasks: BTreeSet::new(),
            head: None,
            expired_upto: Seq(0),
            n_older_reads: 0,
            is_damage_told: false,
            senders: HashMap::new(),
            own_secrets: HashMap::new(),
            asked: BTreeSet::new(),
            bad_keys: BTreeSet::new(),
            settings: None,
            n_messages: 0,
            early_ticks: BTreeMap::new(),
            unsent_read: None,
            counted_upto: Seq(0),
        }
    }

    /// Loads a room as the replica has it; entries stay on disk.
    pub(super) fn load(
        replica: &Replica,
        own_device: DeviceId,
        record: RoomRecord,
    ) -> Stored<Self> {
        let id = record.room;
        let mut room = Self::new(id, own_device, record.facts);
        (room.marks, room.histograms) = (record.marks, record.histograms);
        room.applied = LogHash::at(record.seq, record.hash);
        room.counted_upto = record.seq;
        room.is_whole = room.facts.held_from <= Seq(1);
        let mut commits = Vec::new();
        for kept in replica.commits(id)? {
            match Commit::decode(kept.entry) {
                Ok(commit) => commits.push((kept.seq, kept.time, commit)),
                Err(error) => {
                    tracing::warn!(room = id.short(), %error, "a stored commit is broken");
                }
            }
        }
        room.state = RoomState::rebuild(commits.iter().map(|(seq, time, c)| (*seq, *time, c)));
        if room.state.is_some() {
            // The oldest entry held counts as the place before: a page behind it meets it again.
            let oldest = replica.hash_at(id, room.facts.held_from)?;
            let oldest = match oldest {
                _ if room.is_whole => LogHash::start(id),
                Some(hash) => LogHash::at(room.facts.held_from, hash),
                None => room.applied,
            };
            room.sync = Some(RoomSync::resume(id, oldest, room.applied));
        }
        // Bodies may have been removed while this device was away.
        let forgets = room.state.as_ref().is_some_and(|state| state.policy().retention_days > 0);
        room.n_gone = if forgets { u64::from(u32::MAX) } else { 0 };
        for (device, lane) in replica.lanes(id)? {
            let at = SenderLane::At { ctr: lane.last, half: lane.prev_own, n_gone: 0 };
            room.lanes.insert(device, at);
        }
        room.scheduled = replica.scheduled(id)?.into_iter().collect();
        room.expired_upto = replica.expired_upto(id)?;
        room.count_messages(replica)?;
        room.refresh_settings(replica)?;
        Ok(room)
    }

    fn count_messages(&mut self, replica: &Replica) -> Stored<()> {
        let Some(state) = &self.state else { return Ok(()) };
        let started = state.epoch().started_seq;
        let is_started = !replica.entries_after(self.id, started, 1)?.is_empty();
        // Commits in between are counted too: rotating a little early does no harm.
        self.n_messages =
            if is_started { self.applied.seq().0.saturating_sub(started.0) } else { 0 };
        Ok(())
    }

    /// What the server tells about the room; `true` if anything that shows has changed.
    pub(super) fn take_head(&mut self, head: &RoomHead) -> bool {
        let before = (self.facts.clone(), self.marks, self.histograms.clone());
        let (facts, marks) = (&mut self.facts, &mut self.marks);
        let histograms = &mut self.histograms;
        facts.number = Some(head.number);
        facts.workspace = head.workspace;
        facts.is_member = true;
        marks.announced = marks.announced.max(head.seq);
        marks.read_upto = marks.read_upto.max(head.read_upto);
        marks.delivered_upto = marks.delivered_upto.max(head.delivered_upto);
        marks.n_unread = head.n_unread;
        self.counted_upto = head.seq;
        histograms.delivered.clone_from(&head.delivered);
        histograms.read.clone_from(&head.read);
        before.0 != *facts || before.1 != *marks || before.2 != *histograms
    }

    /// All that is kept of the room and does not stand in its log.
    pub(super) fn known_beside_the_log(&self) -> [Write; 3] {
        let (room, histograms) = (self.id, self.histograms.clone());
        [
            Write::Facts { room, facts: self.facts.clone() },
            Write::Marks { room, marks: self.marks },
            Write::MarkHistograms { room, histograms },
        ]
    }

    /// Counts an entry that came after the server last said how much is unread. The count of the
    /// server, whenever it says one, is the one that holds.
    pub(super) fn count_unread(&mut self, entry: &EntryRecord, me: AccountId) {
        let is_news = entry.seq > self.counted_upto && entry.seq > self.marks.read_upto;
        if is_news && entry.author != me && is_countable(entry) {
            self.marks.n_unread += 1;
        }
        self.counted_upto = self.counted_upto.max(entry.seq);
    }

    /// Begins a task, unless it is at work already.
    pub(super) fn begin(&mut self, task: Task) -> bool {
        self.tasks.insert(task)
    }

    /// Says that a task is done.
    pub(super) fn end(&mut self, task: Task) {
        self.tasks.remove(&task);
    }

    /// Whether the log is here up to everything the server announced.
    pub(super) fn is_caught_up(&self) -> bool {
        self.queue.is_empty() && self.sync.as_ref().is_some_and(RoomSync::is_caught_up)
    }

    /// `H` at a position, if it was verified here.
    pub(super) fn hash_at(&self, replica: &Replica, seq: Seq) -> Option<Hash> {
        if seq == Seq(0) {
            return Some(self.id.as_hash());
        }
        let recent = self.recent.iter().find(|at| at.seq() == seq).map(LogHash::hash);
        let known = || self.sync.as_ref().and_then(|sync| sync.hash_at(seq));
        recent.or_else(known).or_else(|| replica.hash_at(self.id, seq).ok().flatten())
    }

    /// The lane of a device, for the next message of it.
    pub(super) fn lane(&self, device: DeviceId) -> SenderLane {
        let unseen = if self.is_whole { SenderLane::Fresh } else { SenderLane::Unknown };
        self.lanes.get(&device).copied().unwrap_or(unseen)
    }

    /// The verified lane of this device, as the outbox continues it.
    pub(super) fn own_lane(&self, device: DeviceId) -> DeviceLane {
        match self.lanes.get(&device) {
            Some(SenderLane::At { ctr, half, .. }) => DeviceLane { last: *ctr, prev_own: *half },
            _ => DeviceLane::default(),
        }
    }

    /// The sender key of a device in an epoch, if the secret is kept.
    pub(super) fn sender_key(
        &mut self,
        replica: &Replica,
        epoch: Epoch,
        account: AccountId,
        device: DeviceId,
    ) -> Stored<Option<&SenderKey>> {
        if !self.senders.contains_key(&(epoch, device)) {
            let record = self.state.as_ref().and_then(|state| state.epoch_record(epoch));
            let Some(commit_hash) = record.map(|record| record.commit_hash) else {
                return Ok(None);
            };
            let key = match replica.epoch_secret(self.id, epoch)? {
                Some(secret) => {
                    SenderKey::derive(&RoomKey::derive(commit_hash, &secret), account, device)
                }
                // An agent that reads only what is shown to it has its own key and no other.
                None if device == self.own_device => match replica.agent_key(self.id, epoch)? {
                    Some(key) => key,
                    None => return Ok(None),
                },
                None => return Ok(None),
            };
            self.senders.insert((epoch, device), key);
        }
        Ok(self.senders.get(&(epoch, device)))
    }

    /// Forgets the sender keys of an epoch.
    pub(super) fn forget_senders(&mut self, epoch: Epoch) {
        self.senders.retain(|(of, _), _| *of != epoch);
    }

    /// Reads name and topic from the newest settings box that can be opened and counts.
    pub(super) fn refresh_settings(&mut self, replica: &Replica) -> Stored<()> {
        let Some(state) = &self.state else { return Ok(()) };
        let mut found = None;
        for record in state.settings().iter().rev().filter(|record| record.may_rename) {
            found = self.open_settings(replica, state, record)?;
            if found.is_some() {
                break;
            }
        }
        // A newcomer may hold no box of an admin: then the newest one is believed.
        if found.is_none()
            && self.settings.is_none()
            && let Some(newest) = state.settings().last()
        {
            found = self.open_settings(replica, state, newest)?;
        }
        if let Some(settings) = found {
            settings.name.as_str().clone_into(&mut self.facts.name);
            settings.topic.clone_into(&mut self.facts.topic);
            self.settings = Some(settings);
        }
        Ok(())
    }

    fn open_settings(
        &self,
        replica: &Replica,
        state: &RoomState,
        record: &SettingsRecord,
    ) -> Stored<Option<RoomSettings>> {
        if state.mode() == RoomMode::Open {
            return Ok(RoomSettings::decode(&record.bytes).ok());
        }
        let Some(epoch) = state.epoch_record(record.epoch) else { return Ok(None) };
        let Some(secret) = replica.epoch_secret(self.id, record.epoch)? else { return Ok(None) };
        let (prev_commit, number) = (epoch.prev_commit, epoch.epoch);
        Ok(RoomSettings::open(&secret, prev_commit, number, &record.bytes).ok())
    }

    /// Stops sending here for good.
    pub(super) fn stop(&mut self, cause: &str) {
        if self.facts.stopped.is_none() {
            self.facts.stopped = Some(cause.to_owned());
        }
    }

    /// Remembers the number of a scheduled message that stands in the log.
    pub(super) fn note_scheduled(&mut self, replica: &Replica, id: u64) -> Stored<()> {
        self.scheduled.insert(id);
        replica.add_scheduled(self.id, id)
    }
}
