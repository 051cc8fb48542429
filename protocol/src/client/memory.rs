//! A replica in memory: for bots and tests. Keeps nothing after the process ends.
//!
//! Owns the plainest possible implementation of the contract, which others are compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entry::StoredContent;
use super::event::UnreadableCause;
use super::record::{
    Batch, Commitment, Contact, DeviceLane, EntryRecord, OutboxRow, OwnInvite, RoomFacts,
    RoomRecord, RowState, ServerRecord,
};
use super::replica::{DrainGuard, Replica, Sealer, Stored};
use crate::crypto::content::Content;
use crate::crypto::epoch::EpochSecret;
use crate::id::{AccountId, Counter, DeviceId, Epoch, Hash, InviteToken, RoomId, Seq, TimeMs};
use crate::wire::EntryBody;

/// Settled rows that are remembered for those who ask late.
const SETTLED_MAX: usize = 1_000;

/// A replica in memory.
#[derive(Debug, Default)]
pub struct MemoryReplica {
    state: Mutex<State>,
    is_draining: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct State {
    stamp: u64,
    server: Option<ServerRecord>,
    chains: BTreeMap<AccountId, Vec<Vec<u8>>>,
    contacts: BTreeMap<String, Contact>,
    rooms: BTreeMap<RoomId, Room>,
    outbox: BTreeMap<u64, OutboxRow>,
    next_local_id: u64,
    invites: BTreeMap<InviteToken, OwnInvite>,
    settings: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug)]
struct Room {
    facts: RoomFacts,
    cursor: (Seq, Hash),
    entries: BTreeMap<Seq, EntryRecord>,
    commits: BTreeMap<Seq, Commitment>,
    lanes: BTreeMap<DeviceId, DeviceLane>,
    own_lane: DeviceLane,
    secrets: BTreeMap<Epoch, EpochSecret>,
    shown: BTreeSet<Seq>,
    draft: String,
}

impl Room {
    fn new(room: RoomId, facts: RoomFacts) -> Self {
        Self {
            facts,
            cursor: (Seq(0), room.as_hash()),
            entries: BTreeMap::new(),
            commits: BTreeMap::new(),
            lanes: BTreeMap::new(),
            own_lane: DeviceLane::default(),
            secrets: BTreeMap::new(),
            shown: BTreeSet::new(),
            draft: String::new(),
        }
    }

    fn record(&self, room: RoomId) -> RoomRecord {
        let (seq, hash) = self.cursor;
        RoomRecord { room, seq, hash, facts: self.facts.clone() }
    }

    /// The first of some entries, and for each whether an agent was shown it.
    fn take<'a>(
        &self,
        rows: impl Iterator<Item = &'a EntryRecord>,
        count: u32,
    ) -> Vec<EntryRecord> {
        let rows = rows.take(usize::try_from(count).unwrap_or(usize::MAX));
        rows.map(|row| EntryRecord { is_shown: self.shown.contains(&row.seq), ..row.clone() })
            .collect()
    }

    fn apply(&mut self, batch: &Batch) {
        for entry in &batch.entries {
            self.entries.entry(entry.seq).or_insert_with(|| entry.clone());
        }
        for commit in &batch.commits {
            self.commits.entry(commit.seq).or_insert_with(|| commit.clone());
        }
        if let Some(cursor) = batch.cursor
            && self.cursor.0 <= cursor.0
        {
            self.cursor = cursor;
            self.lanes.extend(batch.lanes.iter().copied());
        }
    }
}

#[derive(Debug)]
struct Draining(Arc<AtomicBool>);

impl DrainGuard for Draining {}

impl Drop for Draining {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl MemoryReplica {
    /// An empty replica.
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> MutexGuard<'_, State> {
        // Every change is complete before the lock is given back, also by a panic elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> MutexGuard<'_, State> {
        let mut state = self.read();
        state.stamp += 1;
        state
    }
}

impl State {
    fn room_mut(&mut self, room: RoomId) -> Option<&mut Room> {
        self.rooms.get_mut(&room)
    }

    fn sent_rows(&self, room: RoomId) -> Vec<OutboxRow> {
        let is_sent =
            |row: &&OutboxRow| row.room == room && matches!(row.state, RowState::Sent { .. });
        self.outbox.values().filter(is_sent).cloned().collect()
    }

    fn forget_settled(&mut self) {
        let settled: Vec<u64> = self
            .outbox
            .values()
            .filter(|row| matches!(row.state, RowState::Accepted { .. } | RowState::Withdrawn))
            .map(|row| row.local_id)
            .collect();
        for local_id in settled.iter().take(settled.len().saturating_sub(SETTLED_MAX)) {
            self.outbox.remove(local_id);
        }
    }
}

impl Replica for MemoryReplica {
    fn change_stamp(&self) -> Stored<u64> {
        Ok(self.read().stamp)
    }

    fn try_lock_drain(&self) -> Stored<Option<Box<dyn DrainGuard>>> {
        if self.is_draining.swap(true, Ordering::Acquire) {
            return Ok(None);
        }
        Ok(Some(Box::new(Draining(Arc::clone(&self.is_draining)))))
    }

    fn server(&self) -> Stored<Option<ServerRecord>> {
        Ok(self.read().server.clone())
    }

    fn put_server(&self, server: &ServerRecord) -> Stored<()> {
        self.write().server = Some(server.clone());
        Ok(())
    }

    fn chain_accounts(&self) -> Stored<Vec<AccountId>> {
        Ok(self.read().chains.keys().copied().collect())
    }

    fn chain_links(&self, account: AccountId) -> Stored<Vec<Vec<u8>>> {
        Ok(self.read().chains.get(&account).cloned().unwrap_or_default())
    }

    fn put_chain_links(&self, account: AccountId, first_seq: u32, links: &[Vec<u8>]) -> Stored<()> {
        let mut state = self.write();
        let chain = state.chains.entry(account).or_default();
        for (place, link) in (first_seq.saturating_sub(1)..).zip(links) {
            if usize::try_from(place) == Ok(chain.len()) {
                chain.push(link.clone());
            }
        }
        Ok(())
    }

    fn contacts(&self) -> Stored<Vec<Contact>> {
        Ok(self.read().contacts.values().cloned().collect())
    }

    fn put_contact(&self, contact: &Contact) -> Stored<()> {
        self.write().contacts.insert(contact.handle.clone(), contact.clone());
        Ok(())
    }

    fn rooms(&self) -> Stored<Vec<RoomRecord>> {
        Ok(self.read().rooms.iter().map(|(id, room)| room.record(*id)).collect())
    }

    fn room(&self, room: RoomId) -> Stored<Option<RoomRecord>> {
        Ok(self.read().rooms.get(&room).map(|kept| kept.record(room)))
    }

    fn put_room(&self, room: RoomId, facts: &RoomFacts) -> Stored<()> {
        let mut state = self.write();
        match state.room_mut(room) {
            Some(kept) => kept.facts = facts.clone(),
            None => {
                state.rooms.insert(room, Room::new(room, facts.clone()));
            }
        }
        Ok(())
    }

    fn forget_room(&self, room: RoomId) -> Stored<()> {
        let mut state = self.write();
        state.rooms.remove(&room);
        state.outbox.retain(|_, row| row.room != room);
        Ok(())
    }

    fn apply(&self, room: RoomId, batch: &Batch) -> Stored<()> {
        if let Some(kept) = self.write().room_mut(room) {
            kept.apply(batch);
        }
        Ok(())
    }

    fn entries_before(&self, room: RoomId, before: Seq, count: u32) -> Stored<Vec<EntryRecord>> {
        let state = self.read();
        let Some(kept) = state.rooms.get(&room) else { return Ok(Vec::new()) };
        let before = if before == Seq(0) { Seq(u64::MAX) } else { before };
        let mut entries = kept.take(kept.entries.range(..before).rev().map(|(_, e)| e), count);
        entries.reverse();
        Ok(entries)
    }

    fn entries_after(&self, room: RoomId, after: Seq, count: u32) -> Stored<Vec<EntryRecord>> {
        let state = self.read();
        let Some(kept) = state.rooms.get(&room) else { return Ok(Vec::new()) };
        Ok(kept.take(kept.entries.range(after.next()..).map(|(_, entry)| entry), count))
    }

    fn hash_at(&self, room: RoomId, seq: Seq) -> Stored<Option<Hash>> {
        let state = self.read();
        let Some(kept) = state.rooms.get(&room) else { return Ok(None) };
        Ok(match seq {
            Seq(0) => Some(room.as_hash()),
            seq if seq == kept.cursor.0 => Some(kept.cursor.1),
            seq => kept.entries.get(&seq).map(|entry| entry.hash),
        })
    }

    fn commits(&self, room: RoomId) -> Stored<Vec<Commitment>> {
        let state = self.read();
        let commits = state.rooms.get(&room).map(|kept| kept.commits.values().cloned().collect());
        Ok(commits.unwrap_or_default())
    }

    fn put_content(
        &self,
        room: RoomId,
        seq: Seq,
        content: &StoredContent,
        is_mention: bool,
    ) -> Stored<()> {
        let mut state = self.write();
        if let Some(entry) = state.room_mut(room).and_then(|kept| kept.entries.get_mut(&seq)) {
            entry.content = content.clone();
            entry.is_mention = is_mention;
            if *content == StoredContent::Expired
                && let EntryBody::Whole(bytes) = &entry.body
            {
                entry.body = EntryBody::Gone(crate::crypto::hash::sha256(&[bytes]));
            }
        }
        Ok(())
    }

    fn unreadable(&self, room: RoomId, cause: UnreadableCause, count: u32) -> Stored<Vec<Seq>> {
        let state = self.read();
        let Some(kept) = state.rooms.get(&room) else { return Ok(Vec::new()) };
        let wanted = StoredContent::Unreadable(cause);
        let fits = kept.entries.values().filter(|entry| entry.content == wanted);
        Ok(kept.take(fits, count).iter().map(|entry| entry.seq).collect())
    }

    fn n_mentions(&self, room: RoomId, after: Seq) -> Stored<u32> {
        let state = self.read();
        let Some(kept) = state.rooms.get(&room) else { return Ok(0) };
        let n = kept.entries.range(after.next()..).filter(|(_, entry)| entry.is_mention).count();
        Ok(u32::try_from(n).unwrap_or(u32::MAX))
    }

    fn note_shown(&self, room: RoomId, seqs: &[Seq]) -> Stored<Vec<Seq>> {
        let mut state = self.write();
        let Some(kept) = state.room_mut(room) else { return Ok(Vec::new()) };
        Ok(seqs.iter().copied().filter(|seq| kept.shown.insert(*seq)).collect())
    }

    fn lanes(&self, room: RoomId) -> Stored<Vec<(DeviceId, DeviceLane)>> {
        let state = self.read();
        let lanes = state.rooms.get(&room).map(|kept| kept.lanes.clone());
        Ok(lanes.unwrap_or_default().into_iter().collect())
    }

    fn epoch_secret(&self, room: RoomId, epoch: Epoch) -> Stored<Option<EpochSecret>> {
        let state = self.read();
        let kept = state.rooms.get(&room);
        Ok(kept.and_then(|kept| kept.secrets.get(&epoch)).map(EpochSecret::duplicate))
    }

    fn epochs(&self, room: RoomId) -> Stored<Vec<Epoch>> {
        let state = self.read();
        let epochs = state.rooms.get(&room).map(|kept| kept.secrets.keys().copied().collect());
        Ok(epochs.unwrap_or_default())
    }

    fn put_epoch_secret(&self, room: RoomId, epoch: Epoch, secret: &EpochSecret) -> Stored<()> {
        if let Some(kept) = self.write().room_mut(room) {
            kept.secrets.entry(epoch).or_insert_with(|| secret.duplicate());
        }
        Ok(())
    }

    fn wipe_epoch_secret(&self, room: RoomId, epoch: Epoch) -> Stored<()> {
        if let Some(kept) = self.write().room_mut(room) {
            kept.secrets.remove(&epoch);
        }
        Ok(())
    }

    fn queue(&self, room: RoomId, content: &Content, queued_at: TimeMs) -> Stored<u64> {
        let mut state = self.write();
        state.next_local_id += 1;
        let local_id = state.next_local_id;
        let content = content.clone();
        let row = OutboxRow { local_id, room, content, queued_at, state: RowState::Queued };
        state.outbox.insert(local_id, row);
        state.forget_settled();
        Ok(local_id)
    }

    fn outbox(&self, room: Option<RoomId>) -> Stored<Vec<OutboxRow>> {
        let state = self.read();
        let is_open =
            |row: &OutboxRow| !matches!(row.state, RowState::Accepted { .. } | RowState::Withdrawn);
        let of_room = |row: &OutboxRow| room.is_none_or(|room| row.room == room);
        Ok(state.outbox.values().filter(|row| is_open(row) && of_room(row)).cloned().collect())
    }

    fn outbox_row(&self, local_id: u64) -> Stored<Option<OutboxRow>> {
        Ok(self.read().outbox.get(&local_id).cloned())
    }

    fn own_lane(&self, room: RoomId) -> Stored<DeviceLane> {
        Ok(self.read().rooms.get(&room).map(|kept| kept.own_lane).unwrap_or_default())
    }

    fn seal_next(&self, room: RoomId, seal: &mut Sealer<'_>) -> Stored<Option<OutboxRow>> {
        let mut state = self.write();
        let state = &mut *state;
        let Some(kept) = state.rooms.get_mut(&room) else { return Ok(None) };
        let next = |row: &&mut OutboxRow| row.room == room && row.state == RowState::Queued;
        let Some(row) = state.outbox.values_mut().find(next) else { return Ok(None) };
        let Some(sealed) = seal(&kept.own_lane, row) else { return Ok(None) };
        kept.own_lane = sealed.lane;
        row.state = RowState::Sent { counter: sealed.lane.last, entry: sealed.entry };
        Ok(Some(row.clone()))
    }

    fn reseal(
        &self,
        room: RoomId,
        from: &DeviceLane,
        seal: &mut Sealer<'_>,
    ) -> Stored<Vec<OutboxRow>> {
        let mut state = self.write();
        let mut lane = *from;
        let mut rows = state.sent_rows(room);
        for row in &mut rows {
            let Some(sealed) = seal(&lane, row) else { return Ok(Vec::new()) };
            lane = sealed.lane;
            row.state = RowState::Sent { counter: lane.last, entry: sealed.entry };
        }
        if let Some(kept) = state.room_mut(room) {
            kept.own_lane = lane;
        }
        state.outbox.extend(rows.iter().map(|row| (row.local_id, row.clone())));
        Ok(rows)
    }

    fn settle(&self, local_id: u64, to: &RowState) -> Stored<bool> {
        let mut state = self.write();
        let Some(row) = state.outbox.get_mut(&local_id) else { return Ok(false) };
        let is_allowed = match (&row.state, to) {
            (RowState::Accepted { .. } | RowState::Withdrawn, _) => false,
            (from, RowState::Withdrawn) => *from == RowState::Queued,
            _ => true,
        };
        if is_allowed {
            row.state = to.clone();
        }
        Ok(is_allowed)
    }

    fn row_of(&self, room: RoomId, counter: Counter) -> Stored<Option<OutboxRow>> {
        let has_counter = |row: &OutboxRow| matches!(&row.state, RowState::Sent { counter: c, .. } if *c == counter);
        Ok(self.read().sent_rows(room).into_iter().find(has_counter))
    }

    fn draft(&self, room: RoomId) -> Stored<String> {
        Ok(self.read().rooms.get(&room).map(|kept| kept.draft.clone()).unwrap_or_default())
    }

    fn put_draft(&self, room: RoomId, text: &str) -> Stored<()> {
        if let Some(kept) = self.write().room_mut(room) {
            text.clone_into(&mut kept.draft);
        }
        Ok(())
    }

    fn invites(&self) -> Stored<Vec<OwnInvite>> {
        Ok(self.read().invites.values().cloned().collect())
    }

    fn put_invite(&self, invite: &OwnInvite) -> Stored<()> {
        self.write().invites.insert(invite.token, invite.clone());
        Ok(())
    }

    fn forget_invite(&self, token: InviteToken) -> Stored<()> {
        self.write().invites.remove(&token);
        Ok(())
    }

    fn setting(&self, key: &str) -> Stored<Option<Vec<u8>>> {
        Ok(self.read().settings.get(key).cloned())
    }

    fn put_setting(&self, key: &str, value: &[u8]) -> Stored<()> {
        self.write().settings.insert(key.to_owned(), value.to_vec());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::record::SealedMessage;

    const ROOM: RoomId = RoomId([1; 32]);

    fn replica() -> MemoryReplica {
        let replica = MemoryReplica::new();
        replica.put_room(ROOM, &RoomFacts::unknown()).unwrap();
        replica
    }

    /// Seals a text as its counter and itself, so that a test can read it back; declines an empty one.
    fn seal(lane: &DeviceLane, row: &OutboxRow) -> Option<SealedMessage> {
        let (last, first) = (lane.last.next(), *row.content.text().unwrap().as_bytes().first()?);
        let entry = format!("{last} {}", row.content.text().unwrap()).into_bytes();
        Some(SealedMessage { entry, lane: DeviceLane { last, prev_own: [first; 16] } })
    }

    fn sent(row: &OutboxRow) -> String {
        match &row.state {
            RowState::Sent { entry, .. } => String::from_utf8(entry.clone()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn says(text: &str) -> Content {
        Content::Text(text.to_owned())
    }

    #[test]
    fn texts_are_sealed_in_the_order_of_queueing_each_with_the_next_counter() {
        let replica = replica();
        for text in ["a", "b", "c"] {
            replica.queue(ROOM, &says(text), TimeMs(0)).unwrap();
        }
        let rows: Vec<OutboxRow> =
            std::iter::from_fn(|| replica.seal_next(ROOM, &mut seal).unwrap()).collect();
        assert_eq!(rows.iter().map(sent).collect::<Vec<_>>(), ["1 a", "2 b", "3 c"]);
        assert_eq!(replica.own_lane(ROOM).unwrap().last, Counter(3));
        assert_eq!(replica.row_of(ROOM, Counter(2)).unwrap().unwrap().content.text().unwrap(), "b");
    }

    #[test]
    fn what_fails_frees_its_counter_when_the_rest_is_sealed_anew() {
        let replica = replica();
        for text in ["a", "b", "c"] {
            replica.queue(ROOM, &says(text), TimeMs(0)).unwrap();
        }
        while replica.seal_next(ROOM, &mut seal).unwrap().is_some() {}
        let failed = RowState::Failed { cause: "no".to_owned() };
        assert!(replica.settle(2, &failed).unwrap());
        assert!(replica.settle(1, &RowState::Accepted { seq: Seq(5), time: TimeMs(1) }).unwrap());
        let lane = DeviceLane { last: Counter(1), prev_own: [0; 16] };
        let rows = replica.reseal(ROOM, &lane, &mut seal).unwrap();
        assert_eq!(rows.iter().map(sent).collect::<Vec<_>>(), ["2 c"]);
        assert_eq!(replica.own_lane(ROOM).unwrap().last, Counter(2));
        let kept: Vec<u64> = replica.outbox(None).unwrap().iter().map(|row| row.local_id).collect();
        assert_eq!(kept, [2, 3], "a failed text is kept");
    }

    #[test]
    fn only_a_text_that_took_no_counter_can_be_taken_back() {
        let replica = replica();
        replica.queue(ROOM, &says("a"), TimeMs(0)).unwrap();
        replica.queue(ROOM, &says("b"), TimeMs(0)).unwrap();
        replica.seal_next(ROOM, &mut seal).unwrap();
        assert!(!replica.settle(1, &RowState::Withdrawn).unwrap());
        assert!(replica.settle(2, &RowState::Withdrawn).unwrap());
        assert!(!replica.settle(2, &RowState::Accepted { seq: Seq(1), time: TimeMs(0) }).unwrap());
        assert!(replica.seal_next(ROOM, &mut seal).unwrap().is_none());
    }

    #[test]
    fn one_process_drains_at_a_time() {
        let replica = replica();
        let guard = replica.try_lock_drain().unwrap();
        assert!(guard.is_some());
        assert!(replica.try_lock_drain().unwrap().is_none());
        drop(guard);
        assert!(replica.try_lock_drain().unwrap().is_some());
    }

    #[test]
    fn a_slower_process_changes_nothing_that_a_faster_one_wrote() {
        let replica = replica();
        let entry = |seq: u64, hash: u8| EntryRecord {
            seq: Seq(seq),
            time: TimeMs(0),
            body: EntryBody::Whole(vec![hash]),
            hash: Hash([hash; 32]),
            author: AccountId::ZERO,
            device: DeviceId::ZERO,
            content: StoredContent::Change(()),
            is_mention: false,
            is_shown: false,
        };
        let device = DeviceId([9; 16]);
        let lane = |last| DeviceLane { last: Counter(last), prev_own: [0; 16] };
        let batch = |entries: Vec<EntryRecord>, last| Batch {
            cursor: entries.last().map(|entry| (entry.seq, entry.hash)),
            entries,
            commits: Vec::new(),
            lanes: vec![(device, lane(last))],
        };
        replica.apply(ROOM, &batch(vec![entry(1, 1), entry(2, 2)], 2)).unwrap();
        replica.apply(ROOM, &batch(vec![entry(1, 7)], 1)).unwrap();
        assert_eq!(replica.note_shown(ROOM, &[Seq(2)]).unwrap(), [Seq(2)]);
        assert!(replica.note_shown(ROOM, &[Seq(2)]).unwrap().is_empty(), "it is noted already");
        let shown =
            |entries: Vec<EntryRecord>| entries.iter().map(|e| e.is_shown).collect::<Vec<_>>();
        assert_eq!(shown(replica.entries_after(ROOM, Seq(0), 9).unwrap()), [false, true]);
        assert_eq!(shown(replica.entries_before(ROOM, Seq(0), 9).unwrap()), [false, true]);
        let record = replica.room(ROOM).unwrap().unwrap();
        assert_eq!((record.seq, record.hash), (Seq(2), Hash([2; 32])));
        assert_eq!(replica.hash_at(ROOM, Seq(1)).unwrap(), Some(Hash([1; 32])));
        assert_eq!(replica.lanes(ROOM).unwrap(), [(device, lane(2))]);
    }
}
