//! Fills a data directory with messages through the store, for measuring the start of a server with
//! a long past: `fill DIR N_MESSAGES`. The bodies are noise; nobody will ever open them.

use std::path::Path;

use mathia_protocol::id::{
    AccountId, Counter, DeviceId, Hash, Realm, RoomId, RoomNumber, Seq, TimeMs, WorkspaceId,
};
use mathia_protocol::log::LogHash;
use mathia_server::data_dir::DATABASE_FILE;
use mathia_server::store::sqlite::SqliteStore;
use mathia_server::store::{AccountRow, EntryRow, LinkRow, RoomRow, Store as _, StoreError, Write};
use rand::Rng as _;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const N_ROOMS: u64 = 100;
const BATCH: u64 = 5_000;
const BODY_LEN: usize = 465;
const ACCOUNT: AccountId = AccountId([1; 32]);
const DEVICE: DeviceId = DeviceId([2; 16]);
const BORN: TimeMs = TimeMs(1_790_000_000_000);

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("usage: fill DIR N_MESSAGES")?;
    let n_messages: u64 = args.next().ok_or("usage: fill DIR N_MESSAGES")?.parse()?;
    let store = SqliteStore::open(&Path::new(&dir).join(DATABASE_FILE), || Realm([5; 16]))?;
    let mut writer = store.writer()?;
    let mut heads = Vec::new();
    writer.batch(&mut |write| {
        heads = make_rooms(write)?;
        Ok(())
    })?;
    let mut body = vec![0; BODY_LEN];
    let mut n_written = 0;
    while n_written < n_messages {
        let n_batch = BATCH.min(n_messages - n_written);
        writer.batch(&mut |write| {
            for place in n_written..n_written + n_batch {
                let (room, head) = &mut heads[usize::try_from(place % N_ROOMS).unwrap_or(0)];
                rand::rng().fill_bytes(&mut body);
                let entry_hash = Hash(*body.first_chunk().unwrap_or(&[0; 32]));
                *head = head.extend_hash(entry_hash);
                write.insert_entry(&EntryRow {
                    room: *room,
                    seq: head.seq(),
                    time: BORN,
                    tag: 2,
                    body: Some(body.clone()),
                    entry_hash,
                    hash: head.hash(),
                    n_countable: head.seq().0,
                    device: DEVICE,
                    ctr: Counter(head.seq().0),
                })?;
            }
            Ok(())
        })?;
        n_written += n_batch;
    }
    Ok(())
}

fn make_rooms(write: &mut dyn Write) -> Result<Vec<(RoomNumber, LogHash)>, StoreError> {
    let account = AccountRow {
        account: ACCOUNT,
        handle: "past".into(),
        kind: 0,
        created: BORN,
        last_seen: BORN,
        token: None,
        is_removed: false,
    };
    write.insert_account(&account, &LinkRow { seq: 1, hash: Hash([3; 32]), link: vec![0] })?;
    (0..N_ROOMS)
        .map(|place| {
            let mut id = RoomId([4; 32]);
            id.0[..8].copy_from_slice(&place.to_be_bytes());
            let number = write.insert_room(&RoomRow {
                room: id,
                number: RoomNumber(0),
                workspace: WorkspaceId::MAIN,
                kind: 0,
                mode: 0,
                created: BORN,
                name_tag: None,
                sealed_name: None,
                pair: None,
                retention_days: 0,
            })?;
            write.change_members(number, &[ACCOUNT], &[])?;
            Ok((number, LogHash::at(Seq(0), id.as_hash())))
        })
        .collect()
}
