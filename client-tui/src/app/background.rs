//! Detects whether the terminal's background is dark or light, by asking the terminal (OSC 11).
//!
//! The answer arrives among the keys, since there is one reader. Owns the grammar of the answer and
//! distinguishes it from typing. Whatever is no answer is passed on unchanged: no key is lost.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::theme::Tone;

/// Asks for the color of the background.
pub(crate) const QUESTION: &str = "\u{1b}]11;?\u{1b}\\";

/// Characters of an answer at most: `11;rgba:` and four numbers of four digits.
const ANSWER_LEN_MAX: usize = 8 + 4 * 5;
/// A background brighter than this is light. Halfway as people see it, not as light is measured.
const LIGHT_FROM: f64 = 0.5;

/// Listens for the answer.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    /// What may be the beginning of an answer.
    held: Vec<Event>,
    /// The characters of it.
    text: String,
}

/// What an event was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ListenerStep {
    /// The end of an answer.
    Answer(Tone),
    /// Not an answer: these go on, in order. None while it may become one.
    Passed(Vec<Event>),
}

impl Listener {
    /// Looks at what the terminal sent.
    pub(crate) fn handle(&mut self, event: Event) -> ListenerStep {
        let key = match &event {
            Event::Key(key) if key.kind == KeyEventKind::Press => Some(*key),
            _ => None,
        };
        if key.is_some_and(|key| is_alt(key, ']')) {
            // What was held before this is no answer; this may be the beginning of one.
            let before = self.give_up();
            self.held.push(event);
            return ListenerStep::Passed(before);
        }
        if self.held.is_empty() {
            return ListenerStep::Passed(vec![event]);
        }
        self.held.push(event);
        match key {
            // The answer ends with BEL, or with ESC and a backslash.
            Some(key) if is_control(key, 'g') || is_alt(key, '\\') => match tone(&self.text) {
                Some(tone) => {
                    *self = Self::default();
                    ListenerStep::Answer(tone)
                }
                None => ListenerStep::Passed(self.give_up()),
            },
            Some(KeyEvent { code: KeyCode::Char(c), modifiers, .. })
                if (modifiers - KeyModifiers::SHIFT).is_empty() && self.may_go_on_with(c) =>
            {
                self.text.push(c);
                ListenerStep::Passed(Vec::new())
            }
            _ => ListenerStep::Passed(self.give_up()),
        }
    }

    /// Says whether something is held that may become an answer.
    pub(crate) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Hands out what was held: it is no answer.
    pub(crate) fn give_up(&mut self) -> Vec<Event> {
        self.text.clear();
        std::mem::take(&mut self.held)
    }

    fn may_go_on_with(&self, c: char) -> bool {
        let number = "11;";
        match number.chars().nth(self.text.len()) {
            Some(expected) => c == expected,
            None => {
                self.text.len() < ANSWER_LEN_MAX && (c.is_ascii_hexdigit() || "rgba:/#".contains(c))
            }
        }
    }
}

fn is_alt(key: KeyEvent, c: char) -> bool {
    key.code == KeyCode::Char(c) && key.modifiers == KeyModifiers::ALT
}

fn is_control(key: KeyEvent, c: char) -> bool {
    key.code == KeyCode::Char(c) && key.modifiers == KeyModifiers::CONTROL
}

/// The tone of `11;rgb:RRRR/GGGG/BBBB`, `11;rgba:..` or `11;#RRGGBB`, of any number of digits.
fn tone(text: &str) -> Option<Tone> {
    let color = text.strip_prefix("11;")?;
    let channels: Vec<f64> = if let Some(digits) = color.strip_prefix('#') {
        let len = digits.len() / 3;
        (0..3).map(|i| channel(digits.get(i * len..(i + 1) * len)?)).collect::<Option<_>>()?
    } else {
        let numbers = color.strip_prefix("rgb:").or_else(|| color.strip_prefix("rgba:"))?;
        numbers.split('/').map(channel).collect::<Option<_>>()?
    };
    let [red, green, blue] = channels.get(..3)?.try_into().ok()?;
    // How bright it looks: the weights of Rec. 601, on values as they are sent to the screen.
    let brightness = 0.299 * red + 0.587 * green + 0.114 * blue;
    Some(if brightness > LIGHT_FROM { Tone::Light } else { Tone::Dark })
}

/// A number of one to four hexadecimal digits as a part of its greatest.
fn channel(digits: &str) -> Option<f64> {
    let value = u16::from_str_radix(digits, 16).ok().filter(|_| digits.len() <= 4)?;
    let greatest = 16_u32.pow(u32::try_from(digits.len()).ok()?) - 1;
    Some(f64::from(value) / f64::from(greatest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The events that a terminal's bytes become: what stands behind ESC has Alt.
    fn events(bytes: &str) -> Vec<Event> {
        let mut events = Vec::new();
        let mut is_alt = false;
        for c in bytes.chars() {
            let (code, mut modifiers) = match c {
                '\u{1b}' => {
                    is_alt = true;
                    continue;
                }
                '\u{7}' => (KeyCode::Char('g'), KeyModifiers::CONTROL),
                c if c.is_uppercase() => (KeyCode::Char(c), KeyModifiers::SHIFT),
                c => (KeyCode::Char(c), KeyModifiers::NONE),
            };
            if std::mem::take(&mut is_alt) {
                modifiers |= KeyModifiers::ALT;
            }
            events.push(Event::Key(KeyEvent::new(code, modifiers)));
        }
        events
    }

    /// The answers a listener recognizes, and the events it passes on.
    fn handle(events: &[Event]) -> (Vec<Tone>, Vec<Event>) {
        let mut listener = Listener::default();
        let (mut tones, mut passed) = (Vec::new(), Vec::new());
        for event in events {
            match listener.handle(event.clone()) {
                ListenerStep::Answer(tone) => tones.push(tone),
                ListenerStep::Passed(events) => passed.extend(events),
            }
        }
        passed.extend(listener.give_up());
        (tones, passed)
    }

    #[test]
    fn answers_of_all_kinds_of_terminals_are_understood() {
        for (answer, tone) in [
            ("\u{1b}]11;rgb:1e1e/1e1e/2e2e\u{1b}\\", Tone::Dark),
            ("\u{1b}]11;rgb:FDFD/F6F6/E3E3\u{7}", Tone::Light),
            ("\u{1b}]11;rgba:0000/0000/0000/ffff\u{1b}\\", Tone::Dark),
            ("\u{1b}]11;rgb:ff/ff/ff\u{7}", Tone::Light),
            ("\u{1b}]11;#ffffff\u{7}", Tone::Light),
        ] {
            assert_eq!(handle(&events(answer)), (vec![tone], Vec::new()), "{answer:?}");
        }
    }

    #[test]
    fn keys_around_an_answer_are_kept_in_order() {
        let (tones, passed) = handle(&events("hi\u{1b}]11;rgb:0/0/0\u{7} ann"));
        assert_eq!((tones, passed), (vec![Tone::Dark], events("hi ann")));
    }

    #[test]
    fn a_key_that_begins_like_an_answer_does_not_hide_the_answer() {
        let (tones, passed) = handle(&events("\u{1b}]1\u{1b}]11;rgb:f/f/f\u{7}"));
        assert_eq!((tones, passed), (vec![Tone::Light], events("\u{1b}]1")));
    }

    #[test]
    fn what_only_begins_like_an_answer_is_typing() {
        for typed in ["\u{1b}]", "\u{1b}]11;hello", "\u{1b}]1\u{1b}]11", "\u{1b}]11;rgb:x\u{7}"] {
            assert_eq!(handle(&events(typed)), (Vec::new(), events(typed)), "{typed:?}");
        }
        let long = format!("\u{1b}]11;rgb:{}", "f".repeat(100));
        assert_eq!(handle(&events(&long)), (Vec::new(), events(&long)));
    }

    proptest! {
        /// Whatever is typed, what is no answer comes out as it went in.
        #[test]
        fn nothing_typed_is_lost(typed in "[\\]1;rgb:/0-9a-f\u{7}\\\\\u{1b} x]{0,40}") {
            let typed = events(&typed);
            let (tones, passed) = handle(&typed);
            if tones.is_empty() {
                prop_assert_eq!(passed, typed);
            } else {
                prop_assert!(passed.len() < typed.len());
            }
        }
    }
}
