//! Answers that only read: keys, chains, lists. One function per request, on a reader's thread.
//!
//! Owns who may see what (CRYPTO B7, "Enumeration"): a room one is not in and a room that is not are
//! the same answer. Changes nothing.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use mathia_protocol::crypto::commit::RoomMode;
use mathia_protocol::crypto::settings::RoomSettings;
use mathia_protocol::id::{AccountId, Epoch, RoomId, RoomNumber, TimeMs, WorkspaceId};
use mathia_protocol::limits::{ACCOUNTS_PER_REQUEST_MAX, LINK_LEN_MAX, SMALL_ROOM_MEMBERS_MAX};
use mathia_protocol::wire::{
    ChainHeadLine, DeviceGrant, Fault, InviteLine, JoinLine, KeyAnswer, LobbyLine, Reply,
    ScheduleLine, SignedTick,
};

use super::agents::agent_card;
use super::at_rest::MasterKey;
use super::caller::Caller;
use super::keyring::RoomKeys;
use super::resume::MarkHistograms;
use super::route::Query;
use super::staged_wraps::too_large;
use crate::accounts::Chains;
use crate::limits::Limits;
use crate::rate::{KeyedBuckets, Rate};
use crate::refusal::{Refusal, not_allowed};
use crate::store::{InviteRow, JoinRow, Read, RoomRow, StoreError};

/// Bytes of one reply of unbounded lists: a frame with room for its other fields.
pub(super) const REPLY_BYTES_MAX: usize = 48 * 1024;
/// Bytes of sealed keys in one reply: larger, since one grant alone may have 40 KiB.
const GRANTS_BYTES_MAX: usize = 200 * 1024;
/// Rooms in one page of the lobby: names and topics of 320 bytes at most.
const LOBBY_PAGE: u32 = 64;
/// Wraps in one reply, about 100 bytes each, so within the largest frame; who needs more asks again
/// from the epoch behind the last.
const WRAPS_PAGE: usize = 1_600;
/// Accounts that may look names up within an hour before they share a rate.
const LOOKUP_KEYS_MAX: usize = 65_536;

/// What answering needs beside the store. Shared by all sessions.
pub struct Reads {
    pub(super) master: Arc<MasterKey>,
    /// Mark histograms of large rooms, as counted within the last second.
    pub(super) histograms: Mutex<HashMap<RoomNumber, MarkHistograms>>,
    chains: Arc<Chains>,
    lookups: Mutex<KeyedBuckets<AccountId>>,
}

impl fmt::Debug for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reads(..)")
    }
}

impl Reads {
    /// Takes the operator's rates and what is shared with the write queue.
    pub fn new(master: Arc<MasterKey>, chains: Arc<Chains>, limits: &Limits) -> Self {
        let rate = Rate::per_hour(limits.lookups_per_hour, limits.lookups_per_hour);
        let lookups = Mutex::new(KeyedBuckets::new(rate, LOOKUP_KEYS_MAX));
        Self { master, histograms: Mutex::default(), chains, lookups }
    }

    /// Answers one query.
    ///
    /// # Errors
    ///
    /// [`Refusal::Fault`] is for the caller; [`Refusal::Store`] ends the process if the database
    /// failed, and is [`Fault::Damaged`] for the caller if what was asked for has rotted.
    pub fn answer(
        &self,
        read: &dyn Read,
        caller: Caller,
        query: &Query,
        now: TimeMs,
    ) -> Result<Reply, Refusal> {
        match query {
            Query::Wraps { room, from } => wraps(read, caller, *room, *from),
            Query::Grants { room } => grants(read, caller, *room),
            Query::Chain { account, from } => chain(read, *account, *from),
            Query::ChainHeads { accounts } => chain_heads(read, accounts),
            Query::FindAccount { handle } => {
                self.check_lookup_rate(caller, now)?;
                find_account(read, handle)
            }
            Query::Ticks { room } => ticks(read, caller, *room),
            Query::Schedules => self.schedules(read, caller),
            Query::Invites => self.invites(read, caller, now),
            Query::Joins => self.joins(read, caller),
            Query::Card { account } => Ok(Reply::Card { card: agent_card(read, *account)? }),
            Query::Lobby { workspace, after } if *workspace == caller.workspace => {
                self.lobby(read, caller, *after)
            }
            // What other workspaces have does not exist for the caller.
            Query::Lobby { .. } => Ok(Reply::Lobby { rooms: Vec::new(), more: false }),
        }
    }

    /// The verified chain of an account, for logins; `None` if there is none or the operator has
    /// removed it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; retrying does not help.
    pub fn login_chain(
        &self,
        read: &dyn Read,
        account: AccountId,
    ) -> Result<Option<Arc<mathia_protocol::crypto::user_chain::UserChain>>, StoreError> {
        if read.account(account)?.is_none_or(|row| row.is_removed) {
            return Ok(None);
        }
        self.chains.get(read, account)
    }

    /// Finds an open room by its name, for the operator.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; retrying does not help.
    pub fn open_room_named(
        &self,
        read: &dyn Read,
        workspace: WorkspaceId,
        name: &str,
    ) -> Result<Option<RoomId>, StoreError> {
        let tag = self.master.name_tag(workspace, name);
        Ok(read.room_by_name_tag(workspace, tag)?.map(|row| row.room))
    }

    fn check_lookup_rate(&self, caller: Caller, now: TimeMs) -> Result<(), Refusal> {
        let mut lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(lookups.take(caller.account, now)?)
    }

    fn schedules(&self, read: &dyn Read, caller: Caller) -> Result<Reply, Refusal> {
        let mut schedules = Vec::new();
        let mut n_bytes = 0;
        for row in read.schedules(caller.account)? {
            let Some(room) = read.room_by_number(row.room)? else { continue };
            // Read after what they open: a key that is made meanwhile is among them.
            let entry = match RoomKeys::load(read, &self.master, &room)? {
                None => row.body,
                Some(keys) => keys.open_schedule(row.id, &row.body).map_err(StoreError::from)?,
            };
            n_bytes += entry.len();
            if n_bytes > GRANTS_BYTES_MAX {
                break;
            }
            schedules.push(ScheduleLine { room: room.room, id: row.id, due: row.due, entry });
        }
        Ok(Reply::Schedules { schedules })
    }

    fn invites(&self, read: &dyn Read, caller: Caller, now: TimeMs) -> Result<Reply, Refusal> {
        let line = |row: InviteRow| {
            let token = self.master.open_token(row.token_hash, &row.sealed_token)?;
            let InviteRow { uses_left, expires, rooms, .. } = row;
            Ok(InviteLine { token, uses_left, expires, rooms })
        };
        let mut rows = read.invites(Some(caller.account))?;
        rows.retain(|row| row.uses_left > 0 && row.expires > now);
        let mut budget = REPLY_BYTES_MAX;
        let fitting = rows.into_iter().take_while(|row| {
            let size = 40 + row.rooms.len() * RoomId::LEN;
            budget.checked_sub(size).inspect(|left| budget = *left).is_some()
        });
        let invites: Result<Vec<_>, StoreError> = fitting.map(line).collect();
        Ok(Reply::Invites { invites: invites? })
    }

    fn joins(&self, read: &dyn Read, caller: Caller) -> Result<Reply, Refusal> {
        let line = |row: JoinRow| {
            let token = self.master.open_token(row.token_hash, &row.sealed_token)?;
            let JoinRow { account, proof, rooms, .. } = row;
            Ok(JoinLine { token, account, proof, rooms })
        };
        let mut budget = REPLY_BYTES_MAX;
        let fitting = read.joins(caller.account)?.into_iter().take_while(|row| {
            let size = 90 + row.rooms.len() * RoomId::LEN;
            budget.checked_sub(size).inspect(|left| budget = *left).is_some()
        });
        let joins: Result<Vec<_>, StoreError> = fitting.map(line).collect();
        Ok(Reply::Joins { joins: joins? })
    }

    fn lobby(
        &self,
        read: &dyn Read,
        caller: Caller,
        after: Option<RoomId>,
    ) -> Result<Reply, Refusal> {
        let mut rows = read.open_rooms(caller.workspace, after, LOBBY_PAGE + 1)?;
        let page_len = usize::try_from(LOBBY_PAGE).unwrap_or(usize::MAX);
        let more = rows.len() > page_len;
        rows.truncate(page_len);
        let mut rooms = Vec::with_capacity(rows.len());
        for row in rows {
            let settings = self.open_settings(read, &row)?;
            let members = read.members(row.number)?;
            rooms.push(LobbyLine {
                room: row.room,
                name: settings.name.as_str().to_owned(),
                topic: settings.topic,
                n_members: u32::try_from(members.len()).unwrap_or(u32::MAX),
                is_member: members.contains(&caller.account),
                seq: read.head(row.number)?.seq,
            });
        }
        Ok(Reply::Lobby { rooms, more })
    }

    fn open_settings(&self, read: &dyn Read, row: &RoomRow) -> Result<RoomSettings, StoreError> {
        let broken = || StoreError::rotten("an open room without a name");
        let keys = RoomKeys::load(read, &self.master, row)?.ok_or_else(broken)?;
        let sealed = row.sealed_name.as_ref().ok_or_else(broken)?;
        RoomSettings::decode(&keys.open_name(sealed)?).map_err(|_| broken())
    }
}

fn find_account(read: &dyn Read, handle: &str) -> Result<Reply, Refusal> {
    let row = read.account_by_handle(handle)?.filter(|row| !row.is_removed);
    Ok(Reply::Found { account: row.ok_or(Fault::NotFound)?.account })
}

/// The room, if the account is in it. For others there is no such room.
pub(super) fn own_room(
    read: &dyn Read,
    account: AccountId,
    room: RoomId,
) -> Result<RoomRow, Refusal> {
    let row = read.room(room)?.ok_or(Fault::NotFound)?;
    if !read.is_member(row.number, account)? {
        return Err(Fault::NotFound.into());
    }
    Ok(row)
}

fn wraps(read: &dyn Read, caller: Caller, room: RoomId, from: Epoch) -> Result<Reply, Refusal> {
    let row = own_room(read, caller.account, room)?;
    let mut rows = read.wraps(row.number, caller.device, from)?;
    rows.truncate(WRAPS_PAGE);
    let answer = |row: crate::store::WrapRow| KeyAnswer {
        epoch: row.epoch,
        hpke_gen: row.hpke_gen,
        sealed: row.sealed,
    };
    Ok(Reply::Wraps { wraps: rows.into_iter().map(answer).collect() })
}

fn grants(read: &dyn Read, caller: Caller, room: RoomId) -> Result<Reply, Refusal> {
    let row = own_room(read, caller.account, room)?;
    let mut budget = GRANTS_BYTES_MAX;
    let mut grants = Vec::new();
    for grant in read.grants(row.number, caller.device)? {
        let Some(left) = budget.checked_sub(grant.sealed.len()) else { break };
        budget = left;
        let (device, hpke_gen, sealed) = (grant.device, grant.hpke_gen, grant.sealed);
        grants.push((grant.from, DeviceGrant { device, hpke_gen, sealed }));
    }
    Ok(Reply::Grants { grants })
}

fn chain(read: &dyn Read, account: AccountId, from: u32) -> Result<Reply, Refusal> {
    if read.chain_head(account)?.is_none() {
        return Err(Fault::NotFound.into());
    }
    let rows = read.links(account, from)?;
    let n_rows = rows.len();
    // Whole links as long as the largest still fits behind them.
    let mut n_bytes = 0;
    let links: Vec<Vec<u8>> = rows
        .into_iter()
        .map(|row| row.link)
        .take_while(|link| {
            n_bytes += link.len();
            n_bytes <= REPLY_BYTES_MAX - LINK_LEN_MAX
        })
        .collect();
    let more = links.len() < n_rows;
    Ok(Reply::Chain { links, more })
}

fn chain_heads(read: &dyn Read, accounts: &[AccountId]) -> Result<Reply, Refusal> {
    if accounts.len() > ACCOUNTS_PER_REQUEST_MAX {
        return Err(too_large(ACCOUNTS_PER_REQUEST_MAX).into());
    }
    let mut heads = Vec::with_capacity(accounts.len());
    for account in accounts {
        if let Some((seq, hash)) = read.chain_head(*account)? {
            heads.push(ChainHeadLine { account: *account, seq, hash });
        }
    }
    Ok(Reply::ChainHeads { heads })
}

fn ticks(read: &dyn Read, caller: Caller, room: RoomId) -> Result<Reply, Refusal> {
    let row = own_room(read, caller.account, room)?;
    let members = read.members(row.number)?;
    if members.len() > SMALL_ROOM_MEMBERS_MAX {
        return Err(not_allowed("signed ticks are listed in small rooms only"));
    }
    let marks = read.marks(row.number)?;
    let ticks =
        marks.into_iter().filter(|mark| members.contains(&mark.account)).filter_map(|mark| {
            let (device, signature) = mark.tick?;
            Some(SignedTick { account: mark.account, device, upto: mark.read_upto, signature })
        });
    Ok(Reply::Ticks { ticks: ticks.collect() })
}

/// Whether a room shows itself to the whole workspace.
pub(super) fn is_open(row: &RoomRow) -> bool {
    row.mode == RoomMode::Open.to_byte()
}
