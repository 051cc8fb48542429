//! Brings the schema up to date: numbered files, applied once each, counted in `user_version`.

use rusqlite::{Connection, TransactionBehavior};

use crate::store::StoreError;

/// All migrations in order; the first has number 1. Files are never edited after a release.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/0001_foundation.sql"),
    include_str!("../../../migrations/0002_room_keys.sql"),
    include_str!("../../../migrations/0003_retention.sql"),
];

/// Applies what is missing.
///
/// # Errors
///
/// [`StoreError::Broken`] if the data was made by a newer version of the server.
pub(super) fn apply(db: &mut Connection) -> Result<(), StoreError> {
    if version(db)? == newest() {
        return Ok(());
    }
    // Asked again inside the transaction: another process may have been faster.
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = version(&change)?;
    if done > newest() {
        return Err(StoreError::broken(format!(
            "the data has schema {done}, this server knows up to {}: it was made by a newer one",
            newest()
        )));
    }
    for (number, migration) in (1..).zip(MIGRATIONS) {
        if number > done {
            change.execute_batch(migration)?;
        }
    }
    change.pragma_update(None, "user_version", newest())?;
    Ok(change.commit()?)
}

/// Refuses a file that cannot be migrated because it is only read.
///
/// # Errors
///
/// [`StoreError::Broken`] if its schema is not the newest one.
pub(super) fn expect_current(db: &Connection) -> Result<(), StoreError> {
    let version = version(db)?;
    if version == newest() {
        return Ok(());
    }
    Err(StoreError::broken(format!("schema {version} instead of {}", newest())))
}

/// The number of the last migration.
fn newest() -> u32 {
    u32::try_from(MIGRATIONS.len()).expect("there are a handful of migrations")
}

fn version(db: &Connection) -> Result<u32, StoreError> {
    Ok(db.pragma_query_value(None, "user_version", |row| row.get(0))?)
}
