//! Opening entries that waited for a key.

use std::task::{Poll, ready};

use super::super::context::Context;
use super::super::io::{Query, ReadId, WriteId};
use super::super::rooms::ingest::emit_entries;
use super::super::rooms::open_stored;
use super::super::signal::Signal;
use super::super::state::State;
use super::super::work::{Step, Work};
use crate::client::StoredContent;
use crate::client::event::UnreadableCause;
use crate::client::record::EntryRecord;
use crate::client::replica::{Write, Written};
use crate::id::RoomId;

/// Entries opened anew at a time when a key arrives.
const REOPEN_MAX: u32 = 128;
/// Why entries may wait, in the order in which they are looked at.
const CAUSES: [UnreadableCause; 3] =
    [UnreadableCause::KeyAsked, UnreadableCause::KeyBad, UnreadableCause::BeforeJoin];

/// Opens what waited in a room.
#[derive(Debug)]
pub(in super::super) struct Reopen {
    room: RoomId,
    cause: usize,
    stage: ReopenStage,
}

#[derive(Debug)]
enum ReopenStage {
    Begin,
    Reading(ReadId),
    Writing(WriteId, Vec<EntryRecord>),
    WritingFacts(WriteId),
}

impl Reopen {
    /// Opens what waited in this room.
    pub(in super::super) fn of(room: RoomId) -> Self {
        Self { room, cause: 0, stage: ReopenStage::Begin }
    }

    /// What says something else now.
    fn opened(&self, waiting: Vec<EntryRecord>, state: &mut State) -> Vec<EntryRecord> {
        let State { account, rooms, .. } = state;
        let Some(room) = rooms.all.get_mut(&self.room) else { return Vec::new() };
        let mut opened = Vec::new();
        for mut entry in waiting {
            let Some(content) = open_stored(room, &account.identity, &entry) else { continue };
            if content == entry.content {
                continue;
            }
            entry.is_mention = entry.author != account.id && content.mentions(&account.handle);
            entry.content = content;
            room.count_mention(entry.seq, entry.is_mention);
            opened.push(entry);
        }
        opened
    }
}

fn write_content(room: RoomId, entry: &EntryRecord) -> Write {
    let content: StoredContent = entry.content.clone();
    Write::Content { room, seq: entry.seq, content, is_mention: entry.is_mention }
}

impl Step for Reopen {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.go(state, cx));
        if let Some(room) = state.rooms.all.get_mut(&self.room) {
            room.is_fetching_keys = false;
        }
        Poll::Ready(())
    }
}

impl Reopen {
    fn go(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let id = self.room;
        loop {
            match &mut self.stage {
                ReopenStage::Begin => {
                    let Some(cause) = CAUSES.get(self.cause).copied() else {
                        let Some(room) = state.rooms.all.get_mut(&id) else {
                            return Poll::Ready(());
                        };
                        let before = room.facts.clone();
                        room.refresh_settings();
                        if room.facts == before {
                            cx.start(Work::Send(id));
                            return Poll::Ready(());
                        }
                        let write = cx.write(vec![room.write_facts()]);
                        self.stage = ReopenStage::WritingFacts(write);
                        continue;
                    };
                    let count = REOPEN_MAX;
                    let read = cx.read(Query::Unreadable { room: id, cause, count });
                    self.stage = ReopenStage::Reading(read);
                }
                ReopenStage::Reading(read) => {
                    let waiting = ready!(cx.found_entries(*read)).unwrap_or_default();
                    let opened = self.opened(waiting, state);
                    if opened.is_empty() {
                        // A round that opens none was the last for this cause.
                        self.cause += 1;
                        self.stage = ReopenStage::Begin;
                        continue;
                    }
                    let writes = opened.iter().map(|entry| write_content(id, entry)).collect();
                    self.stage = ReopenStage::Writing(cx.write(writes), opened);
                }
                ReopenStage::Writing(write, opened) => {
                    let written = ready!(cx.written(*write));
                    let opened = std::mem::take(opened);
                    self.stage = ReopenStage::Begin;
                    let Ok(written) = written else { return Poll::Ready(()) };
                    let State { account, identities, rooms, .. } = &*state;
                    emit_entries((account, identities, rooms), id, &opened, cx);
                    for entry in opened {
                        cx.signal(Signal::Entry { room: id, entry: Box::new(entry) });
                    }
                    for one in written {
                        if let Written::Shown(seqs) = one {
                            cx.signal(Signal::Shown { room: id, seqs });
                        }
                    }
                }
                ReopenStage::WritingFacts(write) => {
                    drop(ready!(cx.written(*write)));
                    state.rooms.show(id, cx);
                    cx.start(Work::Send(id));
                    return Poll::Ready(());
                }
            }
        }
    }
}
