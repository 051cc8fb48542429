//! Entering a room: the newcomer's way in.
//!
//! A newcomer believes nothing: it verifies every commit from the creation on, takes `H` at the
//! position that the commit which added it had seen, and goes forward from there (CRYPTO B3,
//! "Newcomer's anchor").

use std::fmt::Display;
use std::task::{Poll, ready};

use super::super::account::Account;
use super::super::context::Context;
use super::super::identities::Identities;
use super::super::identities::fetch::FetchChains;
use super::super::io::{BulkFailure, BulkId, Page, WriteId};
use super::super::server_call::storage;
use super::super::state::State;
use super::super::work::{Step, Work};
use super::{OneRoom, Rooms};
use crate::client::CommandError;
use crate::client::event::AlarmCause;
use crate::client::record::{Batch, RoomFacts, StoredCommit};
use crate::client::replica::Write;
use crate::crypto::commit::Commit;
use crate::crypto::hash::sha256;
use crate::id::{AccountId, RoomId, Seq, TimeMs};
use crate::log::sync::RoomSync;
use crate::log::{
    CommitFault, Context as EntryContext, DeviceFault, LogHash, RoomState, validate_commit,
    validate_create,
};
use crate::wire::{BulkRequest, EntryBody, Fault};

/// A commit with its place.
type Placed = (Seq, TimeMs, Commit);

/// Why a room cannot be opened.
#[derive(Debug, Clone)]
pub(in super::super) enum OpenFailure {
    /// The connection is gone, or the server cannot answer now: another time.
    Later,
    /// The room's commits are not valid.
    Broken(String),
    /// There is no such room for this account, or the replica failed.
    Command(CommandError),
}

impl From<OpenFailure> for CommandError {
    fn from(failure: OpenFailure) -> Self {
        match failure {
            OpenFailure::Later => Self::TimedOut,
            OpenFailure::Broken(text) => Self::Untrusted(text),
            OpenFailure::Command(error) => error,
        }
    }
}

fn broken(error: &dyn Display) -> OpenFailure {
    OpenFailure::Broken(format!("the room's changes do not verify: {error}"))
}

/// Reads all commits of a room and verifies them in order.
#[derive(Debug)]
pub(in super::super) struct VerifyRoom {
    room: RoomId,
    commits: Vec<Placed>,
    n_verified: usize,
    state: Option<RoomState>,
    /// Whether the chains that the next commit needs were fetched already.
    has_fetched: bool,
    stage: VerifyStage,
}

#[derive(Debug)]
enum VerifyStage {
    Begin,
    Reading(BulkId),
    Fetching(FetchChains),
    Verifying,
}

impl VerifyRoom {
    /// Verifies this room from its creation on.
    pub(in super::super) fn of(room: RoomId) -> Self {
        Self {
            room,
            commits: Vec::new(),
            n_verified: 0,
            state: None,
            has_fetched: false,
            stage: VerifyStage::Begin,
        }
    }

    /// What the commits say, once all are verified; the commits stay in `self`.
    pub(in super::super) fn poll(
        &mut self,
        account: &Account,
        identities: &mut Identities,
        cx: &mut Context<'_>,
    ) -> Poll<Result<RoomState, OpenFailure>> {
        loop {
            match &mut self.stage {
                VerifyStage::Begin => {
                    let request = BulkRequest::Commits { room: self.room, after: Seq(0) };
                    self.stage = VerifyStage::Reading(cx.bulk(request));
                }
                VerifyStage::Reading(bulk) => {
                    let bulk = *bulk;
                    match self.accept_page(ready!(cx.page(bulk))) {
                        Ok(true) => {
                            let people = self.unknown_people(identities);
                            self.stage = VerifyStage::Fetching(FetchChains::of(people));
                        }
                        Ok(false) => cx.next_page(bulk),
                        Err(failure) => {
                            cx.cancel_bulk(bulk);
                            return Poll::Ready(Err(failure));
                        }
                    }
                }
                VerifyStage::Fetching(fetch) => {
                    let fetched = ready!(fetch.poll(account, identities, cx));
                    match fetched {
                        Err(CommandError::Untrusted(text)) if self.has_fetched => {
                            return Poll::Ready(Err(OpenFailure::Broken(text)));
                        }
                        Err(_) => return Poll::Ready(Err(OpenFailure::Later)),
                        Ok(()) => self.stage = VerifyStage::Verifying,
                    }
                }
                VerifyStage::Verifying => match self.verify(identities) {
                    Ok(None) => {
                        let state = self.state.take().ok_or_else(|| broken(&"there are none"));
                        return Poll::Ready(state);
                    }
                    Ok(Some(need)) => {
                        self.has_fetched = true;
                        self.stage = VerifyStage::Fetching(FetchChains::of(need));
                    }
                    Err(failure) => return Poll::Ready(Err(failure)),
                },
            }
        }
    }

    /// Keeps a page; `true` if it was the last.
    fn accept_page(
        &mut self,
        page: Result<Option<Page>, BulkFailure>,
    ) -> Result<bool, OpenFailure> {
        let page = match page {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(true),
            Err(BulkFailure::Fault(Fault::NotFound)) => {
                let text = "there is no such room, or you may not see it".to_owned();
                return Err(OpenFailure::Command(CommandError::NotFound(text)));
            }
            Err(_) => return Err(OpenFailure::Later),
        };
        for entry in page.entries {
            let EntryBody::Whole(bytes) = entry.body else {
                return Err(OpenFailure::Broken("a change of the room is gone".to_owned()));
            };
            let commit =
                Commit::decode(bytes).map_err(|error| OpenFailure::Broken(error.to_string()))?;
            if self.commits.last().is_some_and(|(seq, ..)| *seq >= entry.seq) {
                let text = "the room's changes are out of order".to_owned();
                return Err(OpenFailure::Broken(text));
            }
            self.commits.push((entry.seq, entry.time, commit));
        }
        Ok(page.is_last)
    }

    fn unknown_people(&self, identities: &Identities) -> Vec<AccountId> {
        let named = self.commits.iter().flat_map(|(_, _, commit)| {
            commit.changed.iter().map(|member| member.account).chain([commit.author])
        });
        let mut people: Vec<AccountId> =
            named.filter(|account| !identities.chains.contains_key(account)).collect();
        people.sort_unstable();
        people.dedup();
        people
    }

    /// Judges the commits in order; the accounts whose chains are needed first, or nothing at the
    /// end.
    fn verify(&mut self, identities: &Identities) -> Result<Option<Vec<AccountId>>, OpenFailure> {
        let chains = &identities.chains;
        while let Some((seq, time, commit)) = self.commits.get(self.n_verified) {
            let result = match &self.state {
                Some(state) => validate_commit(state, commit, chains, EntryContext::History),
                None => validate_create(commit, chains, EntryContext::History),
            };
            match result {
                Ok(_) => {}
                Err(CommitFault::NeedChain { account, .. }) if !self.has_fetched => {
                    // Fetched once for a commit, so all that it may need.
                    return Ok(Some(identities.needed_for(commit, account)));
                }
                Err(CommitFault::Device(DeviceFault::Unknown)) if !self.has_fetched => {
                    return Ok(Some(identities.needed_for(commit, commit.author)));
                }
                Err(fault) => return Err(broken(&fault)),
            }
            match &mut self.state {
                Some(state) => state.apply(*seq, *time, commit),
                None if *seq == Seq(1) => self.state = RoomState::create(commit, *time),
                None => {}
            }
            if self.state.as_ref().is_none_or(|state| state.room() != self.room) {
                return Err(broken(&"they are of another room"));
            }
            self.n_verified += 1;
            self.has_fetched = false;
        }
        Ok(None)
    }
}

/// Verifies a room from its creation and takes up its log at the newcomer's anchor.
#[derive(Debug)]
pub(in super::super) struct Enter {
    room: RoomId,
    stage: EnterStage,
}

#[derive(Debug)]
enum EnterStage {
    Verifying(VerifyRoom),
    Storing(WriteId, Box<Entered>),
}

/// A room that was verified and is not stored yet.
#[derive(Debug)]
struct Entered {
    state: RoomState,
    anchor: LogHash,
    commits: Vec<Placed>,
}

impl Enter {
    /// Enters this room.
    pub(in super::super) fn of(room: RoomId) -> Self {
        Self { room, stage: EnterStage::Verifying(VerifyRoom::of(room)) }
    }

    fn go(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Result<(), OpenFailure>> {
        let State { account, identities, rooms, .. } = state;
        if let EnterStage::Verifying(verify) = &mut self.stage {
            let room_state = ready!(verify.poll(account, identities, cx))?;
            let commits = std::mem::take(&mut verify.commits);
            let anchor = anchor(&room_state, &commits, account.id, self.room)?;
            let entered = Entered { state: room_state, anchor, commits };
            let Some(room) = rooms.all.get(&self.room) else { return Poll::Ready(Ok(())) };
            let writes = entered.writes(room, account.id);
            self.stage = EnterStage::Storing(cx.write(writes), Box::new(entered));
        }
        let EnterStage::Storing(write, entered) = &mut self.stage else { return Poll::Pending };
        let written = ready!(cx.written(*write));
        written.map_err(|error| OpenFailure::Command(storage(&error)))?;
        rooms.take_up(self.room, entered, account.id, cx);
        Poll::Ready(Ok(()))
    }
}

impl Step for Enter {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        let id = self.room;
        if let Some(room) = state.rooms.all.get_mut(&id) {
            room.is_entering = true;
        }
        let result = ready!(self.go(state, cx));
        if let Some(room) = state.rooms.all.get_mut(&id) {
            room.is_entering = false;
        }
        match result {
            Ok(()) => {
                // The changes were read later than the head was told.
                state.rooms.begin_log(id, cx);
                if let Some(room) = state.rooms.all.get_mut(&id) {
                    room.is_fetching_keys = true;
                }
                cx.start(Work::FetchKeys(id));
            }
            Err(OpenFailure::Later) => {}
            Err(OpenFailure::Broken(text)) => {
                state.rooms.stop(id, &text, cx);
                cx.alarm(Some(id), None, AlarmCause::BrokenLog, text);
            }
            Err(OpenFailure::Command(error)) => {
                tracing::warn!(room = id.short(), %error, "a room could not be entered");
            }
        }
        state.rooms.show(id, cx);
        Poll::Ready(())
    }
}

impl Entered {
    fn facts(&self, room: &OneRoom, me: AccountId) -> RoomFacts {
        RoomFacts {
            kind: self.state.kind(),
            mode: self.state.mode(),
            is_member: self.state.is_member(me),
            held_from: self.anchor.seq().next(),
            ..room.facts.clone()
        }
    }

    fn writes(&self, room: &OneRoom, me: AccountId) -> Vec<Write> {
        let kept = self.commits.iter().map(|(seq, time, commit)| StoredCommit {
            seq: *seq,
            time: *time,
            entry: commit.entry().to_vec(),
        });
        let batch = Batch {
            commits: kept.collect(),
            cursor: Some((self.anchor.seq(), self.anchor.hash())),
            ..Batch::default()
        };
        vec![
            Write::Facts { room: room.id, facts: self.facts(room, me) },
            Write::Batch { room: room.id, batch },
        ]
    }
}

impl Rooms {
    /// Begins to follow a room that was verified and stored.
    fn take_up(&mut self, id: RoomId, entered: &Entered, me: AccountId, cx: &mut Context<'_>) {
        let Some(room) = self.all.get_mut(&id) else { return };
        room.facts = entered.facts(room, me);
        room.state = Some(entered.state.clone());
        room.applied = entered.anchor;
        room.stored = entered.anchor.seq();
        room.is_whole = entered.anchor.seq() == Seq(0);
        room.sync = Some(RoomSync::resume(id, entered.anchor, entered.anchor));
        for (seq, _, commit) in &entered.commits {
            room.commits.insert(*seq, sha256(&[commit.entry()]));
            // The secrets of own commits that were on their way.
            if let Some(secret) = room.keys.accept_own(commit.hash(), commit.epoch) {
                let epoch = commit.epoch;
                cx.write(vec![Write::EpochSecret { room: id, epoch, secret }]);
            }
        }
        room.refresh_settings();
        cx.write(vec![room.write_facts()]);
    }
}

/// Where a newcomer takes up the log.
fn anchor(
    state: &RoomState,
    commits: &[Placed],
    account: AccountId,
    id: RoomId,
) -> Result<LogHash, OpenFailure> {
    let joined = state.stays(account).last().map(|stay| stay.from);
    let Some(joined) = joined else {
        let text = "this account is in no change of the room".to_owned();
        return Err(OpenFailure::Broken(text));
    };
    let commit = commits.iter().find(|(seq, ..)| *seq == joined).map(|(.., commit)| commit);
    Ok(match commit {
        Some(commit) if joined > Seq(1) && commit.seen_seq > Seq(0) => {
            LogHash::at(commit.seen_seq, commit.seen_hash)
        }
        _ => LogHash::start(id),
    })
}
