//! What each command begins.
//!
//! Owns the one place where a command meets the step that carries it out; forgetting one does not
//! compile.

use std::task::{Poll, ready};
use std::time::Duration;

use super::asks::card::PutCard;
use super::asks::envelope::{MakeEnvelope, PutAsk, PutReply};
use super::asks::list::ListAnswers;
use super::asks::streams::StreamPiece;
use super::context::Context;
use super::identities::fetch::RefreshHeads;
use super::identities::find::Find;
use super::identities::own_chain::{OwnLink, PutLink};
use super::membership::add::Add;
use super::membership::found::{CreateRoom, Direct};
use super::membership::invites::{CreateInvite, ListInvites, RevokeInvite};
use super::membership::join::JoinOpen;
use super::membership::settings::{Set, Wish};
use super::rooms::marks::SendRead;
use super::rooms::ticks::ReadTicks;
use super::rooms::timeline::Timeline;
use super::rooms::views::Views;
use super::sender::queue::{Queue, Withdraw};
use super::sender::reaction::PutReaction;
use super::sender::schedule::{ListSchedules, Schedule};
use super::server_call::{Online, ServerCall};
use super::state::State;
use super::work::{Step, Work};
use crate::client::event::{PersonView, RoomView};
use crate::client::{Command, CommandError, Done, LobbyRoom, PersonRef};
use crate::crypto::content::Content;
use crate::id::{AccountId, DeviceId, RoomId, Seq, WorkspaceId};
use crate::log::{Change, RoomState};
use crate::wire::{Reply, Request};

/// How a command ends.
pub(super) type Outcome = Result<Done, CommandError>;

/// A command that is carried out.
pub(super) type CommandStep = Box<dyn Step<Output = Outcome>>;

/// Begins a command: what carries it out, or its end if that is known at once.
pub(super) fn begin(
    command: Command,
    state: &mut State,
    cx: &mut Context<'_>,
) -> Result<CommandStep, Outcome> {
    let set = |room, wish| -> Result<CommandStep, Outcome> { Ok(Box::new(Set::new(room, wish))) };
    match command {
        Command::Send { room, text, tag } => {
            let content = Content::from_text(text)
                .map_err(|error| Err(CommandError::Invalid(error.to_string())))?;
            Ok(Box::new(Queue::new(room, content, tag)))
        }
        Command::Withdraw { local_id } => Ok(Box::new(Withdraw::new(local_id))),
        Command::Schedule { room, text, due } => Ok(Box::new(Schedule::new(room, text, due))),
        Command::Schedules => Ok(Box::new(ListSchedules::new())),
        Command::Unschedule { room, id } => {
            Ok(Box::new(CallDone::new(Request::Unschedule { room, id })))
        }
        Command::CreateRoom(room) => Ok(Box::new(CreateRoom::new(room))),
        Command::Direct(person) => Ok(Box::new(Direct::with(person))),
        Command::JoinRoom(room) => Ok(Box::new(JoinOpen::new(room))),
        Command::Add { room, people } => Ok(Box::new(Add::new(room, people))),
        Command::Remove { room, person } => set(room, Wish::Remove(person)),
        Command::Leave(room) => set(room, Wish::Change(Change::Leave)),
        Command::Rotate(room) => set(room, Wish::Change(Change::Rotate)),
        Command::Rename { room, name } => set(room, Wish::Name(name)),
        Command::SetRole { room, person, role } => set(room, Wish::SetRole(person, role)),
        Command::Set { room, key, value } => set(room, Wish::Value(key, value)),
        Command::MarkRead { room, upto } => {
            state.account.visible = Some(room);
            match state.rooms.mark_read(room, upto) {
                Ok(true) => Ok(Box::new(MarkRead(SendRead::of(room)))),
                Ok(false) => Err(Ok(Done::Done)),
                Err(error) => Err(Err(error)),
            }
        }
        Command::Typing(room) => {
            state.rooms.typing(room, cx);
            Err(Ok(Done::Done))
        }
        Command::TypingStopped(room) => {
            state.rooms.typing_stopped(room, cx);
            Err(Ok(Done::Done))
        }
        Command::SetAway(is_away) => Ok(Box::new(CallDone::new(Request::SetAway { is_away }))),
        Command::Invite { rooms, uses, lifetime } => {
            Ok(Box::new(CreateInvite::new(rooms, uses, lifetime)))
        }
        Command::Invites => Ok(Box::new(ListInvites::new())),
        Command::RevokeInvite(token) => Ok(Box::new(RevokeInvite::new(token))),
        Command::Ticks(room) => Ok(Box::new(ReadTicks::of(room))),
        Command::Lobby => Ok(Box::new(Lobby::new())),
        Command::Devices => Ok(Box::new(Devices::new())),
        Command::RevokeDevice(device) => revoke(device, state),
        Command::Safety(person) => Ok(Box::new(Safety::with(person))),
        Command::Trust { person, is_verified } => Ok(Box::new(Trust::new(person, is_verified))),
        Command::Timeline { room, before, count } => {
            Ok(Box::new(Timeline::new(room, before, count)))
        }
        Command::Envelope { room, text, quoted, n_context } => {
            Ok(Box::new(MakeEnvelope::new(room, text, quoted, n_context)))
        }
        Command::React(new) => Ok(Box::new(PutReaction::new(new))),
        Command::Ask(new) => Ok(Box::new(PutAsk::new(new))),
        Command::StopAnswer { room, ask } => Ok(Box::new(PutReply::stop(room, ask))),
        Command::Answers { room } => Ok(Box::new(ListAnswers::new(room))),
        Command::PutCard(card) => Ok(Box::new(PutCard::new(card))),
        Command::Stream { room, ask, text } => Ok(Box::new(StreamPiece::new(room, ask, text))),
        Command::Answer { room, answer } => Ok(Box::new(PutReply::answer(room, answer))),
        Command::Rooms => Err(Ok(Done::Rooms(room_views(state)))),
        Command::People => Err(Ok(Done::People(people_views(state)))),
        Command::Sync => Ok(Box::new(Sync::new())),
        Command::ConnectNow => {
            state.account.connect_now(cx);
            Err(Ok(Done::Done))
        }
        // The shell ends with it.
        Command::Stop => Err(Ok(Done::Done)),
    }
}

fn revoke(device: DeviceId, state: &State) -> Result<CommandStep, Outcome> {
    let chain = state.identities.chains.get(&state.account.id);
    if chain.is_some_and(|chain| chain.device(device).is_none()) {
        let text = "there is no such device".to_owned();
        return Err(Err(CommandError::NotFound(text)));
    }
    Ok(Box::new(Revoke(PutLink::new(OwnLink::Revoke(device), &state.account))))
}

/// All rooms of this account, by name.
fn room_views(state: &State) -> Vec<RoomView> {
    let views = Views { account: &state.account, identities: &state.identities };
    let mut rooms: Vec<RoomView> = state.rooms.joined().map(|room| views.room(room)).collect();
    rooms.sort_by(|left, right| (&left.name, left.room).cmp(&(&right.name, right.room)));
    rooms
}

/// Everyone who shares a room, by name.
fn people_views(state: &State) -> Vec<PersonView> {
    let states = state.rooms.joined().filter_map(|room| room.state.as_ref());
    let mut accounts: Vec<AccountId> =
        states.flat_map(RoomState::members).map(|member| member.account).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let views = Views { account: &state.account, identities: &state.identities };
    let mut people: Vec<PersonView> =
        accounts.into_iter().map(|account| views.person(account)).collect();
    people.sort_by(|left, right| left.handle.cmp(&right.handle));
    people
}

#[derive(Debug)]
struct MarkRead(SendRead);

impl Step for MarkRead {
    type Output = Outcome;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Outcome> {
        let State { account, rooms, .. } = state;
        ready!(self.0.poll_result(account, rooms, cx))?;
        Poll::Ready(Ok(Done::Done))
    }
}

/// A request whose answer says nothing but that it is done.
#[derive(Debug)]
struct CallDone(ServerCall);

impl CallDone {
    fn new(request: Request) -> Self {
        Self(ServerCall::new(request))
    }
}

impl Step for CallDone {
    type Output = Outcome;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Outcome> {
        ready!(self.0.poll(&state.account, cx)).map_err(CommandError::from)?;
        Poll::Ready(Ok(Done::Done))
    }
}

#[derive(Debug)]
struct Revoke(PutLink);

impl Step for Revoke {
    type Output = Outcome;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Outcome> {
        let State { account, identities, .. } = state;
        ready!(self.0.poll(account, identities, cx))?;
        Poll::Ready(Ok(Done::Done))
    }
}

/// Lists open rooms, page by page.
#[derive(Debug)]
struct Lobby {
    rooms: Vec<LobbyRoom>,
    call: ServerCall,
}

impl Lobby {
    fn new() -> Self {
        Self { rooms: Vec::new(), call: Self::page(None) }
    }

    fn page(after: Option<RoomId>) -> ServerCall {
        ServerCall::new(Request::Lobby { workspace: WorkspaceId::MAIN, after })
    }
}

impl Step for Lobby {
    type Output = Outcome;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Outcome> {
        loop {
            let reply = ready!(self.call.poll(&state.account, cx)).map_err(CommandError::from)?;
            let (page, more) = match reply {
                Reply::Lobby { rooms, more } => (rooms, more),
                _ => (Vec::new(), false),
            };
            let is_empty = page.is_empty();
            self.rooms.extend(page.into_iter().map(|line| LobbyRoom {
                room: line.room,
                name: line.name,
                topic: line.topic,
                n_members: line.n_members,
                is_member: line.is_member,
            }));
            if !more || is_empty {
                return Poll::Ready(Ok(Done::Lobby(std::mem::take(&mut self.rooms))));
            }
            self.call = Self::page(self.rooms.last().map(|room| room.room));
        }
    }
}

/// Lists the own devices, as fresh as the session allows.
#[derive(Debug)]
struct Devices {
    refresh: Option<RefreshHeads>,
}

impl Devices {
    fn new() -> Self {
        Self { refresh: None }
    }
}

impl Step for Devices {
    type Output = Outcome;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Outcome> {
        let State { account, identities, .. } = state;
        if cx.is_online() || self.refresh.is_some() {
            let refresh = self.refresh.get_or_insert_with(|| RefreshHeads::of(&[account.id]));
            if let Err(error) = ready!(refresh.poll(account, identities, cx)) {
                tracing::debug!(%error, "the own devices were not refreshed");
            }
        }
        let devices = Views { account, identities }.devices();
        Poll::Ready(Ok(Done::Devices(devices)))
    }
}

/// Computes the safety number with a person.
#[derive(Debug)]
struct Safety {
    person: PersonRef,
    find: Find,
}

impl Safety {
    fn with(person: PersonRef) -> Self {
        let find = Find::new(person.clone());
        Self { person, find }
    }
}

impl Step for Safety {
    type Output = Outcome;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Outcome> {
        let State { account, identities, .. } = state;
        let other = match ready!(self.find.poll(account, identities, cx)) {
            // Exactly then the numbers are wanted.
            Err(CommandError::Untrusted(_)) => identities.changed_identity(&self.person)?,
            found => found?,
        };
        Poll::Ready(identities.safety_number(account.id, other).map(Done::Safety))
    }
}

/// Remembers that a person compared the safety number, or accepts a changed identity.
#[derive(Debug)]
struct Trust {
    person: PersonRef,
    is_verified: bool,
    find: Option<Find>,
}

impl Trust {
    fn new(person: PersonRef, is_verified: bool) -> Self {
        Self { person, is_verified, find: None }
    }
}

impl Step for Trust {
    type Output = Outcome;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Outcome> {
        let State { account, identities, rooms, outbox, .. } = state;
        if identities.contact_for(&self.person).is_none() {
            let find = self.find.get_or_insert_with(|| Find::new(self.person.clone()));
            ready!(find.poll(account, identities, cx))?;
        }
        let Some(contact) = identities.contact_for(&self.person).cloned() else {
            return Poll::Ready(Err(CommandError::NotFound("there is no such person".to_owned())));
        };
        let changed = identities.decide(contact, self.is_verified, cx);
        rooms.show_with(changed, cx);
        outbox.send_all(cx);
        Poll::Ready(Ok(Done::Done))
    }
}

/// Lets in who waits, and reads all rooms once more, whatever the server announced.
#[derive(Debug)]
struct Sync {
    stage: SyncStage,
}

#[derive(Debug)]
enum SyncStage {
    Connecting(Online),
    Resuming(Duration),
    /// An answered call says that all events before it have arrived.
    Asking(ServerCall),
    Admitting(Duration),
    CatchingUp(Duration),
}

impl Sync {
    fn new() -> Self {
        Self { stage: SyncStage::Connecting(Online::default()) }
    }
}

impl Step for Sync {
    type Output = Outcome;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Outcome> {
        loop {
            let patience = state.account.settings.patience;
            match &mut self.stage {
                SyncStage::Connecting(online) => {
                    ready!(online.poll(&state.account, cx))?;
                    self.stage = SyncStage::Resuming(cx.after(patience));
                }
                SyncStage::Resuming(until) => {
                    let is_over = state.account.is_resumed || !cx.is_online();
                    if !is_over && !cx.is_due(*until) {
                        return Poll::Pending;
                    }
                    self.stage = SyncStage::Asking(ServerCall::new(Request::Joins));
                }
                SyncStage::Asking(call) => {
                    ready!(call.poll(&state.account, cx)).map_err(CommandError::from)?;
                    state.membership.is_admitting = state.account.is_drainer;
                    cx.start(Work::Admit);
                    self.stage = SyncStage::Admitting(cx.after(patience));
                }
                SyncStage::Admitting(until) => {
                    let is_over = !state.membership.is_admitting || !cx.is_online();
                    if !is_over && !cx.is_due(*until) {
                        return Poll::Pending;
                    }
                    let rooms: Vec<RoomId> = state.rooms.joined().map(|room| room.id).collect();
                    for id in rooms {
                        state.rooms.reread(id, Seq(0), cx);
                    }
                    self.stage = SyncStage::CatchingUp(cx.after(patience));
                }
                SyncStage::CatchingUp(until) => {
                    let is_busy = state
                        .rooms
                        .all
                        .values()
                        .any(|room| room.is_entering || room.is_fetching_keys);
                    if !cx.is_online() {
                        return Poll::Ready(Err(CommandError::TimedOut));
                    }
                    if state.account.is_resumed && state.rooms.are_caught_up() && !is_busy {
                        return Poll::Ready(Ok(Done::Done));
                    }
                    if cx.is_due(*until) {
                        return Poll::Ready(Err(CommandError::TimedOut));
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}
