//! What only a database on a disk can do: fill up, be copied, be opened again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use mathia_protocol::id::{RoomNumber, Seq, TimeMs};
use mathia_server::store::sqlite::SqliteStore;
use mathia_server::store::{RoomKeyRow, ScheduleRow, Store, StoreError, Writer};
use mathia_testkit::memory_store::MemoryStore;
use tempfile::TempDir;

use super::cast::{ANN, ANNS, REALM, change, message, room, sqlite, whole};

fn bulky(room: RoomNumber, id: u64) -> ScheduleRow {
    let body = vec![7; 16 * 1024];
    ScheduleRow { room, account: ANN, device: ANNS, id, due: TimeMs(id), body }
}

/// Adds bulky rows, one a batch, until the store says that it is full.
fn fill(writer: &mut dyn Writer, room: RoomNumber) -> u64 {
    for id in 1..1_000 {
        match writer.batch(&mut |write| write.insert_schedule(&bulky(room, id))) {
            Ok(()) => {}
            Err(StoreError::Full(_)) => return id - 1,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("1,000 rows of 16 KiB fit into 1 MiB");
}

#[test]
fn a_full_disk_refuses_and_heals_without_opening_anew() {
    let (_home, store) = sqlite();
    let store = store.with_pages_max(256);
    let mut writer = store.writer().unwrap();
    let reader = store.reader().unwrap();
    let number = change(&mut *writer, |write| {
        let number = write.insert_room(&room(1)).unwrap();
        write.insert_entry(&message(number, 1, ANNS, 1)).unwrap();
        number
    });
    let n_rows = fill(&mut *writer, number);
    assert!(n_rows > 10);

    // What was there is there, reading goes on, and the failed batch left nothing.
    assert_eq!(reader.counts().unwrap().n_schedules, n_rows);
    assert_eq!(reader.entries(whole(number)).unwrap(), [message(number, 1, ANNS, 1)]);
    for _ in 0..3 {
        let again = writer.batch(&mut |write| write.insert_schedule(&bulky(number, 9_999)));
        assert!(matches!(again, Err(StoreError::Full(_))));
    }

    // Space returns.
    change(&mut *writer, |write| {
        assert!(write.remove_schedule(number, ANNS, 1).unwrap());
    });
    change(&mut *writer, |write| write.insert_entry(&message(number, 2, ANNS, 2)).unwrap());
    change(&mut *writer, |write| write.insert_schedule(&bulky(number, 9_999)).unwrap());
    assert_eq!(reader.head(number).unwrap().seq, Seq(2));
}

#[test]
fn the_write_ahead_log_stays_short_however_much_is_written() {
    let (home, store) = sqlite();
    let mut writer = store.writer().unwrap();
    let reader = store.reader().unwrap();
    let number = change(&mut *writer, |write| write.insert_room(&room(1)).unwrap());
    for batch in 0..40 {
        change(&mut *writer, |write| {
            for id in 0..64 {
                write.insert_schedule(&bulky(number, batch * 64 + id)).unwrap();
            }
        });
        assert_eq!(reader.counts().unwrap().n_schedules, (batch + 1) * 64);
    }
    let n_bytes = fs::metadata(home.path().join("data/mathia.sqlite-wal")).unwrap().len();
    assert!(n_bytes < 20 * 1024 * 1024, "{n_bytes} bytes after writing 40 MiB");
}

#[test]
fn the_reference_store_can_play_a_full_disk() {
    let store = MemoryStore::new(REALM);
    let mut writer = store.writer().unwrap();
    store.set_full(true);
    let outcome = writer.batch(&mut |write| write.insert_room(&room(1)).map(drop));
    assert!(matches!(outcome, Err(StoreError::Full(_))));
    assert_eq!(store.reader().unwrap().counts().unwrap().n_rooms, 0);
    store.set_full(false);
    change(&mut *writer, |write| write.insert_room(&room(1)).unwrap());
}

#[test]
fn everything_is_there_after_opening_again() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("data/mathia.sqlite");
    let number = {
        let store = SqliteStore::open(&path, || REALM).unwrap();
        let mut writer = store.writer().unwrap();
        change(&mut *writer, |write| {
            let number = write.insert_room(&room(1)).unwrap();
            write.insert_entry(&message(number, 1, ANNS, 1)).unwrap();
            number
        })
    };
    let store = SqliteStore::open(&path, || panic!("the data has its identity")).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.realm().unwrap(), REALM);
    assert_eq!(reader.entries(whole(number)).unwrap(), [message(number, 1, ANNS, 1)]);
}

#[test]
fn only_the_owner_may_read_the_files() {
    let (home, store) = sqlite();
    let mut writer = store.writer().unwrap();
    change(&mut *writer, |write| write.insert_room(&room(1)).unwrap());
    store.copy_to(&home.path().join("copy")).unwrap();
    let data = home.path().join("data");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&home.path().join("copy")), 0o600);
    let names: Vec<_> = fs::read_dir(&data).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(names.len(), 3, "the database, its log and the log's index");
    assert!(names.iter().all(|name| mode(name) == 0o600));
}

#[test]
fn a_copy_holds_what_was_committed_and_overwrites_nothing() {
    let (home, store) = sqlite();
    let mut writer = store.writer().unwrap();
    let number = change(&mut *writer, |write| {
        let number = write.insert_room(&room(1)).unwrap();
        for seq in 1..=500 {
            write.insert_entry(&message(number, seq, ANNS, seq)).unwrap();
        }
        number
    });
    let copy = home.path().join("copy");
    store.copy_to(&copy).unwrap();
    change(&mut *writer, |write| write.insert_entry(&message(number, 501, ANNS, 501)).unwrap());

    let reader = SqliteStore::open_copy(&copy).unwrap();
    assert_eq!(reader.realm().unwrap(), REALM);
    assert_eq!(reader.head(number).unwrap().seq, Seq(500));
    let rows = store.reader().unwrap().entries(whole(number)).unwrap();
    assert_eq!(reader.entries(whole(number)).unwrap(), rows[..500]);
    assert!(matches!(store.copy_to(&copy), Err(StoreError::Broken(_))));

    // A copy is a whole database: a server can start from it.
    drop(reader);
    let restored = SqliteStore::open(&copy, || panic!("a copy has its identity")).unwrap();
    assert_eq!(restored.reader().unwrap().head(number).unwrap().seq, Seq(500));
}

#[test]
fn data_of_a_newer_server_is_not_touched() {
    let (home, store) = sqlite();
    drop(store);
    let path = home.path().join("data/mathia.sqlite");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 9_999).unwrap();
    drop(db);
    let error = SqliteStore::open(&path, || REALM).unwrap_err();
    let StoreError::Broken(cause) = error else { panic!("{error}") };
    assert!(cause.to_string().contains("newer"), "{cause}");
}

#[test]
fn data_of_the_first_schema_is_brought_up_to_date_with_the_keys_of_its_open_rooms() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("mathia.sqlite");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(include_str!("../../migrations/0001_foundation.sql")).unwrap();
    let rows = "INSERT INTO room (room, workspace, kind, mode, created, sealed_key) VALUES
        (zeroblob(32), zeroblob(16), 0, 0, 5, NULL),
        (randomblob(32), zeroblob(16), 0, 1, 6, x'0102')";
    assert_eq!(db.execute(rows, ()).unwrap(), 2);
    db.pragma_update(None, "user_version", 1).unwrap();
    drop(db);

    let reader = SqliteStore::open(&path, || REALM).unwrap().reader().unwrap();
    assert_eq!(reader.room_keys(RoomNumber(1)).unwrap(), []);
    let (room, made, sealed) = (RoomNumber(2), TimeMs(6), vec![1, 2]);
    let key = RoomKeyRow { room, generation: 1, from: Seq(1), made, sealed };
    assert_eq!(reader.room_keys(room).unwrap(), [key]);
}

#[test]
fn a_damaged_file_is_no_database() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("mathia.sqlite");
    fs::write(&path, vec![7; 8_192]).unwrap();
    assert!(matches!(SqliteStore::open(&path, || REALM), Err(StoreError::Broken(_))));
}
