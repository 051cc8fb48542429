//! Commands and servers that run beside a story, and what they print.

use std::process::{Child, ChildStdin};
use std::time::Instant;

use mathia_testkit::lines::Lines;
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
            let line: Value = serde_json::from_str(&self.lines.next("a message").unwrap()).unwrap();
            if line["type"] == "message" {
                return line;
            }
        }
    }

    /// Waits for a line of this type.
    #[track_caller]
    pub(crate) fn sees(&self, kind: &str) -> Value {
        loop {
            let line: Value = serde_json::from_str(&self.lines.next(kind).unwrap()).unwrap();
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
