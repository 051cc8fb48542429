//! Questions in a timeline: which are answered, which were stopped, which answers are streaming in.

use mathia_protocol::crypto::content::{Ask, Content};
use mathia_protocol::id::Seq;

use super::{ANSWERING_MAX, Scroll, Timeline};
use crate::app::model::entry::{Entry, ItemKey};
use crate::app::model::question::StreamingAnswer;
use crate::safe_text::SafeText;

impl Timeline {
    /// Learns from an entry what is asked and answered. A whole answer takes the place of the one
    /// that came in, for who reads it as well.
    pub(super) fn note_asking(&mut self, entry: &Entry) {
        match entry.content.said() {
            Some(Content::Ask(_)) if entry.is_mine => {
                self.own_ask = self.own_ask.max(Some(entry.seq));
            }
            Some(Content::Stop(stop)) => {
                self.stopped.insert(stop.ask);
            }
            Some(Content::Answer(answer)) => {
                self.answered.insert(answer.ask);
                self.drop_answering(answer.ask);
                if let Scroll::At(ItemKey::Answering(ask), row) = self.scroll
                    && ask == answer.ask
                {
                    self.scroll = Scroll::At(ItemKey::Placed(entry.seq, 0), row);
                }
            }
            _ => {}
        }
    }

    /// Stores more of an answer; `false` if it is not shown.
    pub(crate) fn grow(&mut self, mut answering: StreamingAnswer) -> bool {
        let ask = answering.ask;
        if !self.is_loaded || self.is_answered(ask) {
            return false;
        }
        self.wrapped.get_mut().rows.remove(&ItemKey::Answering(ask));
        let at = self.answering.partition_point(|one| one.ask < ask);
        let has_room = self.answering.len() < ANSWERING_MAX;
        match self.answering.get_mut(at).filter(|one| one.ask == ask) {
            Some(there) => {
                answering.since = there.since;
                *there = answering;
            }
            None if has_room => self.answering.insert(at, answering),
            None => return false,
        }
        true
    }

    /// Drops the partial answers of agents that left.
    pub(crate) fn keep_answering(&mut self, is_kept: impl Fn(&StreamingAnswer) -> bool) {
        let gone = self.answering.iter().filter(|one| !is_kept(one)).map(|one| one.ask);
        for ask in gone.collect::<Vec<_>>() {
            self.drop_answering(ask);
        }
    }

    fn drop_answering(&mut self, ask: Seq) {
        self.answering.retain(|one| one.ask != ask);
        self.wrapped.get_mut().rows.remove(&ItemKey::Answering(ask));
    }

    /// What has come of the answer to an ask.
    pub(crate) fn answering(&self, ask: Seq) -> Option<&StreamingAnswer> {
        self.answering.iter().find(|one| one.ask == ask)
    }

    /// Says whether any answer comes in.
    pub(crate) fn is_answering(&self) -> bool {
        !self.answering.is_empty()
    }

    /// Says whether the answer to an ask is loaded.
    pub(crate) fn is_answered(&self, ask: Seq) -> bool {
        self.answered.contains(&ask)
    }

    /// Says whether an ask was taken back.
    pub(crate) fn is_stopped(&self, ask: Seq) -> bool {
        self.stopped.contains(&ask)
    }

    /// Takes an ask as taken back, or as not after all.
    pub(crate) fn set_stopped(&mut self, ask: Seq, is_stopped: bool) {
        if is_stopped {
            self.stopped.insert(ask);
        } else {
            self.stopped.remove(&ask);
        }
    }

    /// The newest own ask.
    pub(crate) fn own_ask(&self) -> Option<(Seq, &Ask<SafeText>)> {
        let entry = self.entry(self.own_ask?)?;
        match entry.content.said() {
            Some(Content::Ask(asked)) => Some((entry.seq, asked)),
            _ => None,
        }
    }
}
