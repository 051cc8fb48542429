//! The panel about the connection.

use super::{BACK, Panel, PanelRow};
use crate::app::action::Action;
use crate::app::model::Model;
use crate::app::model::connection::Connection;
use crate::app::stamp;

/// The panel about the connection.
pub(super) fn panel(model: &Model) -> Panel {
    let run = model.now.run;
    let mut rows = match &model.connection {
        Connection::Starting => vec![PanelRow::Text("The first attempt is under way.".to_owned())],
        Connection::Reconnecting { lost_at } => vec![PanelRow::Text(format!(
            "Connecting again; the connection was lost {} ago.",
            stamp::running(run.saturating_sub(*lost_at))
        ))],
        Connection::Online { rtt, is_caught_up } => {
            let caught_up = if *is_caught_up {
                "Everything the server had at login is here."
            } else {
                "Catching up with what was said meanwhile."
            };
            let rtt = rtt.as_millis().max(1);
            let mut rows = vec![PanelRow::Text(format!("Connected; a round trip takes {rtt} ms."))];
            rows.push(match model.unanswered() {
                Some(waited) => PanelRow::Warn(format!(
                    "But nothing was answered for {}: the server or the way to it may be gone. \
                     What you wrote is kept, and sent again once that is certain.",
                    stamp::running(waited)
                )),
                None => PanelRow::Text(caught_up.to_owned()),
            });
            rows
        }
        Connection::Offline { lost_at, retry_at, cause } => vec![
            PanelRow::Warn(sentence(cause.as_str())),
            PanelRow::Text(format!(
                "Offline for {}; the next attempt begins in {} s. {} tries now.",
                stamp::running(run.saturating_sub(*lost_at)),
                retry_at.saturating_sub(run).as_secs(),
                model.key(Action::ConnectNow)
            )),
            PanelRow::Quiet("You can read and write meanwhile; it is sent by itself.".to_owned()),
        ],
        Connection::Stopped { cause, is_untrusted } => {
            let next = if *is_untrusted {
                "Nothing more is sent until a person has looked into it."
            } else {
                "No further attempt is made."
            };
            vec![PanelRow::Warn(sentence(cause.as_str())), PanelRow::Text(next.to_owned())]
        }
    };
    let n_queued = model.n_queued();
    rows.push(PanelRow::Quiet(match n_queued {
        0 => "Everything you wrote is sent.".to_owned(),
        1 => "One text waits to be sent (/outbox).".to_owned(),
        n => format!("{n} texts wait to be sent (/outbox)."),
    }));
    Panel { title: "connection".to_owned(), rows, actions: vec![BACK] }
}

/// A cause as a sentence of its own.
fn sentence(cause: &str) -> String {
    let mut chars = cause.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let end = if cause.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}
