//! Messages that are to be appended later: sealing them, handing them to the server, listing them.

use std::task::{Poll, ready};
use std::time::Duration;

use super::super::context::Context;
use super::super::membership::rotate::Rotate;
use super::super::rooms::views::Views;
use super::super::server_call::{Online, ServerCall, out_of_turn};
use super::super::state::State;
use super::super::work::Step;
use crate::client::{CommandError, Done, ScheduleView};
use crate::crypto::commit::RoomMode;
use crate::crypto::content::Content;
use crate::crypto::message::{Message, MessageContext, OpenWith, Placement};
use crate::id::{RoomId, TimeMs};
use crate::wire::{Reply, Request};

/// How long the room may take to be caught up.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(15);

/// Leaves a sealed text with the server until it is due.
#[derive(Debug)]
pub(in super::super) struct Schedule {
    room: RoomId,
    text: String,
    due: TimeMs,
    stage: ScheduleStage,
}

#[derive(Debug)]
enum ScheduleStage {
    Connecting(Online),
    CatchingUp(Duration),
    Rotating(Rotate),
    Sending(ServerCall),
}

impl Schedule {
    /// Schedules `text` for a room.
    pub(in super::super) fn new(room: RoomId, text: String, due: TimeMs) -> Self {
        Self { room, text, due, stage: ScheduleStage::Connecting(Online::default()) }
    }

    fn seal(&self, state: &mut State, cx: &mut Context<'_>) -> Result<Vec<u8>, CommandError> {
        let Some(sealing) = state.sealing(self.room, cx) else {
            let text = "this room's key has not come yet".to_owned();
            return Err(CommandError::Refused(text));
        };
        let placement = Placement::scheduled(cx.rng);
        let content = Content::from_text(&self.text)
            .map_err(|error| CommandError::Invalid(error.to_string()))?;
        sealing.seal(&mut sealing.rng(), placement, &content)
    }
}

impl Step for Schedule {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let id = self.room;
        loop {
            match &mut self.stage {
                ScheduleStage::Connecting(online) => {
                    ready!(online.poll(&state.account, cx))?;
                    self.stage = ScheduleStage::CatchingUp(cx.after(CATCH_UP_PATIENCE));
                }
                ScheduleStage::CatchingUp(until) => {
                    ready!(state.caught_up(id, *until, cx))?;
                    let views = Views { account: &state.account, identities: &state.identities };
                    if let Some(cause) = views.sending_stopped(state.rooms.get(id)?) {
                        return Poll::Ready(Err(CommandError::Untrusted(cause)));
                    }
                    self.stage = ScheduleStage::Rotating(Rotate::if_needed(id));
                }
                ScheduleStage::Rotating(rotate) => {
                    ready!(rotate.poll(state, cx))?;
                    let entry = self.seal(state, cx)?;
                    let request = Request::Schedule { room: id, entry, due: self.due };
                    self.stage = ScheduleStage::Sending(ServerCall::new(request));
                }
                ScheduleStage::Sending(call) => {
                    ready!(call.poll(&state.account, cx)).map_err(CommandError::from)?;
                    return Poll::Ready(Ok(Done::Done));
                }
            }
        }
    }
}

/// Lists what this account has left with the server, with the texts that this device can open.
#[derive(Debug)]
pub(in super::super) struct ListSchedules(ServerCall);

impl ListSchedules {
    /// Lists all rooms' messages.
    pub(in super::super) fn new() -> Self {
        Self(ServerCall::new(Request::Schedules))
    }
}

impl Step for ListSchedules {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = ready!(self.0.poll(&state.account, cx)).map_err(CommandError::from)?;
        let Reply::Schedules { schedules } = reply else { return Poll::Ready(Err(out_of_turn())) };
        let mut views: Vec<ScheduleView> = schedules
            .into_iter()
            .map(|line| {
                let content = state.open_own(line.room, &line.entry);
                ScheduleView { room: line.room, id: line.id, due: line.due, content }
            })
            .collect();
        views.sort_by_key(|view| (view.due, view.room, view.id));
        Poll::Ready(Ok(Done::Schedules(views)))
    }
}

impl State {
    /// Opens a message of this device that stands in no log yet.
    fn open_own(&mut self, id: RoomId, entry: &[u8]) -> Option<Content> {
        let message = Message::decode(entry).ok()?;
        let (account, device) = (self.account.id, self.account.device);
        let room = self.rooms.all.get_mut(&id)?;
        let state = room.state.as_ref()?;
        let epoch = message.header().epoch;
        let opened = if state.mode() == RoomMode::Open {
            message.open(&MessageContext::open_room(id, account, device), OpenWith::Open)
        } else {
            let commit_hash = state.epoch_record(epoch)?.commit_hash;
            let key = room.keys.sender_key(state, epoch, (account, device))?;
            let context = MessageContext { room: id, commit_hash, account, device };
            message.open(&context, OpenWith::SenderKey(key))
        };
        Content::decode(opened.ok()?.plaintext).ok()
    }
}
