//! The changing side: each change checked against all there is.

use std::collections::btree_map::Entry as Slot;

use mathia_protocol::id::{AccountId, Counter, DeviceId, Hash, RoomNumber, Seq, TimeMs};
use mathia_server::store::{
    AccountRow, EntryRow, Expired, GrantRow, InviteRow, JoinRow, KeyAskRow, LinkRow, MarkRow,
    RoomKeyRow, RoomRow, ScheduleRow, StoreError, WrapRow, Write, tag,
};

use super::tables::Tables;

impl Tables {
    /// Whether another room has the name tag of this one.
    fn is_name_taken(&self, row: &RoomRow) -> bool {
        let clash = |other: &RoomRow| {
            other.name_tag.is_some()
                && (other.workspace, other.name_tag) == (row.workspace, row.name_tag)
        };
        self.rooms.iter().any(|other| other.number != row.number && clash(other))
    }

    fn mark_of(&mut self, room: RoomNumber, account: AccountId) -> Result<Slots<'_>, StoreError> {
        self.room_at(room)?;
        Ok(self.marks.entry((room, account)))
    }
}

type Slots<'a> = Slot<'a, (RoomNumber, AccountId), MarkRow>;

fn new_mark(account: AccountId) -> MarkRow {
    MarkRow { account, delivered_upto: Seq(0), read_upto: Seq(0), tick: None }
}

impl Write for Tables {
    fn insert_account(&mut self, row: &AccountRow, genesis: &LinkRow) -> Result<(), StoreError> {
        let is_taken =
            |other: &AccountRow| other.account == row.account || other.handle == row.handle;
        if self.accounts.values().any(is_taken) {
            return Err(StoreError::Exists);
        }
        self.accounts.insert(row.account, row.clone());
        self.insert_link(row.account, genesis)
    }

    fn set_last_seen(&mut self, account: AccountId, time: TimeMs) -> Result<(), StoreError> {
        if let Some(row) = self.accounts.get_mut(&account) {
            row.last_seen = time;
        }
        Ok(())
    }

    fn remove_account(&mut self, account: AccountId) -> Result<(), StoreError> {
        if let Some(row) = self.accounts.get_mut(&account) {
            row.is_removed = true;
        }
        Ok(())
    }

    fn insert_link(&mut self, account: AccountId, link: &LinkRow) -> Result<(), StoreError> {
        if !self.accounts.contains_key(&account) {
            return Err(StoreError::broken("a link of no account"));
        }
        match self.links.entry((account, link.seq)) {
            Slot::Occupied(_) => Err(StoreError::Exists),
            Slot::Vacant(slot) => {
                slot.insert(link.clone());
                Ok(())
            }
        }
    }

    fn insert_room(&mut self, row: &RoomRow) -> Result<RoomNumber, StoreError> {
        let number = u32::try_from(self.rooms.len() + 1).map_err(StoreError::broken)?;
        let row = RoomRow { number: RoomNumber(number), ..row.clone() };
        let clash = |other: &RoomRow| {
            other.room == row.room || (row.pair.is_some() && other.pair == row.pair)
        };
        if self.rooms.iter().any(clash) || self.is_name_taken(&row) {
            return Err(StoreError::Exists);
        }
        self.rooms.push(row);
        Ok(RoomNumber(number))
    }

    fn update_room(&mut self, row: &RoomRow) -> Result<(), StoreError> {
        if self.is_name_taken(row) {
            return Err(StoreError::Exists);
        }
        if let Some(old) = self.rooms.iter_mut().find(|old| old.number == row.number) {
            old.name_tag = row.name_tag;
            old.sealed_name.clone_from(&row.sealed_name);
        }
        Ok(())
    }

    fn set_retention(&mut self, room: RoomNumber, days: u32) -> Result<(), StoreError> {
        if let Some(row) = self.rooms.iter_mut().find(|row| row.number == room) {
            row.retention_days = days;
        }
        Ok(())
    }

    fn expire(
        &mut self,
        room: RoomNumber,
        before: TimeMs,
        n_rows_max: u32,
    ) -> Result<Expired, StoreError> {
        self.room_at(room)?;
        let upto = self.expired_upto.entry(room).or_insert(Seq(0));
        let mut expired = Expired::default();
        let rest = self.entries.range_mut((room, upto.next())..=(room, Seq(u64::MAX)));
        for (_, row) in rest {
            if row.time >= before || expired.n_seen == n_rows_max {
                break;
            }
            expired.n_seen += 1;
            *upto = row.seq;
            if row.tag != tag::COMMIT && row.body.take().is_some() {
                expired.n_removed += 1;
            }
        }
        Ok(expired)
    }

    fn insert_room_key(&mut self, row: &RoomKeyRow) -> Result<(), StoreError> {
        self.room_at(row.room)?;
        match self.room_keys.entry((row.room, row.generation)) {
            Slot::Occupied(_) => Err(StoreError::Exists),
            Slot::Vacant(slot) => {
                slot.insert(row.clone());
                Ok(())
            }
        }
    }

    fn insert_entry(&mut self, row: &EntryRow) -> Result<(), StoreError> {
        let newest = self.messages(row.room, row.device).next_back().map(|newest| newest.ctr);
        let is_repeated = match row.tag {
            tag::COMMIT => false,
            tag::SCHEDULED => self.is_used(row.room, row.device, row.ctr),
            _ => newest >= Some(row.ctr),
        };
        if is_repeated || self.entries.contains_key(&(row.room, row.seq)) {
            return Err(StoreError::Exists);
        }
        self.entries.insert((row.room, row.seq), row.clone());
        Ok(())
    }

    fn change_members(
        &mut self,
        room: RoomNumber,
        added: &[AccountId],
        removed: &[AccountId],
    ) -> Result<(), StoreError> {
        self.room_at(room)?;
        for account in removed {
            self.members.remove(&(room, *account));
        }
        self.members.extend(added.iter().map(|account| (room, *account)));
        Ok(())
    }

    fn raise_delivered(
        &mut self,
        room: RoomNumber,
        account: AccountId,
        upto: Seq,
    ) -> Result<(), StoreError> {
        let mark = self.mark_of(room, account)?.or_insert_with(|| new_mark(account));
        mark.delivered_upto = mark.delivered_upto.max(upto);
        Ok(())
    }

    fn raise_read(
        &mut self,
        room: RoomNumber,
        account: AccountId,
        upto: Seq,
        tick: Option<(DeviceId, [u8; 64])>,
    ) -> Result<(), StoreError> {
        let mark = self.mark_of(room, account)?.or_insert_with(|| new_mark(account));
        if upto > mark.read_upto || (upto == mark.read_upto && mark.tick.is_none()) {
            mark.read_upto = upto;
            mark.tick = tick;
        }
        Ok(())
    }

    fn insert_wraps(&mut self, rows: &[WrapRow]) -> Result<(), StoreError> {
        for row in rows {
            self.room_at(row.room)?;
            let key = (row.room, row.device, row.epoch);
            self.wraps.entry(key).or_insert_with(|| row.clone());
        }
        Ok(())
    }

    fn replace_wrap(&mut self, row: &WrapRow) -> Result<(), StoreError> {
        self.room_at(row.room)?;
        self.wraps.insert((row.room, row.device, row.epoch), row.clone());
        Ok(())
    }

    fn insert_key_ask(&mut self, row: &KeyAskRow) -> Result<(), StoreError> {
        self.room_at(row.room)?;
        self.key_asks.insert((row.room, row.account, row.device, row.epoch), row.clone());
        Ok(())
    }

    fn remove_key_ask(&mut self, row: &KeyAskRow) -> Result<bool, StoreError> {
        Ok(self.key_asks.remove(&(row.room, row.account, row.device, row.epoch)).is_some())
    }

    fn insert_grant(&mut self, row: &GrantRow) -> Result<(), StoreError> {
        self.room_at(row.room)?;
        self.grants.insert((row.room, row.device, row.from), row.clone());
        Ok(())
    }

    fn insert_invite(&mut self, row: &InviteRow) -> Result<(), StoreError> {
        match self.invites.entry(row.token_hash) {
            Slot::Occupied(_) => Err(StoreError::Exists),
            Slot::Vacant(slot) => {
                slot.insert(row.clone());
                Ok(())
            }
        }
    }

    fn use_invite(
        &mut self,
        token_hash: Hash,
        now: TimeMs,
    ) -> Result<Option<InviteRow>, StoreError> {
        let invite = self.invites.get_mut(&token_hash);
        let live = invite.filter(|row| row.uses_left > 0 && row.expires > now);
        Ok(live.map(|row| {
            row.uses_left -= 1;
            row.clone()
        }))
    }

    fn use_invite_name(&mut self, token_hash: Hash) -> Result<bool, StoreError> {
        let invite = self.invites.get_mut(&token_hash).filter(|row| row.names_left > 0);
        Ok(invite.map(|row| row.names_left -= 1).is_some())
    }

    fn remove_invite(&mut self, token_hash: Hash) -> Result<bool, StoreError> {
        Ok(self.invites.remove(&token_hash).is_some())
    }

    fn insert_join(&mut self, row: &JoinRow) -> Result<(), StoreError> {
        let key = (row.token_hash, row.account);
        self.joins.entry(key).or_insert_with(|| row.clone());
        Ok(())
    }

    fn remove_join(&mut self, token_hash: Hash, account: AccountId) -> Result<(), StoreError> {
        self.joins.remove(&(token_hash, account));
        Ok(())
    }

    fn insert_schedule(&mut self, row: &ScheduleRow) -> Result<(), StoreError> {
        self.room_at(row.room)?;
        let is_same = |other: &ScheduleRow| {
            (other.room, other.device, other.id) == (row.room, row.device, row.id)
        };
        let is_used = self.is_used(row.room, row.device, Counter(row.id));
        if is_used || self.schedules.values().any(is_same) {
            return Err(StoreError::Exists);
        }
        self.n_schedules_made += 1;
        self.schedules.insert((row.due, self.n_schedules_made), row.clone());
        Ok(())
    }

    fn remove_schedule(
        &mut self,
        room: RoomNumber,
        device: DeviceId,
        id: u64,
    ) -> Result<bool, StoreError> {
        let n_before = self.schedules.len();
        self.schedules.retain(|_, row| (row.room, row.device, row.id) != (room, device, id));
        Ok(self.schedules.len() < n_before)
    }

    fn set_setting(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.settings.insert(name.to_owned(), value.to_owned());
        Ok(())
    }
}
