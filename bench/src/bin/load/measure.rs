//! What is measured: the server's CPU time and memory, and latencies.

use std::fmt::Write as _;
use std::time::Duration;

use crate::Failure;

/// The server's user and system time so far, in microseconds (`/proc/PID/stat`, fields 14 and 15).
pub(crate) fn cpu_us(pid: Option<u32>) -> Result<u64, Failure> {
    let Some(pid) = pid else { return Ok(0) };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field holds the program's name in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(')').ok_or("unreadable process status")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<u64>)
        .sum::<Result<u64, _>>()?;
    // The kernel counts in hundredths of a second for user space, whatever its own clock is.
    Ok(ticks * 10_000)
}

/// The server's resident memory, in KiB.
pub(crate) fn resident_kib(pid: Option<u32>) -> Result<u64, Failure> {
    status_kib(pid, "VmRSS:")
}

/// The most resident memory the server ever had, in KiB.
pub(crate) fn peak_kib(pid: Option<u32>) -> Result<u64, Failure> {
    status_kib(pid, "VmHWM:")
}

fn status_kib(pid: Option<u32>, key: &str) -> Result<u64, Failure> {
    let Some(pid) = pid else { return Ok(0) };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(key)).ok_or("no such memory")?;
    Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse()?)
}

/// Collected latencies.
#[derive(Default)]
pub(crate) struct Latencies {
    samples_us: Vec<u64>,
}

impl Latencies {
    pub(crate) fn add(&mut self, latency: Duration) {
        self.samples_us.push(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }

    /// The value that `percent` of all samples do not exceed, in milliseconds.
    pub(crate) fn percentile_ms(&mut self, percent: usize) -> f64 {
        self.samples_us.sort_unstable();
        let n_samples = self.samples_us.len();
        if n_samples == 0 {
            return 0.0;
        }
        let rank = (n_samples * percent).div_ceil(100);
        self.samples_us[rank.clamp(1, n_samples) - 1] as f64 / 1_000.0
    }
}

/// A flat JSON object of numbers.
#[derive(Default)]
pub(crate) struct Report {
    fields: String,
}

impl Report {
    pub(crate) fn number(mut self, name: &str, value: f64) -> Self {
        let comma = if self.fields.is_empty() { "" } else { "," };
        write!(self.fields, "{comma}\"{name}\":{value:.3}").expect("writing to a string works");
        self
    }

    pub(crate) fn finish(self) -> String {
        format!("{{{}}}", self.fields)
    }
}
