//! A terminal with a program in it: keys in, what a person would see out.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

use std::io::{Read as _, Write};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// How long anything may take before a story fails.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// What terminals are asked, and what a plain one with a given background answers.
const WHO_ARE_YOU: &[u8] = b"\x1b[c";
const A_PLAIN_ONE: &[u8] = b"\x1b[?62;c";
const WHAT_BACKGROUND: &[u8] = b"\x1b]11;?\x1b\\";

/// A terminal with a program in it.
pub struct Screen {
    /// The program.
    pub child: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    /// Everything the program wrote.
    pub written: Vec<u8>,
    /// What is answered when the program asks for the background; nothing by most.
    background: Option<&'static str>,
    /// Whether anything is answered at all.
    answers: bool,
    _master: Box<dyn MasterPty + Send>,
}

impl Screen {
    /// Opens a program in a terminal of some columns and rows.
    pub fn open(command: CommandBuilder, (cols, rows): (u16, u16)) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).unwrap();
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
        let there_are = |n| NonZero::new(n).unwrap();
        let parser = vt100::Parser::new(there_are(rows), there_are(cols), 0);
        Self {
            child,
            keyboard,
            output,
            parser,
            written: Vec::new(),
            background: None,
            answers: true,
            _master: pty.master,
        }
    }

    /// A terminal that tells its background when it is asked.
    #[must_use]
    pub fn with_background(mut self, answer: &'static str) -> Self {
        self.background = Some(answer);
        self
    }

    /// A terminal that answers nothing whatever it is asked.
    #[must_use]
    pub fn without_answers(mut self) -> Self {
        self.answers = false;
        self
    }

    /// Presses keys.
    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Pastes a text, as a terminal does with bracketed paste.
    pub fn pastes(&mut self, text: &str) {
        self.types(&format!("\x1b[200~{text}\x1b[201~"));
    }

    /// What is seen now.
    pub fn contents(&self) -> String {
        self.parser.screen().contents()
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    pub fn shows(&mut self, text: &str) {
        self.until(&format!("{text:?}"), |screen| screen.contains(text));
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    pub fn until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(&self.contents()) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(self.read(left).is_ok(), "waited in vain for {what}:\n{}", self.contents());
        }
    }

    /// Takes in a piece of what the program writes, and answers what it asks.
    pub fn read(&mut self, patience: Duration) -> Result<(), RecvTimeoutError> {
        let bytes = self.output.recv_timeout(patience)?;
        let asks = |question: &[u8]| bytes.windows(question.len()).any(|part| part == question);
        if let Some(answer) = self.background.filter(|_| asks(WHAT_BACKGROUND)) {
            self.keyboard.write_all(answer.as_bytes()).unwrap();
        }
        if self.answers && asks(WHO_ARE_YOU) {
            self.keyboard.write_all(A_PLAIN_ONE).unwrap();
        }
        self.parser.process(&bytes);
        self.written.extend(bytes);
        Ok(())
    }

    /// Waits for the program to end, and checks that the terminal is as it was.
    #[track_caller]
    pub fn ends_with(mut self, code: u32) {
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
