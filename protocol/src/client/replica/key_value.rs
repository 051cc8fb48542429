//! What a replica needs of its storage: sorted rows of bytes in typed tables, and transactions.
//!
//! Owns the list of tables and what every backend must promise. A backend never interprets a value;
//! what a value means stands with the rows of [`super::Replica`]. One that lies on a disk seals every
//! value in its place (table and key) before it is written.

use std::fmt::Debug;

use zeroize::Zeroizing;

use super::{DrainGuard, Stored};

/// The key of a row: fixed-width big-endian fields, so that byte order is the order of the fields.
pub type Key = Vec<u8>;
/// The value of a row. Wiped when it is dropped: it may hold a text or a secret.
pub type Value = Zeroizing<Vec<u8>>;

/// Behind every key: longer than any, and of the highest bytes.
const END: [u8; 128] = [0xFF; 128];

macro_rules! tables {
    ($($(#[$doc:meta])* $table:ident = $name:literal $(, $trait:ident)*;)+) => {
        /// One family of rows. The comment of each names key and value.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Table {
            $($(#[$doc])* $table,)+
        }

        impl Table {
            /// All tables.
            pub const ALL: &[Self] = &[$(Self::$table),+];

            /// The name in a file: part of what a sealed value is bound to, so it never changes.
            pub fn name(self) -> &'static str {
                match self { $(Self::$table => $name),+ }
            }

            const fn traits(self) -> Traits {
                match self { $(Self::$table => Traits { $($trait: true,)* ..Traits::NONE },)+ }
            }
        }
    };
}

/// What is special about a table.
struct Traits {
    of_room: bool,
    large: bool,
    hidden: bool,
}

impl Traits {
    const NONE: Self = Self { of_room: false, large: false, hidden: false };
}

tables! {
    /// `which (u8)` → a single value, see `singles.rs`.
    Singles = "singles";
    /// `account || number (u32)` → a link of a user chain.
    ChainLinks = "chain_links", large;
    /// `handle` → a pinned person.
    Contacts = "contacts", hidden;
    /// `agent` → its newest signed card.
    Cards = "cards";
    /// `token` → an own invite with its secret.
    Invites = "invites";
    /// `room || piece (u8)` → one piece of what is known of a room, see `rooms.rs`.
    Rooms = "rooms", of_room;
    /// `room` → what was written there and not sent.
    Drafts = "drafts", of_room;
    /// `room || seq` → an entry of the verified log.
    Entries = "entries", of_room, large;
    /// `room || seq` → a verified commit.
    Commits = "commits", of_room, large;
    /// `room || device` → how far the device has come.
    Lanes = "lanes", of_room;
    /// `room || number` → nothing: the number of a scheduled message that stands in the log.
    Scheduled = "scheduled", of_room;
    /// `room || epoch (u32)` → a proven secret.
    EpochSecrets = "epoch_secrets", of_room;
    /// `room || epoch (u32)` → the sender key that members made for this device.
    AgentKeys = "agent_keys", of_room;
    /// `local id` → a message on its way out.
    Outbox = "outbox";
    /// `room || state (u8) || number` → which row of the outbox, see `outbox.rs`.
    OutboxStates = "outbox_states", of_room;
    /// `local id` → nothing: the rows that are accepted or withdrawn.
    OutboxSettled = "outbox_settled";
    /// `change || local id` → nothing: the last change of each row.
    OutboxChanges = "outbox_changes";
    /// `room || target seq || kind (u8) || seq` → the author: an index.
    Relations = "relations", of_room;
    /// `room || seq` → nothing: an index of the entries that name this account.
    Mentions = "mentions", of_room;
    /// `room || seq` → nothing: an index of the entries that a question showed to an agent.
    Shown = "shown", of_room;
    /// `room || cause (u8) || seq` → nothing: an index of the entries that cannot be read now.
    Unreadable = "unreadable", of_room;
    /// `room || seq of the ask` → how far an agent has come with its answer.
    UnfinishedAnswers = "unfinished_answers", of_room;
}

impl Table {
    /// Whether its keys begin with a room, so that forgetting a room empties that part of it.
    pub const fn is_of_room(self) -> bool {
        self.traits().of_room
    }

    /// Whether its values are long, so that a backend keeps them apart from the keys.
    pub const fn is_large(self) -> bool {
        self.traits().large
    }

    /// Whether its keys say something and must not be readable at rest. Such a table has no order
    /// and can only be read by key or as a whole; the keys that a scan returns mean nothing.
    pub const fn has_hidden_keys(self) -> bool {
        self.traits().hidden
    }
}

/// Which rows of a table are read or removed, and from which end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The first key.
    pub from: Key,
    /// The key behind the last one.
    pub to: Key,
    /// Whether the highest key comes first.
    pub is_falling: bool,
    /// At most this many rows.
    pub count: u32,
}

impl Span {
    /// The whole table.
    pub fn all() -> Self {
        Self::between(Key::new(), END.to_vec())
    }

    /// All keys from `from` on that lie before `to`.
    pub fn between(from: Key, to: Key) -> Self {
        Self { from, to, is_falling: false, count: u32::MAX }
    }

    /// All keys that begin with these bytes.
    pub fn of(prefix: &[u8]) -> Self {
        Self::between(prefix.to_vec(), behind(prefix))
    }

    /// All keys that begin with `prefix`, from `from` on.
    pub fn of_from(prefix: &[u8], from: Key) -> Self {
        Self::between(from, behind(prefix))
    }

    /// The same rows from the other end.
    #[must_use]
    pub fn falling(self) -> Self {
        Self { is_falling: true, ..self }
    }

    /// The first of these rows.
    #[must_use]
    pub fn at_most(self, count: u32) -> Self {
        Self { count, ..self }
    }
}

/// The first key behind all that begin with `prefix`.
fn behind(prefix: &[u8]) -> Key {
    let mut key = prefix.to_vec();
    while let Some(last) = key.pop() {
        if let Some(next) = last.checked_add(1) {
            key.push(next);
            return key;
        }
    }
    END.to_vec()
}

/// Reading. Everything that is read in one transaction is of one moment.
pub trait Rows {
    /// The value of a row.
    fn get(&self, table: Table, key: &[u8]) -> Stored<Option<Value>>;

    /// Whether there is such a row.
    fn has(&self, table: Table, key: &[u8]) -> Stored<bool>;

    /// The rows of a span in its order.
    fn scan(&self, table: Table, span: &Span) -> Stored<Vec<(Key, Value)>>;

    /// The keys of a span in its order; no value is opened.
    fn keys(&self, table: Table, span: &Span) -> Stored<Vec<Key>>;

    /// How many rows a span has.
    fn count(&self, table: Table, span: &Span) -> Stored<u32>;
}

/// Changing.
pub trait RowsMut: Rows {
    /// Writes a row, replacing what stood there.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Stored<()>;

    /// Writes a row unless there is one; `true` if it was written.
    fn insert(&mut self, table: Table, key: &[u8], value: &[u8]) -> Stored<bool>;

    /// Removes a row; `true` if there was one.
    fn delete(&mut self, table: Table, key: &[u8]) -> Stored<bool>;

    /// Removes all rows of a span; its order and count do not matter.
    fn delete_span(&mut self, table: Table, span: &Span) -> Stored<()>;
}

/// A place where rows are kept, shared by all processes of one device.
pub trait KeyValue: Send + Sync + Debug + 'static {
    /// Runs `ask` once over one snapshot.
    fn read(&self, ask: &mut dyn FnMut(&dyn Rows) -> Stored<()>) -> Stored<()>;

    /// Runs `change` once in one transaction that no other process writes beside. If it fails or
    /// panics nothing has changed; else all of it is durable when this returns.
    fn write(&self, change: &mut dyn FnMut(&mut dyn RowsMut) -> Stored<()>) -> Stored<()>;

    /// A number that changes whenever any process has changed something. Cheap: it is polled.
    fn change_stamp(&self) -> Stored<u64>;

    /// Takes the advisory lock of the one process that sends; `None` if another process has it.
    fn try_lock_drain(&self) -> Stored<Option<Box<dyn DrainGuard>>>;

    /// Leaves nothing of what was removed in any file.
    fn scrub(&self) -> Stored<()>;

    /// Checks the whole storage; the text says what is wrong, `None` that nothing is.
    fn check(&self) -> Stored<Option<String>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one_also_at_the_highest_bytes() {
        assert_eq!(behind(&[1, 2]), [1, 3]);
        assert_eq!(behind(&[1, 0xFF]), [2]);
        assert_eq!(behind(&[0xFF, 0xFF]), END);
        assert_eq!(behind(&[]), END);
    }

    #[test]
    fn every_table_has_a_name_of_its_own() {
        let mut names: Vec<&str> = Table::ALL.iter().map(|table| table.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Table::ALL.len());
    }
}
