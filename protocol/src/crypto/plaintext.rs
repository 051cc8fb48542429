//! What a message holds before it is sealed: a content number and its body, padded (CRYPTO B4).
//!
//! Padding hides all but the order of a text's length: an observer sees 64, 128, 256, 512, 1024 or a
//! multiple of 1024 bytes. There is one padded form of a text and no other is accepted.

use std::fmt;

use super::ce::{CeError, Reader, Writer};

/// The largest padded text, in bytes: an assistant's answer with what belongs to it.
pub const PADDED_LEN_MAX: usize = 61 * 1024;
/// The largest body, in bytes.
pub const BODY_LEN_MAX: usize = PADDED_LEN_MAX - BODY_OFFSET;
/// Content number and length stand before the body.
const BODY_OFFSET: usize = 5;
const STEP: usize = 1024;

/// A content number and its body; [`super::content::Content`] gives them meaning.
///
/// `Debug` hides the body: what people write never reaches a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Plaintext {
    /// Which content it is.
    pub kind: u8,
    /// Its encoding.
    pub body: Vec<u8>,
}

/// Why bytes are no padded text. Retrying never helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PaddingError {
    /// The encoding inside is malformed.
    #[error("the text is malformed: {0}")]
    Malformed(#[from] CeError),
    /// The length is none that padding makes of this text.
    #[error("{0} bytes are not the padded length of this text")]
    Length(usize),
    /// A byte of the padding is not zero.
    #[error("the padding is not zero")]
    NotZero,
}

/// The length that `len` bytes are padded to; `None` above [`PADDED_LEN_MAX`].
pub fn padded_len(len: usize) -> Option<usize> {
    let padded = match len {
        0..=64 => 64,
        65..=128 => 128,
        129..=256 => 256,
        257..=512 => 512,
        _ => len.checked_next_multiple_of(STEP)?,
    };
    (padded <= PADDED_LEN_MAX).then_some(padded)
}

/// Says whether `len` is a length that padding makes.
pub fn is_padded_len(len: usize) -> bool {
    padded_len(len) == Some(len)
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext(kind {}, {} bytes)", self.kind, self.body.len())
    }
}

impl Plaintext {
    /// Encodes `CE(kind u8, body as bytes)` and pads it with zeros; `None` if the body exceeds
    /// [`BODY_LEN_MAX`].
    pub fn encode_padded(&self) -> Option<Vec<u8>> {
        let padded = padded_len(BODY_OFFSET + self.body.len())?;
        let mut bytes = Writer::with_capacity(padded).u8(self.kind).bytes(&self.body).finish();
        bytes.resize(padded, 0);
        Some(bytes)
    }

    /// Reads what [`Self::encode_padded`] writes, and nothing else.
    ///
    /// # Errors
    ///
    /// [`PaddingError`]; retrying never helps.
    pub fn decode_padded(padded: &[u8]) -> Result<Self, PaddingError> {
        let mut reader = Reader::new(padded);
        let kind = reader.u8()?;
        let body = reader.bytes(BODY_LEN_MAX)?.to_vec();
        if padded_len(BODY_OFFSET + body.len()) != Some(padded.len()) {
            return Err(PaddingError::Length(padded.len()));
        }
        if reader.take(reader.remaining())?.iter().any(|byte| *byte != 0) {
            return Err(PaddingError::NotZero);
        }
        Ok(Self { kind, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(len: usize) -> Plaintext {
        Plaintext { kind: 1, body: vec![b'x'; len] }
    }

    #[test]
    fn only_a_few_lengths_are_ever_seen() {
        let lens = [(0, 64), (59, 64), (60, 128), (507, 512), (508, 1024), (1019, 1024)];
        let more = [(1020, 2048), (16 * 1024, 17 * 1024), (BODY_LEN_MAX, PADDED_LEN_MAX)];
        for (len, expected) in lens.into_iter().chain(more) {
            let padded = text(len).encode_padded().unwrap();
            assert_eq!(padded.len(), expected);
            assert!(is_padded_len(padded.len()));
            assert_eq!(Plaintext::decode_padded(&padded), Ok(text(len)));
        }
        assert_eq!(text(BODY_LEN_MAX + 1).encode_padded(), None);
        assert!(!is_padded_len(0) && !is_padded_len(65) && !is_padded_len(1025));
    }

    #[test]
    fn a_text_padded_in_another_way_is_refused() {
        let padded = text(5).encode_padded().unwrap();
        let mut longer = padded.clone();
        longer.resize(128, 0);
        assert_eq!(Plaintext::decode_padded(&longer), Err(PaddingError::Length(128)));
        let mut dirty = padded.clone();
        dirty[63] = 1;
        assert_eq!(Plaintext::decode_padded(&dirty), Err(PaddingError::NotZero));
        assert_eq!(Plaintext::decode_padded(&padded[..10]), Err(PaddingError::Length(10)));
        assert!(Plaintext::decode_padded(&padded[..7]).is_err());
        assert!(Plaintext::decode_padded(&[]).is_err());
    }
}
