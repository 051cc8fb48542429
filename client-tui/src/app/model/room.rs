//! A room on the screen: what the engine reported of it, and the state of this visit.

use std::collections::VecDeque;
use std::time::Duration;

use mathia_protocol::client::{MarkCounts, RoomView};
use mathia_protocol::crypto::card::AgentCard;
use mathia_protocol::crypto::commit::{AgentScope, HistoryRule, Role, RoomKind, RoomMode};
use mathia_protocol::id::{AccountId, Epoch, RoomId, Seq, TimeMs};

use super::timeline::Timeline;
use crate::asking::Destination;
use crate::safe_text::SafeText;

/// Texts written before that can be brought back with Up.
const WRITTEN_MAX: usize = 50;

/// A room.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) facts: RoomFacts,
    pub(crate) timeline: Timeline,
    /// What was being written when the room was left.
    pub(crate) draft: String,
    /// What was sent or put away here, newest last.
    pub(crate) written: VecDeque<String>,
    /// Who is typing, until when if they do not say more.
    pub(crate) typing: Vec<(AccountId, Duration)>,
    /// The line above what was new when the room was entered; stays until it is left.
    pub(crate) line: Option<NewLine>,
    /// How far the engine was asked to mark as read.
    pub(crate) marked: Seq,
}

/// The line above new messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewLine {
    /// It stands above the first countable entry behind this place.
    pub(crate) after: Seq,
    /// How many were new.
    pub(crate) n_new: u32,
    /// Whether the window still has to be placed so that the line is seen.
    pub(crate) is_placed: bool,
}

/// What the engine says of a room, cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoomFacts {
    pub(crate) room: RoomId,
    pub(crate) kind: RoomKind,
    pub(crate) mode: RoomMode,
    pub(crate) name: SafeText,
    pub(crate) topic: SafeText,
    pub(crate) members: Vec<Member>,
    pub(crate) role: Role,
    pub(crate) history: HistoryRule,
    pub(crate) agent_scope: AgentScope,
    pub(crate) epoch: Epoch,
    pub(crate) code: SafeText,
    pub(crate) head: Seq,
    pub(crate) announced: Seq,
    pub(crate) read_upto: Seq,
    pub(crate) n_unread: u32,
    pub(crate) n_mentions: u32,
    pub(crate) active_at: TimeMs,
    pub(crate) sending_stopped: Option<SafeText>,
    pub(crate) marks: MarkCounts,
}

/// A member of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) account: AccountId,
    pub(crate) handle: SafeText,
    pub(crate) role: Role,
    pub(crate) is_agent: bool,
    /// Who runs an agent, as its account says; empty for people.
    pub(crate) operator: SafeText,
    /// What an agent says of itself, as far as it is known.
    pub(crate) card: Option<Card>,
}

/// What an agent says of itself, cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Card {
    pub(crate) place: SafeText,
    pub(crate) model: SafeText,
    pub(crate) operator: SafeText,
}

impl Card {
    fn of(card: &AgentCard) -> Self {
        let Destination { place, model, operator } = Destination::of(Some(card));
        let clean = SafeText::line;
        Self { place: clean(&place), model: clean(&model), operator: clean(&operator) }
    }
}

impl RoomFacts {
    /// Cleans what the engine reported.
    pub(crate) fn of(view: &RoomView) -> Self {
        Self {
            room: view.room,
            kind: view.kind,
            mode: view.mode,
            name: SafeText::line(&view.name),
            topic: SafeText::line(&view.topic),
            members: view
                .members
                .iter()
                .map(|member| Member {
                    account: member.account,
                    handle: SafeText::line(&member.handle),
                    role: member.role,
                    is_agent: member.is_agent || member.role == Role::Agent,
                    operator: SafeText::line(&member.operator),
                    card: member.card.as_ref().map(Card::of),
                })
                .collect(),
            role: view.role,
            history: view.history,
            agent_scope: view.agent_scope,
            epoch: view.epoch,
            code: SafeText::line(&view.room_code),
            head: view.head,
            announced: view.announced,
            read_upto: view.read_upto,
            n_unread: view.n_unread,
            n_mentions: view.n_mentions,
            active_at: view.active_at,
            sending_stopped: view.sending_stopped.as_deref().map(SafeText::line),
            marks: view.marks.clone(),
        }
    }

    /// The name shown; a room whose key is missing has none yet.
    pub(crate) fn shown_name(&self) -> String {
        if self.name.is_empty() {
            format!("room {}", self.room.short())
        } else {
            self.name.as_str().to_owned()
        }
    }

    /// How many people are members, the own person included.
    pub(crate) fn n_people(&self) -> usize {
        self.members.iter().filter(|member| !member.is_agent).count()
    }

    /// The assistant of this room.
    pub(crate) fn agent(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.is_agent)
    }

    /// The other person of a direct room.
    pub(crate) fn other(&self, me: AccountId) -> Option<AccountId> {
        let is_direct = self.kind == RoomKind::Direct;
        let other = self.members.iter().find(|member| member.account != me);
        other.filter(|_| is_direct).map(|member| member.account)
    }

    /// The room code in groups of five, as many as asked for.
    pub(crate) fn code_groups(&self, n_groups: usize) -> String {
        let digits: Vec<char> = self.code.as_str().chars().filter(char::is_ascii_digit).collect();
        let groups = digits.chunks(5).take(n_groups).map(|group| group.iter().collect::<String>());
        groups.collect::<Vec<_>>().join(" ")
    }
}

impl Room {
    /// A room that was not opened yet.
    pub(crate) fn new(facts: RoomFacts) -> Self {
        let marked = facts.read_upto;
        Self {
            facts,
            timeline: Timeline::default(),
            draft: String::new(),
            written: VecDeque::new(),
            typing: Vec::new(),
            line: None,
            marked,
        }
    }

    /// Remembers what was sent or put away, to be brought back with Up.
    pub(crate) fn remember_written(&mut self, text: &str) {
        if text.trim().is_empty() || self.written.back().is_some_and(|last| last == text) {
            return;
        }
        if self.written.len() == WRITTEN_MAX {
            self.written.pop_front();
        }
        self.written.push_back(text.to_owned());
    }

    /// How far an own entry is: of how many others, how many have received and read it.
    pub(crate) fn reach(&self, seq: Seq) -> Reach {
        let marks = &self.facts.marks;
        let (n_delivered, n_read) = marks.reached(seq);
        Reach { n_others: marks.n_others, n_delivered, n_read }
    }
}

/// Of how many others, how many have received and read an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "counts are named so throughout")]
pub(crate) struct Reach {
    pub(crate) n_others: u32,
    pub(crate) n_delivered: u32,
    pub(crate) n_read: u32,
}

/// How far an own message is, as its tick shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    /// In the own outbox.
    Queued,
    /// Durable at the server.
    Accepted,
    /// Received by all others.
    Delivered,
    /// Read by all others.
    Read,
    /// Refused.
    Failed,
}

impl Reach {
    /// The tick for this reach.
    pub(crate) fn tick(self) -> Tick {
        match self {
            Self { n_others: 0, .. } => Tick::Accepted,
            Self { n_others, n_read, .. } if n_read >= n_others => Tick::Read,
            Self { n_others, n_delivered, .. } if n_delivered >= n_others => Tick::Delivered,
            _ => Tick::Accepted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_needs_everybody() {
        let reach = |n_delivered, n_read| Reach { n_others: 2, n_delivered, n_read }.tick();
        assert_eq!(reach(1, 1), Tick::Accepted);
        assert_eq!(reach(2, 1), Tick::Delivered);
        assert_eq!(reach(2, 2), Tick::Read);
        assert_eq!(Reach { n_others: 0, n_delivered: 0, n_read: 0 }.tick(), Tick::Accepted);
    }
}
