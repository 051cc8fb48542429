//! The final check: reads every log from its beginning and holds it against every promise.

use std::collections::HashMap;

use mathia_protocol::crypto::hash::sha256;
use mathia_protocol::crypto::message::{Message, TAG_MESSAGE};
use mathia_protocol::id::{DeviceId, Hash, Seq};
use mathia_protocol::log::LogHash;
use mathia_protocol::wire::EntryBody;

use super::ProofRoom;
use super::writer::{Promise, Shared};
use crate::Failure;
use crate::peer::Dialer;

/// Checks all rooms; returns how many promises were made and kept.
pub(super) async fn all(
    dialer: &Dialer,
    shared: &Shared,
    rooms: &[ProofRoom],
) -> Result<usize, Failure> {
    let promises = shared.promises();
    for room in rooms {
        let kept: Vec<Promise> =
            promises.iter().filter(|promise| promise.room == room.room.room).copied().collect();
        one(dialer, room, &kept).await?;
    }
    Ok(promises.len())
}

async fn one(dialer: &Dialer, room: &ProofRoom, promises: &[Promise]) -> Result<(), Failure> {
    let session = dialer.hello(dialer.connect().await?, &room.reader).await?;
    let mut head = LogHash::start(room.room.room);
    let mut found: HashMap<(DeviceId, u64), (Seq, Hash)> = HashMap::new();
    let mut last_counter: HashMap<DeviceId, u64> = HashMap::new();
    for entry in session.whole(room.room.room).await? {
        if entry.seq != head.seq().next() {
            return Err(format!("entry {} follows {}", entry.seq, head.seq()).into());
        }
        let EntryBody::Whole(bytes) = entry.body else { return Err("an entry is gone".into()) };
        head = head.extend(&bytes);
        if bytes.first() != Some(&TAG_MESSAGE) {
            continue;
        }
        let message = Message::decode(&bytes)?;
        let (device, counter) = (message.header().device, message.header().ctr());
        let last = last_counter.insert(device, counter).unwrap_or(0);
        if counter != last + 1 {
            return Err(format!("{device:?} has message {counter} behind {last}").into());
        }
        found.insert((device, counter), (entry.seq, sha256(&[&bytes])));
    }
    for promise in promises {
        match found.get(&(promise.device, promise.counter)) {
            None => return Err(format!("LOST: {promise:?} was acknowledged").into()),
            Some((seq, hash)) if (*seq, *hash) != (promise.seq, promise.entry_hash) => {
                return Err(format!("CHANGED: {promise:?} is at {seq} now").into());
            }
            Some(_) => {}
        }
    }
    Ok(())
}
