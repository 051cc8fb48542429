//! A connection with its prepared statements: how every query of the store is run.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Params, Row};

use super::open::BUSY_TIMEOUT;
use crate::store::StoreError;

/// A connection that reads and, when it is the writer's, writes.
#[derive(Debug)]
pub(super) struct Database {
    db: Connection,
}

impl Database {
    pub(super) fn new(db: Connection) -> Self {
        Self { db }
    }

    /// Runs a query that finds at most one row.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.db.prepare_cached(sql)?.query_row(params, read).optional()?)
    }

    /// Runs a query and collects its rows. The query bounds how many there are.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        Ok(self.db.prepare_cached(sql)?.query_map(params, read)?.collect::<Result<_, _>>()?)
    }

    /// Runs a query and hands over its rows one by one, until `take` says `false`.
    pub(super) fn each(
        &self,
        sql: &str,
        params: impl Params,
        mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<bool>,
    ) -> Result<(), StoreError> {
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            if !take(row)? {
                break;
            }
        }
        Ok(())
    }

    /// Runs a change and says how many rows it touched.
    pub(super) fn run(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        Ok(self.db.prepare_cached(sql)?.execute(params)?)
    }

    /// The number of the row that was inserted last.
    pub(super) fn last_number(&self) -> i64 {
        self.db.last_insert_rowid()
    }

    /// Runs `work` with another patience for locks that others hold.
    pub(super) fn waiting_at_most<T>(
        &self,
        timeout: Duration,
        work: impl FnOnce(&Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.db.busy_timeout(timeout)?;
        let outcome = work(self);
        self.db.busy_timeout(BUSY_TIMEOUT)?;
        outcome
    }

    /// Whether a transaction is open.
    pub(super) fn is_in_batch(&self) -> bool {
        !self.db.is_autocommit()
    }
}
