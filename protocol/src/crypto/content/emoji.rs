//! One emoji, in the one form it may have.
//!
//! Owns the rule by which both sides decide what an emoji is (Unicode UTS #51, "possible emoji"): who
//! reacts writes the same bytes that everybody else accepts, so that equal emoji are counted together.
//!
//! ```text
//! emoji   = flag | keycap | tagged | element (ZWJ element)*
//! flag    = regional regional
//! keycap  = [0-9#*] FE0F 20E3
//! tagged  = 1F3F4 (E0030..E0039 | E0061..E007A){1,6} E007F
//! element = base (skin tone | FE0F)?
//! ```
//!
//! FE0F stands behind each base that would otherwise be shown as text, and nowhere else.

use std::fmt;

use unicode_properties::emoji::{EmojiStatus, UnicodeEmoji, is_regional_indicator};

use crate::limits::EMOJI_LEN_MAX;

const ZWJ: char = '\u{200D}';
const AS_EMOJI: char = '\u{FE0F}';
const KEYCAP: char = '\u{20E3}';
const BLACK_FLAG: char = '\u{1F3F4}';
const END_OF_TAGS: char = '\u{E007F}';
const TAGS_MAX: usize = 6;

/// One emoji: a single cluster on a screen, at most [`EMOJI_LEN_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Emoji(String);

/// The text is not exactly one emoji. Retrying never helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not one emoji")]
pub struct NotEmoji;

impl Emoji {
    /// Reads an emoji in any of its spellings, and keeps it in the one that is sent.
    ///
    /// # Errors
    ///
    /// [`NotEmoji`] for a word, a digit, several emoji, or anything longer than [`EMOJI_LEN_MAX`].
    pub fn parse(text: &str) -> Result<Self, NotEmoji> {
        if text.len() > EMOJI_LEN_MAX {
            return Err(NotEmoji);
        }
        let chars: Vec<char> = text.chars().collect();
        let emoji = match chars.as_slice() {
            [left, right] if is_regional_indicator(*left) && is_regional_indicator(*right) => {
                text.to_owned()
            }
            [sign, KEYCAP] | [sign, AS_EMOJI, KEYCAP] if is_key(*sign) => {
                String::from_iter([*sign, AS_EMOJI, KEYCAP])
            }
            [BLACK_FLAG, tags @ .., END_OF_TAGS] if are_tags(tags) => text.to_owned(),
            chars => sequence(chars).ok_or(NotEmoji)?,
        };
        if emoji.len() > EMOJI_LEN_MAX { Err(NotEmoji) } else { Ok(Self(emoji)) }
    }

    /// The emoji as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Hides the emoji: what people answer never reaches a log.
impl fmt::Debug for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Emoji(..)")
    }
}

impl std::str::FromStr for Emoji {
    type Err = NotEmoji;

    fn from_str(text: &str) -> Result<Self, NotEmoji> {
        Self::parse(text)
    }
}

/// Elements with joiners between them, in the one form they have.
fn sequence(chars: &[char]) -> Option<String> {
    let mut emoji = String::new();
    for element in chars.split(|c| *c == ZWJ) {
        if !emoji.is_empty() {
            emoji.push(ZWJ);
        }
        let (base, tone) = match element {
            [base] | [base, AS_EMOJI] => (*base, None),
            [base, tone] | [base, AS_EMOJI, tone] if is_tone(*tone) => (*base, Some(*tone)),
            _ => return None,
        };
        if !is_base(base) {
            return None;
        }
        emoji.push(base);
        match tone {
            Some(tone) => emoji.push(tone),
            None if is_text_by_itself(base) => emoji.push(AS_EMOJI),
            None => {}
        }
    }
    Some(emoji)
}

fn is_key(c: char) -> bool {
    matches!(c, '0'..='9' | '#' | '*')
}

fn is_tone(c: char) -> bool {
    matches!(c, '\u{1F3FB}'..='\u{1F3FF}')
}

fn are_tags(tags: &[char]) -> bool {
    let is_tag = |c: &char| matches!(c, '\u{E0030}'..='\u{E0039}' | '\u{E0061}'..='\u{E007A}');
    (1..=TAGS_MAX).contains(&tags.len()) && tags.iter().all(is_tag)
}

/// What a sequence may be made of. Places that Unicode keeps free for pictures count as well, so that
/// an older client accepts the emoji of a newer one.
fn is_base(c: char) -> bool {
    let is_reserved = matches!(c, '\u{1F6D0}'..='\u{1F6FF}' | '\u{1FA70}'..='\u{1FAFF}' | '\u{1FC00}'..='\u{1FFFD}');
    (c.is_emoji_char() || is_reserved) && !is_key(c) && !is_regional_indicator(c)
}

/// Whether a base is shown as text where nothing asks for a picture.
fn is_text_by_itself(c: char) -> bool {
    matches!(
        c.emoji_status(),
        EmojiStatus::EmojiOther
            | EmojiStatus::EmojiModifierBase
            | EmojiStatus::EmojiOtherAndEmojiComponent
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_emoji_is_accepted_whatever_it_is_made_of() {
        for text in ["👍", "👍🏽", "❤️", "🧑‍🚀", "👩🏻‍❤️‍💋‍👨🏿", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇳🇴", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣", "☝🏻", "🕵🏽‍♀️", "👁️‍🗨️"]
        {
            assert_eq!(Emoji::parse(text).map(|emoji| emoji.0).as_deref(), Ok(text), "{text}");
        }
    }

    #[test]
    fn spellings_of_one_emoji_are_one_emoji() {
        for (spelling, form) in [
            ("❤", "❤️"),
            ("👍\u{FE0F}", "👍"),
            ("1\u{20E3}", "1️⃣"),
            ("🏳‍🌈", "🏳️‍🌈"),
            ("☝\u{FE0F}🏻", "☝🏻"),
        ] {
            assert_eq!(Emoji::parse(spelling), Emoji::parse(form));
            assert_eq!(Emoji::parse(spelling).unwrap().as_str(), form);
        }
    }

    #[test]
    fn what_is_no_emoji_or_more_than_one_is_refused() {
        for text in [
            "",
            "a",
            "1",
            "#",
            "ok",
            "👍👍",
            "👍a",
            "👍 ",
            "🇳",
            "🇳🇴🇳🇴",
            "\u{200D}",
            "👍\u{200D}",
            "\u{FE0F}",
            "👍\u{FE0E}",
            "🏴\u{E007F}",
            "\u{1b}[2J",
            "é",
            "한",
            "1🏻",
            "👍\u{301}",
        ] {
            assert_eq!(Emoji::parse(text), Err(NotEmoji), "{text:?}");
        }
        assert_eq!(Emoji::parse(&["👩"; 20].join("\u{200D}")), Err(NotEmoji), "too long");
    }

    #[test]
    fn an_emoji_of_a_later_unicode_is_accepted() {
        assert!(Emoji::parse("\u{1FAFF}").is_ok() && Emoji::parse("\u{1FC00}").is_ok());
    }

    proptest! {
        /// What is accepted has one form, holds nothing a terminal obeys, and is short.
        #[test]
        fn an_emoji_has_one_form(text in "[👩❤1#\u{1F3FB}\u{200D}\u{FE0F}\u{20E3}🇳a\u{E0067}\u{E007F}🏴]{0,8}") {
            if let Ok(emoji) = Emoji::parse(&text) {
                prop_assert_eq!(Emoji::parse(emoji.as_str()), Ok(emoji.clone()));
                prop_assert!(!emoji.as_str().chars().any(char::is_control));
                prop_assert!(emoji.as_str().len() <= EMOJI_LEN_MAX);
            }
        }
    }
}
