//! Token counts where the provider gives none: a guess, and marked as one.

/// Bytes of one token. English prose has about 4.5, program text 3 to 4; of Chinese or Japanese a
/// character has three bytes and is a token more often than not.
const TOKEN_BYTES: usize = 4;
/// What surrounds each message of a conversation: its role and its borders.
const MESSAGE_TOKENS: usize = 4;

/// About how many tokens a text has.
pub fn tokens(text_len: usize) -> u32 {
    u32::try_from(text_len.div_ceil(TOKEN_BYTES)).unwrap_or(u32::MAX)
}

/// About how many tokens some messages have, given the lengths of their texts.
pub fn prompt_tokens(text_lens: impl Iterator<Item = usize>) -> u32 {
    text_lens.fold(0u32, |sum, len| {
        sum.saturating_add(tokens(len.saturating_add(MESSAGE_TOKENS * TOKEN_BYTES)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_texts_have_more_tokens_and_nothing_has_none() {
        assert_eq!(tokens(0), 0);
        assert_eq!(tokens("Hello, world".len()), 3);
        assert_eq!(prompt_tokens([12, 0].into_iter()), 3 + 4 + 4);
        assert_eq!(tokens(usize::MAX), u32::MAX);
    }
}
