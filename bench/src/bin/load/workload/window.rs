//! The stretch of a run that is counted.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::Failures;
use crate::measure::cpu_us;
use crate::{Failure, Options};

/// Before anything is counted everybody has found their pace.
const WARM_UP: Duration = Duration::from_secs(2);

/// Whether a run counts now, and whether it is over.
#[derive(Default)]
pub(super) struct Window {
    is_measuring: Cell<bool>,
    is_over: Cell<bool>,
}

/// What the window itself measured.
pub(super) struct Measured {
    /// How long it was, in seconds.
    pub(super) elapsed: f64,
    /// The server's CPU time in it, in microseconds.
    pub(super) cpu: u64,
}

impl Window {
    /// Whether what happens now counts.
    pub(super) fn is_measuring(&self) -> bool {
        self.is_measuring.get()
    }

    /// Whether the run is over: no task goes on.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Warms up, counts for as long as was asked for, and ends the run; stops at the first failure.
    pub(super) async fn measure(
        &self,
        options: &Options,
        failures: &Failures,
    ) -> Result<Measured, Failure> {
        let wait = |duration| failures.or(tokio::time::sleep(duration));
        wait(WARM_UP).await?;
        let cpu_before = cpu_us(options.pid)?;
        let started = Instant::now();
        self.is_measuring.set(true);
        wait(Duration::from_secs(options.seconds)).await?;
        self.is_measuring.set(false);
        let elapsed = started.elapsed().as_secs_f64();
        let cpu = cpu_us(options.pid)? - cpu_before;
        self.is_over.set(true);
        Ok(Measured { elapsed, cpu })
    }
}
