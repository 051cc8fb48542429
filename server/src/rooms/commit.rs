//! Changes of a room: founding it, and every later commit.
//!
//! Owns what surrounds the rules of `log::validate`: first come first served on `prev_commit`, the
//! rates, the wraps that must be there, and the uniqueness of direct rooms and open names. What
//! follows from an applied commit is [`super::commit_effects`].

use mathia_protocol::crypto::commit::{Commit, CommitKind, Role, RoomMode, TAG_COMMIT};
use mathia_protocol::crypto::settings::RoomSettings;
use mathia_protocol::id::{AccountId, Counter, Hash, RoomId, RoomNumber, Seq, WorkspaceId};
use mathia_protocol::limits::COMMIT_LEN_MAX;
use mathia_protocol::log::{
    Applied, Context, RoomState, RotateReason, agents_to_key, check_clock, check_seen, must_rotate,
    validate_commit, validate_create, wraps_needed,
};
use mathia_protocol::wire::{Fault, Reply, Wrap};

use super::batch::Batch;
use super::caller::Caller;
use super::commit_effects::{JudgedCommit, apply_effects};
use super::keyring::RoomKeys;
use super::room::{NewEntry, Room};
use super::room_writer::RoomWriter;
use super::staged_wraps::{check_batch, too_large};
use crate::accounts::KnownChains;
use crate::refusal::{Refusal, commit_fault, invalid, not_allowed};
use crate::store::{Read, RoomKeyRow, RoomRow};

/// Commits looked at behind what the author had seen, to recognize a repeated one.
const REPEATS_LOOKED_AT: u32 = 64;

impl RoomWriter {
    /// Founds a room.
    pub(super) fn create(
        &mut self,
        b: &mut Batch<'_>,
        caller: &Caller,
        workspace: WorkspaceId,
        entry: Vec<u8>,
        wraps: Vec<Wrap>,
    ) -> Result<Reply, Refusal> {
        let commit = own_commit(caller, entry)?;
        let room = commit.room_id().ok_or(Fault::Malformed)?;
        if let Some(row) = b.tx.room(room)? {
            return Ok(first_place(&*b.tx, row.number, Seq(0), commit.entry_hash())?
                .ok_or(Fault::Malformed)?);
        }
        if workspace != caller.workspace {
            return Err(Fault::NotFound.into());
        }
        check_clock(commit.time, b.now).map_err(|skew| Fault::ClockSkew { time: skew.now })?;
        let accounts = commit.changed.iter().map(|member| member.account);
        let chains = self.chains.of(&*b.tx, accounts)?;
        let applied = validate_create(&commit, &chains, Context::Live).map_err(commit_fault)?;
        check_newcomers(b, &applied)?;
        let state = RoomState::create(&commit, b.now).ok_or(Fault::Malformed)?;
        let pair = state.direct_pair();
        if let Some(pair) = pair
            && let Some(row) = b.tx.room_of_pair(pair)?
        {
            return Err(Fault::Exists { room: row.room }.into());
        }
        let given = wraps;
        let wraps = self.wraps_for(None, &commit, &chains, &given)?;
        let mut row = RoomRow {
            room,
            number: RoomNumber(0),
            workspace,
            kind: state.kind().to_byte(),
            mode: state.mode().to_byte(),
            created: b.now,
            name_tag: None,
            sealed_name: None,
            pair,
            retention_days: state.policy().retention_days,
        };
        let first_key = match state.mode() {
            RoomMode::E2ee => None,
            RoomMode::Open => {
                let first = RoomKeys::found(&self.master, &mut b.rng, room, b.now);
                self.name_open_room(b, &mut row, &first.0, &commit)?;
                Some(first)
            }
        };
        self.rates.commits.take(caller.account, b.now)?;
        row.number = b.tx.insert_room(&row)?;
        let keys = match first_key {
            None => None,
            Some((keys, first)) => {
                b.tx.insert_room_key(&RoomKeyRow { room: row.number, ..first })?;
                Some(keys)
            }
        };
        // The state starts with its Create already applied; only the log is still empty.
        self.rooms.put(Room::found(row, state, keys));
        self.apply(
            b,
            room,
            &commit,
            JudgedCommit { applied, wraps, given, chains, is_create: true },
        )
    }

    /// Changes a room: the first commit on a `prev_commit` wins.
    pub(super) fn commit(
        &mut self,
        b: &mut Batch<'_>,
        caller: &Caller,
        room_id: RoomId,
        entry: Vec<u8>,
        wraps: Vec<Wrap>,
    ) -> Result<Reply, Refusal> {
        let commit = own_commit(caller, entry)?;
        let room = self.rooms.room(&*b.tx, &self.master, room_id)?.ok_or(Fault::NotFound)?;
        let is_in_workspace = room.row.workspace == caller.workspace;
        if commit.prev_commit != room.state.head() {
            // A lost answer is given again, also to one who is no longer a member by that commit.
            let repeat =
                first_place(&*b.tx, room.row.number, commit.seen_seq, commit.entry_hash())?;
            let is_visible = room.state.mode() == RoomMode::Open && is_in_workspace;
            let is_near = room.state.is_member(caller.account) || is_visible;
            let head = room.state.head();
            let other = if is_near { Fault::HeadMoved { commit: head } } else { Fault::NotFound };
            return repeat.ok_or_else(|| other.into());
        }
        let is_visible = room.state.mode() == RoomMode::Open && is_in_workspace;
        if !room.state.is_member(caller.account) && !is_visible {
            return Err(Fault::NotFound.into());
        }
        check_clock(commit.time, b.now).map_err(|skew| Fault::ClockSkew { time: skew.now })?;
        let known = room.position(&*b.tx, commit.seen_seq)?.map(|(hash, _)| hash);
        check_seen(commit.seen_seq, commit.seen_hash, room.head.seq, &|_: Seq| known)
            .map_err(|_| Fault::BadSeen)?;
        let (chains, applied) = self.judge(b, room_id, &commit)?;
        check_newcomers(b, &applied)?;
        let given = wraps;
        let wraps = self.wraps_for(Some(room_id), &commit, &chains, &given)?;
        let room = self.rooms.room(&*b.tx, &self.master, room_id)?.ok_or(Fault::NotFound)?;
        let is_free = commit.kind == CommitKind::Rotate
            && must_rotate(&room.state, &chains, b.now, 0).is_some_and(RotateReason::is_forced);
        let renamed = renames(&room.state, &commit).then(|| (room.row.clone(), room.keys.clone()));
        if let Some((mut row, Some(keys))) = renamed {
            self.name_open_room(b, &mut row, &keys, &commit)?;
            self.take_commit_rate(caller.account, b, is_free)?;
            b.tx.update_room(&row)?;
            if let Some(room) = self.rooms.room(&*b.tx, &self.master, room_id)? {
                room.row = row;
            }
        } else {
            self.take_commit_rate(caller.account, b, is_free)?;
        }
        self.apply(
            b,
            room_id,
            &commit,
            JudgedCommit { applied, wraps, given, chains, is_create: false },
        )
    }

    /// Asks the rules, with every chain at hand that they may want.
    fn judge(
        &mut self,
        b: &Batch<'_>,
        room: RoomId,
        commit: &Commit,
    ) -> Result<(KnownChains, Applied), Refusal> {
        let room = self.rooms.room(&*b.tx, &self.master, room)?.ok_or(Fault::NotFound)?;
        let starts_epoch = commit.epoch != room.state.epoch().epoch;
        let during = if starts_epoch {
            room.state.members_during(room.state.epoch().epoch)
        } else {
            Vec::new()
        };
        let accounts = std::iter::once(commit.author)
            .chain(commit.changed.iter().map(|member| member.account))
            .chain(room.state.members().filter(|_| starts_epoch).map(|member| member.account))
            .chain(during.iter().map(|member| member.account));
        let chains = self.chains.of(&*b.tx, accounts)?;
        let applied =
            validate_commit(&room.state, commit, &chains, Context::Live).map_err(commit_fault)?;
        Ok((chains, applied))
    }

    fn wraps_for(
        &self,
        before: Option<RoomId>,
        commit: &Commit,
        chains: &KnownChains,
        given: &[Wrap],
    ) -> Result<Vec<Wrap>, Refusal> {
        check_batch(given)?;
        let before = before.and_then(|room| self.rooms.state(room));
        let targets = wraps_needed(before, commit, chains).map_err(commit_fault)?;
        Ok(self.staged.gather(commit.author, commit.hash(), given, &targets)?)
    }

    fn take_commit_rate(
        &mut self,
        account: AccountId,
        b: &Batch<'_>,
        is_free: bool,
    ) -> Result<(), Refusal> {
        if !is_free {
            self.rates.commits.take(account, b.now)?;
        }
        Ok(())
    }

    /// Puts the name that a commit carries into an open room's row, if nobody else has it.
    fn name_open_room(
        &self,
        b: &mut Batch<'_>,
        row: &mut RoomRow,
        keys: &RoomKeys,
        commit: &Commit,
    ) -> Result<(), Refusal> {
        let plain = commit.settings_box.as_deref().ok_or(Fault::Malformed)?;
        let settings = RoomSettings::decode(plain).map_err(|error| invalid(&error))?;
        let tag = self.master.name_tag(row.workspace, settings.name.as_str());
        let holder = b.tx.room_by_name_tag(row.workspace, tag)?;
        if holder.is_some_and(|holder| holder.room != row.room) {
            return Err(Fault::NameTaken.into());
        }
        row.name_tag = Some(tag);
        row.sealed_name = Some(keys.seal_name(&mut b.rng, plain));
        Ok(())
    }

    /// Stores a judged commit with its wraps, and emits it to those it concerns.
    fn apply(
        &mut self,
        b: &mut Batch<'_>,
        room: RoomId,
        commit: &Commit,
        mut judged: JudgedCommit,
    ) -> Result<Reply, Refusal> {
        let account = commit.author;
        let room = self.rooms.room(&*b.tx, &self.master, room)?.ok_or(Fault::NotFound)?;
        let stored = room.store(
            b,
            &self.master,
            NewEntry {
                tag: TAG_COMMIT,
                bytes: commit.entry().to_vec(),
                entry_hash: commit.entry_hash(),
                is_countable: false,
                device: commit.device,
                ctr: Counter(0),
            },
        )?;
        let seq = stored.seq;
        room.head.commit_seq = seq;
        if !judged.is_create {
            room.state.apply(seq, b.now, commit);
            room.note_retention(b.tx)?;
        }
        // Agents that only write may have got a sender key each; they can ask for it later, too.
        let agents = agents_to_key(&room.state, &judged.chains).unwrap_or_default();
        let keyed = self.staged.find(account, commit.hash(), &judged.given, &agents);
        judged.wraps.extend(keyed);
        apply_effects(b, &self.chains, room, judged, stored)?;
        self.mark_timers.extend(room.newly_due(b.now));
        self.staged.use_up(account, commit.hash());
        Ok(Reply::Accepted { seq, time: b.now })
    }
}

/// Reads a commit that must be the caller's own.
fn own_commit(caller: &Caller, entry: Vec<u8>) -> Result<Commit, Refusal> {
    if entry.len() > COMMIT_LEN_MAX {
        return Err(too_large(COMMIT_LEN_MAX).into());
    }
    let commit = Commit::decode(entry).map_err(|_| Fault::Malformed)?;
    if commit.author != caller.account || commit.device != caller.device {
        return Err(not_allowed("a commit is sent by the device that signed it"));
    }
    Ok(commit)
}

/// Refuses newcomers whom the operator has removed from the server.
fn check_newcomers(b: &Batch<'_>, applied: &Applied) -> Result<(), Refusal> {
    for account in &applied.newcomers {
        if b.tx.account(*account)?.is_none_or(|row| row.is_removed) {
            return Err(not_allowed("the account is not on this server"));
        }
    }
    Ok(())
}

/// Whether a commit changes the name of an open room; by lower roles it is ignored, and shown.
fn renames(state: &RoomState, commit: &Commit) -> bool {
    state.mode() == RoomMode::Open
        && commit.settings_box.is_some()
        && state.member(commit.author).is_some_and(|member| member.role <= Role::Admin)
}

/// Where a commit with these bytes stands already, behind a place its author had seen.
fn first_place(
    read: &dyn Read,
    room: RoomNumber,
    after: Seq,
    entry_hash: Hash,
) -> Result<Option<Reply>, Refusal> {
    let rows = read.commits(room, after, REPEATS_LOOKED_AT)?;
    let found = rows.into_iter().find(|row| row.entry_hash == entry_hash);
    Ok(found.map(|row| Reply::Accepted { seq: row.seq, time: row.time }))
}
