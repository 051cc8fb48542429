//! The contract of a replica over the file, and what only the file can show.

use crate::client::replica::contract::{
    CANARY, TEAM, batch, contract, counters, entry, facts, says, sealing,
};
use crate::client::{
    Contact, DeviceLane, RowState, StoredCommit, StoredContent, TrustState, Write,
};
use crate::crypto::content::Content;
use crate::crypto::epoch::EpochSecret;
use crate::crypto::user_chain::ChainHead;
use crate::id::{AccountId, Epoch, Hash, Seq, TimeMs};

use super::*;

fn in_a_file(story: fn(&Replica)) {
    let file = File::new();
    story(&file.open());
}

contract!(in_a_file);

/// A replica file of its own.
struct File(tempfile::TempDir);

impl File {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn try_open(&self, key: u8) -> Stored<Replica> {
        let dir = self.0.path().join("data");
        Replica::open(&dir.join("store.sqlite"), &dir.join("drain.lock"), &[key; 32])
    }

    fn open(&self) -> Replica {
        self.try_open(7).unwrap()
    }

    fn rows(&self) -> Arc<SqliteRows> {
        let dir = self.0.path().join("data");
        let rows = SqliteRows::open(&dir.join("store.sqlite"), &dir.join("drain.lock"), &[7; 32]);
        Arc::new(rows.unwrap())
    }
}

#[test]
fn everything_is_there_after_a_restart_and_opens_only_with_its_key() {
    let file = File::new();
    {
        let replica = file.open();
        replica.put_room(TEAM, &facts("team")).unwrap();
        replica.queue(TEAM, &says("later"), TimeMs(1)).unwrap();
    }
    let replica = file.open();
    assert_eq!(replica.room(TEAM).unwrap().unwrap().facts.name, "team");
    assert_eq!(replica.outbox(None).unwrap()[0].content.text().unwrap(), "later");
    assert_eq!(replica.check().unwrap(), None);
    drop(replica);
    assert!(matches!(file.try_open(8), Err(StorageError::Broken(_))));
}

#[test]
fn no_text_name_or_secret_lies_in_clear_in_the_files() {
    let file = File::new();
    let replica = file.open();
    let mut room = facts(CANARY);
    (room.topic, room.stopped) = (CANARY.to_owned(), Some(CANARY.to_owned()));
    replica.put_room(TEAM, &room).unwrap();
    let mut open_room = batch(vec![entry(1, CANARY)]);
    open_room.commits =
        vec![StoredCommit { seq: Seq(2), time: TimeMs(1), entry: CANARY.as_bytes().to_vec() }];
    replica.apply(TEAM, open_room).unwrap();
    let rejected = StoredContent::Rejected { check: CANARY.to_owned() };
    replica.put_content(TEAM, Seq(1), &rejected, false).unwrap();
    replica.queue(TEAM, &says(CANARY), TimeMs(1)).unwrap();
    let sent = replica.seal_next(TEAM, &mut sealing).unwrap().unwrap();
    replica.settle(sent.local_id, &RowState::Failed { cause: CANARY.to_owned() }).unwrap();
    replica.put_draft(TEAM, CANARY).unwrap();
    replica.put_address(CANARY).unwrap();
    replica.put_card(AccountId([1; 32]), CANARY.as_bytes()).unwrap();
    replica.put_chain_links(AccountId([1; 32]), 1, &[CANARY.as_bytes().to_vec()]).unwrap();
    let secret: [u8; 32] = *b"0123456789canary0123456789canary";
    replica.put_epoch_secret(TEAM, Epoch(1), &EpochSecret::from_bytes(&secret)).unwrap();
    replica
        .put_contact(&Contact {
            handle: "heron-lands".to_owned(),
            account: AccountId([1; 32]),
            seen: ChainHead { seq: 1, hash: Hash([1; 32]) },
            trust: TrustState::Unverified,
            changed_to: None,
            refreshed: TimeMs(0),
        })
        .unwrap();
    let mut n_files = 0;
    for path in std::fs::read_dir(file.0.path().join("data")).unwrap() {
        let bytes = std::fs::read(path.unwrap().path()).unwrap();
        n_files += usize::from(!bytes.is_empty());
        for word in ["the heron lands", "heron-lands", "canary"] {
            let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found, "{word}");
        }
    }
    assert!(n_files >= 2, "database and its log");
}

#[cfg(unix)]
#[test]
fn the_files_belong_to_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let file = File::new();
    let replica = file.open();
    replica.put_room(TEAM, &facts("team")).unwrap();
    drop(replica.try_lock_drain().unwrap());
    let dir = file.0.path().join("data");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for path in std::fs::read_dir(&dir).unwrap() {
        assert_eq!(mode(&path.unwrap().path()), 0o600);
    }
}

#[test]
fn two_processes_take_counters_without_a_hole_or_a_double() {
    let file = File::new();
    let (left, right) = (file.open(), file.open());
    left.put_room(TEAM, &facts("team")).unwrap();
    let stamp = right.change_stamp().unwrap();
    for n in 0..20 {
        left.queue(TEAM, &says(&format!("{n}")), TimeMs(n)).unwrap();
    }
    assert_ne!(right.change_stamp().unwrap(), stamp, "the other one's change is seen");
    let both = std::thread::scope(|scope| {
        let run = |replica: Replica| {
            let mut taken = Vec::new();
            while let Some(row) = replica.seal_next(TEAM, &mut sealing).unwrap() {
                taken.push(row);
            }
            counters(&taken)
        };
        let (left, right) = (scope.spawn(move || run(left)), scope.spawn(move || run(right)));
        [left.join().unwrap(), right.join().unwrap()].concat()
    });
    let mut sorted = both.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=20).collect::<Vec<_>>());
}

#[test]
fn a_crash_while_sealing_takes_no_counter() {
    let file = File::new();
    let replica = file.open();
    replica.put_room(TEAM, &facts("team")).unwrap();
    replica.queue(TEAM, &says("one"), TimeMs(1)).unwrap();
    let crash = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        replica.seal_next(TEAM, &mut |_, _| panic!("the power goes"))
    }));
    assert!(crash.is_err());
    assert_eq!(replica.own_lane(TEAM).unwrap(), DeviceLane::default());
    assert_eq!(replica.outbox(None).unwrap()[0].state, RowState::Queued);
}

#[test]
fn a_file_of_another_client_is_left_alone() {
    let file = File::new();
    drop(file.open());
    let store = file.0.path().join("data/store.sqlite");
    for layout in [2, 99] {
        let conn = Connection::open(&store).unwrap();
        conn.pragma_update(None, "user_version", layout).unwrap();
        drop(conn);
        let refused = file.try_open(7).unwrap_err().to_string();
        assert!(refused.contains(&format!("layout {layout}")), "{refused}");
    }
}

#[test]
fn a_file_that_is_no_database_is_called_broken() {
    let file = File::new();
    let dir = file.0.path().join("data");
    make_private_dir(&dir).unwrap();
    std::fs::write(dir.join("store.sqlite"), "x".repeat(5_000)).unwrap();
    assert!(matches!(file.try_open(7), Err(StorageError::Broken(_))));
}

#[test]
fn a_full_disk_is_called_full_and_what_was_there_is_still_read() {
    let file = File::new();
    let rows = file.rows();
    let replica = Replica::over(rows.clone()).unwrap();
    replica.put_room(TEAM, &facts("team")).unwrap();
    {
        let conn = lock(&rows.writer);
        let n_pages: i64 = conn.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        conn.pragma_update(None, "max_page_count", n_pages).unwrap();
    }
    let long = Content::Unknown { kind: 99, body: vec![b'x'; 30_000] };
    let text = "half a thou".to_owned();
    let writes = [
        Write::Draft { room: TEAM, text },
        Write::Queue { room: TEAM, content: long.clone(), queued_at: TimeMs(1) },
    ];
    assert!(matches!(replica.commit(&writes), Err(StorageError::Full)));
    assert_eq!(replica.room(TEAM).unwrap().unwrap().facts.name, "team");
    assert!(replica.outbox(None).unwrap().is_empty());
    assert_eq!(replica.draft(TEAM).unwrap(), "", "all changes of one call or none");
    lock(&rows.writer).pragma_update(None, "max_page_count", 1_000_000).unwrap();
    assert!(replica.queue(TEAM, &long, TimeMs(1)).is_ok(), "space came back");
}
