//! Which sessions there are and which rooms they are subscribed to. Pure bookkeeping: queues nothing itself.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use mathia_protocol::id::{AccountId, DeviceId, RoomNumber, TimeMs};
use mathia_protocol::wire::PresenceState;

use super::{FrameQueue, Session, SessionId, SessionRemoval, TooManySessions};

/// Rooms whose changes are noted for an account that is not subscribed yet. If there are more, what the
/// account reads as its rooms is no longer trusted: it gets nothing live until it connects again.
const CHANGES_MAX: usize = 1_024;

/// One session in a room's list.
#[derive(Debug, Clone)]
pub(super) struct Subscriber {
    pub(super) account: AccountId,
    pub(super) frame_queue: Arc<FrameQueue>,
}

/// Accounts without sessions whose last time is remembered; the store knows all.
const LAST_SEEN_MAX: usize = 65_536;

/// See the module.
#[derive(Debug)]
pub(super) struct Registry {
    sessions: HashMap<SessionId, RegistryEntry>,
    /// The same sessions by device.
    devices: BTreeSet<(DeviceId, SessionId)>,
    pub(super) accounts: HashMap<AccountId, OnlineAccount>,
    rooms: HashMap<RoomNumber, Audience>,
    /// Accounts whose presence may have changed since it was last emitted.
    pub(super) changed: BTreeSet<AccountId>,
    /// Who came into which room since then: people there and they have yet to learn of each other.
    pub(super) newcomers: BTreeMap<RoomNumber, BTreeSet<AccountId>>,
    /// When accounts without sessions were last seen, as far as somebody asked.
    last_seen: HashMap<AccountId, TimeMs>,
    /// Rooms with too many members to list the absent.
    pub(super) large_rooms: HashSet<RoomNumber>,
    sessions_per_account_max: u32,
    next_session: u64,
    n_expulsions: u64,
    nobody: Arc<[Subscriber]>,
}

#[derive(Debug)]
struct RegistryEntry {
    session: Session,
    is_away: bool,
    is_subscribed: bool,
}

/// An account with sessions, or one that was left by its last session a moment ago.
#[derive(Debug, Default)]
pub(super) struct OnlineAccount {
    sessions: Vec<SessionId>,
    /// The rooms the account is in, once one of its sessions is subscribed.
    pub(super) rooms: BTreeSet<RoomNumber>,
    knows_rooms: bool,
    /// What changed before the rooms were known: joined (`true`) and left.
    changes: BTreeMap<RoomNumber, bool>,
    has_lost_changes: bool,
    /// The state that the others were sent last.
    pub(super) emitted: Option<PresenceState>,
    pub(super) last_seen: TimeMs,
}

/// Who is subscribed to a room.
#[derive(Debug, Default)]
struct Audience {
    accounts: Vec<AccountId>,
    /// The sessions of these accounts, until somebody comes or goes.
    subscribers: Option<Arc<[Subscriber]>>,
}

impl Registry {
    pub(super) fn new(sessions_per_account_max: u32) -> Self {
        Self {
            sessions: HashMap::new(),
            devices: BTreeSet::new(),
            accounts: HashMap::new(),
            rooms: HashMap::new(),
            changed: BTreeSet::new(),
            newcomers: BTreeMap::new(),
            last_seen: HashMap::new(),
            large_rooms: HashSet::new(),
            sessions_per_account_max,
            next_session: 1,
            n_expulsions: 0,
            nobody: Arc::from([]),
        }
    }

    pub(super) fn enter(&mut self, session: Session) -> Result<SessionId, TooManySessions> {
        let max = self.sessions_per_account_max;
        let online = self.accounts.entry(session.account).or_default();
        if online.sessions.len() >= usize::try_from(max).unwrap_or(usize::MAX) {
            return Err(TooManySessions { max });
        }
        let id = SessionId(self.next_session);
        self.next_session += 1;
        online.sessions.push(id);
        self.devices.insert((session.device, id));
        self.changed.insert(session.account);
        self.sessions.insert(id, RegistryEntry { session, is_away: false, is_subscribed: false });
        Ok(id)
    }

    pub(super) fn subscribe(&mut self, id: SessionId, rooms: &[RoomNumber], now: TimeMs) {
        let Some(entry) = self.sessions.get_mut(&id).filter(|entry| !entry.is_subscribed) else {
            return;
        };
        entry.is_subscribed = true;
        let account = entry.session.account;
        let Some(online) = self.accounts.get_mut(&account) else { return };
        if !online.knows_rooms {
            online.knows_rooms = true;
            if !online.has_lost_changes {
                online.rooms.extend(rooms);
            }
            for (room, is_in) in std::mem::take(&mut online.changes) {
                if is_in {
                    online.rooms.insert(room);
                } else {
                    online.rooms.remove(&room);
                }
            }
            for room in &online.rooms {
                self.rooms.entry(*room).or_default().accounts.push(account);
            }
        }
        for room in &online.rooms {
            if let Some(audience) = self.rooms.get_mut(room) {
                audience.subscribers = None;
            }
        }
        self.changed.insert(account);
        self.send_snapshot(id, now);
    }

    pub(super) fn is_subscribed(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|entry| entry.is_subscribed)
    }

    pub(super) fn leave(&mut self, id: SessionId, now: TimeMs) -> SessionRemoval {
        let Some(entry) = self.sessions.remove(&id) else {
            return SessionRemoval { was_last: false };
        };
        let account = entry.session.account;
        self.devices.remove(&(entry.session.device, id));
        self.changed.insert(account);
        let Some(online) = self.accounts.get_mut(&account) else {
            return SessionRemoval { was_last: true };
        };
        online.sessions.retain(|other| *other != id);
        online.last_seen = now;
        for room in &online.rooms {
            if let Some(audience) = self.rooms.get_mut(room) {
                audience.subscribers = None;
            }
        }
        // The account itself stays until everybody was sent that it went.
        SessionRemoval { was_last: online.sessions.is_empty() }
    }

    /// Forgets an account without sessions.
    pub(super) fn forget(&mut self, account: AccountId) {
        if self.accounts.get(&account).is_none_or(|online| !online.sessions.is_empty()) {
            return;
        }
        let Some(online) = self.accounts.remove(&account) else { return };
        self.note_last_seen(account, online.last_seen);
        for room in online.rooms {
            self.remove_from_audience(room, account);
        }
    }

    pub(super) fn note_last_seen(&mut self, account: AccountId, time: TimeMs) {
        if self.last_seen.len() >= LAST_SEEN_MAX {
            self.last_seen.clear();
        }
        self.last_seen.insert(account, time);
    }

    /// When an account that has no session was last seen, if somebody asked since the start.
    pub(super) fn last_seen(&self, account: AccountId) -> Option<TimeMs> {
        let just_left = self.accounts.get(&account).map(|online| online.last_seen);
        just_left.or_else(|| self.last_seen.get(&account).copied())
    }

    pub(super) fn is_online(&self, account: AccountId) -> bool {
        self.accounts.get(&account).is_some_and(|online| !online.sessions.is_empty())
    }

    pub(super) fn joined(&mut self, room: RoomNumber, account: AccountId) {
        let Some(online) = self.accounts.get_mut(&account) else { return };
        if !online.knows_rooms {
            online.note_change(room, true);
        } else if online.rooms.insert(room) {
            let audience = self.rooms.entry(room).or_default();
            audience.accounts.push(account);
            audience.subscribers = None;
            self.newcomers.entry(room).or_default().insert(account);
        }
    }

    pub(super) fn left(&mut self, room: RoomNumber, account: AccountId) {
        let Some(online) = self.accounts.get_mut(&account) else { return };
        if !online.knows_rooms {
            online.note_change(room, false);
        } else if online.rooms.remove(&room) {
            self.remove_from_audience(room, account);
        }
    }

    fn remove_from_audience(&mut self, room: RoomNumber, account: AccountId) {
        let Some(audience) = self.rooms.get_mut(&room) else { return };
        audience.accounts.retain(|other| *other != account);
        audience.subscribers = None;
        if audience.accounts.is_empty() {
            self.rooms.remove(&room);
        }
    }

    /// The sessions subscribed to a room: a shared list, built again only after somebody came or went.
    pub(super) fn subscribers(&mut self, room: RoomNumber) -> Arc<[Subscriber]> {
        let Some(audience) = self.rooms.get_mut(&room) else { return Arc::clone(&self.nobody) };
        let Audience { accounts, subscribers } = audience;
        let list = subscribers.get_or_insert_with(|| {
            accounts
                .iter()
                .filter_map(|account| self.accounts.get(account))
                .flat_map(|online| &online.sessions)
                .filter_map(|id| self.sessions.get(id))
                .filter(|entry| entry.is_subscribed)
                .map(RegistryEntry::subscriber)
                .collect()
        });
        Arc::clone(list)
    }

    /// The account of a session, if the session is subscribed to the room.
    pub(super) fn subscribed_account(&self, id: SessionId, room: RoomNumber) -> Option<AccountId> {
        let entry = self.sessions.get(&id).filter(|entry| entry.is_subscribed)?;
        let account = entry.session.account;
        let is_in = self.accounts.get(&account).is_some_and(|online| online.rooms.contains(&room));
        is_in.then_some(account)
    }

    pub(super) fn subscribed_sessions_of(&self, account: AccountId) -> Vec<Subscriber> {
        let Some(online) = self.accounts.get(&account) else { return Vec::new() };
        let entries = online.sessions.iter().filter_map(|id| self.sessions.get(id));
        entries.filter(|entry| entry.is_subscribed).map(RegistryEntry::subscriber).collect()
    }

    pub(super) fn subscribed_sessions_on(&self, device: DeviceId) -> Vec<Subscriber> {
        let entries = self.on_device(device).filter_map(|id| self.sessions.get(&id));
        entries.filter(|entry| entry.is_subscribed).map(RegistryEntry::subscriber).collect()
    }

    /// The sessions of an account, or only those of one device, subscribed or not.
    pub(super) fn expelled(
        &mut self,
        account: AccountId,
        device: Option<DeviceId>,
    ) -> Vec<Arc<FrameQueue>> {
        self.n_expulsions += 1;
        let Some(online) = self.accounts.get(&account) else { return Vec::new() };
        let entries = online.sessions.iter().filter_map(|id| self.sessions.get(id));
        entries
            .filter(|entry| device.is_none_or(|device| device == entry.session.device))
            .map(|entry| Arc::clone(&entry.session.frame_queue))
            .collect()
    }

    pub(super) fn set_away(&mut self, id: SessionId, is_away: bool) {
        let Some(entry) = self.sessions.get_mut(&id) else { return };
        if std::mem::replace(&mut entry.is_away, is_away) != is_away {
            self.changed.insert(entry.session.account);
        }
    }

    /// How an account is there: online as long as somebody is at one of its sessions.
    pub(super) fn state_of(&self, online: &OnlineAccount) -> PresenceState {
        let mut entries = online.sessions.iter().filter_map(|id| self.sessions.get(id));
        if online.sessions.is_empty() {
            PresenceState::Offline
        } else if entries.all(|entry| entry.is_away) {
            PresenceState::Away
        } else {
            PresenceState::Online
        }
    }

    pub(super) fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id).map(|entry| &entry.session)
    }

    pub(super) fn n_subscribed_accounts(&self, room: RoomNumber) -> usize {
        self.rooms.get(&room).map_or(0, |audience| audience.accounts.len())
    }

    pub(super) fn accounts_in(&self, room: RoomNumber) -> &[AccountId] {
        self.rooms.get(&room).map_or(&[], |audience| &audience.accounts)
    }

    pub(super) fn n_expulsions(&self) -> u64 {
        self.n_expulsions
    }

    pub(super) fn n_sessions(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn n_accounts(&self) -> usize {
        self.accounts.values().filter(|online| !online.sessions.is_empty()).count()
    }

    pub(super) fn frame_queues(&self) -> Vec<Arc<FrameQueue>> {
        self.sessions.values().map(|entry| Arc::clone(&entry.session.frame_queue)).collect()
    }

    fn on_device(&self, device: DeviceId) -> impl Iterator<Item = SessionId> {
        let range = (device, SessionId(0))..=(device, SessionId(u64::MAX));
        self.devices.range(range).map(|(_, id)| *id)
    }
}

impl RegistryEntry {
    fn subscriber(&self) -> Subscriber {
        Subscriber {
            account: self.session.account,
            frame_queue: Arc::clone(&self.session.frame_queue),
        }
    }
}

impl OnlineAccount {
    fn note_change(&mut self, room: RoomNumber, is_in: bool) {
        self.changes.insert(room, is_in);
        if self.changes.len() > CHANGES_MAX {
            self.changes.clear();
            self.has_lost_changes = true;
        }
    }
}
