//! A store that can be told to run out of disk, to fail, or to hold its breath before a commit.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use mathia_server::store::{Read, Store, StoreError, Write, Writer};

use super::DEADLINE;

/// The switches behind the scene.
#[derive(Default)]
pub(crate) struct Stage {
    is_full: AtomicBool,
    is_broken: AtomicBool,
    fatal: Mutex<Option<String>>,
    gate: Mutex<Gate>,
    changed: Condvar,
}

#[derive(Default)]
struct Gate {
    is_shut: bool,
    n_waiting: u32,
}

impl Stage {
    /// The disk is full, or has space again.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::SeqCst);
    }

    /// The disk fails from now on.
    pub(crate) fn breaks(&self) {
        self.is_broken.store(true, Ordering::SeqCst);
    }

    /// The disk works again.
    pub(crate) fn repair(&self) {
        self.is_broken.store(false, Ordering::SeqCst);
    }

    /// Batches stop right before their commit.
    pub(crate) fn shut_gate(&self) {
        self.gate.lock().unwrap().is_shut = true;
    }

    /// Waits until a batch stands before the gate.
    pub(crate) fn wait_for_batch(&self) {
        let gate = self.gate.lock().unwrap();
        let waiting = self.changed.wait_timeout_while(gate, DEADLINE, |gate| gate.n_waiting == 0);
        assert!(!waiting.unwrap().1.timed_out(), "no batch came to its commit");
    }

    /// Lets batches commit again.
    pub(crate) fn open_gate(&self) {
        self.gate.lock().unwrap().is_shut = false;
        self.changed.notify_all();
    }

    fn pass_gate(&self) {
        let mut gate = self.gate.lock().unwrap();
        gate.n_waiting += 1;
        self.changed.notify_all();
        while gate.is_shut {
            gate = self.changed.wait(gate).unwrap();
        }
        gate.n_waiting -= 1;
    }

    /// The server would end itself now.
    pub(crate) fn strike(&self, error: &StoreError) {
        *self.fatal.lock().unwrap() = Some(error.to_string());
        self.changed.notify_all();
    }

    /// Whether the server has ended itself.
    pub(crate) fn has_ended(&self) -> bool {
        self.fatal.lock().unwrap().is_some()
    }

    /// Waits until the server has ended itself, and says why.
    pub(crate) fn last_words(&self) -> String {
        let deadline = std::time::Instant::now() + DEADLINE;
        let mut gate = self.gate.lock().unwrap();
        loop {
            if let Some(words) = self.fatal.lock().unwrap().clone() {
                return words;
            }
            assert!(std::time::Instant::now() < deadline, "the server did not end itself");
            gate = self.changed.wait_timeout(gate, DEADLINE / 100).unwrap().0;
        }
    }
}

/// A real store behind the switches.
pub(crate) struct StageStore {
    inner: Arc<dyn Store>,
    stage: Arc<Stage>,
}

impl StageStore {
    pub(crate) fn new(inner: Arc<dyn Store>, stage: Arc<Stage>) -> Self {
        Self { inner, stage }
    }
}

impl Store for StageStore {
    fn writer(&self) -> Result<Box<dyn Writer>, StoreError> {
        let (inner, stage) = (self.inner.writer()?, Arc::clone(&self.stage));
        Ok(Box::new(StageWriter { inner, stage }))
    }

    fn reader(&self) -> Result<Box<dyn Read + Send>, StoreError> {
        self.inner.reader()
    }

    fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        self.inner.copy_to(path)
    }
}

struct StageWriter {
    inner: Box<dyn Writer>,
    stage: Arc<Stage>,
}

impl Writer for StageWriter {
    fn erase_traces(&mut self) -> Result<bool, StoreError> {
        self.inner.erase_traces()
    }

    fn batch(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Write) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let stage = &self.stage;
        self.inner.batch(&mut |tx| {
            work(tx)?;
            stage.pass_gate();
            if stage.is_full.load(Ordering::SeqCst) {
                return Err(StoreError::full("the stage has no room"));
            }
            if stage.is_broken.load(Ordering::SeqCst) {
                return Err(StoreError::broken("the disk fell off"));
            }
            Ok(())
        })
    }
}
