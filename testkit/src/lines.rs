//! What a program prints, line by line, and how long it is waited for.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::TestResult;

/// How long a line may take: many times what it takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Lines of a pipe, read by a thread so that waiting has an end, and so that the program is never
/// held up by a full pipe.
pub struct Lines(Receiver<String>);

/// What a server says before it serves.
pub struct Greeting {
    /// `ADDR:PORT` it listens on.
    pub address: String,
    /// The first start's link for the one who runs it.
    pub admin_link: Option<String>,
}

impl Lines {
    /// Reads a pipe to its end.
    pub fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut is_heard = true;
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                is_heard = is_heard && sender.send(line).is_ok();
            }
        });
        Self(lines)
    }

    /// Waits for the next line; `what` is expected, for the message if it does not come.
    pub fn next(&self, what: &str) -> TestResult<String> {
        self.0.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("waited in vain for {what}").into(),
            RecvTimeoutError::Disconnected => format!("it ended before {what}").into(),
        })
    }

    /// Waits until a server listens.
    pub fn greeting(&self) -> TestResult<Greeting> {
        let mut admin_link = None;
        loop {
            let line = self.next("the server listened")?;
            if let Some(link) = line.strip_prefix("admin invite ") {
                admin_link = Some(link.to_owned());
            }
            if let Some(address) = line.strip_prefix("listening ") {
                return Ok(Greeting { address: address.to_owned(), admin_link });
            }
        }
    }

    /// Everything up to the end of the pipe.
    pub fn until_closed(&self) -> Vec<String> {
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
