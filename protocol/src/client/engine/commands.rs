//! One function per command, each ending in one answer.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::change::Founding;
use super::{Engine, storage};
use crate::client::{Command, CommandError, Done, LobbyRoom, NewRoom, PersonRef};
use crate::crypto::commit::{HistoryRule, Policy, Role, RoomKind, RoomMode, WhoAdds};
use crate::crypto::safety::SafetyNumber;
use crate::crypto::settings::RoomSettings;
use crate::crypto::user_chain::{AccountKind, LinkBody};
use crate::id::{AccountId, DeviceId, RoomId, Seq, WorkspaceId};
use crate::limits::{TOPIC_LEN_MAX, TYPING_INTERVAL};
use crate::log::sync::Input;
use crate::log::{Change, RoomState};
use crate::name::RoomName;
use crate::wire::{Reply, Request};

/// Entries of one timeline request.
const TIMELINE_MAX: u32 = 1_000;
/// How long a timeline waits for older pages.
const OLDER_PATIENCE: Duration = Duration::from_secs(10);
/// The reason byte of a revocation that a person asked for.
const REVOKED_BY_HAND: u8 = 0;

impl Engine {
    /// Carries out one command.
    pub(super) async fn command(self: &Rc<Self>, command: Command) -> Result<Done, CommandError> {
        match command {
            Command::Send { room, text } => {
                self.queue_text(room, &text).map(|local_id| Done::Queued { local_id })
            }
            Command::Withdraw { local_id } => self.withdraw(local_id).map(|()| Done::Done),
            Command::Schedule { room, text, due } => {
                self.schedule(room, &text, due).await.map(|()| Done::Done)
            }
            Command::MarkRead { room, upto } => {
                self.mark_read(room, upto).await.map(|()| Done::Done)
            }
            Command::Typing(room) => {
                self.typing(room);
                Ok(Done::Done)
            }
            Command::TypingStopped(room) => {
                self.core.borrow_mut().typed.remove(&room);
                self.say_typing(room, false);
                Ok(Done::Done)
            }
            Command::SetAway(is_away) => {
                self.call(Request::SetAway { is_away }).await.map(|_| Done::Done)
            }
            Command::Timeline { room, before, count } => self.timeline(room, before, count).await,
            Command::Envelope { room, text, quoted, n_context } => {
                self.envelope(room, text, quoted, n_context).await
            }
            Command::Ask(new) => self.ask(new).map(|local_id| Done::Queued { local_id }),
            Command::StopAnswer { room, ask } => {
                self.stop_answer(room, ask).map(|local_id| Done::Queued { local_id })
            }
            Command::Answers { room } => {
                self.answers(room).map(Done::Answers).map_err(|error| storage(&error))
            }
            Command::PutCard(card) => self.put_card(card).await.map(|()| Done::Done),
            Command::Stream { room, ask, text } => {
                self.stream(room, ask, text).await.map(|()| Done::Done)
            }
            Command::Answer { room, answer } => {
                self.end_stream(room, answer.ask);
                self.answer(room, *answer).map(|local_id| Done::Queued { local_id })
            }
            Command::Rooms => Ok(Done::Rooms(self.room_views())),
            Command::People => Ok(Done::People(self.people_views())),
            Command::Sync => self.sync_all().await.map(|()| Done::Done),
            Command::ConnectNow => {
                self.connect_now.notify_one();
                Ok(Done::Done)
            }
            Command::Stop => Ok(Done::Done),
            command => self.change_command(command).await,
        }
    }

    /// Commands that change rooms or the account.
    async fn change_command(self: &Rc<Self>, command: Command) -> Result<Done, CommandError> {
        match command {
            Command::CreateRoom(room) => self.create_room(room).await.map(Done::Room),
            Command::Direct(person) => self.direct(&person).await.map(Done::Room),
            Command::JoinRoom(room) => self.join_open(room).await.map(|()| Done::Room(room)),
            Command::Add { room, people } => {
                let people = self.find_all(&people).await?;
                self.add_people(room, &people).await.map(|()| Done::Room(room))
            }
            Command::Remove { room, person } => {
                let account = self.find(&person).await?;
                self.apply_change(room, Change::Remove(vec![account])).await
            }
            Command::Leave(room) => self.apply_change(room, Change::Leave).await,
            Command::Rotate(room) => self.apply_change(room, Change::Rotate).await,
            Command::Rename { room, name } => self.rename(room, name).await,
            Command::SetRole { room, person, role } => {
                let account = self.find(&person).await?;
                self.apply_change(room, Change::SetRole(vec![(account, role)])).await
            }
            Command::Set { room, key, value } => self.set(room, &key, &value).await,
            Command::Invite { rooms, uses, lifetime } => {
                self.invite(rooms, uses, lifetime).await.map(Done::Invite)
            }
            Command::Lobby => self.lobby().await.map(Done::Lobby),
            Command::Devices => self.devices().await,
            Command::RevokeDevice(device) => self.revoke(device).await,
            Command::Safety(person) => self.safety(&person).await,
            Command::Trust { person, is_verified } => {
                self.trust(&person, is_verified).await.map(|()| Done::Done)
            }
            _ => Err(CommandError::Invalid("not a command for the engine".to_owned())),
        }
    }

    async fn apply_change(
        self: &Rc<Self>,
        room: RoomId,
        change: Change,
    ) -> Result<Done, CommandError> {
        self.change(room, &change, None).await.map(|()| Done::Room(room))
    }

    async fn find_all(
        self: &Rc<Self>,
        people: &[PersonRef],
    ) -> Result<Vec<AccountId>, CommandError> {
        let mut accounts = Vec::with_capacity(people.len());
        for person in people {
            accounts.push(self.find(person).await?);
        }
        Ok(accounts)
    }

    async fn create_room(self: &Rc<Self>, room: NewRoom) -> Result<RoomId, CommandError> {
        let people = self.find_all(&room.people).await?;
        self.refresh_heads(&people).await?;
        let is_agent = |account: &AccountId| {
            let core = self.core.borrow();
            let chain = core.people.chains.get(account);
            chain.is_some_and(|chain| chain.kind() == AccountKind::Agent)
        };
        let (agents, people): (Vec<_>, Vec<_>) = people.into_iter().partition(is_agent);
        let others = people
            .into_iter()
            .filter(|account| *account != self.account)
            .map(|account| (account, Role::Member))
            .collect();
        let policy = if room.is_open {
            Policy::OPEN
        } else if room.shares_history {
            Policy { history: HistoryRule::All, ..Policy::GROUP }
        } else {
            Policy::GROUP
        };
        let settings = RoomSettings::named(room.name);
        let founding = Founding { kind: RoomKind::Group, policy, others, settings };
        let id = self.found(founding).await?;
        self.add_people(id, &agents).await?;
        Ok(id)
    }

    async fn direct(self: &Rc<Self>, person: &PersonRef) -> Result<RoomId, CommandError> {
        let account = self.find(person).await?;
        if account == self.account {
            return Err(CommandError::Invalid("a direct room needs another person".to_owned()));
        }
        let is_agent = {
            let core = self.core.borrow();
            let chain = core.people.chains.get(&account);
            chain.is_some_and(|chain| chain.kind() == AccountKind::Agent)
        };
        if is_agent {
            let text = "an assistant answers in rooms: ask it there, or with `mathia-tui ask`";
            return Err(CommandError::Invalid(text.to_owned()));
        }
        let known = {
            let core = self.core.borrow();
            let is_pair = |room: &&super::room::Room| {
                let pair = room.state.as_ref().and_then(RoomState::direct_pair);
                room.facts.is_member && pair.is_some_and(|(a, b)| a == account || b == account)
            };
            core.rooms.values().find(is_pair).map(|room| room.id)
        };
        if let Some(known) = known {
            return Ok(known);
        }
        // Never shown: a direct room is called by the other's name. But a box must be there.
        let name: RoomName = "direct"
            .parse()
            .map_err(|_| CommandError::Invalid("the name of direct rooms".to_owned()))?;
        let (kind, policy) = (RoomKind::Direct, Policy::DIRECT);
        let others = vec![(account, Role::Owner)];
        self.found(Founding { kind, policy, others, settings: RoomSettings::named(name) }).await
    }

    async fn rename(self: &Rc<Self>, id: RoomId, name: RoomName) -> Result<Done, CommandError> {
        let settings = self.settings(id)?;
        let settings = RoomSettings { name, ..settings };
        self.change_settings(id, settings).await
    }

    fn settings(&self, id: RoomId) -> Result<RoomSettings, CommandError> {
        let core = self.core.borrow();
        let room = core.rooms.get(&id);
        let room = room.ok_or_else(|| CommandError::NotFound("there is no such room".into()))?;
        let text = "this device cannot read the room's name yet";
        room.settings.clone().ok_or_else(|| CommandError::Refused(text.to_owned()))
    }

    async fn change_settings(
        self: &Rc<Self>,
        id: RoomId,
        settings: RoomSettings,
    ) -> Result<Done, CommandError> {
        let is_admin = {
            let core = self.core.borrow();
            let state = core.rooms.get(&id).and_then(|room| room.state.as_ref());
            let member = state.and_then(|state| state.member(self.account));
            member.is_some_and(|member| member.role <= Role::Admin)
        };
        if !is_admin {
            return Err(CommandError::Refused("only admins may rename a room".to_owned()));
        }
        self.change(id, &Change::Rotate, Some(settings)).await.map(|()| Done::Room(id))
    }

    async fn set(
        self: &Rc<Self>,
        id: RoomId,
        key: &str,
        value: &str,
    ) -> Result<Done, CommandError> {
        let invalid = |text: &str| CommandError::Invalid(text.to_owned());
        if key == "topic" {
            if value.len() > TOPIC_LEN_MAX {
                return Err(invalid(&format!("a topic has at most {TOPIC_LEN_MAX} bytes")));
            }
            let settings = RoomSettings { topic: value.to_owned(), ..self.settings(id)? };
            return self.change_settings(id, settings).await;
        }
        let before = {
            let core = self.core.borrow();
            let state = core.rooms.get(&id).and_then(|room| room.state.as_ref());
            state.map(RoomState::policy)
        };
        let before =
            before.ok_or_else(|| CommandError::NotFound("there is no such room".to_owned()))?;
        let policy = match (key, value) {
            ("history", "since_join") => Policy { history: HistoryRule::SinceJoin, ..before },
            ("history", "all") => Policy { history: HistoryRule::All, ..before },
            ("history", _) => return Err(invalid("history is since_join or all")),
            ("who_adds", "admin") => Policy { who_adds: WhoAdds::Admin, ..before },
            ("who_adds", "any") => Policy { who_adds: WhoAdds::Any, ..before },
            ("who_adds", _) => return Err(invalid("who_adds is admin or any")),
            ("retention_days", days) => match days.parse() {
                Ok(retention_days @ 0..=3_650) => Policy { retention_days, ..before },
                _ => return Err(invalid("retention_days is a number from 0 to 3650")),
            },
            _ => {
                return Err(invalid("a room has history, who_adds, retention_days and topic"));
            }
        };
        if policy == before {
            return Ok(Done::Room(id));
        }
        self.apply_change(id, Change::SetPolicy(policy, Vec::new())).await
    }

    async fn lobby(self: &Rc<Self>) -> Result<Vec<LobbyRoom>, CommandError> {
        let mut rooms: Vec<LobbyRoom> = Vec::new();
        loop {
            let after = rooms.last().map(|room| room.room);
            let request = Request::Lobby { workspace: WorkspaceId::MAIN, after };
            let Reply::Lobby { rooms: page, more } = self.call(request).await? else { break };
            let is_empty = page.is_empty();
            rooms.extend(page.into_iter().map(|line| LobbyRoom {
                room: line.room,
                name: line.name,
                topic: line.topic,
                n_members: line.n_members,
                is_member: line.is_member,
            }));
            if !more || is_empty {
                break;
            }
        }
        Ok(rooms)
    }

    async fn devices(self: &Rc<Self>) -> Result<Done, CommandError> {
        if self.link().is_some()
            && let Err(error) = self.refresh_heads(&[self.account]).await
        {
            tracing::debug!(%error, "the own devices were not refreshed");
        }
        Ok(Done::Devices(self.device_views()))
    }

    async fn revoke(self: &Rc<Self>, device: DeviceId) -> Result<Done, CommandError> {
        let is_known = {
            let core = self.core.borrow();
            let chain = core.people.chains.get(&self.account);
            chain.is_none_or(|chain| chain.device(device).is_some())
        };
        if !is_known {
            return Err(CommandError::NotFound("there is no such device".to_owned()));
        }
        self.put_link(|chain| {
            let is_active = chain.is_active(device);
            is_active.then_some(LinkBody::RevokeDevice { device, reason: REVOKED_BY_HAND })
        })
        .await?;
        Ok(Done::Done)
    }

    async fn safety(self: &Rc<Self>, person: &PersonRef) -> Result<Done, CommandError> {
        let account = match self.find(person).await {
            // Exactly then the numbers are wanted.
            Err(CommandError::Untrusted(_)) => self.changed_identity(person)?,
            found => found?,
        };
        let mut core = self.core.borrow_mut();
        let missing = || CommandError::NotFound("the identity is not known yet".to_owned());
        let own = core.people.digits(self.account).ok_or_else(missing)?;
        let other = core.people.digits(account).ok_or_else(missing)?;
        Ok(Done::Safety(SafetyNumber::of_pair(own, other).to_string()))
    }

    fn changed_identity(&self, person: &PersonRef) -> Result<AccountId, CommandError> {
        let core = self.core.borrow();
        let contact = match person {
            PersonRef::Account(account) => return Ok(*account),
            PersonRef::Handle(handle) => core.people.contact(handle.as_str()),
        };
        let account = contact.map(|contact| contact.changed_to.unwrap_or(contact.account));
        account.ok_or_else(|| CommandError::NotFound("there is no such person".to_owned()))
    }

    fn typing(&self, id: RoomId) {
        let now = Instant::now();
        let is_due = {
            let mut core = self.core.borrow_mut();
            let last = core.typed.insert(id, now);
            let is_due = last.is_none_or(|last| now.duration_since(last) >= TYPING_INTERVAL);
            if let (false, Some(last)) = (is_due, last) {
                core.typed.insert(id, last);
            }
            is_due
        };
        if is_due {
            self.say_typing(id, true);
        }
    }

    async fn timeline(
        self: &Rc<Self>,
        id: RoomId,
        before: Seq,
        count: u32,
    ) -> Result<Done, CommandError> {
        self.visible.set(Some(id));
        let count = count.min(TIMELINE_MAX);
        let (held_from, n_before) = {
            let core = self.core.borrow();
            let room = core.rooms.get(&id);
            let room =
                room.ok_or_else(|| CommandError::NotFound("there is no such room".into()))?;
            (room.facts.held_from, room.n_older_reads)
        };
        let read = || self.replica.entries_before(id, before, count);
        let mut records = read().map_err(|error| storage(&error))?;
        let is_short = u32::try_from(records.len()).unwrap_or(u32::MAX) < count;
        if is_short && held_from > Seq(1) && self.may_read_before(id) && self.link().is_some() {
            self.feed(id, Input::WantOlder { count });
            self.until(OLDER_PATIENCE, || {
                let core = self.core.borrow();
                core.rooms.get(&id).is_none_or(|room| room.n_older_reads != n_before)
            })
            .await;
            records = read().map_err(|error| storage(&error))?;
        }
        let core = self.core.borrow();
        let held_from = core.rooms.get(&id).map_or(Seq(1), |room| room.facts.held_from);
        let first = records.first().map_or(before, |record| record.seq);
        let is_held = first > held_from && !records.is_empty();
        let has_more = is_held || (held_from > Seq(1) && self.may_read_before(id));
        let entries = records.iter().map(|record| core.entry_view(id, record)).collect();
        Ok(Done::Timeline { entries, has_more })
    }

    /// Whether entries from before the own time in the room can be had.
    fn may_read_before(&self, id: RoomId) -> bool {
        let core = self.core.borrow();
        let state = core.rooms.get(&id).and_then(|room| room.state.as_ref());
        state.is_some_and(|state| {
            state.mode() == RoomMode::Open || state.policy().history == HistoryRule::All
        })
    }
}
