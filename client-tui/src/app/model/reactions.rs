//! The reactions to a message as they are shown: what the log says, and the own ones on their way.

use mathia_protocol::crypto::content::{Emoji, Reaction, ReactionCount};
use mathia_protocol::id::{AccountId, Seq};

use super::Model;
use super::entry::{Entry, ItemKey};
use super::timeline::Timeline;

impl Timeline {
    /// Who reacted to an entry, with what; the own reactions count from when they are chosen.
    pub(crate) fn reactions_to(&self, entry: &Entry, me: AccountId) -> Vec<ReactionCount> {
        let mut counts = entry.reactions.clone();
        for reaction in self.reacting.values().filter(|one| one.target == entry.seq) {
            fold(&mut counts, me, reaction);
        }
        counts
    }

    /// Says whether somebody put an emoji on an entry.
    pub(crate) fn has_reacted(&self, entry: &Entry, who: AccountId, emoji: &Emoji) -> bool {
        let counts = self.reactions_to(entry, who);
        counts.iter().any(|count| count.emoji == *emoji && count.authors.contains(&who))
    }

    /// The emoji that somebody put on what is loaded, the newest message first.
    pub(crate) fn emoji_of(&self, who: AccountId) -> impl Iterator<Item = &Emoji> {
        let counts = self.entries().rev().flat_map(|entry| &entry.reactions);
        counts.filter(move |count| count.authors.contains(&who)).map(|count| &count.emoji)
    }

    /// Takes over what the engine counted.
    pub(crate) fn set_reactions(&mut self, target: Seq, reactions: Vec<ReactionCount>) {
        if let Some(entry) = self.entry_mut(target) {
            entry.reactions = reactions;
        }
    }

    /// An own reaction is in the outbox under a number.
    pub(crate) fn reaction_queued(&mut self, local_id: u64, reaction: Reaction) {
        self.reacting.insert(local_id, reaction);
    }

    /// An own reaction stands in the log: it counts until the engine says how all are counted.
    pub(crate) fn reaction_accepted(&mut self, local_id: u64, me: AccountId) {
        if let Some(reaction) = self.reacting.remove(&local_id)
            && let Some(entry) = self.entry_mut(reaction.target)
        {
            fold(&mut entry.reactions, me, &reaction);
        }
    }

    /// An own reaction will not be sent.
    pub(crate) fn reaction_dropped(&mut self, local_id: u64) {
        self.reacting.remove(&local_id);
    }

    /// The newest message that can be reacted to, another's first.
    pub(crate) fn newest_to_react_to(&self) -> Option<Seq> {
        let said = |entry: &&Entry| entry.is_said();
        let others = self.entries().rev().filter(said).find(|entry| !entry.is_mine);
        let newest = others.or_else(|| self.entries().rev().find(said));
        newest.map(|entry| entry.seq)
    }

    /// The message that something selected is, if it can be reacted to.
    pub(crate) fn reactable(&self, key: ItemKey) -> Option<&Entry> {
        match key {
            ItemKey::Placed(seq, 0) => self.entry(seq).filter(|entry| entry.is_said()),
            _ => None,
        }
    }
}

/// Adds one more word to what is counted.
fn fold(counts: &mut Vec<ReactionCount>, author: AccountId, reaction: &Reaction) {
    let at = counts.iter().position(|count| count.emoji == reaction.emoji);
    match (at, reaction.is_removed) {
        (Some(at), true) => {
            counts[at].authors.retain(|there| *there != author);
            if counts[at].authors.is_empty() {
                counts.remove(at);
            }
        }
        (Some(at), false) if !counts[at].authors.contains(&author) => {
            counts[at].authors.push(author);
        }
        (None, false) => {
            counts.push(ReactionCount { emoji: reaction.emoji.clone(), authors: vec![author] });
        }
        _ => {}
    }
}

impl Model {
    /// What this person reacted with, the last first: chosen in this program, then what stands in the
    /// room one is in.
    pub(crate) fn recent_emoji(&self) -> impl Iterator<Item = &Emoji> {
        let me = self.my_account();
        let loaded = self.room().into_iter().flat_map(move |room| room.timeline.emoji_of(me));
        self.used_emoji.iter().chain(loaded)
    }
}
