//! Measures the outbox of a replica on disk: queueing many texts one by one while offline, following
//! what changed, and sealing and settling them one by one. Prints milliseconds and the memory it took.
//!
//! `bench-outbox [N]`; every change is a transaction of its own with a full sync, as in the client.

use std::io::Write as _;
use std::time::Instant;

use mathia_protocol::client::{DeviceLane, Replica, RoomFacts, RowState, SealedMessage};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::id::{RoomId, Seq, TimeMs};

type Failure = Box<dyn std::error::Error>;

/// The room of all texts.
const ROOM: RoomId = RoomId([7; 32]);
/// As many as people may write in weeks without a network.
const TEXTS: u64 = 10_000;

fn main() -> Result<(), Failure> {
    let n_texts = std::env::args().nth(1).map_or(Ok(TEXTS), |count| count.parse())?;
    let dir = tempfile::tempdir()?;
    let (store, lock) = (dir.path().join("store.sqlite"), dir.path().join("drain.lock"));
    let replica = Replica::open(&store, &lock, &[7; 32])?;
    replica.put_room(ROOM, &RoomFacts::unknown())?;
    let says = Content::text("a text of ordinary length, as people write it")?.encode();

    let (begin, mut seen) = (Instant::now(), 0);
    for n in 0..n_texts {
        replica.queue(ROOM, &says, TimeMs(n))?;
        let (changed, upto) = replica.outbox_changes(seen)?;
        assert_eq!(changed.len(), 1, "only what is new is read");
        seen = upto;
    }
    report("queue and follow", begin, n_texts)?;

    let begin = Instant::now();
    let mut seal = |lane: &DeviceLane, _: &_| {
        let lane = DeviceLane { last: lane.last.next(), prev_own: lane.prev_own };
        Some(SealedMessage { entry: vec![0; 300], lane })
    };
    let mut n_sent = 0;
    while let Some(row) = replica.seal_next(ROOM, &mut seal)? {
        n_sent += 1;
        let state = RowState::Accepted { seq: Seq(n_sent), time: TimeMs(n_sent) };
        replica.settle(row.local_id, &state)?;
    }
    assert_eq!(n_sent, n_texts, "all of them went out");
    report("seal and settle", begin, n_texts)
}

fn report(what: &str, begin: Instant, n_texts: u64) -> Result<(), Failure> {
    let took = begin.elapsed();
    let each = took.as_micros() / u128::from(n_texts.max(1));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let memory = memory.map_or("unknown", str::trim);
    let took = took.as_millis();
    writeln!(
        std::io::stdout().lock(),
        "{what:<17} {n_texts} texts in {took} ms, {each} us each; most memory so far {memory}"
    )?;
    Ok(())
}
