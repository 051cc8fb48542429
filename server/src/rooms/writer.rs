//! The writer's thread: takes what waits, does it in one transaction, and tells everybody after.
//!
//! Owns the rule that an answer leaves only when the disk has what it says (invariant 1). Takes
//! whatever is there and never waits for more; sleeps until a job or a timer comes.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use mathia_protocol::id::TimeMs;
use mathia_protocol::wire::Fault;

use super::clerk::{Batch, Clerk, Told};
use super::job::{AdminJob, Job};
use super::retention::Retention;
use crate::clock::Clock;
use crate::hub::Hub;
use crate::store::{self, StoreError};

/// How long a caller waits after a full disk before it asks again, and timers rest.
const BUSY_RETRY_MS: u32 = 1_000;
/// The longest sleep: a clock that jumped is noticed after this.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// What happens when the database failed and what is on disk is no longer known.
///
/// The server ends itself, and its supervisor starts it anew; tests look instead.
#[derive(Clone)]
pub struct Fatal(Arc<dyn Fn(&StoreError) + Send + Sync>);

impl Fatal {
    /// Ends the process at once, after a line that says why.
    pub fn abort() -> Self {
        Self::new(|error| {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            let hint = "see whether the disk fails or is read-only, then start the server again";
            tracing::error!(%error, cause, hint, "the database failed, the server ends itself");
            std::process::abort();
        })
    }

    /// Does something else, for tests.
    pub fn new(act: impl Fn(&StoreError) + Send + Sync + 'static) -> Self {
        Self(Arc::new(act))
    }

    pub(crate) fn strike(&self, error: &StoreError) {
        (self.0)(error);
    }
}

impl fmt::Debug for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fatal(..)")
    }
}

/// The writer's loop and all it needs.
pub(super) struct WriterLoop {
    pub(super) clerk: Clerk,
    pub(super) store: Box<dyn store::Writer>,
    pub(super) jobs: Receiver<Job>,
    pub(super) hub: Arc<Hub>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) batch_max: usize,
    pub(super) fatal: Fatal,
    pub(super) retention: Retention,
    /// Timers rest until then: set after a failed batch, so that a full disk is not hammered.
    pub(super) timers_rest_until: TimeMs,
}

/// Whether the loop goes on.
#[derive(PartialEq, Eq)]
enum Outcome {
    GoOn,
    Failed,
}

impl WriterLoop {
    /// Works until told to stop, or until the database fails.
    pub(super) fn run(mut self) {
        let fatal = self.fatal.clone();
        let guard = PanicGuard(&fatal);
        let mut jobs: Vec<Job> = Vec::with_capacity(self.batch_max);
        let mut told = Told::default();
        let mut is_stopping = self.first_timer() == Outcome::Failed;
        while !is_stopping {
            match self.jobs.recv_timeout(self.sleep()) {
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
            let has_work = !jobs.is_empty() || is_stopping || self.has_timer_due();
            if has_work && self.batch(&mut jobs, &mut told, is_stopping) == Outcome::Failed {
                break;
            }
            if !is_stopping && self.forget_some() == Outcome::Failed {
                break;
            }
        }
        drop(guard);
    }

    /// Learns when the first scheduled entry is due; those due while the server was down come at once.
    fn first_timer(&mut self) -> Outcome {
        let (clerk, store) = (&mut self.clerk, &mut self.store);
        let result = store.batch(&mut |tx| {
            clerk.next_due = tx.next_due()?;
            Ok(())
        });
        match result {
            Err(error @ StoreError::Broken(_)) => self.fail(&error),
            // A disk that is full at the start: the first batch looks again.
            Err(_) => {
                self.clerk.forget();
                Outcome::GoOn
            }
            Ok(()) => Outcome::GoOn,
        }
    }

    /// Does the jobs and the timers that are due in one transaction.
    fn batch(&mut self, jobs: &mut Vec<Job>, told: &mut Told, is_stopping: bool) -> Outcome {
        let now = self.clock.now_ms();
        let do_timers = is_stopping || now >= self.timers_rest_until;
        self.clerk.begin();
        let (clerk, store) = (&mut self.clerk, &mut self.store);
        let result = store.batch(&mut |tx| {
            let mut b = Batch { tx, now, told };
            for job in jobs.iter_mut() {
                clerk.run(&mut b, job)?;
            }
            if do_timers {
                clerk.append_due(&mut b)?;
                clerk.flush_marks(&mut b, is_stopping)?;
            }
            Ok(())
        });
        match result {
            Ok(()) => {
                metrics::counter!("mathia_batches_total").increment(1);
                metrics::counter!("mathia_jobs_total").increment(jobs.len() as u64);
                self.clerk.settle();
                self.hub.publish(&told.news);
                told.news.clear();
                told.later.drain(..).for_each(|answer| answer(None));
                jobs.clear();
                Outcome::GoOn
            }
            Err(error @ StoreError::Broken(_)) => self.fail(&error),
            Err(error) => {
                // A full disk, damaged rows, or one that was there against all expectation: nothing
                // was stored.
                if matches!(error, StoreError::Rotten(_)) {
                    self.clerk.damage.found(&error, now);
                }
                let n_jobs = jobs.len();
                tracing::warn!(%error, n_jobs, "a batch was rolled back");
                metrics::counter!("mathia_batches_refused_total").increment(1);
                self.clerk.forget();
                self.timers_rest_until = TimeMs(now.0.saturating_add(BUSY_RETRY_MS.into()));
                told.news.clear();
                told.later.drain(..).for_each(|answer| answer(Some(busy())));
                jobs.drain(..).for_each(refuse);
                Outcome::GoOn
            }
        }
    }

    /// Removes some of what rooms no longer keep, when that is due.
    fn forget_some(&mut self) -> Outcome {
        let now = self.clock.now_ms();
        if now < self.timers_rest_until {
            return Outcome::GoOn;
        }
        match self.retention.step(self.store.as_mut(), now) {
            Ok(()) => Outcome::GoOn,
            Err(error @ StoreError::Broken(_)) => self.fail(&error),
            Err(error) => {
                tracing::warn!(%error, "what has expired cannot be removed now");
                self.timers_rest_until = TimeMs(now.0.saturating_add(BUSY_RETRY_MS.into()));
                Outcome::GoOn
            }
        }
    }

    fn fail(&self, error: &StoreError) -> Outcome {
        self.fatal.strike(error);
        Outcome::Failed
    }

    fn has_timer_due(&self) -> bool {
        let now = self.clock.now_ms();
        now >= self.timers_rest_until && self.next_timer(now).is_some_and(|due| due <= now)
    }

    /// The next timer that a batch looks after.
    fn next_timer(&self, now: TimeMs) -> Option<TimeMs> {
        let timers = [self.clerk.next_flush(now), self.clerk.next_due];
        timers.into_iter().flatten().min()
    }

    /// Until the next timer; never nothing, so that a clock that stands still costs no work.
    fn sleep(&self) -> Duration {
        let now = self.clock.now_ms();
        let forgets = self.retention.due(now);
        let due = self.next_timer(now).map_or(forgets, |due| due.min(forgets));
        let due = due.max(self.timers_rest_until);
        Duration::from_millis(due.0.saturating_sub(now.0).max(1)).min(SLEEP_MAX)
    }
}

fn busy() -> Fault {
    Fault::ServerBusy { retry_after_ms: BUSY_RETRY_MS }
}

/// Tells whoever waits for a job that nothing was stored.
fn refuse(job: Job) {
    match job {
        Job::Call { caller, .. } => {
            caller.outbox.fault(caller.call, &busy());
            caller.outbox.wake();
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

/// A panic on this thread would leave a server that accepts and never answers: it ends instead.
struct PanicGuard<'a>(&'a Fatal);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.strike(&StoreError::Broken("the writer panicked".into()));
        }
    }
}
