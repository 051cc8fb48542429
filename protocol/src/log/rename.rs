//! What a room is called after a commit that carries settings (CRYPTO B3, `settings_box`).
//!
//! Every commit that starts an epoch carries the settings anew, whoever makes it. Only admins may
//! change them: what a lower role says differently is ignored, and shown.

use crate::crypto::settings::RoomSettings;

/// What the settings of a commit do to those known before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renamed {
    /// They are the same.
    Unchanged,
    /// They are new: take them over.
    Changed(RoomSettings),
    /// They are new and their author may not rename: keep the old ones, show who tried.
    Ignored,
}

/// Decides about the settings that a commit carries.
///
/// `known` are those that count so far; `None` for a newcomer, who cannot open older ones and takes
/// what there is. `may_rename` is that of the [`super::SettingsRecord`].
pub fn rename(known: Option<&RoomSettings>, carried: RoomSettings, may_rename: bool) -> Renamed {
    match known {
        Some(known) if *known == carried => Renamed::Unchanged,
        Some(_) if !may_rename => Renamed::Ignored,
        _ => Renamed::Changed(carried),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_admin_renames_but_anyone_carries_the_name_on() {
        let named = |name: &str| RoomSettings::named(name.parse().unwrap());
        let (ops, renamed) = (named("ops"), named("sales"));
        assert_eq!(rename(Some(&ops), ops.clone(), false), Renamed::Unchanged);
        assert_eq!(rename(Some(&ops), renamed.clone(), false), Renamed::Ignored);
        assert_eq!(rename(Some(&ops), renamed.clone(), true), Renamed::Changed(renamed));
        assert_eq!(rename(None, ops.clone(), false), Renamed::Changed(ops));
    }
}
