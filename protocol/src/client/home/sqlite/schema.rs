//! The tables of the file: one for each family of rows, with a key and a value.

use crate::client::Stored;
use crate::client::storage::Table;
use rusqlite::{Connection, TransactionBehavior};

use super::error::{broken, stored};

/// The layout of the file. It goes up when tables or rows change their form; files of another
/// layout are refused, as long as nothing is released.
const LAYOUT: u32 = 3;

/// Makes the tables of a new file.
///
/// # Errors
///
/// `StorageError::Broken` for a file of another client, which must not be touched.
pub(super) fn prepare(conn: &mut Connection) -> Stored<()> {
    let tx = stored(conn.transaction_with_behavior(TransactionBehavior::Immediate))?;
    match stored(tx.pragma_query_value(None, "user_version", |row| row.get(0)))? {
        LAYOUT => return Ok(()),
        0 => {}
        other => {
            let text = format!("it has layout {other}, this client knows layout {LAYOUT} only");
            return Err(broken(text));
        }
    }
    for table in Table::ALL {
        stored(tx.execute_batch(&create(*table)))?;
    }
    stored(tx.pragma_update(None, "user_version", LAYOUT))?;
    stored(tx.commit())
}

fn create(table: Table) -> String {
    // Long values beside the keys would make a search walk through all of them.
    let form = if table.is_large() { "STRICT" } else { "STRICT, WITHOUT ROWID" };
    let name = table.name();
    format!("CREATE TABLE {name} (key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL) {form};")
}
