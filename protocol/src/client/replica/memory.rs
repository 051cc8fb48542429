//! Rows in memory: for bots, and for tests. Keeps nothing after the process ends.
//!
//! Owns the plainest possible backend, which others are compared with. Nothing is sealed here.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::key_value::{Key, KeyValue, Rows, RowsMut, Span, Table, Value};
use super::{DrainGuard, Stored};

/// Rows in memory. Replicas over one `Arc` of it are like processes over one file.
#[derive(Default)]
pub struct MemoryRows {
    state: Mutex<State>,
    is_draining: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    /// How many transactions have changed something.
    stamp: u64,
    tables: BTreeMap<Table, BTreeMap<Key, Value>>,
}

impl std::fmt::Debug for MemoryRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What the rows hold reaches no log.
        f.write_str("MemoryRows(..)")
    }
}

impl MemoryRows {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A transaction that ended in a panic was rolled back before the lock was given back.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyValue for MemoryRows {
    fn read(&self, ask: &mut dyn FnMut(&dyn Rows) -> Stored<()>) -> Stored<()> {
        ask(&*self.lock())
    }

    fn write(&self, change: &mut dyn FnMut(&mut dyn RowsMut) -> Stored<()>) -> Stored<()> {
        let mut state = self.lock();
        let mut transaction = Transaction { state: &mut state, before: Vec::new() };
        change(&mut transaction)?;
        transaction.before.clear();
        drop(transaction);
        state.stamp += 1;
        Ok(())
    }

    fn change_stamp(&self) -> Stored<u64> {
        Ok(self.lock().stamp)
    }

    fn try_lock_drain(&self) -> Stored<Option<Box<dyn DrainGuard>>> {
        if self.is_draining.swap(true, Ordering::Acquire) {
            return Ok(None);
        }
        Ok(Some(Box::new(Draining(Arc::clone(&self.is_draining)))))
    }

    fn scrub(&self) -> Stored<()> {
        // Values are wiped when they are dropped.
        Ok(())
    }

    fn check(&self) -> Stored<Option<String>> {
        Ok(None)
    }
}

#[derive(Debug)]
struct Draining(Arc<AtomicBool>);

impl DrainGuard for Draining {}

impl Drop for Draining {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl State {
    fn range<'a>(
        &'a self,
        table: Table,
        span: &Span,
    ) -> Box<dyn Iterator<Item = (&'a Key, &'a Value)> + 'a> {
        let Some(rows) = self.tables.get(&table).filter(|_| span.from < span.to) else {
            return Box::new(std::iter::empty());
        };
        let bounds = (Bound::Included(&span.from), Bound::Excluded(&span.to));
        let rows = rows.range::<Key, _>(bounds);
        let count = usize::try_from(span.count).unwrap_or(usize::MAX);
        if span.is_falling { Box::new(rows.rev().take(count)) } else { Box::new(rows.take(count)) }
    }
}

impl Rows for State {
    fn get(&self, table: Table, key: &[u8]) -> Stored<Option<Value>> {
        Ok(self.tables.get(&table).and_then(|rows| rows.get(key)).cloned())
    }

    fn has(&self, table: Table, key: &[u8]) -> Stored<bool> {
        Ok(self.tables.get(&table).is_some_and(|rows| rows.contains_key(key)))
    }

    fn scan(&self, table: Table, span: &Span) -> Stored<Vec<(Key, Value)>> {
        Ok(self.range(table, span).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn keys(&self, table: Table, span: &Span) -> Stored<Vec<Key>> {
        Ok(self.range(table, span).map(|(key, _)| key.clone()).collect())
    }

    fn count(&self, table: Table, span: &Span) -> Stored<u32> {
        Ok(u32::try_from(self.range(table, span).count()).unwrap_or(u32::MAX))
    }
}

/// A change under way; dropping it takes back what is listed in `before`.
struct Transaction<'a> {
    state: &'a mut State,
    /// What stood at each key before it was changed, in the order of the changes.
    before: Vec<(Table, Key, Option<Value>)>,
}

impl Transaction<'_> {
    fn replace(&mut self, table: Table, key: &[u8], value: Option<Value>) -> bool {
        let rows = self.state.tables.entry(table).or_default();
        let before = match value {
            Some(value) => rows.insert(key.to_vec(), value),
            None => rows.remove(key),
        };
        let was_there = before.is_some();
        self.before.push((table, key.to_vec(), before));
        was_there
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        while let Some((table, key, value)) = self.before.pop() {
            let rows = self.state.tables.entry(table).or_default();
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
    }
}

impl Rows for Transaction<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Stored<Option<Value>> {
        self.state.get(table, key)
    }

    fn has(&self, table: Table, key: &[u8]) -> Stored<bool> {
        self.state.has(table, key)
    }

    fn scan(&self, table: Table, span: &Span) -> Stored<Vec<(Key, Value)>> {
        self.state.scan(table, span)
    }

    fn keys(&self, table: Table, span: &Span) -> Stored<Vec<Key>> {
        self.state.keys(table, span)
    }

    fn count(&self, table: Table, span: &Span) -> Stored<u32> {
        self.state.count(table, span)
    }
}

impl RowsMut for Transaction<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Stored<()> {
        self.replace(table, key, Some(Value::new(value.to_vec())));
        Ok(())
    }

    fn insert(&mut self, table: Table, key: &[u8], value: &[u8]) -> Stored<bool> {
        let is_new = !self.has(table, key)?;
        if is_new {
            self.put(table, key, value)?;
        }
        Ok(is_new)
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Stored<bool> {
        Ok(self.replace(table, key, None))
    }

    fn delete_span(&mut self, table: Table, span: &Span) -> Stored<()> {
        for key in self.keys(table, &Span { count: u32::MAX, ..span.clone() })? {
            self.delete(table, &key)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::StorageError;

    fn all(rows: &MemoryRows) -> Vec<(Key, Value)> {
        rows.lock().scan(Table::Cards, &Span::all()).unwrap()
    }

    #[test]
    fn a_transaction_that_fails_changes_nothing() {
        let rows = MemoryRows::default();
        rows.write(&mut |rows| rows.put(Table::Cards, b"a", b"1")).unwrap();
        let (before, stamp) = (all(&rows), rows.change_stamp().unwrap());
        let failed = rows.write(&mut |rows| {
            rows.put(Table::Cards, b"a", b"2")?;
            rows.put(Table::Cards, b"b", b"3")?;
            rows.put(Table::Cards, b"b", b"4")?;
            rows.delete_span(Table::Cards, &Span::all())?;
            Err(StorageError::Full)
        });
        assert!(failed.is_err());
        assert_eq!(all(&rows), before);
        assert_eq!(rows.change_stamp().unwrap(), stamp);
    }

    #[test]
    fn a_span_is_read_from_either_end_and_bounded() {
        let rows = MemoryRows::default();
        rows.write(&mut |rows| (0..9).try_for_each(|n| rows.put(Table::Cards, &[n], &[n])))
            .unwrap();
        let keys = |span: Span| {
            let keys = rows.lock().keys(Table::Cards, &span).unwrap();
            keys.into_iter().map(|key| key[0]).collect::<Vec<_>>()
        };
        assert_eq!(keys(Span::between(vec![2], vec![5])), [2, 3, 4]);
        assert_eq!(keys(Span::between(vec![2], vec![5]).falling().at_most(2)), [4, 3]);
        assert_eq!(keys(Span::of(&[7])), [7]);
        assert!(keys(Span::between(vec![5], vec![2])).is_empty());
    }
}
