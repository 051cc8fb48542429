//! The context of a command, and the failure that all commands share.

use tokio_util::sync::CancellationToken;

use super::prompt::Prompt;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::paths::Paths;

/// Everything a command may use besides its arguments.
#[derive(Debug)]
pub struct CommandContext<'a> {
    /// Where data and messages go.
    pub out: Output<'a>,
    /// The places of the profile.
    pub paths: Paths,
    /// What the person configured.
    pub config: Config,
    /// What is wrong with the configuration; it was reported already.
    pub warnings: Vec<String>,
    /// What may be asked, and what is answered already.
    pub prompt: Prompt,
    /// Cancelled when the process should end (SIGINT, SIGTERM).
    pub stop: CancellationToken,
}

/// The failure for an answer of the engine that does not belong to the command: a bug.
pub(super) fn out_of_turn() -> Failure {
    Failure::new(Exit::Failed, "the client engine answered something else than was asked")
}
