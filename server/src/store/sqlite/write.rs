//! The changing side of the contract: each change is made by the module of its noun.

use mathia_protocol::id::{AccountId, DeviceId, Hash, RoomNumber, Seq, TimeMs};

use super::database::Database;
use super::{accounts, entries, invites, keys, marks, rooms, schedules, settings};
use crate::store::{
    AccountRow, EntryRow, Expired, GrantRow, InviteRow, JoinRow, KeyAskRow, LinkRow, RoomKeyRow,
    RoomRow, ScheduleRow, StoreError, WrapRow, Write,
};

impl Write for Database {
    fn insert_account(&mut self, row: &AccountRow, genesis: &LinkRow) -> Result<(), StoreError> {
        accounts::insert(self, row, genesis)
    }

    fn set_last_seen(&mut self, account: AccountId, time: TimeMs) -> Result<(), StoreError> {
        accounts::set_last_seen(self, account, time)
    }

    fn remove_account(&mut self, account: AccountId) -> Result<(), StoreError> {
        accounts::remove(self, account)
    }

    fn insert_link(&mut self, account: AccountId, link: &LinkRow) -> Result<(), StoreError> {
        accounts::insert_link(self, account, link)
    }

    fn insert_room(&mut self, row: &RoomRow) -> Result<RoomNumber, StoreError> {
        rooms::insert(self, row)
    }

    fn update_room(&mut self, row: &RoomRow) -> Result<(), StoreError> {
        rooms::update(self, row)
    }

    fn set_retention(&mut self, room: RoomNumber, days: u32) -> Result<(), StoreError> {
        rooms::set_retention(self, room, days)
    }

    fn expire(
        &mut self,
        room: RoomNumber,
        before: TimeMs,
        n_rows_max: u32,
    ) -> Result<Expired, StoreError> {
        entries::expire(self, room, before, n_rows_max)
    }

    fn insert_room_key(&mut self, row: &RoomKeyRow) -> Result<(), StoreError> {
        rooms::insert_key(self, row)
    }

    fn insert_entry(&mut self, row: &EntryRow) -> Result<(), StoreError> {
        entries::insert(self, row)
    }

    fn change_members(
        &mut self,
        room: RoomNumber,
        added: &[AccountId],
        removed: &[AccountId],
    ) -> Result<(), StoreError> {
        rooms::change_members(self, room, added, removed)
    }

    fn raise_delivered(
        &mut self,
        room: RoomNumber,
        account: AccountId,
        upto: Seq,
    ) -> Result<(), StoreError> {
        marks::raise_delivered(self, room, account, upto)
    }

    fn raise_read(
        &mut self,
        room: RoomNumber,
        account: AccountId,
        upto: Seq,
        tick: Option<(DeviceId, [u8; 64])>,
    ) -> Result<(), StoreError> {
        marks::raise_read(self, room, account, upto, tick)
    }

    fn insert_wraps(&mut self, rows: &[WrapRow]) -> Result<(), StoreError> {
        keys::insert_wraps(self, rows)
    }

    fn replace_wrap(&mut self, row: &WrapRow) -> Result<(), StoreError> {
        keys::replace_wrap(self, row)
    }

    fn insert_key_ask(&mut self, row: &KeyAskRow) -> Result<(), StoreError> {
        keys::insert_ask(self, row)
    }

    fn remove_key_ask(&mut self, row: &KeyAskRow) -> Result<bool, StoreError> {
        keys::remove_ask(self, row)
    }

    fn insert_grant(&mut self, row: &GrantRow) -> Result<(), StoreError> {
        keys::insert_grant(self, row)
    }

    fn insert_invite(&mut self, row: &InviteRow) -> Result<(), StoreError> {
        invites::insert(self, row)
    }

    fn use_invite(
        &mut self,
        token_hash: Hash,
        now: TimeMs,
    ) -> Result<Option<InviteRow>, StoreError> {
        invites::take_use(self, token_hash, now)
    }

    fn use_invite_name(&mut self, token_hash: Hash) -> Result<bool, StoreError> {
        invites::take_name(self, token_hash)
    }

    fn remove_invite(&mut self, token_hash: Hash) -> Result<bool, StoreError> {
        invites::remove(self, token_hash)
    }

    fn insert_join(&mut self, row: &JoinRow) -> Result<(), StoreError> {
        invites::insert_join(self, row)
    }

    fn remove_join(&mut self, token_hash: Hash, account: AccountId) -> Result<(), StoreError> {
        invites::remove_join(self, token_hash, account)
    }

    fn insert_schedule(&mut self, row: &ScheduleRow) -> Result<(), StoreError> {
        schedules::insert(self, row)
    }

    fn remove_schedule(
        &mut self,
        room: RoomNumber,
        device: DeviceId,
        id: u64,
    ) -> Result<bool, StoreError> {
        schedules::remove(self, room, device, id)
    }

    fn set_setting(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        settings::set(self, name, value)
    }
}
