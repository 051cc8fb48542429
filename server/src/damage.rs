//! Damage that is found in stored data: reported to the caller, logged, counted, and never fatal.
//!
//! One page that has rotted takes nothing from anybody who does not ask for it, and a restart mends
//! nothing: so the read is refused and the server goes on. What SQLite itself calls corrupt, and a
//! sync that fails, still end the process: then nothing on the disk can be believed.

use std::sync::atomic::{AtomicU64, Ordering};

use mathia_protocol::id::TimeMs;
use mathia_protocol::wire::Fault;

use crate::error_text::with_causes;
use crate::store::StoreError;

/// A member may ask for the same damaged page over and over: it is logged this often.
const LOG_PAUSE_MS: u64 = 1_000;

/// What was found since the start. Shared by the writer, the readers and the operator.
#[derive(Debug, Default)]
pub struct Damage {
    n_found: AtomicU64,
    /// When it was last logged; 0 before the first time.
    logged: AtomicU64,
}

impl Damage {
    /// Counts and logs one find, and returns the fault for the caller.
    pub fn found(&self, error: &StoreError, now: TimeMs) -> Fault {
        let n_found = self.n_found.fetch_add(1, Ordering::Relaxed) + 1;
        metrics::counter!("mathia_damage_found_total").increment(1);
        let before = self.logged.load(Ordering::Relaxed);
        if before == 0 || before.abs_diff(now.0) >= LOG_PAUSE_MS {
            self.logged.store(now.0, Ordering::Relaxed);
            let what = with_causes(error);
            tracing::error!(what, n_found, "stored data is damaged: restore it from a backup");
        }
        Fault::Damaged
    }

    /// How often damage was met since the start.
    pub fn n_found(&self) -> u64 {
        self.n_found.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_find_counts_and_is_told() {
        let damage = Damage::default();
        let error = StoreError::rotten("a page");
        for n in 1..=3 {
            assert_eq!(damage.found(&error, TimeMs(5)), Fault::Damaged);
            assert_eq!(damage.n_found(), n);
        }
    }
}
