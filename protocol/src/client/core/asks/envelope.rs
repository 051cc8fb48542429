//! The glass envelope: what a question would send is gathered from the own replica, shown first, and
//! sealed exactly as shown. Nothing but the ask itself is ever sealed to the agent.

use std::task::{Poll, ready};

use super::super::context::Context;
use super::super::identities::Identities;
use super::super::identities::card::ReadCard;
use super::super::io::{Query, ReadId};
use super::super::sender::queue::Queue;
use super::super::server_call::storage;
use super::super::state::State;
use super::super::work::Step;
use super::agent_of;
use crate::client::record::EntryRecord;
use crate::client::{CommandError, Done, Envelope, NewAsk, RowTag};
use crate::crypto::card::AgentCard;
use crate::crypto::content::{Answer, Ask, Attached, Content, Stop};
use crate::id::{AccountId, Hash, RoomId, Seq};
use crate::limits::{ASK_ATTACHED_MAX, MESSAGE_TEXT_LEN_MAX};

/// Entries read at a time when context is gathered.
const PAGE: u32 = 256;
/// Entries looked through for context: older talk is not what the question is about.
const LOOKED_THROUGH_MAX: usize = 2_000;

/// Shows what a question would send, and to whom.
#[derive(Debug)]
pub(in super::super) struct MakeEnvelope {
    room: RoomId,
    ask: Ask,
    quoted_seq: Option<Seq>,
    n_context: usize,
    card: Option<AgentCard>,
    found: Vec<Attached>,
    n_seen: usize,
    stage: EnvelopeStage,
}

#[derive(Debug)]
enum EnvelopeStage {
    Begin,
    ReadingCard(ReadCard),
    ReadingQuoted(ReadId),
    /// Reading the messages before a position.
    ReadingContext(ReadId),
}

impl MakeEnvelope {
    /// The envelope of `text`, with a quoted message and the last `n_context` ones.
    pub(in super::super) fn new(
        room: RoomId,
        text: String,
        quoted_seq: Option<Seq>,
        n_context: u32,
    ) -> Self {
        let (agent, card, again, n_left_out) = (AccountId::ZERO, Hash::ZERO, None, 0);
        let n_context = usize::try_from(n_context).unwrap_or(usize::MAX).min(ASK_ATTACHED_MAX);
        Self {
            room,
            ask: Ask { agent, card, again, n_left_out, text, attached: Vec::new() },
            quoted_seq,
            n_context,
            card: None,
            found: Vec::new(),
            n_seen: 0,
            stage: EnvelopeStage::Begin,
        }
    }

    fn read_context(&self, before: Seq, cx: &mut Context<'_>) -> EnvelopeStage {
        let (room, count) = (self.room, PAGE);
        EnvelopeStage::ReadingContext(cx.read(Query::Before { room, before, count }))
    }

    /// Adds a page of messages, newest first; where to read on, if that is needed.
    fn add_page(&mut self, page: &[EntryRecord], identities: &Identities) -> Option<Seq> {
        let first = page.first()?.seq;
        self.n_seen += page.len();
        let but = self.quoted_seq;
        let readable = page.iter().rev().filter(|entry| Some(entry.seq) != but);
        let n_lacking = self.n_context.saturating_sub(self.found.len());
        let attached = readable.filter_map(|entry| attach(entry, identities));
        self.found.extend(attached.take(n_lacking));
        let is_enough = self.found.len() >= self.n_context || self.n_seen >= LOOKED_THROUGH_MAX;
        (!is_enough).then_some(first)
    }

    fn finish(&mut self, identities: &Identities) -> Done {
        self.found.reverse();
        let quoted = self.ask.attached.first().cloned();
        let (context, n_left_out) = what_fits(&mut self.ask, std::mem::take(&mut self.found));
        Done::Envelope(Box::new(Envelope {
            agent: self.ask.agent,
            handle: identities.handle(self.ask.agent),
            card: self.card.take(),
            promise: self.ask.card,
            quoted,
            context,
            n_left_out,
        }))
    }
}

impl Step for MakeEnvelope {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let State { account, identities, rooms, .. } = &mut *state;
            match &mut self.stage {
                EnvelopeStage::Begin => {
                    self.ask.agent = agent_of(self.room, rooms)?;
                    self.stage = EnvelopeStage::ReadingCard(ReadCard::of(self.ask.agent));
                }
                EnvelopeStage::ReadingCard(read) => {
                    self.card = ready!(read.poll(account, identities, cx))?;
                    self.ask.card = self.card.as_ref().map_or(Hash::ZERO, AgentCard::promise);
                    self.stage = match self.quoted_seq {
                        Some(seq) => {
                            let query = Query::Entries { room: self.room, seqs: vec![seq] };
                            EnvelopeStage::ReadingQuoted(cx.read(query))
                        }
                        None if !self.ask.fits() => return Poll::Ready(Err(too_long(&self.ask))),
                        None => self.read_context(Seq(0), cx),
                    };
                }
                EnvelopeStage::ReadingQuoted(read) => {
                    let found = ready!(cx.found_entries(*read)).map_err(|e| storage(&e))?;
                    let quoted = found.first().and_then(|entry| attach(entry, identities));
                    self.ask.attached.push(quoted.ok_or_else(unreadable)?);
                    if !self.ask.fits() {
                        return Poll::Ready(Err(too_long(&self.ask)));
                    }
                    self.stage = self.read_context(Seq(0), cx);
                }
                EnvelopeStage::ReadingContext(read) => {
                    let page = ready!(cx.found_entries(*read)).map_err(|e| storage(&e))?;
                    match self.add_page(&page, identities) {
                        Some(before) => self.stage = self.read_context(before, cx),
                        None => return Poll::Ready(Ok(self.finish(identities))),
                    }
                }
            }
        }
    }
}

/// Puts a question into the outbox, exactly as it was agreed to.
#[derive(Debug)]
pub(in super::super) struct PutAsk {
    new: NewAsk,
    stage: AskStage,
}

#[derive(Debug)]
enum AskStage {
    Begin,
    Reading(AccountId, ReadId),
    Queueing(Queue),
}

impl PutAsk {
    /// Asks this.
    pub(in super::super) fn new(mut new: NewAsk) -> Self {
        new.attached.sort_unstable();
        new.attached.dedup();
        Self { new, stage: AskStage::Begin }
    }

    fn ask(&self, agent: AccountId, attached: Vec<Attached>) -> Result<Content, CommandError> {
        if attached.len() != self.new.attached.len() {
            return Err(unreadable());
        }
        let (card, again, text) = (self.new.promise, self.new.again, self.new.text.clone());
        let ask = Ask { agent, card, again, n_left_out: 0, text, attached };
        if ask.text.trim().is_empty() {
            return Err(CommandError::Invalid("the question is empty".to_owned()));
        }
        if !ask.fits() {
            return Err(too_long(&ask));
        }
        Ok(Content::Ask(Box::new(ask)))
    }
}

impl Step for PutAsk {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let room = self.new.room;
        loop {
            match &mut self.stage {
                AskStage::Begin => {
                    let agent = agent_of(room, &state.rooms)?;
                    let seqs = self.new.attached.clone();
                    self.stage = AskStage::Reading(agent, cx.read(Query::Entries { room, seqs }));
                }
                AskStage::Reading(agent, read) => {
                    let agent = *agent;
                    let found = ready!(cx.found_entries(*read)).map_err(|e| storage(&e))?;
                    let attached =
                        found.iter().filter_map(|entry| attach(entry, &state.identities));
                    let content = self.ask(agent, attached.collect())?;
                    let tag: Option<RowTag> = self.new.tag;
                    self.stage = AskStage::Queueing(Queue::new(room, content, tag));
                }
                AskStage::Queueing(queue) => return queue.poll(state, cx),
            }
        }
    }
}

/// Puts what names an earlier entry into the outbox: a stop, or for agents an answer.
#[derive(Debug)]
pub(in super::super) struct PutReply {
    room: RoomId,
    reply: Reply,
    stage: ReplyStage,
}

#[derive(Debug)]
enum Reply {
    Stop(Seq),
    Answer(Box<Answer>),
}

#[derive(Debug)]
enum ReplyStage {
    Begin,
    Reading(ReadId),
    Queueing(Queue),
}

impl PutReply {
    /// Stops the answer to an own ask.
    pub(in super::super) fn stop(room: RoomId, ask: Seq) -> Self {
        Self { room, reply: Reply::Stop(ask), stage: ReplyStage::Begin }
    }

    /// Answers an ask; its hash is filled in from the log.
    pub(in super::super) fn answer(room: RoomId, answer: Box<Answer>) -> Self {
        Self { room, reply: Reply::Answer(answer), stage: ReplyStage::Begin }
    }

    fn content(
        &mut self,
        entry: Option<&EntryRecord>,
        me: AccountId,
    ) -> Result<Content, CommandError> {
        match &mut self.reply {
            Reply::Stop(ask) => {
                let own = entry.filter(|entry| entry.author == me);
                let Some(Content::Ask(asked)) = own.and_then(|entry| entry.content.said()) else {
                    let text = "that is no question of yours".to_owned();
                    return Err(CommandError::NotFound(text));
                };
                Ok(Content::Stop(Stop { agent: asked.agent, ask: *ask }))
            }
            Reply::Answer(answer) => {
                let none = || CommandError::NotFound("there is no such question".to_owned());
                answer.ask_hash = entry.ok_or_else(none)?.half();
                Ok(Content::Answer(answer.clone()))
            }
        }
    }
}

impl Step for PutReply {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let room = self.room;
        loop {
            match &mut self.stage {
                ReplyStage::Begin => {
                    let seq = match &self.reply {
                        Reply::Stop(ask) => *ask,
                        Reply::Answer(answer) => {
                            // Nothing of it is streamed any more.
                            state.asks.end_stream(room, answer.ask);
                            answer.ask
                        }
                    };
                    let read = cx.read(Query::Entries { room, seqs: vec![seq] });
                    self.stage = ReplyStage::Reading(read);
                }
                ReplyStage::Reading(read) => {
                    let found = ready!(cx.found_entries(*read)).map_err(|e| storage(&e))?;
                    let content = self.content(found.first(), state.account.id)?;
                    self.stage = ReplyStage::Queueing(Queue::new(room, content, None));
                }
                ReplyStage::Queueing(queue) => return queue.poll(state, cx),
            }
        }
    }
}

/// An entry as it would be attached; `None` if it says nothing that can be shown.
fn attach(entry: &EntryRecord, identities: &Identities) -> Option<Attached> {
    let text = entry.content.said()?.text()?.clone();
    let (seq, author, time) = (entry.seq, entry.author, entry.time);
    let handle = identities.handle(author);
    (!text.is_empty()).then_some(Attached { seq, author, handle, time, text })
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
    use crate::id::TimeMs;

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
