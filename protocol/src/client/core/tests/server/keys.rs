//! Keys on their way between members, marks, and pieces of answers.

use super::{Asked, Caller, Server, SessionId};
use crate::id::RoomId;
use crate::limits::SMALL_ROOM_MEMBERS_MAX;
use crate::log::admit::needs_agent_key;
use crate::log::may_have_key;
use crate::wire::{Event, Fault, KeyAnswer, Reply, Request, SignedTick, Wrap};

impl Server {
    pub(super) fn answer_about_keys(
        &mut self,
        (account, device): Caller,
        request: Request,
    ) -> Result<Reply, Fault> {
        match request {
            Request::Wraps { room, from } => {
                let log = self.room_of(room, account)?;
                let own =
                    log.wraps.iter().filter(|(of, wrap)| *of >= from && wrap.device == device);
                let mut wraps: Vec<KeyAnswer> = own
                    .map(|(epoch, wrap)| {
                        let (hpke_gen, sealed) = (wrap.hpke_gen, wrap.sealed.clone());
                        KeyAnswer { epoch: *epoch, hpke_gen, sealed }
                    })
                    .collect();
                wraps.sort_by_key(|wrap| wrap.epoch);
                Ok(Reply::Wraps { wraps })
            }
            Request::AskKeys { room, epochs } => {
                let chain = self.chains[&account].clone();
                let state = &self.room_of(room, account)?.state;
                let is_for = |epoch| {
                    may_have_key(state, &chain, device, epoch) || needs_agent_key(state, &chain)
                };
                if !epochs.iter().any(|epoch| is_for(*epoch)) {
                    return Err(Fault::NotAllowed { rule: "none is for this device".into() });
                }
                self.asked.push(Asked { room, account, device, epochs: epochs.clone() });
                self.tell_room(room, &Event::KeysAsked { room, account, device, epochs });
                Ok(Reply::Done)
            }
            Request::AnswerKeys { room, account: asker, device: of, answers } => {
                self.room_of(room, account)?;
                for answer in answers {
                    self.accept_answer(room, (asker, of), answer);
                }
                Ok(Reply::Done)
            }
            Request::PutGrant { room, account: newcomer, grants } => {
                let log = self.room_of(room, account)?;
                log.grants.extend(grants.into_iter().map(|grant| (account, newcomer, grant)));
                self.tell(newcomer, &Event::Granted { room });
                Ok(Reply::Done)
            }
            Request::Grants { room } => {
                let log = self.room_of(room, account)?;
                let own = log.grants.iter().filter(|(.., grant)| grant.device == device);
                let grants = own.map(|(from, _, grant)| (*from, grant.clone())).collect();
                Ok(Reply::Grants { grants })
            }
            _ => Err(Fault::Unsupported),
        }
    }

    fn accept_answer(&mut self, room: RoomId, (account, device): Caller, answer: KeyAnswer) {
        let KeyAnswer { epoch, hpke_gen, sealed } = answer;
        let is_it = |asked: &Asked| asked.room == room && asked.device == device;
        let mut is_asked = false;
        for asked in self.asked.iter_mut().filter(|asked| is_it(asked)) {
            is_asked |= asked.epochs.contains(&epoch);
            asked.epochs.retain(|of| *of != epoch);
        }
        self.asked.retain(|asked| !asked.epochs.is_empty());
        // The first answer is kept, others are thanked for and forgotten.
        if !is_asked {
            return;
        }
        let wrap = Wrap { account, device, hpke_gen, sealed: sealed.clone() };
        let log = self.rooms.get_mut(&room).unwrap();
        log.wraps.retain(|(of, kept)| *of != epoch || kept.device != device);
        log.wraps.push((epoch, wrap));
        let event = Event::Key { room, epoch, hpke_gen, sealed };
        self.tell_where(&event, |session| session.device == device);
    }

    pub(super) fn answer_about_marks(
        &mut self,
        id: SessionId,
        request: Request,
    ) -> Result<Reply, Fault> {
        let (account, device) = (self.sessions[&id].account, self.sessions[&id].device);
        match request {
            Request::Delivered { marks } => {
                for mark in marks {
                    let Ok(log) = self.room_of(mark.room, account) else { continue };
                    let head = log.head().seq();
                    if log.marks.entry(account).or_default().deliver(mark.upto, head) {
                        self.tell_marks(mark.room);
                    }
                }
                Ok(Reply::Done)
            }
            Request::Read { room, upto, signature } => {
                let log = self.room_of(room, account)?;
                let head = log.head().seq();
                if upto > head {
                    return Err(Fault::BadSeen);
                }
                log.marks.entry(account).or_default().read(upto, head);
                let read_upto = log.marks[&account].read_upto;
                let (n_unread, number) = (log.n_unread(account), log.number);
                let is_small = log.state.members().len() <= SMALL_ROOM_MEMBERS_MAX;
                let tick = SignedTick { account, device, upto, signature };
                log.ticks.insert(account, tick.clone());
                self.tell(account, &Event::OwnMark { room: number, read_upto, n_unread });
                self.tell_marks(room);
                if is_small {
                    self.tell_room(room, &Event::Ticks { room: number, ticks: vec![tick] });
                }
                Ok(Reply::Marked { read_upto, n_unread })
            }
            Request::Ticks { room } => {
                let ticks = self.room_of(room, account)?.ticks.values().cloned().collect();
                Ok(Reply::Ticks { ticks })
            }
            Request::Delta { room, delta } => {
                let log = self.room_of(room, account)?;
                let event = Event::Delta { room: log.number, account, device, delta };
                self.tell_room(room, &event);
                Ok(Reply::Done)
            }
            _ => Err(Fault::Unsupported),
        }
    }

    fn tell_marks(&mut self, room: RoomId) {
        let log = &self.rooms[&room];
        let ((delivered, read), number) = (log.staircases(), log.number);
        self.tell_room(room, &Event::Marks { room: number, delivered, read });
    }
}
