//! Notices above the composer, the bell and the clipboard.
//!
//! Owns how long a notice stays and how often the bell may ring.

use std::time::Duration;

use crate::app::effect::{CLIPBOARD_LEN_MAX, Effect};
use crate::app::model::{Model, Notice};
use crate::safe_text::SafeText;

/// The bell rings at most this often, however much arrives.
const BELL_INTERVAL: Duration = Duration::from_secs(2);
/// How long a notice stays.
const NOTICE_TIME: Duration = Duration::from_secs(8);

/// Shows a sentence above the composer for a while.
pub(super) fn show(model: &mut Model, text: &str) {
    put(model, text, false);
}

/// Shows an error above the composer for a while.
pub(super) fn show_error(model: &mut Model, text: &str) {
    put(model, text, true);
}

fn put(model: &mut Model, text: &str, is_error: bool) {
    let until = model.now.run + NOTICE_TIME;
    model.notice = Some(Notice { text: SafeText::line(text), is_error, until });
}

/// Rings the bell, unless it rang just now.
pub(super) fn ring(model: &mut Model) -> Option<Effect> {
    let run = model.now.run;
    if model.rang_at.is_some_and(|rang_at| run < rang_at + BELL_INTERVAL) {
        return None;
    }
    model.rang_at = Some(run);
    Some(Effect::Bell)
}

/// Copies a text through the terminal and reports it; a text that is too long is not copied.
pub(super) fn copy(model: &mut Model, what: &str, text: String) -> Vec<Effect> {
    if text.len() > CLIPBOARD_LEN_MAX {
        show_error(model, "This is too long for the terminal's clipboard; nothing was copied.");
        return Vec::new();
    }
    // Terminals do not answer: some keep the clipboard to themselves.
    show(model, &format!("Copied {what} through the terminal (OSC 52)."));
    vec![Effect::Copy(text)]
}
