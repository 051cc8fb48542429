//! The own devices, safety numbers, invites.

use mathia_protocol::client::TrustState;
use mathia_protocol::id::AccountId;

use super::{BACK, Panel, PanelRow};
use crate::app::action::Action;
use crate::app::model::Model;
use crate::app::model::overlay::DeviceLine;
use crate::safe_text::SafeText;

/// The own devices.
pub(super) fn devices(model: &Model, devices: &[DeviceLine]) -> Panel {
    let mut rows: Vec<PanelRow> = devices
        .iter()
        .map(|device| {
            let made = model.time_format.moment(device.created, model.now.wall);
            let state = match device {
                DeviceLine { is_revoked: true, .. } => " · revoked",
                DeviceLine { is_this: true, .. } => " · this one",
                _ => "",
            };
            let text = format!("{} · since {made} · {}{state}", device.os, device.id);
            PanelRow::Pair(device.name.as_str().to_owned(), text)
        })
        .collect();
    rows.push(PanelRow::Space);
    let revoke = "A lost device: mathia-tui device revoke ID, in a shell.";
    rows.push(PanelRow::Quiet(revoke.to_owned()));
    Panel { title: "your devices".to_owned(), rows, actions: vec![BACK] }
}

/// The safety number with a person.
pub(super) fn safety(
    model: &Model,
    account: AccountId,
    handle: &SafeText,
    (digits, asks): (&str, bool),
) -> Panel {
    let mut rows = vec![PanelRow::Text(format!(
        "Read these digits to {handle}, in person or in a call. If both of you see the same, \
         nobody stands between you."
    ))];
    rows.push(PanelRow::Space);
    rows.extend(digit_rows(digits).into_iter().map(PanelRow::Shown));
    rows.push(PanelRow::Space);
    rows.push(match model.people.get(account).map(|person| person.trust) {
        Some(TrustState::Verified) => PanelRow::Quiet("You have compared them before.".to_owned()),
        Some(TrustState::Changed) => PanelRow::Warn(format!(
            "{handle} has another identity than before. Nothing is sent to it until you compare."
        )),
        _ => PanelRow::Quiet("You have not compared them yet.".to_owned()),
    });
    let agree = asks.then_some((Action::Confirm, "they agree"));
    let actions = agree.into_iter().chain([(Action::Copy, "copy"), BACK]).collect();
    Panel { title: format!("safety number with {handle}"), rows, actions }
}

/// Four rows of three groups of five.
fn digit_rows(digits: &str) -> Vec<String> {
    let digits: Vec<char> = digits.chars().filter(char::is_ascii_digit).collect();
    let groups: Vec<String> = digits.chunks(5).map(|group| group.iter().collect()).collect();
    groups.chunks(3).map(|row| row.join(" ")).collect()
}

/// An invite link.
pub(super) fn invite(link: &SafeText) -> Panel {
    let rows = vec![
        PanelRow::Text("Whoever has this link may join. Give it to the right people only.".into()),
        PanelRow::Space,
        PanelRow::Shown(link.as_str().to_owned()),
        PanelRow::Space,
        PanelRow::Quiet("They run: mathia-tui join LINK --name NAME".to_owned()),
    ];
    let actions = vec![(Action::Copy, "copy the link"), BACK];
    Panel { title: "invite".to_owned(), rows, actions }
}
