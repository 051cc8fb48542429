//! Forgetting: what a room's policy no longer keeps is removed, a few bodies at a time (CRYPTO B3).
//!
//! Owns when that happens. Commits stay, and the hash of every message does, so the log of a room
//! that forgets can be verified for ever. A step is a transaction of its own between two batches:
//! nobody waits for it longer than for one batch of others.

use mathia_protocol::id::{RoomNumber, TimeMs};

use crate::store::{Expired, RoomRow, StoreError, Write, Writer};

/// How often all rooms are looked at. Policies count in days: ten minutes late harms nobody, and a
/// round over rooms in which nothing is due is one look into an index each.
const LOOK_INTERVAL_MS: u64 = 10 * 60 * 1_000;
/// The pause between two steps of a round: with the next bound some 600 bodies a second.
const STEP_PAUSE_MS: u64 = 100;
/// Entries looked at in one step: a millisecond or two of the writer's time.
const ENTRIES_PER_STEP: u32 = 64;
/// Rooms looked at in one step.
const ROOMS_PER_STEP: u32 = 64;
/// A day in milliseconds.
const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// How far the present round has come.
#[derive(Debug, Default)]
pub(super) struct Retention {
    /// When the next step is due.
    due: TimeMs,
    /// The last room that is done in this round.
    after: RoomNumber,
    /// Bodies were removed whose bytes may still lie in the files.
    has_traces: bool,
}

impl Retention {
    /// When the next step is due. A clock that was set back does not put it off.
    pub(super) fn due(&self, now: TimeMs) -> TimeMs {
        if self.due.0 > now.0.saturating_add(LOOK_INTERVAL_MS) { now } else { self.due }
    }

    /// Takes one step, if one is due.
    ///
    /// # Errors
    ///
    /// [`StoreError`], as for [`Writer::batch`]; the next step tries again.
    pub(super) fn step(&mut self, store: &mut dyn Writer, now: TimeMs) -> Result<(), StoreError> {
        if self.due(now) > now {
            return Ok(());
        }
        self.due = TimeMs(now.0.saturating_add(STEP_PAUSE_MS));
        let mut seen = ExpiryStep::default();
        let after = self.after;
        store.batch(&mut |tx| {
            seen = expire_some(tx, after, now)?;
            Ok(())
        })?;
        self.has_traces |= seen.n_removed > 0;
        metrics::counter!("mathia_bodies_expired_total").increment(seen.n_removed);
        if let Some(last) = seen.go_on_after {
            self.after = last;
            return Ok(());
        }
        // While somebody reads from an old page, its bytes stay: asked again in the next step.
        self.has_traces = self.has_traces && !store.erase_traces()?;
        if !self.has_traces {
            self.after = RoomNumber(0);
            self.due = TimeMs(now.0.saturating_add(LOOK_INTERVAL_MS));
        }
        Ok(())
    }
}

/// What one step did.
#[derive(Default)]
struct ExpiryStep {
    n_removed: u64,
    /// The last room that is done; `None` at the end of the round.
    go_on_after: Option<RoomNumber>,
}

fn expire_some(
    tx: &mut dyn Write,
    after: RoomNumber,
    now: TimeMs,
) -> Result<ExpiryStep, StoreError> {
    let rooms = tx.forgetful_rooms(after, ROOMS_PER_STEP)?;
    let mut seen = ExpiryStep::default();
    let mut done = after;
    let mut left = ENTRIES_PER_STEP;
    for RoomRow { number, retention_days, .. } in &rooms {
        let before = TimeMs(now.0.saturating_sub(u64::from(*retention_days) * DAY_MS));
        let Expired { n_seen, n_removed } = tx.expire(*number, before, left)?;
        seen.n_removed += u64::from(n_removed);
        left = left.saturating_sub(n_seen);
        if left == 0 {
            // There may be more in this one.
            seen.go_on_after = Some(done);
            return Ok(seen);
        }
        done = *number;
    }
    let is_page_full = rooms.len() >= usize::try_from(ROOMS_PER_STEP).unwrap_or(usize::MAX);
    seen.go_on_after = is_page_full.then_some(done);
    Ok(seen)
}
