//! Commands and servers that run beside a story, and what they print.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use serde_json::Value;

use super::{PATIENCE, signal};

/// A command that runs beside the story.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(super) lines: Lines,
    pub(super) _stdin: Option<ChildStdin>,
}

impl Running {
    /// Waits for the next message on its stdout.
    #[track_caller]
    pub(crate) fn hears(&self) -> Value {
        loop {
            let line: Value = serde_json::from_str(&self.lines.next("a message")).unwrap();
            if line["type"] == "message" {
                return line;
            }
        }
    }

    /// Waits for a line of this type.
    #[track_caller]
    pub(crate) fn sees(&self, kind: &str) -> Value {
        loop {
            let line: Value = serde_json::from_str(&self.lines.next(kind)).unwrap();
            if line["type"] == kind {
                return line;
            }
        }
    }

    /// Waits for its end and returns the exit code.
    pub(crate) fn ends(mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "it does not end");
            // Its stdout closes when it ends: that is the event to wait for.
            drop(self.lines.until_closed());
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Lines of a pipe, read by a thread so that waiting has an end.
pub(crate) struct Lines(Receiver<String>);

impl Lines {
    pub(super) fn of(pipe: impl std::io::Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self(lines)
    }

    #[track_caller]
    pub(super) fn next(&self, what: &str) -> String {
        match self.0.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("waited in vain for {what}"),
            Err(RecvTimeoutError::Disconnected) => panic!("it ended before {what}"),
        }
    }

    fn until_closed(&self) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut rest = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.0.recv_timeout(left) {
                Ok(line) => rest.push(line),
                Err(_) => return rest,
            }
        }
    }
}
