//! Fetching the past in pages, each proven by the rolling hash.

use mathia_protocol::id::{Hash, RoomId, Seq};
use mathia_protocol::log::LogHash;
use mathia_protocol::wire::{BulkReply, BulkRequest, EntryBody, Reply};
use mathia_server::rooms::ResumeProgress;

use super::cast::{Person, Town};

/// The positions of each page.
fn seqs(pages: &[BulkReply]) -> Vec<Vec<u64>> {
    let page = |page: &BulkReply| match page {
        BulkReply::Page { entries, .. } => entries.iter().map(|entry| entry.seq.0).collect(),
        BulkReply::Fault(fault) => panic!("{fault:?}"),
    };
    pages.iter().map(page).collect()
}

fn long_room() -> (Town, Person, RoomId) {
    let town = Town::start();
    let (mut ann, _, _, room) = town.three_friends();
    for number in 0..299 {
        ann.says(&town, room, &format!("line {number}")).unwrap();
        town.clock.advance(1_000);
    }
    (town, ann, room)
}

#[test]
fn a_long_log_comes_in_pages_forward_and_backward() {
    let (town, ann, room) = long_room();
    let after = |after, count| {
        let request = BulkRequest::After { room, after: Seq(after), count };
        seqs(&ann.fetches(&town, &request).unwrap())
    };
    let lens = |pages: Vec<Vec<u64>>| pages.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(lens(after(0, u32::MAX)), [128, 128, 44]);
    assert_eq!(after(297, 2), [[298, 299]]);
    assert_eq!(after(300, 5), [Vec::<u64>::new()], "nothing is there yet");
    let before = |before, count| {
        let request = BulkRequest::Before { room, before: Seq(before), count };
        seqs(&ann.fetches(&town, &request).unwrap())
    };
    assert_eq!(before(0, 3), [[298, 299, 300]]);
    assert_eq!(before(4, 50), [[1, 2, 3]]);
    let all = before(0, u32::MAX);
    assert_eq!((all[0][0], all[1][0], all[2][0]), (173, 45, 1));
    assert_eq!(lens(all), [128, 128, 44]);
}

#[test]
fn every_page_proves_itself_from_the_hash_before_it() {
    let (town, mut ann, room) = long_room();
    ann.syncs(&town, room);
    let request = BulkRequest::Before { room, before: Seq(0), count: 150 };
    let mut newest: Option<(Seq, Hash)> = None;
    for page in ann.fetches(&town, &request).unwrap() {
        let BulkReply::Page { hash_before, entries, .. } = page else { panic!() };
        let before = Seq(entries[0].seq.0 - 1);
        let mut log = LogHash::at(before, hash_before);
        for entry in &entries {
            let EntryBody::Whole(bytes) = &entry.body else { panic!() };
            log = log.extend(bytes);
        }
        if let Some(known) = newest {
            assert_eq!((log.seq(), log.hash()), known);
        }
        newest = Some((before, hash_before));
    }
}

#[test]
fn large_entries_make_short_pages() {
    let town = Town::start();
    let (mut ann, _, _, room) = town.three_friends();
    for _ in 0..6 {
        ann.says(&town, room, &"x".repeat(15_000)).unwrap();
    }
    let request = BulkRequest::Before { room, before: Seq(0), count: 50 };
    let pages = ann.fetches(&town, &request).unwrap();
    assert_eq!(seqs(&pages), [vec![5, 6, 7], vec![1, 2, 3, 4]]);
}

#[test]
fn many_rooms_resume_in_pages_and_each_is_told_once() {
    let town = Town::start();
    let mut ann = Person::registers(&town, "ann");
    let rooms: Vec<RoomId> = (0..20).map(|_| ann.creates(&town, &[]).unwrap()).collect();
    let read = town.read();
    let named: Vec<_> = rooms[..5]
        .iter()
        .chain([&RoomId([9; 32])])
        .map(|room| mathia_protocol::wire::Cursor { room: *room, seq: Seq(1) })
        .collect();
    let first = ann.resumes_page(&town, ResumeProgress::default(), &named, false);
    let Reply::Resumed { heads, gone, more: false } = first.reply else { panic!() };
    assert_eq!((heads.len(), gone), (5, vec![RoomId([9; 32])]));
    let last = ann.resumes_page(&town, first.progress, &[], true);
    let Reply::Resumed { heads, gone, more: false } = last.reply else { panic!() };
    assert_eq!((heads.len(), gone.len()), (15, 0));
    assert!(heads.iter().all(|head| head.seq == Seq(1) && head.hash != Hash::ZERO));
    assert_eq!(read.rooms_of(ann.account).unwrap().len(), 20);
}
