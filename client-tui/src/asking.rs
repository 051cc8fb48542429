//! Texts about a question to an assistant, the same on the screen and the command line: where it
//! goes, how many tokens it takes, how its answer ended.
//!
//! Gives plain strings made of what agents and providers say of themselves; whoever shows them
//! cleans them first.

use mathia_protocol::crypto::card::AgentCard;
use mathia_protocol::crypto::content::{Answer, Outcome, Usage};

/// Bytes of one token, for the estimate that is shown before asking.
const TOKEN_BYTES: usize = 4;

/// About how many tokens a text takes. Providers count in their own ways; this is for a first look.
pub(crate) fn tokens(text: &str) -> usize {
    text.len().div_ceil(TOKEN_BYTES)
}

/// `1 token`, `38 tokens`.
pub(crate) fn token_word(n_tokens: usize) -> String {
    counted(n_tokens, "token")
}

/// `1 message`, `3 messages`.
pub(crate) fn message_word(n_messages: usize) -> String {
    counted(n_messages, "message")
}

fn counted(n_things: usize, thing: &str) -> String {
    match n_things {
        1 => format!("1 {thing}"),
        n => format!("{n} {thing}s"),
    }
}

/// Where a question goes, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The host of the model, or who answers without one.
    pub(crate) place: String,
    /// The model; empty where there is none.
    pub(crate) model: String,
    /// Who runs the assistant; empty if it does not say.
    pub(crate) operator: String,
}

impl Destination {
    /// Where a question goes by what the agent says of itself.
    pub(crate) fn of(card: Option<&AgentCard>) -> Self {
        let Some(card) = card else {
            let place = "nobody knows: the assistant has not said".to_owned();
            return Self { place, model: String::new(), operator: String::new() };
        };
        let place = match (card.provider.is_empty(), card.is_local) {
            (true, _) => "the assistant itself; no model is connected".to_owned(),
            (false, true) => format!("{} (its own machine)", card.provider),
            (false, false) => card.provider.clone(),
        };
        // A built-in has a name, but no model that anything would go to.
        let model = if card.provider.is_empty() { String::new() } else { card.model.clone() };
        Self { place, model, operator: card.operator.clone() }
    }
}

/// What is said when nothing was answered.
pub(crate) fn unavailable(cause: &str) -> String {
    format!("@mathia is unavailable: {cause}")
}

/// How an answer ended, if not well: a few words to stand behind or below its text.
pub(crate) fn ending(answer: &Answer, asker: &str) -> Option<String> {
    ending_of(answer.outcome, &answer.cause, asker)
}

/// The same, of the parts of an answer.
pub(crate) fn ending_of(outcome: Outcome, cause: &str, asker: &str) -> Option<String> {
    Some(match outcome {
        Outcome::Complete => return None,
        Outcome::CutOff => "cut off: it reached its limit".to_owned(),
        Outcome::Filtered => "ended by the provider's filter".to_owned(),
        Outcome::Stopped if asker.is_empty() => "stopped".to_owned(),
        Outcome::Stopped => format!("stopped by {asker}"),
        Outcome::Interrupted => format!("interrupted: {cause}"),
        Outcome::Refused => unavailable(cause),
    })
}

/// `194 + 80 tokens`, and `est.` where nobody but the assistant counted.
pub(crate) fn usage(usage: &Usage) -> String {
    let estimated = if usage.is_estimated { " est." } else { "" };
    format!("{} + {} tokens{estimated}", usage.prompt, usage.completion)
}

#[cfg(test)]
mod tests {
    use mathia_protocol::id::{AccountId, DeviceId, TimeMs};

    use super::*;

    fn card(provider: &str, is_local: bool) -> AgentCard {
        AgentCard {
            account: AccountId([1; 32]),
            device: DeviceId([2; 16]),
            issued: TimeMs(3),
            provider: provider.to_owned(),
            model: "small-4".to_owned(),
            is_local,
            operator: "Heron & Co".to_owned(),
        }
    }

    #[test]
    fn a_destination_is_named_as_far_as_it_is_known() {
        let place = |card: Option<&AgentCard>| Destination::of(card).place;
        assert_eq!(place(Some(&card("api.example.org", false))), "api.example.org");
        assert_eq!(place(Some(&card("127.0.0.1", true))), "127.0.0.1 (its own machine)");
        assert!(place(None).starts_with("nobody knows"));
        let built_in = Destination::of(Some(&card("", true)));
        assert_eq!(built_in.model, "", "nothing goes to a model");
        assert!(built_in.place.ends_with("no model is connected"));
    }

    #[test]
    fn tokens_are_estimated_upwards() {
        assert_eq!((tokens(""), tokens("a"), tokens("abcde")), (0, 1, 2));
        assert_eq!(token_word(1), "1 token");
    }

    #[test]
    fn only_a_whole_answer_has_no_ending() {
        for outcome in Outcome::ALL {
            let ending = ending_of(outcome, "the model broke off", "cleo");
            assert_eq!(ending.is_none(), outcome == Outcome::Complete, "{outcome:?}");
        }
        assert_eq!(ending_of(Outcome::Stopped, "", "cleo").as_deref(), Some("stopped by cleo"));
    }
}
