//! Files: sealed in chunks under a key that the message carries (CRYPTO B4).
//!
//! ```text
//! K_i || N_i = HKDF-Expand(file key, "mathia/v1/file" || 0 || be32(i) || last(0|1), 44)
//! chunk i    = AES-256-GCM(K_i, N_i, aad = "", up to 64 KiB)        only the last may be shorter
//! ```
//!
//! The number and the last-flag are part of each key, so chunks can be neither swapped, repeated nor
//! cut off. The message also carries [`FileSummary`], which the receiver checks at the end. Works
//! chunk by chunk; nothing here holds a whole file.

use std::fmt;

use rand::CryptoRng;
use sha2::{Digest as _, Sha256};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::hash::{equal, expand};
use super::labels;
use super::seal::{TAG_LEN, aead_open, aead_seal};
use crate::id::Hash;

/// The plaintext of every chunk but the last, in bytes.
pub const CHUNK_LEN: usize = 64 * 1024;
/// Every sealed chunk but the last, in bytes.
pub const SEALED_CHUNK_LEN: usize = CHUNK_LEN + TAG_LEN;

/// The key of one file, made for it alone.
///
/// No `Clone`, nothing printed, zeroed on drop.
#[derive(ZeroizeOnDrop)]
pub struct FileKey([u8; 32]);

impl FileKey {
    /// Makes a new random key.
    pub fn generate<R: CryptoRng>(rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self(*bytes)
    }

    /// Takes over the bytes from a message.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    /// Hands out the bytes, to be carried by a sealed message.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0)
    }

    fn chunk_key(&self, index: u32, is_last: bool) -> Zeroizing<[u8; 44]> {
        expand(&self.0, labels::FILE, &[&index.to_be_bytes(), &[u8::from(is_last)]])
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(..)")
    }
}

/// What a message says about its file besides the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSummary {
    /// The size of the plaintext, in bytes.
    pub len: u64,
    /// The SHA-256 of all sealed chunks, one after the other.
    pub hash: Hash,
}

impl FileSummary {
    /// How many chunks the file has; an empty file has one.
    pub fn n_chunks(&self) -> u64 {
        self.len.div_ceil(CHUNK_LEN as u64).max(1)
    }

    /// The size of all sealed chunks together, in bytes.
    pub fn sealed_len(&self) -> u64 {
        self.len + self.n_chunks() * TAG_LEN as u64
    }
}

/// Why a file cannot be sealed or opened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// A chunk has not the length of its place. When sealing, cut it otherwise.
    #[error("a chunk of {found} bytes stands where {expected} belong")]
    ChunkLength {
        /// The length that belongs there.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// A chunk does not open: changed, swapped, or of another file. Download it again.
    #[error("chunk {0} does not open")]
    Open(u32),
    /// A chunk follows the last.
    #[error("a chunk follows the last")]
    AfterLast,
    /// The last chunk is missing. Resume the transfer.
    #[error("the file ends early")]
    Truncated,
    /// The chunks are not the ones that the message promised.
    #[error("the file is not the one the message names")]
    Hash,
    /// More chunks than a file can have.
    #[error("the file is too long")]
    TooLong,
}

/// Seals a file chunk by chunk, in order.
#[derive(Debug)]
pub struct FileSealer {
    key: FileKey,
    digest: Sha256,
    next: u32,
    len: u64,
    is_done: bool,
}

impl FileSealer {
    /// Starts with the first chunk. A key seals one file, once.
    pub fn new(key: FileKey) -> Self {
        Self { key, digest: Sha256::new(), next: 0, len: 0, is_done: false }
    }

    /// Seals the next chunk: [`CHUNK_LEN`] bytes, or fewer if `is_last`.
    ///
    /// # Errors
    ///
    /// [`FileError::ChunkLength`], [`FileError::AfterLast`] or [`FileError::TooLong`]; the sealer
    /// is as it was.
    pub fn seal_chunk(&mut self, plaintext: &[u8], is_last: bool) -> Result<Vec<u8>, FileError> {
        if self.is_done {
            return Err(FileError::AfterLast);
        }
        let found = plaintext.len();
        // Only an empty file ends with an empty chunk: each file has one division into chunks.
        let fits = if is_last { found <= CHUNK_LEN } else { found == CHUNK_LEN };
        if !fits || found == 0 && self.next > 0 {
            return Err(FileError::ChunkLength { expected: CHUNK_LEN, found });
        }
        let following = self.next.checked_add(1).ok_or(FileError::TooLong)?;
        let sealed = aead_seal(&self.key.chunk_key(self.next, is_last), b"", plaintext);
        self.digest.update(&sealed);
        self.len += found as u64;
        self.next = following;
        self.is_done = is_last;
        Ok(sealed)
    }

    /// Hands out what the message must carry.
    ///
    /// # Errors
    ///
    /// [`FileError::Truncated`] if no chunk was the last.
    pub fn finish(self) -> Result<(FileKey, FileSummary), FileError> {
        if !self.is_done {
            return Err(FileError::Truncated);
        }
        let hash = Hash(self.digest.finalize().into());
        Ok((self.key, FileSummary { len: self.len, hash }))
    }
}

/// Opens a file chunk by chunk, in order.
///
/// Each chunk is authentic when it comes out, but only [`Self::finish`] says that the file is whole:
/// write to a temporary place until then.
#[derive(Debug)]
pub struct FileOpener {
    key: FileKey,
    summary: FileSummary,
    digest: Sha256,
    next: u32,
}

impl FileOpener {
    /// Starts with the first chunk of the file that a message describes.
    ///
    /// # Errors
    ///
    /// [`FileError::TooLong`] if there can be no such file.
    pub fn new(key: FileKey, summary: FileSummary) -> Result<Self, FileError> {
        if summary.n_chunks() >= u64::from(u32::MAX) {
            return Err(FileError::TooLong);
        }
        Ok(Self { key, summary, digest: Sha256::new(), next: 0 })
    }

    /// How many bytes the next sealed chunk has; `None` after the last.
    pub fn next_len(&self) -> Option<usize> {
        let left = self.summary.n_chunks().checked_sub(u64::from(self.next))?;
        match left {
            0 => None,
            1 => {
                let before = u64::from(self.next) * CHUNK_LEN as u64;
                let last = usize::try_from(self.summary.len - before).ok()?;
                Some(last + TAG_LEN)
            }
            _ => Some(SEALED_CHUNK_LEN),
        }
    }

    /// Opens the next chunk.
    ///
    /// # Errors
    ///
    /// [`FileError`]; the opener is as it was, so the right chunk may be tried again.
    pub fn open_chunk(&mut self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, FileError> {
        let expected = self.next_len().ok_or(FileError::AfterLast)?;
        if sealed.len() != expected {
            return Err(FileError::ChunkLength { expected, found: sealed.len() });
        }
        let is_last = u64::from(self.next) + 1 == self.summary.n_chunks();
        let opened = aead_open(&self.key.chunk_key(self.next, is_last), b"", sealed)
            .map_err(|_| FileError::Open(self.next))?;
        self.digest.update(sealed);
        self.next += 1;
        Ok(opened)
    }

    /// Says that the file is whole and the one the message names.
    ///
    /// # Errors
    ///
    /// [`FileError::Truncated`] or [`FileError::Hash`].
    pub fn finish(self) -> Result<(), FileError> {
        if self.next_len().is_some() {
            return Err(FileError::Truncated);
        }
        let hash: [u8; 32] = self.digest.finalize().into();
        if equal(&hash, &self.summary.hash.0) { Ok(()) } else { Err(FileError::Hash) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(len: usize) -> (Vec<Vec<u8>>, FileSummary) {
        let mut sealer = FileSealer::new(FileKey::from_bytes(&[3; 32]));
        let text = vec![b'x'; len];
        let n_chunks = len.div_ceil(CHUNK_LEN).max(1);
        let chunks = (0..n_chunks)
            .map(|n| {
                let end = len.min((n + 1) * CHUNK_LEN);
                sealer.seal_chunk(&text[n * CHUNK_LEN..end], n + 1 == n_chunks).unwrap()
            })
            .collect();
        (chunks, sealer.finish().unwrap().1)
    }

    fn opener(summary: FileSummary) -> FileOpener {
        FileOpener::new(FileKey::from_bytes(&[3; 32]), summary).unwrap()
    }

    #[test]
    fn a_file_of_any_length_comes_back_whole() {
        for len in [0, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 3 * CHUNK_LEN] {
            let (chunks, summary) = seal(len);
            assert_eq!(summary.len, len as u64);
            assert_eq!(summary.sealed_len(), chunks.iter().map(|c| c.len() as u64).sum::<u64>());
            let mut opener = opener(summary);
            let mut back = Vec::new();
            for chunk in &chunks {
                assert_eq!(opener.next_len(), Some(chunk.len()));
                back.extend_from_slice(&opener.open_chunk(chunk).unwrap());
            }
            assert_eq!(opener.finish(), Ok(()));
            assert_eq!(back, vec![b'x'; len]);
        }
    }

    #[test]
    fn a_file_that_was_cut_swapped_or_prolonged_is_noticed() {
        let (chunks, summary) = seal(2 * CHUNK_LEN + 5);
        let mut cut = opener(summary);
        cut.open_chunk(&chunks[0]).unwrap();
        assert_eq!(cut.finish(), Err(FileError::Truncated));

        let mut swapped = opener(summary);
        assert_eq!(swapped.open_chunk(&chunks[1]).unwrap_err(), FileError::Open(0));
        assert!(swapped.open_chunk(&chunks[0]).is_ok(), "the right chunk may follow");

        // Somebody claims the file ends after two chunks: the second was not sealed as the last.
        let mut shortened = opener(FileSummary { len: 2 * CHUNK_LEN as u64, ..summary });
        shortened.open_chunk(&chunks[0]).unwrap();
        assert_eq!(shortened.open_chunk(&chunks[1]).unwrap_err(), FileError::Open(1));

        let mut prolonged = opener(summary);
        for chunk in &chunks {
            prolonged.open_chunk(chunk).unwrap();
        }
        assert_eq!(prolonged.open_chunk(&chunks[2]).unwrap_err(), FileError::AfterLast);
    }

    #[test]
    fn another_file_under_the_same_key_is_not_the_one_named() {
        let (chunks, summary) = seal(5);
        let mut opener = opener(FileSummary { hash: Hash([0; 32]), ..summary });
        opener.open_chunk(&chunks[0]).unwrap();
        assert_eq!(opener.finish(), Err(FileError::Hash));
    }

    #[test]
    fn chunks_are_cut_in_one_way_only() {
        let mut sealer = FileSealer::new(FileKey::from_bytes(&[3; 32]));
        assert!(matches!(sealer.seal_chunk(b"short", false), Err(FileError::ChunkLength { .. })));
        let long = vec![0; CHUNK_LEN + 1];
        assert!(matches!(sealer.seal_chunk(&long, true), Err(FileError::ChunkLength { .. })));
        sealer.seal_chunk(&long[1..], false).unwrap();
        assert!(matches!(sealer.seal_chunk(b"", true), Err(FileError::ChunkLength { .. })));
        assert_eq!(sealer.finish().unwrap_err(), FileError::Truncated);
    }

    #[test]
    fn no_single_flipped_bit_of_a_chunk_survives() {
        let (chunks, summary) = seal(20);
        for bit in 0..chunks[0].len() * 8 {
            let mut flipped = chunks[0].clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opener(summary).open_chunk(&flipped).unwrap_err(), FileError::Open(0));
        }
    }

    #[test]
    fn an_impossible_size_is_refused_before_anything_is_downloaded() {
        let summary = FileSummary { len: u64::MAX, hash: Hash::ZERO };
        assert!(FileOpener::new(FileKey::from_bytes(&[3; 32]), summary).is_err());
    }
}
