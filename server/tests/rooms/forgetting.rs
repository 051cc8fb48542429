//! What a room no longer keeps is gone from the disk, and its log can be verified all the same.

use std::fs;
use std::path::PathBuf;

use mathia_protocol::crypto::commit::Policy;
use mathia_protocol::id::{RoomId, Seq};
use mathia_protocol::log::propose::Change;
use mathia_server::admin::backup;
use mathia_server::store::{EntryRange, EntryRow, tag};

use super::cast::{Person, Town, master};

const DAY_MS: u64 = 24 * 3_600_000;
/// One step of forgetting, and a little more.
const STEP_MS: u64 = 100;

/// From now on the room keeps what is said for a day.
fn keeps_a_day(town: &Town, ann: &mut Person, room: RoomId, others: &[&Person]) {
    ann.syncs(town, room);
    let policy = Policy { retention_days: 1, ..ann.rooms[&room].state.policy() };
    let commit = ann.commit(town, room, &Change::SetPolicy(policy, Vec::new()), others);
    ann.commits(town, room, commit).unwrap();
    ann.syncs(town, room);
}

fn rows(town: &Town, room: RoomId) -> Vec<EntryRow> {
    let read = town.read();
    let room = read.room(room).unwrap().unwrap().number;
    let (from, to) = (Seq(1), Seq(u64::MAX));
    read.entries(EntryRange { room, from, to, n_rows_max: 1_000, n_bytes_max: usize::MAX }).unwrap()
}

fn n_bodies(town: &Town, room: RoomId) -> usize {
    rows(town, room).iter().filter(|row| row.tag == tag::MESSAGE && row.body.is_some()).count()
}

/// Begin and end of every message's bytes, as they lie on the disk now.
fn traces(town: &Town, room: RoomId) -> Vec<Vec<u8>> {
    let messages = rows(town, room).into_iter().filter(|row| row.tag == tag::MESSAGE);
    let ends = |body: Vec<u8>| [body[16..48].to_vec(), body[body.len() - 32..].to_vec()];
    messages.filter_map(|row| row.body).flat_map(ends).collect()
}

/// How many of them are found in the database and its write-ahead log.
fn n_found(town: &Town, traces: &[Vec<u8>]) -> usize {
    let wal = PathBuf::from(format!("{}-wal", town.file().display()));
    let files = [fs::read(town.file()).unwrap(), fs::read(wal).unwrap_or_default()];
    let is_in = |trace: &Vec<u8>, file: &Vec<u8>| file.windows(trace.len()).any(|w| w == trace);
    traces.iter().filter(|trace| files.iter().any(|file| is_in(trace, file))).count()
}

/// Lets the writer take a step, and waits until it has.
fn a_step_passes(town: &Town) {
    town.time_passes(STEP_MS);
    town.time_passes(0);
}

#[test]
fn what_has_expired_is_gone_from_the_files_and_the_log_still_verifies() {
    let mut town = Town::start_on_disk();
    let (mut ann, bob, eve, room) = town.three_friends();
    let lobby = ann.creates_open(&town, "lobby").unwrap();
    keeps_a_day(&town, &mut ann, room, &[&bob, &eve]);
    keeps_a_day(&town, &mut ann, lobby, &[]);
    // A long one lies in pages of its own, a short one in a page with others.
    for text in ["short", &"long".repeat(4_000), "short again"] {
        ann.says(&town, room, text).unwrap();
        ann.says(&town, lobby, text).unwrap();
    }
    let traces = [traces(&town, room), traces(&town, lobby)].concat();
    assert_eq!((traces.len(), n_found(&town, &traces)), (12, 12));
    let hashes: Vec<_> = rows(&town, room).into_iter().map(|row| row.hash).collect();

    town.clock.advance(DAY_MS);
    a_step_passes(&town);
    assert_eq!(n_bodies(&town, room) + n_bodies(&town, lobby), 0);
    assert_eq!(n_found(&town, &traces), 0, "bytes are left in the files");

    // Commits are whole, hashes are as they were, and people talk on, also after a restart.
    let left = rows(&town, room);
    assert!(left.iter().filter(|row| row.tag == tag::COMMIT).all(|row| row.body.is_some()));
    assert_eq!(left.into_iter().map(|row| row.hash).collect::<Vec<_>>(), hashes);
    ann.syncs(&town, room);
    town.restarts();
    ann.comes_back(&town);
    for room in [room, lobby] {
        ann.says(&town, room, "something new").unwrap();
        ann.syncs(&town, room);
    }
    let copy = town.file().with_file_name("copy");
    let report = backup::backup(town.store.as_ref(), &copy, Some(&master())).unwrap();
    assert_eq!((report.n_rooms, report.n_entries), (2, 12));
}

#[test]
fn a_long_past_expires_step_by_step_and_talk_goes_on_between() {
    let town = Town::start();
    let (mut ann, bob, eve, room) = town.three_friends();
    keeps_a_day(&town, &mut ann, room, &[&bob, &eve]);
    for number in 0..150 {
        ann.says(&town, room, &format!("line {number}")).unwrap();
        town.clock.advance(1_000);
    }
    town.clock.advance(DAY_MS);
    let mut left = Vec::new();
    for _ in 0..3 {
        a_step_passes(&town);
        ann.says(&town, room, "meanwhile").unwrap();
        left.push(n_bodies(&town, room));
    }
    // The first step meets both commits as well.
    assert_eq!(left, [150 - 62 + 1, 150 - 126 + 2, 3]);
    ann.syncs(&town, room);
}

#[test]
fn only_what_a_policy_says_is_forgotten_and_only_when_it_is_time() {
    let town = Town::start();
    let (mut ann, bob, eve, room) = town.three_friends();
    let other = ann.creates(&town, &[]).unwrap();
    ann.syncs(&town, other);
    ann.says(&town, other, "kept for ever").unwrap();
    ann.says(&town, room, "early").unwrap();
    town.clock.advance(DAY_MS);
    a_step_passes(&town);
    assert_eq!(n_bodies(&town, room), 1, "there was no policy yet");
    keeps_a_day(&town, &mut ann, room, &[&bob, &eve]);
    ann.says(&town, room, "late").unwrap();
    town.clock.advance(DAY_MS - 2 * STEP_MS);
    a_step_passes(&town);
    assert_eq!((n_bodies(&town, room), n_bodies(&town, other)), (1, 1), "a bit less than a day");
    // Within ten minutes of its time.
    town.clock.advance(10 * 60_000);
    a_step_passes(&town);
    assert_eq!((n_bodies(&town, room), n_bodies(&town, other)), (0, 1));
}

#[test]
fn a_reader_of_the_past_delays_the_erasing_and_nobody_else() {
    let town = Town::start_on_disk();
    let (mut ann, bob, eve, room) = town.three_friends();
    keeps_a_day(&town, &mut ann, room, &[&bob, &eve]);
    ann.says(&town, room, "soon gone").unwrap();
    let traces = traces(&town, room);
    let slow = rusqlite::Connection::open(town.file()).unwrap();
    slow.execute_batch("BEGIN; SELECT count(*) FROM entry").unwrap();
    town.clock.advance(DAY_MS);
    a_step_passes(&town);
    assert_eq!(n_bodies(&town, room), 0);
    assert!(n_found(&town, &traces) > 0, "the slow reader may still want them");
    ann.says(&town, room, "nobody waits").unwrap();
    slow.execute_batch("ROLLBACK").unwrap();
    a_step_passes(&town);
    assert_eq!(n_found(&town, &traces), 0);
}

#[test]
fn a_full_disk_puts_forgetting_off() {
    let town = Town::start();
    let (mut ann, bob, eve, room) = town.three_friends();
    keeps_a_day(&town, &mut ann, room, &[&bob, &eve]);
    ann.says(&town, room, "soon gone").unwrap();
    town.clock.advance(DAY_MS);
    town.stage.set_full(true);
    let entry = ann.seals(&town, room, "later");
    assert!(ann.appends(&town, room, entry.clone()).is_err());
    assert_eq!(n_bodies(&town, room), 1);
    town.stage.set_full(false);
    town.time_passes(2_000);
    town.time_passes(0);
    assert_eq!(n_bodies(&town, room), 0);
    ann.appends(&town, room, entry).unwrap();
}
