//! What lies on the disk of open rooms: sealed under a key that changes every month, all of it
//! readable for ever.

use mathia_protocol::crypto::message::Placement;
use mathia_protocol::crypto::seal::OpenError;
use mathia_protocol::id::{RoomId, Seq, TimeMs, WorkspaceId};
use mathia_protocol::wire::{BulkRequest, Event, Reply, Request};
use mathia_server::admin::backup;
use mathia_server::rooms::{AdminJob, KeyRotation};
use mathia_server::store::{EntryRange, RoomKeyRow};

use super::cast::{Person, Town, master};

const MONTH_MS: u64 = 30 * 24 * 3_600_000;
const ID: u64 = 0x8000_0000_0000_0077;

fn keys(town: &Town, room: RoomId) -> Vec<RoomKeyRow> {
    let number = town.read().room(room).unwrap().unwrap().number;
    town.read().room_keys(number).unwrap()
}

/// Whether a key opens what lies at a place.
fn opens(town: &Town, room: RoomId, key: &RoomKeyRow, seq: Seq) -> bool {
    let range =
        EntryRange { room: key.room, from: seq, to: seq, n_rows_max: 1, n_bytes_max: usize::MAX };
    let body = town.read().entries(range).unwrap().remove(0).body.unwrap();
    let key = master().open_room_key(room, &key.sealed).unwrap();
    match key.open_entry(seq, &body) {
        Ok(_) => true,
        Err(OpenError) => false,
    }
}

fn lobby_name(town: &Town, person: &Person) -> String {
    let workspace = WorkspaceId::MAIN;
    match person.reads(town, &Request::Lobby { workspace, after: None }) {
        Ok(Reply::Lobby { rooms, .. }) => rooms[0].name.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn after_a_month_the_next_entry_is_sealed_under_a_new_key_and_the_old_ones_stay_readable() {
    let mut town = Town::start_on_disk();
    let mut ann = Person::registers(&town, "ann");
    let room = ann.creates_open(&town, "lobby").unwrap();
    ann.syncs(&town, room);
    ann.says(&town, room, "in the first month").unwrap();
    town.clock.advance(MONTH_MS - 1);
    ann.says(&town, room, "on its last day").unwrap();
    assert_eq!(keys(&town, room).len(), 1);
    town.clock.advance(1);
    assert_eq!(ann.says(&town, room, "in the second month"), Ok(Seq(4)));

    let rows = keys(&town, room);
    let places: Vec<_> = rows.iter().map(|row| (row.generation, row.from)).collect();
    assert_eq!(places, [(1, Seq(1)), (2, Seq(4))]);
    assert!(opens(&town, room, &rows[0], Seq(3)) && !opens(&town, room, &rows[0], Seq(4)));
    assert!(opens(&town, room, &rows[1], Seq(4)) && !opens(&town, room, &rows[1], Seq(3)));

    // Everybody who may read reads all of it, before and after a restart.
    ann.syncs(&town, room);
    town.restarts();
    ann.comes_back(&town);
    ann.says(&town, room, "and on").unwrap();
    ann.syncs(&town, room);
    assert_eq!(ann.rooms[&room].entries.len(), 5);
    assert_eq!(keys(&town, room).len(), 2);
    assert_eq!(lobby_name(&town, &ann), "lobby");
}

#[test]
fn the_operator_changes_the_keys_of_all_open_rooms_whether_somebody_uses_them_or_not() {
    let mut town = Town::start();
    let (mut ann, _, _, sealed) = town.three_friends();
    let lobby = ann.creates_open(&town, "lobby").unwrap();
    town.restarts();
    ann.comes_back(&town);
    let plaza = ann.creates_open(&town, "plaza").unwrap();

    let step = town
        .admin(|answer| AdminJob::RotateKeys { workspace: WorkspaceId::MAIN, after: None, answer })
        .unwrap();
    let last = lobby.max(plaza);
    assert_eq!(step, KeyRotation { n_rooms: 2, last: Some(last) });
    let after = Some(last);
    let end = town
        .admin(|answer| AdminJob::RotateKeys { workspace: WorkspaceId::MAIN, after, answer })
        .unwrap();
    assert_eq!(end, KeyRotation { n_rooms: 0, last: None });
    assert_eq!(keys(&town, sealed), []);
    for room in [lobby, plaza] {
        ann.syncs(&town, room);
        assert_eq!(ann.says(&town, room, "after"), Ok(Seq(2)));
        let rows = keys(&town, room);
        assert_eq!(rows.len(), 2);
        assert!(opens(&town, room, &rows[1], Seq(2)) && opens(&town, room, &rows[0], Seq(1)));
        ann.syncs(&town, room);
    }
}

#[test]
fn what_was_left_for_later_and_a_new_name_survive_the_change() {
    let town = Town::start();
    let mut ann = Person::registers(&town, "ann");
    let room = ann.creates_open(&town, "lobby").unwrap();
    ann.syncs(&town, room);
    let entry = ann.seals_as(&town, room, "in two months", Placement::Scheduled { id: ID });
    let due = TimeMs(town.now().0 + 2 * MONTH_MS);
    ann.calls(&town, Request::Schedule { room, entry: entry.clone(), due }).unwrap();
    town.clock.advance(MONTH_MS);
    ann.says(&town, room, "in the second month").unwrap();
    assert_eq!(keys(&town, room).len(), 2);
    let Ok(Reply::Schedules { schedules }) = ann.reads(&town, &Request::Schedules) else {
        panic!("no schedules")
    };
    assert_eq!(schedules[0].entry, entry);
    ann.syncs(&town, room);
    ann.renames(&town, room, "plaza").unwrap();
    assert_eq!(lobby_name(&town, &ann), "plaza");

    town.time_passes(MONTH_MS);
    ann.hears("the reminder", |event| matches!(event, Event::Entry { seq: Seq(4), .. }));
    ann.syncs(&town, room);
    assert_eq!(ann.rooms[&room].entries[3], entry);
}

#[test]
fn a_page_that_is_read_while_the_key_changes_has_both_months() {
    let town = Town::start();
    let mut ann = Person::registers(&town, "ann");
    let room = ann.creates_open(&town, "lobby").unwrap();
    ann.syncs(&town, room);
    for number in 0..140 {
        ann.says(&town, room, &format!("line {number}")).unwrap();
        town.clock.advance(1_000);
    }
    let read = town.read();
    let request = BulkRequest::After { room, after: Seq(0), count: u32::MAX };
    let mut bulk = town.reads.bulk(read.as_ref(), ann.account, &request).unwrap();
    bulk.next_page(read.as_ref()).unwrap().unwrap();
    town.clock.advance(MONTH_MS);
    ann.says(&town, room, "in the second month").unwrap();
    assert!(bulk.next_page(read.as_ref()).unwrap().is_some());
}

#[test]
fn a_backup_is_verified_under_all_keys() {
    let town = Town::start_on_disk();
    let mut ann = Person::registers(&town, "ann");
    let room = ann.creates_open(&town, "lobby").unwrap();
    ann.syncs(&town, room);
    for _ in 0..3 {
        ann.says(&town, room, "hello").unwrap();
        town.clock.advance(MONTH_MS);
    }
    assert_eq!(keys(&town, room).len(), 3);
    let copy = town.file().with_file_name("copy");
    let report = backup::backup(town.store.as_ref(), &copy, Some(&master())).unwrap();
    assert_eq!((report.n_entries, report.n_unopened), (4, 0));
    let db = rusqlite::Connection::open(&copy).unwrap();
    assert_eq!(db.execute("DELETE FROM room_key WHERE generation = 2", []).unwrap(), 1);
    drop(db);
    let damaged = backup::verify(&copy, Some(&master()));
    assert!(matches!(damaged, Err(backup::BackupError::Damaged { seq: Seq(3), .. })));
}
