//! Which key does what, by context. Every binding can be replaced; an empty list unbinds.
//!
//! A letter that is bound where one writes acts only while nothing is written: text comes first.

use std::collections::HashMap;

use super::action::Action;
use super::chord::Chord;
use super::composer::Edit;
use crate::config::KeySetting;
use crate::nearest::nearest;

/// Where a key is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyContext {
    /// While writing: letters are text.
    Compose,
    /// While a message is selected: letters are actions.
    Select,
    /// In a list with a filter: letters are the filter.
    List,
    /// In a panel that floats: letters are actions.
    Panel,
}

/// Every context with its name in configuration: `[keys.compose]`.
const CONTEXTS: [(&str, KeyContext); 4] = [
    ("compose", KeyContext::Compose),
    ("select", KeyContext::Select),
    ("list", KeyContext::List),
    ("panel", KeyContext::Panel),
];

/// What the keys do.
#[derive(Debug, Clone)]
pub struct Keymap {
    bound: HashMap<(KeyContext, Chord), Action>,
    /// The order in which bindings were made, for showing the first of several.
    order: Vec<(KeyContext, Chord)>,
}

impl Default for Keymap {
    /// The profile named `default`: typing first, readline's keys, no key that a terminal, a
    /// multiplexer or flow control swallows.
    fn default() -> Self {
        let mut keymap = Self { bound: HashMap::new(), order: Vec::new() };
        for (places, keys, action) in DEFAULT {
            for context in *places {
                for key in keys.split(' ') {
                    let chord = Chord::parse(key).expect("a test parses every default key");
                    keymap.put(*context, chord, *action);
                }
            }
        }
        keymap
    }
}

impl Keymap {
    /// The usual keys with those of the configuration in their place.
    ///
    /// What cannot be understood is left out and told, with the nearest name there is.
    pub fn configured(settings: &[KeySetting]) -> (Self, Vec<String>) {
        let mut keymap = Self::default();
        let mut warnings = Vec::new();
        let mut taken = HashMap::new();
        for setting in settings {
            let Some((context, action)) = meant(setting, &mut warnings) else { continue };
            let chords = chords(setting, &mut warnings);
            for chord in &chords {
                if let Some(other) = taken.insert((context, *chord), &setting.action)
                    && *other != setting.action
                {
                    let name = format!("keys.{}.{}", setting.place, setting.action);
                    warnings.push(format!("{name} takes {chord} from {other}"));
                }
            }
            // Keys of which none can be read unbind nothing: a slip must not cost the key.
            if !chords.is_empty() || setting.keys.is_empty() {
                keymap.bind(context, action, chords);
            }
        }
        (keymap, warnings)
    }

    /// What a chord does in a context.
    pub fn action(&self, context: KeyContext, chord: Chord) -> Option<Action> {
        self.bound.get(&(context, chord)).copied()
    }

    /// Binds an action in a context to these keys and no others.
    fn bind(&mut self, context: KeyContext, action: Action, chords: Vec<Chord>) {
        self.bound.retain(|(p, _), a| *p != context || *a != action);
        self.order.retain(|key| self.bound.contains_key(key));
        for chord in chords {
            self.put(context, chord, action);
        }
    }

    /// The first key bound to an action in a context, for hints that tell the truth.
    pub fn key_of(&self, context: KeyContext, action: Action) -> Option<Chord> {
        let mut keys = self.order.iter().filter(|key| self.bound.get(*key) == Some(&action));
        keys.find(|(p, _)| *p == context).map(|(_, chord)| *chord)
    }

    /// The keys that move in a list as one hint: `j k` where letters do, `Up Down` elsewhere.
    pub fn moving_keys(&self, context: KeyContext) -> Option<String> {
        let letter = |action| {
            self.keys_of(context, action).into_iter().find(|chord| chord.typed().is_some())
        };
        let pair = match (letter(Action::ListDown), letter(Action::ListUp)) {
            (Some(down), Some(up)) => (down, up),
            _ => (self.key_of(context, Action::ListUp)?, self.key_of(context, Action::ListDown)?),
        };
        Some(format!("{} {}", pair.0, pair.1))
    }

    /// All keys bound to an action in a context, in the order they were bound.
    pub fn keys_of(&self, context: KeyContext, action: Action) -> Vec<Chord> {
        let is_bound = |key: &&(KeyContext, Chord)| key.0 == context && self.bound[*key] == action;
        self.order.iter().filter(is_bound).map(|(_, chord)| *chord).collect()
    }

    fn put(&mut self, context: KeyContext, chord: Chord, action: Action) {
        self.bound.insert((context, chord), action);
        self.order.retain(|key| *key != (context, chord));
        self.order.push((context, chord));
    }
}

/// The context and the action a setting names, if both are there.
fn meant(setting: &KeySetting, warnings: &mut Vec<String>) -> Option<(KeyContext, Action)> {
    let name = format!("keys.{}.{}", setting.place, setting.action);
    let Some((_, context)) = CONTEXTS.iter().find(|(name, _)| *name == setting.place) else {
        let like = nearest(&setting.place, CONTEXTS.iter().map(|(name, _)| *name));
        let like = like.unwrap_or("compose, select, list or panel");
        warnings.push(format!("{name}: no such place; {like}?"));
        return None;
    };
    let Some(action) = Action::from_name(&setting.action) else {
        let like = nearest(&setting.action, Action::names());
        let like = like.map(|like| format!("; {like}?")).unwrap_or_default();
        warnings.push(format!("{name}: no such action{like}"));
        return None;
    };
    if !acts(*context, action) {
        warnings.push(format!("{name}: it does nothing there"));
        return None;
    }
    Some((*context, action))
}

/// The keys of a setting that can be read.
fn chords(setting: &KeySetting, warnings: &mut Vec<String>) -> Vec<Chord> {
    let name = format!("keys.{}.{}", setting.place, setting.action);
    let mut read = |key: &String| {
        let chord = Chord::parse(key);
        if chord.is_none() {
            let like = Chord::nearest(key);
            let like = like.map_or_else(|| "write ctrl-k, alt-up, f1".into(), |key| key + "?");
            warnings.push(format!("{name}: no key is called '{key}'; {like}"));
        }
        chord
    };
    setting.keys.iter().filter_map(&mut read).collect()
}

/// Says whether an action does anything in a context.
fn acts(context: KeyContext, action: Action) -> bool {
    let is_usual = |(places, _, usual): &(&[KeyContext], &str, Action)| {
        places.contains(&context) && *usual == action
    };
    ANYWHERE.contains(&action) || DEFAULT.iter().any(is_usual)
}

/// What can be done in every context.
const ANYWHERE: &[Action] = &[
    Action::Switcher,
    Action::Keys,
    Action::RoomPrevious,
    Action::RoomNext,
    Action::RoomUnread,
    Action::PageUp,
    Action::PageDown,
    Action::FirstUnread,
    Action::Newest,
    Action::Back,
    Action::Cancel,
    Action::QuitOrDelete,
    Action::ConnectNow,
    Action::Redraw,
    Action::Suspend,
];

const COMPOSE: &[KeyContext] = &[KeyContext::Compose];
const WRITING: &[KeyContext] = &[KeyContext::Compose, KeyContext::List];
const LISTS: &[KeyContext] = &[KeyContext::Select, KeyContext::List, KeyContext::Panel];
const LETTERS: &[KeyContext] = &[KeyContext::Select, KeyContext::Panel];
const EVERYWHERE: &[KeyContext] =
    &[KeyContext::Compose, KeyContext::Select, KeyContext::List, KeyContext::Panel];

const DEFAULT: &[(&[KeyContext], &str, Action)] = &[
    (COMPOSE, "enter", Action::Send),
    // Shift-Enter reaches us only where the terminal tells it apart.
    (COMPOSE, "ctrl-j alt-enter shift-enter", Action::Edit(Edit::Newline)),
    (COMPOSE, "ctrl-k", Action::Switcher),
    (LETTERS, "ctrl-k", Action::Switcher),
    (COMPOSE, "? f1", Action::Keys),
    (LETTERS, "f1", Action::Keys),
    (LETTERS, "?", Action::Why),
    (EVERYWHERE, "alt-up", Action::RoomPrevious),
    (EVERYWHERE, "alt-down", Action::RoomNext),
    (EVERYWHERE, "alt-a", Action::RoomUnread),
    (EVERYWHERE, "pageup", Action::PageUp),
    (EVERYWHERE, "pagedown", Action::PageDown),
    (COMPOSE, "home", Action::Home),
    (COMPOSE, "end", Action::End),
    (COMPOSE, "ctrl-home", Action::FirstUnread),
    (COMPOSE, "ctrl-end", Action::Newest),
    (LETTERS, "home g", Action::FirstUnread),
    (LETTERS, "end G", Action::Newest),
    (COMPOSE, "alt-k", Action::Select),
    (EVERYWHERE, "esc", Action::Back),
    (LETTERS, "q", Action::Back),
    (EVERYWHERE, "ctrl-c", Action::Cancel),
    (EVERYWHERE, "ctrl-d", Action::QuitOrDelete),
    (EVERYWHERE, "ctrl-l", Action::Redraw),
    (EVERYWHERE, "ctrl-z", Action::Suspend),
    (EVERYWHERE, "ctrl-r", Action::ConnectNow),
    (COMPOSE, "tab", Action::Complete),
    (COMPOSE, "up", Action::Up),
    (COMPOSE, "down", Action::Down),
    (LISTS, "up", Action::ListUp),
    (LISTS, "down", Action::ListDown),
    (LETTERS, "k", Action::ListUp),
    (LETTERS, "j", Action::ListDown),
    (&[KeyContext::List], "ctrl-p backtab", Action::ListUp),
    (&[KeyContext::List], "ctrl-n tab ctrl-k", Action::ListDown),
    (&[KeyContext::List, KeyContext::Panel], "enter", Action::Choose),
    (LETTERS, "y", Action::Copy),
    (LETTERS, "t", Action::Ticks),
    (&[KeyContext::Select], "+ :", Action::React),
    (&[KeyContext::Select], ".", Action::ReactAgain),
    (&[KeyContext::Select], "a", Action::Ask),
    (&[KeyContext::Panel], "space x", Action::Toggle),
    (&[KeyContext::Panel], "+ right", Action::More),
    (&[KeyContext::Panel], "- left", Action::Less),
    (&[KeyContext::Panel], "e", Action::EditQueued),
    (&[KeyContext::Panel], "d", Action::Withdraw),
    (&[KeyContext::Panel], "r", Action::Retry),
    (&[KeyContext::Panel], "v", Action::Confirm),
    (WRITING, "backspace ctrl-h", Action::Edit(Edit::Backspace)),
    (WRITING, "delete", Action::Edit(Edit::Delete)),
    (WRITING, "left ctrl-b", Action::Edit(Edit::Left)),
    (WRITING, "right ctrl-f", Action::Edit(Edit::Right)),
    (WRITING, "alt-b ctrl-left alt-left", Action::Edit(Edit::WordLeft)),
    (WRITING, "alt-f ctrl-right alt-right", Action::Edit(Edit::WordRight)),
    (WRITING, "ctrl-a", Action::Edit(Edit::LineStart)),
    (WRITING, "ctrl-e", Action::Edit(Edit::LineEnd)),
    (WRITING, "ctrl-w alt-backspace", Action::Edit(Edit::KillWordBack)),
    (WRITING, "alt-d", Action::Edit(Edit::KillWord)),
    (WRITING, "ctrl-u", Action::Edit(Edit::KillToStart)),
    (WRITING, "ctrl-y", Action::Edit(Edit::Yank)),
    // Terminals send Ctrl-_ as Ctrl-7 unless they tell keys apart.
    (WRITING, "ctrl-_ ctrl-7 ctrl-/", Action::Edit(Edit::Undo)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_key_parses_and_no_action_is_unreachable() {
        for (_, keys, _) in DEFAULT {
            keys.split(' ').for_each(|key| assert!(Chord::parse(key).is_some(), "{key}"));
        }
        let keymap = Keymap::default();
        for action in Action::ALL {
            let is_bound =
                EVERYWHERE.iter().any(|context| keymap.key_of(*context, *action).is_some());
            assert!(is_bound, "{action:?}");
        }
    }

    #[test]
    fn names_lead_back_to_their_actions() {
        for action in Action::ALL {
            assert_eq!(Action::from_name(action.name()), Some(*action));
        }
        assert_eq!(Action::from_name("yank"), Some(Action::Edit(Edit::Yank)));
    }

    #[test]
    fn no_default_key_is_swallowed_on_the_way() {
        let keymap = Keymap::default();
        for key in ["ctrl-s", "ctrl-q", "ctrl-i", "ctrl-m"] {
            let chord = Chord::parse(key).unwrap();
            assert!(
                EVERYWHERE.iter().all(|context| keymap.action(*context, chord).is_none()),
                "{key}"
            );
        }
    }

    fn setting(context: &str, action: &str, keys: &[&str]) -> KeySetting {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        KeySetting { place: context.to_owned(), action: action.to_owned(), keys }
    }

    fn chord(text: &str) -> Chord {
        Chord::parse(text).unwrap()
    }

    #[test]
    fn a_binding_can_be_replaced_and_an_empty_list_unbinds() {
        let bind = |keys| Keymap::configured(&[setting("compose", "switcher", keys)]);
        let (keymap, warnings) = bind(&["ctrl-g"]);
        assert_eq!(warnings, [""; 0]);
        assert_eq!(keymap.action(KeyContext::Compose, chord("ctrl-g")), Some(Action::Switcher));
        assert_eq!(keymap.action(KeyContext::Compose, chord("ctrl-k")), None);
        assert_eq!(
            keymap.action(KeyContext::Panel, chord("ctrl-k")),
            Some(Action::Switcher),
            "elsewhere nothing changes"
        );
        assert_eq!(bind(&[]).0.key_of(KeyContext::Compose, Action::Switcher), None);
    }

    #[test]
    fn keys_can_be_swapped_and_a_key_taken_is_shown_where_it_acts_now() {
        let settings = [
            setting("compose", "send", &["ctrl-j"]),
            setting("compose", "newline", &["enter", "alt-enter"]),
        ];
        let (keymap, warnings) = Keymap::configured(&settings);
        assert_eq!(warnings, [""; 0]);
        let keys = |action| keymap.keys_of(KeyContext::Compose, action);
        assert_eq!(keys(Action::Send), [chord("ctrl-j")]);
        assert_eq!(keys(Action::Edit(Edit::Newline)), [chord("enter"), chord("alt-enter")]);
    }

    #[test]
    fn what_is_not_understood_is_told_with_the_nearest_name_and_changes_nothing() {
        let settings = [
            setting("compse", "send", &["f2"]),
            setting("compose", "swicher", &["f2"]),
            setting("compose", "switcher", &["crtl-g"]),
            setting("compose", "choose", &["f2"]),
        ];
        let (keymap, warnings) = Keymap::configured(&settings);
        let expected = [
            "keys.compse.send: no such place; compose?",
            "keys.compose.swicher: no such action; switcher?",
            "keys.compose.switcher: no key is called 'crtl-g'; ctrl-g?",
            "keys.compose.choose: it does nothing there",
        ];
        assert_eq!(warnings, expected);
        assert_eq!(keymap.action(KeyContext::Compose, chord("f2")), None);
        assert_eq!(keymap.action(KeyContext::Compose, chord("ctrl-k")), Some(Action::Switcher));
    }

    #[test]
    fn a_key_given_twice_is_told() {
        let settings =
            [setting("compose", "send", &["f2"]), setting("compose", "switcher", &["f2"])];
        let (keymap, warnings) = Keymap::configured(&settings);
        assert_eq!(warnings, ["keys.compose.switcher takes F2 from send"]);
        assert_eq!(keymap.action(KeyContext::Compose, chord("f2")), Some(Action::Switcher));
    }
}
