//! The outcome of a key press in the part of the screen that has the keys.

use crate::app::effect::Effect;

/// Whether an action meant something where its key was pressed.
#[derive(Debug)]
pub(super) enum KeyOutcome {
    /// It did, and this must be done now.
    Handled(Vec<Effect>),
    /// It did not: the action may have a meaning everywhere.
    Ignored,
}

impl KeyOutcome {
    /// Handled inside the model; nothing is to be done outside.
    pub(super) fn done() -> Self {
        Self::Handled(Vec::new())
    }
}
