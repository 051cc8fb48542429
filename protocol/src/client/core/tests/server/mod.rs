//! An honest server in memory: chains, rooms as logs, marks, keys on their way, sessions.
//!
//! Judges commits and messages by the rules of `log`, as the real one does; keeps nothing on a disk
//! and knows no time but the one it is given. What a session is told waits in its queue, so that a
//! test can drop, delay, double or forge it.

mod keys;
mod log;
mod people;
mod rooms;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::super::io::{Input, Page};
use crate::crypto::user_chain::{SignedLink, UserChain};
use crate::id::{AccountId, DeviceId, Epoch, Hash, InviteToken, Realm, RoomId, TimeMs};
use crate::wire::{
    BulkRequest, Event, Fault, InviteLine, JoinLine, PresenceState, Reply, Request, Wrap,
};

pub(in super::super) use self::log::Log;

/// Who calls.
type Caller = (AccountId, DeviceId);

/// Names a session: the number of the test's device.
pub(in super::super) type SessionId = usize;

/// A session that logged in.
#[derive(Debug)]
pub(in super::super) struct Session {
    pub(in super::super) account: AccountId,
    pub(in super::super) device: DeviceId,
    /// Whether the first `Resume` came: events begin with it.
    is_live: bool,
    is_away: bool,
    /// Rooms whose head this session was told.
    told: BTreeSet<RoomId>,
    /// What waits to be sent to it.
    pub(in super::super) frames: VecDeque<Input>,
}

/// A device asked for keys and has no answer yet.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    room: RoomId,
    account: AccountId,
    device: DeviceId,
    epochs: Vec<Epoch>,
}

/// Everything.
#[derive(Debug)]
pub(in super::super) struct Server {
    pub(in super::super) realm: Realm,
    pub(in super::super) pin: Hash,
    pub(in super::super) now: TimeMs,
    pub(in super::super) chains: HashMap<AccountId, UserChain>,
    pub(in super::super) links: BTreeMap<AccountId, Vec<SignedLink>>,
    pub(in super::super) rooms: BTreeMap<RoomId, Log>,
    pub(in super::super) sessions: BTreeMap<SessionId, Session>,
    pub(in super::super) cards: BTreeMap<AccountId, Vec<u8>>,
    pub(in super::super) invites: BTreeMap<InviteToken, (AccountId, InviteLine)>,
    pub(in super::super) joins: Vec<JoinLine>,
    /// Every message that arrived, repeats too.
    pub(in super::super) arrived: Vec<Vec<u8>>,
    /// Entries of one page of a bulk read, links of one page of a chain, heads of one reply.
    pub(in super::super) page_len: usize,
    staged: HashMap<Hash, Vec<Wrap>>,
    asked: Vec<Asked>,
}

impl Server {
    pub(in super::super) fn new(now: TimeMs) -> Self {
        Self {
            realm: Realm([1; 16]),
            pin: Hash([7; 32]),
            now,
            chains: HashMap::new(),
            links: BTreeMap::new(),
            rooms: BTreeMap::new(),
            sessions: BTreeMap::new(),
            cards: BTreeMap::new(),
            invites: BTreeMap::new(),
            joins: Vec::new(),
            arrived: Vec::new(),
            page_len: 128,
            staged: HashMap::new(),
            asked: Vec::new(),
        }
    }

    /// Takes an account in.
    pub(in super::super) fn register(&mut self, genesis: &SignedLink) {
        let chain = UserChain::found(genesis).unwrap();
        self.links.insert(chain.account(), vec![genesis.clone()]);
        self.chains.insert(chain.account(), chain);
    }

    /// Logs a device in; `false` if it may not.
    pub(in super::super) fn login(
        &mut self,
        id: SessionId,
        account: AccountId,
        device: DeviceId,
    ) -> bool {
        if !self.chains.get(&account).is_some_and(|chain| chain.is_active(device)) {
            return false;
        }
        let (told, frames) = (BTreeSet::new(), VecDeque::new());
        let session = Session { account, device, is_live: false, is_away: false, told, frames };
        self.sessions.insert(id, session);
        true
    }

    /// Ends a session.
    pub(in super::super) fn logout(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.remove(&id) {
            self.tell_presence(session.account);
        }
    }

    /// Tells all sessions of an account something.
    pub(in super::super) fn tell(&mut self, account: AccountId, event: &Event) {
        self.tell_where(event, |session| session.account == account);
    }

    /// Tells every member of a room something.
    pub(in super::super) fn tell_room(&mut self, room: RoomId, event: &Event) {
        let members = self.rooms[&room].members();
        self.tell_where(event, |session| members.contains(&session.account));
    }

    fn tell_where(&mut self, event: &Event, is_meant: impl Fn(&Session) -> bool) {
        for session in self.sessions.values_mut().filter(|session| session.is_live) {
            if is_meant(session) {
                session.frames.push_back(Input::Event(event.clone()));
            }
        }
    }

    /// Answers a call.
    pub(in super::super) fn answer(
        &mut self,
        id: SessionId,
        request: Request,
    ) -> Result<Reply, Fault> {
        let Session { account, device, .. } = self.sessions[&id];
        match request {
            Request::Resume { cursors, is_last } => Ok(self.resume(id, &cursors, is_last)),
            Request::Append { room, entry } => self.append((account, device), room, entry),
            Request::Commit { room, entry, wraps, .. } => {
                self.commit((account, device), room, &entry, wraps)
            }
            Request::StageWraps { commit, wraps } => {
                let staged = self.staged.entry(commit).or_default();
                staged.extend(wraps);
                Ok(Reply::Staged { n_wraps: u32::try_from(staged.len()).unwrap() })
            }
            Request::Schedule { room, entry, due } => {
                self.schedule((account, device), room, entry, due)
            }
            Request::Wraps { .. }
            | Request::AskKeys { .. }
            | Request::AnswerKeys { .. }
            | Request::PutGrant { .. }
            | Request::Grants { .. } => self.answer_about_keys((account, device), request),
            Request::Schedules | Request::Unschedule { .. } => {
                self.answer_about_schedules(account, &request)
            }
            Request::Delivered { .. }
            | Request::Read { .. }
            | Request::Ticks { .. }
            | Request::Delta { .. } => self.answer_about_marks(id, request),
            request => self.answer_about_people(id, request),
        }
    }

    /// All pages of a long read.
    pub(in super::super) fn pages(
        &self,
        id: SessionId,
        request: &BulkRequest,
    ) -> Result<VecDeque<Page>, Fault> {
        let account = self.sessions[&id].account;
        let (BulkRequest::After { room, .. }
        | BulkRequest::Before { room, .. }
        | BulkRequest::Commits { room, .. }) = request;
        let log = self.rooms.get(room).ok_or(Fault::NotFound)?;
        let is_commits = matches!(request, BulkRequest::Commits { .. });
        let may_read = log.members().contains(&account) || (is_commits && log.is_open());
        if !may_read {
            return Err(Fault::NotFound);
        }
        log.pages(request, self.page_len)
    }

    fn presence_of(&self, account: AccountId) -> PresenceState {
        let mut sessions = self.sessions.values().filter(|session| session.account == account);
        match sessions.next() {
            None => PresenceState::Offline,
            Some(first) if first.is_away && sessions.all(|one| one.is_away) => PresenceState::Away,
            Some(_) => PresenceState::Online,
        }
    }
}
