//! From "in its place" to "stored and shown": judging the entries that wait in a room.
//!
//! Owns the order: a few milliseconds of signatures at a time, stored in one transaction, and only
//! then reported. A failed write throws the room's memory away and reads the log again.

use std::task::{Poll, ready};
use std::time::Duration;

use super::super::account::Account;
use super::super::context::Context;
use super::super::identities::fetch::FetchChains;
use super::super::io::{Found, Query, ReadId, WriteId};
use super::super::signal::Signal;
use super::super::state::State;
use super::super::work::{Step, Work};
use super::judge::{Effect, Halt, Judge, Run};
use super::views::Views;
use super::{OneRoom, Rooms};
use crate::client::event::{AlarmCause, ClientEvent};
use crate::client::record::EntryRecord;
use crate::client::replica::{StorageError, Write, Written};
use crate::id::{Hash, RoomId, Seq};
use crate::log::sync::Input;

/// Entries judged before anything else is looked at: a few milliseconds of signatures.
const JUDGED_MAX: usize = 64;
/// After a failed write the log is read again this much later.
pub(in super::super) const STORAGE_PAUSE: Duration = Duration::from_secs(3);

/// Judges and stores what waits in a room.
#[derive(Debug)]
pub(in super::super) struct Ingest {
    room: RoomId,
    run: Run,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Judging,
    Looking(ReadId, Wanted),
    Storing(WriteId, Option<FetchChains>),
    Fetching(FetchChains),
}

#[derive(Debug, Clone, Copy)]
enum Wanted {
    Hash(Seq),
    Entry(Seq),
}

/// What stopped a run.
enum Pause {
    /// Nothing waits any more, or enough was judged.
    Full,
    Look(Query, Wanted),
    Fetch(FetchChains),
}

impl Ingest {
    /// Judges what waits in this room.
    pub(in super::super) fn of(room: RoomId) -> Self {
        Self { room, run: Run::default(), stage: Stage::Judging }
    }

    fn judge(&mut self, state: &mut State) -> Pause {
        let State { account, identities, rooms, .. } = state;
        let Some(room) = rooms.all.get_mut(&self.room) else { return Pause::Full };
        let id = self.room;
        while self.run.batch.entries.len() < JUDGED_MAX {
            let Some(placed) = room.queue.pop_front() else { break };
            let mut judge = Judge { account, identities, room };
            let Err(halt) = judge.judge(&mut self.run, &placed) else { continue };
            match halt {
                Halt::Broken(text) => {
                    room.stop(&text);
                    room.queue.clear();
                    // Nothing behind a broken entry is believed: no further pages are asked for.
                    room.sync = None;
                    let cause = AlarmCause::BrokenLog;
                    self.run.effects.push(Effect::Alarm { cause, text });
                    break;
                }
                halt => {
                    room.queue.push_front(placed);
                    return match halt {
                        Halt::NeedChains(people) => Pause::Fetch(FetchChains::of(people)),
                        Halt::NeedHash(seq) => {
                            Pause::Look(Query::HashAt { room: id, seq }, Wanted::Hash(seq))
                        }
                        Halt::NeedEntry(seq) => {
                            let query = Query::Entries { room: id, seqs: vec![seq] };
                            Pause::Look(query, Wanted::Entry(seq))
                        }
                        Halt::Broken(_) => Pause::Full,
                    };
                }
            }
        }
        Pause::Full
    }

    /// Stores what was judged; `None` if that is nothing.
    fn store(&mut self, room: &OneRoom, cx: &mut Context<'_>) -> Option<WriteId> {
        let run = &mut self.run;
        let is_empty = run.batch.entries.is_empty() && run.effects.is_empty();
        if is_empty && run.writes.is_empty() {
            return None;
        }
        let mut writes = vec![room.write_facts(), room.write_marks()];
        writes.append(&mut run.writes);
        writes.push(Write::Batch { room: self.room, batch: run.batch.clone() });
        Some(cx.write(writes))
    }

    fn looked(&mut self, wanted: Wanted, found: Result<Found, StorageError>) {
        match (wanted, found) {
            (Wanted::Hash(seq), Ok(Found::Hash(hash))) => {
                self.run.hashes.insert(seq, hash);
            }
            (Wanted::Entry(seq), Ok(Found::Entries(entries))) => {
                self.run.entries.insert(seq, entries.into_iter().find(|entry| entry.seq == seq));
            }
            // What cannot be read now cannot be compared either.
            (Wanted::Hash(seq), _) => drop(self.run.hashes.insert(seq, None::<Hash>)),
            (Wanted::Entry(seq), _) => drop(self.run.entries.insert(seq, None::<EntryRecord>)),
        }
    }
}

impl Step for Ingest {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.stage {
                Stage::Judging => {
                    let pause = self.judge(state);
                    let fetch = match pause {
                        Pause::Look(query, wanted) => {
                            self.stage = Stage::Looking(cx.read(query), wanted);
                            continue;
                        }
                        Pause::Full => None,
                        Pause::Fetch(fetch) => Some(fetch),
                    };
                    let Some(room) = state.rooms.all.get(&self.room) else {
                        return Poll::Ready(());
                    };
                    match (self.store(room, cx), fetch) {
                        (Some(write), fetch) => self.stage = Stage::Storing(write, fetch),
                        (None, Some(fetch)) => self.stage = Stage::Fetching(fetch),
                        (None, None) => return Poll::Ready(()),
                    }
                }
                Stage::Looking(read, wanted) => {
                    let (found, wanted) = (ready!(cx.found(*read)), *wanted);
                    self.looked(wanted, found);
                    self.stage = Stage::Judging;
                }
                Stage::Storing(write, fetch) => {
                    let written = ready!(cx.written(*write));
                    let (run, fetch) = (std::mem::take(&mut self.run), fetch.take());
                    let Ok(written) = written else {
                        if let Some(room) = state.rooms.all.get_mut(&self.room) {
                            room.suspend();
                        }
                        cx.start_once(Work::Reload(self.room));
                        return Poll::Ready(());
                    };
                    report(self.room, run, &written, state, cx);
                    self.stage = fetch.map_or(Stage::Judging, Stage::Fetching);
                }
                Stage::Fetching(fetch) => {
                    let State { account, identities, .. } = state;
                    let fetched = ready!(fetch.poll(account, identities, cx));
                    if fetched.is_err() && !cx.is_online() {
                        // Begun again after the next login.
                        return Poll::Ready(());
                    }
                    self.run.has_fetched = true;
                    self.stage = Stage::Judging;
                }
            }
        }
    }
}

/// Reports what was stored.
fn report(id: RoomId, run: Run, written: &[Written], state: &mut State, cx: &mut Context<'_>) {
    if let (Some(room), Some((seq, _))) = (state.rooms.all.get_mut(&id), run.batch.cursor) {
        room.stored = seq;
    }
    let has_commit = run.effects.iter().any(|effect| matches!(effect, Effect::Committed));
    for effect in run.effects {
        match effect {
            Effect::OwnMessage { counter, seq, time, digest } => {
                cx.signal(Signal::OwnMessage { room: id, counter, seq, time, digest });
            }
            Effect::Alarm { cause, text } => cx.alarm(Some(id), None, cause, text),
            Effect::Notice(text) => cx.notice(Some(id), text),
            Effect::Committed => {}
        }
    }
    let State { account, identities, rooms, .. } = &mut *state;
    emit_entries((account, identities, rooms), id, &run.batch.entries, cx);
    for entry in run.batch.entries {
        cx.signal(Signal::Entry { room: id, entry: Box::new(entry) });
    }
    let shown = written.iter().flat_map(|one| match one {
        Written::Shown(seqs) => seqs.as_slice(),
        _ => &[],
    });
    cx.signal(Signal::Shown { room: id, seqs: shown.copied().collect() });
    if has_commit {
        cx.signal(Signal::Committed(id));
    }
    if run.lacks_keys {
        cx.start(Work::FetchKeys(id));
    }
    cx.start(Work::CheckTicks(id));
    cx.start_once(Work::SendDelivered);
    rooms.show(id, cx);
    cx.start(Work::Send(id));
}

/// Emits entries as faces see them.
pub(in super::super) fn emit_entries(
    (account, identities, rooms): (&Account, &super::super::identities::Identities, &Rooms),
    id: RoomId,
    entries: &[EntryRecord],
    cx: &mut Context<'_>,
) {
    let Some(room) = rooms.all.get(&id) else { return };
    let views = Views { account, identities };
    for entry in entries {
        cx.emit(ClientEvent::Entry(Box::new(views.entry(room, entry))));
    }
}

/// Loads a room anew from the replica, after a write failed, and reads its log again.
#[derive(Debug)]
pub(in super::super) struct Reload {
    room: RoomId,
    stage: ReloadStage,
}

#[derive(Debug)]
enum ReloadStage {
    Pausing(Option<Duration>),
    Reading(ReadId),
}

impl Reload {
    /// Loads this room anew.
    pub(in super::super) fn of(room: RoomId) -> Self {
        Self { room, stage: ReloadStage::Pausing(None) }
    }
}

impl Step for Reload {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.stage {
                ReloadStage::Pausing(until) => {
                    let until = *until.get_or_insert(cx.after(STORAGE_PAUSE));
                    if !cx.is_due(until) {
                        return Poll::Pending;
                    }
                    self.stage = ReloadStage::Reading(cx.read(Query::Room(self.room)));
                }
                ReloadStage::Reading(read) => {
                    let found = ready!(cx.found(*read));
                    let Ok(Found::Room(Some(loaded))) = found else {
                        self.stage = ReloadStage::Pausing(None);
                        continue;
                    };
                    let Some(room) = state.rooms.all.get_mut(&self.room) else {
                        return Poll::Ready(());
                    };
                    room.reload(*loaded, state.account.device);
                    // Events that came meanwhile were not kept: the log is read up to them.
                    let next_seq = room.marks.announced;
                    if cx.is_online() && room.facts.is_member {
                        state.rooms.begin_log(self.room, cx);
                        state.rooms.feed(self.room, Input::Lagged { next_seq }, cx);
                    }
                    return Poll::Ready(());
                }
            }
        }
    }
}
