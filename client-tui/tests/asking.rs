//! Questions from the command line, to an assistant whose model a test plays: what a terminal shows
//! of it, and how it ends.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::town::{Person, Town};
use serde_json::json;

/// What would clear a screen, turn a line around, ring, and set a title.
const NASTY: &str = "safe\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}txet\u{9b}31m end";

/// A model that answers each question alike, and closes.
fn model_that_says(response: impl Fn() -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            read_request(&mut stream);
            // The assistant may have hung up.
            drop(stream.write_all(&response()));
        }
    });
    address
}

fn read_request(stream: &mut TcpStream) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let n_read = stream.read(&mut buffer).unwrap_or(0);
        bytes.extend_from_slice(&buffer[..n_read]);
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let is_whole = head.is_some_and(|head| bytes.len() >= head + body_len(&bytes[..head]));
        if n_read == 0 || is_whole {
            return;
        }
    }
}

fn body_len(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_lowercase();
    let len = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    len.map_or(0, |len| len.trim().parse().unwrap())
}

fn stream(pieces: &[&str]) -> Vec<u8> {
    let delta = |text: &&str| json!({"choices": [{"index": 0, "delta": {"content": text}}]});
    let finish = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 3, "total_tokens": 33}});
    let events: Vec<String> =
        pieces.iter().map(delta).chain([finish]).map(|event| event.to_string()).collect();
    let body = format!("data: {}\n\n", events.join("\n\ndata: "));
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}

/// Ann and bob in a room with an assistant that asks this model.
fn team_with(model: SocketAddr) -> (Town, Vec<Person>) {
    let town = Town::start_configured(&format!(
        "[assistant]\nprovider = \"openai\"\nbase_url = \"http://{model}/v1\"\nmodel = \"m-1\"\n\
         allow_private = true\n"
    ));
    let people = town.team(&["ann", "bob"]);
    people[0].run(&["room", "add", "team", "mathia"]).succeeds();
    (town, people)
}

fn is_harmless(text: &str) -> bool {
    !text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}')
}

/// What a model says never plays with a terminal, and is exact where data is wanted; what it took is
/// told to who wants to know.
#[test]
fn what_a_model_says_is_harmless_on_a_terminal_and_exact_as_data() {
    let (_town, people) = team_with(model_that_says(|| stream(&["safe", &NASTY[4..]])));
    let asked = people[0].run(&["ask", "--room", "team", "--yes", "why?"]).succeeds();
    assert!(asked.out.starts_with("safe") && asked.out.trim_end().ends_with("end"), "{asked:#?}");
    assert!(is_harmless(&asked.out) && is_harmless(&asked.err), "{asked:#?}");
    let shown = people[1].run(&["history", "team"]).succeeds();
    assert!(shown.out.contains("safe") && is_harmless(&shown.out), "{shown:#?}");

    let lines = people[1].run(&["history", "team", "--json"]).succeeds().json();
    let answer = lines.iter().find(|line| line["type"] == "answer").unwrap();
    assert_eq!(answer["text"], NASTY);
    let usage = people[1].run(&["usage", "--json"]).succeeds().json();
    assert_eq!((&usage[0]["person"], &usage[0]["total_tokens"]), (&json!("ann"), &json!(33)));
    assert_eq!((&usage[0]["model"], &usage[0]["estimated"]), (&json!("m-1"), &json!(false)));
    assert_eq!(usage.len(), 1);
}

/// A model that cannot be reached, or that refuses in words of its own, is a line on stderr and exit
/// code 1; the question stays in the room with what became of it.
#[test]
fn a_model_that_fails_is_a_line_on_stderr_and_an_exit_code() {
    // Bound and dropped: nobody listens there any more.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_town, people) = team_with(nobody);
    let pending_join = std::time::Instant::now();
    let asked = people[0].run(&["ask", "--room", "team", "--yes", "why?"]);
    assert!(
        pending_join.elapsed() < std::time::Duration::from_secs(8),
        "{:?}",
        pending_join.elapsed()
    );
    assert_eq!((asked.code, asked.out.as_str()), (1, ""), "{asked:#?}");
    let said = asked.err.lines().find(|line| line.contains("@mathia is unavailable: "));
    assert!(said.is_some_and(|line| line.contains("refuses connections")), "{asked:#?}");
    let lines = people[1].run(&["history", "team", "--json"]).succeeds().json();
    let of = |kind: &str| lines.iter().find(|line| line["type"] == kind).unwrap();
    assert_eq!((&of("ask")["text"], &of("answer")["outcome"]), (&json!("why?"), &json!("refused")));

    let body = json!({"error": {"message": NASTY}}).to_string();
    let refusal = format!("HTTP/1.1 500 Oops\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (_town, people) = team_with(model_that_says(move || refusal.clone().into_bytes()));
    let asked = people[0].run(&["ask", "--room", "team", "--yes", "why?"]);
    assert_eq!(asked.code, 1, "{asked:#?}");
    assert!(asked.err.contains("@mathia is unavailable: ") && asked.err.contains("safe"));
    assert!(is_harmless(&asked.err), "{asked:#?}");
}
