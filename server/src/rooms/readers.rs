//! The pool of threads that read: each with its own view of the store, none in the writer's way.
//!
//! Owns the bounded queue of reads. A read sees every batch whose commit has returned.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use mathia_protocol::wire::Fault;
use tokio::sync::oneshot;

use super::fatal::Fatal;
use crate::refusal::Refusal;
use crate::store::{Read, Store, StoreError};

/// Reads that may wait: a thousand clients that reconnect at once, and some.
const QUEUE_MAX: usize = 4_096;

type Work = Box<dyn FnOnce(&dyn Read) + Send>;

/// The queue is full. Answer `ServerBusy`; a retry may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many reads are waiting")]
pub struct Full;

/// The pool. Shared by all sessions; its threads end when it is dropped.
#[derive(Debug)]
pub struct Readers {
    queue: Option<SyncSender<Work>>,
    threads: Vec<JoinHandle<()>>,
    fatal: Fatal,
}

impl Readers {
    /// Starts `n_threads` threads, at least one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be read or a thread cannot be started.
    pub fn start(store: &dyn Store, n_threads: usize, fatal: Fatal) -> Result<Self, StoreError> {
        let (queue, waiting) = sync_channel(QUEUE_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let mut threads = Vec::new();
        for _ in 0..n_threads.max(1) {
            let (reader, waiting) = (store.reader()?, Arc::clone(&waiting));
            let thread = std::thread::Builder::new()
                .name("reader".into())
                .spawn(move || work(reader.as_ref(), &waiting))
                .map_err(|error| StoreError::Broken(Box::new(error)))?;
            threads.push(thread);
        }
        Ok(Self { queue: Some(queue), threads, fatal })
    }

    /// Hands in a read; it runs when a thread is free.
    ///
    /// # Errors
    ///
    /// [`Full`] if too many wait.
    pub fn submit(&self, work: impl FnOnce(&dyn Read) + Send + 'static) -> Result<(), Full> {
        let queue = self.queue.as_ref().ok_or(Full)?;
        queue.try_send(Box::new(work)).map_err(|_| Full)
    }

    /// Runs a read and waits for what it yields.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: that of the read; [`Fault::ServerBusy`] if too many reads wait. A database that
    /// failed ends the process, as it does for the writer.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the read still runs and its result is thrown away.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Read) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let busy = || Refusal::Fault(Fault::ServerBusy { retry_after_ms: 1_000 });
        let (sender, result) = oneshot::channel();
        let fatal = self.fatal.clone();
        let job = move |read: &dyn Read| {
            let result = work(read);
            if let Err(Refusal::Store(error @ StoreError::Broken(_))) = &result {
                fatal.strike(error);
            }
            // The session may have gone meanwhile.
            drop(sender.send(result));
        };
        self.submit(job).map_err(|Full| busy())?;
        result.await.unwrap_or_else(|_| Err(busy()))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // A panic there ended one read; its session was answered that the server is busy.
            drop(thread.join());
        }
    }
}

fn work(reader: &dyn Read, waiting: &Mutex<Receiver<Work>>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        // A panic in one read must not take the thread from all others.
        let run = std::panic::AssertUnwindSafe(|| work(reader));
        if std::panic::catch_unwind(run).is_err() {
            tracing::error!("a read panicked");
        }
    }
}
