//! Secrets as words that people write down: BIP-39, English list, with its checksum (CRYPTO A6, A7).
//!
//! 16 bytes are 12 words, 32 bytes are 24. Reading forgives case, spacing and line breaks, and names
//! the word that is wrong.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The 2,048 words, sorted.
static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| include_str!("words.txt").lines().collect());

const BITS_PER_WORD: usize = 11;

/// Why words are no secret. Reading the words again, slowly, helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// There are too few or too many.
    #[error("{expected} words are needed, these are {found}")]
    Count {
        /// How many are needed.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A word is not in the list.
    #[error("word {place} is not in the list: {word:?}")]
    Unknown {
        /// Which word, 1 for the first.
        place: usize,
        /// The word, in lower case, at most 32 characters of it.
        word: String,
    },
    /// All words are in the list, but together they are no secret: one is another, or two are
    /// swapped.
    #[error("the words do not fit together: one is wrong, or two are swapped")]
    Checksum,
}

/// Writes a secret of 16 or 32 bytes as 12 or 24 words, separated by spaces.
pub fn to_words<const N: usize>(secret: &[u8; N]) -> Zeroizing<String> {
    const { assert!(N == 16 || N == 32, "12 or 24 words") }
    let with_checksum = checksummed(secret);
    let mut text = Zeroizing::new(String::with_capacity(n_words::<N>() * 9));
    for n in 0..n_words::<N>() {
        let index = (0..BITS_PER_WORD).fold(0, |index, bit| {
            index << 1 | usize::from(bit_at(&with_checksum, n * BITS_PER_WORD + bit))
        });
        if n > 0 {
            text.push(' ');
        }
        text.push_str(WORDS[index]);
    }
    text
}

/// Reads 12 words as 16 bytes, or 24 as 32.
///
/// # Errors
///
/// [`WordsError`], saying which word is wrong where that can be known.
pub fn from_words<const N: usize>(text: &str) -> Result<Zeroizing<[u8; N]>, WordsError> {
    const { assert!(N == 16 || N == 32, "12 or 24 words") }
    let expected = n_words::<N>();
    let found = text.split_whitespace().count();
    if found != expected {
        return Err(WordsError::Count { expected, found });
    }
    // One byte more holds the checksum of up to eight bits.
    let mut bits = Zeroizing::new(vec![0u8; N + 1]);
    for (n, word) in text.split_whitespace().enumerate() {
        let index = index_of(word).map_err(|word| WordsError::Unknown { place: n + 1, word })?;
        for bit in 0..BITS_PER_WORD {
            if index >> (BITS_PER_WORD - 1 - bit) & 1 == 1 {
                let place = n * BITS_PER_WORD + bit;
                bits[place / 8] |= 0x80 >> (place % 8);
            }
        }
    }
    let mut secret = Zeroizing::new([0; N]);
    secret.copy_from_slice(&bits[..N]);
    if checksummed(&secret) == bits { Ok(secret) } else { Err(WordsError::Checksum) }
}

/// How many words a secret of `N` bytes has: its bits and one checksum bit for each 32 of them.
const fn n_words<const N: usize>() -> usize {
    (N * 8 + N / 4) / BITS_PER_WORD
}

/// The secret and the first `N / 4` bits of its hash, the rest of the last byte zero.
fn checksummed<const N: usize>(secret: &[u8; N]) -> Zeroizing<Vec<u8>> {
    let mask = !(0xFFu8.checked_shr(u32::try_from(N / 4).unwrap_or(8)).unwrap_or(0));
    let mut bytes = Zeroizing::new(Vec::with_capacity(N + 1));
    bytes.extend_from_slice(secret);
    bytes.push(Sha256::digest(secret)[0] & mask);
    bytes
}

fn bit_at(bytes: &[u8], place: usize) -> bool {
    bytes[place / 8] & 0x80 >> (place % 8) != 0
}

/// The place of a word in the list, or the word as an error shows it.
fn index_of(word: &str) -> Result<usize, String> {
    let word = Zeroizing::new(word.to_lowercase());
    WORDS.binary_search(&word.as_str()).map_err(|_| word.chars().take(32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hash::sha256;

    #[test]
    fn the_list_is_the_one_of_bip_39() {
        assert_eq!(WORDS.len(), 2048);
        assert!(WORDS.is_sorted());
        let hash = sha256(&[include_bytes!("words.txt")]).to_hex();
        assert_eq!(hash, "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda");
    }

    #[test]
    fn the_vectors_of_bip_39_come_out() {
        let zeros = "abandon ".repeat(11) + "about";
        assert_eq!(to_words(&[0u8; 16]).as_str(), zeros);
        let sevens = "legal winner thank year wave sausage worth useful legal winner thank yellow";
        assert_eq!(to_words(&[0x7F; 16]).as_str(), sevens);
        let ones = "zoo ".repeat(23) + "vote";
        assert_eq!(to_words(&[0xFF; 32]).as_str(), ones);
        let eighties = "letter advice cage absurd amount doctor acoustic avoid letter advice cage \
            absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic \
            bless";
        assert_eq!(to_words(&[0x80; 32]).as_str(), eighties);
        assert_eq!(*from_words::<32>(eighties).unwrap(), [0x80; 32]);
        assert_eq!(*from_words::<16>(sevens).unwrap(), [0x7F; 16]);
    }

    #[test]
    fn case_spacing_and_line_breaks_are_forgiven() {
        let text =
            "  Legal WINNER thank\nyear wave   sausage\tworth useful legal winner thank yellow ";
        assert_eq!(*from_words::<16>(text).unwrap(), [0x7F; 16]);
    }

    #[test]
    fn the_wrong_word_is_named() {
        let text = "legal winer thank year wave sausage worth useful legal winner thank yellow";
        let wrong = WordsError::Unknown { place: 2, word: "winer".into() };
        assert_eq!(from_words::<16>(text).unwrap_err(), wrong);
        let swapped = "winner legal thank year wave sausage worth useful legal winner thank yellow";
        assert_eq!(from_words::<16>(swapped).unwrap_err(), WordsError::Checksum);
        let few = WordsError::Count { expected: 24, found: 12 };
        assert_eq!(from_words::<32>(text).unwrap_err(), few);
        assert!(from_words::<16>("").is_err());
    }
}
