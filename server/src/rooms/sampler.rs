//! A sample of message signatures, checked beside the writer (CRYPTO B4).
//!
//! Checking a signature costs more than all else that an append costs, so the writer checks none: the
//! connection proves the device, and every client checks. Yet a device that signs wrongly fills a
//! room with lines that nobody can believe. One message at a time is checked here, and the pause
//! after it is so long that the checks take a hundredth of one core, on any machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use mathia_protocol::crypto::identity::VerifyKey;
use mathia_protocol::crypto::message::{Message, MessageContext};

use super::job::Job;

/// A pause is this many times as long as the check before it: one percent in all.
const REST_FACTOR: u32 = 99;

/// An accepted message, and what it must have been signed with.
pub(super) struct Specimen {
    pub(super) entry: Vec<u8>,
    pub(super) context: MessageContext,
    pub(super) key: VerifyKey,
}

/// What a batch has for the sampler.
#[derive(Default)]
pub(super) enum Sample {
    /// Nothing: none is wanted.
    #[default]
    NotWanted,
    /// Nothing yet: the next message is wanted.
    Wanted,
    /// A message.
    Taken(Box<Specimen>),
}

impl Sample {
    /// Offers a message; it is copied only if one is wanted.
    pub(super) fn offer(&mut self, specimen: impl FnOnce() -> Specimen) {
        if matches!(self, Self::Wanted) {
            *self = Self::Taken(Box::new(specimen()));
        }
    }
}

/// The writer's end of the thread that checks.
#[derive(Debug)]
pub(super) struct Sampler {
    specimens: SyncSender<Box<Specimen>>,
    /// Set while a message is wanted.
    is_idle: Arc<AtomicBool>,
}

impl Sampler {
    /// Starts the thread that checks; it ends with the sampler. A device that signs wrongly is
    /// reported to the writer as a job.
    ///
    /// # Errors
    ///
    /// [`std::io::Error`] if no thread can be started.
    pub(super) fn start(jobs: SyncSender<Job>) -> std::io::Result<Self> {
        let (specimens, waiting) = sync_channel(1);
        let is_idle = Arc::new(AtomicBool::new(true));
        let idle = Arc::clone(&is_idle);
        std::thread::Builder::new()
            .name("sampler".into())
            .spawn(move || check_all(&waiting, &jobs, &idle))?;
        Ok(Self { specimens, is_idle })
    }

    /// What the next batch is asked for.
    pub(super) fn wish(&self) -> Sample {
        if self.is_idle.load(Ordering::Acquire) { Sample::Wanted } else { Sample::NotWanted }
    }

    /// Takes what a batch has.
    pub(super) fn take(&self, sample: Sample) {
        if let Sample::Taken(specimen) = sample {
            self.is_idle.store(false, Ordering::Release);
            // Fails only after the thread has ended, and then nothing is sampled any more.
            drop(self.specimens.try_send(specimen));
        }
    }
}

fn check_all(waiting: &Receiver<Box<Specimen>>, jobs: &SyncSender<Job>, is_idle: &AtomicBool) {
    while let Ok(specimen) = waiting.recv() {
        let begun = Instant::now();
        metrics::counter!("mathia_signatures_sampled_total").increment(1);
        if !is_signed(&specimen) {
            let MessageContext { account, device, .. } = specimen.context;
            // A full queue forgets it; the device's next message is checked as well.
            drop(jobs.try_send(Job::SignsWrongly { account, device }));
        }
        let rest: Duration = begun.elapsed().saturating_mul(REST_FACTOR);
        if waiting.recv_timeout(rest).is_err_and(|error| error == RecvTimeoutError::Disconnected) {
            return;
        }
        is_idle.store(true, Ordering::Release);
    }
}

fn is_signed(specimen: &Specimen) -> bool {
    let Specimen { entry, context, key } = specimen;
    Message::decode(entry).is_ok_and(|message| message.verify_signature(context, key).is_ok())
}
