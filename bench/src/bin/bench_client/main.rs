//! Measures what a person feels of the terminal client: the real binary on a pseudo-terminal, a real
//! server, a real replica on disk.
//!
//! ```text
//! bench_client [--messages 200000] [--rate 500] [--seconds 10] [--runs 9] [--json FILE]
//! ```
//!
//! - **first paint**: from the start of the process until the newest message of a replica of many is
//!   on the screen, without any server;
//! - **keystroke**: from a byte written to the terminal until its letter is on the screen, while
//!   messages arrive in the room that is looked at.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

mod town;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mathia_protocol::client::{Batch, Replica, StoredContent};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::id::{Hash, RoomId, Seq, TimeMs};
use mathia_testkit::Failure;
use mathia_testkit::pty::Screen;
use mathia_tui::paths::Paths;
use serde_json::json;
use town::{Flood, Town};

/// What is promised of the first paint and of every hundredth keystroke at worst, in milliseconds.
const FIRST_PAINT_MAX_MS: f64 = 150.0;
const KEYSTROKE_MAX_MS: f64 = 16.0;
/// The terminal's size: wide enough for all parts.
const SIZE: (u16, u16) = (120, 36);
/// Rows of the replica written at once.
const FILLED_AT_ONCE: u64 = 2_000;
/// Letters typed before the composer is emptied again: they stay on one row.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";

/// What is measured, and how.
struct Plan {
    n_messages: u64,
    rate: u32,
    seconds: u64,
    n_runs: usize,
    json_file: Option<PathBuf>,
}

fn main() -> Result<(), Failure> {
    let plan = plan()?;
    let binaries = std::env::current_exe()?.ancestors().nth(1).unwrap().to_owned();
    let mut town = Town::start(&binaries)?;
    let (keystrokes, n_seen) = keystrokes(&town, &plan)?;
    town.stop_server();
    fill(&town, plan.n_messages)?;
    let paints = first_paints(&town, &plan)?;
    report(&plan, &paints, &keystrokes, n_seen)
}

fn plan() -> Result<Plan, Failure> {
    let mut plan = Plan { n_messages: 200_000, rate: 500, seconds: 10, n_runs: 9, json_file: None };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().ok_or(format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--messages" => plan.n_messages = value.parse()?,
            "--rate" => plan.rate = value.parse()?,
            "--seconds" => plan.seconds = value.parse()?,
            "--runs" => plan.n_runs = value.parse()?,
            "--json" => plan.json_file = Some(value.into()),
            _ => return Err(format!("{arg} is unknown").into()),
        }
    }
    Ok(plan)
}

/// Types while messages pour in. Returns the time from each key to its letter, in milliseconds and
/// rising, and how many messages came to the screen's device meanwhile.
fn keystrokes(town: &Town, plan: &Plan) -> Result<(Vec<f64>, u64), Failure> {
    let mut screen = Screen::open(town.client(), SIZE);
    screen.shows("all sent");
    screen.shows("› Write to team");
    let before = newest(town)?;
    let flood = Flood::start(town, plan.rate);
    screen.until("the flood", |seen| seen.contains("flood "));
    let mut times = Vec::new();
    let end = Instant::now() + Duration::from_secs(plan.seconds);
    while Instant::now() < end {
        let mut written = String::from("› ");
        for letter in LETTERS.chars() {
            // A fast typist: some ten keys a second, never in step with the frames.
            pause(&mut screen, Duration::from_micros(83_700));
            let pressed = Instant::now();
            screen.types(letter.encode_utf8(&mut [0; 4]));
            written.push(letter);
            screen.shows(&written);
            times.push(pressed.elapsed().as_secs_f64() * 1_000.0);
        }
        screen.types("\u{15}");
        screen.shows("› Write to team");
    }
    let n_said = flood.stop();
    screen.shows(&format!("flood {n_said} "));
    let n_seen = newest(town)?.0 - before.0;
    screen.types("\u{4}");
    screen.ends_with(0);
    // The next screen begins with the newest, not with the first unread.
    town.ann(&["read", "team"])?;
    times.sort_by(f64::total_cmp);
    Ok((times, n_seen))
}

/// Lets time pass while the screen is read.
fn pause(screen: &mut Screen, time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        if screen.read(left).is_err() {
            return;
        }
    }
}

fn paths(town: &Town) -> Result<Paths, Failure> {
    let home = town.home().into_os_string();
    Ok(Paths::find(|name| (name == "MATHIA_HOME").then(|| home.clone()), None)?)
}

fn replica(town: &Town) -> Result<(Replica, RoomId), Failure> {
    let replica = paths(town)?.home().open()?.replica;
    let room = replica.rooms()?.first().ok_or("there is no room")?.room;
    Ok((replica, room))
}

fn newest(town: &Town) -> Result<Seq, Failure> {
    let (replica, room) = replica(town)?;
    Ok(replica.room(room)?.ok_or("the room is gone")?.seq)
}

/// Fills the replica up to so many messages, each like the last one that really came.
fn fill(town: &Town, n_messages: u64) -> Result<(), Failure> {
    let (replica, room) = replica(town)?;
    let like = replica.entries_before(room, Seq(0), 1)?.pop().ok_or("the room is empty")?;
    let (mut seq, n_minutes_max) = (like.seq.0, 24 * 60);
    while seq < n_messages {
        let mut batch = Batch::default();
        let last = n_messages.min(seq + FILLED_AT_ONCE);
        for place in seq + 1..=last {
            let text =
                format!("filled {place} {}", "with some words ".repeat((place % 12) as usize));
            let mut entry = like.clone();
            entry.seq = Seq(place);
            entry.time = TimeMs(like.time.0 + place % n_minutes_max);
            entry.content = StoredContent::Said(Content::Text(text));
            batch.entries.push(entry);
        }
        seq = last;
        batch.cursor = Some((Seq(seq), Hash([7; 32])));
        replica.apply(room, batch)?;
    }
    drop(replica);
    // What is still on its way to the disk would be waited for by the first that is measured.
    std::fs::File::open(paths(town)?.home().store())?.sync_all()?;
    Ok(())
}

/// From the start of the process until the newest message is seen, in milliseconds and rising.
fn first_paints(town: &Town, plan: &Plan) -> Result<Vec<f64>, Failure> {
    let newest = newest(town)?;
    let mut times = Vec::new();
    for _ in 0..plan.n_runs {
        let begin = Instant::now();
        let mut screen = Screen::open(town.client(), SIZE);
        screen.shows(&format!("filled {newest} "));
        times.push(begin.elapsed().as_secs_f64() * 1_000.0);
        screen.types("\u{4}");
        screen.ends_with(0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn report(plan: &Plan, paints: &[f64], keystrokes: &[f64], n_seen: u64) -> Result<(), Failure> {
    let at =
        |times: &[f64], percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    let last = |times: &[f64]| times[times.len() - 1];
    let first_paint = at(paints, 50);
    let (p50, p99) = (at(keystrokes, 50), at(keystrokes, 99));
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "first paint   {first_paint:7.1} ms  (promised {FIRST_PAINT_MAX_MS}; fastest {:.1}, slowest {:.1} of {})  \
         replica of {} messages, no server",
        paints[0],
        last(paints),
        paints.len(),
        plan.n_messages
    )?;
    writeln!(
        out,
        "keystroke p99 {p99:7.1} ms  (promised {KEYSTROKE_MAX_MS}; p50 {p50:.1}, slowest {:.1} of {})  \
         {n_seen} messages came meanwhile, {} a second",
        last(keystrokes),
        keystrokes.len(),
        plan.rate
    )?;
    if let Some(path) = &plan.json_file {
        let figures = json!({
            "first_paint": {"median_ms": first_paint, "max_ms": last(paints), "messages": plan.n_messages},
            "keystroke": {"p50_ms": p50, "p99_ms": p99, "max_ms": last(keystrokes), "rate": plan.rate},
        });
        std::fs::write(path, format!("{figures}\n"))?;
    }
    Ok(())
}
