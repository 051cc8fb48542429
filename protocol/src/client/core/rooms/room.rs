//! One room in memory: state, verified position, lanes, keys at hand, entries that wait.
//!
//! Owns no rule about entries (those are in `log`), only what must be remembered between them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::keys::RoomKeys;
use crate::client::record::{
    DeviceLane, EntryRecord, MarkHistograms, RoomFacts, RoomMarks, StoredCommit,
};
use crate::client::replica::{LoadedRoom, Write};
use crate::crypto::commit::{Commit, HistoryRule, Member, Policy, Role, RoomMode};
use crate::crypto::hash::sha256;
use crate::crypto::message::{Flags, Message, MessageHeader};
use crate::crypto::settings::RoomSettings;
use crate::id::{AccountId, DeviceId, Hash, RoomId, Seq, TimeMs};
use crate::log::sync::{Claimed, Input as SyncInput, RoomSync};
use crate::log::{Context, KnownHashes as _, LogHash, RoomState, SenderLane, SettingsRecord};
use crate::wire::{EntryBody, LogEntry, RoomHead, SignedTick};

/// Positions remembered whose entries may not be in the replica yet.
const RECENT_MAX: usize = 128;

/// An entry with a place in the log, waiting to be judged.
#[derive(Debug, Clone)]
pub(in super::super) struct Placed {
    pub(in super::super) entry: LogEntry,
    pub(in super::super) at: LogHash,
    pub(in super::super) context: Context,
}

/// One room.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one room")]
pub(in super::super) struct Room {
    pub(in super::super) id: RoomId,
    pub(in super::super) facts: RoomFacts,
    pub(in super::super) marks: RoomMarks,
    pub(in super::super) histograms: MarkHistograms,
    /// `None` until the commits were verified.
    pub(in super::super) state: Option<RoomState>,
    /// Keeps the log whole; `None` until it is known where to begin.
    pub(in super::super) sync: Option<RoomSync>,
    /// Entries in place that were not judged yet.
    pub(in super::super) queue: VecDeque<Placed>,
    /// Older pages in place that were not judged yet.
    pub(in super::super) older: VecDeque<Vec<Placed>>,
    /// Positions whose `H` the log rules want to compare.
    pub(in super::super) lookups: VecDeque<(Seq, Claimed)>,
    /// The last entry that was judged.
    pub(in super::super) applied: LogHash,
    /// The last of those that is in the replica.
    pub(in super::super) stored: Seq,
    /// The newest of those, which may not be in the replica yet.
    recent: VecDeque<LogHash>,
    pub(in super::super) lanes: HashMap<DeviceId, SenderLane>,
    /// SHA-256 of the verified commits, by place: a log must hold the same ones.
    pub(in super::super) commits: BTreeMap<Seq, Hash>,
    /// Whether the log was held from its first entry, so that every lane begins at 1.
    pub(in super::super) is_whole: bool,
    pub(in super::super) n_gone: u64,
    /// Numbers of scheduled messages in the log.
    pub(in super::super) scheduled: HashSet<u64>,
    /// What the server last said about the end of the log, until the log can be compared with it.
    pub(in super::super) head: Option<(Seq, Hash)>,
    /// Whether that was not compared with the log yet.
    is_head_new: bool,
    /// What was judged when the last session ended: the server must have at least that.
    pub(in super::super) confirmed: Seq,
    /// Everything up to here has expired by the room's policy.
    pub(in super::super) expired_upto: Seq,
    /// How many reads of older pages have ended, one way or the other.
    pub(in super::super) n_older_reads: u64,
    /// The server has lost a part of the log, and that was reported.
    pub(in super::super) is_damage_reported: bool,
    /// A write failed; the room is loaded anew in a moment.
    pub(in super::super) is_suspended: bool,
    /// The room is being entered: its commits are read and verified.
    pub(in super::super) is_entering: bool,
    /// Missing keys are being fetched.
    pub(in super::super) is_fetching_keys: bool,
    pub(in super::super) keys: RoomKeys,
    pub(in super::super) settings: Option<RoomSettings>,
    /// Messages of the newest epoch.
    pub(in super::super) n_messages: u64,
    /// Signed ticks about positions that are not here yet.
    pub(in super::super) early_ticks: BTreeMap<AccountId, SignedTick>,
    /// A read mark that could not be sent yet.
    pub(in super::super) unsent_read: Option<Seq>,
    /// Entries up to here are in the server's count of what is unread.
    counted_upto: Seq,
    /// Entries behind the read mark that name this account.
    mentions: BTreeSet<Seq>,
}

impl Room {
    /// A room that was just discovered.
    pub(in super::super) fn new(id: RoomId, own_device: DeviceId) -> Self {
        Self {
            id,
            facts: RoomFacts::unknown(),
            marks: RoomMarks::default(),
            histograms: MarkHistograms::default(),
            state: None,
            sync: None,
            queue: VecDeque::new(),
            older: VecDeque::new(),
            lookups: VecDeque::new(),
            applied: LogHash::start(id),
            stored: Seq(0),
            recent: VecDeque::new(),
            lanes: HashMap::new(),
            commits: BTreeMap::new(),
            is_whole: true,
            n_gone: 0,
            scheduled: HashSet::new(),
            head: None,
            is_head_new: false,
            confirmed: Seq(0),
            expired_upto: Seq(0),
            n_older_reads: 0,
            is_damage_reported: false,
            is_suspended: false,
            is_entering: false,
            is_fetching_keys: false,
            keys: RoomKeys::new(own_device),
            settings: None,
            n_messages: 0,
            early_ticks: BTreeMap::new(),
            unsent_read: None,
            counted_upto: Seq(0),
            mentions: BTreeSet::new(),
        }
    }

    /// A room as the replica has it; entries stay on disk.
    pub(in super::super) fn load(loaded: LoadedRoom, own_device: DeviceId) -> Self {
        let record = loaded.record;
        let id = record.room;
        let mut room = Self::new(id, own_device);
        room.facts = record.facts;
        room.marks = record.marks;
        room.histograms = record.histograms;
        room.applied = LogHash::at(record.seq, record.hash);
        room.stored = record.seq;
        room.confirmed = record.seq;
        room.counted_upto = record.seq;
        room.is_whole = room.facts.held_from <= Seq(1);
        room.rebuild(loaded.commits);
        if room.state.is_some() {
            // The oldest entry held counts as the place before: a page behind it meets it again.
            let oldest = match loaded.oldest_hash {
                _ if room.is_whole => LogHash::start(id),
                Some(hash) => LogHash::at(room.facts.held_from, hash),
                None => room.applied,
            };
            room.sync = Some(RoomSync::resume(id, oldest, room.applied));
        }
        // Bodies may have been removed while this device was away.
        let forgets = room.policy().is_some_and(|policy| policy.retention_days > 0);
        room.n_gone = if forgets { u64::from(u32::MAX) } else { 0 };
        let at =
            |lane: DeviceLane| SenderLane::At { ctr: lane.last, half: lane.prev_own, n_gone: 0 };
        room.lanes = loaded.lanes.into_iter().map(|(device, lane)| (device, at(lane))).collect();
        room.scheduled = loaded.scheduled.into_iter().collect();
        room.expired_upto = loaded.expired_upto;
        room.keys.load(loaded.epoch_secrets, loaded.agent_keys);
        room.mentions = loaded.mentions.into_iter().collect();
        if let Some(state) = &room.state {
            let started = state.epoch().started_seq;
            // Commits in between are counted too: rotating a little early does no harm.
            let is_begun = loaded.newest_entry.is_some_and(|newest| newest > started);
            room.n_messages =
                if is_begun { room.applied.seq().0.saturating_sub(started.0) } else { 0 };
        }
        room.refresh_settings();
        room
    }

    fn rebuild(&mut self, kept: Vec<StoredCommit>) {
        let mut commits = Vec::with_capacity(kept.len());
        for StoredCommit { seq, time, entry } in kept {
            self.commits.insert(seq, sha256(&[&entry]));
            match Commit::decode(entry) {
                Ok(commit) => commits.push((seq, time, commit)),
                Err(error) => {
                    tracing::warn!(room = self.id.short(), %error, "a stored commit is broken");
                }
            }
        }
        self.state = RoomState::rebuild(commits.iter().map(|(seq, time, c)| (*seq, *time, c)));
    }

    /// Takes nothing more until the room was loaded anew: what is in memory is not in the replica.
    pub(in super::super) fn suspend(&mut self) {
        self.is_suspended = true;
        self.sync = None;
        self.queue.clear();
        self.older.clear();
    }

    /// Replaces what is remembered by what the replica has, after a write failed.
    pub(in super::super) fn reload(&mut self, loaded: LoadedRoom, own_device: DeviceId) {
        let mut room = Self::load(loaded, own_device);
        room.head = self.head;
        room.is_head_new = self.is_head_new;
        room.confirmed = self.confirmed;
        // Known in any case; storing it may have failed as well.
        room.facts.is_member = self.facts.is_member;
        room.facts.number = self.facts.number.or(room.facts.number);
        room.marks.announced = room.marks.announced.max(self.marks.announced);
        room.unsent_read = self.unsent_read;
        room.is_entering = self.is_entering;
        room.is_fetching_keys = self.is_fetching_keys;
        room.keys.keep_own(&mut self.keys);
        *self = room;
    }

    /// What the server says about the room; `true` if anything that shows has changed.
    pub(in super::super) fn accept_head(&mut self, head: &RoomHead) -> bool {
        let before = (self.facts.clone(), self.marks, self.histograms.clone());
        self.facts.number = Some(head.number);
        self.facts.workspace = head.workspace;
        self.facts.is_member = true;
        self.head = Some((head.seq, head.hash));
        self.is_head_new = true;
        let marks = &mut self.marks;
        marks.announced = marks.announced.max(head.seq);
        marks.delivered_upto = marks.delivered_upto.max(head.delivered_upto);
        marks.n_unread = head.n_unread;
        self.counted_upto = head.seq;
        self.read_to(head.read_upto);
        self.histograms.delivered.clone_from(&head.delivered);
        self.histograms.read.clone_from(&head.read);
        before != (self.facts.clone(), self.marks, self.histograms.clone())
    }

    /// What the server last said about the end of the log, for a log that goes on.
    pub(in super::super) fn take_head(&mut self) -> Option<(Seq, Hash)> {
        self.is_head_new = false;
        self.head
    }

    /// Moves the own read mark, never back.
    pub(in super::super) fn read_to(&mut self, upto: Seq) {
        self.marks.read_upto = self.marks.read_upto.max(upto);
        self.mentions = self.mentions.split_off(&self.marks.read_upto.next());
    }

    /// The account's read mark and the count behind it, by the server's word.
    pub(in super::super) fn accept_own_mark(&mut self, read_upto: Seq, n_unread: u32) {
        self.read_to(read_upto);
        self.marks.n_unread = n_unread;
        // What was announced before this word is in its count.
        self.counted_upto = self.marks.announced.max(self.applied.seq());
    }

    /// Counts an entry that came after the server last said how much is unread. The count of the
    /// server, whenever it says one, is the one that holds.
    pub(in super::super) fn count_unread(&mut self, entry: &EntryRecord, me: AccountId) {
        let is_unread = entry.seq > self.counted_upto && entry.seq > self.marks.read_upto;
        if is_unread && entry.author != me && is_countable(entry) {
            self.marks.n_unread += 1;
        }
        self.counted_upto = self.counted_upto.max(entry.seq);
        self.count_mention(entry.seq, entry.is_mention);
    }

    /// Notes whether an entry names this account.
    pub(in super::super) fn count_mention(&mut self, seq: Seq, is_mention: bool) {
        if is_mention && seq > self.marks.read_upto {
            self.mentions.insert(seq);
        }
    }

    /// How many entries behind the read mark name this account.
    pub(in super::super) fn n_mentions(&self) -> u32 {
        u32::try_from(self.mentions.len()).unwrap_or(u32::MAX)
    }

    /// What stores the facts of the room.
    pub(in super::super) fn write_facts(&self) -> Write {
        Write::Facts { room: self.id, facts: self.facts.clone() }
    }

    /// What stores the own marks.
    pub(in super::super) fn write_marks(&self) -> Write {
        Write::Marks { room: self.id, marks: self.marks }
    }

    /// What stores the marks of the others.
    pub(in super::super) fn write_histograms(&self) -> Write {
        Write::MarkHistograms { room: self.id, histograms: self.histograms.clone() }
    }

    /// Whether the log is here up to everything the server announced.
    pub(in super::super) fn is_caught_up(&self) -> bool {
        self.queue.is_empty() && self.sync.as_ref().is_some_and(RoomSync::is_caught_up)
    }

    /// What a log that begins anew in the middle of a session, behind the position that is stored, is
    /// told of the server's log. An older word of the server is no log that has shrunk, unless it is
    /// shorter than what was there when the session began.
    pub(in super::super) fn heads(&mut self) -> Vec<SyncInput> {
        let is_new = std::mem::take(&mut self.is_head_new);
        let Some((seq, hash)) = self.head else { return Vec::new() };
        let head = SyncInput::Head { seq, hash };
        if seq >= self.applied.seq() || (is_new && seq < self.confirmed) {
            return vec![head];
        }
        let claimed = Claimed::Whole(hash);
        let verified = SyncInput::Head { seq: self.applied.seq(), hash: self.applied.hash() };
        vec![verified, SyncInput::Claim { seq, claimed }]
    }

    /// Whether everything that the server had when it last said so is in the replica.
    pub(in super::super) fn is_stored(&self) -> bool {
        self.head.is_none_or(|(seq, _)| self.stored >= seq)
    }

    /// The policy in force.
    pub(in super::super) fn policy(&self) -> Option<Policy> {
        self.state.as_ref().map(RoomState::policy)
    }

    /// A present member.
    pub(in super::super) fn member(&self, account: AccountId) -> Option<&Member> {
        self.state.as_ref().and_then(|state| state.member(account))
    }

    /// Whether an account is an agent here that reads only what is shown to it.
    pub(in super::super) fn is_mention_agent(&self, account: AccountId) -> bool {
        let is_sealed = self.state.as_ref().is_some_and(|state| state.mode() == RoomMode::E2ee);
        is_sealed && self.member(account).is_some_and(Member::is_mention_agent)
    }

    /// Whether entries from before the own time in the room can be had.
    pub(in super::super) fn may_read_before(&self) -> bool {
        self.state.as_ref().is_some_and(|state| {
            state.mode() == RoomMode::Open || state.policy().history == HistoryRule::All
        })
    }

    /// The room's assistant.
    pub(in super::super) fn agent(&self) -> Option<AccountId> {
        let mut members = self.state.iter().flat_map(RoomState::members);
        members.find(|member| member.role == Role::Agent).map(|member| member.account)
    }

    /// `H` at a position, if it is at hand; older ones are in the replica.
    pub(in super::super) fn hash_at(&self, seq: Seq) -> Option<Hash> {
        if seq == Seq(0) {
            return Some(self.id.as_hash());
        }
        if seq == self.applied.seq() {
            return Some(self.applied.hash());
        }
        let recent = self.recent.iter().find(|at| at.seq() == seq).map(LogHash::hash);
        recent.or_else(|| self.sync.as_ref().and_then(|sync| sync.hash_at(seq)))
    }

    /// The lane of a device, for the next message of it.
    pub(in super::super) fn lane(&self, device: DeviceId) -> SenderLane {
        let unseen = if self.is_whole { SenderLane::Fresh } else { SenderLane::Unknown };
        self.lanes.get(&device).copied().unwrap_or(unseen)
    }

    /// The verified lane of a device, as the outbox continues it.
    pub(in super::super) fn device_lane(&self, device: DeviceId) -> Option<DeviceLane> {
        match self.lanes.get(&device) {
            Some(SenderLane::At { ctr, half, .. }) => {
                Some(DeviceLane { last: *ctr, prev_own: *half })
            }
            _ => None,
        }
    }

    /// Moves the judged position.
    pub(in super::super) fn advance(&mut self, at: LogHash, time: TimeMs) {
        self.applied = at;
        self.recent.push_back(at);
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
        self.marks.active_at = self.marks.active_at.max(time);
        self.marks.announced = self.marks.announced.max(at.seq());
    }

    /// Accepts a valid commit into the state; what stores the secret, if it is an own one.
    pub(in super::super) fn accept_commit(
        &mut self,
        account: AccountId,
        commit: &Commit,
        (seq, time): (Seq, TimeMs),
    ) -> Option<Write> {
        let before = self.state.as_ref().map(|state| state.epoch().epoch);
        match &mut self.state {
            Some(state) => state.apply(seq, time, commit),
            None => self.state = RoomState::create(commit, time),
        }
        self.commits.insert(seq, sha256(&[commit.entry()]));
        let state = self.state.as_ref()?;
        if before != Some(state.epoch().epoch) {
            self.n_messages = 0;
        }
        self.facts.kind = state.kind();
        self.facts.mode = state.mode();
        // What the server last said is newer than the changes before it: somebody may have been
        // removed and added again. And what is read only now does not bring back who is gone.
        if self.head.is_none_or(|(head, _)| seq > head) {
            self.facts.is_member &= state.is_member(account);
        }
        let own = self.keys.accept_own(commit.hash(), commit.epoch);
        if commit.settings_box.is_some() {
            self.refresh_settings();
        }
        let room = self.id;
        own.map(|secret| Write::EpochSecret { room, epoch: commit.epoch, secret })
    }

    /// Reads name and topic from the newest settings box that can be opened and counts.
    pub(in super::super) fn refresh_settings(&mut self) {
        let Some(state) = &self.state else { return };
        let mut counting = state.settings().iter().rev().filter(|record| record.may_rename);
        let mut found = counting.find_map(|record| self.open_settings(state, record));
        // A newcomer may hold no box of an admin: then the newest one is believed.
        if found.is_none()
            && self.settings.is_none()
            && let Some(newest) = state.settings().last()
        {
            found = self.open_settings(state, newest);
        }
        if let Some(settings) = found {
            settings.name.as_str().clone_into(&mut self.facts.name);
            settings.topic.clone_into(&mut self.facts.topic);
            self.settings = Some(settings);
        }
    }

    fn open_settings(&self, state: &RoomState, record: &SettingsRecord) -> Option<RoomSettings> {
        if state.mode() == RoomMode::Open {
            return RoomSettings::decode(&record.bytes).ok();
        }
        let epoch = state.epoch_record(record.epoch)?;
        let secret = self.keys.secret(record.epoch)?;
        RoomSettings::open(secret, epoch.prev_commit, epoch.epoch, &record.bytes).ok()
    }

    /// Stops sending here for good; `true` if it was not stopped before.
    pub(in super::super) fn stop(&mut self, cause: &str) -> bool {
        let is_new = self.facts.stopped.is_none();
        if is_new {
            self.facts.stopped = Some(cause.to_owned());
        }
        is_new
    }
}

/// Whether an entry counts as unread for those who have not seen it.
fn is_countable(entry: &EntryRecord) -> bool {
    header_of(entry).is_some_and(|header| header.flags.has(Flags::COUNTABLE))
}

/// The header of a message whose bytes are kept.
pub(in super::super) fn header_of(entry: &EntryRecord) -> Option<MessageHeader> {
    match &entry.body {
        EntryBody::Whole(bytes) => Message::decode(bytes).ok().map(|message| *message.header()),
        EntryBody::Gone(_) => None,
    }
}
