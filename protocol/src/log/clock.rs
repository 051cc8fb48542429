//! The two rules that need a clock (CRYPTO B2): the server's own, and no part of validity.
//!
//! Clocks must not fork chains, so no client judges by these and no entry becomes invalid by them.
//! The server asks before it takes something in, and never again.

use std::time::Duration;

use crate::id::TimeMs;
use crate::limits::{CLOCK_SKEW_MAX, DEVICE_QUARANTINE};

/// The time that a link or commit states is too far from the server's. Correct the clock, then a
/// newly signed one passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stated time is more than {} minutes off", CLOCK_SKEW_MAX.as_secs() / 60)]
pub struct ClockSkew {
    /// The server's time.
    pub now: TimeMs,
}

/// A young device tried to revoke an older one. Retrying helps after the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the device is too new to revoke older ones")]
pub struct DeviceTooYoung {
    /// From when on it may.
    pub until: TimeMs,
}

/// Checks the time that a link or a commit states.
///
/// # Errors
///
/// [`ClockSkew`] if it differs from `now` by more than [`CLOCK_SKEW_MAX`].
pub fn check_clock(stated: TimeMs, now: TimeMs) -> Result<(), ClockSkew> {
    let skew = Duration::from_millis(stated.0.abs_diff(now.0));
    if skew <= CLOCK_SKEW_MAX { Ok(()) } else { Err(ClockSkew { now }) }
}

/// Checks that a device may revoke another, each known by when the server took its link.
///
/// So a thief who links a device of his own cannot lock the owner out at once. A device may always
/// revoke itself and younger ones.
///
/// # Errors
///
/// [`DeviceTooYoung`] if it is younger than [`DEVICE_QUARANTINE`] and the other is older than it.
pub fn check_may_revoke(
    signer_added: TimeMs,
    target_added: TimeMs,
    now: TimeMs,
) -> Result<(), DeviceTooYoung> {
    let quarantine_ms = u64::try_from(DEVICE_QUARANTINE.as_millis()).unwrap_or(u64::MAX);
    let until = TimeMs(signer_added.0.saturating_add(quarantine_ms));
    let is_older = target_added < signer_added;
    if is_older && now < until { Err(DeviceTooYoung { until }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    #[test]
    fn a_clock_may_be_five_minutes_off_either_way() {
        let now = TimeMs(10 * HOUR_MS);
        for skew in [0, 299_999, 300_000] {
            assert_eq!(check_clock(TimeMs(now.0 - skew), now), Ok(()));
            assert_eq!(check_clock(TimeMs(now.0 + skew), now), Ok(()));
        }
        assert_eq!(check_clock(TimeMs(now.0 + 300_001), now), Err(ClockSkew { now }));
        assert_eq!(check_clock(TimeMs(0), now), Err(ClockSkew { now }));
    }

    #[test]
    fn a_device_of_a_day_may_not_lock_older_ones_out() {
        let (old, young) = (TimeMs(HOUR_MS), TimeMs(100 * HOUR_MS));
        let until = TimeMs(124 * HOUR_MS);
        let at = |hour| TimeMs(hour * HOUR_MS);
        assert_eq!(check_may_revoke(young, old, at(101)), Err(DeviceTooYoung { until }));
        assert_eq!(check_may_revoke(young, old, at(124)), Ok(()));
        assert_eq!(check_may_revoke(young, young, at(101)), Ok(()));
        assert_eq!(check_may_revoke(old, young, at(101)), Ok(()));
    }
}
