//! Invites, and letting in who joined by them.
//!
//! The server cannot enrol anybody into an end-to-end room: whoever joined by an invite left a proof
//! that only a holder of the secret can make, and the inviter's client checks it before it adds them
//! (CRYPTO B7).

use std::collections::VecDeque;
use std::task::{Poll, ready};
use std::time::Duration;

use super::super::context::Context;
use super::super::identities::find::Find;
use super::super::io::{CallId, Found, Query, ReadId, WriteId};
use super::super::server_call::{Online, ServerCall, call_failed, out_of_turn, storage};
use super::super::state::State;
use super::super::work::Step;
use super::add::AddPeople;
use crate::client::record::OwnInvite;
use crate::client::replica::Write;
use crate::client::{CommandError, Done, InviteLink, InviteView, PersonRef};
use crate::crypto::invite::{Invite, InviteSecret, Ticket};
use crate::id::{InviteToken, RoomId, TimeMs};
use crate::wire::{InviteLine, JoinLine, Reply, Request};

/// Makes an invite link.
#[derive(Debug)]
pub(in super::super) struct CreateInvite {
    rooms: Vec<RoomId>,
    uses: u32,
    lifetime: Duration,
    stage: InviteStage,
}

#[derive(Debug)]
enum InviteStage {
    Connecting(Online),
    /// Kept before the server knows of it: a joiner's proof must always find its secret.
    Keeping(WriteId, Box<Draft>),
    Sending(CallId, Box<Draft>),
    Forgetting(WriteId, CommandError),
}

/// An invite that is being made.
struct Draft {
    own: OwnInvite,
    link: String,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.own.fmt(f)
    }
}

impl CreateInvite {
    /// Makes an invite into these rooms.
    pub(in super::super) fn new(rooms: Vec<RoomId>, uses: u32, lifetime: Duration) -> Self {
        Self { rooms, uses, lifetime, stage: InviteStage::Connecting(Online::default()) }
    }

    fn draft(&self, state: &State, cx: &mut Context<'_>) -> Result<Draft, CommandError> {
        let account = &state.account;
        let Some(server) = &account.server else {
            return Err(CommandError::Offline("the server is not known yet".to_owned()));
        };
        let mut invite: Invite = format!("mathia://{}", account.settings.address)
            .parse()
            .map_err(|_| CommandError::Invalid("the server's address makes no link".to_owned()))?;
        let secret = InviteSecret::generate(cx.rng);
        let token = secret.token();
        let lifetime_ms = u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX);
        let expires = TimeMs(cx.now.time.0.saturating_add(lifetime_ms));
        let rooms = self.rooms.clone();
        let own = OwnInvite { token, secret: secret.to_bytes(), rooms, expires };
        let mut inviter = [0; 16];
        inviter.copy_from_slice(&account.id.0[..16]);
        let (server_pin, realm) = (server.pin.first_half(), server.realm);
        invite.ticket = Some(Ticket { secret, server_pin, inviter, realm });
        Ok(Draft { own, link: invite.to_line().to_string() })
    }
}

impl Step for CreateInvite {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.stage {
                InviteStage::Connecting(online) => {
                    ready!(online.poll(&state.account, cx))?;
                    let draft = Box::new(self.draft(state, cx)?);
                    let write = cx.write(vec![Write::Invite(draft.own.clone())]);
                    self.stage = InviteStage::Keeping(write, draft);
                }
                InviteStage::Keeping(write, _) => {
                    ready!(cx.written(*write)).map_err(|error| storage(&error))?;
                    let InviteStage::Keeping(_, draft) = std::mem::replace(
                        &mut self.stage,
                        InviteStage::Connecting(Online::default()),
                    ) else {
                        continue;
                    };
                    let OwnInvite { token, expires, .. } = draft.own;
                    let (uses, rooms) = (self.uses, self.rooms.clone());
                    let request = Request::CreateInvite { token, uses, expires, rooms };
                    self.stage = InviteStage::Sending(cx.call(request), draft);
                }
                InviteStage::Sending(call, draft) => match ready!(cx.reply(*call)) {
                    Ok(_) => {
                        let link = InviteLink(std::mem::take(&mut draft.link));
                        return Poll::Ready(Ok(Done::Invite(link)));
                    }
                    Err(error) => {
                        let write = cx.write(vec![Write::ForgetInvite(draft.own.token)]);
                        self.stage = InviteStage::Forgetting(write, call_failed(&error));
                    }
                },
                InviteStage::Forgetting(write, error) => {
                    let error = error.clone();
                    ready!(cx.written(*write)).map_err(|error| storage(&error))?;
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
}

/// Lists the account's invites that still work.
#[derive(Debug)]
pub(in super::super) struct ListInvites {
    call: ServerCall,
    /// What the server said, until this device's own invites are read.
    reading: Option<(ReadId, Vec<InviteLine>)>,
}

impl ListInvites {
    /// Lists them.
    pub(in super::super) fn new() -> Self {
        Self { call: ServerCall::new(Request::Invites), reading: None }
    }
}

impl Step for ListInvites {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.reading.is_none() {
            let reply = ready!(self.call.poll(&state.account, cx)).map_err(CommandError::from)?;
            let Reply::Invites { invites } = reply else {
                return Poll::Ready(Err(out_of_turn()));
            };
            self.reading = Some((cx.read(Query::Invites), invites));
        }
        let Some((read, lines)) = &mut self.reading else { return Poll::Pending };
        let found = ready!(cx.found(*read)).map_err(|error| storage(&error))?;
        let Found::Invites(own) = found else { return Poll::Ready(Err(out_of_turn())) };
        let view = |line: InviteLine| InviteView {
            is_of_this_device: own.iter().any(|own| own.token == line.token),
            token: line.token,
            uses_left: line.uses_left,
            expires: line.expires,
            rooms: line.rooms,
        };
        let views = std::mem::take(lines).into_iter().map(view).collect();
        Poll::Ready(Ok(Done::Invites(views)))
    }
}

/// Ends an invite, at the server and here.
#[derive(Debug)]
pub(in super::super) struct RevokeInvite {
    token: InviteToken,
    call: ServerCall,
    forgetting: Option<WriteId>,
}

impl RevokeInvite {
    /// Ends this one.
    pub(in super::super) fn new(token: InviteToken) -> Self {
        let call = ServerCall::new(Request::RevokeInvite { token });
        Self { token, call, forgetting: None }
    }
}

impl Step for RevokeInvite {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.forgetting.is_none() {
            ready!(self.call.poll(&state.account, cx)).map_err(CommandError::from)?;
            // Without its secret nobody is let in by it, whatever the server says later.
            self.forgetting = Some(cx.write(vec![Write::ForgetInvite(self.token)]));
        }
        let Some(write) = self.forgetting else { return Poll::Pending };
        ready!(cx.written(write)).map_err(|error| storage(&error))?;
        Poll::Ready(Ok(Done::Done))
    }
}

/// Adds everybody who joined by an own invite and proves to know its secret.
#[derive(Debug)]
pub(in super::super) struct Admit {
    invites: Vec<OwnInvite>,
    waiting: VecDeque<JoinLine>,
    stage: AdmitStage,
}

#[derive(Debug)]
enum AdmitStage {
    Begin,
    Asking(ServerCall),
    /// Another process of this device may have made invites meanwhile.
    Reading(ReadId),
    Next,
    Finding(JoinLine, Find),
    Adding(JoinLine, VecDeque<RoomId>, Option<AddPeople>),
    Finishing(ServerCall),
}

impl Admit {
    /// Looks who waits.
    pub(in super::super) fn new() -> Self {
        Self { invites: Vec::new(), waiting: VecDeque::new(), stage: AdmitStage::Begin }
    }

    fn own(&self, join: &JoinLine) -> Option<&OwnInvite> {
        self.invites.iter().find(|own| own.token == join.token)
    }

    fn go(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Result<(), CommandError>> {
        loop {
            match &mut self.stage {
                AdmitStage::Begin => {
                    self.stage = AdmitStage::Asking(ServerCall::new(Request::Joins));
                }
                AdmitStage::Asking(call) => {
                    let reply =
                        ready!(call.poll(&state.account, cx)).map_err(CommandError::from)?;
                    let Reply::Joins { joins } = reply else { return Poll::Ready(Ok(())) };
                    self.waiting = joins.into();
                    if self.waiting.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    self.stage = AdmitStage::Reading(cx.read(Query::Invites));
                }
                AdmitStage::Reading(read) => {
                    if let Found::Invites(invites) =
                        ready!(cx.found(*read)).map_err(|error| storage(&error))?
                    {
                        self.invites = invites;
                    }
                    self.stage = AdmitStage::Next;
                }
                AdmitStage::Next => {
                    let Some(join) = self.waiting.pop_front() else {
                        return Poll::Ready(Ok(()));
                    };
                    // Made on another device of this account: that one knows the secret.
                    let Some(own) = self.own(&join) else { continue };
                    let secret = InviteSecret::from_bytes(&own.secret);
                    if secret.check_proof(join.account, &join.proof) {
                        let find = Find::new(PersonRef::Account(join.account));
                        self.stage = AdmitStage::Finding(join, find);
                    } else {
                        let text = "somebody joined by your invite without knowing it; not added";
                        cx.notice(None, text);
                        self.finish(&join);
                    }
                }
                AdmitStage::Finding(join, find) => {
                    let State { account, identities, .. } = &mut *state;
                    let found = ready!(find.poll(account, identities, cx));
                    let join = join.clone();
                    if let Err(error) = found {
                        not_added(&join, &error);
                        self.stage = AdmitStage::Next;
                        continue;
                    }
                    let rooms = self.own(&join).map(|own| own.rooms.clone()).unwrap_or_default();
                    let meant = rooms.into_iter().filter(|room| join.rooms.contains(room));
                    self.stage = AdmitStage::Adding(join.clone(), meant.collect(), None);
                }
                AdmitStage::Adding(..) => match ready!(self.add(state, cx)) {
                    Ok(join) => self.finish(&join),
                    Err((join, error)) => {
                        not_added(&join, &error);
                        self.stage = AdmitStage::Next;
                    }
                },
                AdmitStage::Finishing(call) => {
                    if let Err(error) = ready!(call.poll(&state.account, cx)) {
                        tracing::debug!(?error, "a join was not finished");
                    }
                    self.stage = AdmitStage::Next;
                }
            }
        }
    }

    fn finish(&mut self, join: &JoinLine) {
        let (token, account) = (join.token, join.account);
        self.stage = AdmitStage::Finishing(ServerCall::new(Request::FinishJoin { token, account }));
    }

    fn add(
        &mut self,
        state: &mut State,
        cx: &mut Context<'_>,
    ) -> Poll<Result<JoinLine, (JoinLine, CommandError)>> {
        let AdmitStage::Adding(join, rooms, adding) = &mut self.stage else {
            return Poll::Pending;
        };
        loop {
            if let Some(add) = adding {
                let added = ready!(add.poll(state, cx));
                let id = rooms.pop_front();
                *adding = None;
                match added {
                    Ok(()) => {}
                    // What will never work is not tried for ever.
                    Err(CommandError::Refused(text) | CommandError::NotFound(text)) => {
                        let handle = state.identities.handle(join.account);
                        cx.notice(id, format!("{handle} could not be added: {text}"));
                    }
                    Err(error) => return Poll::Ready(Err((join.clone(), error))),
                }
            }
            let Some(id) = rooms.front().copied() else {
                let handle = state.identities.handle(join.account);
                cx.notice(None, format!("{handle} joined by your invite"));
                return Poll::Ready(Ok(join.clone()));
            };
            *adding = Some(AddPeople::new(id, vec![join.account]));
        }
    }
}

fn not_added(join: &JoinLine, error: &CommandError) {
    tracing::debug!(account = join.account.short(), %error, "a joiner was not added");
}

impl Step for Admit {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        if !state.account.is_drainer {
            // The process that sends does it.
            return Poll::Ready(());
        }
        state.membership.is_admitting = true;
        let admitted = ready!(self.go(state, cx));
        state.membership.is_admitting = false;
        if let Err(error) = admitted {
            tracing::debug!(%error, "joins were not read");
        }
        Poll::Ready(())
    }
}
