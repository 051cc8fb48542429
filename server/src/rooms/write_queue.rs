//! The queue of changes, and the one thread that does them.
//!
//! Owns the bounded queue in front of the writer. Takes whatever is there and never waits for more;
//! never blocks a session: a full queue is answered at once, and the client comes again.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use mathia_protocol::wire::Registration;

use super::at_rest::MasterKey;
use super::batch_writer::{BatchContext, BatchWriter, BatchWriterParts};
use super::fatal::Fatal;
use super::job::Job;
use super::room_writer::WriterSetting;
use super::sampler::Sampler;
use crate::accounts::Chains;
use crate::clock::Clock;
use crate::damage::Damage;
use crate::hub::{Bus, Hub};
use crate::limits::Limits;
use crate::store::{Store, StoreError};

/// The longest sleep: a clock that jumped is noticed after this.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// What a write queue needs beside the store.
#[derive(Debug, Clone)]
pub struct WriteQueueParts {
    /// Takes answers.
    pub hub: Arc<Hub>,
    /// Takes deliveries.
    pub bus: Arc<dyn Bus>,
    /// Seals what is at rest.
    pub master: Arc<MasterKey>,
    /// Shared with logins and reads.
    pub chains: Arc<Chains>,
    /// The operator's bounds.
    pub limits: Limits,
    /// Who may make accounts.
    pub registration: Registration,
    /// Gives the time.
    pub clock: Arc<dyn Clock>,
    /// What happens when the database fails.
    pub fatal: Fatal,
    /// Counts what is found damaged.
    pub damage: Arc<Damage>,
}

/// The way to the writer. Shared by all sessions.
#[derive(Debug)]
pub struct WriteQueue {
    jobs: SyncSender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl WriteQueue {
    /// Opens the store's writer and starts its thread.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store has a writer already or fails; also when no thread can be
    /// started. Retrying does not help.
    pub fn start(store: &dyn Store, parts: WriteQueueParts) -> Result<Self, StoreError> {
        let writer = store.writer()?;
        let realm = store.reader()?.realm()?;
        let WriteQueueParts { hub, bus, master, chains, limits, registration, .. } = parts;
        let (clock, fatal, damage) = (parts.clock, parts.fatal, parts.damage);
        let (jobs, waiting) = sync_channel(limits.writer_queue_max.max(1));
        let batch_max = limits.batch_max.max(1);
        let sampler = Sampler::start(jobs.clone()).map_err(StoreError::broken)?;
        let setting = WriterSetting { realm, registration, master, chains, limits, damage };
        let parts = BatchWriterParts { store: writer, hub, bus, setting };
        let thread = WriterThread { jobs: waiting, sampler, clock, batch_max, fatal };
        let thread = spawn(thread, parts).map_err(StoreError::broken)?;
        Ok(Self { jobs, thread: Mutex::new(Some(thread)) })
    }

    /// Hands a job in; its answer comes once it is durable, or refused.
    ///
    /// # Errors
    ///
    /// The job itself if the queue is full or the writer has stopped: answer
    /// [`mathia_protocol::wire::Fault::ServerBusy`]; a retry may succeed.
    #[expect(clippy::result_large_err, reason = "the job goes back to its owner, moved once")]
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }

    /// Finishes what was handed in before, flushes marks, and ends the thread. Blocks until then.
    pub fn stop(&self) {
        // The writer may have ended already; then there is nothing to finish.
        drop(self.jobs.send(Job::Stop));
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic there has been reported by the writer itself.
            drop(thread.join());
        }
    }
}

fn spawn(thread: WriterThread, parts: BatchWriterParts) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("writer".into()).spawn(move || {
        let _guard = PanicGuard(thread.fatal.clone());
        if let Err(error) = thread.run(parts) {
            thread.fatal.strike(&error);
        }
    })
}

/// The loop of the writer's thread.
struct WriterThread {
    jobs: Receiver<Job>,
    sampler: Sampler,
    clock: Arc<dyn Clock>,
    batch_max: usize,
    fatal: Fatal,
}

impl WriterThread {
    /// Works until a job says to stop, or until the database fails.
    fn run(&self, parts: BatchWriterParts) -> Result<(), StoreError> {
        let mut writer = BatchWriter::start(parts)?;
        let mut jobs: Vec<Job> = Vec::with_capacity(self.batch_max);
        let mut rng = rand::rng();
        let mut is_stopping = false;
        while !is_stopping {
            match self.jobs.recv_timeout(self.sleep(&writer)) {
                Ok(job) => jobs.push(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => is_stopping = true,
            }
            while jobs.len() < self.batch_max
                && let Ok(job) = self.jobs.try_recv()
            {
                jobs.push(job);
            }
            is_stopping |= jobs.iter().any(|job| matches!(job, Job::Stop));
            let now = self.clock.now_ms();
            if !jobs.is_empty() || is_stopping || writer.has_timer_due(now) {
                writer.wish_for(self.sampler.wish());
                writer.batch(&mut jobs, BatchContext { now, rng: &mut rng, is_stopping })?;
                self.sampler.take(writer.take_sample());
            }
            if !is_stopping {
                writer.expire_some(self.clock.now_ms())?;
            }
        }
        Ok(())
    }

    /// Until the next timer; never nothing, so that a clock that stands still costs no work.
    fn sleep(&self, writer: &BatchWriter) -> Duration {
        let now = self.clock.now_ms();
        let due = writer.next_wakeup(now);
        Duration::from_millis(due.0.saturating_sub(now.0).max(1)).min(SLEEP_MAX)
    }
}

/// A panic on this thread would leave a server that accepts and never answers: it ends instead.
struct PanicGuard(Fatal);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.strike(&StoreError::broken("the writer panicked"));
        }
    }
}
