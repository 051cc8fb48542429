//! The reading side: every question answered by looking at everything.

use mathia_protocol::id::{
    AccountId, Counter, DeviceId, Epoch, Hash, Realm, RoomId, RoomNumber, Seq, TimeMs, WorkspaceId,
};
use mathia_server::store::{
    AccountRow, Counts, EntryRange, EntryRow, GrantRow, HeadRow, InviteRow, JoinRow, KeyAskRow,
    LANE_LEN, LaneRow, LinkRow, MarkRow, Read, RoomKeyRow, RoomRow, ScheduleRow, StoreError,
    WrapRow, tag,
};

use super::tables::Tables;

/// The mode byte of open rooms (CRYPTO B3).
const OPEN: u8 = 1;

impl Tables {
    fn find_room(&self, is_it: impl Fn(&RoomRow) -> bool) -> Option<RoomRow> {
        self.rooms.iter().find(|row| is_it(row)).cloned()
    }
}

fn at_most(n_rows_max: u32) -> usize {
    usize::try_from(n_rows_max).unwrap_or(usize::MAX)
}

impl Read for Tables {
    fn realm(&self) -> Result<Realm, StoreError> {
        Ok(self.realm)
    }

    fn account(&self, account: AccountId) -> Result<Option<AccountRow>, StoreError> {
        Ok(self.accounts.get(&account).cloned())
    }

    fn account_by_handle(&self, handle: &str) -> Result<Option<AccountRow>, StoreError> {
        Ok(self.accounts.values().find(|row| row.handle == handle).cloned())
    }

    fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        let mut rows: Vec<_> = self.accounts.values().cloned().collect();
        rows.sort_by(|a, b| a.handle.cmp(&b.handle));
        Ok(rows)
    }

    fn links(&self, account: AccountId, from: u32) -> Result<Vec<LinkRow>, StoreError> {
        let links = self.links.range((account, from)..=(account, u32::MAX));
        Ok(links.map(|(_, row)| row.clone()).collect())
    }

    fn chain_head(&self, account: AccountId) -> Result<Option<(u32, Hash)>, StoreError> {
        let newest = self.links.range((account, 0)..=(account, u32::MAX)).next_back();
        Ok(newest.map(|(_, row)| (row.seq, row.hash)))
    }

    fn room(&self, room: RoomId) -> Result<Option<RoomRow>, StoreError> {
        Ok(self.find_room(|row| row.room == room))
    }

    fn room_by_number(&self, number: RoomNumber) -> Result<Option<RoomRow>, StoreError> {
        Ok(self.find_room(|row| row.number == number))
    }

    fn room_of_pair(&self, pair: (AccountId, AccountId)) -> Result<Option<RoomRow>, StoreError> {
        Ok(self.find_room(|row| row.pair == Some(pair)))
    }

    fn room_by_name_tag(
        &self,
        workspace: WorkspaceId,
        tag: Hash,
    ) -> Result<Option<RoomRow>, StoreError> {
        Ok(self.find_room(|row| row.workspace == workspace && row.name_tag == Some(tag)))
    }

    fn open_rooms(
        &self,
        workspace: WorkspaceId,
        after: Option<RoomId>,
        n_rows_max: u32,
    ) -> Result<Vec<RoomRow>, StoreError> {
        let is_listed = |row: &&RoomRow| {
            row.workspace == workspace && row.mode == OPEN && Some(row.room) > after
        };
        let mut rows: Vec<_> = self.rooms.iter().filter(is_listed).cloned().collect();
        rows.sort_by_key(|row| row.room);
        rows.truncate(at_most(n_rows_max));
        Ok(rows)
    }

    fn rooms_of(&self, account: AccountId) -> Result<Vec<RoomRow>, StoreError> {
        let is_there = |row: &&RoomRow| self.members.contains(&(row.number, account));
        Ok(self.rooms.iter().filter(is_there).cloned().collect())
    }

    fn members(&self, room: RoomNumber) -> Result<Vec<AccountId>, StoreError> {
        let members = self.members.iter().filter(|(number, _)| *number == room);
        Ok(members.map(|(_, account)| *account).collect())
    }

    fn is_member(&self, room: RoomNumber, account: AccountId) -> Result<bool, StoreError> {
        Ok(self.members.contains(&(room, account)))
    }

    fn room_keys(&self, room: RoomNumber) -> Result<Vec<RoomKeyRow>, StoreError> {
        let keys = self.room_keys.range((room, 0)..=(room, u32::MAX));
        Ok(keys.map(|(_, row)| row.clone()).collect())
    }

    fn forgetful_rooms(
        &self,
        after: RoomNumber,
        n_rows_max: u32,
    ) -> Result<Vec<RoomRow>, StoreError> {
        let is_listed = |row: &&RoomRow| row.retention_days > 0 && row.number > after;
        Ok(self.rooms.iter().filter(is_listed).take(at_most(n_rows_max)).cloned().collect())
    }

    fn head(&self, room: RoomNumber) -> Result<HeadRow, StoreError> {
        let commit = self.log(room).rfind(|row| row.tag == tag::COMMIT);
        let commit_seq = commit.map_or(Seq(0), |row| row.seq);
        let Some(newest) = self.log(room).next_back() else {
            let hash = self.room_at(room)?.room.as_hash();
            return Ok(HeadRow { seq: Seq(0), hash, n_countable: 0, commit_seq });
        };
        let EntryRow { seq, hash, n_countable, .. } = *newest;
        Ok(HeadRow { seq, hash, n_countable, commit_seq })
    }

    fn log_end(&self, room: RoomNumber) -> Result<(Seq, Hash), StoreError> {
        match self.log(room).next_back() {
            Some(newest) => Ok((newest.seq, newest.hash)),
            None => Ok((Seq(0), self.room_at(room)?.room.as_hash())),
        }
    }

    fn entries(&self, range: EntryRange) -> Result<Vec<EntryRow>, StoreError> {
        let mut found = Vec::new();
        let mut n_bytes = 0;
        let is_in = |row: &&EntryRow| range.from <= row.seq && row.seq <= range.to;
        for row in self.log(range.room).filter(is_in).take(at_most(range.n_rows_max)) {
            n_bytes += row.body.as_ref().map_or(0, Vec::len);
            found.push(row.clone());
            if n_bytes > range.n_bytes_max {
                break;
            }
        }
        Ok(found)
    }

    fn position(&self, room: RoomNumber, seq: Seq) -> Result<Option<(Hash, u64)>, StoreError> {
        if seq == Seq(0) {
            return Ok(self.room_at(room).ok().map(|row| (row.room.as_hash(), 0)));
        }
        Ok(self.entries.get(&(room, seq)).map(|row| (row.hash, row.n_countable)))
    }

    fn commits(
        &self,
        room: RoomNumber,
        after: Seq,
        n_rows_max: u32,
    ) -> Result<Vec<EntryRow>, StoreError> {
        let is_asked_for = |row: &&EntryRow| row.tag == tag::COMMIT && row.seq > after;
        let rows = self.log(room).filter(is_asked_for).take(at_most(n_rows_max));
        Ok(rows.cloned().collect())
    }

    fn lane(&self, room: RoomNumber, device: DeviceId) -> Result<Vec<LaneRow>, StoreError> {
        let newest_first = self.messages(room, device).rev().take(LANE_LEN);
        let lane = newest_first.map(|row| LaneRow {
            ctr: row.ctr,
            seq: row.seq,
            time: row.time,
            entry_hash: row.entry_hash,
        });
        Ok(lane.collect())
    }

    fn scheduled_used(
        &self,
        room: RoomNumber,
        device: DeviceId,
        id: u64,
    ) -> Result<bool, StoreError> {
        Ok(self.is_used(room, device, Counter(id)))
    }

    fn marks(&self, room: RoomNumber) -> Result<Vec<MarkRow>, StoreError> {
        let marks = self.marks.iter().filter(|((number, _), _)| *number == room);
        Ok(marks.map(|(_, row)| row.clone()).collect())
    }

    fn mark(&self, room: RoomNumber, account: AccountId) -> Result<Option<MarkRow>, StoreError> {
        Ok(self.marks.get(&(room, account)).cloned())
    }

    fn wraps(
        &self,
        room: RoomNumber,
        device: DeviceId,
        from: Epoch,
    ) -> Result<Vec<WrapRow>, StoreError> {
        let wraps = self.wraps.range((room, device, from)..=(room, device, Epoch(u32::MAX)));
        Ok(wraps.map(|(_, row)| row.clone()).collect())
    }

    fn key_asks(&self, room: RoomNumber) -> Result<Vec<KeyAskRow>, StoreError> {
        Ok(self.key_asks.values().filter(|row| row.room == room).cloned().collect())
    }

    fn grants(&self, room: RoomNumber, device: DeviceId) -> Result<Vec<GrantRow>, StoreError> {
        let is_for = |row: &&GrantRow| row.room == room && row.device == device;
        Ok(self.grants.values().filter(is_for).cloned().collect())
    }

    fn invite(&self, token_hash: Hash) -> Result<Option<InviteRow>, StoreError> {
        Ok(self.invites.get(&token_hash).cloned())
    }

    fn invites(&self, maker: Option<AccountId>) -> Result<Vec<InviteRow>, StoreError> {
        let is_asked_for = |row: &&InviteRow| maker.is_none() || row.maker == maker;
        let mut rows: Vec<_> = self.invites.values().filter(is_asked_for).cloned().collect();
        rows.sort_by_key(|row| (row.expires, row.token_hash));
        Ok(rows)
    }

    fn joins(&self, maker: AccountId) -> Result<Vec<JoinRow>, StoreError> {
        Ok(self.joins.values().filter(|row| row.maker == maker).cloned().collect())
    }

    fn due(&self, upto: TimeMs, n_rows_max: u32) -> Result<Vec<ScheduleRow>, StoreError> {
        let due = self.schedules.range(..=(upto, u64::MAX)).take(at_most(n_rows_max));
        Ok(due.map(|(_, row)| row.clone()).collect())
    }

    fn next_due(&self) -> Result<Option<TimeMs>, StoreError> {
        Ok(self.schedules.first_key_value().map(|((due, _), _)| *due))
    }

    fn schedules(&self, account: AccountId) -> Result<Vec<ScheduleRow>, StoreError> {
        Ok(self.schedules.values().filter(|row| row.account == account).cloned().collect())
    }

    fn counts(&self) -> Result<Counts, StoreError> {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Ok(Counts {
            n_accounts: count(self.accounts.len()),
            n_rooms: count(self.rooms.len()),
            n_entries: count(self.entries.len()),
            n_schedules: count(self.schedules.len()),
        })
    }

    fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.settings.get(name).cloned())
    }
}
