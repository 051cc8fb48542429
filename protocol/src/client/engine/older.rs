//! Older pages: what stood in the log before the part this device holds.
//!
//! Their place is proven (the sync machine walked them forward to the oldest entry held), so what is
//! left is to judge and open them. Counters are checked inside a page only: where a newcomer begins
//! to read, its lanes begin.

use std::collections::HashMap;

use super::super::entry::StoredContent;
use super::super::event::UnreadableCause;
use super::super::record::{Batch, EntryRecord};
use super::super::replica::{Replica, Stored};
use super::core::Core;
use super::pump::is_commit;
use super::room::Placed;
use crate::crypto::commit::Commit;
use crate::crypto::message::Message;
use crate::id::{AccountId, DeviceId, RoomId, Seq};
use crate::log::{Arrived, Check, SenderLane, author_of, check_message};
use crate::wire::EntryBody;

/// Who made an older entry, and what it says.
type Told = (AccountId, DeviceId, StoredContent);

impl Core {
    /// Judges and stores an older page; says whether keys are missing for it.
    pub(super) fn apply_older(
        &mut self,
        replica: &Replica,
        id: RoomId,
        placed: Vec<Placed>,
    ) -> Stored<bool> {
        let Some(first) = placed.first().map(|placed| placed.at.seq()) else { return Ok(false) };
        let commits = replica.commits(id)?;
        let mut lanes: HashMap<DeviceId, SenderLane> = HashMap::new();
        let mut batch = Batch::default();
        let mut n_gone = 0;
        for Placed { entry, at, .. } in placed {
            let seq = at.seq();
            let (author, device, content) = match &entry.body {
                EntryBody::Gone(_) => {
                    n_gone += 1;
                    (AccountId::ZERO, DeviceId::ZERO, StoredContent::Expired)
                }
                EntryBody::Whole(bytes) if is_commit(bytes) => {
                    let is_known =
                        commits.iter().any(|kept| kept.seq == seq && kept.entry == *bytes);
                    older_commit(bytes, seq, is_known)
                }
                EntryBody::Whole(bytes) => {
                    let unseen =
                        if first == Seq(1) { SenderLane::Fresh } else { SenderLane::Unknown };
                    self.older_message(replica, id, bytes, (seq, n_gone), (&mut lanes, unseen))?
                }
            };
            let is_mention = author != self.account && content.mentions(&self.handle);
            let (time, body, hash) = (entry.time, entry.body, at.hash());
            let record = EntryRecord {
                seq,
                time,
                body,
                hash,
                author,
                device,
                content,
                is_mention,
                is_shown: false,
            };
            batch.entries.push(record);
        }
        let asked = StoredContent::Unreadable(UnreadableCause::KeyAsked);
        let lacks_keys = batch.entries.iter().any(|entry| entry.content == asked);
        replica.apply(id, batch)?;
        if let Some(room) = self.rooms.get_mut(&id) {
            room.facts.held_from = room.facts.held_from.min(first);
            replica.put_room(id, &room.facts)?;
        }
        Ok(lacks_keys)
    }

    fn older_message(
        &mut self,
        replica: &Replica,
        id: RoomId,
        bytes: &[u8],
        (seq, n_gone): (Seq, u64),
        (lanes, unseen): (&mut HashMap<DeviceId, SenderLane>, SenderLane),
    ) -> Stored<Told> {
        let rejected = |check: Check| StoredContent::Rejected {
            check: format!("message {seq} failed check {check}"),
        };
        let Ok(message) = Message::decode(bytes) else {
            return Ok((AccountId::ZERO, DeviceId::ZERO, rejected(Check::Form)));
        };
        let device = message.header().device;
        let chains = &self.people.chains;
        let Some(room) = self.rooms.get_mut(&id) else {
            return Ok((AccountId::ZERO, device, rejected(Check::Member)));
        };
        let Some(state) = &room.state else {
            return Ok((AccountId::ZERO, device, rejected(Check::Member)));
        };
        let Some(author) = author_of(state, seq, device, chains) else {
            return Ok((AccountId::ZERO, device, rejected(Check::Device)));
        };
        let context = crate::log::Context::History;
        let is_used = room.scheduled.contains(&message.header().ctr());
        let arrived = Arrived { entry: bytes, author, seq, context, n_gone, is_used };
        let lane = lanes.get(&device).copied().unwrap_or(unseen);
        let known = |seq| room.hash_at(replica, seq);
        let checked = match check_message(state, chains, lane, &arrived, &known) {
            Ok(checked) => checked,
            Err(failure) => {
                lanes.insert(device, failure.lane);
                return Ok((
                    author,
                    device,
                    StoredContent::Rejected { check: failure.to_string() },
                ));
            }
        };
        lanes.insert(device, checked.lane);
        let said = room.open(replica, &self.identity.borrow(), &message, &checked.context, seq)?;
        Ok((author, device, said))
    }
}

fn older_commit(bytes: &[u8], seq: Seq, is_known: bool) -> Told {
    match Commit::decode(bytes) {
        Ok(commit) if is_known => (commit.author, commit.device, StoredContent::Change(())),
        _ => {
            let check = format!("entry {seq} is another change than the room's changes tell");
            (AccountId::ZERO, DeviceId::ZERO, StoredContent::Rejected { check })
        }
    }
}
