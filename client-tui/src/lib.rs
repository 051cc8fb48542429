//! The mathia terminal client as a library, so that tests and the binary share one core.
//!
//! - [`app`]: the interactive client: model, message, update, effect, view; [`interactive`] runs it
//!   on a real account;
//! - [`commands`]: the commands of the command line;
//! - [`output`]: what they print: data to stdout, messages to stderr;
//! - [`safe_text`]: the one type through which remote text reaches a terminal;
//! - [`cli`], [`config`], [`paths`], [`profile`], [`registration`], [`known_servers`], [`exit`],
//!   [`clock`], [`nearest`], `asking`: what [`app`] and [`commands`] are built on.

pub mod app;
mod asking;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
mod emoji;
pub mod exit;
pub mod interactive;
pub mod known_servers;
pub mod nearest;
pub mod output;
pub mod paths;
pub mod profile;
pub mod registration;
pub mod safe_text;
