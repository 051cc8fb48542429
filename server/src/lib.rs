//! The mathia server: orders, stores and enforces; never an authority over who is in a room or who
//! said what.
//!
//! Arrows point one way: `program` → `admin` → `serve` → `session` → `rooms` → `accounts`, `hub`,
//! `store` → the protocol crate. `tests/layers.rs` has every arrow, and fails on any other.

pub mod accounts;
pub mod admin;
pub mod assistant;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod damage;
pub mod data_dir;
pub mod duration_text;
pub mod error_text;
pub mod hub;
pub mod limits;
pub mod model_address;
pub mod program;
pub mod rate;
pub mod refusal;
pub mod rooms;
pub mod serve;
pub mod session;
pub mod store;
pub mod telemetry;

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Exit code of a command that failed.
pub const EXIT_FAILED: u8 = 1;
/// Exit code of a bad configuration (`EX_CONFIG`): a service manager does not try again.
pub const EXIT_CONFIG: u8 = 78;
