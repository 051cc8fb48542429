//! The reference store: the contract in ordered maps, without a disk.
//!
//! Tests run against it, and the databases are compared with it. Nothing in it is fast or durable:
//! a batch works on a copy of everything, and the copy takes the place of the original at the end.
//! Numbers beyond 2^63, which the databases cut, stay as they are here.

mod read;
mod reader;
mod tables;
mod write;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mathia_protocol::id::Realm;
use mathia_server::store::{Read, Store, StoreError, Write, Writer};

use self::reader::MemoryReader;
use self::tables::Tables;

/// A store that forgets everything with its last handle.
#[derive(Debug)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What the last batch left; replaced by the writer, never changed in place.
    committed: Arc<Mutex<Arc<Tables>>>,
    is_full: AtomicBool,
    has_writer: AtomicBool,
}

impl MemoryStore {
    /// Makes an empty store with an identity.
    pub fn new(realm: Realm) -> Self {
        let shared = Shared {
            committed: Arc::new(Mutex::new(Arc::new(Tables::new(realm)))),
            is_full: AtomicBool::new(false),
            has_writer: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The same data as another process has it open: with a writer of its own.
    #[must_use]
    pub fn of_another_process(&self) -> Self {
        let shared = Shared {
            committed: Arc::clone(&self.shared.committed),
            is_full: AtomicBool::new(false),
            has_writer: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Makes every commit fail with [`StoreError::Full`] until it is told otherwise.
    pub fn set_full(&self, is_full: bool) {
        self.shared.is_full.store(is_full, Ordering::Release);
    }
}

impl Shared {
    fn committed(&self) -> Arc<Tables> {
        Arc::clone(&self.committed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, tables: Tables) {
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(tables);
    }
}

impl Store for MemoryStore {
    fn writer(&self) -> Result<Box<dyn Writer>, StoreError> {
        if self.shared.has_writer.swap(true, Ordering::AcqRel) {
            return Err(StoreError::broken("there is a writer already"));
        }
        Ok(Box::new(MemoryWriter { shared: Arc::clone(&self.shared) }))
    }

    fn reader(&self) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(MemoryReader::new(Arc::clone(&self.shared))))
    }

    fn copy_to(&self, _path: &Path) -> Result<(), StoreError> {
        Err(StoreError::broken("a store in memory has no file to copy"))
    }
}

#[derive(Debug)]
struct MemoryWriter {
    shared: Arc<Shared>,
}

impl Writer for MemoryWriter {
    fn erase_traces(&mut self) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn batch(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Write) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut tables = (*self.shared.committed()).clone();
        work(&mut tables)?;
        if self.shared.is_full.load(Ordering::Acquire) {
            return Err(StoreError::full("the memory store was set to be full"));
        }
        self.shared.replace(tables);
        Ok(())
    }
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        self.shared.has_writer.store(false, Ordering::Release);
    }
}
