//! The interactive client: a pure core (model, message, update, effect, view) in a thin shell.

pub mod composer;
pub mod now;
pub mod wrap;
