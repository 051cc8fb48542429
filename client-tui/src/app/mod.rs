//! The interactive client: a pure core (model, message, update, effect, view) in a thin shell.
//!
//! What happens is a [`message::Msg`]; [`update::update`] folds it into the [`model::Model`] and
//! returns [`effect::Effect`]s; [`view::draw`] shows the model. None of these does any input or
//! output, so that every screen and every key can be tested without a terminal. The shell around
//! them is [`runtime::run`], over the traits of [`session`].

pub mod action;
mod background;
pub mod chord;
mod clock;
mod command_queues;
pub mod composer;
pub mod effect;
mod emoji_picker;
mod explain;
mod input;
pub mod join;
pub mod keymap;
mod layout;
pub mod message;
pub mod model;
pub mod now;
pub mod runtime;
pub mod session;
mod signals;
pub mod slash;
pub mod stamp;
mod switcher;
mod terminal;
pub mod theme;
pub mod update;
pub mod view;
pub mod wrap;
