//! The seal over everything in the replica that says something.
//!
//! Owns the key from the key file and the place names that bind a sealed value to its row, so that
//! values cannot be moved between rows by whoever can write the file.

use std::fmt;

use crate::client::StorageError;
use crate::crypto::hash::expand;
use crate::crypto::labels;
use crate::crypto::seal::{open_once, seal_once};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::error::broken;

/// Seals and opens values under the replica key. `Debug` shows nothing.
#[derive(ZeroizeOnDrop)]
pub(super) struct RowSeal([u8; 32]);

impl RowSeal {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(*key)
    }

    /// Seals a value for one column of one row.
    pub(super) fn seal(&self, place: Place<'_>, plain: &[u8]) -> Vec<u8> {
        seal_once(&mut rand::rng(), &self.0, labels::REPLICA, &place.encode(), plain)
    }

    /// Opens a value of one column of one row.
    ///
    /// # Errors
    ///
    /// [`StorageError::Broken`] if it was sealed under another key or for another place.
    pub(super) fn open(
        &self,
        place: Place<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StorageError> {
        open_once(&self.0, labels::REPLICA, &place.encode(), sealed).map_err(broken)
    }

    /// Opens a text.
    pub(super) fn open_text(
        &self,
        place: Place<'_>,
        sealed: &[u8],
    ) -> Result<String, StorageError> {
        let plain = self.open(place, sealed)?;
        String::from_utf8(plain.to_vec()).map_err(broken)
    }

    /// A value that finds a text again without saying it: equal for equal texts under one key only.
    pub(super) fn blind(&self, text: &str) -> [u8; 32] {
        *expand::<32>(&self.0, labels::REPLICA_INDEX, &[text.as_bytes()])
    }
}

impl fmt::Debug for RowSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowSeal(..)")
    }
}

/// Names one column of one row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    column: &'static str,
    key: &'a [u8],
    number: u64,
}

impl<'a> Place<'a> {
    /// A column of the row with this key.
    pub(super) fn of(column: &'static str, key: &'a [u8]) -> Self {
        Self { column, key, number: 0 }
    }

    /// A column of the row with this key and number.
    pub(super) fn at(column: &'static str, key: &'a [u8], number: u64) -> Self {
        Self { column, key, number }
    }

    fn encode(self) -> Vec<u8> {
        [self.column.as_bytes(), &[0], &self.number.to_be_bytes(), self.key].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_moved_to_another_row_or_column_does_not_open() {
        let seal = RowSeal::new(&[7; 32]);
        let here = Place::at("entry", b"room", 1);
        let sealed = seal.seal(here, b"hello");
        assert_eq!(seal.open(here, &sealed).unwrap().as_slice(), b"hello");
        for other in [
            Place::at("entry", b"room", 2),
            Place::at("body", b"room", 1),
            Place::of("entry", b"x"),
        ] {
            assert!(matches!(seal.open(other, &sealed), Err(StorageError::Broken(_))));
        }
        assert!(RowSeal::new(&[8; 32]).open(here, &sealed).is_err());
    }

    #[test]
    fn a_blind_value_finds_one_text_under_one_key() {
        let seal = RowSeal::new(&[7; 32]);
        assert_eq!(seal.blind("ann"), seal.blind("ann"));
        assert_ne!(seal.blind("ann"), seal.blind("bob"));
        assert_ne!(seal.blind("ann"), RowSeal::new(&[8; 32]).blind("ann"));
    }
}
