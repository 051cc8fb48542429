//! Stories of people in front of a terminal: the real binary on a pseudo-terminal, a real server.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

#[expect(dead_code, reason = "the stories of the commands use the rest")]
mod town;

use std::io::{Read as _, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use town::{Person, Town, signal};

/// How long anything may take before a story fails.
const PATIENCE: Duration = Duration::from_mins(1);
const SIZE: PtySize = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
/// What a terminal is asked to say what it is, and what a plain one answers.
const WHO_ARE_YOU: &[u8] = b"\x1b[c";
const A_PLAIN_ONE: &[u8] = b"\x1b[?62;c";

/// A person's terminal with the interactive client in it.
struct Screen {
    child: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    /// Everything the program wrote.
    written: Vec<u8>,
    _master: Box<dyn MasterPty + Send>,
}

impl Screen {
    /// Opens the client of a person.
    fn of(person: &Person) -> Self {
        let pty = native_pty_system().openpty(SIZE).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_mathia-tui"));
        command.env_clear();
        command.env("MATHIA_HOME", &person.home);
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        command.env("TZ", "UTC");
        let child = pty.slave.spawn_command(command).unwrap();
        let mut reader = pty.master.try_clone_reader().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n_bytes @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..n_bytes].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keyboard = pty.master.take_writer().unwrap();
        // Twenty-four rows of eighty columns, as `SIZE`.
        let parser = vt100::Parser::default();
        let written = Vec::new();
        Self { child, keyboard, output, parser, written, _master: pty.master }
    }

    fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    fn pastes(&mut self, text: &str) {
        self.types(&format!("\x1b[200~{text}\x1b[201~"));
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    fn shows(&mut self, text: &str) {
        self.until(&format!("{text:?}"), |screen| screen.contains(text));
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(&self.parser.screen().contents()) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                self.read(left).is_ok(),
                "waited in vain for {what}:\n{}",
                self.parser.screen().contents()
            );
        }
    }

    fn read(&mut self, patience: Duration) -> Result<(), RecvTimeoutError> {
        let bytes = self.output.recv_timeout(patience)?;
        if bytes.windows(WHO_ARE_YOU.len()).any(|window| window == WHO_ARE_YOU) {
            self.keyboard.write_all(A_PLAIN_ONE).unwrap();
        }
        self.parser.process(&bytes);
        self.written.extend(bytes);
        Ok(())
    }

    /// Waits for the program to end, and checks that the terminal is as it was.
    #[track_caller]
    fn ends_with(mut self, code: u32) {
        while self.read(PATIENCE).is_ok() {}
        assert_eq!(self.child.wait().unwrap().exit_code(), code);
        assert!(!self.parser.screen().alternate_screen(), "the other page is left");
        assert!(!self.parser.screen().hide_cursor(), "the cursor is back");
        let written = String::from_utf8_lossy(&self.written);
        for off in ["\x1b[?2004l", "\x1b[?1004l", "\x1b[23;0t"] {
            assert!(written.contains(off), "{off:?} was not written");
        }
    }
}

/// How many drafts a person's replica keeps.
fn n_drafts(person: &Person) -> u32 {
    let store = person.home.join("data/main/store.sqlite");
    let connection = rusqlite::Connection::open(store).unwrap();
    connection.query_row("SELECT count(*) FROM drafts", [], |row| row.get(0)).unwrap()
}

/// The main line on a screen: somebody reads what arrives and answers.
#[test]
fn a_conversation_between_a_screen_and_a_command() {
    let town = Town::start();
    let people = town.team(&["ann", "bob"]);
    let mut screen = Screen::of(&people[0]);
    screen.shows("team");
    screen.shows("all sent");
    people[1].says("team", "hello @ann");
    screen.shows("hello @ann");
    screen.types("안녕 bob\r");
    screen.shows("안녕 bob");
    people[1].waits_until("the answer", |bob| bob.texts("team").contains(&"안녕 bob".to_owned()));
    screen.shows("✓✓");
    screen.types("\x04");
    screen.ends_with(0);
}

#[test]
fn the_first_start_leads_from_a_link_to_a_room() {
    let town = Town::start();
    let ann = town.stranger("ann");
    let mut screen = Screen::of(&ann);
    screen.shows("Paste the invite link");
    screen.pastes(town.admin_link());
    screen.types("\r");
    screen.shows("What should the others call you?");
    screen.types("ann\r");
    screen.shows("Write these words down");
    screen.shows("24 ");
    screen.types("\r");
    screen.shows("You are in no room yet.");
    screen.types("/create team\r");
    screen.shows("▣ sealed");
    screen.types("first words\r");
    screen.shows("✓");
    screen.types("\x04");
    screen.ends_with(0);
    assert_eq!(ann.texts("team"), ["first words"]);
}

/// Nothing typed or sent is lost when the client is killed and the server is away.
#[test]
fn drafts_and_queued_texts_survive_a_crash() {
    let mut town = Town::start();
    let people = town.team(&["ann", "bob"]);
    let mut screen = Screen::of(&people[0]);
    screen.shows("all sent");
    screen.types("warm up\r");
    screen.shows("✓");
    town.kill_server();
    screen.types("said while the server was away\r");
    screen.shows("1 ");
    screen.types("a thought not finished");
    people[0].waits_until("the draft to be kept", |ann| n_drafts(ann) == 1);
    signal("KILL", screen.child.process_id().unwrap());
    drop(screen);
    let mut screen = Screen::of(&people[0]);
    screen.shows("said while the server was away");
    screen.shows("› a thought not finished");
    town.start_server();
    people[1].waits_until("the queued text", |bob| {
        bob.texts("team").contains(&"said while the server was away".to_owned())
    });
    screen.types("\x15\x04");
    screen.ends_with(0);
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let town = Town::start();
    let mut screen = Screen::of(&town.first("ann"));
    screen.shows("You are in no room yet.");
    signal("TERM", screen.child.process_id().unwrap());
    screen.ends_with(143);
}
