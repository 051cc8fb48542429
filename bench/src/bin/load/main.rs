//! The load generator: plays many people against one server and reports what it saw as JSON.
//!
//! ```text
//! load WORKLOAD server=ADDR:PORT [pid=PID] [seconds=10] [n=100] [offset=0]
//!      [people=FILE]
//! ```
//!
//! Workloads: `fanout` (one room, `n` receivers of which 10 send), `rooms` (`n` rooms of four, all
//! send), `enroll` (registers `n` accounts), `idle` (`n` sessions of enrolled accounts), `latency`
//! (one room of 10, 50 messages a second), `ask` (answers of the assistant, with a server of its own;
//! see its module), `fill` and `history` (a room of `n`, its last 50),
//! `logins` (full handshakes). The server must allow open registration.
//! `durability`, `asks` and `hostile` are proofs with a server of their own, see their modules.
//! CPU time is the server's own, read from `/proc/PID/stat` around the measured window.

#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

mod asks;
mod durability;
mod floor;
mod hostile;
mod measure;
mod peer;
mod room;
mod server;
mod workload;

use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What the command line asks.
pub(crate) struct Options {
    pub(crate) server: SocketAddr,
    pub(crate) pid: Option<u32>,
    pub(crate) seconds: u64,
    pub(crate) n: usize,
    pub(crate) offset: usize,
    /// Where `enroll` writes down whom it enrolled, and `idle` and `logins` read it.
    pub(crate) people: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            server: SocketAddr::from(([127, 0, 0, 1], 0)),
            pid: None,
            seconds: 10,
            n: 100,
            offset: 0,
            people: "people.txt".into(),
        }
    }
}

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let workload = args.next().ok_or("usage: load WORKLOAD server=ADDR:PORT ..")?;
    let values: HashMap<String, String> = args
        .map(|arg| {
            let (key, value) = arg.split_once('=').ok_or(format!("{arg} is not key=value"))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect::<Result<_, Failure>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = tokio::task::LocalSet::new().block_on(&runtime, async {
        if workload == "durability" {
            return durability::run(&values).await;
        }
        if workload == "asks" {
            return asks::run(&values).await;
        }
        if workload == "ask" {
            return workload::ask::run(&values).await;
        }
        if workload == "hostile" {
            return hostile::run(&values).await;
        }
        let options = read_options(&values)?;
        match workload.as_str() {
            "fanout" => workload::fanout::run(&options).await,
            "rooms" => workload::rooms::run(&options).await,
            "enroll" => workload::sessions::enroll(&options).await,
            "idle" => workload::sessions::idle(&options).await,
            "logins" => workload::sessions::logins(&options).await,
            "latency" => workload::latency::run(&options).await,
            "fill" => workload::history::fill(&options).await,
            "history" => workload::history::read(&options).await,
            "floor-fanout" => floor::fanout(&options).await,
            "floor-rooms" => floor::rooms(&options).await,
            other => Err(format!("there is no workload {other:?}").into()),
        }
    })?;
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

fn read_options(values: &HashMap<String, String>) -> Result<Options, Failure> {
    let number = |key: &str, default: u64| match values.get(key) {
        Some(text) => text.parse::<u64>().map_err(|_| format!("{key}={text} is no number")),
        None => Ok(default),
    };
    Ok(Options {
        server: values.get("server").ok_or("server=ADDR:PORT is missing")?.parse()?,
        pid: values.get("pid").map(|text| text.parse()).transpose()?,
        seconds: number("seconds", 10)?,
        n: usize::try_from(number("n", 100)?)?,
        offset: usize::try_from(number("offset", 0)?)?,
        people: values.get("people").map_or_else(|| "people.txt".into(), PathBuf::from),
    })
}
