//! Questions to a room's assistant: what would leave, what leaves, and who waits for an answer.
//!
//! Owns the glass envelope: what is attached is gathered from the own replica, shown first, and sealed
//! exactly as shown. Nothing but the ask itself is ever sealed to the agent.

use std::rc::Rc;
use std::time::Duration;

use super::super::event::ClientEvent;
use super::super::record::{EntryRecord, OutboxRow, RowState};
use super::super::replica::Stored;
use super::core::Core;
use super::{Engine, storage};
use crate::client::{Answered, CommandError, Done, Envelope, NewAsk};
use crate::crypto::commit::Role;
use crate::crypto::content::{Answer, Ask, Attached, Content, Stop};
use crate::crypto::hash::sha256;
use crate::id::{AccountId, Hash, RoomId, Seq, TimeMs};
use crate::limits::{ASK_ATTACHED_MAX, MESSAGE_TEXT_LEN_MAX};
use crate::log::RoomState;
use crate::wire::EntryBody;

/// Entries read at a time when answers or context are gathered.
const PAGE: u32 = 256;
/// Entries looked through for context: older talk is not what the question is about.
const LOOKED_THROUGH_MAX: u64 = 2_000;
/// Who did not ask waits at least this long before it makes the key an answer waits for.
const OTHERS_PAUSE: Duration = Duration::from_secs(2);
/// An ask without an answer for this long no longer moves anybody to make a key.
const WAITING_MAX: Duration = Duration::from_mins(2);

/// An ask that has no answer yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenAsk {
    pub(super) agent: AccountId,
    asker: AccountId,
    since: TimeMs,
}

impl Engine {
    /// The room's assistant.
    pub(super) fn agent_of(&self, id: RoomId) -> Result<(AccountId, String), CommandError> {
        let core = self.core.borrow();
        let room = core.rooms.get(&id);
        let room = room.ok_or_else(|| CommandError::NotFound("there is no such room".into()))?;
        let mut members = room.state.iter().flat_map(RoomState::members);
        let agent = members.find(|member| member.role == Role::Agent).map(|m| m.account);
        let none = || {
            let text = "no assistant is in this room: add one with `room add ROOM mathia`";
            CommandError::NotFound(text.to_owned())
        };
        agent.map(|agent| (agent, core.people.handle(agent))).ok_or_else(none)
    }

    /// What a question would send, and to whom.
    pub(super) async fn envelope(
        self: &Rc<Self>,
        id: RoomId,
        text: String,
        quoted: Option<Seq>,
        n_context: u32,
    ) -> Result<Done, CommandError> {
        let (agent, handle) = self.agent_of(id)?;
        let card = self.card_of(agent).await?;
        let promise = card.as_ref().map_or(Hash::ZERO, crate::crypto::card::AgentCard::promise);
        let store = |error| storage(&error);
        let quoted = match quoted {
            Some(seq) => Some(self.attached(id, seq).map_err(store)?.ok_or_else(unreadable)?),
            None => None,
        };
        let mut ask = Ask {
            agent,
            card: promise,
            again: None,
            n_left_out: 0,
            text,
            attached: quoted.iter().cloned().collect(),
        };
        if !ask.fits() {
            return Err(too_long(&ask));
        }
        let wanted = self.last_said(id, n_context, quoted.as_ref().map(|one| one.seq));
        let (context, n_left_out) = what_fits(&mut ask, wanted.map_err(store)?);
        Ok(Done::Envelope(Box::new(Envelope {
            agent,
            handle,
            card,
            promise,
            quoted,
            context,
            n_left_out,
        })))
    }

    /// Puts a question into the outbox, exactly as it was agreed to.
    pub(super) fn ask(self: &Rc<Self>, new: NewAsk) -> Result<u64, CommandError> {
        let (agent, _) = self.agent_of(new.room)?;
        let mut seqs = new.attached;
        seqs.sort_unstable();
        seqs.dedup();
        let mut attached = Vec::with_capacity(seqs.len());
        for seq in seqs {
            let one = self.attached(new.room, seq).map_err(|error| storage(&error))?;
            attached.push(one.ok_or_else(unreadable)?);
        }
        let (card, again, text) = (new.promise, new.again, new.text);
        let ask = Ask { agent, card, again, n_left_out: 0, text, attached };
        if ask.text.trim().is_empty() {
            return Err(CommandError::Invalid("the question is empty".to_owned()));
        }
        if !ask.fits() {
            return Err(too_long(&ask));
        }
        self.queue(new.room, &Content::Ask(Box::new(ask)))
    }

    /// Stops the answer to an own ask.
    pub(super) fn stop_answer(self: &Rc<Self>, id: RoomId, ask: Seq) -> Result<u64, CommandError> {
        let entry = self.replica.entry(id, ask).map_err(|error| storage(&error))?;
        let own = entry.filter(|entry| entry.author == self.account);
        let Some(Content::Ask(asked)) = own.as_ref().and_then(|entry| entry.content.said()) else {
            return Err(CommandError::NotFound("that is no question of yours".to_owned()));
        };
        self.queue(id, &Content::Stop(Stop { agent: asked.agent, ask }))
    }

    /// Puts an answer into the outbox, for the entry that it answers.
    pub(super) fn answer(
        self: &Rc<Self>,
        id: RoomId,
        mut answer: Answer,
    ) -> Result<u64, CommandError> {
        let entry = self.replica.entry(id, answer.ask).map_err(|error| storage(&error))?;
        let half = entry.map(|entry| match entry.body {
            EntryBody::Whole(bytes) => sha256(&[&bytes]).first_half(),
            EntryBody::Gone(hash) => hash.first_half(),
        });
        answer.ask_hash =
            half.ok_or_else(|| CommandError::NotFound("there is no such question".to_owned()))?;
        self.queue(id, &Content::Answer(Box::new(answer)))
    }

    /// Answers that are kept here, oldest first.
    pub(super) fn answers(&self, room: Option<RoomId>) -> Stored<Vec<Answered>> {
        let rooms: Vec<RoomId> = match room {
            Some(room) => vec![room],
            None => self.core.borrow().rooms.keys().copied().collect(),
        };
        let mut answers = Vec::new();
        for id in rooms {
            let mut after = Seq(0);
            loop {
                let page = self.replica.entries_after(id, after, PAGE)?;
                let Some(last) = page.last().map(|entry| entry.seq) else { break };
                for entry in &page {
                    if let Some(Content::Answer(answer)) = entry.content.said() {
                        answers.push(self.answered(id, entry, answer)?);
                    }
                }
                after = last;
            }
        }
        answers.sort_by_key(|answered| (answered.time, answered.room, answered.seq));
        Ok(answers)
    }

    fn answered(&self, id: RoomId, entry: &EntryRecord, answer: &Answer) -> Stored<Answered> {
        let asker = self.replica.entry(id, answer.ask)?.map(|ask| ask.author);
        let core = self.core.borrow();
        let handle = asker.map(|asker| core.people.handle(asker)).unwrap_or_default();
        let (seq, time, answer) = (entry.seq, entry.time, answer.clone());
        Ok(Answered { room: id, seq, time, asker, handle, answer })
    }

    fn attached(&self, id: RoomId, seq: Seq) -> Stored<Option<Attached>> {
        let Some(entry) = self.replica.entry(id, seq)? else { return Ok(None) };
        Ok(self.core.borrow().attach(&entry))
    }

    /// The last `count` messages that can be read, but for one, oldest first.
    fn last_said(&self, id: RoomId, count: u32, but: Option<Seq>) -> Stored<Vec<Attached>> {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(ASK_ATTACHED_MAX);
        let (mut found, mut before, mut n_seen) = (Vec::new(), Seq(0), 0);
        while found.len() < count && n_seen < LOOKED_THROUGH_MAX {
            let page = self.replica.entries_before(id, before, PAGE)?;
            let Some(first) = page.first().map(|entry| entry.seq) else { break };
            n_seen += page.len() as u64;
            let core = self.core.borrow();
            let readable = page.iter().rev().filter(|entry| Some(entry.seq) != but);
            found.extend(readable.filter_map(|entry| core.attach(entry)).take(count - found.len()));
            before = first;
        }
        found.reverse();
        Ok(found)
    }

    /// What an entry that was just stored means for questions: who waits, and what was shown.
    pub(super) fn note_asking(self: &Rc<Self>, id: RoomId, entry: &EntryRecord) {
        match entry.content.said() {
            Some(Content::Ask(ask)) => {
                let (agent, asker, since) = (ask.agent, entry.author, entry.time);
                let open = OpenAsk { agent, asker, since };
                self.core.borrow_mut().asks.insert((id, entry.seq), open);
            }
            Some(Content::Answer(answer)) => {
                let mut core = self.core.borrow_mut();
                core.asks.remove(&(id, answer.ask));
                core.streams.remove(&(id, answer.ask));
            }
            _ => {}
        }
    }

    /// Emits entries again that are newly marked as shown to an agent.
    pub(super) fn emit_shown(&self, id: RoomId, seqs: &[Seq]) {
        for seq in seqs {
            match self.replica.entry(id, *seq) {
                Ok(Some(entry)) => {
                    let view = self.core.borrow().entry_view(id, &entry);
                    self.tell(ClientEvent::Entry(Box::new(view)));
                }
                Ok(None) => {}
                Err(error) => return self.storage_failed(&error),
            }
        }
    }

    /// What is queued for an agent that is no longer in the room is not sealed to it.
    pub(super) fn fail_lost_asks(&self, id: RoomId) {
        let rows = match self.replica.outbox(Some(id)) {
            Ok(rows) => rows,
            Err(error) => return self.storage_failed(&error),
        };
        let is_lost = |row: &OutboxRow| {
            let Some(agent) = row.content.reader() else { return false };
            let core = self.core.borrow();
            let state = core.rooms.get(&id).and_then(|room| room.state.as_ref());
            row.state == RowState::Queued && state.is_some_and(|state| !state.is_member(agent))
        };
        for row in rows.iter().filter(|row| is_lost(row)) {
            let cause = "the assistant is no longer in this room".to_owned();
            self.settle_row(row, RowState::Failed { cause });
        }
    }

    /// The room changed: if an answer waits for a new key, who asked makes it, else anybody
    /// (CRYPTO B6, "No dead ends").
    pub(super) async fn rotate_for_answers(self: Rc<Self>, id: RoomId) {
        let Some(is_mine) = self.waits_for_answer(id) else { return };
        if !self.needs_rotation(id) || self.own_role(id) == Some(Role::Agent) {
            return;
        }
        if !is_mine {
            tokio::time::sleep(OTHERS_PAUSE).await;
            self.random_pause(OTHERS_PAUSE).await;
        }
        if self.waits_for_answer(id).is_some()
            && let Err(error) = self.rotate_if_needed(id).await
        {
            tracing::debug!(room = id.short(), %error, "no key was made for an answer");
        }
    }

    /// Whether somebody waits for an answer here, and whether that is this account.
    fn waits_for_answer(&self, id: RoomId) -> Option<bool> {
        let (core, now) = (self.core.borrow(), self.now());
        let waiting: Vec<&OpenAsk> = core
            .asks
            .range((id, Seq(0))..=(id, Seq(u64::MAX)))
            .map(|(_, open)| open)
            .filter(|open| Duration::from_millis(now.0.saturating_sub(open.since.0)) < WAITING_MAX)
            .collect();
        let is_mine = waiting.iter().any(|open| open.asker == self.account);
        (!waiting.is_empty()).then_some(is_mine)
    }

    pub(super) fn own_role(&self, id: RoomId) -> Option<Role> {
        let core = self.core.borrow();
        let state = core.rooms.get(&id)?.state.as_ref()?;
        state.member(self.account).map(|member| member.role)
    }
}

impl Core {
    /// An entry as it would be attached; `None` if it says nothing that can be shown.
    fn attach(&self, entry: &EntryRecord) -> Option<Attached> {
        let text = entry.content.said()?.text()?.clone();
        let (seq, author, time) = (entry.seq, entry.author, entry.time);
        let handle = self.people.handle(author);
        (!text.is_empty()).then_some(Attached { seq, author, handle, time, text })
    }
}

/// Takes as many of the newest messages as the ask still holds; says how many do not fit.
fn what_fits(ask: &mut Ask, wanted: Vec<Attached>) -> (Vec<Attached>, u32) {
    let mut fitting = Vec::new();
    let mut n_left_out = 0;
    for one in wanted.into_iter().rev() {
        ask.attached.push(one);
        if n_left_out == 0 && ask.fits() {
            fitting.extend(ask.attached.last().cloned());
        } else {
            ask.attached.pop();
            n_left_out += 1;
        }
    }
    fitting.reverse();
    (fitting, n_left_out)
}

fn unreadable() -> CommandError {
    CommandError::Invalid("a message that is to be shown cannot be read here".to_owned())
}

fn too_long(ask: &Ask) -> CommandError {
    let text = if ask.text.len() > MESSAGE_TEXT_LEN_MAX {
        format!("a question has at most {MESSAGE_TEXT_LEN_MAX} bytes, this has {}", ask.text.len())
    } else {
        "this is more than a question holds: attach less".to_owned()
    };
    CommandError::Invalid(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(seq: u64, len: usize) -> Attached {
        let (author, handle) = (AccountId([1; 32]), "bob".to_owned());
        Attached { seq: Seq(seq), author, handle, time: TimeMs(1), text: "x".repeat(len) }
    }

    #[test]
    fn the_newest_messages_are_shown_and_the_rest_is_counted() {
        let (agent, card, text) = (AccountId([2; 32]), Hash::ZERO, "why?".to_owned());
        let mut ask = Ask { agent, card, again: None, n_left_out: 0, text, attached: Vec::new() };
        let (fitting, n_left_out) =
            what_fits(&mut ask, vec![one(1, 9), one(2, 60_000), one(3, 9_000), one(4, 10)]);
        assert_eq!(fitting.iter().map(|one| one.seq.0).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(n_left_out, 2, "no hole is left in what is shown");
        assert!(ask.fits());
    }
}
