//! People: chains, presence, invites, the lobby, cards of agents.

use super::log::Log;
use super::{Server, SessionId};
use crate::crypto::settings::RoomSettings;
use crate::crypto::user_chain::SignedLink;
use crate::id::{AccountId, RoomId};
use crate::wire::{
    ChainHeadLine, Event, Fault, InviteLine, JoinLine, LobbyLine, PresenceLine, Reply, Request,
};

impl Server {
    pub(super) fn answer_about_people(
        &mut self,
        id: SessionId,
        request: Request,
    ) -> Result<Reply, Fault> {
        let (account, device) = (self.sessions[&id].account, self.sessions[&id].device);
        match request {
            Request::Chain { account, from } => self.chain(account, from),
            Request::ChainHeads { accounts } => {
                let known = accounts.into_iter().filter_map(|account| self.chain_head(account));
                Ok(Reply::ChainHeads { heads: known.collect() })
            }
            Request::FindAccount { handle } => {
                let mut chains = self.chains.values();
                let found = chains.find(|chain| chain.handle().as_str() == handle);
                let account = found.ok_or(Fault::NotFound)?.account();
                Ok(Reply::Found { account })
            }
            Request::PutLink { link } => self.put_link(account, SignedLink(link)),
            Request::SetAway { is_away } => {
                self.sessions.get_mut(&id).unwrap().is_away = is_away;
                self.tell_presence(account);
                Ok(Reply::Done)
            }
            Request::CreateInvite { token, uses, expires, rooms } => {
                let line = InviteLine { token, uses_left: uses, expires, rooms };
                self.invites.insert(token, (account, line));
                Ok(Reply::Done)
            }
            Request::Invites => {
                let own = self.invites.values().filter(|(of, _)| *of == account);
                Ok(Reply::Invites { invites: own.map(|(_, line)| line.clone()).collect() })
            }
            Request::RevokeInvite { token } => {
                self.invites.remove(&token).ok_or(Fault::NotFound)?;
                Ok(Reply::Done)
            }
            Request::Joins => {
                let is_own = |join: &&JoinLine| {
                    self.invites.get(&join.token).is_some_and(|(of, _)| *of == account)
                };
                Ok(Reply::Joins { joins: self.joins.iter().filter(is_own).cloned().collect() })
            }
            Request::FinishJoin { token, account } => {
                self.joins.retain(|join| (join.token, join.account) != (token, account));
                Ok(Reply::Done)
            }
            Request::Lobby { after, .. } => Ok(self.lobby(account, after)),
            Request::PutCard { card } => {
                self.cards.insert(account, card);
                Ok(Reply::Done)
            }
            Request::Card { account } => {
                Ok(Reply::Card { card: self.cards.get(&account).cloned() })
            }
            _ => {
                tracing::debug!(%device, "not modelled");
                Err(Fault::Unsupported)
            }
        }
    }

    fn chain(&self, account: AccountId, from: u32) -> Result<Reply, Fault> {
        let links = self.links.get(&account).ok_or(Fault::NotFound)?;
        let from = usize::try_from(from.max(1)).unwrap() - 1;
        let rest = links.get(from..).unwrap_or_default();
        let page = rest.iter().take(self.page_len).map(|link| link.0.clone()).collect();
        Ok(Reply::Chain { links: page, more: rest.len() > self.page_len })
    }

    pub(in super::super::super) fn chain_head(&self, account: AccountId) -> Option<ChainHeadLine> {
        let head = self.chains.get(&account)?.head();
        Some(ChainHeadLine { account, seq: head.seq, hash: head.hash })
    }

    /// Extends a chain and tells everybody who shares a room.
    pub(in super::super::super) fn put_link(
        &mut self,
        account: AccountId,
        link: SignedLink,
    ) -> Result<Reply, Fault> {
        let links = self.links.get_mut(&account).ok_or(Fault::NotFound)?;
        if links.contains(&link) {
            return Ok(Reply::Done);
        }
        let chain = self.chains.get_mut(&account).unwrap();
        let decoded = link.decode_unverified().map_err(|_| Fault::Malformed)?;
        if decoded.seq != chain.head().seq + 1 || decoded.prev != chain.head().hash {
            return Err(Fault::ChainMoved { seq: chain.head().seq });
        }
        chain.extend(&link).map_err(|error| Fault::Invalid { rule: error.to_string() })?;
        links.push(link);
        let ChainHeadLine { seq, hash, .. } = self.chain_head(account).unwrap();
        let event = Event::ChainGrew { account, seq, hash };
        for neighbour in self.neighbours(account) {
            self.tell(neighbour, &event);
        }
        Ok(Reply::Done)
    }

    /// The account, and everybody who shares a room with it.
    fn neighbours(&self, account: AccountId) -> Vec<AccountId> {
        let rooms = self.rooms.values().filter(|log| log.state.is_member(account));
        let mut all: Vec<AccountId> = rooms.flat_map(Log::members).chain([account]).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn line(&self, account: AccountId) -> PresenceLine {
        PresenceLine { account, state: self.presence_of(account), last_seen: self.now }
    }

    /// Tells everybody who shares a room how an account is there, and it how they are.
    pub(super) fn tell_presence(&mut self, account: AccountId) {
        let neighbours = self.neighbours(account);
        let lines: Vec<PresenceLine> = neighbours.iter().map(|one| self.line(*one)).collect();
        for neighbour in neighbours {
            self.tell(neighbour, &Event::Presence { lines: vec![self.line(account)] });
        }
        self.tell(account, &Event::Presence { lines });
    }

    /// Tells a newcomer who is there.
    pub(super) fn tell_presence_in(&mut self, room: RoomId, account: AccountId) {
        let members = self.rooms[&room].members();
        let lines: Vec<PresenceLine> = members.iter().map(|one| self.line(*one)).collect();
        self.tell(account, &Event::Presence { lines });
    }

    fn lobby(&self, account: AccountId, after: Option<RoomId>) -> Reply {
        let open = self.rooms.values().filter(|log| Self::is_open(log));
        let mut behind = open.filter(|log| after.is_none_or(|after| log.id > after));
        let line = |log: &Log| {
            let settings = log.state.settings().last().unwrap();
            let settings = RoomSettings::decode(&settings.bytes).unwrap();
            LobbyLine {
                room: log.id,
                name: settings.name.as_str().to_owned(),
                topic: settings.topic,
                n_members: u32::try_from(log.state.members().len()).unwrap(),
                is_member: log.state.is_member(account),
                seq: log.head().seq(),
            }
        };
        let rooms = behind.by_ref().take(self.page_len).map(line).collect();
        Reply::Lobby { rooms, more: behind.next().is_some() }
    }

    /// Somebody joined by an invite.
    pub(in super::super::super) fn join(&mut self, join: JoinLine) {
        let inviter = self.invites[&join.token].0;
        self.tell(inviter, &Event::Joined { token: join.token, account: join.account });
        self.joins.push(join);
    }
}
