//! Older pages: what stood in the log before the part this device holds.
//!
//! Their place is proven (the sync machine walked them forward to the oldest entry held), so what is
//! left is to judge and open them. Counters are checked inside a page only: where a newcomer begins
//! to read, its lanes begin.

use std::collections::HashMap;
use std::task::{Poll, ready};

use super::super::account::Account;
use super::super::context::Context;
use super::super::identities::Identities;
use super::super::io::{Found, Query, ReadId, WriteId};
use super::super::signal::Signal;
use super::super::state::State;
use super::super::work::{Step, Work};
use super::judge::{open, rejected, unseen_lane};
use super::room::{Placed, Room};
use crate::client::StoredContent;
use crate::client::event::UnreadableCause;
use crate::client::record::{Batch, EntryRecord};
use crate::client::replica::{Write, Written};
use crate::crypto::commit::{Commit, TAG_COMMIT};
use crate::crypto::hash::sha256;
use crate::crypto::message::Message;
use crate::id::{AccountId, DeviceId, Hash, RoomId, Seq};
use crate::log::{Arrived, Check, Context as EntryContext, SenderLane, author_of, check_message};
use crate::wire::EntryBody;

/// Who made an older entry, and what it says.
type Said = (AccountId, DeviceId, StoredContent);

/// Judges and stores the older pages that wait in a room.
#[derive(Debug)]
pub(in super::super) struct StoreOlder {
    room: RoomId,
    page: Vec<Placed>,
    /// `H` at positions that the page's authors say to have seen.
    hashes: HashMap<Seq, Option<Hash>>,
    stage: OlderStage,
}

#[derive(Debug)]
enum OlderStage {
    Next,
    Looking(ReadId, Seq),
    Storing(WriteId, bool),
}

impl StoreOlder {
    /// Stores what waits in this room.
    pub(in super::super) fn of(room: RoomId) -> Self {
        Self { room, page: Vec::new(), hashes: HashMap::new(), stage: OlderStage::Next }
    }

    /// The first position whose `H` is needed and not known yet.
    fn wanted(&self, room: &Room) -> Option<Seq> {
        let seen = self.page.iter().filter_map(|placed| match &placed.entry.body {
            EntryBody::Whole(bytes) => Some(Message::decode(bytes).ok()?.header().seen_seq),
            EntryBody::Gone(_) => None,
        });
        let is_wanted = |seq: &Seq| {
            room.hash_at(*seq).is_none()
                && *seq >= room.facts.held_from
                && !self.hashes.contains_key(seq)
        };
        let mut seen = seen;
        seen.find(is_wanted)
    }
}

impl Step for StoreOlder {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let id = self.room;
        loop {
            let State { account, identities, rooms, .. } = &mut *state;
            let Some(room) = rooms.all.get_mut(&id) else { return Poll::Ready(()) };
            match self.stage {
                OlderStage::Next => {
                    if self.page.is_empty() {
                        match room.older.pop_front() {
                            Some(page) => self.page = page,
                            None => return Poll::Ready(()),
                        }
                    }
                    if let Some(seq) = self.wanted(room) {
                        let read = cx.read(Query::HashAt { room: id, seq });
                        self.stage = OlderStage::Looking(read, seq);
                        continue;
                    }
                    let page = std::mem::take(&mut self.page);
                    let mut pages = OlderPage { account, identities, room, hashes: &self.hashes };
                    let batch = pages.judge(page);
                    let asked = StoredContent::Unreadable(UnreadableCause::KeyAsked);
                    let lacks_keys = batch.entries.iter().any(|entry| entry.content == asked);
                    let writes = vec![room.write_facts(), Write::Batch { room: id, batch }];
                    self.stage = OlderStage::Storing(cx.write(writes), lacks_keys);
                }
                OlderStage::Looking(read, seq) => {
                    let hash = match ready!(cx.found(read)) {
                        Ok(Found::Hash(hash)) => hash,
                        _ => None,
                    };
                    self.hashes.insert(seq, hash);
                    self.stage = OlderStage::Next;
                }
                OlderStage::Storing(write, lacks_keys) => {
                    self.stage = OlderStage::Next;
                    let Ok(written) = ready!(cx.written(write)) else {
                        room.suspend();
                        cx.start_once(Work::Reload(id));
                        return Poll::Ready(());
                    };
                    for one in written {
                        if let Written::Shown(seqs) = one {
                            cx.signal(Signal::Shown { room: id, seqs });
                        }
                    }
                    if lacks_keys {
                        cx.start(Work::FetchKeys(id));
                    }
                }
            }
        }
    }
}

/// A page of older entries before its judge.
struct OlderPage<'a> {
    account: &'a Account,
    identities: &'a Identities,
    room: &'a mut Room,
    hashes: &'a HashMap<Seq, Option<Hash>>,
}

impl OlderPage<'_> {
    fn judge(&mut self, placed: Vec<Placed>) -> Batch {
        let first = placed.first().map_or(Seq(1), |placed| placed.at.seq());
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
                EntryBody::Whole(bytes) if bytes.first() == Some(&TAG_COMMIT) => {
                    self.commit(bytes, seq)
                }
                EntryBody::Whole(bytes) => {
                    self.message(bytes, (seq, n_gone), (&mut lanes, unseen_lane(first)))
                }
            };
            let is_mention = author != self.account.id && content.mentions(&self.account.handle);
            self.room.count_mention(seq, is_mention);
            let (time, body, hash, is_shown) = (entry.time, entry.body, at.hash(), false);
            batch.entries.push(EntryRecord {
                seq,
                time,
                body,
                hash,
                author,
                device,
                content,
                is_mention,
                is_shown,
                reactions: Vec::new(),
            });
        }
        self.room.facts.held_from = self.room.facts.held_from.min(first);
        batch
    }

    fn commit(&self, bytes: &[u8], seq: Seq) -> Said {
        let is_known = self.room.commits.get(&seq) == Some(&sha256(&[bytes]));
        match Commit::decode(bytes.to_vec()) {
            Ok(commit) if is_known => (commit.author, commit.device, StoredContent::Change(())),
            _ => {
                let check = format!("entry {seq} is another change than the room's changes tell");
                (AccountId::ZERO, DeviceId::ZERO, StoredContent::Rejected { check })
            }
        }
    }

    fn message(
        &mut self,
        bytes: &[u8],
        (seq, n_gone): (Seq, u64),
        (lanes, unseen): (&mut HashMap<DeviceId, SenderLane>, SenderLane),
    ) -> Said {
        let Ok(message) = Message::decode(bytes) else {
            return (AccountId::ZERO, DeviceId::ZERO, rejected(seq, Check::Form));
        };
        let device = message.header().device;
        let chains = &self.identities.chains;
        let room = &mut *self.room;
        let Some(state) = &room.state else {
            return (AccountId::ZERO, device, rejected(seq, Check::Member));
        };
        let Some(author) = author_of(state, seq, device, chains) else {
            return (AccountId::ZERO, device, rejected(seq, Check::Device));
        };
        let context = EntryContext::History;
        let is_used = room.scheduled.contains(&message.header().ctr());
        let arrived = Arrived { entry: bytes, author, seq, context, n_gone, is_used };
        let lane = lanes.get(&device).copied().unwrap_or(unseen);
        let seen = message.header().seen_seq;
        let known = room.hash_at(seen).or_else(|| self.hashes.get(&seen).copied().flatten());
        let checked = match check_message(state, chains, lane, &arrived, &|_| known) {
            Ok(checked) => checked,
            Err(failure) => {
                lanes.insert(device, failure.lane);
                let check = failure.to_string();
                return (author, device, StoredContent::Rejected { check });
            }
        };
        lanes.insert(device, checked.lane);
        let identity = &self.account.identity;
        let said = open(identity, state, &mut room.keys, &message, &checked.context)
            .unwrap_or_else(|check| rejected(seq, check));
        (author, device, said)
    }
}
