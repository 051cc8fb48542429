//! Exit codes of the commands, and the failure that carries one with its message.
//!
//! The numbers are a promise to scripts (stated in the manual): never reuse or renumber one.

use mathia_protocol::client::CommandError;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// Something failed that no other code names.
    Failed = 1,
    /// The command line or a value on it is wrong; nothing was sent.
    Usage = 2,
    /// No such room, person, message or profile.
    NotFound = 3,
    /// Not joined yet, the device is revoked, or a key file may not be read.
    NotLoggedIn = 4,
    /// The server cannot be reached; nothing was sent.
    Unreachable = 5,
    /// Sent or queued, but not yet acknowledged.
    Queued = 6,
    /// Refused by a room's or the server's rules.
    Refused = 7,
    /// A limit is reached: wait, then try again.
    Limited = 8,
    /// An identity or a log failed verification: never retry by itself.
    Untrusted = 9,
    /// The configuration is wrong (`EX_CONFIG` of sysexits).
    BadConfig = 78,
    /// The own `--timeout` ran out.
    TimedOut = 124,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ends without success: a code for scripts, a line and a hint for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What happened: lower case, no full stop. Empty: nothing is printed.
    pub message: String,
    /// What to do, if anything helps.
    pub hint: Option<String>,
}

impl Failure {
    /// Makes a failure without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// Ends with a code and no words: all was said before.
    pub fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether the reader of our output went away, which is no failure at all.
    pub fn is_broken_pipe(&self) -> bool {
        self.exit == Exit::Ok
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            // `mathia-tui tail | head -1` is a success for everybody.
            return Self::silent(Exit::Ok);
        }
        Self::new(Exit::Failed, error.to_string())
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let exit = match &error {
            CommandError::NotFound(_) => Exit::NotFound,
            CommandError::Ambiguous(_) | CommandError::Invalid(_) => Exit::Usage,
            CommandError::Refused(_) => Exit::Refused,
            CommandError::Untrusted(_) => Exit::Untrusted,
            CommandError::NotLoggedIn(_) => Exit::NotLoggedIn,
            CommandError::Offline(_) => Exit::Unreachable,
            CommandError::TimedOut => Exit::Queued,
            CommandError::RateLimited { .. } => Exit::Limited,
            CommandError::Storage(_) | CommandError::Stopped => Exit::Failed,
        };
        let failure = Self::new(exit, error.to_string());
        match error {
            CommandError::Offline(_) => {
                failure.hint("nothing was sent; `mathia-tui doctor` checks the connection")
            }
            CommandError::TimedOut => {
                failure.hint("it may have happened: look before doing it again")
            }
            CommandError::Storage(_) => {
                failure.hint("free some space or check the directory with `mathia-tui doctor`")
            }
            CommandError::NotLoggedIn(_) => {
                failure.hint("`mathia-tui join LINK --name NAME` makes an account")
            }
            _ => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_a_command_fails_has_its_promised_code() {
        let text = || "x".to_owned();
        let table = [
            (CommandError::NotFound(text()), 3),
            (CommandError::Ambiguous(text()), 2),
            (CommandError::Invalid(text()), 2),
            (CommandError::Refused(text()), 7),
            (CommandError::Untrusted(text()), 9),
            (CommandError::NotLoggedIn(text()), 4),
            (CommandError::Offline(text()), 5),
            (CommandError::TimedOut, 6),
            (CommandError::RateLimited { retry_after_ms: 1 }, 8),
            (CommandError::Storage(text()), 1),
            (CommandError::Stopped, 1),
        ];
        for (error, code) in table {
            assert_eq!(Failure::from(error.clone()).exit as u8, code, "{error:?}");
        }
    }

    #[test]
    fn the_numbers_are_the_ones_scripts_know() {
        let numbers = [
            Exit::Ok,
            Exit::Failed,
            Exit::Usage,
            Exit::NotFound,
            Exit::NotLoggedIn,
            Exit::Unreachable,
            Exit::Queued,
            Exit::Refused,
            Exit::Limited,
            Exit::Untrusted,
            Exit::BadConfig,
            Exit::TimedOut,
            Exit::Interrupted,
            Exit::Terminated,
        ]
        .map(|exit| exit as u8);
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 78, 124, 130, 143]);
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let gone = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(Failure::from(gone).is_broken_pipe());
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(Failure::from(full).exit, Exit::Failed);
    }
}
