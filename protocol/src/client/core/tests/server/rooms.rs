//! Rooms: resuming, messages, commits, keys, marks.

use super::log::Log;
use super::{Asked, Caller, Server, SessionId};
use crate::crypto::commit::{Commit, RoomMode};
use crate::crypto::hash::sha256;
use crate::crypto::message::Message;
use crate::id::{AccountId, DeviceId, RoomId, RoomNumber, Seq, TimeMs};
use crate::log::admit::{
    Decision, Incoming, LaneEntry, MessageFault, Sender, needs_agent_key, validate_due,
    validate_message, validate_scheduled,
};
use crate::log::{
    Context, Marks, check_clock, check_seen, validate_commit, validate_create, wraps_needed,
};
use crate::wire::{Cursor, Event, Fault, Reply, Request, ScheduleLine, Wrap};

impl Server {
    pub(super) fn resume(&mut self, id: SessionId, cursors: &[Cursor], is_last: bool) -> Reply {
        let session = self.sessions.get_mut(&id).unwrap();
        let (account, device, is_first) = (session.account, session.device, !session.is_live);
        session.is_live = true;
        let (mut heads, mut gone, mut more) = (Vec::new(), Vec::new(), false);
        for cursor in cursors {
            session.told.insert(cursor.room);
            match self.rooms.get(&cursor.room).filter(|log| log.state.is_member(account)) {
                Some(log) => heads.push(log.room_head(account, device)),
                None => gone.push(cursor.room),
            }
        }
        if is_last {
            let of_account = |log: &&Log| log.state.is_member(account);
            for log in self.rooms.values().filter(of_account) {
                if session.told.contains(&log.id) {
                    continue;
                }
                if heads.len() >= self.page_len {
                    more = true;
                    break;
                }
                session.told.insert(log.id);
                heads.push(log.room_head(account, device));
            }
        }
        if is_first {
            self.tell_presence(account);
            self.tell_missed(id);
        }
        Reply::Resumed { heads, gone, more }
    }

    /// What happened meanwhile: keys that others asked for.
    fn tell_missed(&mut self, id: SessionId) {
        let (account, device) = (self.sessions[&id].account, self.sessions[&id].device);
        for Asked { room, account: asker, device: of, epochs } in self.asked.clone() {
            if of != device && self.rooms[&room].state.is_member(account) {
                let event = Event::KeysAsked { room, account: asker, device: of, epochs };
                self.sessions
                    .get_mut(&id)
                    .unwrap()
                    .frames
                    .push_back(super::super::super::io::Input::Event(event));
            }
        }
    }

    pub(super) fn room_of(&mut self, room: RoomId, account: AccountId) -> Result<&mut Log, Fault> {
        self.rooms.get_mut(&room).filter(|log| log.state.is_member(account)).ok_or(Fault::NotFound)
    }

    pub(super) fn append(
        &mut self,
        (account, device): Caller,
        room: RoomId,
        entry: Vec<u8>,
    ) -> Result<Reply, Fault> {
        self.arrived.push(entry.clone());
        let now = self.now;
        let log = self.rooms.get_mut(&room).ok_or(Fault::NotFound)?;
        let header = *Message::decode(&entry).map_err(|_| Fault::Malformed)?.header();
        let chain = &self.chains[&account];
        let epoch = log.state.epoch().epoch;
        let has_key = !needs_agent_key(&log.state, chain)
            || log.wraps.iter().any(|(of, wrap)| *of == epoch && wrap.device == device);
        let sender = Sender { device, chain, has_key };
        let entry_hash = sha256(&[&entry]);
        let incoming = Incoming { header: &header, entry_len: entry.len(), entry_hash };
        let lane = log.lanes.entry(device).or_default();
        let (hashes, head) = (&log.hashes, Seq(log.entries.len() as u64));
        let known = |seq: Seq| {
            hashes.get(usize::try_from(seq.0).unwrap()).map(crate::log::chain::LogHash::hash)
        };
        match validate_message(&log.state, lane, &sender, &incoming, head, &known) {
            Decision::Repeat { seq, time } => Ok(Reply::Accepted { seq, time }),
            Decision::Refuse(fault) => Err(refusal(fault)),
            Decision::Accept => {
                let (ctr, time, seq) = (crate::id::Counter(header.ctr()), now, head.next());
                lane.push(LaneEntry { ctr, seq, time, entry_hash });
                log.push(entry, now);
                log.marks.entry(account).or_default().read(seq, seq);
                let event = log.event(seq);
                self.tell_room(room, &event);
                Ok(Reply::Accepted { seq, time })
            }
        }
    }

    pub(super) fn schedule(
        &mut self,
        (account, device): Caller,
        room: RoomId,
        entry: Vec<u8>,
        due: TimeMs,
    ) -> Result<Reply, Fault> {
        let chain = self.chains[&account].clone();
        let log = self.room_of(room, account)?;
        let header = *Message::decode(&entry).map_err(|_| Fault::Malformed)?.header();
        let sender = Sender { device, chain: &chain, has_key: true };
        let entry_hash = sha256(&[&entry]);
        let incoming = Incoming { header: &header, entry_len: entry.len(), entry_hash };
        let (hashes, head) = (&log.hashes, log.head().seq());
        let known = |seq: Seq| {
            hashes.get(usize::try_from(seq.0).unwrap()).map(crate::log::chain::LogHash::hash)
        };
        validate_scheduled(&log.state, &sender, &incoming, head, &known).map_err(refusal)?;
        log.schedule.push((due, entry));
        Ok(Reply::Done)
    }

    pub(super) fn answer_about_schedules(
        &mut self,
        account: AccountId,
        request: &Request,
    ) -> Result<Reply, Fault> {
        if let Request::Unschedule { room, id } = *request {
            let log = self.room_of(room, account)?;
            let n_before = log.schedule.len();
            log.schedule.retain(|(_, entry)| Message::decode(entry).unwrap().header().ctr() != id);
            return if log.schedule.len() < n_before {
                Ok(Reply::Done)
            } else {
                Err(Fault::NotFound)
            };
        }
        let chain = &self.chains[&account];
        let mut schedules = Vec::new();
        for log in self.rooms.values() {
            for (due, entry) in &log.schedule {
                let header = *Message::decode(entry).unwrap().header();
                if chain.device(header.device).is_some() {
                    let (room, id, due) = (log.id, header.ctr(), *due);
                    schedules.push(ScheduleLine { room, id, due, entry: entry.clone() });
                }
            }
        }
        Ok(Reply::Schedules { schedules })
    }

    /// Appends what is due.
    pub(in super::super::super) fn append_due(&mut self) {
        let now = self.now;
        for room in self.rooms.keys().copied().collect::<Vec<_>>() {
            let log = self.rooms.get_mut(&room).unwrap();
            let (due, later) = std::mem::take(&mut log.schedule)
                .into_iter()
                .partition::<Vec<_>, _>(|(at, _)| *at <= now);
            log.schedule = later;
            for (_, entry) in due {
                let header = *Message::decode(&entry).unwrap().header();
                let owns = |chain: &&crate::crypto::user_chain::UserChain| {
                    chain.device(header.device).is_some()
                };
                let chain = self.chains.values().find(owns).unwrap();
                let log = self.rooms.get_mut(&room).unwrap();
                match validate_due(&log.state, chain, &header, false) {
                    Ok(()) => {
                        let seq = log.push(entry, now);
                        let event = log.event(seq);
                        self.tell_room(room, &event);
                    }
                    Err(cause) => {
                        let account = chain.account();
                        self.tell(
                            account,
                            &Event::ScheduleDropped { room, id: header.ctr(), cause },
                        );
                    }
                }
            }
        }
    }

    pub(super) fn commit(
        &mut self,
        (account, device): Caller,
        room: Option<RoomId>,
        entry: &[u8],
        mut wraps: Vec<Wrap>,
    ) -> Result<Reply, Fault> {
        let now = self.now;
        let commit = Commit::decode(entry).map_err(|_| Fault::Malformed)?;
        if (commit.author, commit.device) != (account, device) {
            return Err(Fault::NotAllowed { rule: "another device".into() });
        }
        let id = room.unwrap_or(RoomId(commit.hash().0));
        if let Some((seq, time)) = self.rooms.get(&id).and_then(|log| log.place_of(entry)) {
            return Ok(Reply::Accepted { seq, time });
        }
        check_clock(commit.time, now).map_err(|_| Fault::ClockSkew { time: now })?;
        wraps.extend(self.staged.get(&commit.hash()).cloned().unwrap_or_default());
        let log = self.rooms.get(&id);
        if room.is_some() && log.is_none() {
            return Err(Fault::NotFound);
        }
        let before = log.map(|log| &log.state);
        match log {
            None => self.judge_create(&commit)?,
            Some(log) => self.judge_change(account, log, &commit)?,
        }
        let needed =
            wraps_needed(before, &commit, &self.chains).map_err(|fault| invalid(&fault))?;
        let is_lacking = |target: &&crate::log::WrapTarget| {
            !wraps.iter().any(|wrap| {
                (wrap.account, wrap.device, wrap.hpke_gen)
                    == (target.account, target.device, target.generation)
            })
        };
        let n_missing = u32::try_from(needed.iter().filter(is_lacking).count()).unwrap();
        if n_missing > 0 {
            return Err(Fault::MissingWraps { n_missing });
        }
        let seq = self.apply(id, &commit, wraps);
        Ok(Reply::Accepted { seq, time: now })
    }

    fn judge_create(&self, commit: &Commit) -> Result<(), Fault> {
        validate_create(commit, &self.chains, Context::Live).map_err(|fault| invalid(&fault))?;
        let pair = |log: &&Log| {
            let pair = log.state.direct_pair();
            let is_in = |account| commit.changed.iter().any(|member| member.account == account);
            commit.room_kind == Some(crate::crypto::commit::RoomKind::Direct)
                && pair.is_some_and(|(one, other)| is_in(one) && is_in(other))
        };
        match self.rooms.values().find(pair) {
            Some(log) => Err(Fault::Exists { room: log.id }),
            None => Ok(()),
        }
    }

    fn judge_change(&self, account: AccountId, log: &Log, commit: &Commit) -> Result<(), Fault> {
        if !log.state.is_member(account) && !log.is_open() {
            return Err(Fault::NotFound);
        }
        if commit.prev_commit != log.state.head() {
            return Err(Fault::HeadMoved { commit: log.state.head() });
        }
        let known = |seq| log.hash_at(seq);
        check_seen(commit.seen_seq, commit.seen_hash, log.head().seq(), &known)
            .map_err(|_| Fault::BadSeen)?;
        validate_commit(&log.state, commit, &self.chains, Context::Live)
            .map_err(|fault| invalid(&fault))?;
        Ok(())
    }

    fn apply(&mut self, id: RoomId, commit: &Commit, wraps: Vec<Wrap>) -> Seq {
        let now = self.now;
        let number = RoomNumber(u32::try_from(self.rooms.len()).unwrap() + 1);
        let before = self.rooms.get(&id).map(Log::members).unwrap_or_default();
        let seq = match self.rooms.get_mut(&id) {
            None => {
                self.rooms.insert(id, Log::found(number, commit, now));
                Seq(1)
            }
            Some(log) => {
                let seq = log.push(commit.entry().to_vec(), now);
                log.state.apply(seq, now, commit);
                seq
            }
        };
        let log = self.rooms.get_mut(&id).unwrap();
        log.wraps.extend(wraps.into_iter().map(|wrap| (commit.epoch, wrap)));
        let (after, event) = (log.members(), log.event(seq));
        for newcomer in after.difference(&before) {
            log.marks.insert(*newcomer, Marks::of_newcomer(seq));
        }
        for account in &after {
            if before.contains(account) {
                self.tell(*account, &event);
            } else {
                self.tell_head(*account, id);
                self.tell_presence_in(id, *account);
            }
        }
        for account in before.difference(&after) {
            self.tell(*account, &Event::RoomGone { room: id });
        }
        seq
    }

    /// Tells an account the head of a room.
    pub(in super::super::super) fn tell_head(&mut self, account: AccountId, room: RoomId) {
        let devices: Vec<DeviceId> = self.sessions.values().map(|one| one.device).collect();
        for device in devices {
            let event = Event::Room(self.rooms[&room].room_head(account, device));
            self.tell_where(&event, |one| one.account == account && one.device == device);
        }
    }

    /// Whether a room is open: anybody may read its commits.
    pub(super) fn is_open(log: &Log) -> bool {
        log.state.mode() == RoomMode::Open
    }
}

fn refusal(fault: MessageFault) -> Fault {
    match fault {
        MessageFault::CtrConflict { last } => Fault::CtrConflict { last },
        MessageFault::OutOfOrder { last } => Fault::OutOfOrder { last },
        MessageFault::StaleEpoch { epoch } => Fault::StaleEpoch { epoch },
        MessageFault::NotMember => Fault::NotFound,
        MessageFault::NoAgentKey => Fault::NeedRotate,
        MessageFault::BadSeen => Fault::BadSeen,
        MessageFault::TooLarge => Fault::TooLarge { max: 0 },
        MessageFault::Mode | MessageFault::Placement => Fault::Malformed,
        MessageFault::OtherDevice | MessageFault::DeviceRevoked => {
            Fault::NotAllowed { rule: fault.to_string() }
        }
    }
}

fn invalid(fault: &crate::log::CommitFault) -> Fault {
    Fault::Invalid { rule: fault.to_string() }
}
