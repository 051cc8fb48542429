//! A reader: each question is asked of what the newest commit left.

use std::sync::Arc;

use mathia_protocol::id::{
    AccountId, DeviceId, Epoch, Hash, Realm, RoomId, RoomNumber, Seq, TimeMs, WorkspaceId,
};
use mathia_server::store::{
    AccountRow, Counts, EntryRange, EntryRow, GrantRow, HeadRow, InviteRow, JoinRow, KeyAskRow,
    LaneRow, LinkRow, MarkRow, Read, RoomKeyRow, RoomRow, ScheduleRow, StoreError, WrapRow,
};

use super::Shared;
use super::tables::Tables;

/// Sees every batch whose commit has returned, and nothing of one under way.
#[derive(Debug)]
pub(super) struct MemoryReader {
    shared: Arc<Shared>,
}

impl MemoryReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn now(&self) -> Arc<Tables> {
        self.shared.committed()
    }
}

impl Read for MemoryReader {
    fn realm(&self) -> Result<Realm, StoreError> {
        self.now().realm()
    }

    fn account(&self, account: AccountId) -> Result<Option<AccountRow>, StoreError> {
        self.now().account(account)
    }

    fn account_by_handle(&self, handle: &str) -> Result<Option<AccountRow>, StoreError> {
        self.now().account_by_handle(handle)
    }

    fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        self.now().accounts()
    }

    fn links(&self, account: AccountId, from: u32) -> Result<Vec<LinkRow>, StoreError> {
        self.now().links(account, from)
    }

    fn chain_head(&self, account: AccountId) -> Result<Option<(u32, Hash)>, StoreError> {
        self.now().chain_head(account)
    }

    fn room(&self, room: RoomId) -> Result<Option<RoomRow>, StoreError> {
        self.now().room(room)
    }

    fn room_by_number(&self, number: RoomNumber) -> Result<Option<RoomRow>, StoreError> {
        self.now().room_by_number(number)
    }

    fn room_of_pair(&self, pair: (AccountId, AccountId)) -> Result<Option<RoomRow>, StoreError> {
        self.now().room_of_pair(pair)
    }

    fn room_by_name_tag(
        &self,
        workspace: WorkspaceId,
        tag: Hash,
    ) -> Result<Option<RoomRow>, StoreError> {
        self.now().room_by_name_tag(workspace, tag)
    }

    fn open_rooms(
        &self,
        workspace: WorkspaceId,
        after: Option<RoomId>,
        n_rows_max: u32,
    ) -> Result<Vec<RoomRow>, StoreError> {
        self.now().open_rooms(workspace, after, n_rows_max)
    }

    fn rooms_of(&self, account: AccountId) -> Result<Vec<RoomRow>, StoreError> {
        self.now().rooms_of(account)
    }

    fn members(&self, room: RoomNumber) -> Result<Vec<AccountId>, StoreError> {
        self.now().members(room)
    }

    fn is_member(&self, room: RoomNumber, account: AccountId) -> Result<bool, StoreError> {
        self.now().is_member(room, account)
    }

    fn room_keys(&self, room: RoomNumber) -> Result<Vec<RoomKeyRow>, StoreError> {
        self.now().room_keys(room)
    }

    fn forgetful_rooms(
        &self,
        after: RoomNumber,
        n_rows_max: u32,
    ) -> Result<Vec<RoomRow>, StoreError> {
        self.now().forgetful_rooms(after, n_rows_max)
    }

    fn head(&self, room: RoomNumber) -> Result<HeadRow, StoreError> {
        self.now().head(room)
    }

    fn log_end(&self, room: RoomNumber) -> Result<(Seq, Hash), StoreError> {
        self.now().log_end(room)
    }

    fn entries(&self, range: EntryRange) -> Result<Vec<EntryRow>, StoreError> {
        self.now().entries(range)
    }

    fn position(&self, room: RoomNumber, seq: Seq) -> Result<Option<(Hash, u64)>, StoreError> {
        self.now().position(room, seq)
    }

    fn commits(
        &self,
        room: RoomNumber,
        after: Seq,
        n_rows_max: u32,
    ) -> Result<Vec<EntryRow>, StoreError> {
        self.now().commits(room, after, n_rows_max)
    }

    fn lane(&self, room: RoomNumber, device: DeviceId) -> Result<Vec<LaneRow>, StoreError> {
        self.now().lane(room, device)
    }

    fn scheduled_used(
        &self,
        room: RoomNumber,
        device: DeviceId,
        id: u64,
    ) -> Result<bool, StoreError> {
        self.now().scheduled_used(room, device, id)
    }

    fn marks(&self, room: RoomNumber) -> Result<Vec<MarkRow>, StoreError> {
        self.now().marks(room)
    }

    fn mark(&self, room: RoomNumber, account: AccountId) -> Result<Option<MarkRow>, StoreError> {
        self.now().mark(room, account)
    }

    fn wraps(
        &self,
        room: RoomNumber,
        device: DeviceId,
        from: Epoch,
    ) -> Result<Vec<WrapRow>, StoreError> {
        self.now().wraps(room, device, from)
    }

    fn key_asks(&self, room: RoomNumber) -> Result<Vec<KeyAskRow>, StoreError> {
        self.now().key_asks(room)
    }

    fn grants(&self, room: RoomNumber, device: DeviceId) -> Result<Vec<GrantRow>, StoreError> {
        self.now().grants(room, device)
    }

    fn invite(&self, token_hash: Hash) -> Result<Option<InviteRow>, StoreError> {
        self.now().invite(token_hash)
    }

    fn invites(&self, maker: Option<AccountId>) -> Result<Vec<InviteRow>, StoreError> {
        self.now().invites(maker)
    }

    fn joins(&self, maker: AccountId) -> Result<Vec<JoinRow>, StoreError> {
        self.now().joins(maker)
    }

    fn due(&self, upto: TimeMs, n_rows_max: u32) -> Result<Vec<ScheduleRow>, StoreError> {
        self.now().due(upto, n_rows_max)
    }

    fn next_due(&self) -> Result<Option<TimeMs>, StoreError> {
        self.now().next_due()
    }

    fn schedules(&self, account: AccountId) -> Result<Vec<ScheduleRow>, StoreError> {
        self.now().schedules(account)
    }

    fn counts(&self) -> Result<Counts, StoreError> {
        self.now().counts()
    }

    fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.now().setting(name)
    }
}
