//! What a bad network does to one datagram: decided from a seed, done elsewhere.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};

/// How bad the network is at the moment. Chances are parts of a thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weather {
    pub(crate) lost: u32,
    pub(crate) doubled: u32,
    pub(crate) overtaking: u32,
    pub(crate) delay: Duration,
    /// The delay varies by as much in both directions.
    pub(crate) jitter: Duration,
    /// Nothing passes at all.
    pub(crate) is_cut: bool,
}

impl Weather {
    /// A quiet local network.
    pub(crate) const FAIR: Self = Self {
        lost: 0,
        doubled: 0,
        overtaking: 0,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        is_cut: false,
    };

    /// 5 % lost, 1 % doubled, 10 % overtaking others, 100 ms late, give or take 50.
    pub(crate) const ROUGH: Self = Self {
        lost: 50,
        doubled: 10,
        overtaking: 100,
        delay: Duration::from_millis(100),
        jitter: Duration::from_millis(50),
        is_cut: false,
    };
}

/// What becomes of one datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Cut off by a partition.
    Cut,
    /// Lost on the way.
    Lost,
    /// Arrives after a while.
    Arrives {
        /// How late.
        after: Duration,
        /// Ahead of those before it, if it is quicker.
        overtakes: bool,
        /// How late its copy is, if there is one.
        copy: Option<Duration>,
    },
}

/// Decides about datagrams one after the other.
#[derive(Debug)]
pub(crate) struct Fates {
    rng: StdRng,
}

impl Fates {
    pub(crate) fn new(rng: StdRng) -> Self {
        Self { rng }
    }

    pub(crate) fn next(&mut self, weather: &Weather) -> Fate {
        if weather.is_cut {
            return Fate::Cut;
        }
        if self.happens(weather.lost) {
            return Fate::Lost;
        }
        let overtakes = self.happens(weather.overtaking);
        let after = self.delay(weather);
        let copy = self.happens(weather.doubled).then(|| self.delay(weather));
        Fate::Arrives { after, overtakes, copy }
    }

    fn happens(&mut self, of_thousand: u32) -> bool {
        self.rng.next_u32() % 1_000 < of_thousand
    }

    fn delay(&mut self, weather: &Weather) -> Duration {
        let spread_us = 2 * u64::try_from(weather.jitter.as_micros()).unwrap_or(0);
        let least = weather.delay.saturating_sub(weather.jitter);
        least + Duration::from_micros(self.rng.random_range(0..=spread_us))
    }
}
