//! Measures the outbox of a replica on disk: queueing many texts while offline, one by one and as many
//! at once as a busy storage thread finds waiting, following what changed, and sealing and settling
//! them one by one. Prints milliseconds and the most memory that was in use.
//!
//! `bench-outbox [N]`; every transaction ends with a full sync, as in the client. What that alone
//! costs is measured first: the disk's part of every figure.

use std::io::Write as _;
use std::time::Instant;

use mathia_protocol::client::{DeviceLane, Replica, RoomFacts, RowState, SealedMessage, Write};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::id::{RoomId, Seq, TimeMs};

type Failure = Box<dyn std::error::Error>;

/// The room of all texts.
const ROOM: RoomId = RoomId([7; 32]);
/// Texts in one transaction where they wait for it.
const AT_ONCE: usize = 64;
/// Syncs by which the disk is measured.
const SYNCS: u64 = 1_000;
/// As many as people may write in weeks without a network.
const TEXTS: u64 = 10_000;

fn main() -> Result<(), Failure> {
    let n_texts = std::env::args().nth(1).map_or(Ok(TEXTS), |count| count.parse())?;
    let dir = tempfile::tempdir()?;
    let (store, lock) = (dir.path().join("store.sqlite"), dir.path().join("drain.lock"));
    let replica = Replica::open(&store, &lock, &[7; 32])?;
    replica.put_room(ROOM, &RoomFacts::unknown())?;
    let content = Content::from_text("a text of ordinary length, as people write it")?;

    let begin = Instant::now();
    let mut bare = std::fs::File::create(dir.path().join("bare"))?;
    for _ in 0..SYNCS {
        bare.write_all(&[7; 4_096])?;
        bare.sync_data()?;
    }
    report("bare sync", begin, SYNCS)?;

    let begin = Instant::now();
    for first in (0..n_texts).step_by(AT_ONCE) {
        let texts = (first..n_texts).take(AT_ONCE);
        let queue = |n| Write::Queue { room: ROOM, content: content.clone(), queued_at: TimeMs(n) };
        replica.commit(&texts.map(queue).collect::<Vec<_>>())?;
    }
    report("queue at once", begin, n_texts)?;

    let (begin, mut seen) = (Instant::now(), replica.last_outbox_change()?);
    for n in 0..n_texts {
        replica.queue(ROOM, &content, TimeMs(n))?;
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
    assert_eq!(n_sent, 2 * n_texts, "all of them went out");
    report("seal and settle", begin, n_sent)
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
