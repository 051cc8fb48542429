//! The proof on a bad network: several people with the real client talk to the real server through
//! loss, delay, copies, overtaking, partitions and changes of their addresses.
//!
//! ```text
//! netem server_bin=FILE data=DIR [seconds=120] [seed=1] [people=4]
//!       [host=IP] [listen=IP] [weather=own|outside]
//! ```
//!
//! Checked: nothing is lost, doubled or out of order; all heads, hashes and room codes are equal at
//! the end; what was said during a partition is heard by all within two seconds of its end; nobody
//! had to log in again. `weather=outside` leaves loss and delay to the kernel.

mod person;
mod proxy;
mod server;
mod weather;

use std::cell::Cell;
use std::collections::HashMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mathia_protocol::client::{Command, Done, NewRoom, PersonRef};
use mathia_protocol::id::RoomId;
use person::{Person, Said, until};
use proxy::Proxy;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use server::Server;
use weather::Weather;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long a partition lasts.
const PARTITION: Duration = Duration::from_secs(10);
/// What was said during a partition is heard by all this long after its end.
const HEALED_WITHIN: Duration = Duration::from_secs(2);
/// Each person says something this often: faster than anybody types, and what gathers during a
/// partition is what a device may have on its way at once.
const INTERVAL: Duration = Duration::from_millis(700);
/// A step that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// One round: talk, partition, two changes of address.
const ROUND: Duration = Duration::from_secs(26);

struct Options {
    server_bin: PathBuf,
    data: PathBuf,
    seconds: u64,
    seed: u64,
    n_people: usize,
    rough: Weather,
    /// Where the people and the proxy are.
    host: Ipv4Addr,
    /// Where the server listens.
    listen: Ipv4Addr,
}

fn main() -> Result<(), Failure> {
    let values: HashMap<String, String> = std::env::args()
        .skip(1)
        .map(|arg| {
            let (key, value) = arg.split_once('=').ok_or(format!("{arg} is not key=value"))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect::<Result<_, Failure>>()?;
    let options = read_options(&values)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let summary = tokio::task::LocalSet::new().block_on(&runtime, prove(&options))?;
    writeln!(std::io::stdout(), "{summary}")?;
    Ok(())
}

fn read_options(values: &HashMap<String, String>) -> Result<Options, Failure> {
    let number =
        |key: &str, default: u64| values.get(key).map_or(Ok(default), |text| text.parse::<u64>());
    let path = |key: &str| values.get(key).map(PathBuf::from).ok_or(format!("{key}= is missing"));
    let address = |key: &str| values.get(key).map_or(Ok(Ipv4Addr::LOCALHOST), |text| text.parse());
    Ok(Options {
        server_bin: path("server_bin")?,
        data: path("data")?,
        seconds: number("seconds", 120)?,
        seed: number("seed", 1)?,
        n_people: usize::try_from(number("people", 4)?)?,
        rough: match values.get("weather").map(String::as_str) {
            None | Some("own") => Weather::ROUGH,
            Some("outside") => Weather::FAIR,
            Some(other) => return Err(format!("there is no weather {other:?}").into()),
        },
        host: address("host")?,
        listen: address("listen")?,
    })
}

/// The stage: server, network, people in one room.
struct Stage {
    server: Server,
    proxy: Proxy,
    people: Vec<Person>,
    rough: Weather,
    rng: StdRng,
    /// How long it took after each partition until all had heard everything.
    healings: Vec<Duration>,
    n_rebindings: usize,
}

async fn prove(options: &Options) -> Result<String, Failure> {
    let (mut stage, room) = set(options).await?;
    let began = Instant::now();
    stage.proxy.weather(stage.rough).await?;
    let is_over = Rc::new(Cell::new(false));
    for person in &stage.people {
        person.talk(room, INTERVAL, &is_over);
    }
    while stage.healings.is_empty()
        || began.elapsed() + ROUND < Duration::from_secs(options.seconds)
    {
        stage.round().await?;
    }
    is_over.set(true);
    // Whoever speaks at this moment finishes the sentence.
    tokio::time::sleep(INTERVAL).await;
    stage.all_heard(PATIENCE).await?;
    let n_said = stage.check().await?;
    Ok(stage.summary(n_said, began.elapsed(), options.seed))
}

async fn set(options: &Options) -> Result<(Stage, RoomId), Failure> {
    let prepared = Proxy::prepare(options.host)?;
    let public = prepared.address.to_string();
    let listen = SocketAddr::from((options.listen, 0)).to_string();
    let server = Server::start(options.server_bin.clone(), &options.data, &listen, &public).await?;
    let proxy = prepared.start(server.address, options.seed)?;
    let link = server.invite(options.n_people).await?;
    let mut people = Vec::new();
    for number in 0..options.n_people {
        people.push(Person::join(&link, &format!("person-{number}")).await?);
    }
    let others = people[1..].iter();
    let new = NewRoom {
        name: "bad-weather".parse()?,
        is_open: false,
        shares_history: false,
        people: others
            .map(|person| Ok(PersonRef::Handle(person.name.parse()?)))
            .collect::<Result<_, Failure>>()?,
    };
    let Done::Room(room) = people[0].client.run(Command::CreateRoom(new)).await? else {
        return Err("no room was made".into());
    };
    until(PATIENCE, || people.iter().all(Person::has_room))
        .await
        .ok_or("not everybody found the room")?;
    let stage = Stage {
        server,
        proxy,
        people,
        rough: options.rough,
        rng: StdRng::seed_from_u64(options.seed),
        healings: Vec::new(),
        n_rebindings: 0,
    };
    Ok((stage, room))
}

impl Stage {
    /// Talk, a partition, a change of address in the middle, and one by the people themselves.
    async fn round(&mut self) -> Result<(), Failure> {
        self.talk(3).await?;
        self.proxy.weather(Weather { is_cut: true, ..self.rough }).await?;
        self.talk(PARTITION.as_secs()).await?;
        self.proxy.weather(self.rough).await?;
        let healing = self.all_heard(PATIENCE).await?;
        self.healings.push(healing);
        self.pause().await;
        self.proxy.rebind().await?;
        self.n_rebindings += self.people.len();
        self.talk(4).await?;
        self.all_heard(PATIENCE).await?;
        for person in &self.people {
            person.client.rebind().await?;
            self.n_rebindings += 1;
        }
        self.talk(4).await?;
        self.all_heard(PATIENCE).await?;
        Ok(())
    }

    async fn talk(&self, seconds: u64) -> Result<(), Failure> {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.people.iter().find_map(Person::failure).map_or(Ok(()), |failure| Err(failure.into()))
    }

    /// So that changes meet every moment of the keep-alives.
    async fn pause(&mut self) {
        let pause_ms = self.rng.random_range(0..2_000);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }

    /// Waits until everybody has heard all that was said up to now.
    async fn all_heard(&self, patience: Duration) -> Result<Duration, Failure> {
        let said: Vec<(&str, u64)> =
            self.people.iter().map(|person| (person.name.as_str(), person.n_said())).collect();
        let missing = || {
            let lacks = |person: &Person| {
                said.iter()
                    .map(|(name, n_said)| n_said.saturating_sub(person.n_heard_of(name)))
                    .sum::<u64>()
            };
            self.people.iter().map(lacks).sum::<u64>()
        };
        until(patience, || missing() == 0).await.ok_or_else(|| {
            format!("{} deliveries are missing after {patience:?}", missing()).into()
        })
    }

    /// Holds everybody's history against what was said.
    async fn check(&self) -> Result<u64, Failure> {
        for person in &self.people {
            if !person.is_online(PATIENCE).await {
                return Err(format!("{} is not online at the end", person.name).into());
            }
            let (n_logins, causes) = person.logins();
            if n_logins != 1 {
                let name = &person.name;
                return Err(format!("{name} logged in {n_logins} times: {causes:?}").into());
            }
        }
        let n_sessions = self.server.n_sessions().await?;
        if n_sessions != self.people.len() {
            return Err(format!("the server counts {n_sessions} sessions").into());
        }
        let first = self.people[0].history()?;
        for person in &self.people {
            if person.history()? != first {
                return Err(format!("{} has another history than the first", person.name).into());
            }
            let theirs: Vec<&Said> = first
                .heard
                .iter()
                .map(|(_, said)| said)
                .filter(|s| s.name == person.name)
                .collect();
            let n_said = person.n_said();
            if theirs.len() as u64 != n_said {
                return Err(format!("{} of {n_said} are in the log", theirs.len()).into());
            }
            if !theirs.iter().zip(1..).all(|(said, number)| said.number == number) {
                return Err(format!("what {} said is out of order", person.name).into());
            }
        }
        if let Some(slow) = self.healings.iter().find(|healing| **healing > HEALED_WITHIN) {
            return Err(format!("heard {slow:?} after a partition, not within 2 s").into());
        }
        Ok(self.people.iter().map(Person::n_said).sum())
    }

    fn summary(&self, n_said: u64, elapsed: Duration, seed: u64) -> String {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.proxy.counts;
        let healings: Vec<String> =
            self.healings.iter().map(|h| format!("{:.2}", h.as_secs_f64())).collect();
        format!(
            "ok: {n_said} messages of {} people in {} s, 0 lost, 0 doubled, 0 out of order, heads and \
             hashes equal, one session each; {} partitions, all heard {} s after; {} changes of \
             address; datagrams: {} passed, {} lost, {} cut, {} doubled, {} overtaking; seed {seed}",
            self.people.len(),
            elapsed.as_secs(),
            self.healings.len(),
            healings.join(", "),
            self.n_rebindings,
            count(&counts.passed),
            count(&counts.lost),
            count(&counts.cut),
            count(&counts.doubled),
            count(&counts.overtaking),
        )
    }
}
