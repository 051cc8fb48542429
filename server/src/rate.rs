//! Rates: one token bucket for everything that is limited per time, and a bounded map of them.
//!
//! Pure: the time is an argument. A bucket is one number, the moment at which it will be full again
//! (the generic cell rate algorithm of ITU-T I.371), so a bucket that is full needs no memory.

use std::collections::HashMap;
use std::hash::Hash;

use mathia_protocol::id::TimeMs;

const NANOS_PER_MS: u64 = 1_000_000;

/// How often something may happen: tokens come at a steady pace, up to a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds until one token comes back.
    interval: u64,
    /// Tokens of a full bucket, at least 1.
    burst: u64,
}

impl Rate {
    /// `count` times per `period_ms`, at most `burst` at once. A count of 0 means: the burst, and
    /// nothing ever again.
    pub fn new(count: u32, period_ms: u64, burst: u32) -> Self {
        let interval = match u64::from(count) {
            0 => u64::MAX / 8 / u64::from(burst.max(1)),
            count => (period_ms * NANOS_PER_MS / count).max(1),
        };
        Self { interval, burst: u64::from(burst.max(1)) }
    }

    /// `count` times per second, at most `burst` at once.
    pub fn per_second(count: u32, burst: u32) -> Self {
        Self::new(count, 1_000, burst)
    }

    /// `count` times per minute, at most `burst` at once.
    pub fn per_minute(count: u32, burst: u32) -> Self {
        Self::new(count, 60_000, burst)
    }

    /// `count` times per hour, at most `burst` at once.
    pub fn per_hour(count: u32, burst: u32) -> Self {
        Self::new(count, 3_600_000, burst)
    }

    /// `count` times per day, at most `burst` at once.
    pub fn per_day(count: u32, burst: u32) -> Self {
        Self::new(count, 86_400_000, burst)
    }
}

/// Too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too often, try again in {retry_after_ms} ms")]
pub struct TooOften {
    /// After this many milliseconds a retry may succeed; at least 1.
    pub retry_after_ms: u32,
}

/// The state of one rate: full when new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    /// When the bucket will be full again, in nanoseconds since 1970; in the past if it is full.
    full_at: u64,
}

impl Bucket {
    /// Takes one token.
    ///
    /// # Errors
    ///
    /// [`TooOften`] when none is there; nothing is taken then, and retrying later helps.
    pub fn take(&mut self, rate: &Rate, now: TimeMs) -> Result<(), TooOften> {
        self.check(rate, now)?;
        let now = now.0.saturating_mul(NANOS_PER_MS);
        self.full_at = self.full_at.max(now).saturating_add(rate.interval);
        Ok(())
    }

    /// Says whether [`Self::take`] would succeed, and takes nothing.
    ///
    /// # Errors
    ///
    /// [`TooOften`] when no token is there.
    pub fn check(&self, rate: &Rate, now: TimeMs) -> Result<(), TooOften> {
        let now = now.0.saturating_mul(NANOS_PER_MS);
        let missing = self.full_at.saturating_sub(now);
        let room = rate.interval.saturating_mul(rate.burst - 1);
        if missing <= room {
            return Ok(());
        }
        let wait_ms = (missing - room).div_ceil(NANOS_PER_MS).max(1);
        Err(TooOften { retry_after_ms: u32::try_from(wait_ms).unwrap_or(u32::MAX) })
    }

    /// Gives one token back: what it was taken for did not happen.
    pub fn give_back(&mut self, rate: &Rate) {
        self.full_at = self.full_at.saturating_sub(rate.interval);
    }

    /// Says whether the bucket is full: such a bucket can be forgotten.
    pub fn is_full(&self, now: TimeMs) -> bool {
        self.full_at <= now.0.saturating_mul(NANOS_PER_MS)
    }
}

/// Buckets by key, at most a fixed number of them. When that many are in use, further keys share
/// one bucket: memory stays bounded, and a flood of keys limits itself.
#[derive(Debug)]
pub struct KeyedBuckets<K> {
    rate: Rate,
    n_keys_max: usize,
    buckets: HashMap<K, Bucket>,
    shared: Bucket,
    /// Full buckets are looked for at most once a second, since that walks the whole map.
    swept: TimeMs,
}

impl<K: Eq + Hash> KeyedBuckets<K> {
    /// Makes an empty map in which every key has the same rate.
    pub fn new(rate: Rate, n_keys_max: usize) -> Self {
        Self {
            rate,
            n_keys_max,
            buckets: HashMap::new(),
            shared: Bucket::default(),
            swept: TimeMs(0),
        }
    }

    /// Takes one token of a key.
    ///
    /// # Errors
    ///
    /// [`TooOften`] when none is there; retrying later helps.
    pub fn take(&mut self, key: K, now: TimeMs) -> Result<(), TooOften> {
        let rate = self.rate;
        self.bucket(key, now).take(&rate, now)
    }

    /// Says whether [`Self::take`] would succeed, and takes nothing.
    ///
    /// # Errors
    ///
    /// [`TooOften`] when no token is there.
    pub fn check(&self, key: &K, now: TimeMs) -> Result<(), TooOften> {
        match self.buckets.get(key) {
            Some(bucket) => bucket.check(&self.rate, now),
            None if self.buckets.len() < self.n_keys_max => Ok(()),
            None => self.shared.check(&self.rate, now),
        }
    }

    /// Gives one token of a key back.
    pub fn give_back(&mut self, key: &K) {
        if let Some(bucket) = self.buckets.get_mut(key) {
            bucket.give_back(&self.rate);
        }
    }

    fn bucket(&mut self, key: K, now: TimeMs) -> &mut Bucket {
        let is_crowded = self.buckets.len() >= self.n_keys_max && !self.buckets.contains_key(&key);
        if is_crowded && now.0 >= self.swept.0.saturating_add(1_000) {
            self.swept = now;
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        if self.buckets.len() >= self.n_keys_max && !self.buckets.contains_key(&key) {
            return &mut self.shared;
        }
        self.buckets.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: TimeMs = TimeMs(1_700_000_000_000);

    fn later(ms: u64) -> TimeMs {
        TimeMs(START.0 + ms)
    }

    #[test]
    fn a_burst_passes_at_once_and_then_tokens_come_at_the_pace() {
        let rate = Rate::per_second(5, 3);
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            assert_eq!(bucket.take(&rate, START), Ok(()));
        }
        assert_eq!(bucket.take(&rate, START), Err(TooOften { retry_after_ms: 200 }));
        assert_eq!(bucket.take(&rate, later(199)), Err(TooOften { retry_after_ms: 1 }));
        assert_eq!(bucket.take(&rate, later(200)), Ok(()));
        assert!(bucket.take(&rate, later(200)).is_err());
    }

    #[test]
    fn a_long_silence_saves_no_more_than_the_burst() {
        let rate = Rate::per_minute(60, 2);
        let mut bucket = Bucket::default();
        bucket.take(&rate, START).unwrap();
        let much_later = later(3_600_000);
        assert!(bucket.is_full(much_later));
        assert_eq!(bucket.take(&rate, much_later), Ok(()));
        assert_eq!(bucket.take(&rate, much_later), Ok(()));
        assert!(bucket.take(&rate, much_later).is_err());
    }

    #[test]
    fn a_token_that_was_given_back_can_be_taken_again() {
        let rate = Rate::per_day(1, 1);
        let mut bucket = Bucket::default();
        bucket.take(&rate, START).unwrap();
        assert!(bucket.take(&rate, START).is_err());
        bucket.give_back(&rate);
        assert_eq!(bucket.take(&rate, START), Ok(()));
    }

    #[test]
    fn a_very_high_rate_never_refuses_and_a_zero_rate_gives_the_burst_only() {
        let fast = Rate::per_minute(u32::MAX, u32::MAX);
        let mut bucket = Bucket::default();
        assert!((0..10_000).all(|_| bucket.take(&fast, START).is_ok()));
        let never = Rate::per_minute(0, 1);
        let mut bucket = Bucket::default();
        assert!(bucket.take(&never, START).is_ok());
        assert!(bucket.take(&never, later(1_000_000_000)).is_err());
    }

    #[test]
    fn a_flood_of_keys_shares_one_bucket_and_leaves_known_keys_alone() {
        let mut buckets = KeyedBuckets::new(Rate::per_second(1, 2), 2);
        assert!(buckets.take("ann", START).is_ok());
        assert!(buckets.take("bob", START).is_ok());
        assert!(buckets.take("x", START).is_ok());
        assert!(buckets.take("y", START).is_ok());
        assert!(buckets.take("z", START).is_err(), "strangers share what two could take");
        assert!(buckets.take("ann", START).is_ok(), "a known key still has its own bucket");
        assert!(buckets.take("z", later(5_000)).is_ok(), "full buckets made room");
        assert_eq!(buckets.buckets.len(), 1);
    }
}
