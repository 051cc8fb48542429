//! Questions to a room's assistant: who waits for an answer, and answers on their way.
//!
//! Owns nothing durable: what was asked and answered is in the log.

pub(super) mod card;
pub(super) mod envelope;
pub(super) mod list;
pub(super) mod rotate;
pub(super) mod streams;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use self::streams::{Incoming, Outgoing};
use super::rooms::Rooms;
use crate::client::CommandError;
use crate::client::record::EntryRecord;
use crate::crypto::content::Content;
use crate::id::{AccountId, RoomId, Seq, TimeMs};

/// An ask without an answer for this long no longer moves anybody to make a key.
const WAITING_MAX: Duration = Duration::from_mins(2);

/// An ask that has no answer yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenAsk {
    agent: AccountId,
    asker: AccountId,
    since: TimeMs,
}

/// What is known of questions since the start.
#[derive(Debug, Default)]
pub(super) struct Asks {
    /// Questions that have no answer yet.
    open: BTreeMap<(RoomId, Seq), OpenAsk>,
    /// Answers to them that are coming in.
    incoming: HashMap<(RoomId, Seq), Incoming>,
    /// Answers that this agent is giving.
    outgoing: HashMap<(RoomId, Seq), Outgoing>,
}

impl Asks {
    /// What an entry that was just stored means for questions: who waits, and who no longer does.
    pub(super) fn entry_stored(&mut self, room: RoomId, entry: &EntryRecord) {
        match entry.content.said() {
            Some(Content::Ask(ask)) => {
                let (agent, asker, since) = (ask.agent, entry.author, entry.time);
                self.open.insert((room, entry.seq), OpenAsk { agent, asker, since });
            }
            Some(Content::Answer(answer)) => {
                self.open.remove(&(room, answer.ask));
                self.incoming.remove(&(room, answer.ask));
            }
            _ => {}
        }
    }

    /// Whether somebody waits for an answer in a room, and whether that is `me`.
    fn waits(&self, room: RoomId, me: AccountId, now: TimeMs) -> Option<bool> {
        let all = self.open.range((room, Seq(0))..=(room, Seq(u64::MAX)));
        let is_recent = |open: &&OpenAsk| {
            Duration::from_millis(now.0.saturating_sub(open.since.0)) < WAITING_MAX
        };
        let waiting: Vec<&OpenAsk> = all.map(|(_, open)| open).filter(is_recent).collect();
        let is_mine = waiting.iter().any(|open| open.asker == me);
        (!waiting.is_empty()).then_some(is_mine)
    }
}

/// The room's assistant.
fn agent_of(id: RoomId, rooms: &Rooms) -> Result<AccountId, CommandError> {
    let none = || {
        let text = "no assistant is in this room: add one with `room add ROOM mathia`";
        CommandError::NotFound(text.to_owned())
    };
    rooms.get(id)?.agent().ok_or_else(none)
}
