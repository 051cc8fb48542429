//! Servers that answer, each in its own way.

use mathia_server::assistant::provider::{FinishReason, Provider as _};
use serde_json::json;

use super::cast::{ask, openai, settings, usage};
use crate::model::wire::{answer, chunked, delta, ending, event, sized, until_closed};
use crate::model::{ModelServer, within};

#[tokio::test]
async fn a_question_goes_out_once_and_its_answer_streams_back() {
    let mut server = ModelServer::start().await;
    let provider = openai(&server.base_url());
    let serve = async {
        let mut call = server.next_call().await;
        call.sends(&chunked(&answer(&["It ", "is ", "stuck."], 30, 3), 7)).await;
        call
    };
    let (outcome, call) = within(async { tokio::join!(ask(&provider), serve) }).await;

    let finished = outcome.unwrap();
    assert_eq!(finished.text, "It is stuck.");
    assert_eq!(finished.ending, FinishReason::Complete);
    assert_eq!(finished.model, "m-1");
    assert_eq!(finished.usage, usage(30, 3));
    assert!(call.head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{}", call.head);
    assert_eq!(call.header("content-type"), Some("application/json"));
    assert_eq!(call.header("authorization"), None, "there is no key");
    assert_eq!(call.body["model"], "some-model");
    assert_eq!(call.body["stream"], true);
    assert_eq!(call.body["stream_options"], json!({"include_usage": true}));
    assert_eq!(call.body["max_tokens"], 1_024);
    assert!(call.body["tools"].is_null());
    let messages = call.body["messages"].as_array().unwrap();
    assert_eq!(messages[0]["role"], "system");
    assert_eq!(messages[1]["role"], "user");
    let asked = messages[1]["content"].as_str().unwrap();
    assert!(asked.contains("\n> The drawbridge is stuck.\n"), "{asked}");
    assert!(asked.ends_with("\nIs the bridge open?"), "{asked}");
    assert!(server.was_left_alone());
}

#[tokio::test]
async fn the_limit_goes_by_the_name_the_operator_gives() {
    let (url, mut questions) = ModelServer::answering(until_closed(&answer(&["Yes"], 1, 1))).await;
    let text = format!(
        "[assistant]\nprovider = \"openai\"\nbase_url = \"{url}\"\nmodel = \"m\"\n\
         allow_private = true\nmax_output_tokens = 77\nmax_tokens_field = \"max_completion_tokens\"\n"
    );
    let settings = mathia_server::config::Config::parse(&text).unwrap().assistant;
    let provider = mathia_server::assistant::provider::connect(&settings, None).unwrap();
    let question = super::cast::question();
    within(provider.answer(&question, &mut |_: &str| ())).await.unwrap();
    let body = within(questions.recv()).await.unwrap();
    assert_eq!(body["max_completion_tokens"], 77);
    assert!(body["max_tokens"].is_null());
}

#[tokio::test]
async fn pieces_are_heard_while_the_answer_is_still_under_way() {
    let mut server = ModelServer::start().await;
    let provider = openai(&server.base_url());
    let (heard, mut pieces) = tokio::sync::mpsc::channel(16);
    let mut sink = move |piece: &str| heard.try_send(piece.to_owned()).unwrap();
    let question = super::cast::question();
    let serve = async {
        let mut call = server.next_call().await;
        call.sends(&until_closed(&delta("one"))).await;
        // The server goes on only when the first piece was heard.
        assert_eq!(pieces.recv().await.unwrap(), "one");
        call.sends(delta("two").as_bytes()).await;
        assert_eq!(pieces.recv().await.unwrap(), "two");
        call.sends(ending("stop", 1, 2).as_bytes()).await;
    };
    let asked = provider.answer(&question, &mut sink);
    let (outcome, ()) = within(async { tokio::join!(asked, serve) }).await;
    assert_eq!(outcome.unwrap().text, "onetwo");
}

#[tokio::test]
async fn every_way_to_frame_a_body_is_understood() {
    let body = answer(&["Grüße ", "\u{1b}[31m\u{202e}\0"], 4, 2);
    let crlf = body.replace('\n', "\r\n").replace("data: ", "data:");
    let old = format!("HTTP/1.0 200 OK\r\n\r\n{body}");
    let odd = format!(
        "HTTP/1.1 200\r\ncOnTeNt-tYpE:text/plain\r\nTRANSFER-ENCODING: Chunked\r\nX-Odd: \u{e4}\r\n\
         \r\n{:x};name=value\r\n{body}\r\n0\r\nTrailer: t\r\n\r\n",
        body.len()
    );
    for response in [
        until_closed(&body),
        chunked(&body, 1),
        chunked(&body, 100_000),
        sized("200 OK", "Content-Type: application/octet-stream\r\n", &body),
        sized("201 Created", "", &body),
        until_closed(&crlf),
        until_closed(&format!("\u{feff}: keep-alive\n\n{body}")),
        old.into_bytes(),
        odd.into_bytes(),
    ] {
        let shown = String::from_utf8_lossy(&response).into_owned();
        let (url, _questions) = ModelServer::answering(response).await;
        let finished = ask(&openai(&url)).await.unwrap_or_else(|error| panic!("{error}\n{shown}"));
        assert_eq!(finished.text, "Grüße \u{1b}[31m\u{202e}\0", "{shown}");
        assert_eq!(finished.usage, usage(4, 2), "{shown}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_stream_answers_as_well() {
    let body = json!({
        "object": "chat.completion", "model": "m-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "All at once"},
            "finish_reason": "length"}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7},
    });
    let response = sized("200 OK", "Content-Type: application/json\r\n", &body.to_string());
    let (url, _questions) = ModelServer::answering(response).await;
    let finished = ask(&openai(&url)).await.unwrap();
    assert_eq!(finished.text, "All at once");
    assert_eq!(finished.ending, FinishReason::CutOff);
    assert_eq!(finished.usage, usage(4, 3));
}

#[tokio::test]
async fn an_answer_of_ten_thousand_tokens_comes_whole() {
    let words: Vec<String> = (0..10_000).map(|n| format!("w{n} ")).collect();
    let pieces: Vec<&str> = words.iter().map(String::as_str).collect();
    let (url, _questions) =
        ModelServer::answering(chunked(&answer(&pieces, 20, 10_000), 1_400)).await;
    let finished = ask(&openai(&url)).await.unwrap();
    assert_eq!(finished.text, words.concat());
    assert_eq!(finished.usage, usage(20, 10_000));
}

#[tokio::test]
async fn an_answer_that_drips_byte_by_byte_comes_whole() {
    let mut server = ModelServer::start().await;
    let provider = openai(&server.base_url());
    let serve = async {
        let mut call = server.next_call().await;
        call.drips(&chunked(&answer(&["Grüße", " 😀"], 4, 2), 5)).await;
    };
    let (outcome, ()) = within(async { tokio::join!(ask(&provider), serve) }).await;
    assert_eq!(outcome.unwrap().text, "Grüße 😀");
}

#[tokio::test]
async fn without_counts_usage_is_a_guess_and_marked_as_one() {
    let body = format!("{}data: [DONE]\n\n", delta("Eight ch"));
    let (url, _questions) = ModelServer::answering(until_closed(&body)).await;
    let usage = ask(&openai(&url)).await.unwrap().usage;
    assert!(usage.is_estimated);
    assert_eq!(usage.completion, 2);
    assert!(usage.prompt > 50, "{usage:?}");
    assert_eq!(usage.total, usage.prompt + usage.completion);
}

#[tokio::test]
async fn reasoning_is_not_the_answer_and_a_tool_is_not_pretended() {
    let delta = |delta| event(&json!({"choices": [{"index": 0, "delta": delta}]}));
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let body = [
        delta(json!({"reasoning_content": "The user wants"})),
        delta(json!({"reasoning": " an answer", "content": null})),
        delta(json!({"content": "Let me see."})),
        delta(json!({"tool_calls": [call]})),
        ending("tool_calls", 4, 20),
    ]
    .concat();
    let (url, _questions) = ModelServer::answering(until_closed(&body)).await;
    let finished = ask(&openai(&url)).await.unwrap();
    assert!(finished.text.starts_with("Let me see.\n\n(The model wanted to use a tool"));
    assert!(!finished.text.contains("The user wants"));

    let body = [delta(json!({"refusal": "I will not."})), ending("stop", 4, 3)].concat();
    let (url, _questions) = ModelServer::answering(until_closed(&body)).await;
    let finished = ask(&openai(&url)).await.unwrap();
    assert_eq!((finished.text.as_str(), finished.ending), ("I will not.", FinishReason::Filtered));
}

#[tokio::test]
async fn people_can_be_told_where_questions_go() {
    let provider = openai("http://127.0.0.1:8080/v1");
    let source = provider.source();
    assert_eq!((source.host.as_str(), source.model.as_str()), ("127.0.0.1:8080", "some-model"));
    assert!(source.is_local);
    let remote = settings("http://10.1.2.3/v1");
    let remote = mathia_server::assistant::provider::connect(&remote, None).unwrap();
    assert!(!remote.source().is_local);
}
