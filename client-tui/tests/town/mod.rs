//! A town for stories: one real server, people with homes of their own, the real binaries.
//!
//! Everything lives under one scratch directory; the server dies with the town.

mod running;

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use mathia_testkit::lines::Lines;
pub(crate) use running::Running;
use serde_json::Value;

/// How long anything may take before a story fails: many times what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// The server's binary: the one that `MATHIA_TEST_SERVER` names, since whoever sets it has just built
/// it, else one that is built now by the same cargo that runs the tests.
fn server_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(built) = std::env::var_os("MATHIA_TEST_SERVER") {
            return built.into();
        }
        let client = Path::new(env!("CARGO_BIN_EXE_mathia-tui"));
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "mathia-server", "--bin", "mathia-server"])
            .args(
                client
                    .components()
                    .any(|part| part.as_os_str() == "release")
                    .then_some("--release"),
            )
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(built.success(), "the server does not build");
        client.with_file_name("mathia-server")
    })
}

/// A server and a place for people.
pub(crate) struct Town {
    root: tempfile::TempDir,
    server: Option<Child>,
    has_assistant: bool,
    address: String,
    admin_link: String,
}

impl Town {
    /// Starts a server on a free port of the loopback.
    pub(crate) fn start() -> Self {
        Self::start_with(false, |_| {})
    }

    /// Starts a server with its assistant, which has no model.
    pub(crate) fn start_with_assistant() -> Self {
        Self::start_with(true, |_| {})
    }

    /// Starts a server whose assistant is configured so.
    pub(crate) fn start_configured(config: &str) -> Self {
        Self::start_with(true, |data| fs::write(config_beside(data), config).unwrap())
    }

    /// Starts a server in a data directory that was prepared.
    pub(crate) fn start_in(prepare: impl FnOnce(&Path)) -> Self {
        Self::start_with(false, prepare)
    }

    fn start_with(has_assistant: bool, prepare: impl FnOnce(&Path)) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut town = Self {
            root,
            server: None,
            has_assistant,
            address: "127.0.0.1:0".to_owned(),
            admin_link: String::new(),
        };
        fs::create_dir(town.server_data()).unwrap();
        prepare(&town.server_data());
        town.start_server();
        town
    }

    /// Where the server keeps everything.
    pub(crate) fn server_data(&self) -> PathBuf {
        self.root.path().join("server")
    }

    /// The link that the first start printed.
    pub(crate) fn admin_link(&self) -> &str {
        &self.admin_link
    }

    /// `host:port` of the server.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Starts the server, on the port it had before.
    pub(crate) fn start_server(&mut self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.root.path().join("server.log"))
            .unwrap();
        let config = Some(config_beside(&self.server_data())).filter(|config| config.exists());
        let mut server = Command::new(server_binary())
            .args(["serve", "--listen", &self.address, "--data"])
            .arg(self.server_data())
            .args((!self.has_assistant).then_some("--no-assistant"))
            .args(config.iter().flat_map(|config| [Path::new("--config"), config]))
            .env("MATHIA_LOG", "trace")
            .env("RUST_LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let lines = Lines::of(server.stdout.take().unwrap());
        self.server = Some(server);
        let greeting = lines.greeting().unwrap();
        self.address = greeting.address;
        if let Some(link) = greeting.admin_link {
            self.admin_link = link;
        }
    }

    /// Runs a command of the operator to its end.
    pub(crate) fn operates(&self, args: &[&str]) -> Ran {
        let output =
            Command::new(server_binary()).args(args).arg("--data").arg(self.server_data()).output();
        Ran::of("operator", args, output.unwrap())
    }

    /// Starts a server that cannot serve, and waits for its end.
    pub(crate) fn fails_to_serve(&self) -> Ran {
        self.operates(&["serve", "--listen", &self.address])
    }

    /// Waits until the server has ended by itself.
    pub(crate) fn server_ends(&mut self) -> ExitStatus {
        let mut server = self.server.take().unwrap();
        let process = server.id();
        let (sender, ended) = channel();
        std::thread::spawn(move || sender.send(server.wait()));
        let Ok(status) = ended.recv_timeout(PATIENCE) else {
            signal("KILL", process);
            panic!("the server does not end");
        };
        status.unwrap()
    }

    /// Kills the server without a word.
    pub(crate) fn kill_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Lets the server sleep: its socket takes what comes, nobody answers.
    pub(crate) fn freeze_server(&self) {
        signal("STOP", self.server.as_ref().unwrap().id());
    }

    /// Wakes the server.
    pub(crate) fn thaw_server(&self) {
        signal("CONT", self.server.as_ref().unwrap().id());
    }

    /// Everything the server has ever logged, at the finest level.
    pub(crate) fn server_log(&self) -> Vec<u8> {
        fs::read(self.root.path().join("server.log")).unwrap()
    }

    /// Somebody with a home and without an account.
    pub(crate) fn stranger(&self, name: &str) -> Person {
        let home = self.root.path().join("home").join(name);
        fs::create_dir_all(&home).unwrap();
        Person { name: name.to_owned(), home, has_log: true }
    }

    /// The first person, by the link of the first start.
    pub(crate) fn first(&self, name: &str) -> Person {
        self.joiner(name, &self.admin_link)
    }

    /// Somebody who joins by a link.
    pub(crate) fn joiner(&self, name: &str, link: &str) -> Person {
        let person = self.stranger(name);
        person.run(&["join", link, "--name", name]).succeeds();
        person
    }

    /// Ann, and others she invited, all in a sealed room `team`.
    pub(crate) fn team(&self, names: &[&str]) -> Vec<Person> {
        let mut people = vec![self.first(names[0])];
        people[0].run(&["room", "create", "team"]).succeeds();
        for name in &names[1..] {
            let link = people[0].run(&["invite"]).succeeds().out.trim().to_owned();
            people.push(self.joiner(name, &link));
        }
        let mut add = vec!["room", "add", "team"];
        add.extend(&names[1..]);
        people[0].run(&add).succeeds();
        people
    }
}

/// Where the configuration of the server with this data lies, if it has one.
fn config_beside(data: &Path) -> PathBuf {
    data.with_file_name("server.toml")
}

impl Drop for Town {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // A frozen process cannot die; a dead one does not mind.
            drop(server.kill());
            drop(server.wait());
        }
    }
}

/// Sends a signal by name; the crates hold no unsafe code, so `kill` does it.
pub(crate) fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Somebody with a home.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) home: PathBuf,
    /// Whether commands write a log, at the finest level.
    pub(crate) has_log: bool,
}

impl Person {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mathia-tui"));
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("MATHIA_HOME", &self.home)
            .env("TZ", "UTC")
            .env("LANG", "C.UTF-8");
        if self.has_log {
            command.env("MATHIA_LOG", "trace");
        }
        command
    }

    /// Runs a command to its end, with nothing on stdin.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, "")
    }

    /// Runs a command to its end, with a text on stdin.
    pub(crate) fn run_with(&self, args: &[&str], stdin: &str) -> Ran {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // A command that refuses early does not read: that is its answer.
        drop(pipe.write_all(stdin.as_bytes()));
        drop(pipe);
        Ran::of(&self.name, args, child.wait_with_output().unwrap())
    }

    /// Runs a command beside the story.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        let stdin = child.stdin.take();
        Running { child, lines, _stdin: stdin }
    }

    /// Says something in a room.
    pub(crate) fn says(&self, room: &str, text: &str) -> Value {
        self.run(&["send", room, text, "--json"]).succeeds().json().remove(0)
    }

    /// All messages of a room as JSON lines.
    pub(crate) fn messages(&self, room: &str) -> Vec<Value> {
        let mut lines = self.run(&["history", room, "--json", "-n", "1000"]).succeeds().json();
        lines.retain(|line| line["type"] == "message");
        lines
    }

    /// The texts of a room, in order.
    pub(crate) fn texts(&self, room: &str) -> Vec<String> {
        let text = |line: &Value| line["text"].as_str().unwrap().to_owned();
        self.messages(room).iter().map(text).collect()
    }

    /// The line of one room in `rooms`.
    pub(crate) fn room(&self, room: &str) -> Value {
        let lines = self.run(&["rooms", "--json"]).succeeds().json();
        lines.into_iter().find(|line| line["room"] == room).unwrap_or_else(|| panic!("no {room}"))
    }

    /// Repeats a question until the answer is as wanted.
    pub(crate) fn waits_until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "{} waited in vain for {what}", self.name);
        }
    }
}

/// A command that ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Who ran what: read when an assertion shows the whole.
    #[expect(dead_code, reason = "shown by the assertions that fail")]
    pub(crate) line: String,
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    fn of(name: &str, args: &[&str], output: Output) -> Self {
        Self {
            line: format!("{name}: {}", args.join(" ")),
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// It ended with 0.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        self.ends_with(0)
    }

    /// It ended with this code; a failure says `error:` on stderr and nothing on stdout.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        if code != 0 && code != 124 {
            assert!(self.err.lines().any(|line| line.starts_with("error: ")), "{self:#?}");
        }
        self
    }

    /// stdout as JSON lines.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        let line = |line: &str| -> Value {
            let value: Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["v"], 1, "{line}");
            assert!(value["type"].is_string(), "{line}");
            value
        };
        self.out.lines().map(line).collect()
    }
}

/// Whether a needle lies in any file under a directory; returns the file.
pub(crate) fn find_in_files(dir: &Path, needle: &[u8]) -> Option<PathBuf> {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if let Some(found) = find_in_files(&path, needle) {
                return Some(found);
            }
            continue;
        }
        let mut bytes = Vec::new();
        // Sockets and files that vanish meanwhile hold nothing.
        let Ok(mut file) = fs::File::open(&path) else { continue };
        if file.read_to_end(&mut bytes).is_ok() && holds(&bytes, needle) {
            return Some(path);
        }
    }
    None
}

/// Whether bytes hold a needle.
pub(crate) fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
