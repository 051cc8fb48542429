//! Lines about people and devices.

use mathia_protocol::client::{DeviceView, PersonView, PresenceView, TrustState};
use mathia_protocol::id::TimeMs;
use mathia_protocol::wire::PresenceState;

use super::{Line, LineFormat};
use crate::clock::rfc3339;

/// A line of `people`.
pub(crate) fn person(person: &PersonView, is_me: bool, style: &LineFormat) -> Line {
    let (state, shown) = presence_words(&person.presence, style);
    let trust = match person.trust {
        TrustState::Unverified => "unverified",
        TrustState::Verified => "verified",
        TrustState::Changed => "changed",
    };
    let seen = person.presence.last_seen;
    let agent = if person.is_agent { "  agent" } else { "" };
    let loud = if person.trust == TrustState::Changed { "  IDENTITY CHANGED" } else { "" };
    Line::new("person")
        .with("name", person.handle.as_str())
        .with("account", person.account.to_hex())
        .with("state", state)
        .with_some("last_seen", (seen != TimeMs(0)).then(|| rfc3339(seen)))
        .with("is_me", is_me)
        .with("trust", trust)
        .with("devices", person.n_devices)
        .with("is_agent", person.is_agent)
        .text(if is_me {
            format!("{}  {shown}  you", person.handle)
        } else {
            format!("{}{agent}  {shown}  {trust}{loud}", person.handle)
        })
}

/// A line of `devices`.
pub(crate) fn device(device: &DeviceView, style: &LineFormat) -> Line {
    let state = match (device.is_revoked, device.is_this) {
        (true, _) => "  revoked",
        (false, true) => "  this device",
        (false, false) => "",
    };
    let (name, os, made) = (&device.name, &device.os, style.stamp(device.created));
    Line::new("device")
        .with("device", device.device.to_hex())
        .with("name", name.as_str())
        .with("os", os.as_str())
        .with("time", rfc3339(device.created))
        .with("is_this", device.is_this)
        .with("is_revoked", device.is_revoked)
        .text(format!("{}  {name}  {os}  since {made}{state}", device.device.short()))
}

/// The words of a presence: the machine's and the people's.
pub(crate) fn presence_words(view: &PresenceView, style: &LineFormat) -> (&'static str, String) {
    match view.state {
        PresenceState::Online => ("online", "online".to_owned()),
        PresenceState::Away => ("away", "away".to_owned()),
        PresenceState::Offline if view.last_seen == TimeMs(0) => ("offline", "offline".to_owned()),
        PresenceState::Offline => ("offline", format!("last seen {}", style.stamp(view.last_seen))),
    }
}
