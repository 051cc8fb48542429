//! Reading logs: the newcomer's way in, pages forward, older pages on demand.
//!
//! A newcomer believes nothing: it verifies every commit from the creation on, takes `H` at the
//! position that the commit which added it had seen, and goes forward from there (CRYPTO B3,
//! "Newcomer's anchor").

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::super::event::AlarmCause;
use super::super::link::BulkError;
use super::super::record::{Batch, RoomFacts, StoredCommit};
use super::room::{Room, Task};
use super::{Engine, storage};
use crate::client::CommandError;
use crate::crypto::commit::Commit;
use crate::id::{AccountId, RoomId, Seq, TimeMs};
use crate::log::sync::{Input, RoomSync};
use crate::log::{
    CommitFault, Context, DeviceFault, LogHash, RoomState, validate_commit, validate_create,
};
use crate::wire::{BulkRequest, EntryBody, Fault};

/// Entries that wait to be judged before the next page is taken from the stream.
const QUEUE_MAX: usize = 256;
/// A failed read is tried again after this, by the sync machine.
const READ_PAUSE: Duration = Duration::from_millis(500);
/// A page that is read waits at most this long for the judging of the one before.
const QUEUE_PATIENCE: Duration = Duration::from_mins(1);

/// A commit with its place.
type Placed = (Seq, TimeMs, Commit);

/// Why a room cannot be opened.
enum OpenError {
    /// The connection is gone, or the server cannot answer now: another time.
    Later,
    /// The room's commits are not valid.
    Broken(String),
    /// The replica failed.
    Command(CommandError),
}

impl Engine {
    /// Reads forward from a position.
    pub(super) async fn pull_after(self: Rc<Self>, id: RoomId, after: Seq, count: u32) {
        let request = BulkRequest::After { room: id, after, count };
        if let Err(error) = self.pull(id, &request).await {
            tracing::debug!(room = id.short(), %error, "reading a log failed");
            self.tell_damage(id, &error);
            sleep(READ_PAUSE).await;
            self.feed(id, Input::PageFailed);
        }
    }

    /// Says once that the server has lost a part of a room.
    fn tell_damage(&self, id: RoomId, error: &BulkError) {
        let BulkError::Fault(fault @ Fault::Damaged) = error else { return };
        let is_new = {
            let mut core = self.core.borrow_mut();
            let room = core.rooms.get_mut(&id);
            room.is_some_and(|room| !std::mem::replace(&mut room.is_damage_told, true))
        };
        if is_new {
            self.notice(Some(id), format!("a part of this room cannot be read: {fault}"));
        }
    }

    async fn pull(self: &Rc<Self>, id: RoomId, request: &BulkRequest) -> Result<(), BulkError> {
        let lost = || super::super::StreamError::Lost("there is no session".to_owned());
        let link = self.link().ok_or_else(lost)?;
        let mut pages = link.bulk(request).await?;
        let mut is_last = false;
        while !is_last {
            let Some(page) = pages.next().await? else { break };
            is_last = page.is_last;
            let has_room = || {
                let core = self.core.borrow();
                core.rooms.get(&id).is_none_or(|room| room.queue.len() < QUEUE_MAX)
            };
            self.until(QUEUE_PATIENCE, has_room).await;
            let (hash_before, entries) = (page.hash_before, page.entries);
            self.feed(id, Input::Page { hash_before, entries, is_last });
        }
        Ok(())
    }

    /// Reads older pages.
    pub(super) async fn pull_before(self: Rc<Self>, id: RoomId, before: Seq, count: u32) {
        let request = BulkRequest::Before { room: id, before, count };
        if let Err(error) = self.pull_older(id, &request).await {
            tracing::debug!(room = id.short(), %error, "reading older entries failed");
            self.tell_damage(id, &error);
            self.feed(id, Input::OlderFailed);
        }
        if let Some(room) = self.core.borrow_mut().rooms.get_mut(&id) {
            room.n_older_reads += 1;
        }
        self.wake();
    }

    async fn pull_older(
        self: &Rc<Self>,
        id: RoomId,
        request: &BulkRequest,
    ) -> Result<(), BulkError> {
        let lost = || super::super::StreamError::Lost("there is no session".to_owned());
        let link = self.link().ok_or_else(lost)?;
        let mut pages = link.bulk(request).await?;
        while let Some(page) = pages.next().await? {
            let (hash_before, entries, is_last) = (page.hash_before, page.entries, page.is_last);
            self.feed(id, Input::OlderPage { hash_before, entries, is_last });
        }
        Ok(())
    }

    /// Brings a room to where entries can be judged: known from the replica, or entered anew.
    pub(super) fn open_room(self: &Rc<Self>, id: RoomId) {
        let mut core = self.core.borrow_mut();
        let Some(room) = core.rooms.get_mut(&id) else { return };
        if room.sync.is_some() {
            let head = room.head;
            drop(core);
            if let Some((seq, hash)) = head {
                self.feed(id, Input::Head { seq, hash });
            }
            self.go(|engine| engine.fetch_keys(id));
            return;
        }
        // A broken log stays closed; whoever dares may forget the room.
        if room.facts.stopped.is_some() || !room.begin(Task::Enter) {
            return;
        }
        drop(core);
        self.go(|engine| async move {
            let result = engine.enter(id).await;
            if let Some(room) = engine.core.borrow_mut().rooms.get_mut(&id) {
                room.end(Task::Enter);
            }
            match result {
                Ok(()) => engine.open_room(id),
                Err(OpenError::Later) => {}
                Err(OpenError::Broken(text)) => {
                    engine.stop_room(id, &text);
                    engine.alarm(Some(id), None, AlarmCause::BrokenLog, text);
                }
                Err(OpenError::Command(error)) => {
                    tracing::warn!(room = id.short(), %error, "a room could not be entered");
                }
            }
            engine.tell_room(id);
            engine.wake();
        });
    }

    /// Verifies a room from its creation and takes up its log at the newcomer's anchor.
    async fn enter(self: &Rc<Self>, id: RoomId) -> Result<(), OpenError> {
        let commits = self.read_commits(id).await?;
        let state = self.verify_commits(id, &commits).await?;
        let anchor = anchor(&state, &commits, self.account, id)?;
        let mut core = self.core.borrow_mut();
        let Some(room) = core.rooms.get_mut(&id) else { return Ok(()) };
        room.facts = RoomFacts {
            kind: state.kind(),
            mode: state.mode(),
            is_member: state.is_member(self.account),
            held_from: anchor.seq().next(),
            ..room.facts.clone()
        };
        let kept = commits.iter().map(|(seq, time, commit)| StoredCommit {
            seq: *seq,
            time: *time,
            entry: commit.entry().to_vec(),
        });
        let batch = Batch {
            commits: kept.collect(),
            cursor: Some((anchor.seq(), anchor.hash())),
            ..Batch::default()
        };
        let replica = &self.replica;
        let stored =
            replica.put_room(id, &room.facts).and_then(|()| replica.apply(id, batch).map(drop));
        stored.map_err(|error| OpenError::Command(storage(&error)))?;
        take_own_secrets(self, room, &commits).map_err(OpenError::Command)?;
        room.state = Some(state);
        room.applied = anchor;
        room.is_whole = anchor.seq() == Seq(0);
        room.sync = Some(RoomSync::resume(id, anchor, anchor));
        room.refresh_settings(replica).map_err(|error| OpenError::Command(storage(&error)))
    }

    async fn read_commits(&self, id: RoomId) -> Result<Vec<Placed>, OpenError> {
        let link = self.link().ok_or(OpenError::Later)?;
        let request = BulkRequest::Commits { room: id, after: Seq(0) };
        let mut pages = link.bulk(&request).await.map_err(|_| OpenError::Later)?;
        let mut commits: Vec<Placed> = Vec::new();
        loop {
            match pages.next().await {
                Ok(Some(page)) => {
                    for entry in page.entries {
                        let EntryBody::Whole(bytes) = entry.body else {
                            return Err(OpenError::Broken(
                                "a change of the room is gone".to_owned(),
                            ));
                        };
                        let commit = Commit::decode(bytes)
                            .map_err(|error| OpenError::Broken(error.to_string()))?;
                        if commits.last().is_some_and(|(seq, ..)| *seq >= entry.seq) {
                            let text = "the room's changes are out of order".to_owned();
                            return Err(OpenError::Broken(text));
                        }
                        commits.push((entry.seq, entry.time, commit));
                    }
                }
                Ok(None) => return Ok(commits),
                Err(BulkError::Fault(Fault::NotFound)) => {
                    let text = "there is no such room, or you may not see it".to_owned();
                    return Err(OpenError::Command(CommandError::NotFound(text)));
                }
                Err(_) => return Err(OpenError::Later),
            }
        }
    }

    /// Judges all commits of a room in order; fetches the chains of everybody in them first.
    async fn verify_commits(
        self: &Rc<Self>,
        id: RoomId,
        commits: &[Placed],
    ) -> Result<RoomState, OpenError> {
        let broken = |error: &dyn std::fmt::Display| {
            OpenError::Broken(format!("the room's changes do not verify: {error}"))
        };
        self.fetch_chains(&self.unknown_people(commits)).await.map_err(|_| OpenError::Later)?;
        let mut state: Option<RoomState> = None;
        for (seq, time, commit) in commits {
            let mut has_fetched = false;
            loop {
                let fault = {
                    let core = self.core.borrow();
                    let chains = &core.people.chains;
                    let result = match &state {
                        Some(state) => validate_commit(state, commit, chains, Context::History),
                        None => validate_create(commit, chains, Context::History),
                    };
                    let Err(fault) = result else { break };
                    fault
                };
                let account = match fault {
                    CommitFault::NeedChain { account, .. } if !has_fetched => account,
                    CommitFault::Device(DeviceFault::Unknown) if !has_fetched => commit.author,
                    fault => return Err(broken(&fault)),
                };
                has_fetched = true;
                // Fetched once for a commit, so all that it may need.
                let need = self.core.borrow().people.needed_for(commit, account);
                self.fetch_chains(&need).await.map_err(|error| match error {
                    CommandError::Untrusted(text) => OpenError::Broken(text),
                    _ => OpenError::Later,
                })?;
            }
            match &mut state {
                Some(state) => state.apply(*seq, *time, commit),
                None if *seq == Seq(1) => state = RoomState::create(commit, *time),
                None => {}
            }
            if state.as_ref().is_none_or(|state| state.room() != id) {
                return Err(broken(&"they are of another room"));
            }
        }
        state.ok_or_else(|| broken(&"there are none"))
    }

    fn unknown_people(&self, commits: &[Placed]) -> Vec<AccountId> {
        let core = self.core.borrow();
        let mut people: Vec<AccountId> = commits
            .iter()
            .flat_map(|(_, _, commit)| {
                commit.changed.iter().map(|member| member.account).chain([commit.author])
            })
            .filter(|account| !core.people.chains.contains_key(account))
            .collect();
        people.sort_unstable();
        people.dedup();
        people
    }

    /// Reads and verifies an open room's commits before this account is in it.
    pub(super) async fn look_into(self: &Rc<Self>, id: RoomId) -> Result<RoomState, CommandError> {
        let opened = match self.read_commits(id).await {
            Ok(commits) => self.verify_commits(id, &commits).await,
            Err(error) => Err(error),
        };
        opened.map_err(|error| match error {
            OpenError::Later => CommandError::TimedOut,
            OpenError::Broken(text) => CommandError::Untrusted(text),
            OpenError::Command(error) => error,
        })
    }
}

/// Where a newcomer takes up the log.
fn anchor(
    state: &RoomState,
    commits: &[Placed],
    account: AccountId,
    id: RoomId,
) -> Result<LogHash, OpenError> {
    let joined = state.stays(account).last().map(|stay| stay.from);
    let Some(joined) = joined else {
        let text = "this account is in no change of the room".to_owned();
        return Err(OpenError::Broken(text));
    };
    let commit = commits.iter().find(|(seq, ..)| *seq == joined).map(|(.., commit)| commit);
    Ok(match commit {
        Some(commit) if joined > Seq(1) && commit.seen_seq > Seq(0) => {
            LogHash::at(commit.seen_seq, commit.seen_hash)
        }
        _ => LogHash::start(id),
    })
}

/// Keeps the secrets of own commits that were on their way.
fn take_own_secrets(
    engine: &Engine,
    room: &mut Room,
    commits: &[Placed],
) -> Result<(), CommandError> {
    for (_, _, commit) in commits {
        if let Some(secret) = room.own_secrets.remove(&commit.hash()) {
            engine
                .replica
                .put_epoch_secret(room.id, commit.epoch, &secret)
                .map_err(|error| storage(&error))?;
        }
    }
    Ok(())
}
