//! A server, ann with her terminal, and bob who talks much.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use mathia_protocol::client::{Bot, ClientEvent};
use mathia_protocol::id::RoomId;
use mathia_testkit::Failure;
use mathia_testkit::lines::Lines;
use portable_pty::CommandBuilder;
use tokio::runtime::Runtime;
use tokio::time::{MissedTickBehavior, interval};

/// No rate stands in the way of a flood.
const CONFIG: &str = "[limits]\nmessages_per_minute = 10000000\nmessages_burst = 1000000\n\
                      room_messages_per_minute = 10000000\n";
/// How often a flood says something, so that a timer can keep up.
const SAID_EVERY: Duration = Duration::from_millis(10);

/// Everything lives in a scratch directory beside the binaries, on a real disk.
pub(crate) struct Town {
    scratch: tempfile::TempDir,
    client: PathBuf,
    server: Child,
    bob: Arc<Bot>,
    runtime: Arc<Runtime>,
    room: RoomId,
}

impl Town {
    /// Starts the server; ann makes a room and adds bob.
    pub(crate) fn start(binaries: &Path) -> Result<Self, Failure> {
        let scratch = tempfile::tempdir_in(binaries)?;
        let config = scratch.path().join("server.toml");
        std::fs::write(&config, CONFIG)?;
        let mut server = Command::new(binaries.join("mathia-server"))
            .args(["serve", "--no-assistant", "--listen", "127.0.0.1:0", "--data"])
            .arg(scratch.path().join("server"))
            .arg("--config")
            .arg(config)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let lines = Lines::of(server.stdout.take().ok_or("no output")?);
        let invite = lines.greeting()?.admin_link.ok_or("no link of the admin")?;
        let client = binaries.join("mathia-tui");
        let ann = |args: &[&str]| run(&client, scratch.path(), args);
        ann(&["join", &invite, "--name", "ann"])?;
        ann(&["room", "create", "team"])?;
        let link = ann(&["invite"])?;
        let runtime = Arc::new(Runtime::new()?);
        let mut bob = runtime.block_on(Bot::join(link.trim(), "bob"))?;
        ann(&["room", "add", "team", "bob"])?;
        let room = runtime.block_on(first_room(&mut bob))?;
        Ok(Self { scratch, client, server, bob: Arc::new(bob), runtime, room })
    }

    /// Where ann's client keeps everything.
    pub(crate) fn home(&self) -> PathBuf {
        self.scratch.path().join("ann")
    }

    /// Ann's client, as a shell would start it.
    pub(crate) fn client(&self) -> CommandBuilder {
        let mut command = CommandBuilder::new(&self.client);
        command.env_clear();
        command.env("MATHIA_HOME", self.home());
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        command
    }

    /// Runs a command as ann; returns what it printed.
    pub(crate) fn ann(&self, args: &[&str]) -> Result<String, Failure> {
        run(&self.client, self.scratch.path(), args)
    }

    /// Ends the server.
    pub(crate) fn stop_server(&mut self) {
        // One that has ended already does not mind.
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        self.stop_server();
    }
}

fn run(client: &Path, scratch: &Path, args: &[&str]) -> Result<String, Failure> {
    let done = Command::new(client).args(args).env("MATHIA_HOME", scratch.join("ann")).output()?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into());
    }
    Ok(String::from_utf8(done.stdout)?)
}

async fn first_room(bob: &mut Bot) -> Result<RoomId, Failure> {
    while let Some(event) = bob.next_event().await {
        if let ClientEvent::Room(room) = event {
            return Ok(room.room);
        }
    }
    Err("bob was told of no room".into())
}

/// Bob talking without a pause.
pub(crate) struct Flood {
    is_over: Arc<AtomicBool>,
    talker: JoinHandle<u64>,
}

impl Flood {
    /// Begins to say `flood 1`, `flood 2` .. at some rate.
    pub(crate) fn start(town: &Town, rate: u32) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, bob, room) = (Arc::clone(&is_over), Arc::clone(&town.bob), town.room);
        let runtime = Arc::clone(&town.runtime);
        let n_at_once = (rate / 100).max(1);
        let talker = std::thread::spawn(move || {
            runtime.block_on(async move {
                let mut n_said = 0;
                let mut ticks = interval(SAID_EVERY);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                while !over.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    for _ in 0..n_at_once {
                        n_said += 1;
                        let text = format!("flood {n_said} of what a busy room says");
                        if bob.say(room, text).await.is_err() {
                            return n_said - 1;
                        }
                    }
                }
                n_said
            })
        });
        Self { is_over, talker }
    }

    /// Ends it; returns how much was said.
    pub(crate) fn stop(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.talker.join().unwrap_or(0)
    }
}
