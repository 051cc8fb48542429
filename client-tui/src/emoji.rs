//! Emoji by name: what a person types, and what the picker shows.
//!
//! Owns no rule of what an emoji is; that is the protocol's. Names and `:shortcodes:` are those of
//! Unicode and of GitHub.

use mathia_protocol::crypto::content::Emoji;

/// Reads an emoji itself, or its `:shortcode:` with or without colons.
pub(crate) fn find(text: &str) -> Option<Emoji> {
    let text = text.trim();
    Emoji::parse(text).ok().or_else(|| {
        let shortcode = text.strip_prefix(':').unwrap_or(text);
        let shortcode = shortcode.strip_suffix(':').unwrap_or(shortcode).to_lowercase();
        Emoji::parse(emojis::get_by_shortcode(&shortcode)?.as_str()).ok()
    })
}

/// What an emoji is called, with the `:shortcode:` that writes it.
#[derive(Debug, Clone)]
pub(crate) struct NamedEmoji {
    pub(crate) emoji: Emoji,
    pub(crate) name: &'static str,
    /// Its first shortcode with colons; empty if it has none.
    pub(crate) shortcode: String,
    /// Everything a search looks at.
    pub(crate) words: String,
}

/// All emoji in the usual order, without the variants of skin tones.
pub(crate) fn all() -> impl Iterator<Item = NamedEmoji> {
    emojis::iter().filter_map(named)
}

/// The names of one emoji, if it has any here.
pub(crate) fn named_as(emoji: &Emoji) -> Option<NamedEmoji> {
    emojis::get(emoji.as_str()).and_then(named)
}

fn named(known: &'static emojis::Emoji) -> Option<NamedEmoji> {
    let emoji = Emoji::parse(known.as_str()).ok()?;
    let shortcode = known.shortcode().map(|code| format!(":{code}:")).unwrap_or_default();
    let words = known.shortcodes().fold(known.name().to_owned(), |all, code| all + " " + code);
    Some(NamedEmoji { emoji, name: known.name(), shortcode, words })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emoji_is_found_by_itself_and_by_its_shortcode() {
        for text in ["👍", ":+1:", "+1", ":thumbsup:", " :ThumbsUp: "] {
            assert_eq!(find(text).map(|emoji| emoji.to_string()).as_deref(), Some("👍"), "{text}");
        }
        for text in ["", "hello", "::", ":no_such_emoji:", "👍👍"] {
            assert_eq!(find(text), None, "{text}");
        }
    }

    #[test]
    fn every_emoji_of_the_picker_is_one_by_the_rule_of_the_protocol_and_in_its_one_form() {
        for known in emojis::iter() {
            let tones = known.skin_tones().into_iter().flatten();
            for one in std::iter::once(known).chain(tones) {
                let emoji = Emoji::parse(one.as_str());
                assert_eq!(emoji.as_ref().map(Emoji::as_str), Ok(one.as_str()), "{}", one.name());
            }
        }
        assert!(all().count() > 1_500);
    }
}
