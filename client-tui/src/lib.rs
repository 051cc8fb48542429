//! The mathia terminal client as a library, so that tests and the binary share one core.
//!
//! - [`app`]: the interactive client: model, message, update, effect, view;
//! - [`safe_text`]: the one type through which remote text reaches a terminal.

pub mod app;
pub mod safe_text;
