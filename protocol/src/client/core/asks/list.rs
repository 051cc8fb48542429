//! The answers of assistants that are kept here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::{Poll, ready};

use super::super::context::Context;
use super::super::io::{Query, ReadId};
use super::super::server_call::storage;
use super::super::state::State;
use super::super::work::Step;
use crate::client::record::EntryRecord;
use crate::client::{Answered, CommandError, Done};
use crate::crypto::content::{Answer, Content};
use crate::id::{AccountId, RoomId, Seq, TimeMs};

/// Entries read at a time.
const PAGE: u32 = 256;

/// Lists answers, oldest first.
#[derive(Debug)]
pub(in super::super) struct ListAnswers {
    wanted: Option<RoomId>,
    rooms: Option<VecDeque<RoomId>>,
    /// Answers of the room at hand, and who asked what they answer.
    found: Vec<(Seq, TimeMs, Answer)>,
    askers: BTreeMap<Seq, AccountId>,
    answers: Vec<Answered>,
    stage: ListStage,
}

#[derive(Debug, Clone, Copy)]
enum ListStage {
    Next,
    Reading(ReadId),
    ReadingAsks(ReadId),
}

impl ListAnswers {
    /// Lists the answers of one room, or of all.
    pub(in super::super) fn new(wanted: Option<RoomId>) -> Self {
        Self {
            wanted,
            rooms: None,
            found: Vec::new(),
            askers: BTreeMap::new(),
            answers: Vec::new(),
            stage: ListStage::Next,
        }
    }

    fn add_page(&mut self, page: &[EntryRecord]) {
        for entry in page {
            match entry.content.said() {
                Some(Content::Answer(answer)) => {
                    self.found.push((entry.seq, entry.time, (**answer).clone()));
                }
                Some(Content::Ask(_)) => drop(self.askers.insert(entry.seq, entry.author)),
                _ => {}
            }
        }
    }

    fn finish_room(&mut self, room: RoomId, state: &State) {
        for (seq, time, answer) in std::mem::take(&mut self.found) {
            let asker = self.askers.get(&answer.ask).copied();
            let handle = asker.map(|asker| state.identities.handle(asker)).unwrap_or_default();
            self.answers.push(Answered { room, seq, time, asker, handle, answer });
        }
        self.askers.clear();
    }
}

impl Step for ListAnswers {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let wanted = self.wanted;
        let all =
            || wanted.map_or_else(|| state.rooms.all.keys().copied().collect(), |one| [one].into());
        self.rooms.get_or_insert_with(all);
        loop {
            let first = self.rooms.as_ref().and_then(|rooms| rooms.front().copied());
            let Some(room) = first else {
                let mut answers = std::mem::take(&mut self.answers);
                answers.sort_by_key(|answered| (answered.time, answered.room, answered.seq));
                return Poll::Ready(Ok(Done::Answers(answers)));
            };
            match self.stage {
                ListStage::Next => {
                    let (after, count) = (Seq(0), PAGE);
                    self.stage = ListStage::Reading(cx.read(Query::After { room, after, count }));
                }
                ListStage::Reading(read) => {
                    let page = ready!(cx.found_entries(read)).map_err(|error| storage(&error))?;
                    self.add_page(&page);
                    self.stage = if let Some(last) = page.last() {
                        let (after, count) = (last.seq, PAGE);
                        ListStage::Reading(cx.read(Query::After { room, after, count }))
                    } else {
                        let asks = self.found.iter().map(|(_, _, answer)| answer.ask);
                        let lacking: BTreeSet<Seq> =
                            asks.filter(|ask| !self.askers.contains_key(ask)).collect();
                        let seqs = lacking.into_iter().collect();
                        ListStage::ReadingAsks(cx.read(Query::Entries { room, seqs }))
                    };
                }
                ListStage::ReadingAsks(read) => {
                    let asks = ready!(cx.found_entries(read)).map_err(|error| storage(&error))?;
                    self.askers.extend(asks.iter().map(|ask| (ask.seq, ask.author)));
                    self.finish_room(room, state);
                    self.rooms.as_mut().map(VecDeque::pop_front);
                    self.stage = ListStage::Next;
                }
            }
        }
    }
}
