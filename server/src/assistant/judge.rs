//! What is done with a question, decided without I/O: answered, refused, ended as it is, or nothing.
//!
//! Owns the rule that every ask is answered once, also across restarts: what is in the log or in the
//! outbox counts as answered, what was begun and seen is ended as it is, all else is answered.

use std::time::Duration;

use mathia_protocol::crypto::content::Ask;
use mathia_protocol::id::{Hash, TimeMs};

/// An ask that is first seen when it is older than this came while nobody was there.
pub(super) const AGE_MAX: Duration = Duration::from_mins(10);
/// How often an answer is begun anew that was lost before anything of it was seen.
const TRIES_MAX: u8 = 2;

/// What is known of an ask that the agent finds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    /// The ask.
    pub(super) ask: &'a Ask,
    /// When it was stored.
    pub(super) time: TimeMs,
    /// Whether it was taken back.
    pub(super) is_stopped: bool,
    /// What the journal says of an attempt in an earlier life of this process.
    pub(super) begun: Option<&'a Begun>,
}

/// An attempt that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Begun {
    /// How often it was begun.
    pub(super) n_tries: u8,
    /// What had been streamed of it.
    pub(super) text: String,
}

/// What is done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The model is asked, for the how-manieth time.
    Answer {
        /// The number of this try, from 1.
        n_tries: u8,
    },
    /// It is refused with this cause.
    Refuse(String),
    /// It was taken back before anything was answered.
    Stopped,
    /// An earlier life began it and people saw this much.
    Interrupted(String),
}

/// Decides. `promise` is the present card's.
pub(super) fn judge(found: Found<'_>, promise: Hash, now: TimeMs) -> Verdict {
    if let Some(begun) = found.begun.filter(|begun| !begun.text.is_empty()) {
        return Verdict::Interrupted(begun.text.clone());
    }
    if found.is_stopped {
        return Verdict::Stopped;
    }
    let n_tries = found.begun.map_or(1, |begun| begun.n_tries.saturating_add(1));
    if n_tries > TRIES_MAX {
        let text = "the assistant was restarted while it answered; ask again";
        return Verdict::Refuse(text.to_owned());
    }
    let age = Duration::from_millis(now.0.saturating_sub(found.time.0));
    if age > AGE_MAX {
        let text = "this was asked while the assistant was away; ask again";
        return Verdict::Refuse(text.to_owned());
    }
    if found.ask.card == Hash::ZERO {
        let text = "it was asked without seeing where questions go; ask again";
        return Verdict::Refuse(text.to_owned());
    }
    if found.ask.card != promise {
        let text = "questions go elsewhere than you agreed to: the provider or model changed \
            meanwhile; ask again to see where";
        return Verdict::Refuse(text.to_owned());
    }
    Verdict::Answer { n_tries }
}

#[cfg(test)]
mod tests {
    use mathia_protocol::id::AccountId;

    use super::*;

    const PROMISE: Hash = Hash([7; 32]);
    const NOW: TimeMs = TimeMs(10_000_000);

    fn ask() -> Ask {
        let (agent, text) = (AccountId([1; 32]), "why?".to_owned());
        Ask { agent, card: PROMISE, again: None, n_left_out: 0, text, attached: Vec::new() }
    }

    fn found(ask: &Ask) -> Found<'_> {
        Found { ask, time: NOW, is_stopped: false, begun: None }
    }

    fn begun(n_tries: u8, text: &str) -> Begun {
        Begun { n_tries, text: text.to_owned() }
    }

    #[test]
    fn a_fresh_question_is_answered_and_a_stopped_one_is_not() {
        let ask = ask();
        assert_eq!(judge(found(&ask), PROMISE, NOW), Verdict::Answer { n_tries: 1 });
        let stopped = Found { is_stopped: true, ..found(&ask) };
        assert_eq!(judge(stopped, PROMISE, NOW), Verdict::Stopped);
    }

    #[test]
    fn nothing_goes_where_the_asker_did_not_agree_to() {
        let moved = Hash([8; 32]);
        let seen = ask();
        assert!(matches!(judge(found(&seen), moved, NOW), Verdict::Refuse(_)));
        let unseen = Ask { card: Hash::ZERO, ..ask() };
        assert!(matches!(judge(found(&unseen), PROMISE, NOW), Verdict::Refuse(_)));
    }

    #[test]
    fn what_people_saw_is_kept_and_what_nobody_saw_is_tried_once_more() {
        let ask = ask();
        let seen = begun(1, "The column");
        let verdict = judge(Found { begun: Some(&seen), ..found(&ask) }, PROMISE, NOW);
        assert_eq!(verdict, Verdict::Interrupted("The column".to_owned()));
        let unseen = begun(1, "");
        let verdict = judge(Found { begun: Some(&unseen), ..found(&ask) }, PROMISE, NOW);
        assert_eq!(verdict, Verdict::Answer { n_tries: 2 });
        let again = begun(2, "");
        let verdict = judge(Found { begun: Some(&again), ..found(&ask) }, PROMISE, NOW);
        assert!(matches!(verdict, Verdict::Refuse(_)));
    }

    #[test]
    fn an_old_question_is_not_answered_out_of_the_blue() {
        let (ask, late) = (ask(), TimeMs(NOW.0 + 11 * 60 * 1_000));
        assert!(matches!(judge(found(&ask), PROMISE, late), Verdict::Refuse(_)));
    }
}
