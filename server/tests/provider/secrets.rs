//! The key goes to the model's server and nowhere else; what people say goes into no log.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use mathia_server::assistant::provider::openai::OpenAi;
use tokio::sync::Notify;
use tracing_subscriber::fmt::MakeWriter;

use super::cast::{ask, settings};
use crate::model::wire::{answer, delta, sized, until_closed};
use crate::model::{ModelServer, within};

const KEY: &str = "sk-canary-0123456789";

/// All that is logged, and a sign when something was.
#[derive(Clone, Default)]
struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    grew: Arc<Notify>,
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.lock().unwrap().extend_from_slice(bytes);
        self.grew.notify_one();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text.lock().unwrap()))
    }
}

impl Log {
    /// Everything at the lowest level, what dependencies log included. Once in a process: the only
    /// test of this file does it.
    fn of_everything() -> Self {
        let log = Self::default();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(log.clone())
            .with_ansi(false)
            .init();
        log
    }

    async fn says(&self, text: &str) {
        while !self.to_string().contains(text) {
            self.grew.notified().await;
        }
    }
}

#[tokio::test]
async fn the_key_is_shown_to_the_server_alone_and_nobodys_words_are_logged() {
    let log = Log::of_everything();
    let scratch = tempfile::tempdir().unwrap();
    let key_file = scratch.path().join("ai.key");
    std::fs::write(&key_file, format!("{KEY}\n")).unwrap();
    std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();

    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/v1", socket.local_addr().unwrap());
    let mut keyed = settings(&url);
    keyed.key_file = Some(key_file);
    let provider = OpenAi::new(&keyed, None).unwrap();
    let mut said = vec![format!("{provider:?}")];

    // Nobody listens at first; the second try finds a server.
    let mut server = None;
    let serve = async {
        log.says("once more in a moment").await;
        let mut started = ModelServer::on(socket.listen(16).unwrap());
        let mut call = started.next_call().await;
        assert_eq!(call.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
        assert_eq!(call.head.matches(KEY).count(), 1);
        assert!(!call.body.to_string().contains(KEY));
        call.sends(&until_closed(&answer(&["The canal ", "is closed."], 4, 4))).await;
        server = Some(started);
    };
    let (outcome, ()) = within(async { tokio::join!(ask(&provider), serve) }).await;
    assert_eq!(outcome.unwrap().text, "The canal is closed.");

    // Servers that repeat what they were given.
    let mut server = server.unwrap();
    let echo = format!("{{\"error\":{{\"message\":\"bad key {KEY} ({KEY})\"}}}}");
    for response in [
        sized("401 Unauthorized", "", &echo),
        sized("401 Unauthorized", "", &format!("Authorization: Bearer {KEY}")),
        sized("500 Oops", "", &format!("{}{KEY}", "x".repeat(230))),
        sized("200 OK", "", &echo),
        until_closed(&format!("{}data: {echo}\n\n", delta("One"))),
        until_closed(&format!("event: error\ndata: {KEY}\n\n")),
        until_closed(&format!("data: {{\"choices\":[],\"model\":\"{KEY}\"}}\n\n")),
    ] {
        let serve = async {
            let mut call = server.next_call().await;
            call.sends(&response).await;
        };
        let (outcome, ()) = within(async { tokio::join!(ask(&provider), serve) }).await;
        let error = outcome.unwrap_err();
        assert_ne!(error.arrived.model.as_deref(), Some(KEY));
        said.push(format!("{error} {error:?}"));
    }

    let log = log.to_string();
    assert!(log.contains("TRACE") && log.contains("starting new connection"), "logs are captured");
    for text in said.iter().chain([&log]) {
        assert!(!text.contains(KEY), "{text}");
        assert!(!text.contains("sk-canary"), "{text}");
        for words in ["bridge", "canal is", "is closed"] {
            assert!(!text.contains(words), "{words:?} in {text}");
        }
    }
}
