//! Mark histograms: how many accounts have a log how far, in a few steps instead of a row each.
//!
//! Pure. Every step is true by itself ("so many have it up to here or further"), so leaving steps
//! out makes a histogram coarser, never wrong.

use mathia_protocol::id::Seq;
use mathia_protocol::wire::MarkBucket;

/// Steps of one histogram: enough for the tail of a busy room, and small on the wire.
pub(super) const BUCKETS_MAX: usize = 8;

/// Builds the histogram of `marks`, newest step first, at most [`BUCKETS_MAX`] steps.
///
/// Positions of 0 ("nothing yet") make no step. The newest and the last step ("all of them") are
/// always there; of those between, evenly spread ones.
pub(super) fn mark_histogram(mut marks: Vec<Seq>) -> Vec<MarkBucket> {
    marks.sort_unstable_by(|left, right| right.cmp(left));
    let mut steps: Vec<MarkBucket> = Vec::new();
    for (index, upto) in marks.into_iter().enumerate().take_while(|(_, upto)| upto.0 > 0) {
        let n_accounts = u32::try_from(index + 1).unwrap_or(u32::MAX);
        match steps.last_mut() {
            Some(last) if last.upto == upto => last.n_accounts = n_accounts,
            _ => steps.push(MarkBucket { upto, n_accounts }),
        }
    }
    let n_steps = steps.len();
    if n_steps <= BUCKETS_MAX {
        return steps;
    }
    (0..BUCKETS_MAX).map(|index| steps[index * (n_steps - 1) / (BUCKETS_MAX - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(marks: &[u64]) -> Vec<(u64, u32)> {
        let steps = mark_histogram(marks.iter().copied().map(Seq).collect());
        steps.iter().map(|step| (step.upto.0, step.n_accounts)).collect()
    }

    #[test]
    fn each_step_counts_all_who_are_there_or_further() {
        assert_eq!(built(&[5, 9, 5, 0]), [(9, 1), (5, 3)]);
        assert_eq!(built(&[]), []);
        assert_eq!(built(&[0, 0]), []);
    }

    #[test]
    fn a_long_mark_histogram_keeps_its_ends_and_stays_true() {
        let marks: Vec<u64> = (1..=100).collect();
        let steps = built(&marks);
        assert_eq!(steps.len(), BUCKETS_MAX);
        assert_eq!(steps[0], (100, 1));
        assert_eq!(steps[BUCKETS_MAX - 1], (1, 100));
        assert!(steps.iter().all(|(upto, n)| 101 - upto == u64::from(*n)));
    }
}
