//! Rows of the file, sealed and opened in this one place.
//!
//! Owns the statements. Every value is sealed under the replica key and bound to its table and key;
//! keys stand in clear (identifiers, positions and numbers, which the server knows as well), but for
//! tables whose keys say something: there, a value that only the replica key can compute takes the
//! key's place. An empty value stays empty.

use crate::client::Stored;
use crate::client::storage::{Key, Rows, RowsMut, Span, Table, Value};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::borrow::Cow;

use super::error::stored;
use super::row_seal::RowSeal;

/// The rows of one open transaction.
pub(super) struct SealedRows<'a> {
    pub(super) conn: &'a Connection,
    pub(super) seal: &'a RowSeal,
}

impl SealedRows<'_> {
    /// The key as it stands in the file.
    fn key<'k>(&self, table: Table, key: &'k [u8]) -> Cow<'k, [u8]> {
        if table.has_hidden_keys() {
            Cow::Owned(self.seal.blind(key).to_vec())
        } else {
            Cow::Borrowed(key)
        }
    }

    fn sealed(&self, table: Table, key: &[u8], value: &[u8]) -> Vec<u8> {
        if value.is_empty() { Vec::new() } else { self.seal.seal(table.name(), key, value) }
    }

    fn opened(&self, table: Table, key: &[u8], value: &[u8]) -> Stored<Value> {
        if value.is_empty() {
            return Ok(Value::default());
        }
        self.seal.open(table.name(), key, value)
    }

    fn write(&self, sql: &str, table: Table, key: &[u8], value: &[u8]) -> Stored<bool> {
        let key = self.key(table, key);
        let sealed = self.sealed(table, &key, value);
        let mut put = stored(self.conn.prepare_cached(sql))?;
        Ok(stored(put.execute(params![key, sealed]))? > 0)
    }
}

/// The rows of a span, in the order that it names.
fn select(what: &str, table: Table, span: &Span) -> String {
    let order = if span.is_falling { "DESC" } else { "ASC" };
    let table = table.name();
    format!("SELECT {what} FROM {table} WHERE key >= ? AND key < ? ORDER BY key {order} LIMIT ?")
}

impl Rows for SealedRows<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Stored<Option<Value>> {
        let key = self.key(table, key);
        let sql = format!("SELECT value FROM {} WHERE key = ?", table.name());
        let mut ask = stored(self.conn.prepare_cached(&sql))?;
        let value: Option<Vec<u8>> = stored(ask.query_row([&key], |row| row.get(0)).optional())?;
        value.map(|value| self.opened(table, &key, &value)).transpose()
    }

    fn has(&self, table: Table, key: &[u8]) -> Stored<bool> {
        let sql = format!("SELECT 1 FROM {} WHERE key = ?", table.name());
        stored(
            self.conn.prepare_cached(&sql).and_then(|mut ask| ask.exists([self.key(table, key)])),
        )
    }

    fn scan(&self, table: Table, span: &Span) -> Stored<Vec<(Key, Value)>> {
        let mut ask = stored(self.conn.prepare_cached(&select("key, value", table, span)))?;
        let mut found = stored(ask.query(params![span.from, span.to, span.count]))?;
        let mut rows = Vec::new();
        while let Some(row) = stored(found.next())? {
            let key: Key = stored(row.get(0))?;
            let value = stored(row.get_ref(1).and_then(|value| Ok(value.as_blob()?)))?;
            let value = self.opened(table, &key, value)?;
            rows.push((key, value));
        }
        Ok(rows)
    }

    fn keys(&self, table: Table, span: &Span) -> Stored<Vec<Key>> {
        let mut ask = stored(self.conn.prepare_cached(&select("key", table, span)))?;
        let keys = ask.query_map(params![span.from, span.to, span.count], |row| row.get(0));
        stored(keys.and_then(Iterator::collect))
    }

    fn count(&self, table: Table, span: &Span) -> Stored<u32> {
        let sql = format!("SELECT COUNT(*) FROM {} WHERE key >= ? AND key < ?", table.name());
        let mut ask = stored(self.conn.prepare_cached(&sql))?;
        let n_rows: u32 = stored(ask.query_row(params![span.from, span.to], |row| row.get(0)))?;
        Ok(n_rows.min(span.count))
    }
}

impl RowsMut for SealedRows<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Stored<()> {
        let sql = format!("INSERT OR REPLACE INTO {} (key, value) VALUES (?, ?)", table.name());
        self.write(&sql, table, key, value).map(drop)
    }

    fn insert(&mut self, table: Table, key: &[u8], value: &[u8]) -> Stored<bool> {
        let sql = format!("INSERT OR IGNORE INTO {} (key, value) VALUES (?, ?)", table.name());
        self.write(&sql, table, key, value)
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Stored<bool> {
        let sql = format!("DELETE FROM {} WHERE key = ?", table.name());
        let mut delete = stored(self.conn.prepare_cached(&sql))?;
        Ok(stored(delete.execute([self.key(table, key)]))? > 0)
    }

    fn delete_span(&mut self, table: Table, span: &Span) -> Stored<()> {
        let sql = format!("DELETE FROM {} WHERE key >= ? AND key < ?", table.name());
        let mut delete = stored(self.conn.prepare_cached(&sql))?;
        stored(delete.execute(params![span.from, span.to]))?;
        Ok(())
    }
}
