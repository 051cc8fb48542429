//! The tables of the replica and how older files become newer ones.
//!
//! Columns named `sealed_*` hold values under the replica key. What stands in clear are
//! identifiers, positions, times and marks, which the server knows as well.

use crate::client::Stored;
use rusqlite::{Connection, TransactionBehavior};

use super::error::{broken, stored};

/// One step per released layout; never edited afterwards, only followed by another.
const MIGRATIONS: &[&str] = &[INITIAL, ASKING];

const INITIAL: &str = "
CREATE TABLE server (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    address TEXT NOT NULL,
    realm BLOB NOT NULL,
    pin BLOB NOT NULL,
    next_pin BLOB,
    source INTEGER NOT NULL,
    first_seen INTEGER NOT NULL
) STRICT;

CREATE TABLE chain_links (
    account BLOB NOT NULL,
    seq INTEGER NOT NULL,
    sealed_link BLOB NOT NULL,
    PRIMARY KEY (account, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE contacts (
    handle_index BLOB PRIMARY KEY,
    sealed_handle BLOB NOT NULL,
    account BLOB NOT NULL,
    seen_seq INTEGER NOT NULL,
    seen_hash BLOB NOT NULL,
    trust INTEGER NOT NULL,
    changed_to BLOB,
    refreshed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rooms (
    room BLOB PRIMARY KEY,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    sealed_facts BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE entries (
    room BLOB NOT NULL,
    seq INTEGER NOT NULL,
    time INTEGER NOT NULL,
    hash BLOB NOT NULL,
    author BLOB NOT NULL,
    device BLOB NOT NULL,
    gone_hash BLOB,
    sealed_body BLOB,
    sealed_content BLOB NOT NULL,
    unreadable INTEGER,
    is_mention INTEGER NOT NULL,
    PRIMARY KEY (room, seq)
) STRICT;
CREATE INDEX entries_unreadable ON entries (room, unreadable, seq) WHERE unreadable IS NOT NULL;
CREATE INDEX entries_mention ON entries (room, seq) WHERE is_mention = 1;

CREATE TABLE commits (
    room BLOB NOT NULL,
    seq INTEGER NOT NULL,
    time INTEGER NOT NULL,
    sealed_entry BLOB NOT NULL,
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE lanes (
    room BLOB NOT NULL,
    device BLOB NOT NULL,
    last INTEGER NOT NULL,
    prev_own BLOB NOT NULL,
    PRIMARY KEY (room, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE own_lanes (
    room BLOB PRIMARY KEY,
    last INTEGER NOT NULL,
    prev_own BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE epochs (
    room BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    sealed_secret BLOB NOT NULL,
    PRIMARY KEY (room, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    local_id INTEGER PRIMARY KEY AUTOINCREMENT,
    room BLOB NOT NULL,
    queued_at INTEGER NOT NULL,
    state INTEGER NOT NULL,
    counter INTEGER,
    seq INTEGER,
    time INTEGER,
    sealed_text BLOB,
    sealed_extra BLOB
) STRICT;
CREATE INDEX outbox_open ON outbox (room, local_id) WHERE state < 3;

CREATE TABLE drafts (
    room BLOB PRIMARY KEY,
    sealed_text BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE invites (
    token BLOB PRIMARY KEY,
    sealed_invite BLOB NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    sealed_value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Questions to agents: messages of any content, and which entries were shown.
const ASKING: &str = "
ALTER TABLE outbox ADD COLUMN kind INTEGER NOT NULL DEFAULT 1;

CREATE TABLE shown (
    room BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;
";

/// Brings a file to the present layout, all steps in one transaction.
///
/// # Errors
///
/// `StorageError::Broken` for a file of a newer client, which must not be touched.
pub(super) fn migrate(conn: &mut Connection) -> Stored<()> {
    let tx = stored(conn.transaction_with_behavior(TransactionBehavior::Immediate))?;
    let version: u32 = stored(tx.pragma_query_value(None, "user_version", |row| row.get(0)))?;
    let n_steps = u32::try_from(MIGRATIONS.len()).expect("there are a handful of steps");
    let Some(steps) = MIGRATIONS.get(version as usize..) else {
        return Err(broken(format!("it has layout {version}, this client knows {n_steps}")));
    };
    for step in steps {
        stored(tx.execute_batch(step))?;
    }
    stored(tx.pragma_update(None, "user_version", n_steps))?;
    stored(tx.commit())
}
