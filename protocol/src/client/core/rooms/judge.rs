//! Judging entries that have a place.
//!
//! Owns the step from a verified position to something a face may show. The judgements themselves
//! are `log::validate` and `log::check`; a message that fails is kept and shown as a red line, a
//! commit that fails stops the room.

use std::collections::HashMap;

use super::super::account::Account;
use super::super::identities::Identities;
use super::keys::RoomKeys;
use super::room::{Placed, Room};
use crate::client::StoredContent;
use crate::client::event::{AlarmCause, UnreadableCause};
use crate::client::identity::Identity;
use crate::client::record::{Batch, EntryRecord, StoredCommit};
use crate::client::replica::Write;
use crate::crypto::commit::{Commit, CommitKind, RoomMode, TAG_COMMIT};
use crate::crypto::content::Content;
use crate::crypto::hash::sha256;
use crate::crypto::message::{
    Message, MessageContext, MessageError, OpenWith, OpenedMessage, Placement,
};
use crate::id::{AccountId, Counter, DeviceId, Hash, Seq, TimeMs};
use crate::log::{
    Arrived, Check, CommitFault, DeviceFault, Note, RoomState, SeenView, SenderLane, author_of,
    check_message, compare_seen, validate_commit, validate_create,
};
use crate::wire::EntryBody;

/// What follows from entries once they are stored.
#[derive(Debug)]
pub(super) enum Effect {
    /// An own message stands in the log.
    OwnMessage { counter: Counter, seq: Seq, time: TimeMs, digest: Hash },
    /// Something is wrong.
    Alarm { cause: AlarmCause, text: String },
    /// Something worth a quiet line.
    Notice(String),
    /// Members, keys or settings changed.
    Committed,
}

/// Why an entry cannot be judged yet.
#[derive(Debug)]
pub(super) enum Halt {
    /// These chains are needed first.
    NeedChains(Vec<AccountId>),
    /// `H` at this position is needed first.
    NeedHash(Seq),
    /// The entry at this position is needed first.
    NeedEntry(Seq),
    /// The room's log is broken here.
    Broken(String),
}

/// What a run over the entries of a room has brought so far; stored and reported together.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) batch: Batch,
    /// What is stored besides the batch.
    pub(super) writes: Vec<Write>,
    pub(super) effects: Vec<Effect>,
    /// Epochs whose secret is missing were seen.
    pub(super) lacks_keys: bool,
    /// Whether missing chains were fetched already and did not help.
    pub(super) has_fetched: bool,
    /// What the replica said about positions that are not at hand.
    pub(super) hashes: HashMap<Seq, Option<Hash>>,
    pub(super) entries: HashMap<Seq, Option<EntryRecord>>,
}

/// One entry, judged.
struct Judged {
    author: AccountId,
    device: DeviceId,
    content: StoredContent,
    is_mention: bool,
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

/// The judge of one room's entries.
pub(super) struct Judge<'a> {
    pub(super) account: &'a Account,
    pub(super) identities: &'a Identities,
    pub(super) room: &'a mut Room,
}

impl Judge<'_> {
    /// Judges one entry and adds it to the run.
    pub(super) fn judge(&mut self, run: &mut Run, placed: &Placed) -> Result<(), Halt> {
        let judged = match &placed.entry.body {
            EntryBody::Gone(_) => {
                self.room.n_gone += 1;
                Judged::silent(StoredContent::Expired)
            }
            EntryBody::Whole(bytes) if bytes.first() == Some(&TAG_COMMIT) => {
                self.commit(run, placed, bytes)?
            }
            EntryBody::Whole(bytes) => {
                let judged = self.message(run, placed, bytes)?;
                self.room.n_messages += 1;
                if let Some(lane) = self.room.device_lane(judged.device) {
                    run.batch.lanes.retain(|(device, _)| *device != judged.device);
                    run.batch.lanes.push((judged.device, lane));
                }
                judged
            }
        };
        self.add(run, placed, judged);
        // Only this entry was waited for; the next may need chains of its own.
        run.has_fetched = false;
        Ok(())
    }

    /// Turns a judged entry into a row, and moves the room's position behind it.
    fn add(&mut self, run: &mut Run, placed: &Placed, judged: Judged) {
        let (at, time) = (placed.at, placed.entry.time);
        self.room.advance(at, time);
        run.batch.cursor = Some((at.seq(), at.hash()));
        let record = EntryRecord {
            seq: at.seq(),
            time,
            body: placed.entry.body.clone(),
            hash: at.hash(),
            author: judged.author,
            device: judged.device,
            content: judged.content,
            is_mention: judged.is_mention,
            is_shown: false,
            reactions: Vec::new(),
        };
        self.room.count_unread(&record, self.account.id);
        run.batch.entries.push(record);
    }

    fn commit(&mut self, run: &mut Run, placed: &Placed, bytes: &[u8]) -> Result<Judged, Halt> {
        let seq = placed.at.seq();
        let broken = |text: &dyn std::fmt::Display| Halt::Broken(format!("entry {seq}: {text}"));
        let commit = Commit::decode(bytes.to_vec()).map_err(|error| broken(&error))?;
        let room = &mut *self.room;
        let chains = &self.identities.chains;
        let result = match &room.state {
            // A newcomer verified the commits up to its own Add before it asked for entries.
            Some(state) if seq <= state.head_seq() => {
                if room.commits.get(&seq) != Some(&sha256(&[bytes])) {
                    return Err(broken(&"the log holds another commit than the commits do"));
                }
                return Ok(Judged::commit(&commit));
            }
            Some(state) => validate_commit(state, &commit, chains, placed.context),
            None => validate_create(&commit, chains, placed.context),
        };
        let applied = match result {
            Ok(applied) => applied,
            Err(CommitFault::NeedChain { account, .. }) if !run.has_fetched => {
                // Fetched once for an entry, so all that it may need.
                return Err(Halt::NeedChains(self.identities.needed_for(&commit, account)));
            }
            Err(CommitFault::Device(DeviceFault::Unknown)) if !run.has_fetched => {
                return Err(Halt::NeedChains(self.identities.needed_for(&commit, commit.author)));
            }
            Err(fault) => return Err(broken(&fault)),
        };
        if commit.kind != CommitKind::Create {
            let known = known_hash(room, run, commit.seen_seq)?;
            let half = commit.seen_hash.first_half();
            let known = |_| known;
            if compare_seen(commit.seen_seq, half, seq, &known) == SeenView::Fork {
                fork(room, run, format!("the author of change {seq} saw another history"));
            }
        }
        let time = placed.entry.time;
        run.writes.extend(room.accept_commit(self.account.id, &commit, (seq, time)));
        run.batch.commits.push(StoredCommit { seq, time, entry: bytes.to_vec() });
        for note in &applied.notes {
            if let Note::SettingsByLowerRole(account) = note {
                let handle = self.identities.handle(*account);
                let text = format!("{handle} may not rename this room; its old name stays");
                run.effects.push(Effect::Notice(text));
            }
        }
        run.lacks_keys |= applied.starts_epoch && room.keys.secret(commit.epoch).is_none();
        run.effects.push(Effect::Committed);
        Ok(Judged::commit(&commit))
    }

    fn message(&mut self, run: &mut Run, placed: &Placed, bytes: &[u8]) -> Result<Judged, Halt> {
        let seq = placed.at.seq();
        let Ok(message) = Message::decode(bytes) else {
            return Ok(Judged::silent(rejected(seq, Check::Form)));
        };
        let header = *message.header();
        let room = &mut *self.room;
        let Some(state) = &room.state else {
            return Err(Halt::Broken(format!("entry {seq} stands before the room's creation")));
        };
        let chains = &self.identities.chains;
        let Some(author) = author_of(state, seq, header.device, chains) else {
            if !run.has_fetched {
                let members = state.members().map(|member| member.account);
                return Err(Halt::NeedChains(members.collect()));
            }
            let content = rejected(seq, Check::Device);
            return Ok(Judged { device: header.device, ..Judged::silent(content) });
        };
        let known = known_hash(room, run, header.seen_seq)?;
        let known = |_| known;
        let is_used = room.scheduled.contains(&header.ctr());
        let (context, n_gone) = (placed.context, room.n_gone);
        let arrived = Arrived { entry: bytes, author, seq, context, n_gone, is_used };
        let lane = room.lane(header.device);
        let of_author =
            |content| Judged { author, device: header.device, content, is_mention: false };
        let checked = match check_message(state, chains, lane, &arrived, &known) {
            Ok(checked) => checked,
            Err(failure) if failure.needs_chain && !run.has_fetched => {
                return Err(Halt::NeedChains(vec![author]));
            }
            Err(failure) => {
                room.lanes.insert(header.device, failure.lane);
                // A gap in the counters is often one in the log: then its author saw another one.
                let is_gap = matches!(failure.check, Check::Counter | Check::PrevOwn);
                let differs =
                    compare_seen(header.seen_seq, header.seen_hash, seq, &known) == SeenView::Fork;
                if failure.check.means_fork() || (is_gap && differs) {
                    fork(room, run, format!("the author of message {seq} saw another history"));
                }
                return Ok(of_author(StoredContent::Rejected { check: failure.to_string() }));
            }
        };
        let opened =
            open(&self.account.identity, state, &mut room.keys, &message, &checked.context);
        let said = match opened {
            Ok(opened) => fitting(opened, (author, seq), run)?,
            Err(check) => rejected(seq, check),
        };
        // From here on nothing halts: the entry is judged once.
        room.lanes.insert(header.device, checked.lane);
        match header.placement {
            Placement::Scheduled { id } => {
                room.scheduled.insert(id);
                run.writes.push(Write::Scheduled { room: room.id, id });
            }
            Placement::Live { counter, .. } if header.device == self.account.device => {
                let (time, digest) = (placed.entry.time, sha256(&[bytes]));
                run.effects.push(Effect::OwnMessage { counter, seq, time, digest });
            }
            Placement::Live { .. } => {}
        }
        run.lacks_keys |= said == StoredContent::Unreadable(UnreadableCause::KeyAsked);
        let is_mention = author != self.account.id && said.mentions(&self.account.handle);
        Ok(Judged { is_mention, ..of_author(said) })
    }
}

fn fork(room: &mut Room, run: &mut Run, text: String) {
    room.stop(&text);
    run.effects.push(Effect::Alarm { cause: AlarmCause::Fork, text });
}

/// `H` at a position that an author says to have seen; `None` if it is not kept anywhere.
fn known_hash(room: &Room, run: &Run, seq: Seq) -> Result<Option<Hash>, Halt> {
    match room.hash_at(seq) {
        Some(hash) => Ok(Some(hash)),
        None if seq < room.facts.held_from || seq > room.applied.seq() => Ok(None),
        None => run.hashes.get(&seq).copied().ok_or(Halt::NeedHash(seq)),
    }
}

/// A content that names another entry must fit it: its bytes, its author, its place.
fn fitting(
    content: StoredContent,
    (author, seq): (AccountId, Seq),
    run: &Run,
) -> Result<StoredContent, Halt> {
    let relation = content.said().and_then(Content::target);
    // Only what names its target's bytes can be compared with it.
    let Some(target) = relation.filter(|one| one.target_hash.is_some()).map(|one| one.target)
    else {
        return Ok(content);
    };
    if target >= seq {
        let word = content.said().map_or("", Content::word);
        return Ok(StoredContent::Rejected { check: format!("message {seq} failed check {word}") });
    }
    if let Some(entry) = run.batch.entries.iter().find(|entry| entry.seq == target) {
        return Ok(content.fitting((author, seq), Some(entry)));
    }
    match run.entries.get(&target) {
        Some(found) => Ok(content.fitting((author, seq), found.as_ref())),
        None => Err(Halt::NeedEntry(target)),
    }
}

/// Opens a message that passed all checks before the opening.
pub(super) fn open(
    identity: &Identity,
    state: &RoomState,
    keys: &mut RoomKeys,
    message: &Message<'_>,
    context: &MessageContext,
) -> Result<StoredContent, Check> {
    let epoch = message.header().epoch;
    let opened = if state.mode() == RoomMode::Open {
        message.open(context, OpenWith::Open)
    } else if let Some(key) = keys.sender_key(state, epoch, (context.account, context.device)) {
        message.open(context, OpenWith::SenderKey(key))
    } else if let Some(opened) = open_shown(identity, message, context) {
        Ok(opened)
    } else {
        let cause = keys.why_unreadable(state, identity.account, epoch);
        return Ok(StoredContent::Unreadable(cause));
    };
    match opened {
        Ok(opened) => Ok(StoredContent::opened(opened.plaintext)),
        Err(MessageError::Commitment | MessageError::Padding(_)) => Err(Check::Commitment),
        Err(_) => Err(Check::Open),
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

/// A message that failed a check, as it is kept.
pub(super) fn rejected(seq: Seq, check: Check) -> StoredContent {
    StoredContent::Rejected { check: format!("message {seq} failed check {check}") }
}

/// The lane that a message of a device begins with in a page of older entries.
pub(super) fn unseen_lane(first: Seq) -> SenderLane {
    if first == Seq(1) { SenderLane::Fresh } else { SenderLane::Unknown }
}

/// Opens a stored message once more; `None` if that cannot be tried.
pub(in super::super) fn open_stored(
    room: &mut Room,
    identity: &Identity,
    entry: &EntryRecord,
) -> Option<StoredContent> {
    let EntryBody::Whole(bytes) = &entry.body else { return None };
    let message = Message::decode(bytes).ok()?;
    let state = room.state.as_ref()?;
    let commit_hash = state.epoch_record(message.header().epoch)?.commit_hash;
    let (account, device) = (entry.author, entry.device);
    let context = MessageContext { room: room.id, commit_hash, account, device };
    let opened = open(identity, state, &mut room.keys, &message, &context);
    Some(opened.unwrap_or_else(|check| rejected(entry.seq, check)))
}
