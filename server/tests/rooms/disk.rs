//! What a disk may do to a server: be slow, be full, fail.

use mathia_protocol::crypto::message::Placement;
use mathia_protocol::id::{Seq, TimeMs};
use mathia_protocol::wire::{BulkReply, BulkRequest, DropCause, Event, Fault, Request};
use mathia_server::refusal::Refusal;
use mathia_server::store::StoreError;

use super::cast::{Person, Town};

/// Scheduled entries have numbers with the highest bit set.
const SCHEDULED: u64 = 0x8000_0000_0000_0077;

#[test]
fn an_answer_leaves_only_after_the_commit() {
    let town = Town::start();
    let (mut ann, mut bob, _, room) = town.three_friends();
    town.stage.shut_gate();
    let entry = ann.seals(&town, room, "is it safe?");
    let call = ann.asks(&town, Request::Append { room, entry });
    town.stage.wait_for_batch();
    assert!(!ann.has_answer(call), "the answer overtook the commit");
    assert_eq!(bob.events(), [], "the news overtook the commit");
    town.stage.open_gate();
    assert!(ann.answer(call).is_ok());
}

#[test]
fn a_full_disk_refuses_and_forgets_nothing_that_was_promised() {
    let town = Town::start();
    let (mut ann, mut bob, _, room) = town.three_friends();
    ann.says(&town, room, "one").unwrap();
    bob.hears("one", |_| true);
    town.stage.set_full(true);
    let two = ann.seals(&town, room, "two");
    let busy = ann.appends(&town, room, two.clone());
    assert!(matches!(busy, Err(Fault::ServerBusy { .. })), "{busy:?}");
    let newcomer = Person::registers_by(&town, "zoe", None).map(drop);
    assert!(matches!(newcomer, Err(Fault::ServerBusy { .. })));
    assert_eq!(bob.events(), [], "nothing was told that is not so");
    town.stage.set_full(false);
    assert_eq!(bob.says(&town, room, "me first"), Ok(Seq(3)));
    assert_eq!(ann.appends(&town, room, two), Ok(Seq(4)), "the same bytes, later");
    assert!(Person::registers_by(&town, "zoe", None).is_ok());
    ann.syncs(&town, room);
    bob.syncs(&town, room);
    assert_eq!(ann.rooms[&room].log, bob.rooms[&room].log);
}

#[test]
fn a_commit_that_met_a_full_disk_succeeds_later_with_its_staged_wraps() {
    let town = Town::start();
    let (mut ann, bob, eve, room) = town.three_friends();
    let change = mathia_protocol::log::propose::Change::Rotate;
    let (commit, wraps) = ann.commit(&town, room, &change, &[&bob, &eve]);
    let stage = Request::StageWraps { commit: commit.hash(), wraps };
    ann.calls(&town, stage).unwrap();
    town.stage.set_full(true);
    let busy = ann.commits(&town, room, (commit.clone(), Vec::new()));
    assert!(matches!(busy, Err(Fault::ServerBusy { .. })), "{busy:?}");
    town.stage.set_full(false);
    assert_eq!(ann.commits(&town, room, (commit, Vec::new())), Ok(Seq(2)));
}

#[test]
fn a_failing_disk_ends_the_server_at_once() {
    let town = Town::start();
    let (mut ann, _, _, room) = town.three_friends();
    town.stage.breaks();
    let entry = ann.seals(&town, room, "into the void");
    let call = ann.asks(&town, Request::Append { room, entry });
    assert_eq!(town.stage.last_words(), "the database failed");
    assert!(!ann.has_answer(call));
}

#[test]
fn a_restart_goes_on_where_the_file_is() {
    let mut town = Town::start_on_disk();
    let (mut ann, mut bob, _, room) = town.three_friends();
    let open = ann.creates_open(&town, "lobby").unwrap();
    ann.says(&town, room, "before").unwrap();
    ann.syncs(&town, open);
    ann.says(&town, open, "in the open").unwrap();
    town.restarts();
    ann.comes_back(&town);
    bob.comes_back(&town);
    assert_eq!(ann.says(&town, room, "after"), Ok(Seq(3)));
    assert_eq!(ann.says(&town, open, "still open"), Ok(Seq(3)));
    assert_eq!(bob.says(&town, room, "indeed"), Ok(Seq(4)));
    ann.syncs(&town, room);
    ann.syncs(&town, open);
    assert_eq!(ann.rooms[&open].log.seq(), Seq(3));
}

#[test]
fn a_bit_that_rotted_on_the_disk_is_found_before_anybody_believes_it() {
    let town = Town::start_on_disk();
    let (mut ann, _, _, room) = town.three_friends();
    ann.says(&town, room, "one").unwrap();
    ann.says(&town, room, "two").unwrap();
    let file = rusqlite::Connection::open(town.file()).unwrap();
    let rot =
        "UPDATE entry SET body = CAST(substr(body, 1, 200) || X'FF' || substr(body, 202) AS BLOB)
        WHERE tag = 2 AND n_countable = 1";
    assert_eq!(file.execute(rot, []).unwrap(), 1);
    let read = town.read();
    let fetch = |after| {
        let request = BulkRequest::After { room, after: Seq(after), count: 9 };
        town.reads.bulk(read.as_ref(), ann.account, &request)?.next_page(read.as_ref())
    };
    assert!(matches!(fetch(0), Err(Refusal::Store(StoreError::Rotten(_)))));
    assert!(matches!(fetch(2), Ok(Some(BulkReply::Page { .. }))), "the rest is whole");
}

#[test]
fn a_room_whose_change_has_rotted_is_refused_and_takes_nothing_from_the_others() {
    let mut town = Town::start_on_disk();
    let (mut ann, _, _, room) = town.three_friends();
    let other = ann.creates(&town, &[]).unwrap();
    ann.syncs(&town, other);
    let placement = Placement::Scheduled { id: SCHEDULED };
    let later = ann.seals_as(&town, room, "later", placement);
    let due = TimeMs(town.now().0 + 1_000);
    ann.calls(&town, Request::Schedule { room, entry: later, due }).unwrap();
    let file = rusqlite::Connection::open(town.file()).unwrap();
    let rot = "UPDATE entry SET body = zeroblob(200) WHERE place >> 40 = 1";
    assert_eq!(file.execute(rot, []).unwrap(), 1);
    town.restarts();
    ann.comes_back(&town);

    assert_eq!(ann.says(&town, room, "into the rot"), Err(Fault::Damaged));
    assert_eq!(ann.says(&town, other, "elsewhere"), Ok(Seq(2)));
    // What was left for the damaged room is given up, and keeps nothing else waiting.
    town.time_passes(1_000);
    let cause = DropCause::Invalid;
    let dropped = Event::ScheduleDropped { room, id: SCHEDULED, cause };
    ann.hears("that it was dropped", |event| *event == dropped);
    assert_eq!(ann.says(&town, other, "still"), Ok(Seq(3)));
    assert_eq!(town.damage.n_found(), 2);
    assert!(!town.stage.has_ended(), "the server goes on");
}
