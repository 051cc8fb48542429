//! What the liar keeps: chains, logs, wraps, sessions; and what it answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use mathia_protocol::crypto::commit::{Commit, TAG_COMMIT};
use mathia_protocol::crypto::message::{Message, Placement};
use mathia_protocol::crypto::user_chain::{SignedLink, UserChain};
use mathia_protocol::id::{
    AccountId, Counter, DeviceId, Epoch, Hash, Realm, RoomId, RoomNumber, Seq, WorkspaceId,
};
use mathia_protocol::log::LogHash;
use mathia_protocol::wire::{
    ChainHeadLine, EntryBody, Event, Fault, KeyAnswer, LogEntry, Reply, Request, RoomHead,
    ServerFrame, Wrap, encode_frame,
};
use tokio::sync::mpsc;

use super::now;

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) account: AccountId,
    pub(crate) device: DeviceId,
    pub(crate) frames: mpsc::Sender<Bytes>,
}

/// One room's log as the liar really has it.
#[derive(Debug)]
pub(crate) struct Log {
    number: RoomNumber,
    pub(crate) entries: Vec<Vec<u8>>,
    members: BTreeSet<AccountId>,
    wraps: Vec<(Epoch, Wrap)>,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) realm: Realm,
    pub(crate) chains: HashMap<AccountId, Vec<SignedLink>>,
    pub(crate) rooms: BTreeMap<RoomId, Log>,
    pub(crate) sessions: Vec<Session>,
    /// How the next message is refused.
    pub(crate) refuse: Option<Fault>,
    /// When the line goes dead at the next message.
    pub(crate) lose: Option<Lose>,
    /// The line goes dead now.
    pub(crate) is_dead: bool,
    /// Every message that ever arrived, repeats too.
    pub(crate) arrived: Vec<Vec<u8>>,
}

/// When the line goes dead.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lose {
    /// Before the message is stored.
    Message,
    /// After it is stored, before anybody is told.
    Ack,
}

impl World {
    pub(crate) fn new(realm: Realm) -> Self {
        Self {
            realm,
            chains: HashMap::new(),
            rooms: BTreeMap::new(),
            sessions: Vec::new(),
            refuse: None,
            lose: None,
            is_dead: false,
            arrived: Vec::new(),
        }
    }

    fn head(&self, room: RoomId) -> RoomHead {
        let log = &self.rooms[&room].entries;
        let at = log.iter().fold(LogHash::start(room), |at, entry| at.extend(entry));
        let is_commit = |entry: &Vec<u8>| entry.first() == Some(&TAG_COMMIT);
        let commit = log.iter().rposition(is_commit).map_or(0, |place| place + 1);
        RoomHead {
            room,
            number: self.rooms[&room].number,
            workspace: WorkspaceId::MAIN,
            seq: at.seq(),
            hash: at.hash(),
            commit_seq: Seq(commit as u64),
            last_counter: Counter(0),
            delivered_upto: Seq(0),
            read_upto: Seq(0),
            n_unread: 0,
            delivered: Vec::new(),
            read: Vec::new(),
        }
    }

    /// Entries of a room behind `after`, and `H` there.
    pub(crate) fn page(&self, room: RoomId, after: Seq) -> (Hash, Vec<LogEntry>) {
        let mut at = LogHash::start(room);
        let mut entries = Vec::new();
        let mut before = at.hash();
        for entry in self.rooms.get(&room).map_or(&[][..], |log| &log.entries) {
            at = at.extend(entry);
            if at.seq() <= after {
                before = at.hash();
            } else {
                let body = EntryBody::Whole(entry.clone());
                entries.push(LogEntry { seq: at.seq(), time: now(), body });
            }
        }
        (before, entries)
    }

    /// Tells an account something.
    fn tell(&self, account: AccountId, event: &Event) {
        let frame = encode_frame(&ServerFrame::Event(event.clone()));
        for session in self.sessions.iter().filter(|session| session.account == account) {
            drop(session.frames.try_send(frame.clone()));
        }
    }

    /// Tells an account the head of a room.
    pub(crate) fn tell_head(&self, account: AccountId, room: RoomId) {
        self.tell(account, &Event::Room(self.head(room)));
    }

    /// Appends to a log and tells nobody.
    fn store(&mut self, room: RoomId, entry: &[u8]) -> Seq {
        let log = self.rooms.get_mut(&room).expect("the room exists");
        log.entries.push(entry.to_vec());
        Seq(log.entries.len() as u64)
    }

    /// Appends to a log and tells all members.
    fn append(&mut self, room: RoomId, entry: &[u8]) -> Seq {
        let seq = self.store(room, entry);
        let Log { number, members, .. } = &self.rooms[&room];
        let (room, time, entry) = (*number, now(), entry.to_vec());
        let event = Event::Entry { room, seq, time, entry };
        for member in members {
            self.tell(*member, &event);
        }
        seq
    }

    /// Answers a call.
    pub(crate) fn answer(
        &mut self,
        account: AccountId,
        device: DeviceId,
        request: Request,
    ) -> Result<Reply, Fault> {
        match request {
            Request::Resume { .. } => {
                let is_in = |log: &Log| log.members.contains(&account);
                let rooms: Vec<RoomId> =
                    self.rooms.iter().filter(|(_, log)| is_in(log)).map(|(id, _)| *id).collect();
                let heads = rooms.into_iter().map(|room| self.head(room)).collect();
                Ok(Reply::Resumed { heads, gone: Vec::new(), more: false })
            }
            Request::Append { room, entry } => self.take_message(room, &entry),
            Request::Commit { room, entry, wraps, .. } => self.take_commit(room, &entry, wraps),
            Request::Wraps { room, from } => Ok(self.wraps_for(device, room, from)),
            Request::Grants { .. } => Ok(Reply::Grants { grants: Vec::new() }),
            Request::Read { upto, .. } => Ok(Reply::Marked { read_upto: upto, n_unread: 0 }),
            request => self.answer_about_people(request),
        }
    }

    fn answer_about_people(&mut self, request: Request) -> Result<Reply, Fault> {
        match request {
            Request::Chain { account, from } => {
                let links = self.chains.get(&account).ok_or(Fault::NotFound)?;
                let behind = |link: &&SignedLink| {
                    link.decode_unverified().is_ok_and(|link| link.seq >= from)
                };
                let links = links.iter().filter(behind).map(|link| link.0.clone()).collect();
                Ok(Reply::Chain { links, more: false })
            }
            Request::ChainHeads { accounts } => {
                let head = |account: AccountId| {
                    let last = self.chains.get(&account)?.last()?;
                    let seq = last.decode_unverified().ok()?.seq;
                    Some(ChainHeadLine { account, seq, hash: last.hash() })
                };
                Ok(Reply::ChainHeads { heads: accounts.into_iter().filter_map(head).collect() })
            }
            Request::FindAccount { handle } => {
                let is_called = |links: &Vec<SignedLink>| {
                    UserChain::found(&links[0]).is_ok_and(|c| c.handle().as_str() == handle)
                };
                let found = self.chains.iter().find(|(_, links)| is_called(links));
                found.map(|(account, _)| Reply::Found { account: *account }).ok_or(Fault::NotFound)
            }
            Request::Joins => Ok(Reply::Joins { joins: Vec::new() }),
            Request::StageWraps { .. } => Err(Fault::Unsupported),
            _ => Ok(Reply::Done),
        }
    }

    fn take_message(&mut self, room: RoomId, entry: &[u8]) -> Result<Reply, Fault> {
        let message = Message::decode(entry).map_err(|_| Fault::Malformed)?;
        assert!(matches!(message.header().placement, Placement::Live { .. }));
        self.arrived.push(entry.to_vec());
        let known = self.rooms[&room].entries.iter().position(|kept| kept == entry);
        if let Some(place) = known {
            return Ok(Reply::Accepted { seq: Seq(place as u64 + 1), time: now() });
        }
        if let Some(fault) = self.refuse.take() {
            return Err(fault);
        }
        match self.lose.take() {
            None => Ok(Reply::Accepted { seq: self.append(room, entry), time: now() }),
            Some(lose) => {
                if matches!(lose, Lose::Ack) {
                    self.store(room, entry);
                }
                self.is_dead = true;
                Err(Fault::Stopping)
            }
        }
    }

    fn take_commit(
        &mut self,
        room: Option<RoomId>,
        entry: &[u8],
        wraps: Vec<Wrap>,
    ) -> Result<Reply, Fault> {
        let commit = Commit::decode(entry).map_err(|_| Fault::Malformed)?;
        let room = room.unwrap_or(RoomId(commit.hash().0));
        let number = RoomNumber(u32::try_from(self.rooms.len()).unwrap_or(0) + 1);
        let log = self.rooms.entry(room).or_insert_with(|| Log {
            number,
            entries: Vec::new(),
            members: BTreeSet::new(),
            wraps: Vec::new(),
        });
        log.wraps.extend(wraps.into_iter().map(|wrap| (commit.epoch, wrap)));
        let newcomers: Vec<AccountId> = commit
            .changed
            .iter()
            .map(|member| member.account)
            .filter(|account| log.members.insert(*account))
            .collect();
        for gone in &commit.removed {
            log.members.remove(gone);
        }
        let seq = self.append(room, entry);
        for account in newcomers {
            self.tell_head(account, room);
        }
        Ok(Reply::Accepted { seq, time: now() })
    }

    fn wraps_for(&self, device: DeviceId, room: RoomId, from: Epoch) -> Reply {
        let wraps = self.rooms[&room]
            .wraps
            .iter()
            .filter(|(epoch, wrap)| *epoch >= from && wrap.device == device)
            .map(|(epoch, wrap)| {
                let sealed = wrap.sealed.clone();
                KeyAnswer { epoch: *epoch, hpke_gen: wrap.hpke_gen, sealed }
            })
            .collect();
        Reply::Wraps { wraps }
    }
}
