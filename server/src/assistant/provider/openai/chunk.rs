//! What one chunk of a chat completion says, whichever server wrote it.
//!
//! Pure: a JSON value in, [`StreamPiece`]s out. Every field may be missing, null or of another kind than
//! documented; what is not understood is nothing. A whole completion, which servers send that do
//! not stream, reads like a chunk whose `message` is its `delta`.

use serde_json::Value;

use super::reported;

/// One thing that a chunk says.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamPiece {
    /// The model's name.
    Model(String),
    /// Text of the answer.
    Text(String),
    /// Text that says why there is no answer.
    Refusal(String),
    /// This many bytes of reasoning, which is no part of the answer.
    Thought(usize),
    /// (A part of) a call of a tool, though none was offered.
    ToolCall,
    /// The model is done.
    Ended(StopReason),
    /// Token counts so far; the last of them hold.
    Usage(TokenCounts),
    /// The server failed, in its own words where it has any.
    Failed(Option<String>),
}

/// Why a model is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// It had said all.
    Stop,
    /// Its tokens were used up.
    Length,
    /// It wants a tool.
    Tool,
    /// The provider stopped it.
    Filter,
}

/// Token counts as the server gave them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Of the question.
    pub prompt: Option<u32>,
    /// Of the answer.
    pub completion: Option<u32>,
    /// Of both.
    pub total: Option<u32>,
}

/// What a chunk says, in the order in which it matters.
pub fn pieces(chunk: &Value) -> Vec<StreamPiece> {
    if let Some(words) = reported::error_in(chunk) {
        return vec![StreamPiece::Failed(words)];
    }
    let mut pieces = Vec::new();
    pieces.extend(text_of(&chunk["model"]).map(StreamPiece::Model));
    let choices = chunk["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
    // Only one answer was asked for; a second is nobody's.
    let choice = choices.iter().find(|choice| choice["index"].as_u64().unwrap_or(0) == 0);
    if let Some(choice) = choice {
        said_by(choice, &mut pieces);
    }
    // In a place of their own at two providers.
    let places = [
        &chunk["usage"],
        choice.map_or(&Value::Null, |choice| &choice["usage"]),
        &chunk["x_groq"]["usage"],
    ];
    pieces.extend(places.into_iter().find_map(counts).map(StreamPiece::Usage));
    pieces
}

fn said_by(choice: &Value, pieces: &mut Vec<StreamPiece>) {
    let said = [&choice["delta"], &choice["message"]].into_iter().find(|said| said.is_object());
    if let Some(said) = said {
        let thought = ["reasoning_content", "reasoning"].iter().find_map(|key| said[*key].as_str());
        let thought_len = thought.unwrap_or_default().len();
        if thought_len > 0 {
            pieces.push(StreamPiece::Thought(thought_len));
        }
        pieces.extend(content(&said["content"]).map(StreamPiece::Text));
        pieces.extend(text_of(&said["refusal"]).map(StreamPiece::Refusal));
        let calls_tool = said["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty())
            || said["function_call"].is_object();
        if calls_tool {
            pieces.push(StreamPiece::ToolCall);
        }
    } else {
        pieces.extend(text_of(&choice["text"]).map(StreamPiece::Text));
    }
    let reason = text_of(&choice["finish_reason"]);
    pieces.extend(reason.map(|reason| match reason.as_str() {
        "length" | "max_tokens" | "MAX_TOKENS" => StreamPiece::Ended(StopReason::Length),
        "tool_calls" | "function_call" | "tool_use" => StreamPiece::Ended(StopReason::Tool),
        "content_filter" | "safety" | "SAFETY" | "refusal" => {
            StreamPiece::Ended(StopReason::Filter)
        }
        "error" | "abort" | "cancelled" => StreamPiece::Failed(None),
        // `stop`, and what others call it: `eos`, `end_turn`, `stop_sequence`, `STOP`.
        _ => StreamPiece::Ended(StopReason::Stop),
    }));
}

/// The content of a message: a text, or parts of which some are texts.
fn content(content: &Value) -> Option<String> {
    let Some(parts) = content.as_array() else { return text_of(content) };
    let texts = parts.iter().filter_map(|part| match part["type"].as_str() {
        Some("text" | "output_text") | None => part["text"].as_str().or(part.as_str()),
        Some(_) => None,
    });
    let text: String = texts.collect();
    (!text.is_empty()).then_some(text)
}

/// A text that says something.
fn text_of(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn counts(usage: &Value) -> Option<TokenCounts> {
    let count = |key: &str| {
        let value = &usage[key];
        // A whole number, which some languages write as a float.
        let number = value.as_u64().map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        number.or_else(|| value.as_f64().filter(|n| *n >= 0.0).map(|n| n as u32))
    };
    let counts = TokenCounts {
        prompt: count("prompt_tokens"),
        completion: count("completion_tokens"),
        total: count("total_tokens"),
    };
    (counts != TokenCounts::default()).then_some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn text(text: &str) -> StreamPiece {
        StreamPiece::Text(text.into())
    }

    #[test]
    fn an_ordinary_chunk_says_who_and_what() {
        let chunk = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": null}],
            "timings": {"predicted_n": 1},
        });
        assert_eq!(pieces(&chunk), [StreamPiece::Model("m".into()), text("Hi")]);
    }

    #[test]
    fn a_chunk_that_says_nothing_is_nothing() {
        for chunk in [
            json!({"choices": []}),
            json!({"choices": null}),
            json!({}),
            json!([]),
            json!(null),
            json!("text"),
            json!({"choices": [null]}),
            json!({"choices": [{"delta": null, "finish_reason": ""}]}),
            json!({"choices": [{"delta": {"role": "assistant", "content": null}}]}),
            json!({"choices": [{"delta": {"content": "", "tool_calls": []}}], "usage": null}),
            json!({"choices": [{"delta": {"content": {"a": 1}}}], "usage": {}}),
            json!({"choices": [{"index": 1, "delta": {"content": "another answer"}}]}),
            json!({"error": null}),
        ] {
            assert_eq!(pieces(&chunk), [], "{chunk}");
        }
    }

    #[test]
    fn text_may_come_in_parts_as_a_message_or_bare() {
        for (choice, expected) in [
            (
                json!({"delta": {"content": [{"type": "text", "text": "a"},
                {"type": "thinking", "thinking": []}, {"type": "text", "text": "b"}]}}),
                "ab",
            ),
            (json!({"message": {"role": "assistant", "content": "whole"}}), "whole"),
            (json!({"delta": null, "message": {"content": "whole"}}), "whole"),
            (json!({"delta": {"content": "d"}, "message": {"content": "again"}}), "d"),
            (json!({"text": "bare"}), "bare"),
            (json!({"delta": {"content": "\u{0}\u{1b}[1m\u{202e}"}}), "\u{0}\u{1b}[1m\u{202e}"),
        ] {
            assert_eq!(pieces(&json!({"choices": [choice]})), [text(expected)]);
        }
    }

    #[test]
    fn reasoning_refusals_and_tools_are_told_apart_from_text() {
        let of = |delta: Value| pieces(&json!({"choices": [{"index": 0, "delta": delta}]}));
        assert_eq!(
            of(json!({"reasoning_content": "hmm", "content": null})),
            [StreamPiece::Thought(3)]
        );
        assert_eq!(
            of(json!({"reasoning": "hm", "content": "Hi"})),
            [StreamPiece::Thought(2), text("Hi")]
        );
        assert_eq!(of(json!({"refusal": "No."})), [StreamPiece::Refusal("No.".into())]);
        let call = json!({"id": "c", "function": {"name": "f", "arguments": "{}"}});
        assert_eq!(of(json!({"tool_calls": [call, call]})), [StreamPiece::ToolCall]);
        assert_eq!(of(json!({"function_call": {"name": "f"}})), [StreamPiece::ToolCall]);
    }

    #[test]
    fn endings_have_many_names() {
        for (name, expected) in [
            ("stop", StreamPiece::Ended(StopReason::Stop)),
            ("eos", StreamPiece::Ended(StopReason::Stop)),
            ("length", StreamPiece::Ended(StopReason::Length)),
            ("tool_calls", StreamPiece::Ended(StopReason::Tool)),
            ("content_filter", StreamPiece::Ended(StopReason::Filter)),
            ("error", StreamPiece::Failed(None)),
        ] {
            assert_eq!(pieces(&json!({"choices": [{"finish_reason": name}]})), [expected]);
        }
    }

    #[test]
    fn usage_is_found_whole_or_in_part() {
        let of = |chunk: Value| pieces(&chunk);
        let counts = |prompt, completion, total| {
            [StreamPiece::Usage(TokenCounts { prompt, completion, total })]
        };
        let usage = json!({"prompt_tokens": 2, "completion_tokens": 9, "total_tokens": 11});
        let whole = counts(Some(2), Some(9), Some(11));
        assert_eq!(of(json!({"choices": [], "usage": usage})), whole);
        assert_eq!(of(json!({"usage": usage})), whole);
        assert_eq!(of(json!({"choices": [{"usage": usage}]})), whole);
        assert_eq!(of(json!({"x_groq": {"usage": usage}})), whole);
        let odd = json!({"prompt_tokens": 2.0, "completion_tokens": -1, "total_tokens": 1e300});
        assert_eq!(of(json!({ "usage": odd })), counts(Some(2), None, Some(u32::MAX)));
    }

    #[test]
    fn an_error_is_all_that_a_chunk_says() {
        let chunk = json!({"error": {"message": "no memory", "code": 500}, "choices": [
            {"delta": {"content": "x"}}]});
        assert_eq!(pieces(&chunk), [StreamPiece::Failed(Some("no memory".into()))]);
    }

    /// Any JSON, built of the names that are looked for.
    fn any_json() -> impl Strategy<Value = Value> {
        let names = prop::sample::select(vec![
            "choices",
            "delta",
            "message",
            "content",
            "usage",
            "error",
            "model",
            "index",
            "type",
            "text",
            "finish_reason",
            "tool_calls",
            "prompt_tokens",
            "total_tokens",
            "x_groq",
            "detail",
            "object",
            "refusal",
            "reasoning",
        ]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 48, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((names.clone(), inner), 0..6).prop_map(|fields| {
                    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_json_is_too_odd_to_be_read(chunk in any_json()) {
            for piece in pieces(&chunk) {
                prop_assert_ne!(piece, StreamPiece::Text(String::new()), "an empty piece says nothing");
            }
        }
    }
}
