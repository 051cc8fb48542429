//! The reading side of the contract: each question is answered by the module of its noun.

use mathia_protocol::id::{
    AccountId, DeviceId, Epoch, Hash, Realm, RoomId, RoomNumber, Seq, TimeMs, WorkspaceId,
};

use super::database::Database;
use super::{accounts, entries, invites, keys, marks, rooms, schedules, settings};
use crate::store::{
    AccountRow, Counts, EntryRange, EntryRow, GrantRow, HeadRow, InviteRow, JoinRow, KeyAskRow,
    LaneRow, LinkRow, MarkRow, Read, RoomKeyRow, RoomRow, ScheduleRow, StoreError, WrapRow,
};

impl Read for Database {
    fn realm(&self) -> Result<Realm, StoreError> {
        settings::realm(self)
    }

    fn account(&self, account: AccountId) -> Result<Option<AccountRow>, StoreError> {
        accounts::find(self, account)
    }

    fn account_by_handle(&self, handle: &str) -> Result<Option<AccountRow>, StoreError> {
        accounts::by_handle(self, handle)
    }

    fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        accounts::list(self)
    }

    fn links(&self, account: AccountId, from: u32) -> Result<Vec<LinkRow>, StoreError> {
        accounts::links(self, account, from)
    }

    fn chain_head(&self, account: AccountId) -> Result<Option<(u32, Hash)>, StoreError> {
        accounts::chain_head(self, account)
    }

    fn room(&self, room: RoomId) -> Result<Option<RoomRow>, StoreError> {
        rooms::find(self, room)
    }

    fn room_by_number(&self, number: RoomNumber) -> Result<Option<RoomRow>, StoreError> {
        rooms::by_number(self, number)
    }

    fn room_of_pair(&self, pair: (AccountId, AccountId)) -> Result<Option<RoomRow>, StoreError> {
        rooms::by_pair(self, pair)
    }

    fn room_by_name_tag(
        &self,
        workspace: WorkspaceId,
        tag: Hash,
    ) -> Result<Option<RoomRow>, StoreError> {
        rooms::by_name_tag(self, workspace, tag)
    }

    fn open_rooms(
        &self,
        workspace: WorkspaceId,
        after: Option<RoomId>,
        n_rows_max: u32,
    ) -> Result<Vec<RoomRow>, StoreError> {
        rooms::open(self, workspace, after, n_rows_max)
    }

    fn rooms_of(&self, account: AccountId) -> Result<Vec<RoomRow>, StoreError> {
        rooms::of_account(self, account)
    }

    fn members(&self, room: RoomNumber) -> Result<Vec<AccountId>, StoreError> {
        rooms::members(self, room)
    }

    fn is_member(&self, room: RoomNumber, account: AccountId) -> Result<bool, StoreError> {
        rooms::is_member(self, room, account)
    }

    fn room_keys(&self, room: RoomNumber) -> Result<Vec<RoomKeyRow>, StoreError> {
        rooms::keys(self, room)
    }

    fn forgetful_rooms(
        &self,
        after: RoomNumber,
        n_rows_max: u32,
    ) -> Result<Vec<RoomRow>, StoreError> {
        rooms::forgetful(self, after, n_rows_max)
    }

    fn head(&self, room: RoomNumber) -> Result<HeadRow, StoreError> {
        entries::head(self, room)
    }

    fn log_end(&self, room: RoomNumber) -> Result<(Seq, Hash), StoreError> {
        entries::log_end(self, room)
    }

    fn entries(&self, range: EntryRange) -> Result<Vec<EntryRow>, StoreError> {
        entries::range(self, range)
    }

    fn position(&self, room: RoomNumber, seq: Seq) -> Result<Option<(Hash, u64)>, StoreError> {
        entries::position(self, room, seq)
    }

    fn commits(
        &self,
        room: RoomNumber,
        after: Seq,
        n_rows_max: u32,
    ) -> Result<Vec<EntryRow>, StoreError> {
        entries::commits(self, room, after, n_rows_max)
    }

    fn lane(&self, room: RoomNumber, device: DeviceId) -> Result<Vec<LaneRow>, StoreError> {
        entries::lane(self, room, device)
    }

    fn scheduled_used(
        &self,
        room: RoomNumber,
        device: DeviceId,
        id: u64,
    ) -> Result<bool, StoreError> {
        entries::scheduled_used(self, room, device, id)
    }

    fn marks(&self, room: RoomNumber) -> Result<Vec<MarkRow>, StoreError> {
        marks::list(self, room)
    }

    fn mark(&self, room: RoomNumber, account: AccountId) -> Result<Option<MarkRow>, StoreError> {
        marks::find(self, room, account)
    }

    fn wraps(
        &self,
        room: RoomNumber,
        device: DeviceId,
        from: Epoch,
    ) -> Result<Vec<WrapRow>, StoreError> {
        keys::wraps(self, room, device, from)
    }

    fn key_asks(&self, room: RoomNumber) -> Result<Vec<KeyAskRow>, StoreError> {
        keys::asks(self, room)
    }

    fn grants(&self, room: RoomNumber, device: DeviceId) -> Result<Vec<GrantRow>, StoreError> {
        keys::grants(self, room, device)
    }

    fn invite(&self, token_hash: Hash) -> Result<Option<InviteRow>, StoreError> {
        invites::find(self, token_hash)
    }

    fn invites(&self, maker: Option<AccountId>) -> Result<Vec<InviteRow>, StoreError> {
        invites::list(self, maker)
    }

    fn joins(&self, maker: AccountId) -> Result<Vec<JoinRow>, StoreError> {
        invites::joins(self, maker)
    }

    fn due(&self, upto: TimeMs, n_rows_max: u32) -> Result<Vec<ScheduleRow>, StoreError> {
        schedules::due(self, upto, n_rows_max)
    }

    fn next_due(&self) -> Result<Option<TimeMs>, StoreError> {
        schedules::next_due(self)
    }

    fn schedules(&self, account: AccountId) -> Result<Vec<ScheduleRow>, StoreError> {
        schedules::of_account(self, account)
    }

    fn counts(&self) -> Result<Counts, StoreError> {
        settings::counts(self)
    }

    fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        settings::get(self, name)
    }
}
