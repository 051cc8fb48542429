//! What all commands share: their error, and the start by the configuration.

use std::path::Path;

use crate::config::Config;
use crate::error_text::with_causes;
use crate::{EXIT_CONFIG, telemetry};

/// Why a command failed: the exit code, what happened, what to do.
#[derive(Debug)]
pub struct CommandError {
    /// The exit code.
    pub code: u8,
    /// What happened, with causes.
    pub error: String,
    /// What to do, possibly empty.
    pub hint: String,
}

impl CommandError {
    /// An error with a hint.
    pub fn new(code: u8, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, error: error.into(), hint: hint.into() }
    }
}

/// Reads the configuration, if one is named, and starts logging by it.
///
/// # Errors
///
/// [`CommandError`] with 78 for an invalid configuration.
pub fn load_config(path: Option<&Path>) -> Result<Config, CommandError> {
    let config = match path {
        Some(path) => Config::read(path).map_err(|error| {
            CommandError::new(
                EXIT_CONFIG,
                with_causes(&error),
                "mathia-server check-config FILE checks it",
            )
        })?,
        None => Config::default(),
    };
    telemetry::start_logging(&config.log)
        .map_err(|error| CommandError::new(EXIT_CONFIG, error, "see [log] level"))?;
    Ok(config)
}
