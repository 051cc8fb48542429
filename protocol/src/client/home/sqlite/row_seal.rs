//! The seal over everything in the replica that says something.
//!
//! Owns the key from the key file, and how a sealed value is bound to its row, so that values cannot
//! be moved between rows by whoever can write the file.

use std::fmt;

use crate::client::StorageError;
use crate::client::storage::Value;
use crate::crypto::hash::expand;
use crate::crypto::labels;
use crate::crypto::seal::{open_once, seal_once};
use zeroize::ZeroizeOnDrop;

use super::error::broken;

/// Seals and opens values under the replica key. `Debug` shows nothing.
#[derive(ZeroizeOnDrop)]
pub(super) struct RowSeal([u8; 32]);

impl RowSeal {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(*key)
    }

    /// Seals the value of one row.
    pub(super) fn seal(&self, table: &str, key: &[u8], plain: &[u8]) -> Vec<u8> {
        seal_once(&mut rand::rng(), &self.0, labels::REPLICA, &place(table, key), plain)
    }

    /// Opens the value of one row.
    ///
    /// # Errors
    ///
    /// [`StorageError::Broken`] if it was sealed under another key or for another row.
    pub(super) fn open(
        &self,
        table: &str,
        key: &[u8],
        sealed: &[u8],
    ) -> Result<Value, StorageError> {
        open_once(&self.0, labels::REPLICA, &place(table, key), sealed).map_err(broken)
    }

    /// A value that finds a text again without saying it: equal for equal texts under one key only.
    pub(super) fn blind(&self, text: &[u8]) -> [u8; 32] {
        *expand::<32>(&self.0, labels::REPLICA_INDEX, &[text])
    }
}

impl fmt::Debug for RowSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowSeal(..)")
    }
}

/// Names one row. Names of tables hold no zero byte, so no two rows have the same place.
fn place(table: &str, key: &[u8]) -> Vec<u8> {
    [table.as_bytes(), &[0], key].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_moved_to_another_row_or_table_does_not_open() {
        let seal = RowSeal::new(&[7; 32]);
        let sealed = seal.seal("entries", b"room 1", b"hello");
        assert_eq!(seal.open("entries", b"room 1", &sealed).unwrap().as_slice(), b"hello");
        for (table, key) in [("entries", b"room 2"), ("commits", b"room 1")] {
            assert!(matches!(seal.open(table, key, &sealed), Err(StorageError::Broken(_))));
        }
        assert!(RowSeal::new(&[8; 32]).open("entries", b"room 1", &sealed).is_err());
    }

    #[test]
    fn a_blind_value_finds_one_text_under_one_key() {
        let seal = RowSeal::new(&[7; 32]);
        assert_eq!(seal.blind(b"ann"), seal.blind(b"ann"));
        assert_ne!(seal.blind(b"ann"), seal.blind(b"bob"));
        assert_ne!(seal.blind(b"ann"), RowSeal::new(&[8; 32]).blind(b"ann"));
    }
}
