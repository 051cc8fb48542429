//! The glass envelope: what would leave with a question, shown before anything does.
//!
//! What is sent is what stands here and nothing else. Everything that may be attached was gathered
//! once; dropping and keeping asks nobody.

use mathia_protocol::client::{self, NewAsk};
use mathia_protocol::crypto::content::Attached;
use mathia_protocol::id::{Hash, RoomId, Seq};

use super::question::shown;
use crate::asking::{self, Destination};
use crate::safe_text::SafeText;

/// How many of the last messages can be attached at a step; the engine has its own bound.
const CONTEXT_STEPS: [usize; 11] = [1, 2, 3, 5, 10, 20, 30, 50, 100, 150, 200];
/// How many stand there at first: enough to follow a talk.
const CONTEXT_USUAL: usize = 20;

/// A question that is not sent yet, with all that may go with it.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    /// Tells the answers of the engine to this one from others.
    pub(crate) number: u64,
    pub(crate) room: RoomId,
    /// The question, exactly as it is sent.
    pub(crate) text: String,
    /// The ask that is repeated.
    pub(crate) again: Option<Seq>,
    /// What stands in the composer for it: goes when the question is safe in the outbox.
    pub(crate) draft: String,
    /// Where it goes; `None` until the engine has said.
    pub(crate) goes: Option<Goes>,
    /// What may be attached, in the order shown.
    pub(crate) enclosures: Vec<Enclosure>,
    /// The row the keys act upon; the question is 0.
    pub(crate) selected: usize,
    /// Whether it was handed to the engine.
    pub(crate) is_sending: bool,
}

/// Where a question goes, cleaned.
#[derive(Debug, Clone)]
pub(crate) struct Goes {
    pub(crate) handle: SafeText,
    pub(crate) place: SafeText,
    pub(crate) model: SafeText,
    pub(crate) operator: SafeText,
    promise: Hash,
    /// How many messages do not fit beside the question.
    n_left_out: u32,
}

/// Something that may be attached.
#[derive(Debug, Clone)]
pub(crate) struct Enclosure {
    pub(crate) what: What,
    pub(crate) is_kept: bool,
    shown: Vec<Attached<SafeText>>,
}

/// What may be attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The message one asks about.
    Quoted,
    /// The last messages: at most this many.
    Last(usize),
    /// What was attached to the question that is asked again.
    Before,
}

impl Envelope {
    /// An envelope about which nothing is known yet.
    pub(crate) fn new(number: u64, room: RoomId, text: &str, draft: &str) -> Self {
        Self {
            number,
            room,
            text: text.to_owned(),
            again: None,
            draft: draft.to_owned(),
            goes: None,
            enclosures: Vec::new(),
            selected: 0,
            is_sending: false,
        }
    }

    /// Takes over what the engine gathered.
    pub(crate) fn gathered(&mut self, view: &client::Envelope) {
        let Destination { place, model, operator } = Destination::of(view.card.as_ref());
        self.goes = Some(Goes {
            handle: SafeText::line(&view.handle),
            place: SafeText::line(&place),
            model: SafeText::line(&model),
            operator: SafeText::line(&operator),
            promise: view.promise,
            n_left_out: view.n_left_out,
        });
        if let Some(quoted) = &view.quoted {
            let shown = vec![shown(quoted)];
            self.enclosures.push(Enclosure { what: What::Quoted, is_kept: true, shown });
        }
        if !view.context.is_empty() {
            let shown: Vec<Attached<SafeText>> = view.context.iter().map(shown).collect();
            let what = What::Last(CONTEXT_USUAL.min(shown.len()));
            self.enclosures.push(Enclosure { what, is_kept: false, shown });
        }
    }

    /// Encloses what was shown with the question that is asked again.
    pub(crate) fn enclose_before(&mut self, ask: Seq, shown: Vec<Attached<SafeText>>) {
        self.again = Some(ask);
        if !shown.is_empty() {
            self.enclosures.push(Enclosure { what: What::Before, is_kept: true, shown });
        }
    }

    /// Keeps or drops the selected thing; the question always stays.
    pub(crate) fn toggle(&mut self) {
        if let Some(enclosure) = self.selected_mut() {
            enclosure.is_kept = !enclosure.is_kept;
        }
    }

    /// Takes more or fewer of the last messages, whatever is selected: there is one such row.
    pub(crate) fn resize(&mut self, is_more: bool) {
        let is_last = |enclosure: &Enclosure| matches!(enclosure.what, What::Last(_));
        let Some(at) = self.enclosures.iter().position(is_last) else { return };
        self.selected = at + 1;
        let enclosure = &mut self.enclosures[at];
        let n_max = enclosure.shown.len();
        if let What::Last(n) = &mut enclosure.what {
            let next = if is_more {
                CONTEXT_STEPS.iter().find(|step| **step > *n)
            } else {
                CONTEXT_STEPS.iter().rev().find(|step| **step < *n)
            };
            *n = next.copied().unwrap_or(*n).min(n_max);
            enclosure.is_kept = true;
        }
    }

    fn selected_mut(&mut self) -> Option<&mut Enclosure> {
        self.enclosures.get_mut(self.selected.checked_sub(1)?)
    }

    /// How many rows can be selected.
    pub(crate) fn n_rows(&self) -> usize {
        1 + self.enclosures.len()
    }

    /// Everything that leaves with the question, in the order of the log and once.
    pub(crate) fn attached(&self) -> Vec<&Attached<SafeText>> {
        let kept = self.enclosures.iter().filter(|enclosure| enclosure.is_kept);
        let mut attached: Vec<&Attached<SafeText>> = kept.flat_map(Enclosure::shown).collect();
        attached.sort_by_key(|shown| shown.seq);
        attached.dedup_by_key(|shown| shown.seq);
        attached
    }

    /// About how many tokens leave.
    pub(crate) fn n_tokens(&self) -> usize {
        let attached = self.attached();
        asking::tokens(&self.text)
            + attached.iter().map(|shown| asking::tokens(shown.text.as_str())).sum::<usize>()
    }

    /// Whether more messages were there than fit beside the question, and all that fit are taken.
    pub(crate) fn is_full(&self) -> bool {
        let n_left_out = self.goes.as_ref().map_or(0, |goes| goes.n_left_out);
        let is_all = |enclosure: &Enclosure| enclosure.what == What::Last(enclosure.shown.len());
        n_left_out > 0 && self.enclosures.iter().any(is_all)
    }

    /// The question as it is sent; `None` until it is known where it goes.
    pub(crate) fn sealed(&self) -> Option<NewAsk> {
        let goes = self.goes.as_ref()?;
        Some(NewAsk {
            room: self.room,
            text: self.text.clone(),
            promise: goes.promise,
            attached: self.attached().iter().map(|shown| shown.seq).collect(),
            again: self.again,
            tag: None,
        })
    }
}

impl Enclosure {
    /// The messages it stands for.
    pub(crate) fn shown(&self) -> &[Attached<SafeText>] {
        match self.what {
            What::Last(n) => &self.shown[self.shown.len().saturating_sub(n)..],
            What::Quoted | What::Before => &self.shown,
        }
    }

    /// About how many tokens it takes.
    pub(crate) fn n_tokens(&self) -> usize {
        self.shown().iter().map(|shown| asking::tokens(shown.text.as_str())).sum()
    }
}

#[cfg(test)]
mod tests {
    use mathia_protocol::crypto::content::Attached;
    use mathia_protocol::id::{AccountId, TimeMs};

    use super::*;

    fn attached(seq: u64) -> Attached {
        let (author, handle) = (AccountId([2; 32]), "bob".to_owned());
        Attached { seq: Seq(seq), author, handle, time: TimeMs(seq), text: "four".to_owned() }
    }

    /// An envelope with a quoted message and so many before it.
    fn envelope(n_context: u64) -> Envelope {
        let mut envelope = Envelope::new(1, RoomId([1; 32]), "why?", "@mathia why?");
        envelope.gathered(&client::Envelope {
            agent: AccountId([9; 32]),
            handle: "mathia".to_owned(),
            card: None,
            promise: Hash([7; 32]),
            quoted: Some(attached(500)),
            context: (1..=n_context).map(attached).collect(),
            n_left_out: 0,
        });
        envelope
    }

    fn seqs(envelope: &Envelope) -> Vec<u64> {
        envelope.sealed().unwrap().attached.iter().map(|seq| seq.0).collect()
    }

    #[test]
    fn nothing_but_the_question_and_what_is_asked_about_leaves_unless_it_is_kept() {
        let mut envelope = envelope(30);
        assert_eq!(seqs(&envelope), [500]);
        envelope.selected = 1;
        envelope.toggle();
        assert_eq!(seqs(&envelope), [0; 0]);
        envelope.selected = 2;
        envelope.toggle();
        assert_eq!(seqs(&envelope), (11..=30).collect::<Vec<_>>());
        envelope.selected = 0;
        envelope.toggle();
        assert_eq!(envelope.sealed().unwrap().text, "why?", "the question always stays");
        assert_eq!(envelope.n_tokens(), 21);
    }

    #[test]
    fn the_number_of_messages_moves_between_one_and_all_there_are() {
        let mut envelope = envelope(25);
        envelope.resize(true);
        assert_eq!(seqs(&envelope).len(), 1 + 25, "there are no more");
        for _ in 0..20 {
            envelope.resize(false);
        }
        assert_eq!(seqs(&envelope), [25, 500]);
    }

    #[test]
    fn nothing_can_be_sent_before_it_is_known_where_it_goes() {
        assert!(Envelope::new(1, RoomId([1; 32]), "why?", "").sealed().is_none());
    }
}
