//! A key with its modifiers: as terminals report it, as configuration writes it, as people read it.

use std::fmt;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::nearest::nearest;

/// The highest function key that any keyboard has.
const FUNCTION_MAX: u8 = 24;

/// A key with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chord {
    code: KeyCode,
    modifiers: KeyModifiers,
}

const MODIFIERS: [(&str, &str, KeyModifiers); 3] = [
    ("ctrl", "Ctrl-", KeyModifiers::CONTROL),
    ("alt", "Alt-", KeyModifiers::ALT),
    ("shift", "Shift-", KeyModifiers::SHIFT),
];

/// Keys with names: as configuration writes them, as people read them.
const NAMED: [(&str, &str, KeyCode); 16] = [
    ("enter", "Enter", KeyCode::Enter),
    ("esc", "Esc", KeyCode::Esc),
    ("tab", "Tab", KeyCode::Tab),
    ("backtab", "Shift-Tab", KeyCode::BackTab),
    ("backspace", "Backspace", KeyCode::Backspace),
    ("delete", "Delete", KeyCode::Delete),
    ("insert", "Insert", KeyCode::Insert),
    ("space", "Space", KeyCode::Char(' ')),
    ("up", "Up", KeyCode::Up),
    ("down", "Down", KeyCode::Down),
    ("left", "Left", KeyCode::Left),
    ("right", "Right", KeyCode::Right),
    ("pageup", "PgUp", KeyCode::PageUp),
    ("pagedown", "PgDn", KeyCode::PageDown),
    ("home", "Home", KeyCode::Home),
    ("end", "End", KeyCode::End),
];

/// Other names for the same keys.
const ALIASES: [(&str, &str); 5] = [
    ("escape", "esc"),
    ("return", "enter"),
    ("del", "delete"),
    ("pgup", "pageup"),
    ("pgdn", "pagedown"),
];

impl Chord {
    /// The key that kills to the end of the line in every shell, whatever else it does here.
    pub(crate) const KILL: Self =
        Self { code: KeyCode::Char('k'), modifiers: KeyModifiers::CONTROL };

    /// The chord of a key press.
    pub fn of(key: KeyEvent) -> Self {
        Self::one_form(key.code, key.modifiers)
    }

    /// One form for what terminals report in several.
    fn one_form(code: KeyCode, modifiers: KeyModifiers) -> Self {
        let mut modifiers =
            modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        let code = match code {
            KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => {
                KeyCode::Char(c.to_ascii_lowercase())
            }
            KeyCode::Char(c) if modifiers.contains(KeyModifiers::SHIFT) => {
                KeyCode::Char(c.to_ascii_uppercase())
            }
            KeyCode::Tab if modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
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
        let (modifiers, name) = split(text);
        Some(Self::one_form(code_of(name)?, modifiers))
    }

    /// A key that exists and reads almost like this.
    pub fn nearest(text: &str) -> Option<String> {
        let (modifiers, name) = split(text);
        let names = NAMED.iter().map(|(name, ..)| *name);
        let modifier = |word| nearest(word, MODIFIERS.iter().map(|(name, ..)| *name));
        let (first, rest) = match name.split_once('-') {
            // A modifier that is none: `crtl-k`.
            Some((word, rest)) => (format!("{}-", modifier(word)?), rest),
            None => (String::new(), nearest(&name.to_ascii_lowercase(), names)?),
        };
        let mut meant = String::new();
        for (name, ..) in MODIFIERS.iter().filter(|(.., one)| modifiers.contains(*one)) {
            meant.push_str(name);
            meant.push('-');
        }
        meant.push_str(&first);
        meant.push_str(rest);
        Self::parse(&meant).map(|_| meant)
    }
}

/// The modifiers in front, and what is left.
fn split(text: &str) -> (KeyModifiers, &str) {
    let (mut modifiers, mut rest) = (KeyModifiers::empty(), text);
    while let Some((word, after)) = rest.split_once('-') {
        let known = MODIFIERS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(word));
        match known {
            Some((.., modifier)) if !after.is_empty() => {
                modifiers |= *modifier;
                rest = after;
            }
            _ => break,
        }
    }
    (modifiers, rest)
}

fn code_of(name: &str) -> Option<KeyCode> {
    let mut chars = name.chars();
    if let (Some(c), None) = (chars.next(), chars.next()) {
        return Some(KeyCode::Char(c)).filter(|_| !c.is_control());
    }
    let name = name.to_ascii_lowercase();
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(&*name, |(_, name)| name);
    if let Some((.., code)) = NAMED.iter().find(|(named, ..)| *named == name) {
        return Some(*code);
    }
    let number: u8 = name.strip_prefix('f')?.parse().ok()?;
    (1..=FUNCTION_MAX).contains(&number).then_some(KeyCode::F(number))
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (_, shown, modifier) in MODIFIERS {
            if self.modifiers.contains(modifier) {
                f.write_str(shown)?;
            }
        }
        if let Some((_, shown, _)) = NAMED.iter().find(|(.., named)| *named == self.code) {
            return f.write_str(shown);
        }
        match self.code {
            KeyCode::Char(c) if self.modifiers.is_empty() => write!(f, "{c}"),
            KeyCode::Char(c) => write!(f, "{}", c.to_ascii_uppercase()),
            KeyCode::F(n) => write!(f, "F{n}"),
            _ => f.write_str("?"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chords_are_shown_as_people_write_them() {
        for (text, shown) in [
            ("ctrl-k", "Ctrl-K"),
            ("alt-up", "Alt-Up"),
            ("f1", "F1"),
            ("?", "?"),
            ("pageup", "PgUp"),
            ("ctrl--", "Ctrl--"),
            ("ctrl-space", "Ctrl-Space"),
            ("shift-tab", "Shift-Tab"),
        ] {
            assert_eq!(Chord::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn one_key_has_one_chord_however_it_is_written_or_reported() {
        let reported = |code, modifiers| Chord::of(KeyEvent::new(code, modifiers));
        let same = [
            ("Ctrl-K", reported(KeyCode::Char('K'), KeyModifiers::CONTROL | KeyModifiers::SHIFT)),
            ("ctrl-k", reported(KeyCode::Char('k'), KeyModifiers::CONTROL)),
            ("shift-g", reported(KeyCode::Char('G'), KeyModifiers::SHIFT)),
            ("G", reported(KeyCode::Char('G'), KeyModifiers::NONE)),
            ("shift-tab", reported(KeyCode::BackTab, KeyModifiers::SHIFT)),
            ("PgUp", reported(KeyCode::PageUp, KeyModifiers::NONE)),
            ("-", reported(KeyCode::Char('-'), KeyModifiers::NONE)),
        ];
        for (written, reported) in same {
            assert_eq!(Chord::parse(written), Some(reported), "{written}");
        }
        assert_ne!(Chord::parse("g"), Chord::parse("G"));
    }

    #[test]
    fn what_is_no_key_is_none_and_a_slip_finds_the_one_meant() {
        for bad in ["", "ctrl-", "hyper-k", "pageupp", "f0", "f25", "fx", "kk", "\u{1b}"] {
            assert_eq!(Chord::parse(bad), None, "{bad:?}");
        }
        assert_eq!(Chord::nearest("ctrl-pageupp").as_deref(), Some("ctrl-pageup"));
        assert_eq!(Chord::nearest("crtl-k").as_deref(), Some("ctrl-k"));
        assert_eq!(Chord::nearest("alt-crtl-k").as_deref(), Some("alt-ctrl-k"));
        assert_eq!(Chord::nearest("entre").as_deref(), Some("enter"));
        assert_eq!(Chord::nearest("hyperspace"), None);
    }
}
