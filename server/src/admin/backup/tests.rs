use mathia_protocol::id::{Counter, DeviceId, Realm, RoomId, TimeMs, WorkspaceId};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tempfile::TempDir;

use super::*;
use crate::store::{RoomKeyRow, tag};

const SEALED_ROOM: RoomId = RoomId([1; 32]);
const OPEN_ROOM: RoomId = RoomId([2; 32]);
const N_ENTRIES: u64 = 40;

fn master() -> MasterKey {
    MasterKey::from_bytes(&[7; 32])
}

/// A store with an end-to-end room and an open one, with a log each.
fn town() -> (TempDir, SqliteStore) {
    let home = TempDir::new().unwrap();
    let store =
        SqliteStore::open(&home.path().join("data/mathia.sqlite"), || Realm([9; 16])).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    let (keys, first_key) = RoomKeys::found(&master(), &mut rng, OPEN_ROOM, TimeMs(1));
    let mut writer = store.writer().unwrap();
    writer
        .batch(&mut |write| {
            for (room, is_open) in [(SEALED_ROOM, false), (OPEN_ROOM, true)] {
                let number = write.insert_room(&RoomRow {
                    room,
                    number: RoomNumber(0),
                    workspace: WorkspaceId::MAIN,
                    kind: 0,
                    mode: is_open.into(),
                    created: TimeMs(1),
                    name_tag: None,
                    sealed_name: None,
                    pair: None,
                    retention_days: 0,
                })?;
                if is_open {
                    write.insert_room_key(&RoomKeyRow { room: number, ..first_key.clone() })?;
                }
                let mut head = LogHash::start(room);
                for ctr in 1..=N_ENTRIES {
                    let bytes = format!("entry {ctr} of {room}").into_bytes();
                    head = head.extend(&bytes);
                    let body = if is_open {
                        keys.seal_entry(&mut rng, head.seq(), &bytes)
                    } else {
                        bytes.clone()
                    };
                    write.insert_entry(&EntryRow {
                        room: number,
                        seq: head.seq(),
                        time: TimeMs(ctr),
                        tag: tag::MESSAGE,
                        body: Some(body),
                        entry_hash: sha256(&[&bytes]),
                        hash: head.hash(),
                        n_countable: ctr,
                        device: DeviceId([1; 16]),
                        ctr: Counter(ctr),
                    })?;
                }
            }
            Ok(())
        })
        .unwrap();
    drop(writer);
    (home, store)
}

/// Changes a copy the way a failing disk or a curious hand would, and says where it was found.
fn found_after(change: &str) -> (RoomNumber, Seq, &'static str) {
    let (home, store) = town();
    let copy = home.path().join("copy");
    backup(&store, &copy, None).unwrap();
    let db = rusqlite::Connection::open(&copy).unwrap();
    assert_eq!(db.execute(change, ()).unwrap(), 1);
    drop(db);
    match verify(&copy, Some(&master())).unwrap_err() {
        BackupError::Damaged { room, seq, what } => (room, seq, what),
        error => panic!("{error}"),
    }
}

#[test]
fn a_backup_is_whole_and_a_server_can_start_from_it() {
    let (home, store) = town();
    let copy = home.path().join("copy");
    let report = backup(&store, &copy, Some(&master())).unwrap();
    let n_bytes = fs::metadata(&copy).unwrap().len();
    let expected = BackupReport { n_rooms: 2, n_entries: 2 * N_ENTRIES, n_unopened: 0, n_bytes };
    assert_eq!(report, expected);
    assert_eq!(verify(&copy, Some(&master())).unwrap(), expected);
    let n_unopened = N_ENTRIES;
    assert_eq!(verify(&copy, None).unwrap(), BackupReport { n_unopened, ..expected });

    let restored = SqliteStore::open(&copy, || panic!("a copy has its identity")).unwrap();
    let head = restored.reader().unwrap().head(RoomNumber(2)).unwrap();
    assert_eq!(head, store.reader().unwrap().head(RoomNumber(2)).unwrap());
}

#[test]
fn a_backup_overwrites_nothing_and_leaves_nothing_behind() {
    let (home, store) = town();
    let copy = home.path().join("copy");
    fs::write(&copy, b"precious").unwrap();
    assert!(matches!(backup(&store, &copy, None), Err(BackupError::Exists(_))));
    assert_eq!(fs::read(&copy).unwrap(), b"precious");

    let other = home.path().join("other");
    let wrong = MasterKey::from_bytes(&[8; 32]);
    assert!(matches!(backup(&store, &other, Some(&wrong)), Err(BackupError::Damaged { .. })));
    let names: Vec<_> =
        fs::read_dir(home.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}: only the data and what was there");
    assert!(matches!(backup(&store, Path::new("/"), None), Err(BackupError::Exists(_))));
}

#[test]
fn what_a_killed_backup_left_is_in_nobodys_way() {
    let (home, store) = town();
    fs::write(home.path().join(".copy.partial"), b"half").unwrap();
    let copy = home.path().join("copy");
    backup(&store, &copy, None).unwrap();
    assert!(!home.path().join(".copy.partial").exists());
    verify(&copy, None).unwrap();
}

#[test]
fn every_kind_of_damage_to_a_log_is_found_at_its_place() {
    let place = |room: u64, seq: u64| (room << 40) | seq;
    let at = |set: &str, place: u64| format!("UPDATE entry SET {set} WHERE place = {place}");
    assert_eq!(
        found_after(&at("body = CAST('other' AS BLOB)", place(1, 3))),
        (RoomNumber(1), Seq(3), "the body is not the one that was stored")
    );
    assert_eq!(
        found_after(&at("body = zeroblob(80)", place(2, 4))),
        (RoomNumber(2), Seq(4), "the body does not open")
    );
    assert_eq!(
        found_after(&at("hash = zeroblob(32)", place(1, 5))),
        (RoomNumber(1), Seq(5), "the rolling hash does not fit")
    );
    assert_eq!(
        found_after(&at("entry_hash = zeroblob(32), body = NULL", place(2, 6))),
        (RoomNumber(2), Seq(6), "the rolling hash does not fit")
    );
    assert_eq!(
        found_after(&format!("DELETE FROM entry WHERE place = {}", place(1, 7))),
        (RoomNumber(1), Seq(7), "the entry is missing")
    );
    assert_eq!(
        found_after("DELETE FROM room WHERE number = 1"),
        (RoomNumber(1), Seq(0), "the room is missing")
    );
}

#[test]
fn a_body_that_retention_removed_is_no_damage() {
    let (home, store) = town();
    let copy = home.path().join("copy");
    backup(&store, &copy, None).unwrap();
    let db = rusqlite::Connection::open(&copy).unwrap();
    db.execute("UPDATE entry SET body = NULL", ()).unwrap();
    drop(db);
    assert_eq!(verify(&copy, Some(&master())).unwrap().n_entries, 2 * N_ENTRIES);
}

#[test]
fn damaged_pages_are_found() {
    let (home, store) = town();
    let copy = home.path().join("copy");
    backup(&store, &copy, None).unwrap();
    let mut bytes = fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xff);
    fs::write(&copy, bytes).unwrap();
    assert!(verify(&copy, None).is_err());
}
