//! What is new for somebody, and how far a message has come: marks, counts, ticks.
//!
//! Marks only rise, so all devices of an account agree whatever order they speak in. The number of
//! unread entries is a subtraction of running counts: nobody ever guesses, and a mark at the head
//! means zero.

use crate::crypto::message::{Flags, MessageHeader};
use crate::id::Seq;
use crate::wire::MarkBucket;

/// How far an account has a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// Everything up to here has arrived on some device of the account.
    pub delivered_upto: Seq,
    /// Everything up to here is read.
    pub read_upto: Seq,
}

impl Marks {
    /// The marks of an account that becomes a member at `seq`: what lies before is not news.
    pub fn of_newcomer(seq: Seq) -> Self {
        Self { delivered_upto: seq, read_upto: seq }
    }

    /// Takes in that everything up to `upto` has arrived, in a log of `head` entries; tells whether
    /// the mark moved.
    pub fn deliver(&mut self, upto: Seq, head: Seq) -> bool {
        let before = *self;
        self.delivered_upto = self.delivered_upto.max(upto.min(head));
        *self != before
    }

    /// Takes in that everything up to `upto` is read, so it has also arrived; tells whether a mark
    /// moved. Sending a message reads up to it.
    pub fn read(&mut self, upto: Seq, head: Seq) -> bool {
        let before = *self;
        self.read_upto = self.read_upto.max(upto.min(head));
        self.delivered_upto = self.delivered_upto.max(self.read_upto);
        *self != before
    }

    /// Takes in marks that another device or node knows.
    pub fn merge(&mut self, other: Self) {
        self.delivered_upto = self.delivered_upto.max(other.delivered_upto);
        self.read_upto = self.read_upto.max(other.read_upto);
    }
}

/// The running count behind an entry: one more than before if it is a message marked countable.
///
/// Pass `None` for commits, which never count.
pub fn next_count(n_before: u64, header: Option<&MessageHeader>) -> u64 {
    n_before + u64::from(header.is_some_and(|header| header.flags.has(Flags::COUNTABLE)))
}

/// Countable entries above the read mark: the running count at the head less that at the mark.
pub fn n_unread(n_countable_at_head: u64, n_countable_at_mark: u64) -> u64 {
    n_countable_at_head.saturating_sub(n_countable_at_mark)
}

/// How many accounts have the log up to `seq` or further, by a mark histogram.
pub fn n_at(steps: &[MarkBucket], seq: Seq) -> u32 {
    steps.iter().filter(|step| step.upto >= seq).map(|step| step.n_accounts).max().unwrap_or(0)
}

/// Builds the mark histogram of all marks, newest step first, of at most `n_steps_max` steps.
///
/// Marks of 0 ("nothing yet") make no step. The newest and the last step ("all of them") are always
/// there, of those between evenly spread ones: each is true by itself, so what is left out makes the
/// answers in between too small, never too large.
pub fn mark_histogram(marks: impl IntoIterator<Item = Seq>, n_steps_max: usize) -> Vec<MarkBucket> {
    let mut marks: Vec<Seq> = marks.into_iter().filter(|upto| *upto > Seq(0)).collect();
    marks.sort_unstable_by(|left, right| right.cmp(left));
    let mut steps: Vec<MarkBucket> = Vec::new();
    for (n_accounts, upto) in (1..).zip(marks) {
        match steps.last_mut() {
            Some(step) if step.upto == upto => step.n_accounts = n_accounts,
            _ => steps.push(MarkBucket { upto, n_accounts }),
        }
    }
    let n_steps = steps.len();
    match n_steps_max {
        _ if n_steps <= n_steps_max => steps,
        0 => Vec::new(),
        1 => steps.split_off(n_steps - 1),
        _ => {
            (0..n_steps_max).map(|index| steps[index * (n_steps - 1) / (n_steps_max - 1)]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn step(upto: u64, n_accounts: u32) -> MarkBucket {
        MarkBucket { upto: Seq(upto), n_accounts }
    }

    #[test]
    fn marks_only_rise_and_never_pass_the_head() {
        let mut marks = Marks::default();
        assert!(marks.read(Seq(5), Seq(9)));
        assert!(!marks.read(Seq(3), Seq(9)));
        assert!(!marks.deliver(Seq(5), Seq(9)), "what is read has arrived");
        assert!(marks.deliver(Seq(99), Seq(9)));
        assert_eq!(marks, Marks { delivered_upto: Seq(9), read_upto: Seq(5) });
    }

    #[test]
    fn each_step_counts_all_who_are_there_or_further() {
        let marks = mark_histogram([Seq(9), Seq(4), Seq(9), Seq(7)], 10);
        assert_eq!(marks, [step(9, 2), step(7, 3), step(4, 4)]);
        assert_eq!([3, 4, 5, 9].map(|seq| n_at(&marks, Seq(seq))), [4, 4, 3, 2]);
        assert_eq!(n_at(&marks, Seq(10)), 0);
        let read = mark_histogram([Seq(9), Seq(3), Seq(3), Seq(3)], 10);
        assert_eq!(read, [step(9, 1), step(3, 4)]);
        assert_eq!(mark_histogram([Seq(5), Seq(9), Seq(5), Seq(0)], 10), [step(9, 1), step(5, 3)]);
        assert_eq!(mark_histogram([], 10), []);
        assert_eq!(mark_histogram([Seq(0), Seq(0)], 10), [], "nothing yet");
    }

    #[test]
    fn a_long_mark_histogram_keeps_its_ends_and_stays_true() {
        let steps = mark_histogram((1..=100).map(Seq), 8);
        assert_eq!(steps.len(), 8);
        assert_eq!((steps[0], steps[7]), (step(100, 1), step(1, 100)));
        assert!(steps.iter().all(|step| 101 - step.upto.0 == u64::from(step.n_accounts)));
    }

    proptest! {
        /// Whatever is in the log: whoever has read up to the head has nothing unread.
        #[test]
        fn a_mark_at_the_head_means_nothing_is_unread(
            countable in prop::collection::vec(any::<bool>(), 0..60),
            mark in 0usize..80,
        ) {
            let mut counts = vec![0u64];
            for is_countable in &countable {
                counts.push(counts.last().unwrap() + u64::from(*is_countable));
            }
            let head = Seq(countable.len() as u64);
            let mut marks = Marks::default();
            marks.read(Seq(mark as u64), head);
            let at = |seq: Seq| counts[usize::try_from(seq.0).unwrap()];
            let n_above = countable.iter().skip(mark).filter(|is| **is).count() as u64;
            prop_assert_eq!(n_unread(at(head), at(marks.read_upto)), n_above);
            marks.read(head, head);
            prop_assert_eq!(n_unread(at(head), at(marks.read_upto)), 0);
        }

        /// Devices may report in any order and twice: the marks are the same.
        #[test]
        fn marks_do_not_depend_on_the_order_of_reports(
            mut reports in prop::collection::vec((any::<bool>(), 0u64..50), 0..20),
        ) {
            let fold = |reports: &[(bool, u64)]| {
                let mut marks = Marks::default();
                for (is_read, upto) in reports {
                    if *is_read { marks.read(Seq(*upto), Seq(40)) } else { marks.deliver(Seq(*upto), Seq(40)) };
                }
                marks
            };
            let marks = fold(&reports);
            reports.reverse();
            reports.extend_from_within(..);
            prop_assert_eq!(fold(&reports), marks);
        }

        /// A short mark histogram never claims that more people have a message than do.
        #[test]
        fn a_mark_histogram_never_overstates(
            marks in prop::collection::vec(0u64..30, 1..40),
            n_steps_max in 1usize..10,
            seq in 1u64..32,
        ) {
            let steps = mark_histogram(marks.iter().map(|mark| Seq(*mark)), n_steps_max);
            prop_assert!(steps.len() <= n_steps_max);
            let truly = u32::try_from(marks.iter().filter(|mark| **mark >= seq).count()).unwrap();
            let claimed = n_at(&steps, Seq(seq));
            prop_assert!(claimed <= truly);
            let everyone = u32::try_from(marks.len()).unwrap();
            prop_assert_eq!(claimed == everyone, truly == everyone);
        }
    }
}
