//! Putting an emoji on a message, or taking it back.

use std::task::{Poll, ready};

use super::super::context::Context;
use super::super::io::{Query, ReadId};
use super::super::server_call::storage;
use super::super::state::State;
use super::super::work::Step;
use super::queue::Queue;
use crate::client::record::EntryRecord;
use crate::client::{CommandError, Done, NewReaction};
use crate::crypto::content::{Content, Reaction, TargetContent};

/// Queues a reaction; the hash of its target is filled in from the log.
#[derive(Debug)]
pub(in super::super) struct PutReaction {
    new: NewReaction,
    stage: ReactionStage,
}

#[derive(Debug)]
enum ReactionStage {
    Begin,
    Reading(ReadId),
    Queueing(Queue),
}

impl PutReaction {
    /// Reacts as was asked.
    pub(in super::super) fn new(new: NewReaction) -> Self {
        Self { new, stage: ReactionStage::Begin }
    }

    fn content(&self, target: Option<&EntryRecord>) -> Result<Content, CommandError> {
        let seq = self.new.target;
        let none = || CommandError::NotFound(format!("there is no message {seq} here"));
        let target = target.ok_or_else(none)?;
        let can_be_reacted_to = match target.content.as_target() {
            TargetContent::Said(content) => !content.is_silent(),
            TargetContent::Hidden => true,
            TargetContent::Other => false,
        };
        if !can_be_reacted_to {
            let text = format!("entry {seq} is no message that can be reacted to");
            return Err(CommandError::Invalid(text));
        }
        Ok(Content::Reaction(Reaction {
            target: seq,
            target_hash: target.half(),
            emoji: self.new.emoji.clone(),
            is_removed: self.new.is_removed,
        }))
    }
}

impl Step for PutReaction {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let room = self.new.room;
        loop {
            match &mut self.stage {
                ReactionStage::Begin => {
                    let seqs = vec![self.new.target];
                    self.stage = ReactionStage::Reading(cx.read(Query::Entries { room, seqs }));
                }
                ReactionStage::Reading(read) => {
                    let found = ready!(cx.found_entries(*read)).map_err(|e| storage(&e))?;
                    let content = self.content(found.first())?;
                    self.stage = ReactionStage::Queueing(Queue::new(room, content, None));
                }
                ReactionStage::Queueing(queue) => return queue.poll(state, cx),
            }
        }
    }
}
