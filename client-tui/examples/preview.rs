//! The interactive client over a scripted engine: for looking at screens without a server.
//!
//! `cargo run -p mathia-tui --example preview [offline|wizard|long]`

#[path = "../tests/screens/cast.rs"]
#[expect(dead_code, reason = "the screen tests use all of it, this only some")]
mod cast;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mathia_protocol::client::{
    ClientEvent, Command, CommandError, ConnectionState, Done, EntryView, InviteLink, OutboxState,
    OutboxView,
};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::id::{RoomId, Seq, TimeMs};
use mathia_tui::app::join::JoinAsk;
use mathia_tui::app::keymap::Keymap;
use mathia_tui::app::model::Me;
use mathia_tui::app::runtime::{Start, StartOptions, run};
use mathia_tui::app::session::{Drafts, Engine, JoinEnd, Joiner, PendingReply, Session};
use mathia_tui::app::stamp::TimeFormat;
use mathia_tui::app::theme::Theme;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

const SCENE_LONG: u64 = 200_000;

struct Script {
    events: mpsc::Sender<ClientEvent>,
    log: Mutex<Vec<EntryView>>,
    n_sent: AtomicU64,
    is_offline: bool,
}

impl Script {
    fn answer(self: &Arc<Self>, command: Command) -> Done {
        let log = || self.log.lock().expect("no one panics while holding it");
        match command {
            Command::Rooms => {
                let mut team = cast::with_assistant(cast::team());
                let head = log().last().map_or(Seq(0), |entry| entry.seq);
                team.read_upto = Seq(head.0.saturating_sub(2));
                (team.n_unread, team.n_mentions, team.head) = (2, 1, head);
                team.marks = cast::marks(head.0 - 2, head.0 - 3);
                let mut with_cleo = cast::direct(cast::WITH_CLEO, cast::CLEO);
                with_cleo.n_unread = 1;
                let train = cast::room(cast::TRAIN, "release-train");
                let with_bob = cast::direct(cast::WITH_BOB, cast::BOB);
                Done::Rooms(vec![team, train, cast::lobby(), with_bob, with_cleo])
            }
            Command::People => Done::People(cast::people()),
            Command::Timeline { room, before, count } => {
                let log = log();
                let end = match before {
                    Seq(0) => log.len(),
                    before => log.partition_point(|entry| entry.seq < before),
                };
                let from = end.saturating_sub(count as usize);
                let entries = if room == cast::TEAM { log[from..end].to_vec() } else { Vec::new() };
                Done::Timeline { entries, has_more: room == cast::TEAM && from > 0 }
            }
            Command::Send { room, text, .. } => {
                let local_id = self.n_sent.fetch_add(1, Ordering::SeqCst);
                if !self.is_offline {
                    tokio::spawn(Arc::clone(self).deliver(room, local_id, text));
                }
                Done::Queued { local_id }
            }
            Command::Safety(_) => Done::Safety("31415926535897932384".repeat(3)),
            Command::Invite { .. } => {
                Done::Invite(InviteLink("mathia://example.org/i/preview".to_owned()))
            }
            Command::Lobby => Done::Lobby(Vec::new()),
            Command::Direct(_) => Done::Room(cast::WITH_BOB),
            _ => Done::Done,
        }
    }

    /// The server stores it, bob types for a moment and answers.
    async fn deliver(self: Arc<Self>, room: RoomId, local_id: u64, text: String) {
        let pause = |ms| tokio::time::sleep(Duration::from_millis(ms));
        pause(300).await;
        let time = TimeMs(u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0));
        let say = |author, text: &str| {
            let mut log = self.log.lock().expect("no one panics while holding it");
            let seq = log.last().map_or(1, |entry| entry.seq.0 + 1);
            let entry = EntryView { room, ..cast::said(seq, time.0, author, text) };
            log.push(entry.clone());
            entry
        };
        let mine = say(cast::ANN, &text);
        let state = OutboxState::Accepted { seq: mine.seq, time };
        self.tell(ClientEvent::Outbox(OutboxView {
            local_id,
            tag: None,
            room,
            content: Content::Text(text),
            queued_at: time,
            state,
        }))
        .await;
        self.tell(ClientEvent::Entry(Box::new(mine))).await;
        self.tell(ClientEvent::Typing { room, account: cast::BOB, is_typing: true }).await;
        pause(1500).await;
        self.tell(ClientEvent::Entry(Box::new(say(cast::BOB, "so it is 👍")))).await;
    }

    async fn tell(&self, event: ClientEvent) {
        if self.events.send(event).await.is_err() {
            // The client has ended.
        }
    }
}

struct Preview(Arc<Script>);

impl Engine for Preview {
    fn command(&self, command: Command) -> PendingReply<Result<Done, CommandError>> {
        let answer = self.0.answer(command);
        Box::pin(async move { Ok(answer) })
    }
}

struct Nowhere;

impl Drafts for Nowhere {
    fn save(&self, _: RoomId, _: String) -> PendingReply<()> {
        Box::pin(async {})
    }
}

struct Anybody;

impl Joiner for Anybody {
    fn join(&self, ask: JoinAsk) -> PendingReply<JoinEnd> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if ask.accepted_server.is_none() {
                let fingerprint = "7f3a 91c2 0d44 8e1b 55aa 0192 fe3c 7788".to_owned();
                return JoinEnd::UnknownServer { address: "example.org".to_owned(), fingerprint };
            }
            let words = (0..24).map(|_| Zeroizing::new("abandon".to_owned())).collect();
            JoinEnd::Joined { session: session("").await, words }
        })
    }
}

async fn session(scene: &str) -> Session {
    let (events, told) = mpsc::channel(64);
    let mut log = cast::conversation();
    if scene == "long" {
        let line =
            |seq| cast::said(seq, cast::THURSDAY_17 - 1, cast::BOB, "one of very many lines");
        log = (1..=SCENE_LONG).map(line).collect();
    }
    let is_offline = scene == "offline";
    let script =
        Arc::new(Script { events, log: Mutex::new(log), n_sent: AtomicU64::new(1), is_offline });
    let state = if is_offline {
        let cause = "the server does not answer".to_owned();
        ConnectionState::Offline { retry_in: Duration::from_secs(30), cause }
    } else {
        ConnectionState::Online { rtt: Duration::from_millis(24), is_caught_up: true }
    };
    script.tell(ClientEvent::Connection(state)).await;
    let handle = "ann".parse().expect("a plain name");
    let me = Me { account: cast::ANN, handle, workspace: "Heron & Co".to_owned() };
    Session { me, engine: Arc::new(Preview(script)), events: told, drafts: Arc::new(Nowhere) }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let scene = std::env::args().nth(1).unwrap_or_default();
    let start = match scene.as_str() {
        "wizard" => Start::FirstRun { joiner: Arc::new(Anybody), pending_join: None },
        scene => Start::Session(session(scene).await),
    };
    let begin = StartOptions {
        start,
        time_format: TimeFormat { zone: TimeZone::UTC, is_24h: true },
        theme: Theme::from_environment(|name| std::env::var(name).ok()),
        follows_background: true,
        keymap: Keymap::default(),
        warnings: Vec::new(),
        drafts: Vec::new(),
    };
    run(begin).await.map(|_| ())
}
