//! An answer as it grows: pieces go in, and in the end it says what it was.

use super::chunk::{StopReason, StreamPiece, TokenCounts};
use crate::assistant::provider::error::AnswerResult;
use crate::assistant::provider::words::Cleaner;
use crate::assistant::provider::{
    Arrived, FinishReason, Finished, ProviderError, Sink, Trouble, Usage, estimate,
};
use crate::limits::PROVIDER_TEXT_LEN_MAX;

/// Said in an answer's own text, since there is no other way to go on from there.
const TOOL_NOTE: &str =
    "(The model wanted to use a tool, and was not offered any. Its answer ends here.)";

/// What is known of the question when its answer ends.
#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a> {
    /// The model that was asked; it may call itself otherwise.
    pub model: &'a str,
    /// A guess of the question's tokens.
    pub prompt_tokens: u32,
}

/// An answer under way.
#[derive(Default)]
pub struct PartialAnswer {
    text: String,
    model: Option<String>,
    counts: Option<TokenCounts>,
    thought_len: usize,
    is_refusal: bool,
    calls_tool: bool,
    /// Why the model says that it is done.
    why: Option<StopReason>,
    /// Why the rest is not read, if it is not.
    over: Option<Over>,
}

/// Why nothing more is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    /// The stream says that nothing follows.
    Done,
    /// The text reached its bound.
    Cut,
}

impl PartialAnswer {
    /// Takes the next piece; text goes to the sink.
    ///
    /// # Errors
    ///
    /// [`Trouble::Reported`] when the piece is the server's failure.
    pub fn take(
        &mut self,
        piece: StreamPiece,
        cleaner: Cleaner<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), Trouble> {
        match piece {
            StreamPiece::Model(name) if self.model.is_none() => self.model = cleaner.model(&name),
            StreamPiece::Model(_) => {}
            StreamPiece::Text(text) => self.say(&text, sink),
            StreamPiece::Refusal(text) => {
                self.is_refusal = true;
                self.say(&text, sink);
            }
            StreamPiece::Thought(len) => self.thought_len = self.thought_len.saturating_add(len),
            StreamPiece::ToolCall => self.calls_tool = true,
            StreamPiece::Ended(why) => self.why = Some(why),
            StreamPiece::Usage(counts) => self.counts = Some(counts),
            StreamPiece::Failed(words) => {
                let words = words.and_then(|words| cleaner.words(&words));
                return Err(Trouble::Reported { words });
            }
        }
        Ok(())
    }

    /// The stream said that nothing follows.
    pub fn end_of_stream(&mut self) {
        self.over = self.over.or(Some(Over::Done));
    }

    /// Whether nothing that might still come is of interest.
    pub fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// Whether the text is complete; usage may still come.
    pub fn has_ended(&self) -> bool {
        self.is_over() || self.why.is_some()
    }

    /// What came of it. Trouble after the model was done changes nothing any more.
    pub fn conclude(
        mut self,
        trouble: Option<Trouble>,
        asked: RequestFacts<'_>,
        sink: &mut dyn Sink,
    ) -> AnswerResult {
        if !self.has_ended() {
            let began = !self.text.is_empty() || self.thought_len > 0 || self.calls_tool;
            let silence = if began { Trouble::Truncated } else { Trouble::NoAnswer };
            let trouble = match trouble {
                Some(Trouble::Truncated) | None => silence,
                Some(trouble) => trouble,
            };
            return Err(self.fail(trouble, asked));
        }
        if self.calls_tool || self.why == Some(StopReason::Tool) {
            let gap = if self.text.is_empty() { "" } else { "\n\n" };
            self.say(&format!("{gap}{TOOL_NOTE}"), sink);
        }
        let ending = self.ending();
        if self.text.is_empty() && ending != FinishReason::Filtered {
            let only_thought = ending == FinishReason::CutOff;
            let trouble = if only_thought { Trouble::OnlyThought } else { Trouble::Empty };
            return Err(self.fail(trouble, asked));
        }
        let usage = self.usage(asked);
        let model = self.model.unwrap_or_else(|| asked.model.to_owned());
        Ok(Finished { text: self.text, ending, model, usage })
    }

    fn say(&mut self, text: &str, sink: &mut dyn Sink) {
        let room = PROVIDER_TEXT_LEN_MAX - self.text.len();
        let text = if text.len() <= room {
            text
        } else {
            self.over = Some(Over::Cut);
            &text[..text.floor_char_boundary(room)]
        };
        if !text.is_empty() {
            self.text.push_str(text);
            sink.text(text);
        }
    }

    fn ending(&self) -> FinishReason {
        match self.why {
            _ if self.is_refusal => FinishReason::Filtered,
            Some(StopReason::Filter) => FinishReason::Filtered,
            Some(StopReason::Length) => FinishReason::CutOff,
            _ if self.over == Some(Over::Cut) => FinishReason::CutOff,
            Some(StopReason::Stop | StopReason::Tool) | None => FinishReason::Complete,
        }
    }

    /// What the server counted; what it left out follows from the rest, or is guessed.
    fn usage(&self, asked: RequestFacts<'_>) -> Usage {
        // Some servers give zeros where they do not count.
        let zeros = TokenCounts { prompt: Some(0), completion: Some(0), total: Some(0) };
        let given = self.counts.filter(|counts| *counts != zeros).unwrap_or_default();
        let rest = |part: Option<u32>| Some(given.total?.saturating_sub(part?));
        let prompt = given.prompt.or_else(|| rest(given.completion));
        let completion = given.completion.or_else(|| rest(given.prompt));
        let is_estimated = prompt.is_none() || completion.is_none();
        let said_len = self.text.len().saturating_add(self.thought_len);
        let prompt = prompt.unwrap_or(asked.prompt_tokens);
        let completion = completion.unwrap_or_else(|| estimate::tokens(said_len));
        let total = given.total.unwrap_or_else(|| prompt.saturating_add(completion));
        Usage { prompt, completion, total, is_estimated }
    }

    fn fail(self, trouble: Trouble, asked: RequestFacts<'_>) -> ProviderError {
        let took_something = !self.text.is_empty() || self.thought_len > 0 || self.counts.is_some();
        let usage = took_something.then(|| self.usage(asked));
        let arrived = Box::new(Arrived { text: self.text, model: self.model, usage });
        ProviderError { trouble, retry_after: None, arrived }
    }
}

impl std::fmt::Debug for PartialAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PartialAnswer({} bytes)", self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: RequestFacts<'_> = RequestFacts { model: "configured", prompt_tokens: 40 };

    /// What comes of some pieces, and what the sink heard.
    fn outcome(pieces: Vec<StreamPiece>) -> (AnswerResult, String) {
        let mut heard = String::new();
        let mut sink = |text: &str| heard.push_str(text);
        let mut answer = PartialAnswer::default();
        let trouble = pieces
            .into_iter()
            .find_map(|piece| answer.take(piece, Cleaner::default(), &mut sink).err());
        (answer.conclude(trouble, ASKED, &mut sink), heard)
    }

    fn text(text: &str) -> StreamPiece {
        StreamPiece::Text(text.into())
    }

    fn counts(prompt: Option<u32>, completion: Option<u32>, total: Option<u32>) -> StreamPiece {
        StreamPiece::Usage(TokenCounts { prompt, completion, total })
    }

    #[test]
    fn an_answer_is_its_pieces_with_the_last_usage() {
        let (outcome, heard) = outcome(vec![
            StreamPiece::Model("m-2026".into()),
            text("Hi "),
            counts(Some(2), Some(1), Some(3)),
            StreamPiece::Model("other".into()),
            text("there"),
            StreamPiece::Ended(StopReason::Stop),
            counts(Some(2), Some(9), Some(11)),
        ]);
        let usage = Usage { prompt: 2, completion: 9, total: 11, is_estimated: false };
        let text = "Hi there".to_owned();
        let expected =
            Finished { text, ending: FinishReason::Complete, model: "m-2026".into(), usage };
        assert_eq!(outcome, Ok(expected));
        assert_eq!(heard, "Hi there");
    }

    #[test]
    fn endings_are_told_apart() {
        let ending = |pieces| outcome(pieces).0.unwrap().ending;
        assert_eq!(
            ending(vec![text("a"), StreamPiece::Ended(StopReason::Length)]),
            FinishReason::CutOff
        );
        assert_eq!(
            ending(vec![text("a"), StreamPiece::Ended(StopReason::Filter)]),
            FinishReason::Filtered
        );
        assert_eq!(ending(vec![StreamPiece::Ended(StopReason::Filter)]), FinishReason::Filtered);
        let refusal =
            vec![StreamPiece::Refusal("I may not.".into()), StreamPiece::Ended(StopReason::Stop)];
        let (outcome, heard) = outcome(refusal);
        assert_eq!(outcome.unwrap().ending, FinishReason::Filtered);
        assert_eq!(heard, "I may not.");
    }

    #[test]
    fn a_tool_call_is_said_in_the_answer() {
        let (first, heard) = outcome(vec![
            text("Let me look."),
            StreamPiece::ToolCall,
            StreamPiece::Ended(StopReason::Tool),
        ]);
        assert_eq!(first.unwrap().text, heard);
        assert_eq!(heard, format!("Let me look.\n\n{TOOL_NOTE}"));
        // A server that calls it an ordinary stop, and one that sends no call.
        for pieces in [
            vec![StreamPiece::ToolCall, StreamPiece::Ended(StopReason::Stop)],
            vec![StreamPiece::Ended(StopReason::Tool)],
        ] {
            assert_eq!(outcome(pieces).1, TOOL_NOTE);
        }
    }

    #[test]
    fn an_answer_that_ends_too_soon_fails_and_keeps_what_came() {
        let (outcome, heard) = outcome(vec![text("The first"), StreamPiece::Thought(11)]);
        let error = outcome.unwrap_err();
        assert_eq!(error.trouble, Trouble::Truncated);
        assert_eq!(error.arrived.text, "The first");
        assert_eq!(heard, "The first");
        let usage = Usage { prompt: 40, completion: 5, total: 45, is_estimated: true };
        assert_eq!(error.arrived.usage, Some(usage));
    }

    #[test]
    fn nothing_at_all_is_no_answer_and_costs_nothing() {
        let error = outcome(vec![StreamPiece::Model("m".into())]).0.unwrap_err();
        assert_eq!(error.trouble, Trouble::NoAnswer);
        assert_eq!(error.arrived.usage, None);
    }

    #[test]
    fn an_empty_answer_is_said_to_be_one() {
        let trouble = |pieces| outcome(pieces).0.unwrap_err().trouble;
        assert_eq!(trouble(vec![StreamPiece::Ended(StopReason::Stop)]), Trouble::Empty);
        assert_eq!(
            trouble(vec![StreamPiece::Thought(4_000), StreamPiece::Ended(StopReason::Length)]),
            Trouble::OnlyThought
        );
    }

    #[test]
    fn a_failure_counts_unless_the_model_was_done() {
        let failed = || StreamPiece::Failed(Some("out of memory".into()));
        let error = outcome(vec![text("a"), failed()]).0.unwrap_err();
        assert_eq!(error.to_string(), "the model's server reports an error: out of memory");
        assert_eq!(error.arrived.text, "a");
        assert!(outcome(vec![text("a"), StreamPiece::Ended(StopReason::Stop), failed()]).0.is_ok());
    }

    #[test]
    fn usage_is_what_was_counted_and_a_marked_guess_otherwise() {
        let usage = |pieces: Vec<StreamPiece>| {
            let rest = [text("12345678"), StreamPiece::Ended(StopReason::Stop)];
            outcome(pieces.into_iter().chain(rest).collect()).0.unwrap().usage
        };
        let known =
            |prompt, completion, total| Usage { prompt, completion, total, is_estimated: false };
        let guess = |prompt, completion, total| Usage {
            is_estimated: true,
            ..known(prompt, completion, total)
        };
        assert_eq!(usage(vec![counts(Some(5), Some(7), None)]), known(5, 7, 12));
        assert_eq!(usage(vec![counts(Some(5), None, Some(12))]), known(5, 7, 12));
        assert_eq!(usage(vec![counts(None, Some(7), Some(12))]), known(5, 7, 12));
        // Some bill reasoning in the total alone: it stays as billed.
        assert_eq!(usage(vec![counts(Some(5), Some(7), Some(90))]), known(5, 7, 90));
        assert_eq!(usage(vec![]), guess(40, 2, 42));
        assert_eq!(usage(vec![counts(Some(0), Some(0), Some(0))]), guess(40, 2, 42));
        assert_eq!(usage(vec![counts(Some(5), None, None)]), guess(5, 2, 7));
    }

    #[test]
    fn an_answer_without_an_end_is_cut_off_at_a_whole_character() {
        let mut n_heard = 0;
        let mut sink = |text: &str| n_heard += text.len();
        let mut answer = PartialAnswer::default();
        while !answer.is_over() {
            answer.take(text("äöü€"), Cleaner::default(), &mut sink).unwrap();
        }
        let finished = answer.conclude(None, ASKED, &mut sink).unwrap();
        assert_eq!(finished.ending, FinishReason::CutOff);
        assert!((PROVIDER_TEXT_LEN_MAX - 2..=PROVIDER_TEXT_LEN_MAX).contains(&finished.text.len()));
        assert_eq!(finished.text.len(), n_heard);
    }
}
