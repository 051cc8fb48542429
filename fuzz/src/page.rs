//! Pages of a room's log, and what a client's log makes of them.

use std::sync::LazyLock;

use mathia_protocol::id::{Hash, RoomId, Seq, TimeMs};
use mathia_protocol::log::{Input, LogHash, Output, RoomSync};
use mathia_protocol::wire::{BulkReply, EntryBody, Fault, LogEntry, encode_body};

use crate::Seed;
use crate::frame::there_and_back;

const ROOM: RoomId = RoomId([1; 32]);
const N_ENTRIES: u64 = 5;

/// A log of a few entries, one without its body, and where it ends.
struct Log {
    entries: Vec<LogEntry>,
    /// The log before the first entry and after each.
    places: Vec<LogHash>,
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let mut places = vec![LogHash::start(ROOM)];
    let mut entries = Vec::new();
    for seq in 1..=N_ENTRIES {
        let before = places[places.len() - 1];
        let (body, after) = if seq == 3 {
            let hash = Hash([seq.to_be_bytes()[7]; 32]);
            (EntryBody::Gone(hash), before.extend_hash(hash))
        } else {
            let bytes = seq.to_be_bytes().to_vec();
            let after = before.extend(&bytes);
            (EntryBody::Whole(bytes), after)
        };
        entries.push(LogEntry { seq: Seq(seq), time: TimeMs(seq), body });
        places.push(after);
    }
    Log { entries, places }
});

/// A frame of a bulk stream, followed forward and backward by a client that knows where the log
/// ends.
pub fn page(data: &[u8]) {
    let Some(BulkReply::Page { hash_before, entries, is_last }) = there_and_back(data) else {
        return;
    };
    let (start, end) = (LOG.places[0], LOG.places[LOG.places.len() - 1]);
    let mut forward = RoomSync::from_start(ROOM);
    forward.step(Input::Head { seq: end.seq(), hash: end.hash() });
    let outputs = forward.step(Input::Page { hash_before, entries: entries.clone(), is_last });
    follow(start, &outputs);
    if forward.verified() == end {
        assert!(forward.may_send(), "the true log raises no alarm");
    }
    if forward.verified().seq() == end.seq() && forward.verified() != end {
        assert!(!forward.may_send(), "another log was taken for the true one");
    }

    // Backward the end is known, so nothing false is ever shown.
    let mut backward = RoomSync::resume(ROOM, end, end);
    backward.step(Input::Head { seq: end.seq(), hash: end.hash() });
    backward.step(Input::WantOlder { count: 5 });
    for output in backward.step(Input::OlderPage { hash_before, entries, is_last }) {
        let Output::ApplyOlder { entries } = output else { continue };
        for (entry, at) in entries {
            let place = usize::try_from(at.seq().0).expect("a short log");
            assert_eq!(LOG.places.get(place), Some(&at), "a false place was accepted");
            assert_eq!(entry_hash_step(&entry, LOG.places[place - 1]), at);
        }
    }
}

/// What is applied follows without a gap, each entry hashed into the next place.
fn follow(start: LogHash, outputs: &[Output]) {
    let mut log = start;
    for output in outputs {
        if let Output::Apply { entry, at, .. } = output {
            assert_eq!(entry.seq, log.seq().next());
            log = entry_hash_step(entry, log);
            assert_eq!(log, *at);
        }
    }
}

fn entry_hash_step(entry: &LogEntry, before: LogHash) -> LogHash {
    match &entry.body {
        EntryBody::Whole(bytes) => before.extend(bytes),
        EntryBody::Gone(hash) => before.extend_hash(*hash),
    }
}

/// The whole log, its end, and a refusal.
pub(crate) fn seeds() -> Vec<Seed> {
    let page = |skip: usize, is_last| BulkReply::Page {
        hash_before: LOG.places[skip].hash(),
        entries: LOG.entries[skip..].to_vec(),
        is_last,
    };
    let seeds = [
        ("whole", page(0, true)),
        ("end", page(2, false)),
        ("empty", page(LOG.entries.len(), true)),
        ("fault", BulkReply::Fault(Fault::NotFound)),
    ];
    seeds.map(|(name, reply)| (name.to_owned(), encode_body(&reply))).into()
}
