//! What faces see: plain views of rooms, entries and people.
//!
//! Texts of others pass through as they are; a face cleans them before showing.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::super::entry::{Change, EntryContent};
use super::super::event::{
    ClientEvent, DeviceView, EntryView, MarkCounts, MemberView, PersonView, RoomView, SealedBy,
    TrustState,
};
use super::super::events::{Backlog, REPLAY_MAX};
use super::super::record::EntryRecord;
use super::super::replica::Replica;
use super::Engine;
use super::cards::kept_card;
use super::core::Core;
use super::room::Room;
use crate::crypto::commit::{Commit, CommitKind, Role, RoomKind, SUITE_OPEN};
use crate::crypto::message::{Flags, Message, MessageHeader, Suite};
use crate::crypto::safety::RoomCode;
use crate::crypto::user_chain::AccountKind;
use crate::id::{AccountId, Hash, RoomId, Seq};
use crate::log::RoomState;
use crate::wire::EntryBody;

/// The shortest time between two tellings of rooms: a large room's members are many names.
const ROOM_INTERVAL: Duration = Duration::from_millis(20);
/// Names listed in the sentence of a change; more are counted.
const NAMES_MAX: usize = 6;

impl Engine {
    /// Tells a room as it is in a moment: what happens until then is told at once.
    pub(super) fn tell_room(&self, id: RoomId) {
        self.untold.borrow_mut().insert(id);
        self.room_changed.notify_one();
    }

    /// Tells rooms that changed, each at most so often that a screen can follow.
    pub(super) async fn tell_rooms(self: Rc<Self>) {
        loop {
            self.room_changed.notified().await;
            self.tell_untold();
            sleep(ROOM_INTERVAL).await;
        }
    }

    /// Tells the rooms that changed.
    pub(super) fn tell_untold(&self) {
        let untold = std::mem::take(&mut *self.untold.borrow_mut());
        for id in untold {
            if let Some(view) = self.room_view(id) {
                self.tell(ClientEvent::Room(Box::new(view)));
            }
        }
    }

    /// Tells every room in which somebody is.
    pub(super) fn tell_rooms_with(&self, account: AccountId) {
        let rooms: Vec<RoomId> = {
            let core = self.core.borrow();
            let has = |room: &&Room| room.state.as_ref().is_some_and(|s| s.is_member(account));
            core.rooms.values().filter(has).map(|room| room.id).collect()
        };
        for id in rooms {
            self.tell_room(id);
        }
    }

    /// Tells everything there is, at the start.
    pub(super) fn tell_everything(&self) {
        for view in self.room_views() {
            self.tell(ClientEvent::Room(Box::new(view)));
        }
    }

    /// A room of this account.
    pub(super) fn room_view(&self, id: RoomId) -> Option<RoomView> {
        let core = self.core.borrow();
        let room = core.rooms.get(&id).filter(|room| room.facts.is_member)?;
        Some(core.room_view(&self.replica, room))
    }

    /// All rooms of this account, by name.
    pub(super) fn room_views(&self) -> Vec<RoomView> {
        let core = self.core.borrow();
        let members = core.rooms.values().filter(|room| room.facts.is_member);
        let mut views: Vec<RoomView> =
            members.map(|room| core.room_view(&self.replica, room)).collect();
        views.sort_by(|left, right| (&left.name, left.room).cmp(&(&right.name, right.room)));
        views
    }

    /// Everyone who shares a room, by name.
    pub(super) fn people_views(&self) -> Vec<PersonView> {
        let core = self.core.borrow();
        let mut accounts: Vec<AccountId> = core
            .rooms
            .values()
            .filter(|room| room.facts.is_member)
            .filter_map(|room| room.state.as_ref())
            .flat_map(|state| state.members().map(|member| member.account))
            .collect();
        accounts.sort_unstable();
        accounts.dedup();
        let mut views: Vec<PersonView> =
            accounts.into_iter().map(|account| core.person_view(account)).collect();
        views.sort_by(|left, right| left.handle.cmp(&right.handle));
        views
    }

    /// The own devices, oldest first.
    pub(super) fn device_views(&self) -> Vec<DeviceView> {
        let core = self.core.borrow();
        let Some(chain) = core.people.chains.get(&self.account) else { return Vec::new() };
        let mut devices: Vec<_> = chain.devices().collect();
        devices.sort_by_key(|device| device.added_seq);
        devices
            .into_iter()
            .map(|device| DeviceView {
                device: device.id(),
                name: device.record.name.clone(),
                os: device.record.os.clone(),
                created: device.record.created,
                is_this: device.id() == self.device,
                is_revoked: device.revoked_seq.is_some(),
            })
            .collect()
    }

    /// Tells entries again that a slow face has missed.
    pub(super) fn replay(&self, backlog: Backlog) {
        let before = Seq(backlog.from.0.saturating_sub(1));
        let records = match self.replica.entries_after(backlog.room, before, REPLAY_MAX) {
            Ok(records) => records,
            Err(error) => {
                self.storage_failed(&error);
                Vec::new()
            }
        };
        let is_full = u32::try_from(records.len()) == Ok(REPLAY_MAX);
        let next = records.last().filter(|_| is_full).map(|last| last.seq.next());
        let core = self.core.borrow();
        let views = records.iter().map(|record| core.entry_view(backlog.room, record)).collect();
        drop(core);
        self.events.replay(backlog, views, next);
    }
}

impl Core {
    fn room_view(&self, replica: &Replica, room: &Room) -> RoomView {
        let facts = &room.facts;
        let state = room.state.as_ref();
        let mut members: Vec<MemberView> = state
            .map(|s| s.members().map(|m| self.member_view(replica, m)).collect())
            .unwrap_or_default();
        members.sort_by(|left, right| left.handle.cmp(&right.handle));
        let own_role = state.and_then(|state| state.member(self.account)).map(|m| m.role);
        let code = state.map(|s| RoomCode::new(room.id, s.head(), s.members_hash()).to_string());
        let policy = state.map(RoomState::policy);
        let default = crate::crypto::commit::Policy::GROUP;
        let policy = policy.unwrap_or(default);
        RoomView {
            room: room.id,
            kind: facts.kind,
            mode: facts.mode,
            name: self.room_name(room),
            topic: facts.topic.clone(),
            members,
            role: own_role.unwrap_or(Role::Guest),
            history: policy.history,
            agent_scope: policy.agent_scope,
            epoch: state.map(|state| state.epoch().epoch).unwrap_or_default(),
            room_code: code.unwrap_or_default(),
            head: room.applied.seq(),
            head_hash: room.applied.hash(),
            announced: room.marks.announced.max(room.applied.seq()),
            read_upto: room.marks.read_upto,
            n_unread: room.marks.n_unread,
            n_mentions: replica.n_mentions(room.id, room.marks.read_upto).unwrap_or(0),
            active_at: room.marks.active_at,
            sending_stopped: self.sending_stopped(room.id),
            marks: self.mark_counts(room.id),
        }
    }

    /// The name of a room; of a direct room, the other's.
    pub(super) fn room_name(&self, room: &Room) -> String {
        let pair = room.state.as_ref().and_then(RoomState::direct_pair);
        match pair {
            Some((one, other)) if room.facts.kind == RoomKind::Direct => {
                self.people.handle(if one == self.account { other } else { one })
            }
            _ => room.facts.name.clone(),
        }
    }

    fn member_view(&self, replica: &Replica, member: &crate::crypto::commit::Member) -> MemberView {
        let chain = self.people.chains.get(&member.account);
        let is_agent = member.role == Role::Agent;
        MemberView {
            account: member.account,
            handle: self.people.handle(member.account),
            role: member.role,
            is_agent: member.is_mention_agent(),
            operator: chain.map(|chain| chain.operator().to_owned()).unwrap_or_default(),
            card: is_agent.then(|| kept_card(replica, member.account)).flatten(),
        }
    }

    fn person_view(&self, account: AccountId) -> PersonView {
        let chain = self.people.chains.get(&account);
        let n_devices = chain.map_or(0, |chain| chain.devices_at(chain.head().seq).count());
        let trust = self.people.contact_of(account).map(|contact| contact.trust);
        PersonView {
            account,
            handle: self.people.handle(account),
            is_agent: chain.is_some_and(|chain| chain.kind() == AccountKind::Agent),
            presence: self.people.presence(account),
            trust: trust.unwrap_or(TrustState::Unverified),
            n_devices: u32::try_from(n_devices).unwrap_or(u32::MAX),
        }
    }

    /// Marks of a room as faces get them.
    pub(super) fn mark_counts(&self, id: RoomId) -> MarkCounts {
        let Some(room) = self.rooms.get(&id) else { return MarkCounts::default() };
        let n_people = room.state.as_ref().map_or(0, RoomState::n_people);
        MarkCounts {
            n_others: u32::try_from(n_people.saturating_sub(1)).unwrap_or(u32::MAX),
            delivered: room.histograms.delivered.clone(),
            read: room.histograms.read.clone(),
        }
    }

    /// Why nothing may be sent to a room, for people.
    pub(super) fn sending_stopped(&self, id: RoomId) -> Option<String> {
        let room = self.rooms.get(&id)?;
        if let Some(cause) = &room.facts.stopped {
            return Some(cause.clone());
        }
        let members = room.state.iter().flat_map(RoomState::members);
        let blocked = members
            .map(|member| member.account)
            .find(|account| *account != self.account && self.people.is_blocked(*account))?;
        let handle = self.people.handle(blocked);
        Some(format!("the identity of {handle} changed: compare the safety number and accept it"))
    }

    /// An entry as faces see it.
    pub(super) fn entry_view(&self, id: RoomId, entry: &EntryRecord) -> EntryView {
        let header = header_of(entry);
        let is_mine = entry.author == self.account;
        let sealed = match &header {
            Some(header) if header.suite == Suite::Open => SealedBy::Open,
            Some(header) if header.flags.has(Flags::HAS_SLOTS) => {
                SealedBy::EpochAndAgent(header.epoch)
            }
            Some(header) => SealedBy::Epoch(header.epoch),
            None => SealedBy::Open,
        };
        EntryView {
            room: id,
            seq: entry.seq,
            time: entry.time,
            author: entry.author,
            handle: self.people.handle(entry.author),
            device: entry.device,
            is_mine,
            is_countable: header.is_some_and(|header| header.flags.has(Flags::COUNTABLE)),
            is_mention: entry.is_mention,
            sealed,
            is_shown: entry.is_shown || matches!(sealed, SealedBy::EpochAndAgent(_)),
            content: entry.content.clone().map_change(|()| self.change_view(id, entry)),
        }
    }

    fn change_view(&self, id: RoomId, entry: &EntryRecord) -> EntryContent {
        let EntryBody::Whole(bytes) = &entry.body else { return EntryContent::Expired };
        let Ok(commit) = Commit::decode(bytes.clone()) else { return EntryContent::Expired };
        let state = self.rooms.get(&id).and_then(|room| room.state.as_ref());
        let before = Seq(entry.seq.0.saturating_sub(1));
        let was = |account| state.and_then(|state| state.member_at(account, before));
        let accounts: Vec<AccountId> = match commit.kind {
            CommitKind::Create | CommitKind::Add | CommitKind::SetAgent | CommitKind::SetPolicy => {
                commit
                    .changed
                    .iter()
                    .map(|member| member.account)
                    .filter(|account| was(*account).is_none())
                    .chain(commit.removed.iter().copied())
                    .collect()
            }
            CommitKind::SetRole => commit
                .changed
                .iter()
                .filter(|m| was(m.account).is_some_and(|before| before.role != m.role))
                .map(|member| member.account)
                .collect(),
            CommitKind::Remove | CommitKind::Leave => commit.removed.clone(),
            CommitKind::Rotate => Vec::new(),
        };
        let text = self.change_text(&commit, &accounts);
        EntryContent::Change(Change { kind: commit.kind, text, accounts, epoch: commit.epoch })
    }

    fn change_text(&self, commit: &Commit, accounts: &[AccountId]) -> String {
        let names = self.names(accounts);
        match commit.kind {
            CommitKind::Create => "made the room".to_owned(),
            CommitKind::Add if accounts == [commit.author] => "joined".to_owned(),
            CommitKind::Add => format!("added {names}"),
            CommitKind::Leave => "left".to_owned(),
            CommitKind::SetRole => {
                let role = accounts.first().and_then(|account| {
                    commit.changed.iter().find(|member| member.account == *account)
                });
                let role = role.map_or("member", |member| role_name(member.role));
                format!("made {names} {role}")
            }
            CommitKind::Rotate => format!("changed the room's key (epoch {})", commit.epoch),
            CommitKind::SetPolicy if !accounts.is_empty() && commit.removed.is_empty() => {
                agents_added(commit, &names)
            }
            CommitKind::SetPolicy => "changed the room's settings".to_owned(),
            CommitKind::SetAgent if commit.removed.is_empty() => agents_added(commit, &names),
            CommitKind::Remove | CommitKind::SetAgent => format!("removed {names}"),
        }
    }

    fn names(&self, accounts: &[AccountId]) -> String {
        let mut names: Vec<String> =
            accounts.iter().take(NAMES_MAX).map(|account| self.people.handle(*account)).collect();
        if accounts.len() > NAMES_MAX {
            names.push(format!("{} more", accounts.len() - NAMES_MAX));
        }
        names.join(", ")
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Moderator => "moderator",
        Role::Member => "member",
        Role::Guest => "guest",
        Role::Agent => "agent",
    }
}

/// Whether an entry counts as unread for those who have not seen it.
pub(super) fn is_countable(entry: &EntryRecord) -> bool {
    header_of(entry).is_some_and(|header| header.flags.has(Flags::COUNTABLE))
}

fn header_of(entry: &EntryRecord) -> Option<MessageHeader> {
    match &entry.body {
        EntryBody::Whole(bytes) => Message::decode(bytes).ok().map(|message| *message.header()),
        EntryBody::Gone(Hash(_)) => None,
    }
}

/// What adding agents says: in an open room nothing keeps them from reading, so nothing is promised.
fn agents_added(commit: &Commit, names: &str) -> String {
    if commit.suite == SUITE_OPEN {
        format!("added {names}, who answers what it is asked")
    } else {
        format!("added {names}, who reads only what is shown to it")
    }
}
