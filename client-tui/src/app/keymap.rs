//! Which key does what, by place. Every binding can be replaced; an empty list unbinds.

use std::collections::HashMap;
use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::Action;
use super::composer::Edit;

/// Where a key is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// While writing: letters are text.
    Compose,
    /// While a message is selected: letters are actions.
    Select,
    /// In a list with a filter: letters are the filter.
    List,
    /// In a panel that floats: letters are actions.
    Panel,
}

/// A key with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chord {
    code: KeyCode,
    modifiers: KeyModifiers,
}

impl Chord {
    /// The chord of a key press, in one form however the terminal tells it.
    pub fn of(key: KeyEvent) -> Self {
        let mut modifiers =
            key.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        let code = match key.code {
            KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => {
                KeyCode::Char(c.to_ascii_lowercase())
            }
            code => code,
        };
        if matches!(code, KeyCode::Char(_) | KeyCode::BackTab) {
            // The character says it already.
            modifiers -= KeyModifiers::SHIFT;
        }
        Self { code, modifiers }
    }

    /// The character typed, if the chord is text and not a command.
    pub fn typed(self) -> Option<char> {
        match self.code {
            KeyCode::Char(c) if self.modifiers.is_empty() && !c.is_control() => Some(c),
            _ => None,
        }
    }

    /// Reads `ctrl-k`, `alt-up`, `f1`, `?`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut modifiers = KeyModifiers::empty();
        let mut rest = text;
        loop {
            let (modifier, after) = match rest.split_once('-') {
                Some(("ctrl", after)) if !after.is_empty() => (KeyModifiers::CONTROL, after),
                Some(("alt", after)) if !after.is_empty() => (KeyModifiers::ALT, after),
                Some(("shift", after)) if !after.is_empty() => (KeyModifiers::SHIFT, after),
                _ => break,
            };
            modifiers |= modifier;
            rest = after;
        }
        Some(Self { code: code_of(rest)?, modifiers })
    }
}

const NAMED: [(&str, &str, KeyCode); 14] = [
    ("enter", "Enter", KeyCode::Enter),
    ("esc", "Esc", KeyCode::Esc),
    ("tab", "Tab", KeyCode::Tab),
    ("backtab", "Shift-Tab", KeyCode::BackTab),
    ("backspace", "Backspace", KeyCode::Backspace),
    ("delete", "Delete", KeyCode::Delete),
    ("up", "Up", KeyCode::Up),
    ("down", "Down", KeyCode::Down),
    ("left", "Left", KeyCode::Left),
    ("right", "Right", KeyCode::Right),
    ("pageup", "PgUp", KeyCode::PageUp),
    ("pagedown", "PgDn", KeyCode::PageDown),
    ("home", "Home", KeyCode::Home),
    ("end", "End", KeyCode::End),
];

fn code_of(text: &str) -> Option<KeyCode> {
    let mut chars = text.chars();
    if let (Some(c), None) = (chars.next(), chars.next()) {
        return Some(KeyCode::Char(c));
    }
    if let Some((.., code)) = NAMED.iter().find(|(name, ..)| *name == text) {
        return Some(*code);
    }
    text.strip_prefix('f').and_then(|n| n.parse().ok()).map(KeyCode::F)
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (modifier, name) in [
            (KeyModifiers::CONTROL, "Ctrl-"),
            (KeyModifiers::ALT, "Alt-"),
            (KeyModifiers::SHIFT, "Shift-"),
        ] {
            if self.modifiers.contains(modifier) {
                f.write_str(name)?;
            }
        }
        match self.code {
            KeyCode::Char(c) if self.modifiers.is_empty() => write!(f, "{c}"),
            KeyCode::Char(c) => write!(f, "{}", c.to_ascii_uppercase()),
            KeyCode::F(n) => write!(f, "F{n}"),
            code => {
                let name = NAMED.iter().find(|(.., named)| *named == code);
                f.write_str(name.map_or("?", |(_, shown, _)| shown))
            }
        }
    }
}

/// What the keys do.
#[derive(Debug, Clone)]
pub struct Keymap {
    bound: HashMap<(Place, Chord), Action>,
    /// The order in which bindings were made, for showing the first of several.
    order: Vec<(Place, Chord)>,
}

impl Default for Keymap {
    /// The profile named `default`: typing first, readline's keys, no key that a terminal, a
    /// multiplexer or flow control swallows.
    fn default() -> Self {
        let mut keymap = Self { bound: HashMap::new(), order: Vec::new() };
        for (places, keys, action) in DEFAULT {
            for place in *places {
                for key in keys.split(' ') {
                    let chord = Chord::parse(key).expect("a test parses every default key");
                    keymap.put(*place, chord, *action);
                }
            }
        }
        keymap
    }
}

/// Why a binding of the configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// No such key. Retrying never helps.
    #[error("there is no key '{0}'; keys look like ctrl-k, alt-up, f1")]
    Key(String),
    /// No such action. Retrying never helps.
    #[error("there is no action '{0}'")]
    Action(String),
}

impl Keymap {
    /// What a chord does in a place.
    pub fn action(&self, place: Place, chord: Chord) -> Option<Action> {
        self.bound.get(&(place, chord)).copied()
    }

    /// Binds an action in a place to these keys and no others; an empty list unbinds it.
    ///
    /// # Errors
    ///
    /// [`BindError`] for an unknown action or key; nothing is changed then.
    pub fn bind(&mut self, place: Place, action: &str, keys: &[&str]) -> Result<(), BindError> {
        let Some(found) = Action::from_name(action) else {
            return Err(BindError::Action(action.to_owned()));
        };
        let parse = |key: &&str| Chord::parse(key).ok_or_else(|| BindError::Key((*key).to_owned()));
        let chords = keys.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        self.bound.retain(|(p, _), a| *p != place || *a != found);
        self.order.retain(|key| self.bound.contains_key(key));
        for chord in chords {
            self.put(place, chord, found);
        }
        Ok(())
    }

    /// The first key bound to an action in a place, for hints that tell the truth.
    pub fn key_of(&self, place: Place, action: Action) -> Option<Chord> {
        let mut keys = self.order.iter().filter(|key| self.bound.get(*key) == Some(&action));
        keys.find(|(p, _)| *p == place).map(|(_, chord)| *chord)
    }

    /// All keys bound to an action in a place, in the order they were bound.
    pub fn keys_of(&self, place: Place, action: Action) -> Vec<Chord> {
        let is_bound = |key: &&(Place, Chord)| key.0 == place && self.bound[*key] == action;
        self.order.iter().filter(is_bound).map(|(_, chord)| *chord).collect()
    }

    fn put(&mut self, place: Place, chord: Chord, action: Action) {
        if self.bound.insert((place, chord), action).is_none() {
            self.order.push((place, chord));
        }
    }
}

const COMPOSE: &[Place] = &[Place::Compose];
const WRITING: &[Place] = &[Place::Compose, Place::List];
const LISTS: &[Place] = &[Place::Select, Place::List, Place::Panel];
const LETTERS: &[Place] = &[Place::Select, Place::Panel];
const EVERYWHERE: &[Place] = &[Place::Compose, Place::Select, Place::List, Place::Panel];

const DEFAULT: &[(&[Place], &str, Action)] = &[
    (COMPOSE, "enter", Action::Send),
    // Shift-Enter reaches us only where the terminal tells it apart.
    (COMPOSE, "ctrl-j alt-enter shift-enter", Action::Edit(Edit::Newline)),
    (COMPOSE, "ctrl-k", Action::Switcher),
    (LETTERS, "ctrl-k", Action::Switcher),
    (COMPOSE, "f1", Action::Keys),
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
    (&[Place::List], "ctrl-p backtab", Action::ListUp),
    (&[Place::List], "ctrl-n tab ctrl-k", Action::ListDown),
    (&[Place::List, Place::Panel], "enter", Action::Choose),
    (LETTERS, "y", Action::Copy),
    (LETTERS, "t", Action::Ticks),
    (&[Place::Panel], "e", Action::EditQueued),
    (&[Place::Panel], "d", Action::Withdraw),
    (&[Place::Panel], "r", Action::Retry),
    (&[Place::Panel], "v", Action::Confirm),
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
            let is_bound = EVERYWHERE.iter().any(|place| keymap.key_of(*place, *action).is_some());
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
            assert!(EVERYWHERE.iter().all(|place| keymap.action(*place, chord).is_none()), "{key}");
        }
    }

    #[test]
    fn a_binding_can_be_replaced_and_an_empty_list_unbinds() {
        let mut keymap = Keymap::default();
        let chord = |text: &str| Chord::parse(text).unwrap();
        keymap.bind(Place::Compose, "switcher", &["ctrl-g"]).unwrap();
        assert_eq!(keymap.action(Place::Compose, chord("ctrl-g")), Some(Action::Switcher));
        assert_eq!(keymap.action(Place::Compose, chord("ctrl-k")), None);
        keymap.bind(Place::Compose, "switcher", &[]).unwrap();
        assert_eq!(keymap.key_of(Place::Compose, Action::Switcher), None);
        let unknown = keymap.bind(Place::Compose, "fly", &["ctrl-g"]);
        assert_eq!(unknown, Err(BindError::Action("fly".to_owned())));
    }

    #[test]
    fn chords_are_shown_as_people_write_them() {
        for (text, shown) in [
            ("ctrl-k", "Ctrl-K"),
            ("alt-up", "Alt-Up"),
            ("f1", "F1"),
            ("?", "?"),
            ("pageup", "PgUp"),
        ] {
            assert_eq!(Chord::parse(text).unwrap().to_string(), shown);
        }
    }
}
