//! The proof against vandals: honest people talk while strangers knock, trickle, lie about lengths and
//! flood, and while one of the room stops reading.
//!
//! ```text
//! load hostile server_bin=FILE data=DIR [handshakes=10000] [loris=1000] [seconds=5] [seed=1]
//! ```
//!
//! Checked: the honest lose nothing; the server stays within 512 MiB; a reader that stops raises the
//! others' 99th percentile to no more than twice, and catches up; every vandal is shown out.

mod honest;
mod slow;
mod storm;

use std::cell::Cell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::measure::peak_kib;
use crate::peer::{Dialer, Identity};
use crate::server::Server;
use crate::{Failure, Options};
use honest::Honest;
use slow::SlowReader;

const PEAK_KIB_MAX: u64 = 512 * 1024;
/// The others' latency with a stalled reader, against without.
const RATIO_MAX: f64 = 2.0;
/// Below this difference the clock of a scheduler is measured, not the server.
const DIFFERENCE_MS_MIN: f64 = 1.0;
/// How long the slow one reads before it looks whether the storm is over.
const READING: Duration = Duration::from_millis(200);
/// Windows with and without a stalled reader, in turns.
const N_TURNS: usize = 3;

/// Runs the proof; the error says what did not hold.
pub(crate) async fn run(values: &HashMap<String, String>) -> Result<String, Failure> {
    let number =
        |key: &str, default: u64| values.get(key).map_or(Ok(default), |text| text.parse::<u64>());
    let path = |key: &str| values.get(key).map(PathBuf::from).ok_or(format!("{key}= is missing"));
    let (n_handshakes, n_loris) = (number("handshakes", 10_000)?, number("loris", 1_000)?);
    let (window, seed) = (Duration::from_secs(number("seconds", 5)?), number("seed", 1)?);
    let began = Instant::now();
    let mut server = Server::new(path("server_bin")?, &path("data")?, None)?;
    server.start().await?;
    let options = Options { server: server.address()?, pid: server.pid(), ..Options::default() };
    let dialer = Rc::new(Dialer::new(&options).await?);
    let slow_dialer = dialer.with_small_windows()?;
    let (honest, slow_session) = Honest::gather(&options, &dialer, &slow_dialer).await?;

    let mut slow = SlowReader::new(slow_session, honest.room());
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..N_TURNS {
        honest.forget_latencies();
        slow.read_for(window).await?;
        without.push(honest.p99_ms());
        honest.forget_latencies();
        honest.undisturbed(window).await?;
        with.push(honest.p99_ms());
        slow.catch_up(honest.n_said()).await?;
    }
    let (without, with) = (median(without), median(with));
    let ratio = with / without.max(0.001);
    if ratio > RATIO_MAX && with - without > DIFFERENCE_MS_MIN {
        return Err(format!("p99 {without:.2} ms, with a stalled reader {with:.2} ms").into());
    }
    if slow.n_lagged == 0 {
        return Err("the stalled reader was never told that it lags".into());
    }

    honest.forget_latencies();
    // The once slow one reads meanwhile: a reader that takes nothing for ten seconds is closed.
    let is_over = Cell::new(false);
    let storming = async {
        let storm = storm::run(&options, &dialer, n_handshakes, n_loris, seed).await?;
        is_over.set(true);
        Ok(storm)
    };
    let reading = async {
        while !is_over.get() {
            slow.read_for(READING).await?;
        }
        Ok(())
    };
    let both = Box::pin(async { tokio::try_join!(storming, reading) });
    let (storm, ()) = honest.while_storming(both).await?;
    let stormy = honest.p99_ms();
    slow.catch_up(honest.n_said()).await?;
    let n_heard = honest.end().await?;
    // Somebody new comes in as ever.
    dialer.register(&Identity::numbered(dialer.realm, 900_000)?).await?;
    let peak_mib = peak_kib(options.pid)? / 1_024;
    if peak_mib > PEAK_KIB_MAX / 1_024 {
        return Err(format!("the server took {peak_mib} MiB").into());
    }
    server.stop_and_verify().await?;
    Ok(format!(
        "ok: {storm}; honest people heard {n_heard} messages, 0 lost, p99 {stormy:.2} ms meanwhile; \
         stalled reader: p99 of the others {without:.2} -> {with:.2} ms (x{ratio:.2}), lagged {} \
         times, at most {} KiB held for it, caught up; server at most {peak_mib} MiB; {} s, seed {seed}",
        slow.n_lagged,
        slow.held_max / 1_024,
        began.elapsed().as_secs(),
    ))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
