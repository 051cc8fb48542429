//! One batch after the other, step by step: jobs and due timers in one transaction, then what they
//! send.
//!
//! Owns the rule that an answer leaves only when the disk has what it says (invariant 1). Has no
//! thread, no queue and no clock: [`WriteQueue`](super::WriteQueue) drives it in a server, and
//! [`RoomServer`](super::RoomServer) in a simulation.

use std::fmt;
use std::sync::Arc;

use mathia_protocol::id::TimeMs;
use mathia_protocol::wire::Fault;
use rand::CryptoRng;

use super::batch::{Batch, BatchOutput};
use super::job::{AdminJob, Job};
use super::retention::Retention;
use super::room_writer::{RoomWriter, WriterSetting};
use super::sampler::Sample;
use crate::hub::{Bus, Hub};
use crate::store::{self, StoreError};

/// How long a caller waits after a full disk before it asks again, and timers rest.
const BUSY_RETRY_MS: u32 = 1_000;

/// The writing side of a server.
pub(super) struct BatchWriter {
    writer: RoomWriter,
    store: Box<dyn store::Writer>,
    hub: Arc<Hub>,
    bus: Arc<dyn Bus>,
    output: BatchOutput,
    retention: Retention,
    /// Timers rest until then: set after a failed batch, so that a full disk is not hammered.
    timers_rest_until: TimeMs,
}

impl fmt::Debug for BatchWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchWriter").field("writer", &self.writer).finish_non_exhaustive()
    }
}

/// Where a batch writer stores, and where it sends.
pub(super) struct BatchWriterParts {
    pub(super) store: Box<dyn store::Writer>,
    pub(super) hub: Arc<Hub>,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) setting: WriterSetting,
}

/// When and with what a batch runs.
pub(super) struct BatchContext<'a> {
    pub(super) now: TimeMs,
    pub(super) rng: &'a mut dyn CryptoRng,
    /// The last batch: all marks are flushed.
    pub(super) is_stopping: bool,
}

impl BatchWriter {
    /// Starts over a store; scheduled entries that became due before are due at once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Broken`]: what is on disk is not known.
    pub(super) fn start(parts: BatchWriterParts) -> Result<Self, StoreError> {
        let BatchWriterParts { store, hub, bus, setting } = parts;
        let mut this = Self {
            writer: RoomWriter::new(setting),
            store,
            hub,
            bus,
            output: BatchOutput::default(),
            retention: Retention::default(),
            timers_rest_until: TimeMs(0),
        };
        let writer = &mut this.writer;
        let read = this.store.batch(&mut |tx| {
            writer.next_due = tx.next_due()?;
            Ok(())
        });
        match read {
            Err(error @ StoreError::Broken(_)) => return Err(error),
            // A disk that is full at the start: the first batch looks again.
            Err(_) => this.writer.forget(),
            Ok(()) => {}
        }
        Ok(this)
    }

    /// Does the jobs and the timers that are due in one transaction, and sends what follows. Takes
    /// the jobs out of `jobs`; each is answered, also when the batch was rolled back.
    ///
    /// # Errors
    ///
    /// [`StoreError::Broken`]: nobody is answered, and what is on disk is not known.
    pub(super) fn batch(
        &mut self,
        jobs: &mut Vec<Job>,
        context: BatchContext<'_>,
    ) -> Result<(), StoreError> {
        let BatchContext { now, rng, is_stopping } = context;
        let do_timers = is_stopping || now >= self.timers_rest_until;
        self.writer.begin();
        let Self { writer, store, output, .. } = self;
        let result = store.batch(&mut |tx| {
            let mut b = Batch { tx, now, rng: &mut *rng, output };
            for job in jobs.iter_mut() {
                writer.run(&mut b, job)?;
            }
            if do_timers {
                writer.append_due(&mut b)?;
                writer.flush_marks(&mut b, is_stopping)?;
            }
            Ok(())
        });
        match result {
            Ok(()) => {
                self.send(jobs.len());
                jobs.clear();
                Ok(())
            }
            Err(error @ StoreError::Broken(_)) => Err(error),
            Err(error) => {
                self.refuse(&error, jobs, now);
                Ok(())
            }
        }
    }

    /// The batch is durable: what it says may be known.
    fn send(&mut self, n_jobs: usize) {
        metrics::counter!("mathia_batches_total").increment(1);
        metrics::counter!("mathia_jobs_total").increment(n_jobs as u64);
        self.writer.settle();
        // Answers have a queue of their own, so they may overtake the deliveries of their batch.
        self.hub.answer(self.output.answers.drain(..));
        self.bus.publish(&self.output.deliveries);
        self.hub.wake();
        self.output.deliveries.clear();
        self.output.pending.drain(..).for_each(|answer| answer(None));
    }

    /// A full disk, damaged rows, or one that was there against all expectation: nothing was stored.
    fn refuse(&mut self, error: &StoreError, jobs: &mut Vec<Job>, now: TimeMs) {
        if matches!(error, StoreError::Rotten(_)) {
            self.writer.damage.found(error, now);
        }
        let n_jobs = jobs.len();
        tracing::warn!(%error, n_jobs, "a batch was rolled back");
        metrics::counter!("mathia_batches_refused_total").increment(1);
        self.writer.forget();
        self.rest_timers(now);
        self.output.answers.clear();
        self.output.deliveries.clear();
        self.output.sample = Sample::NotWanted;
        self.output.pending.drain(..).for_each(|answer| answer(Some(busy())));
        jobs.drain(..).for_each(refuse_job);
    }

    /// Removes some of what rooms no longer keep, when that is due.
    ///
    /// # Errors
    ///
    /// [`StoreError::Broken`], as for [`Self::batch`].
    pub(super) fn expire_some(&mut self, now: TimeMs) -> Result<(), StoreError> {
        if now < self.timers_rest_until {
            return Ok(());
        }
        match self.retention.step(self.store.as_mut(), now) {
            Ok(()) => Ok(()),
            Err(error @ StoreError::Broken(_)) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "what has expired cannot be removed now");
                self.rest_timers(now);
                Ok(())
            }
        }
    }

    /// Whether a batch without jobs would have something to do.
    pub(super) fn has_timer_due(&self, now: TimeMs) -> bool {
        now >= self.timers_rest_until && self.next_timer(now).is_some_and(|due| due <= now)
    }

    /// When there is something to do without a job: a batch, or [`Self::expire_some`].
    pub(super) fn next_wakeup(&self, now: TimeMs) -> TimeMs {
        let expires = self.retention.due(now);
        let due = self.next_timer(now).map_or(expires, |due| due.min(expires));
        due.max(self.timers_rest_until)
    }

    /// Asks the next batch for a message whose signature can be checked.
    pub(super) fn wish_for(&mut self, sample: Sample) {
        self.output.sample = sample;
    }

    /// What the last batch had for the one who checks.
    pub(super) fn take_sample(&mut self) -> Sample {
        std::mem::take(&mut self.output.sample)
    }

    /// The next timer that a batch looks after.
    fn next_timer(&self, now: TimeMs) -> Option<TimeMs> {
        let timers = [self.writer.next_flush(now), self.writer.next_due];
        timers.into_iter().flatten().min()
    }

    fn rest_timers(&mut self, now: TimeMs) {
        self.timers_rest_until = TimeMs(now.0.saturating_add(BUSY_RETRY_MS.into()));
    }
}

fn busy() -> Fault {
    Fault::ServerBusy { retry_after_ms: BUSY_RETRY_MS }
}

/// Answers whoever waits for a job that nothing was stored.
fn refuse_job(job: Job) {
    match job {
        Job::Call { answer, .. } => {
            answer.frame_queue.fault(answer.call, &busy());
            answer.frame_queue.wake();
        }
        Job::Register { answer, .. } => drop(answer.send(Err(busy()))),
        Job::Recover { answer, .. } => drop(answer.send(Err(busy()))),
        Job::Admin(admin) => refuse_admin(admin),
        Job::LastSeen { .. } | Job::SignsWrongly { .. } | Job::Stop => {}
    }
}

fn refuse_admin(job: AdminJob) {
    match job {
        AdminJob::CreateInvite { answer, .. } | AdminJob::RevokeInvite { answer, .. } => {
            drop(answer.send(Err(busy())));
        }
        AdminJob::Ping { answer } => drop(answer.send(Err(busy()))),
        AdminJob::Invites { answer } => drop(answer.send(Err(busy()))),
        AdminJob::RotateKeys { answer, .. } => drop(answer.send(Err(busy()))),
        AdminJob::Accounts { answer } => drop(answer.send(Err(busy()))),
        AdminJob::RemoveAccount { answer, .. } => drop(answer.send(Err(busy()))),
    }
}
