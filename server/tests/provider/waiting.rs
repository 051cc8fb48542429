//! Servers that keep people waiting, and people who do not wait.

use std::time::Duration;

use mathia_server::assistant::provider::openai::OpenAi;
use mathia_server::assistant::provider::{FinishReason, Provider as _, Trouble};

use super::cast::{ask, question, settings, usage};
use crate::model::wire::{STREAM_HEAD, delta, ending, until_closed};
use crate::model::{Call, ModelServer, within};

/// Short, since tests wait for it to pass.
const SHORT: Duration = Duration::from_millis(300);

fn impatient(server: &ModelServer) -> OpenAi {
    let mut settings = settings(&server.base_url());
    settings.first_byte_timeout = SHORT;
    settings.idle_timeout = SHORT;
    OpenAi::new(&settings, None).unwrap()
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_on() {
    let mut server = ModelServer::start().await;
    let provider = impatient(&server);
    for sent in ["", "HTTP/1.1 200 OK\r\nConte", STREAM_HEAD] {
        let serve = async {
            let mut call = server.next_call().await;
            call.sends(sent.as_bytes()).await;
            call.is_hung_up_on().await;
        };
        let (outcome, ()) = within(async { tokio::join!(ask(&provider), serve) }).await;
        let error = outcome.unwrap_err();
        assert!(matches!(error.trouble, Trouble::Silent { waited: SHORT, .. }), "{error}");
        assert!(error.to_string().ends_with("sent nothing for 0.3 s"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_loses_nothing_that_was_heard() {
    let mut server = ModelServer::start().await;
    let provider = impatient(&server);
    let serve = async {
        let mut call = server.next_call().await;
        call.sends(&until_closed(&delta("Well,"))).await;
        call.is_hung_up_on().await;
    };
    let (outcome, ()) = within(async { tokio::join!(ask(&provider), serve) }).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error.trouble, Trouble::Silent { .. }), "{error}");
    assert_eq!(error.arrived.text, "Well,");
}

#[tokio::test]
async fn an_answer_is_whole_though_its_connection_stays_open() {
    let mut server = ModelServer::start().await;
    let provider = impatient(&server);
    let finished = ending("stop", 4, 1);
    let (finish, _usage_and_end) = finished.split_once("\n\n").unwrap();
    for (last, counted) in [(finished.as_str(), true), (&format!("{finish}\n\n"), false)] {
        let serve = async {
            let mut call = server.next_call().await;
            call.sends(&until_closed(&delta("Yes."))).await;
            call.sends(last.as_bytes()).await;
            call.is_hung_up_on().await;
        };
        let (outcome, ()) = within(async { tokio::join!(ask(&provider), serve) }).await;
        let finished = outcome.unwrap();
        assert_eq!((finished.text.as_str(), finished.ending), ("Yes.", FinishReason::Complete));
        assert_eq!(finished.usage == usage(4, 1), counted);
        assert_eq!(finished.usage.is_estimated, !counted);
    }
}

#[tokio::test]
async fn signs_of_life_after_the_end_are_not_waited_for() {
    let mut server = ModelServer::start().await;
    let provider = OpenAi::new(&settings(&server.base_url()), None).unwrap();
    let finished = ending("stop", 4, 1);
    let (finish, _usage_and_end) = finished.split_once("\n\n").unwrap();
    let serve = async {
        let mut call = server.next_call().await;
        call.sends(&until_closed(&delta("Yes."))).await;
        call.sends(format!("{finish}\n\n").as_bytes()).await;
        let mut beat = tokio::time::interval(SHORT / 4);
        loop {
            beat.tick().await;
            call.sends(b": still here\n\n").await;
        }
    };
    let outcome = within(async {
        tokio::select! {
            outcome = ask(&provider) => outcome,
            () = serve => unreachable!("it never ends"),
        }
    });
    assert_eq!(outcome.await.unwrap().text, "Yes.");
}

#[tokio::test]
async fn signs_of_life_are_worth_waiting_for() {
    let mut server = ModelServer::start().await;
    let provider = impatient(&server);
    let serve = async {
        let mut call = server.next_call().await;
        call.sends(STREAM_HEAD.as_bytes()).await;
        let mut beat = tokio::time::interval(SHORT / 4);
        for _ in 0..12 {
            beat.tick().await;
            call.sends(b": still here\n\n").await;
        }
        call.sends(delta("Yes.").as_bytes()).await;
        call.sends(ending("stop", 4, 1).as_bytes()).await;
    };
    let (outcome, ()) = within(async { tokio::join!(ask(&provider), serve) }).await;
    assert_eq!(outcome.unwrap().text, "Yes.");
}

/// Asks, does something with the call, then drops the question: the server must see it.
async fn is_let_go_of(first: &[u8], n_pieces: usize) {
    let mut server = ModelServer::start().await;
    let provider = OpenAi::new(&settings(&server.base_url()), None).unwrap();
    let (heard, mut pieces) = tokio::sync::mpsc::channel(16);
    let asking = tokio::spawn(async move {
        let question = question();
        let mut sink = move |piece: &str| heard.try_send(piece.to_owned()).unwrap();
        drop(provider.answer(&question, &mut sink).await);
    });
    let mut call: Call = within(server.next_call()).await;
    call.sends(first).await;
    for _ in 0..n_pieces {
        within(pieces.recv()).await.unwrap();
    }
    asking.abort();
    within(call.is_hung_up_on()).await;
    assert!(server.was_left_alone());
}

#[tokio::test]
async fn who_stops_asking_hangs_up_whatever_the_server_is_doing() {
    is_let_go_of(b"", 0).await;
    is_let_go_of(b"HTTP/1.1 200 OK\r\n", 0).await;
    is_let_go_of(STREAM_HEAD.as_bytes(), 0).await;
    is_let_go_of(&until_closed(&delta("one")), 1).await;
    is_let_go_of(b"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\n", 0).await;
}
