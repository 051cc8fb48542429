//! The desk: where sessions hand in what is to be changed.
//!
//! Owns the bounded queue in front of the one writer thread. Never blocks a session: a full queue is
//! answered at once, and the client comes again.

use std::io;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use mathia_protocol::id::TimeMs;
use mathia_protocol::wire::Registration;

use super::at_rest::MasterKey;
use super::clerk::{Clerk, Setting};
use super::job::Job;
use super::retention::Retention;
use super::sampler::Sampler;
use super::writer::{Fatal, WriterLoop};
use crate::accounts::Chains;
use crate::clock::Clock;
use crate::damage::Damage;
use crate::hub::Hub;
use crate::limits::Limits;
use crate::store::{Store, StoreError};

/// What a desk needs beside the store and the hub.
#[derive(Debug, Clone)]
pub struct DeskParts {
    /// Seals what is at rest.
    pub master: Arc<MasterKey>,
    /// Shared with logins and reads.
    pub chains: Arc<Chains>,
    /// The operator's bounds.
    pub limits: Limits,
    /// Who may make accounts.
    pub registration: Registration,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What happens when the database fails.
    pub fatal: Fatal,
    /// Counts what is found damaged.
    pub damage: Arc<Damage>,
}

/// The way to the writer. Shared by all sessions.
#[derive(Debug)]
pub struct Desk {
    jobs: SyncSender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Desk {
    /// Opens the store's writer and starts its thread.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store has a writer already or fails; also when no thread can be
    /// started. Retrying does not help.
    pub fn start(store: &dyn Store, hub: Arc<Hub>, parts: DeskParts) -> Result<Self, StoreError> {
        let writer = store.writer()?;
        let realm = store.reader()?.realm()?;
        let DeskParts { master, chains, limits, registration, clock, fatal, damage } = parts;
        let (jobs, waiting) = sync_channel(limits.writer_queue_max.max(1));
        let batch_max = limits.batch_max.max(1);
        let sampler = Sampler::start(jobs.clone()).map_err(StoreError::broken)?;
        let setting = Setting { realm, registration, master, chains, limits, damage };
        let work = WriterLoop {
            clerk: Clerk::new(setting, sampler),
            store: writer,
            jobs: waiting,
            hub,
            clock,
            batch_max,
            fatal,
            retention: Retention::default(),
            timers_rest_until: TimeMs(0),
        };
        let thread = spawn(work).map_err(|error| StoreError::Broken(Box::new(error)))?;
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

fn spawn(work: WriterLoop) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("writer".into()).spawn(move || work.run())
}
