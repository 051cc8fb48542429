//! The storage thread: reads and writes of the replica, in the order in which the core asked.
//!
//! Owns the batches. One batch is at work at a time; what comes meanwhile is the next one, and the
//! writes in it that stand side by side share one transaction.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc;

use super::super::core::{Found, Input, Loaded, Output, Query, ReadId, SealId, SealOrder, WriteId};
use super::super::identity::{Identity, KeyKeeper};
use super::super::record::{DeviceLane, OutboxRow};
use super::super::replica::{DrainGuard, Replica, StorageError, Stored, Write, Written};
use crate::crypto::card::AgentCard;
use crate::crypto::user_chain::{SignedLink, UserChain};

/// Something to be done with the replica.
#[derive(Debug)]
pub(super) enum Job {
    /// Write in one transaction.
    Write(WriteId, Vec<Write>),
    /// Read.
    Read(ReadId, Query),
    /// Seal messages of the outbox.
    Seal(SealId, Box<SealOrder>),
    /// Save the identity.
    SaveIdentity(Arc<Identity>),
    /// Look what other processes of this device did, and become the one that sends if none is.
    Look,
}

/// The shell's end of the storage thread.
pub(super) struct Storage {
    batches: mpsc::Sender<Vec<Job>>,
    waiting: VecDeque<Job>,
    is_busy: bool,
}

impl Storage {
    /// Starts the thread; what it answers comes out of the receiver, one batch at a time.
    pub(super) fn start(
        replica: Replica,
        keeper: Arc<dyn KeyKeeper>,
    ) -> io::Result<(Self, mpsc::Receiver<Vec<Input>>)> {
        let (batches, mut queue) = mpsc::channel::<Vec<Job>>(1);
        let (answers, answered) = mpsc::channel(1);
        thread::Builder::new().name("mathia-storage".to_owned()).spawn(move || {
            let mut worker = Worker { replica, keeper, drain: None, stamp: None, change: None };
            while let Some(batch) = queue.blocking_recv() {
                if answers.blocking_send(worker.carry_out(batch)).is_err() {
                    break;
                }
            }
        })?;
        Ok((Self { batches, waiting: VecDeque::new(), is_busy: false }, answered))
    }

    /// Has something done after everything that was asked before.
    pub(super) fn push(&mut self, job: Job) {
        let is_known =
            matches!(job, Job::Look) && self.waiting.iter().any(|j| matches!(j, Job::Look));
        if !is_known {
            self.waiting.push_back(job);
        }
    }

    /// Hands over what waits, if the thread is free.
    pub(super) fn send(&mut self) {
        if self.is_busy || self.waiting.is_empty() {
            return;
        }
        // The thread is free, so the place in its queue is as well.
        if self.batches.try_send(self.waiting.drain(..).collect()).is_ok() {
            self.is_busy = true;
        }
    }

    /// The thread has answered a batch.
    pub(super) fn batch_done(&mut self) {
        self.is_busy = false;
    }

    /// How many jobs wait.
    pub(super) fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing is to be done.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_busy && self.waiting.is_empty()
    }
}

/// What the thread owns.
struct Worker {
    replica: Replica,
    keeper: Arc<dyn KeyKeeper>,
    /// Held by the one process that sends.
    drain: Option<Box<dyn DrainGuard>>,
    stamp: Option<u64>,
    /// The newest change of the outbox that was looked at; `None` before the first look.
    change: Option<u64>,
}

impl Worker {
    fn carry_out(&mut self, batch: Vec<Job>) -> Vec<Input> {
        let mut inputs = Vec::with_capacity(batch.len());
        let mut writes: Vec<(WriteId, usize)> = Vec::new();
        let mut together: Vec<Write> = Vec::new();
        for job in batch {
            if let Job::Write(id, mut one) = job {
                writes.push((id, one.len()));
                together.append(&mut one);
                continue;
            }
            self.commit(&mut writes, &mut together, &mut inputs);
            match job {
                Job::Read(id, query) => inputs.push(Input::Read(id, find(&self.replica, query))),
                Job::Seal(id, order) => inputs.push(Input::Sealed(id, seal(&self.replica, &order))),
                Job::SaveIdentity(identity) => {
                    let saved = self.keeper.save(&identity).map_err(|error| error.to_string());
                    inputs.push(Input::IdentitySaved(saved));
                }
                Job::Look => self.look(&mut inputs),
                Job::Write(..) => {}
            }
        }
        self.commit(&mut writes, &mut together, &mut inputs);
        inputs
    }

    /// Commits what was gathered: together, or one by one if together it does not go.
    fn commit(
        &self,
        writes: &mut Vec<(WriteId, usize)>,
        together: &mut Vec<Write>,
        inputs: &mut Vec<Input>,
    ) {
        let (writes, together) = (std::mem::take(writes), std::mem::take(together));
        let all = if writes.len() > 1 { self.replica.commit(&together) } else { Ok(Vec::new()) };
        let mut rest = together.as_slice();
        let mut done = all.ok().filter(|done| !done.is_empty()).map(Vec::into_iter);
        for (id, len) in writes {
            let (own, others) = rest.split_at(len);
            rest = others;
            let written: Stored<Vec<Written>> = match &mut done {
                Some(done) => Ok(done.by_ref().take(len).collect()),
                None => self.replica.commit(own),
            };
            inputs.push(Input::Written(id, written));
        }
    }

    fn look(&mut self, inputs: &mut Vec<Input>) {
        if self.drain.is_none() {
            match self.replica.try_lock_drain() {
                Ok(Some(guard)) => {
                    self.drain = Some(guard);
                    inputs.push(Input::DrainTaken);
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "the drain lock cannot be taken"),
            }
        }
        match self.replica.change_stamp() {
            Ok(stamp) if self.stamp != Some(stamp) => match self.changes() {
                Ok(rows) => {
                    self.stamp = Some(stamp);
                    if !rows.is_empty() {
                        inputs.push(Input::OutboxChanged(rows));
                    }
                }
                Err(error) => tracing::debug!(%error, "the outbox cannot be read"),
            },
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the replica does not answer"),
        }
    }

    fn changes(&mut self) -> Stored<Vec<OutboxRow>> {
        let Some(mut change) = self.change else {
            // First what is open, then whatever changes from here on.
            let change = self.replica.last_outbox_change()?;
            let rows = self.replica.outbox(None)?;
            self.change = Some(change);
            return Ok(rows);
        };
        let mut rows = Vec::new();
        loop {
            let (mut more, next) = self.replica.outbox_changes(change)?;
            change = next;
            if more.is_empty() {
                self.change = Some(change);
                return Ok(rows);
            }
            rows.append(&mut more);
        }
    }
}

/// Reads everything but entries, at the start.
pub fn load(replica: &Replica) -> Stored<Loaded> {
    let mut chains = Vec::new();
    for (account, links) in replica.chains()? {
        let links: Vec<SignedLink> = links.into_iter().map(SignedLink).collect();
        match UserChain::verify(&links) {
            Ok(chain) if chain.account() == account => chains.push(chain),
            // Fetched anew when it is needed.
            _ => tracing::warn!(account = account.short(), "a stored chain does not verify"),
        }
    }
    let cards = replica.cards()?.into_iter();
    let cards = cards.filter_map(|(_, bytes)| AgentCard::decode_unverified(&bytes).ok()).collect();
    let mut rooms = Vec::new();
    for record in replica.rooms()? {
        rooms.extend(replica.load_room(record.room)?);
    }
    Ok(Loaded { server: replica.server()?, chains, contacts: replica.contacts()?, cards, rooms })
}

/// Carries out what the core asks of the replica, without a thread: for tests and simulations.
///
/// Returns what to give the core back; any other output comes back as it is.
///
/// # Errors
///
/// The output, if it does not concern the replica.
pub fn carry_out(replica: &Replica, output: Output) -> Result<Input, Box<Output>> {
    match output {
        Output::Read(id, query) => Ok(Input::Read(id, find(replica, query))),
        Output::Write(id, writes) => Ok(Input::Written(id, replica.commit(&writes))),
        Output::Seal(id, order) => Ok(Input::Sealed(id, seal(replica, &order))),
        other => Err(Box::new(other)),
    }
}

fn find(replica: &Replica, query: Query) -> Stored<Found> {
    Ok(match query {
        Query::HashAt { room, seq } => Found::Hash(replica.hash_at(room, seq)?),
        Query::Entries { room, seqs } => {
            let mut entries = Vec::with_capacity(seqs.len());
            for seq in seqs {
                entries.extend(replica.entry(room, seq)?);
            }
            Found::Entries(entries)
        }
        Query::Before { room, before, count } => {
            Found::Entries(replica.entries_before(room, before, count)?)
        }
        Query::After { room, after, count } => {
            Found::Entries(replica.entries_after(room, after, count)?)
        }
        Query::Unreadable { room, cause, count } => {
            let mut entries = Vec::new();
            for seq in replica.unreadable(room, cause, count)? {
                entries.extend(replica.entry(room, seq)?);
            }
            Found::Entries(entries)
        }
        Query::Secrets(room) => {
            let mut secrets = Vec::new();
            for epoch in replica.epochs(room)? {
                secrets.extend(replica.epoch_secret(room, epoch)?.map(|secret| (epoch, secret)));
            }
            Found::Secrets(secrets)
        }
        Query::SentRows(room) => Found::Rows(replica.sent_rows(room)?.into_iter().collect()),
        Query::Invites => Found::Invites(replica.invites()?),
        Query::Room(room) => Found::Room(replica.load_room(room)?.map(Box::new)),
    })
}

fn seal(replica: &Replica, order: &SealOrder) -> Result<Vec<OutboxRow>, StorageError> {
    let mut rng = order.with.rng();
    let mut seal = |lane: &DeviceLane, row: &OutboxRow| {
        // A replica that was lost and made anew continues what the log shows.
        let lane = if order.logged.last > lane.last { &order.logged } else { lane };
        order.with.seal_row(&mut rng, lane, row)
    };
    if order.is_anew {
        let rows = replica.reseal(order.room, &order.logged, &mut seal)?;
        return Ok(rows.into_iter().collect());
    }
    Ok(replica.seal_next(order.room, &mut seal)?.into_iter().collect())
}
