//! What faces see: plain views of rooms, entries and people.
//!
//! Texts of others pass through as they are; a face cleans them before showing.

use std::task::Poll;
use std::time::Duration;

use super::super::account::Account;
use super::super::context::Context;
use super::super::identities::Identities;
use super::super::state::State;
use super::super::work::Step;
use super::room::{Room, header_of};
use crate::client::event::{
    ClientEvent, DeviceView, EntryView, MarkCounts, MemberView, PersonView, RoomView, SealedBy,
    TrustState,
};
use crate::client::record::EntryRecord;
use crate::client::{Change, EntryContent};
use crate::crypto::commit::{Commit, CommitKind, Member, Policy, Role, RoomKind, SUITE_OPEN};
use crate::crypto::message::{Flags, Suite};
use crate::crypto::safety::RoomCode;
use crate::id::{AccountId, Seq};
use crate::log::RoomState;
use crate::wire::EntryBody;

/// The shortest time between two views of rooms: a large room's members are many names.
const ROOM_INTERVAL: Duration = Duration::from_millis(20);
/// Names listed in the sentence of a change; more are counted.
const NAMES_MAX: usize = 6;

/// Makes views with what is known of the account and the people.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Views<'a> {
    pub(in super::super) account: &'a Account,
    pub(in super::super) identities: &'a Identities,
}

impl Views<'_> {
    /// A room.
    pub(in super::super) fn room(&self, room: &Room) -> RoomView {
        let (facts, marks) = (&room.facts, &room.marks);
        let state = room.state.as_ref();
        let mut members: Vec<MemberView> =
            state.map(|s| s.members().map(|m| self.member(m)).collect()).unwrap_or_default();
        members.sort_by(|left, right| left.handle.cmp(&right.handle));
        let own_role = room.member(self.account.id).map(|member| member.role);
        let code = state.map(|s| RoomCode::new(room.id, s.head(), s.members_hash()).to_string());
        let policy = room.policy().unwrap_or(Policy::GROUP);
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
            announced: marks.announced.max(room.applied.seq()),
            read_upto: marks.read_upto,
            n_unread: marks.n_unread,
            n_mentions: room.n_mentions(),
            active_at: marks.active_at,
            sending_stopped: self.sending_stopped(room),
            marks: room.mark_counts(),
        }
    }

    /// The name of a room; of a direct room, the other's.
    fn room_name(&self, room: &Room) -> String {
        let pair = room.state.as_ref().and_then(RoomState::direct_pair);
        match pair {
            Some((one, other)) if room.facts.kind == RoomKind::Direct => {
                self.identities.handle(if one == self.account.id { other } else { one })
            }
            _ => room.facts.name.clone(),
        }
    }

    fn member(&self, member: &Member) -> MemberView {
        let chain = self.identities.chains.get(&member.account);
        let is_agent = member.role == Role::Agent;
        MemberView {
            account: member.account,
            handle: self.identities.handle(member.account),
            role: member.role,
            is_agent: member.is_mention_agent(),
            operator: chain.map(|chain| chain.operator().to_owned()).unwrap_or_default(),
            card: is_agent.then(|| self.identities.card(member.account).cloned()).flatten(),
        }
    }

    /// A person.
    pub(in super::super) fn person(&self, account: AccountId) -> PersonView {
        let chain = self.identities.chains.get(&account);
        let n_devices = chain.map_or(0, |chain| chain.devices_at(chain.head().seq).count());
        let trust = self.identities.contact_of(account).map(|contact| contact.trust);
        PersonView {
            account,
            handle: self.identities.handle(account),
            is_agent: self.identities.is_agent(account),
            presence: self.identities.presence(account),
            trust: trust.unwrap_or(TrustState::Unverified),
            n_devices: u32::try_from(n_devices).unwrap_or(u32::MAX),
        }
    }

    /// The own devices, oldest first.
    pub(in super::super) fn devices(&self) -> Vec<DeviceView> {
        let Some(chain) = self.identities.chains.get(&self.account.id) else { return Vec::new() };
        let mut devices: Vec<_> = chain.devices().collect();
        devices.sort_by_key(|device| device.added_seq);
        let view = |device: &crate::crypto::user_chain::Device| DeviceView {
            device: device.id(),
            name: device.record.name.clone(),
            os: device.record.os.clone(),
            created: device.record.created,
            is_this: device.id() == self.account.device,
            is_revoked: device.revoked_seq.is_some(),
        };
        devices.into_iter().map(view).collect()
    }

    /// Why nothing may be sent to a room, for people; `None` if it may.
    pub(in super::super) fn sending_stopped(&self, room: &Room) -> Option<String> {
        if let Some(cause) = &room.facts.stopped {
            return Some(cause.clone());
        }
        let members = room.state.iter().flat_map(RoomState::members);
        let blocked = members
            .map(|member| member.account)
            .find(|account| *account != self.account.id && self.identities.is_blocked(*account))?;
        let handle = self.identities.handle(blocked);
        Some(format!("the identity of {handle} changed: compare the safety number and accept it"))
    }

    /// An entry of a room.
    pub(in super::super) fn entry(&self, room: &Room, entry: &EntryRecord) -> EntryView {
        let header = header_of(entry);
        let sealed = match &header {
            Some(header) if header.suite == Suite::Open => SealedBy::Open,
            Some(header) if header.flags.has(Flags::HAS_SLOTS) => {
                SealedBy::EpochAndAgent(header.epoch)
            }
            Some(header) => SealedBy::Epoch(header.epoch),
            None => SealedBy::Open,
        };
        EntryView {
            room: room.id,
            seq: entry.seq,
            time: entry.time,
            author: entry.author,
            handle: self.identities.handle(entry.author),
            device: entry.device,
            is_mine: entry.author == self.account.id,
            is_countable: header.is_some_and(|header| header.flags.has(Flags::COUNTABLE)),
            is_mention: entry.is_mention,
            sealed,
            is_shown: entry.is_shown || matches!(sealed, SealedBy::EpochAndAgent(_)),
            content: entry.content.clone().map_change(|()| self.change(room, entry)),
            reactions: entry.reactions.clone(),
        }
    }

    fn change(&self, room: &Room, entry: &EntryRecord) -> EntryContent {
        let EntryBody::Whole(bytes) = &entry.body else { return EntryContent::Expired };
        let Ok(commit) = Commit::decode(bytes.clone()) else { return EntryContent::Expired };
        let before = Seq(entry.seq.0.saturating_sub(1));
        let was = |account| room.state.as_ref().and_then(|state| state.member_at(account, before));
        let accounts: Vec<AccountId> = match commit.kind {
            CommitKind::Create | CommitKind::Add | CommitKind::SetAgent | CommitKind::SetPolicy => {
                let changed = commit.changed.iter().map(|member| member.account);
                let added = changed.filter(|account| was(*account).is_none());
                added.chain(commit.removed.iter().copied()).collect()
            }
            CommitKind::SetRole => {
                let is_other = |member: &&Member| {
                    was(member.account).is_some_and(|before| before.role != member.role)
                };
                commit.changed.iter().filter(is_other).map(|member| member.account).collect()
            }
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
        let shown = accounts.iter().take(NAMES_MAX);
        let mut names: Vec<String> =
            shown.map(|account| self.identities.handle(*account)).collect();
        if accounts.len() > NAMES_MAX {
            names.push(format!("{} more", accounts.len() - NAMES_MAX));
        }
        names.join(", ")
    }
}

impl Room {
    /// Marks of the others, as faces get them.
    pub(in super::super) fn mark_counts(&self) -> MarkCounts {
        let n_people = self.state.as_ref().map_or(0, RoomState::n_people);
        MarkCounts {
            n_others: u32::try_from(n_people.saturating_sub(1)).unwrap_or(u32::MAX),
            delivered: self.histograms.delivered.clone(),
            read: self.histograms.read.clone(),
        }
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

/// What adding agents says: in an open room nothing keeps them from reading, so nothing is promised.
fn agents_added(commit: &Commit, names: &str) -> String {
    if commit.suite == SUITE_OPEN {
        format!("added {names}, who answers what it is asked")
    } else {
        format!("added {names}, who reads only what is shown to it")
    }
}

/// Emits the rooms that changed, each at most so often that a screen can follow.
#[derive(Debug)]
pub(in super::super) struct EmitRooms;

impl Step for EmitRooms {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let State { account, identities, rooms, .. } = state;
        let is_due = account.is_stopping || cx.is_due(rooms.next_shown);
        if !is_due {
            return Poll::Pending;
        }
        rooms.next_shown = cx.after(ROOM_INTERVAL);
        let views = Views { account, identities };
        for id in std::mem::take(&mut rooms.unshown) {
            if let Some(room) = rooms.all.get(&id).filter(|room| room.facts.is_member) {
                cx.emit(ClientEvent::Room(Box::new(views.room(room))));
            }
        }
        Poll::Ready(())
    }
}
