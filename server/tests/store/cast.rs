//! The rows that the stories are about: Ann and Bob, their devices, their rooms.

use mathia_protocol::id::{
    AccountId, Counter, DeviceId, Hash, Realm, RoomId, RoomNumber, Seq, TimeMs, WorkspaceId,
};
use mathia_server::store::sqlite::SqliteStore;
use mathia_server::store::{
    AccountRow, EntryRange, EntryRow, LinkRow, RoomRow, StoreError, Write, Writer, tag,
};
use tempfile::TempDir;

pub(crate) const REALM: Realm = Realm([9; 16]);
pub(crate) const ANN: AccountId = AccountId([1; 32]);
pub(crate) const BOB: AccountId = AccountId([2; 32]);
pub(crate) const ANNS: DeviceId = DeviceId([11; 16]);
pub(crate) const BOBS: DeviceId = DeviceId([22; 16]);

/// A SQLite store in a directory that lives as long as the test.
pub(crate) fn sqlite() -> (TempDir, SqliteStore) {
    let home = TempDir::new().expect("a scratch directory can be made");
    let store = SqliteStore::open(&home.path().join("data/mathia.sqlite"), || REALM);
    let store = store.expect("an empty database opens");
    (home, store)
}

/// Makes each story a test of each store.
macro_rules! stories {
    ($($(#[$doc:meta])* fn $name:ident($store:ident: &dyn Store) $body:block)*) => {
        mod on_sqlite {
            use super::*;
            $(#[test]
            $(#[$doc])*
            fn $name() {
                let (_home, store) = $crate::store::cast::sqlite();
                let $store: &dyn Store = &store;
                $body
            })*
        }

        mod in_memory {
            use super::*;
            $(#[test]
            $(#[$doc])*
            fn $name() {
                let store = mathia_testkit::memory_store::MemoryStore::new($crate::store::cast::REALM);
                let $store: &dyn Store = &store;
                $body
            })*
        }
    };
}
pub(crate) use stories;

/// Runs one batch that must succeed.
pub(crate) fn change<T>(writer: &mut dyn Writer, work: impl FnOnce(&mut dyn Write) -> T) -> T {
    let mut work = Some(work);
    let mut result = None;
    let outcome = writer.batch(&mut |write| {
        let work = work.take().expect("a batch runs its work once");
        result = Some(work(write));
        Ok(())
    });
    outcome.expect("the batch commits");
    result.expect("a committed batch ran its work")
}

/// Runs one batch that must fail, and says why.
pub(crate) fn fail(
    writer: &mut dyn Writer,
    mut work: impl FnMut(&mut dyn Write) -> Result<(), StoreError>,
) -> StoreError {
    writer.batch(&mut work).expect_err("the batch fails")
}

/// Something that differs from number to number.
pub(crate) fn byte(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

pub(crate) fn account(id: AccountId, handle: &str) -> AccountRow {
    AccountRow {
        account: id,
        handle: handle.to_owned(),
        kind: 0,
        created: TimeMs(5),
        last_seen: TimeMs(5),
        token: None,
        is_removed: false,
    }
}

pub(crate) fn link(seq: u32) -> LinkRow {
    LinkRow { seq, hash: Hash([byte(seq.into()); 32]), link: vec![byte(seq.into()); 40] }
}

/// An end-to-end encrypted room; its number is given by the store.
pub(crate) fn room(id: u8) -> RoomRow {
    RoomRow {
        room: RoomId([id; 32]),
        number: RoomNumber(0),
        workspace: WorkspaceId::MAIN,
        kind: 0,
        mode: 0,
        created: TimeMs(5),
        name_tag: None,
        sealed_name: None,
        pair: None,
        retention_days: 0,
    }
}

/// A message; its hashes are made up but differ from place to place.
pub(crate) fn message(room: RoomNumber, seq: u64, device: DeviceId, ctr: u64) -> EntryRow {
    EntryRow {
        room,
        seq: Seq(seq),
        time: TimeMs(1_000 + seq),
        tag: tag::MESSAGE,
        body: Some(vec![byte(seq); 100]),
        entry_hash: Hash([byte(seq); 32]),
        hash: Hash([!byte(seq); 32]),
        n_countable: seq,
        device,
        ctr: Counter(ctr),
    }
}

pub(crate) fn commit(room: RoomNumber, seq: u64) -> EntryRow {
    EntryRow { tag: tag::COMMIT, ..message(room, seq, ANNS, 0) }
}

/// The whole of a room's log.
pub(crate) fn whole(room: RoomNumber) -> EntryRange {
    EntryRange {
        room,
        from: Seq(1),
        to: Seq(u64::MAX),
        n_rows_max: 10_000,
        n_bytes_max: usize::MAX,
    }
}
