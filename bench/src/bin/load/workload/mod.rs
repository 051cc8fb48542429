//! The workloads, one file each, and what they share: enrolling people and starting rooms.

pub(crate) mod ask;
pub(crate) mod fanout;
pub(crate) mod history;
pub(crate) mod latency;
pub(crate) mod rooms;
pub(crate) mod sessions;
mod window;

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::peer::{Dialer, Identity, Session};
use crate::{Failure, Options};

/// Registers `n` new people, a few at a time, and leaves them logged in.
pub(crate) async fn enroll(
    options: &Options,
    dialer: &Rc<Dialer>,
    n: usize,
) -> Result<(Vec<Rc<Identity>>, Vec<Session>), Failure> {
    let mut people = Vec::with_capacity(n);
    let mut sessions = Vec::with_capacity(n);
    for start in (0..n).step_by(16) {
        let mut tasks = Vec::new();
        for number in start..n.min(start + 16) {
            let identity = Rc::new(Identity::numbered(dialer.realm, options.offset + number)?);
            people.push(Rc::clone(&identity));
            let dialer = Rc::clone(dialer);
            tasks.push(tokio::task::spawn_local(async move { dialer.register(&identity).await }));
        }
        for task in tasks {
            sessions.push(task.await??);
        }
    }
    Ok((people, sessions))
}

/// The first failure of any task of a run: all others stop at it.
#[derive(Default)]
pub(crate) struct Failures {
    first: RefCell<Option<Failure>>,
    changed: Notify,
}

impl Failures {
    pub(crate) fn note(&self, result: Result<(), Failure>) {
        if let Err(failure) = result {
            self.first.borrow_mut().get_or_insert(failure);
            self.changed.notify_waiters();
        }
    }

    /// Waits until `done` says so, looking whenever it is told, or until something failed.
    pub(crate) async fn or(&self, done: impl Future<Output = ()>) -> Result<(), Failure> {
        let changed = self.changed.notified();
        // What failed while nobody waited counts as well.
        if let Some(failure) = self.first.borrow_mut().take() {
            return Err(failure);
        }
        tokio::select! {
            () = done => Ok(()),
            () = changed => {
                Err(self.first.borrow_mut().take().unwrap_or_else(|| "a task failed".into()))
            }
        }
    }
}
