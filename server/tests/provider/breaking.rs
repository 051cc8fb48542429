//! Servers that break off: what came is kept, and the cause is true.

use mathia_server::assistant::provider::{FinishReason, Trouble};
use serde_json::json;

use super::cast::{ask, openai, usage};
use crate::model::wire::{answer, chunked, delta, event, until_closed};
use crate::model::{ModelServer, within};

const TEXT: &str = "Grüße an alle.";

/// Everything a response of `whole` may come to when only its first `n` bytes arrive.
async fn breaks_off(whole: &[u8], finish: usize) {
    let mut server = ModelServer::start().await;
    let provider = openai(&server.base_url());
    for n in 0..=whole.len() {
        let serve = async {
            let mut call = server.next_call().await;
            call.sends(&whole[..n]).await;
        };
        let (outcome, ()) = within(async { tokio::join!(ask(&provider), serve) }).await;
        match outcome {
            Ok(finished) => {
                assert!(finish <= n, "whole at {n}");
                assert_eq!(
                    (finished.text.as_str(), finished.ending),
                    (TEXT, FinishReason::Complete)
                );
            }
            Err(error) => {
                assert!(n < finish, "{error} at {n}");
                assert!(TEXT.starts_with(&error.arrived.text), "at {n}");
                let expected = if error.arrived.text.is_empty() {
                    Trouble::NoAnswer
                } else {
                    Trouble::Truncated
                };
                assert_eq!(error.trouble, expected, "at {n}");
            }
        }
    }
}

fn end_of(whole: &[u8], part: &str) -> usize {
    let part = part.as_bytes();
    whole.windows(part.len()).position(|window| window == part).unwrap() + part.len()
}

#[tokio::test]
async fn broken_off_at_any_byte_an_answer_is_whole_or_says_so() {
    let whole = until_closed(&answer(&["Grüße", " an alle."], 4, 5));
    breaks_off(&whole, end_of(&whole, "\"finish_reason\":\"stop\",\"index\":0}]}")).await;
}

#[tokio::test]
async fn nor_does_it_matter_where_a_chunked_body_breaks() {
    let body = answer(&["Grüße", " an alle."], 4, 5);
    let whole = chunked(&body, body.len());
    breaks_off(&whole, end_of(&whole, "\"finish_reason\":\"stop\",\"index\":0}]}")).await;
}

#[tokio::test]
async fn a_connection_that_is_reset_loses_nothing_that_was_heard() {
    let mut server = ModelServer::start().await;
    let provider = openai(&server.base_url());
    let (heard, mut pieces) = tokio::sync::mpsc::channel(16);
    let question = super::cast::question();
    let mut sink = move |piece: &str| heard.try_send(piece.to_owned()).unwrap();
    let serve = async {
        let mut call = server.next_call().await;
        call.sends(&chunked(&delta("The first half"), 10_000)[..]).await;
        pieces.recv().await.unwrap();
        call.breaks();
    };
    let asked =
        mathia_server::assistant::provider::Provider::answer(&provider, &question, &mut sink);
    let (outcome, ()) = within(async { tokio::join!(asked, serve) }).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.trouble, Trouble::Truncated);
    assert_eq!(error.arrived.text, "The first half");
    assert!(error.arrived.usage.unwrap().is_estimated);
}

#[tokio::test]
async fn an_error_amid_the_answer_is_the_cause() {
    let body = [
        delta("The first half"),
        event(&json!({"error": {"message": "CUDA out of\u{1b}[2J memory\u{202e}.", "code": 500}})),
    ]
    .concat();
    let (url, _questions) = ModelServer::answering(until_closed(&body)).await;
    let error = ask(&openai(&url)).await.unwrap_err();
    assert_eq!(error.to_string(), "the model's server reports an error: CUDA out of [2J memory");
    assert_eq!(error.arrived.text, "The first half");
}

#[tokio::test]
async fn an_answer_without_an_end_is_cut_off_and_the_server_let_go() {
    let mut server = ModelServer::start().await;
    let provider = openai(&server.base_url());
    let serve = async {
        let mut call = server.next_call().await;
        call.sends(&until_closed("")).await;
        call.sends_without_end(delta(&"words ".repeat(500)).as_bytes()).await;
    };
    let (outcome, ()) = within(async { tokio::join!(ask(&provider), serve) }).await;
    let finished = outcome.unwrap();
    assert_eq!(finished.ending, FinishReason::CutOff);
    assert_eq!(finished.text.len(), mathia_server::limits::PROVIDER_TEXT_LEN_MAX);
}

#[tokio::test]
async fn what_is_no_http_is_no_answer() {
    for response in ["", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let (url, _questions) = ModelServer::answering(response.as_bytes().to_vec()).await;
        assert_eq!(ask(&openai(&url)).await.unwrap_err().trouble, Trouble::NoAnswer, "{response}");
    }
}

#[tokio::test]
async fn after_trouble_the_next_question_is_answered() {
    let mut server = ModelServer::start().await;
    let provider = openai(&server.base_url());
    let whole = until_closed(&answer(&["Yes."], 4, 1));
    for n in [whole.len() / 2, whole.len()] {
        let serve = async {
            let mut call = server.next_call().await;
            call.sends(&whole[..n]).await;
        };
        let (outcome, ()) = within(async { tokio::join!(ask(&provider), serve) }).await;
        assert_eq!(outcome.is_ok(), n == whole.len());
        if let Ok(finished) = outcome {
            assert_eq!(finished.usage, usage(4, 1));
        }
    }
}
