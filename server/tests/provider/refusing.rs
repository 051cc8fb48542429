//! Servers that refuse, and servers that must not be called.

use std::time::Duration;

use mathia_server::assistant::provider::openai::OpenAi;
use mathia_server::assistant::provider::{SetupError, Trouble};
use tokio::net::TcpListener;

use super::cast::{ask, openai, settings};
use crate::model::wire::sized;
use crate::model::{ModelServer, within};

/// What is said of one response, and that it was asked for once.
async fn cause(response: Vec<u8>) -> (String, Option<Duration>) {
    let (url, mut questions) = ModelServer::answering(response).await;
    let host = url.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    let error = ask(&openai(&url)).await.unwrap_err();
    assert!(questions.recv().await.is_some());
    assert!(questions.try_recv().is_err(), "nothing is asked twice");
    assert_eq!(error.arrived.usage, None);
    (error.to_string().replace(&host, "HOST"), error.retry_after)
}

#[tokio::test]
async fn a_refusal_says_what_it_means_and_when_to_come_back() {
    let json = "Content-Type: application/json\r\n";
    for (status, headers, body, expected) in [
        (
            "429 Too Many Requests",
            "Retry-After: 20\r\n",
            r#"{"error":{"message":"Rate limit reached.","type":"requests","code":null}}"#,
            "HOST has too many requests (HTTP 429): Rate limit reached; it asks to wait 20 s",
        ),
        (
            "401 Unauthorized",
            json,
            r#"{"error":{"message":"Incorrect API key"}}"#,
            "HOST does not accept the API key (HTTP 401): Incorrect API key",
        ),
        (
            "400 Bad Request",
            json,
            r#"{"error":{"code":400,"message":"context too long","type":"x"}}"#,
            "HOST refused the question (HTTP 400): context too long",
        ),
        (
            "404 Not Found",
            json,
            "{\"detail\":\"Not Found\"}",
            "HOST knows no such model or path (HTTP 404): Not Found",
        ),
        ("500 Internal Server Error", "", "", "HOST failed (HTTP 500)"),
        ("500 Oops", "", "plain\r\nwords", "HOST failed (HTTP 500): plain words"),
        ("502 Bad Gateway", "", "<html><h1>502</h1></html>", "HOST failed (HTTP 502)"),
        (
            "503 Service Unavailable",
            json,
            "{\"error\":{\"message\":\"Loading model\",\"code\":503}}",
            "HOST is overloaded or starting (HTTP 503): Loading model",
        ),
    ] {
        let (cause, retry_after) = cause(sized(status, headers, body)).await;
        assert_eq!(cause, expected);
        assert_eq!(retry_after.is_some(), headers.contains("Retry-After"), "{status}");
    }
}

#[tokio::test]
async fn the_body_of_a_refusal_may_be_endless_or_never_come() {
    let mut server = ModelServer::start().await;
    let provider = openai(&server.base_url());
    let serve = async {
        let mut call = server.next_call().await;
        call.sends(b"HTTP/1.1 500 Oops\r\n\r\n").await;
        call.sends_without_end(b"no ").await;
        let mut call = server.next_call().await;
        call.sends(b"HTTP/1.1 500 Oops\r\nContent-Length: 10\r\n\r\n").await;
        call.is_hung_up_on().await;
    };
    let questions = async {
        let long = ask(&provider).await.unwrap_err().to_string();
        assert!(long.contains("(HTTP 500): no no") && long.len() < 400, "{long}");
        let none = ask(&provider).await.unwrap_err().to_string();
        assert!(none.ends_with("failed (HTTP 500)"), "{none}");
    };
    within(async { tokio::join!(questions, serve) }).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mut elsewhere = ModelServer::start().await;
    let headers = format!("Location: http://{}/v1/chat/completions\r\n", elsewhere.address());
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let (cause, _) = cause(sized(status, &headers, "")).await;
        assert!(cause.contains("points elsewhere: base_url must name"), "{cause}");
    }
    assert!(elsewhere.was_left_alone());
}

#[tokio::test]
async fn a_refused_connection_is_tried_twice_within_five_seconds() {
    // Bound and not listening: nobody else can take the port, and every connection is refused.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/v1", closed.local_addr().unwrap());
    let begun = tokio::time::Instant::now();
    let error = ask(&openai(&url)).await.unwrap_err();
    assert!(matches!(error.trouble, Trouble::Refused { .. }), "{error}");
    assert!(error.to_string().contains("refuses connections"), "{error}");
    let took = begun.elapsed();
    assert!(mathia_server::limits::REFUSED_PAUSE <= took, "tried once in {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn private_addresses_are_not_called_unless_allowed() {
    let mut server = ModelServer::start().await;
    let mut guarded = settings(&server.base_url());
    guarded.allow_private = false;
    let error = OpenAi::new(&guarded, None).unwrap_err();
    assert!(matches!(error, SetupError::Forbidden { .. }), "{error}");
    assert!(error.to_string().contains("allow_private = true"), "{error}");

    // By a name, which only the resolver sees through.
    guarded.base_url = Some(format!("http://localhost:{}/v1", server.address().port()));
    let error = ask(&OpenAi::new(&guarded, None).unwrap()).await.unwrap_err();
    assert!(matches!(error.trouble, Trouble::Forbidden { .. }), "{error}");
    assert!(error.to_string().contains("allow_private = true"), "{error}");
    assert!(server.was_left_alone());
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_said_to() {
    // `.invalid` never resolves, so no question leaves this machine but that one.
    let error = ask(&openai("http://model.invalid/v1")).await.unwrap_err();
    assert!(matches!(error.trouble, Trouble::Unresolved { .. }), "{error}");
}

#[tokio::test]
async fn encryption_where_there_is_none_is_said_to_be_missing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut greeting = [0; 16];
            stream.readable().await.unwrap();
            drop(stream.try_read(&mut greeting));
            drop(stream.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    match OpenAi::new(&settings(&url), None) {
        Ok(provider) => {
            let error = ask(&provider).await.unwrap_err();
            assert!(matches!(error.trouble, Trouble::Insecure { .. }), "{error:?}");
            assert!(error.to_string().contains("it does not speak TLS"), "{error}");
        }
        // A machine without any certificates cannot judge those of others, and says so.
        Err(error) => assert!(matches!(error, SetupError::Client(_)), "{error}"),
    }
}
