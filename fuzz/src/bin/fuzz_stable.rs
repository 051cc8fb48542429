//! Runs the fuzz targets with a stable compiler: seeds, then random changes of them.
//!
//! ```text
//! fuzz-stable seeds                          writes the seeds into corpus/
//! fuzz-stable run TARGET SECONDS CRASH_DIR   fires at one target for so long
//! ```
//!
//! Finds less than a fuzzer that sees which code an input reaches, but needs nothing installed.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mathia_fuzz::{Mutator, TARGETS, Target};

/// Inputs between two looks at the clock.
const N_PER_LOOK: u64 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["seeds"] => write_seeds(),
        ["run", name, seconds, crashes] => match (find(name), seconds.parse()) {
            (Some(target), Ok(seconds)) => {
                run(target, Duration::from_secs(seconds), Path::new(crashes))
            }
            _ => Err(io::Error::other("there is no such target or time")),
        },
        _ => Err(io::Error::other("usage: fuzz-stable seeds | run TARGET SECONDS CRASH_DIR")),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            say(&format!("fuzz-stable: {error}"));
            ExitCode::from(2)
        }
    }
}

fn say(line: &str) {
    // A closed pipe is no reason to stop: the exit code tells the result.
    drop(writeln!(io::stdout(), "{line}"));
}

fn find(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

fn corpus_of(target: Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

fn write_seeds() -> io::Result<ExitCode> {
    for target in TARGETS {
        let directory = corpus_of(target);
        fs::create_dir_all(&directory)?;
        for (name, bytes) in (target.seeds)() {
            fs::write(directory.join(name), bytes)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run(target: Target, duration: Duration, crashes: &Path) -> io::Result<ExitCode> {
    let mut corpus = Vec::new();
    for file in fs::read_dir(corpus_of(target))? {
        corpus.push(fs::read(file?.path())?);
    }
    if corpus.is_empty() {
        return Err(io::Error::other("there are no seeds: run fuzz-stable seeds"));
    }
    // Not repeatable on purpose: what breaks something is kept as a file.
    let (mut mutator, start) = (Mutator::new(rand::random()), Instant::now());
    let mut n_inputs = 0u64;
    for input in &corpus {
        n_inputs += 1;
        if !holds(target, input, crashes)? {
            return Ok(ExitCode::FAILURE);
        }
    }
    while start.elapsed() < duration {
        for _ in 0..N_PER_LOOK {
            n_inputs += 1;
            if !holds(target, &mutator.next(&corpus), crashes)? {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    say(&format!("{}: {n_inputs} executions, nothing found", target.name));
    Ok(ExitCode::SUCCESS)
}

/// Runs one input; if it breaks a promise, keeps it and says where.
fn holds(target: Target, input: &[u8], crashes: &Path) -> io::Result<bool> {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok() {
        return Ok(true);
    }
    fs::create_dir_all(crashes)?;
    let path = crashes.join(format!("crash-{}-{}", target.name, std::process::id()));
    fs::write(&path, input)?;
    say(&format!("{}: BROKEN by {}", target.name, path.display()));
    Ok(false)
}
