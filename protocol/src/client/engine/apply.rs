//! Judging entries that have a place, and storing what came of it.
//!
//! Owns the step from a verified position to something a face may show. The judgements themselves
//! are `log::validate` and `log::check`; a message that fails is kept and shown as a red line, a
//! commit that fails stops the room.

use super::super::entry::StoredContent;
use super::super::event::{AlarmCause, UnreadableCause};
use super::super::identity::Identity;
use super::super::record::{Batch, DeviceLane, EntryRecord, StoredCommit};
use super::super::replica::{Replica, Stored, Write, Written};
use super::core::Core;
use super::room::{Placed, Room};
use crate::crypto::commit::{Commit, CommitKind, HistoryRule, Member, RoomMode, TAG_COMMIT};
use crate::crypto::content::Content;
use crate::crypto::message::{
    Message, MessageContext, MessageError, OpenWith, OpenedMessage, Placement,
};
use crate::id::{AccountId, Counter, DeviceId, Epoch, RoomId, Seq, TimeMs};
use crate::log::{
    Arrived, Check, CommitFault, DeviceFault, LogHash, Note, RoomState, SeenView, SenderLane,
    author_of, check_message, compare_seen, validate_commit, validate_create,
};
use crate::wire::EntryBody;

/// Entries judged before the engine looks at anything else: a few milliseconds of signatures.
const APPLY_MAX: usize = 64;

/// What the engine does after a batch.
#[derive(Debug)]
pub(super) enum Outcome {
    /// An own message stands in the log.
    OwnMessage { counter: Counter, seq: Seq, time: TimeMs, entry: Vec<u8> },
    /// Something is wrong.
    Alarm { cause: AlarmCause, text: String },
    /// Something worth a quiet line.
    Notice(String),
    /// Members, keys or settings changed.
    Commit { starts_epoch: bool, newcomers: Vec<AccountId> },
}

/// What became of some entries.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub(super) entries: Vec<EntryRecord>,
    pub(super) outcomes: Vec<Outcome>,
    /// Chains that are needed before the next entry can be judged.
    pub(super) need: Vec<AccountId>,
    /// Epochs whose secret is missing.
    pub(super) lacks_keys: bool,
    /// Entries that a question among these showed to an agent, and that were not marked before.
    pub(super) shown: Vec<Seq>,
}

/// Why an entry was not judged.
enum Halt {
    /// These chains are needed first.
    Need(Vec<AccountId>),
    /// The room's log is broken here.
    Broken(String),
}

/// One run over the entries that wait in a room.
struct Run<'a> {
    replica: &'a Replica,
    id: RoomId,
    /// Whether a missing chain is a reason to wait, or a failure.
    may_fetch: bool,
    batch: Batch,
    done: Applied,
}

/// One entry, judged.
struct Judged {
    author: AccountId,
    device: DeviceId,
    content: StoredContent,
    is_mention: bool,
}

impl Core {
    /// Judges and stores the next waiting entries of a room. With `may_fetch` off, missing chains
    /// count as failures: they were fetched already and did not help.
    ///
    /// If storing fails the room is taken up again from the replica, and the log is read anew.
    pub(super) fn apply(
        &mut self,
        replica: &Replica,
        id: RoomId,
        may_fetch: bool,
    ) -> Stored<Applied> {
        let (batch, done) = (Batch::default(), Applied::default());
        let mut run = Run { replica, id, may_fetch, batch, done };
        while run.done.entries.len() < APPLY_MAX {
            let Some(placed) = self.rooms.get_mut(&id).and_then(|room| room.queue.pop_front())
            else {
                break;
            };
            match self.judge(&mut run, &placed) {
                Ok(Ok(judged)) => {
                    let record = self.record(id, placed, judged, &mut run.batch);
                    run.done.entries.push(record);
                    // Only the first entry was waited for; the next may need chains of its own.
                    run.may_fetch = true;
                }
                Ok(Err(halt)) => {
                    self.halt(id, placed, halt, &mut run.done);
                    break;
                }
                Err(error) => {
                    self.reload(replica, id);
                    return Err(error);
                }
            }
        }
        let Run { mut batch, mut done, .. } = run;
        batch.entries.clone_from(&done.entries);
        if let Some(room) = self.rooms.get_mut(&id) {
            done.entries.iter().for_each(|entry| room.count_unread(entry, self.account));
        }
        match self.store(replica, id, batch) {
            Ok(shown) => done.shown = shown,
            Err(error) => {
                self.reload(replica, id);
                return Err(error);
            }
        }
        Ok(done)
    }

    fn halt(&mut self, id: RoomId, placed: Placed, halt: Halt, done: &mut Applied) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        match halt {
            Halt::Need(accounts) => {
                room.queue.push_front(placed);
                done.need = accounts;
            }
            Halt::Broken(text) => {
                room.stop(&text);
                room.queue.clear();
                // Nothing behind a broken entry is believed: no further pages are asked for.
                room.sync = None;
                done.outcomes.push(Outcome::Alarm { cause: AlarmCause::BrokenLog, text });
            }
        }
    }

    /// Stores a batch with what else has changed; returns which entries are newly marked as shown.
    fn store(&mut self, replica: &Replica, id: RoomId, batch: Batch) -> Stored<Vec<Seq>> {
        let Some(room) = self.rooms.get_mut(&id) else { return Ok(Vec::new()) };
        let mut writes = vec![
            Write::Facts { room: id, facts: room.facts.clone() },
            Write::Marks { room: id, marks: room.marks },
        ];
        if batch.cursor.is_some() {
            writes.push(Write::Batch { room: id, batch });
        }
        let written = replica.commit(&writes)?;
        Ok(written.into_iter().flat_map(Written::into_shown).collect())
    }

    /// Takes a room up again as the replica has it.
    fn reload(&mut self, replica: &Replica, id: RoomId) {
        let loaded = replica.room(id).and_then(|record| {
            record.map(|record| Room::load(replica, self.device, record)).transpose()
        });
        if let Ok(Some(mut room)) = loaded {
            if let Some(old) = self.rooms.remove(&id) {
                room.tasks = old.tasks;
                room.own_secrets = old.own_secrets;
                room.head = old.head;
            }
            self.rooms.insert(id, room);
        }
    }

    /// Turns a judged entry into a row, and moves the room's position behind it.
    fn record(
        &mut self,
        id: RoomId,
        placed: Placed,
        judged: Judged,
        batch: &mut Batch,
    ) -> EntryRecord {
        let Placed { entry, at, .. } = placed;
        if let Some(room) = self.rooms.get_mut(&id) {
            room.note_applied(at);
            room.marks.active_at = room.marks.active_at.max(entry.time);
            room.marks.announced = room.marks.announced.max(at.seq());
        }
        batch.cursor = Some((at.seq(), at.hash()));
        EntryRecord {
            seq: at.seq(),
            time: entry.time,
            body: entry.body,
            hash: at.hash(),
            author: judged.author,
            device: judged.device,
            content: judged.content,
            is_mention: judged.is_mention,
            is_shown: false,
        }
    }

    fn judge(&mut self, run: &mut Run<'_>, placed: &Placed) -> Stored<Result<Judged, Halt>> {
        let EntryBody::Whole(bytes) = &placed.entry.body else {
            if let Some(room) = self.rooms.get_mut(&run.id) {
                room.n_gone += 1;
            }
            return Ok(Ok(Judged::silent(StoredContent::Expired)));
        };
        if bytes.first() == Some(&TAG_COMMIT) {
            return self.judge_commit(run, placed, bytes);
        }
        let judged = match self.judge_message(run, placed, bytes)? {
            Err(halt) => return Ok(Err(halt)),
            Ok(judged) => judged,
        };
        if let Some(room) = self.rooms.get_mut(&run.id) {
            room.n_messages += 1;
            if let Some(SenderLane::At { ctr, half, .. }) = room.lanes.get(&judged.device) {
                let lane = DeviceLane { last: *ctr, prev_own: *half };
                run.batch.lanes.retain(|(device, _)| *device != judged.device);
                run.batch.lanes.push((judged.device, lane));
            }
        }
        Ok(Ok(judged))
    }

    fn judge_commit(
        &mut self,
        run: &mut Run<'_>,
        placed: &Placed,
        bytes: &[u8],
    ) -> Stored<Result<Judged, Halt>> {
        let seq = placed.at.seq();
        let broken = |text: String| Ok(Err(Halt::Broken(format!("entry {seq}: {text}"))));
        let commit = match Commit::decode(bytes) {
            Ok(commit) => commit,
            Err(error) => return broken(error.to_string()),
        };
        let Some(room) = self.rooms.get_mut(&run.id) else { return broken("no room".to_owned()) };
        let context = placed.context;
        let result = match &room.state {
            // A newcomer verified the commits up to its own Add before it asked for entries.
            Some(state) if seq <= state.head_seq() => {
                let commits = run.replica.commits(run.id)?;
                let mut commits = commits.iter().chain(&run.batch.commits);
                if !commits.any(|kept| kept.seq == seq && kept.entry == bytes) {
                    return broken("the log holds another commit than the commits do".to_owned());
                }
                return Ok(Ok(Judged::commit(&commit)));
            }
            Some(state) => validate_commit(state, &commit, &self.people.chains, context),
            None => validate_create(&commit, &self.people.chains, context),
        };
        let applied = match result {
            Ok(applied) => applied,
            Err(CommitFault::NeedChain { account, .. }) if run.may_fetch => {
                // Fetched once for an entry, so all that it may need.
                return Ok(Err(Halt::Need(self.people.needed_for(&commit, account))));
            }
            Err(CommitFault::Device(DeviceFault::Unknown)) if run.may_fetch => {
                return Ok(Err(Halt::Need(self.people.needed_for(&commit, commit.author))));
            }
            Err(fault) => return broken(fault.to_string()),
        };
        if commit.kind != CommitKind::Create {
            let half = commit.seen_hash.first_half();
            let known = |seq| room.hash_at(run.replica, seq);
            if compare_seen(commit.seen_seq, half, seq, &known) == SeenView::Fork {
                let text = format!("the author of change {seq} saw another history");
                room.stop(&text);
                run.done.outcomes.push(Outcome::Alarm { cause: AlarmCause::Fork, text });
            }
        }
        room.take_commit(run.replica, self.account, &commit, seq, placed.entry.time)?;
        let entry = bytes.to_vec();
        run.batch.commits.push(StoredCommit { seq, time: placed.entry.time, entry });
        for note in &applied.notes {
            if let Note::SettingsByLowerRole(account) = note {
                let handle = self.people.handle(*account);
                let text = format!("{handle} may not rename this room; its old name stays");
                run.done.outcomes.push(Outcome::Notice(text));
            }
        }
        let epoch = commit.epoch;
        run.done.lacks_keys |=
            applied.starts_epoch && run.replica.epoch_secret(run.id, epoch)?.is_none();
        let (starts_epoch, newcomers) = (applied.starts_epoch, applied.newcomers);
        run.done.outcomes.push(Outcome::Commit { starts_epoch, newcomers });
        Ok(Ok(Judged::commit(&commit)))
    }

    fn judge_message(
        &mut self,
        run: &mut Run<'_>,
        placed: &Placed,
        bytes: &[u8],
    ) -> Stored<Result<Judged, Halt>> {
        let seq = placed.at.seq();
        let rejected = |check: Check| StoredContent::Rejected {
            check: format!("message {seq} failed check {check}"),
        };
        let Ok(message) = Message::decode(bytes) else {
            return Ok(Ok(Judged::silent(rejected(Check::Form))));
        };
        let header = *message.header();
        let Some(room) = self.rooms.get_mut(&run.id) else {
            return Ok(Err(Halt::Broken("no room".to_owned())));
        };
        let Some(state) = &room.state else {
            return Ok(Err(Halt::Broken(format!("entry {seq} stands before the room's creation"))));
        };
        let chains = &self.people.chains;
        let Some(author) = author_of(state, seq, header.device, chains) else {
            if run.may_fetch {
                return Ok(Err(Halt::Need(state.members().map(|m| m.account).collect())));
            }
            let content = rejected(Check::Device);
            return Ok(Ok(Judged { device: header.device, ..Judged::silent(content) }));
        };
        let is_used = room.scheduled.contains(&header.ctr());
        let (context, n_gone) = (placed.context, room.n_gone);
        let arrived = Arrived { entry: bytes, author, seq, context, n_gone, is_used };
        let lane = room.lane(header.device);
        let known = |seq| room.hash_at(run.replica, seq);
        let judged = |content| Judged { author, device: header.device, content, is_mention: false };
        let checked = match check_message(state, chains, lane, &arrived, &known) {
            Ok(checked) => checked,
            Err(failure) if failure.needs_chain && run.may_fetch => {
                return Ok(Err(Halt::Need(vec![author])));
            }
            Err(failure) => {
                room.lanes.insert(header.device, failure.lane);
                // A gap in the counters is often one in the log: then its author saw another one.
                let is_gap = matches!(failure.check, Check::Counter | Check::PrevOwn);
                let (seen_seq, seen_hash) = (header.seen_seq, header.seen_hash);
                let known = |seq| room.hash_at(run.replica, seq);
                let differs = || compare_seen(seen_seq, seen_hash, seq, &known) == SeenView::Fork;
                if failure.check.means_fork() || (is_gap && differs()) {
                    let text = format!("the author of message {seq} saw another history");
                    room.stop(&text);
                    run.done.outcomes.push(Outcome::Alarm { cause: AlarmCause::Fork, text });
                }
                return Ok(Ok(judged(StoredContent::Rejected { check: failure.to_string() })));
            }
        };
        room.lanes.insert(header.device, checked.lane);
        match header.placement {
            Placement::Scheduled { id } => room.note_scheduled(run.replica, id)?,
            Placement::Live { counter, .. } if header.device == self.device => {
                let (time, entry) = (placed.entry.time, bytes.to_vec());
                run.done.outcomes.push(Outcome::OwnMessage { counter, seq, time, entry });
            }
            Placement::Live { .. } => {}
        }
        let account = self.account;
        let identity = self.identity.borrow();
        let said = room.open(run.replica, &identity, &message, &checked.context, seq)?;
        let said = fitting(run.replica, run.id, said, (author, seq))?;
        run.done.lacks_keys |= said == StoredContent::Unreadable(UnreadableCause::KeyAsked);
        let is_mention = author != account && said.mentions(&self.handle);
        Ok(Ok(Judged { is_mention, ..judged(said) }))
    }
}

impl Judged {
    fn silent(content: StoredContent) -> Self {
        let (author, device) = (AccountId::ZERO, DeviceId::ZERO);
        Self { author, device, content, is_mention: false }
    }

    fn commit(commit: &Commit) -> Self {
        let (author, device) = (commit.author, commit.device);
        Self { author, device, content: StoredContent::Change(()), is_mention: false }
    }
}

/// Opens a message by the slot that is sealed to this agent's device; `None` if there is none.
fn open_shown(
    identity: &Identity,
    message: &Message<'_>,
    context: &MessageContext,
) -> Option<OpenedMessage> {
    let device = identity.device();
    if !message.agents().any(|agent| agent == device) {
        return None;
    }
    // The header does not say which key it was sealed to; the newest is the likeliest.
    let mut keys = identity.hpke.iter().rev();
    keys.find_map(|key| message.open(context, OpenWith::Slot { device, secret: &key.secret }).ok())
}

/// What was said, checked against the entry that it belongs to.
fn fitting(
    replica: &Replica,
    id: RoomId,
    said: StoredContent,
    by: (AccountId, Seq),
) -> Stored<StoredContent> {
    let Some(relation) = said.said().and_then(Content::target) else { return Ok(said) };
    let target = replica.entries_before(id, relation.target.next(), 1)?.pop();
    Ok(said.fitting(by, target.filter(|target| target.seq == relation.target).as_ref()))
}

impl Room {
    /// Takes a valid commit into the state, with the secret if it is an own one.
    pub(super) fn take_commit(
        &mut self,
        replica: &Replica,
        account: AccountId,
        commit: &Commit,
        seq: Seq,
        time: TimeMs,
    ) -> Stored<()> {
        let before = self.state.as_ref().map(|state| state.epoch().epoch);
        match &mut self.state {
            Some(state) => state.apply(seq, time, commit),
            None => self.state = RoomState::create(commit, time),
        }
        let Some(state) = &self.state else { return Ok(()) };
        if before != Some(state.epoch().epoch) {
            self.n_messages = 0;
        }
        self.facts.kind = state.kind();
        self.facts.mode = state.mode();
        self.facts.is_member = state.is_member(account);
        if let Some(secret) = self.own_secrets.remove(&commit.hash()) {
            replica.put_room(self.id, &self.facts)?;
            replica.put_epoch_secret(self.id, commit.epoch, &secret)?;
        }
        if commit.settings_box.is_some() {
            self.refresh_settings(replica)?;
        }
        Ok(())
    }

    /// Opens a message that passed all checks before the opening.
    pub(super) fn open(
        &mut self,
        replica: &Replica,
        identity: &Identity,
        message: &Message<'_>,
        context: &MessageContext,
        seq: Seq,
    ) -> Stored<StoredContent> {
        let epoch = message.header().epoch;
        let is_open = self.facts.mode == RoomMode::Open;
        let opened = if is_open {
            message.open(context, OpenWith::Open)
        } else {
            match self.sender_key(replica, epoch, context.account, context.device)? {
                Some(key) => message.open(context, OpenWith::SenderKey(key)),
                None if let Some(opened) = open_shown(identity, message, context) => Ok(opened),
                None => {
                    let cause = self.why_unreadable(identity.account, epoch);
                    return Ok(StoredContent::Unreadable(cause));
                }
            }
        };
        Ok(match opened {
            Ok(opened) => StoredContent::opened(opened.plaintext),
            Err(error) => {
                let check = match error {
                    MessageError::Commitment | MessageError::Padding(_) => Check::Commitment,
                    _ => Check::Open,
                };
                StoredContent::Rejected { check: format!("message {seq} failed check {check}") }
            }
        })
    }

    /// Why the key of an epoch is not here.
    pub(super) fn why_unreadable(&self, account: AccountId, epoch: Epoch) -> UnreadableCause {
        let own = self.state.as_ref().and_then(|state| state.member(account));
        if own.is_some_and(Member::is_mention_agent) {
            UnreadableCause::NotShown
        } else if !self.may_have_key(account, epoch) {
            UnreadableCause::BeforeJoin
        } else if self.bad_keys.contains(&epoch) {
            UnreadableCause::KeyBad
        } else {
            UnreadableCause::KeyAsked
        }
    }

    /// Whether an account may have the secret of an epoch (CRYPTO B3).
    pub(super) fn may_have_key(&self, account: AccountId, epoch: Epoch) -> bool {
        self.state.as_ref().is_some_and(|state| {
            state.policy().history == HistoryRule::All || state.was_member_during(account, epoch)
        })
    }

    /// Moves the judged position.
    fn note_applied(&mut self, at: LogHash) {
        self.applied = at;
        self.recent.push_back(at);
        if self.recent.len() > 2 * APPLY_MAX {
            self.recent.pop_front();
        }
    }
}
