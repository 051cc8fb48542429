//! How a client keeps a log whole: gaps, repeats, lies, and every way events can get lost.

use mathia_protocol::crypto::hash::sha256;
use mathia_protocol::id::{Hash, RoomId, Seq, TimeMs};
use mathia_protocol::limits::{SYNC_PENDING_MAX, SYNC_TRIES_MAX};
use mathia_protocol::log::{Alarm, Claimed, Context, Input, LogHash, Output, RoomSync};
use mathia_protocol::wire::{EntryBody, LogEntry};
use proptest::prelude::*;

const ROOM: RoomId = RoomId([7; 32]);

/// A server's log of one room.
#[derive(Clone)]
struct Log {
    entries: Vec<LogEntry>,
    hashes: Vec<LogHash>,
}

impl Log {
    fn new(n_entries: u64) -> Self {
        let mut log = Self { entries: Vec::new(), hashes: vec![LogHash::start(ROOM)] };
        for n in 1..=n_entries {
            log.push(&format!("entry {n}"));
        }
        log
    }

    fn push(&mut self, text: &str) {
        let seq = self.head().seq().next();
        self.hashes.push(self.head().extend(text.as_bytes()));
        let body = EntryBody::Whole(text.as_bytes().to_vec());
        self.entries.push(LogEntry { seq, time: TimeMs(seq.0), body });
    }

    fn head(&self) -> LogHash {
        *self.hashes.last().expect("a log has its start")
    }

    fn at(&self, seq: u64) -> LogHash {
        self.hashes[index(seq)]
    }

    fn entry(&self, seq: u64) -> LogEntry {
        self.entries[index(seq) - 1].clone()
    }

    fn said_head(&self) -> Input {
        Input::Head { seq: self.head().seq(), hash: self.head().hash() }
    }

    fn live(&self, seq: u64) -> Input {
        Input::Live(self.entry(seq))
    }

    /// A page of the entries `from..=to`, with the `H` before them.
    fn entries(&self, from: u64, to: u64) -> (Hash, Vec<LogEntry>) {
        (self.at(from - 1).hash(), (from..=to).map(|seq| self.entry(seq)).collect())
    }

    fn page(&self, from: u64, to: u64) -> Input {
        let (hash_before, entries) = self.entries(from, to);
        Input::Page { hash_before, entries, is_last: true }
    }

    fn older_page(&self, from: u64, to: u64) -> Input {
        let (hash_before, entries) = self.entries(from, to);
        Input::OlderPage { hash_before, entries, is_last: true }
    }
}

fn index(seq: u64) -> usize {
    usize::try_from(seq).expect("the logs of these stories are short")
}

fn applied(outputs: &[Output]) -> Vec<u64> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Apply { entry, at, .. } => {
                assert_eq!(entry.seq, at.seq());
                Some(entry.seq.0)
            }
            _ => None,
        })
        .collect()
}

fn alarms(outputs: &[Output]) -> Vec<Alarm> {
    let alarm = |output: &Output| match output {
        Output::Alarm(alarm) => Some(*alarm),
        _ => None,
    };
    outputs.iter().filter_map(alarm).collect()
}

fn asks(outputs: &[Output]) -> Vec<u64> {
    let ask = |output: &Output| match output {
        Output::AskAfter { after, .. } => Some(after.0),
        _ => None,
    };
    outputs.iter().filter_map(ask).collect()
}

/// A client that holds all of `log`, connected.
fn client_at(log: &Log) -> RoomSync {
    let mut sync = RoomSync::from_start(ROOM);
    sync.step(log.said_head());
    if log.head().seq() > Seq(0) {
        sync.step(log.page(1, log.head().seq().0));
    }
    assert_eq!(sync.verified(), log.head());
    assert!(sync.is_caught_up() && sync.may_send());
    sync
}

#[test]
fn a_newly_connected_client_pulls_the_log_and_is_caught_up() {
    let log = Log::new(5);
    let mut sync = RoomSync::from_start(ROOM);
    let outputs = sync.step(log.said_head());
    assert_eq!(asks(&outputs), [0]);
    let outputs = sync.step(log.page(1, 5));
    assert_eq!(applied(&outputs), [1, 2, 3, 4, 5]);
    assert_eq!(outputs.last(), Some(&Output::CaughtUp { at: log.head() }));
    let outputs = sync.step(Input::Disconnected);
    assert_eq!(outputs, [Output::Unconfirmed { after: Seq(5) }]);
}

#[test]
fn an_answer_in_several_pages_is_asked_for_once() {
    let log = Log::new(9);
    let mut sync = RoomSync::from_start(ROOM);
    sync.step(log.said_head());
    for (from, to) in [(1, 3), (4, 6)] {
        let (hash_before, entries) = log.entries(from, to);
        let outputs = sync.step(Input::Page { hash_before, entries, is_last: false });
        assert!(asks(&outputs).is_empty());
    }
    let outputs = sync.step(log.page(7, 8));
    assert_eq!(asks(&outputs), [8], "the answer ended before the head");
}

#[test]
fn a_live_entry_that_came_too_early_waits_for_the_gap() {
    let mut log = Log::new(2);
    let mut sync = client_at(&log);
    log.push("three");
    log.push("four");
    log.push("five");
    let outputs = sync.step(log.live(5));
    assert_eq!((applied(&outputs), asks(&outputs)), (vec![], vec![2]));
    let outputs = sync.step(log.live(4));
    assert_eq!((applied(&outputs), asks(&outputs)), (vec![], vec![]));
    let outputs = sync.step(log.page(3, 3));
    assert_eq!(applied(&outputs), [3, 4, 5]);
    let context = |output: &Output| match output {
        Output::Apply { context, .. } => Some(*context),
        _ => None,
    };
    let contexts: Vec<Context> = outputs.iter().filter_map(context).collect();
    assert_eq!(contexts, [Context::History, Context::Live, Context::Live]);
    assert!(sync.is_caught_up());
}

#[test]
fn the_same_event_twice_is_harmless() {
    let mut log = Log::new(2);
    let mut sync = client_at(&log);
    log.push("three");
    assert_eq!(applied(&sync.step(log.live(3))), [3]);
    assert!(sync.step(log.live(3)).is_empty());
    assert!(sync.step(log.live(1)).is_empty());
}

#[test]
fn a_lagged_client_reads_once_more_even_if_it_seems_complete() {
    let mut log = Log::new(3);
    let mut sync = client_at(&log);
    log.push("four");
    let outputs = sync.step(Input::Lagged { next_seq: Seq(3) });
    assert_eq!(asks(&outputs), [3]);
    assert!(!sync.is_caught_up());
    assert_eq!(applied(&sync.step(log.page(4, 4))), [4]);
    assert!(sync.is_caught_up());
}

#[test]
fn what_waits_is_bounded() {
    let log = Log::new(SYNC_PENDING_MAX as u64 * 3);
    let mut sync = RoomSync::from_start(ROOM);
    for seq in (2..=log.head().seq().0).rev() {
        sync.step(log.live(seq));
    }
    assert_eq!(sync.n_pending(), SYNC_PENDING_MAX);
    sync.step(log.said_head());
    sync.step(log.page(1, 1));
    assert_eq!(sync.verified().seq().0, SYNC_PENDING_MAX as u64 + 1, "the nearest were kept");
}

#[test]
fn a_server_that_tells_two_stories_about_one_place_is_caught() {
    let log = Log::new(3);
    let mut sync = client_at(&log);
    let other = LogEntry { body: EntryBody::Whole(b"another".to_vec()), ..log.entry(2) };
    let outputs = sync.step(Input::Live(other.clone()));
    assert_eq!(alarms(&outputs), [Alarm::Fork { seq: Seq(2) }]);
    assert!(!sync.may_send());
    assert!(sync.step(Input::Live(other)).is_empty(), "said once");
    sync.dismiss_alarm();
    assert!(sync.may_send());
}

#[test]
fn an_entry_shown_at_another_place_is_out_of_order() {
    let log = Log::new(3);
    let mut sync = client_at(&log);
    let moved = LogEntry { seq: Seq(1), ..log.entry(3) };
    assert_eq!(alarms(&sync.step(Input::Live(moved))), [Alarm::Reordered { seq: Seq(1) }]);
    let mut sync = client_at(&log);
    let longer = Log::new(6);
    sync.step(longer.said_head());
    let (hash_before, mut entries) = longer.entries(4, 6);
    entries.swap(1, 2);
    let outputs = sync.step(Input::Page { hash_before, entries, is_last: true });
    assert_eq!(alarms(&outputs), [Alarm::Reordered { seq: Seq(6) }]);
}

#[test]
fn a_replayed_entry_is_noticed() {
    let mut log = Log::new(3);
    let mut sync = client_at(&log);
    log.push("entry 2");
    let outputs = sync.step(log.live(4));
    let replay = Alarm::Replay { seq: Seq(4), first: Seq(2) };
    assert_eq!((applied(&outputs), alarms(&outputs)), (vec![4], vec![replay]));
}

#[test]
fn a_page_that_does_not_continue_our_log_is_a_fork_and_is_not_applied() {
    let log = Log::new(3);
    let mut other = Log::new(2);
    other.push("another third");
    other.push("fourth");
    let mut sync = client_at(&log);
    let outputs = sync.step(other.said_head());
    assert_eq!(asks(&outputs), [3]);
    let outputs = sync.step(other.page(4, 4));
    assert_eq!(alarms(&outputs), [Alarm::Fork { seq: Seq(3) }]);
    assert!(applied(&outputs).is_empty() && asks(&outputs).is_empty());
    assert_eq!(sync.verified(), log.head());
}

#[test]
fn a_false_head_is_found_when_the_log_gets_there() {
    let log = Log::new(3);
    let mut sync = RoomSync::from_start(ROOM);
    sync.step(Input::Head { seq: Seq(3), hash: Hash([1; 32]) });
    let outputs = sync.step(log.page(1, 3));
    assert_eq!(alarms(&outputs), [Alarm::Fork { seq: Seq(3) }]);
}

#[test]
fn a_member_who_saw_another_log_uncovers_the_fork() {
    let log = Log::new(4);
    let claim = |seq, claimed| Input::Claim { seq: Seq(seq), claimed };
    let mut sync = client_at(&log);
    assert!(sync.step(claim(2, Claimed::Whole(log.at(2).hash()))).is_empty());
    assert!(sync.step(claim(2, Claimed::Half(log.at(2).hash().first_half()))).is_empty());
    let outputs = sync.step(claim(2, Claimed::Half([9; 16])));
    assert_eq!(alarms(&outputs), [Alarm::Fork { seq: Seq(2) }]);
    // A position still ahead is remembered, asked for, and compared when it comes.
    let mut sync = client_at(&log);
    let outputs = sync.step(claim(5, Claimed::Whole(Hash([1; 32]))));
    assert_eq!(asks(&outputs), [4]);
    let mut longer = log.clone();
    longer.push("five");
    let outputs = sync.step(longer.page(5, 5));
    assert_eq!(alarms(&outputs), [Alarm::Fork { seq: Seq(5) }]);
    // One too old to be at hand is looked up in the replica.
    let mut resumed = RoomSync::resume(ROOM, LogHash::start(ROOM), log.head());
    let claimed = Claimed::Whole(Hash([1; 32]));
    let outputs = resumed.step(claim(2, claimed));
    assert_eq!(outputs, [Output::LookUp { seq: Seq(2), claimed }]);
    let (seq, hash) = (Seq(2), log.at(2).hash());
    let outputs = resumed.step(Input::Recalled { seq, hash, claimed });
    assert_eq!(alarms(&outputs), [Alarm::Fork { seq: Seq(2) }]);
}

#[test]
fn entries_that_are_announced_and_not_handed_out_are_withheld() {
    let log = Log::new(3);
    let mut sync = client_at(&log);
    let mut outputs = sync.step(Input::Head { seq: Seq(6), hash: Hash([1; 32]) });
    for _ in 0..SYNC_TRIES_MAX {
        assert_eq!(asks(&outputs), [3]);
        let nothing =
            Input::Page { hash_before: log.head().hash(), entries: vec![], is_last: true };
        outputs = sync.step(nothing);
    }
    assert_eq!(alarms(&outputs), [Alarm::Withheld { from: Seq(4), to: Seq(6) }]);
    assert!(asks(&outputs).is_empty());
    assert!(sync.may_send(), "nothing is known to be false");
    assert!(!sync.is_caught_up());
}

#[test]
fn a_log_that_lost_confirmed_entries_is_noticed_at_the_next_login() {
    let log = Log::new(5);
    let mut sync = client_at(&log);
    sync.step(Input::Disconnected);
    let outputs = sync.step(Log::new(3).said_head());
    assert_eq!(alarms(&outputs), [Alarm::Shrunk { head: Seq(3), verified: Seq(5) }]);
}

#[test]
fn a_newcomer_reads_back_only_what_meets_its_anchor() {
    let log = Log::new(10);
    let mut sync = RoomSync::resume(ROOM, log.at(6), log.at(6));
    sync.step(log.said_head());
    assert_eq!(applied(&sync.step(log.page(7, 10))), [7, 8, 9, 10]);
    let outputs = sync.step(Input::WantOlder { count: 3 });
    assert_eq!(outputs, [Output::AskBefore { before: Seq(7), count: 3 }]);
    let outputs = sync.step(log.older_page(4, 6));
    assert!(matches!(&outputs[..], [Output::ApplyOlder { entries }] if entries.len() == 3));
    assert_eq!(sync.oldest(), log.at(3));
    sync.step(Input::WantOlder { count: 3 });
    let (hash_before, mut entries) = log.entries(1, 3);
    entries[0].body = EntryBody::Whole(b"never said".to_vec());
    let outputs = sync.step(Input::OlderPage { hash_before, entries, is_last: true });
    assert_eq!(alarms(&outputs), [Alarm::Fork { seq: Seq(3) }]);
    assert_eq!(sync.oldest(), log.at(3), "nothing of it was taken");
    sync.step(Input::WantOlder { count: 3 });
    let outputs = sync.step(log.older_page(1, 3));
    assert!(matches!(&outputs[..], [Output::ApplyOlder { .. }]));
    assert!(sync.step(Input::WantOlder { count: 3 }).is_empty(), "the log begins here");
}

#[test]
fn deleted_bodies_keep_the_log_whole() {
    let log = Log::new(4);
    let mut sync = RoomSync::from_start(ROOM);
    sync.step(log.said_head());
    let (hash_before, mut entries) = log.entries(1, 4);
    for entry in &mut entries[..2] {
        let EntryBody::Whole(bytes) = &entry.body else { unreachable!("nothing is deleted yet") };
        entry.body = EntryBody::Gone(sha256(&[bytes]));
    }
    sync.step(Input::Page { hash_before, entries, is_last: true });
    assert_eq!(sync.verified(), log.head());
    assert!(sync.may_send());
}

/// What may happen between an honest server and a client.
#[derive(Debug, Clone)]
enum Weather {
    /// Somebody writes; the event may be lost, or come twice.
    Write { n_events: u8 },
    /// An old event comes again, or late.
    Late { back: u8 },
    /// The server answers the oldest question, perhaps in short pages, perhaps not to the end.
    Answer { page_len: u8, n_pages: u8 },
    /// The answer breaks off.
    Fail,
    /// Events were dropped and the client is told.
    Lag { back: u8 },
    /// The connection breaks and comes back.
    Reconnect,
    /// A member's tick crosses.
    Tick { back: u8 },
}

fn weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        5 => (0u8..3).prop_map(|n_events| Weather::Write { n_events }),
        2 => (0u8..6).prop_map(|back| Weather::Late { back }),
        4 => (1u8..5, 1u8..4).prop_map(|(page_len, n_pages)| Weather::Answer { page_len, n_pages }),
        1 => Just(Weather::Fail),
        1 => (0u8..4).prop_map(|back| Weather::Lag { back }),
        1 => Just(Weather::Reconnect),
        1 => (0u8..6).prop_map(|back| Weather::Tick { back }),
    ]
}

/// A client under test, with all it applied and every question it has open.
struct Client {
    sync: RoomSync,
    applied: Vec<(LogEntry, LogHash)>,
    questions: Vec<u64>,
}

impl Client {
    fn new() -> Self {
        Self { sync: RoomSync::from_start(ROOM), applied: Vec::new(), questions: Vec::new() }
    }

    fn step(&mut self, input: Input) {
        for output in self.sync.step(input) {
            match output {
                Output::Apply { entry, at, .. } => self.applied.push((entry, at)),
                Output::AskAfter { after, .. } => self.questions.push(after.0),
                Output::Alarm(alarm) => {
                    assert!(!alarm.stops_sending(), "an honest server raised {alarm:?}");
                }
                _ => {}
            }
        }
    }

    fn live_through(&mut self, weather: &Weather, log: &mut Log) {
        let back = |log: &Log, back: u8| log.head().seq().0.saturating_sub(u64::from(back));
        match weather {
            Weather::Write { n_events } => {
                let text = format!("entry {}", log.head().seq().0 + 1);
                log.push(&text);
                for _ in 0..*n_events {
                    self.step(log.live(log.head().seq().0));
                }
            }
            Weather::Late { back: n } => {
                if let seq @ 1.. = back(log, *n) {
                    self.step(log.live(seq));
                }
            }
            Weather::Answer { page_len, n_pages } => {
                if !self.questions.is_empty() {
                    let after = self.questions.remove(0);
                    self.answer(log, after, u64::from(*page_len), u64::from(*n_pages));
                }
            }
            Weather::Fail => {
                if self.questions.pop().is_some() {
                    self.step(Input::PageFailed);
                }
            }
            Weather::Lag { back: n } => {
                // Of a log without entries none can have been dropped.
                if log.head().seq() > Seq(0) {
                    self.step(Input::Lagged { next_seq: Seq(back(log, *n).max(1)) });
                }
            }
            Weather::Reconnect => {
                self.step(Input::Disconnected);
                self.questions.clear();
                self.step(log.said_head());
            }
            Weather::Tick { back: n } => {
                let at = log.at(back(log, *n));
                self.step(Input::Claim { seq: at.seq(), claimed: Claimed::Whole(at.hash()) });
            }
        }
    }

    fn answer(&mut self, log: &Log, after: u64, page_len: u64, n_pages: u64) {
        let head = log.head().seq().0;
        let end = head.min(after + page_len * n_pages);
        let mut from = after + 1;
        loop {
            let to = end.min(from + page_len - 1);
            let (hash_before, entries) = log.entries(from, to);
            self.step(Input::Page { hash_before, entries, is_last: to == end });
            if to == end {
                break;
            }
            from = to + 1;
        }
    }

    /// The weather clears: a new login, and every question is answered.
    fn settle(&mut self, log: &Log) {
        self.step(Input::Disconnected);
        self.questions.clear();
        self.step(log.said_head());
        while let Some(after) = self.questions.pop() {
            self.answer(log, after, 7, 9);
        }
    }
}

proptest! {
    /// However events are lost, doubled, late or cut off: everyone ends with the same log.
    #[test]
    fn every_client_ends_with_the_same_log(
        n_before in 0u64..6,
        days in prop::collection::vec((weather(), weather()), 1..60),
    ) {
        let mut log = Log::new(n_before);
        let (mut ann, mut bob) = (Client::new(), Client::new());
        ann.step(log.said_head());
        for (anns, bobs) in &days {
            ann.live_through(anns, &mut log);
            bob.live_through(bobs, &mut log);
        }
        for client in [&mut ann, &mut bob] {
            client.settle(&log);
            prop_assert!(client.sync.is_caught_up());
            prop_assert_eq!(client.sync.verified(), log.head());
            let seqs: Vec<u64> = client.applied.iter().map(|(entry, _)| entry.seq.0).collect();
            prop_assert_eq!(seqs, (1..=log.head().seq().0).collect::<Vec<u64>>());
            for (entry, at) in &client.applied {
                prop_assert_eq!(entry, &log.entry(entry.seq.0));
                prop_assert_eq!(*at, log.at(entry.seq.0));
            }
        }
    }

    /// Two people who are shown two histories find out with the first claim behind the fork.
    #[test]
    fn a_fork_is_found_at_the_first_claim_that_crosses_it(
        n_same in 0u64..5,
        n_apart in 1u64..5,
        half in any::<bool>(),
    ) {
        let (mut anns, mut bobs) = (Log::new(n_same), Log::new(n_same));
        for n in 0..n_apart {
            anns.push(&format!("to ann {n}"));
            bobs.push(&format!("to bob {n}"));
        }
        let mut sync = client_at(&anns);
        for seq in 1..=n_same + n_apart {
            let hash = bobs.at(seq).hash();
            let claimed =
                if half { Claimed::Half(hash.first_half()) } else { Claimed::Whole(hash) };
            let outputs = sync.step(Input::Claim { seq: Seq(seq), claimed });
            let raised = alarms(&outputs);
            prop_assert_eq!(raised.contains(&Alarm::Fork { seq: Seq(seq) }), seq > n_same);
            if seq == n_same + 1 {
                prop_assert!(!sync.may_send());
                break;
            }
        }
    }

    /// No single flipped bit in a page passes unseen once the head is known.
    #[test]
    fn a_flipped_bit_in_a_page_is_noticed(which in 0usize..6, bit in 0usize..56) {
        let log = Log::new(6);
        let mut sync = RoomSync::from_start(ROOM);
        sync.step(log.said_head());
        let (hash_before, mut entries) = log.entries(1, 6);
        let EntryBody::Whole(bytes) = &mut entries[which].body else {
            unreachable!("nothing is deleted")
        };
        bytes[bit / 8] ^= 1 << (bit % 8);
        let outputs = sync.step(Input::Page { hash_before, entries, is_last: true });
        let fork = Alarm::Fork { seq: Seq(6) };
        prop_assert!(alarms(&outputs).contains(&fork));
        prop_assert!(!sync.may_send());
    }
}
