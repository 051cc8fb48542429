//! The interactive client: a pure core (model, message, update, effect, view) in a thin shell.

pub mod action;
pub mod composer;
pub mod keymap;
pub mod now;
pub mod slash;
pub mod theme;
pub mod wrap;
