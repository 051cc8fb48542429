//! Marks: how far each person has a room, delivered and read.
//!
//! Owns the water marks of one room in memory and what of them is still to be emitted. Marks only rise.
//! Agents have none: nobody waits for a program to read.

use std::collections::HashMap;

use mathia_protocol::id::{AccountId, DeviceId, Seq, TimeMs};
use mathia_protocol::limits::MARKS_INTERVAL;
use mathia_protocol::log::mark_histogram;
use mathia_protocol::wire::{MarkBucket, SignedTick};

use crate::limits::MARK_BUCKETS_MAX;
use crate::store::MarkRow;

/// How long the first mark waits for others of the same moment before it is emitted.
const SETTLE_MS: u64 = 50;

/// The marks of one room.
#[derive(Debug, Default)]
pub(crate) struct RoomMarks {
    by_account: HashMap<AccountId, Mark>,
    /// Accounts whose mark moved since the last flush.
    moved: Vec<AccountId>,
    /// When the next flush is due; `None` while nothing waits.
    due: Option<TimeMs>,
    /// When the last flush was.
    flushed: TimeMs,
}

/// A signed read tick: device and signature, for the read mark beside it.
pub(crate) type Tick = (DeviceId, [u8; 64]);

#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    delivered: Seq,
    read: Seq,
    tick: Option<Tick>,
    is_moved: bool,
    is_delivered_new: bool,
    is_read_new: bool,
}

/// One account's mark that moved since the last flush.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MovedMark {
    /// Whose.
    pub(crate) account: AccountId,
    /// The delivered mark, if it moved.
    pub(crate) delivered: Option<Seq>,
    /// The read mark, if it moved.
    pub(crate) read: Option<Seq>,
    /// The signature over the read mark, if there is one.
    pub(crate) tick: Option<Tick>,
}

impl MovedMark {
    /// The tick as it travels.
    pub(crate) fn signed_tick(&self) -> Option<SignedTick> {
        let ((device, signature), upto) = self.tick.zip(self.read)?;
        Some(SignedTick { account: self.account, device, upto, signature })
    }
}

impl Mark {
    fn raise_delivered(&mut self, upto: Seq) -> bool {
        let has_moved = upto > self.delivered;
        if has_moved {
            self.delivered = upto;
            self.is_delivered_new = true;
        }
        has_moved
    }

    fn raise_read(&mut self, upto: Seq, tick: Option<Tick>) -> bool {
        // A signature for where one is already, as after sending, is news too.
        let is_signed_now = upto == self.read && self.tick.is_none() && tick.is_some();
        let has_moved = upto > self.read || is_signed_now;
        if has_moved {
            self.read = upto;
            self.tick = tick;
            self.is_read_new = true;
        }
        has_moved
    }
}

impl RoomMarks {
    /// Takes over what the store has.
    pub(crate) fn load(&mut self, row: &MarkRow) {
        let mark = Mark {
            delivered: row.delivered_upto,
            read: row.read_upto,
            tick: row.tick,
            ..Mark::default()
        };
        self.by_account.insert(row.account, mark);
    }

    /// Raises these marks by those of another copy that were not yet flushed, for accounts that are
    /// still there, and flushes them when the other copy would have.
    pub(crate) fn take_over(&mut self, stale: Self, is_there: impl Fn(AccountId) -> bool) {
        for account in stale.moved.into_iter().filter(|account| is_there(*account)) {
            if let Some(mark) = stale.by_account.get(&account) {
                self.raise_delivered(account, mark.delivered);
                self.raise_read(account, mark.read, mark.tick);
            }
        }
        (self.due, self.flushed) = (stale.due, stale.flushed);
    }

    /// The delivered and the read mark of an account; 0 for none.
    pub(crate) fn of(&self, account: AccountId) -> (Seq, Seq) {
        self.by_account.get(&account).map_or((Seq(0), Seq(0)), |mark| (mark.delivered, mark.read))
    }

    /// Moves a delivered mark; says whether it moved.
    pub(crate) fn raise_delivered(&mut self, account: AccountId, upto: Seq) -> bool {
        let mark = self.by_account.entry(account).or_default();
        let has_moved = mark.raise_delivered(upto);
        if has_moved && !std::mem::replace(&mut mark.is_moved, true) {
            self.moved.push(account);
        }
        has_moved
    }

    /// Moves a read mark, and with it the delivered mark; says whether the read mark moved.
    pub(crate) fn raise_read(&mut self, account: AccountId, upto: Seq, tick: Option<Tick>) -> bool {
        let mark = self.by_account.entry(account).or_default();
        let is_delivered_new = mark.raise_delivered(upto);
        let is_read_new = mark.raise_read(upto, tick);
        if (is_delivered_new || is_read_new) && !std::mem::replace(&mut mark.is_moved, true) {
            self.moved.push(account);
        }
        is_read_new
    }

    /// Forgets who is no longer a member.
    pub(crate) fn forget(&mut self, account: AccountId) {
        self.by_account.remove(&account);
        self.moved.retain(|moved| *moved != account);
    }

    /// When a flush becomes due, if something waits that was not yet asked about: the caller then
    /// sees to the timer. At most one flush per [`MARKS_INTERVAL`].
    pub(crate) fn newly_due(&mut self, now: TimeMs) -> Option<TimeMs> {
        if self.moved.is_empty() || self.due.is_some() {
            return None;
        }
        let interval = u64::try_from(MARKS_INTERVAL.as_millis()).unwrap_or(u64::MAX);
        // A clock that was set back must not keep a room silent.
        let earliest = self.flushed.min(now).0.saturating_add(interval);
        let due = TimeMs(earliest.max(now.0.saturating_add(SETTLE_MS)));
        self.due = Some(due);
        Some(due)
    }

    /// Says whether a flush is owed.
    pub(crate) fn is_waiting(&self) -> bool {
        self.due.is_some() || !self.moved.is_empty()
    }

    /// Takes what moved since the last flush.
    pub(crate) fn flush(&mut self, now: TimeMs) -> Vec<MovedMark> {
        self.due = None;
        self.flushed = now;
        let Self { by_account, moved, .. } = self;
        moved
            .drain(..)
            .filter_map(|account| {
                let mark = by_account.get_mut(&account)?;
                let (delivered, read) = (mark.is_delivered_new, mark.is_read_new);
                mark.is_moved = false;
                mark.is_delivered_new = false;
                mark.is_read_new = false;
                Some(MovedMark {
                    account,
                    delivered: delivered.then_some(mark.delivered),
                    read: read.then_some(mark.read),
                    tick: mark.tick,
                })
            })
            .collect()
    }

    /// The histograms: how many people have received and read how far.
    pub(crate) fn histograms(&self) -> (Vec<MarkBucket>, Vec<MarkBucket>) {
        let marks = || self.by_account.values();
        let delivered = mark_histogram(marks().map(|mark| mark.delivered), MARK_BUCKETS_MAX);
        (delivered, mark_histogram(marks().map(|mark| mark.read), MARK_BUCKETS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: AccountId = AccountId([1; 32]);
    const BOB: AccountId = AccountId([2; 32]);

    #[test]
    fn marks_only_rise_and_reading_implies_receiving() {
        let mut marks = RoomMarks::default();
        assert!(marks.raise_read(ANN, Seq(5), None));
        assert_eq!(marks.of(ANN), (Seq(5), Seq(5)));
        assert!(!marks.raise_delivered(ANN, Seq(4)));
        assert!(!marks.raise_read(ANN, Seq(5), None));
        assert!(marks.raise_delivered(ANN, Seq(9)));
        assert_eq!(marks.of(ANN), (Seq(9), Seq(5)));
    }

    #[test]
    fn a_signature_may_follow_a_mark_that_sending_has_moved() {
        let mut marks = RoomMarks::default();
        marks.raise_read(ANN, Seq(5), None);
        let tick = Some((DeviceId([3; 16]), [4; 64]));
        assert!(marks.raise_read(ANN, Seq(5), tick));
        assert!(!marks.raise_read(ANN, Seq(5), tick), "once is enough");
        let moved = marks.flush(TimeMs(0));
        assert_eq!(moved[0].signed_tick().unwrap().upto, Seq(5));
    }

    #[test]
    fn many_moves_are_told_once_and_not_too_often() {
        let mut marks = RoomMarks::default();
        let start = TimeMs(1_000_000);
        marks.raise_delivered(ANN, Seq(1));
        assert_eq!(marks.newly_due(start), Some(TimeMs(start.0 + SETTLE_MS)));
        marks.raise_delivered(ANN, Seq(2));
        marks.raise_delivered(BOB, Seq(2));
        assert_eq!(marks.newly_due(start), None, "one timer is enough");
        let moved = marks.flush(start);
        assert_eq!(moved.len(), 2);
        assert_eq!(moved[0].delivered, Some(Seq(2)));
        assert_eq!(moved[0].read, None);
        marks.raise_delivered(ANN, Seq(3));
        assert_eq!(marks.newly_due(start), Some(TimeMs(start.0 + 250)));
    }

    #[test]
    fn who_left_is_told_of_no_more() {
        let mut marks = RoomMarks::default();
        marks.raise_read(ANN, Seq(3), None);
        marks.raise_read(BOB, Seq(2), None);
        marks.forget(ANN);
        assert_eq!(marks.flush(TimeMs(0)).len(), 1);
        assert_eq!(marks.histograms().1, [MarkBucket { upto: Seq(2), n_accounts: 1 }]);
    }
}
