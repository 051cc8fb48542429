//! The mathia terminal client as a library, so that tests and the binary share one core.
//!
//! - [`app`]: the interactive client: model, message, update, effect, view; [`interactive`] runs it
//!   on a real account;
//! - [`face`]: the commands, each printing data to stdout and talk to stderr;
//! - [`safe_text`]: the one type through which remote text reaches a terminal;
//! - [`cli`], [`config`], [`paths`], [`profile`], [`enrol`], [`known_servers`], [`output`], [`exit`],
//!   [`clock`], [`nearest`], `asking`: what both kinds of faces stand on.

pub mod app;
mod asking;
pub mod cli;
pub mod clock;
pub mod config;
pub mod enrol;
pub mod exit;
pub mod face;
pub mod interactive;
pub mod known_servers;
pub mod nearest;
pub mod output;
pub mod paths;
pub mod profile;
pub mod safe_text;
