//! What servers of models really send, each in its own dialect: recorded, replayed, understood.

use mathia_protocol::crypto::content::{Outcome, Usage};

use super::answering::counted;
use super::house::House;
use crate::cast::TestResult;
use crate::model::wire::{chunked, sized, until_closed};

/// A stream, one event a line.
fn stream(lines: &[&str]) -> String {
    format!("data: {}\n\n", lines.join("\n\ndata: "))
}

/// What is expected of an answer.
struct Expected {
    outcome: Outcome,
    text: &'static str,
    /// What it took, where the server says so.
    usage: Option<Usage>,
}

fn complete(text: &'static str, usage: impl Into<Option<Usage>>) -> Expected {
    Expected { outcome: Outcome::Complete, text, usage: usage.into() }
}

#[expect(clippy::too_many_lines, reason = "a list of recordings")]
fn recordings() -> Vec<(&'static str, Vec<u8>, Expected)> {
    let of = |lines: &[&str]| until_closed(&stream(lines));
    vec![
        (
            "OpenAI, with usage in a chunk of its own",
            of(&[
                r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
                r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}"#,
                r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
                r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[],"usage":{"prompt_tokens":2,"completion_tokens":9,"total_tokens":11,"completion_tokens_details":{"reasoning_tokens":3}}}"#,
                "[DONE]",
            ]),
            complete("Hi", counted(2, 9)),
        ),
        (
            "llama.cpp: a first delta of null, timings, the finish in the last chunk",
            of(&[
                r#"{"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],"created":1,"id":"c","model":"m-1","system_fingerprint":"b1","object":"chat.completion.chunk"}"#,
                r#"{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"Hi"}}],"created":1,"id":"c","model":"m-1","object":"chat.completion.chunk"}"#,
                r#"{"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"model":"m-1","timings":{"prompt_n":2,"predicted_ms":1.5}}"#,
                r#"{"choices":null,"model":"m-1","usage":{"completion_tokens":9,"prompt_tokens":2,"total_tokens":11},"timings":{"prompt_n":2}}"#,
                "[DONE]",
            ]),
            complete("Hi", counted(2, 9)),
        ),
        (
            "usage without any choices, and no end mark",
            of(&[
                r#"{"choices":[{"delta":{"content":"Hi"}}]}"#,
                r#"{"choices":[{"delta":{"content":""},"finish_reason":"stop"}]}"#,
                r#"{"usage":{"prompt_tokens":2,"completion_tokens":9,"total_tokens":11}}"#,
            ]),
            complete("Hi", counted(2, 9)),
        ),
        (
            "vLLM: no usage at all",
            of(&[
                r#"{"choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}]}"#,
                r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop","stop_reason":null}]}"#,
                "[DONE]",
            ]),
            complete("Hi", None),
        ),
        (
            "usage in every chunk: the last counts",
            of(&[
                r#"{"choices":[{"delta":{"content":"H"}}],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3}}"#,
                r#"{"choices":[{"delta":{"content":"i"}}],"usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4}}"#,
                r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":9,"total_tokens":11}}"#,
                "[DONE]",
            ]),
            complete("Hi", counted(2, 9)),
        ),
        (
            "reasoning beside the answer",
            of(&[
                r#"{"choices":[{"delta":{"reasoning_content":"The user wants a greeting."}}]}"#,
                r#"{"choices":[{"delta":{"reasoning":"So be it.","content":null}}]}"#,
                r#"{"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":9,"total_tokens":11}}"#,
                "[DONE]",
            ]),
            complete("Hi", counted(2, 9)),
        ),
        (
            "a refusal of the model",
            of(&[
                r#"{"choices":[{"delta":{"refusal":"I will not."}}]}"#,
                r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":9,"total_tokens":11}}"#,
                "[DONE]",
            ]),
            Expected { outcome: Outcome::Filtered, text: "I will not.", usage: Some(counted(2, 9)) },
        ),
        (
            "the limit of length",
            of(&[
                r#"{"choices":[{"delta":{"content":"Hi th"},"finish_reason":"length"}],"usage":{"prompt_tokens":2,"completion_tokens":9,"total_tokens":11}}"#,
                "[DONE]",
            ]),
            Expected { outcome: Outcome::CutOff, text: "Hi th", usage: Some(counted(2, 9)) },
        ),
        (
            "the provider's filter",
            of(&[
                r#"{"choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}"#,
                r#"{"choices":[{"delta":{},"finish_reason":"content_filter"}],"usage":{"prompt_tokens":2,"completion_tokens":9,"total_tokens":11}}"#,
            ]),
            Expected { outcome: Outcome::Filtered, text: "Hi", usage: Some(counted(2, 9)) },
        ),
        (
            "carriage returns, comments, names of events, no space behind the colon",
            until_closed(&format!(
                "\u{feff}: warm\r\n\r\nevent: message\r\nid: 1\r\nretry: 10\r\n{}",
                stream(&[
                    r#"{"choices":[{"delta":{"content":"Hi"}}]}"#,
                    r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":9,"total_tokens":11}}"#,
                    "[DONE]",
                ])
                .replace('\n', "\r\n")
                .replace("data: ", "data:")
            )),
            complete("Hi", counted(2, 9)),
        ),
        (
            "characters split over chunks of one byte",
            chunked(
                &stream(&[
                    r#"{"choices":[{"delta":{"content":"Grüße 😀"}}]}"#,
                    r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":9,"total_tokens":11}}"#,
                    "[DONE]",
                ]),
                1,
            ),
            complete("Grüße 😀", counted(2, 9)),
        ),
        (
            "no stream at all",
            sized(
                "200 OK",
                "Content-Type: application/json\r\n",
                r#"{"object":"chat.completion","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":9,"total_tokens":11}}"#,
            ),
            complete("Hi", counted(2, 9)),
        ),
    ]
}

/// Every recorded dialect becomes the same kind of answer.
#[tokio::test]
async fn every_dialect_of_a_model_is_understood() -> TestResult {
    let mut house = House::opens().await?;
    for (name, response, expected) in recordings() {
        let heard = house.answers(&response).await?;
        assert_eq!(
            (heard.outcome, heard.text.as_str()),
            (expected.outcome, expected.text),
            "{name}"
        );
        match expected.usage {
            Some(usage) => assert_eq!(heard.usage, Some(usage), "{name}"),
            None => assert!(heard.usage.is_some_and(|usage| usage.is_estimated), "{name}"),
        }
        assert_eq!(heard.cause, "", "{name}");
    }
    Ok(())
}

/// Tools that the model calls, though none were offered: in one chunk, in several, without numbers.
#[tokio::test]
async fn a_tool_is_not_pretended_in_any_dialect() -> TestResult {
    let mut house = House::opens().await?;
    let finish = r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":2,"completion_tokens":9,"total_tokens":11}}"#;
    for calls in [
        vec![
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_x","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]},"finish_reason":null}]}"#,
        ],
        vec![
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}},{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}]}}]}"#,
        ],
        vec![
            r#"{"choices":[{"delta":{"role":"assistant","content":"","tool_calls":[{"id":"call_y","type":"function","function":{"name":"f","arguments":"{}"}}]}}]}"#,
        ],
    ] {
        let lines: Vec<&str> = calls.into_iter().chain([finish, "[DONE]"]).collect();
        let heard = house.answers(&until_closed(&stream(&lines))).await?;
        assert_eq!(heard.outcome, Outcome::Complete);
        assert!(heard.text.contains("wanted to use a tool"), "{}", heard.text);
        assert_eq!(heard.usage, Some(counted(2, 9)));
    }
    Ok(())
}
