//! The proof of the assistant: kills it, or its server, at random moments while people ask, and
//! checks that each question is answered once, also the one whose answer was being given.
//!
//! ```text
//! load asks server_bin=FILE data=DIR [n=200] [seed=1]
//! ```

mod check;
pub(crate) mod model;
pub(crate) mod person;
mod record;
mod script;
pub(crate) mod town;

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mathia_protocol::id::RoomId;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::Failure;
use crate::server::Server;
use model::Model;
use person::Person;
use record::{Record, mark};
use town::Town;

const NAMES: [&str; 4] = ["ann", "bob", "cleo", "dan"];
/// Whoever waits longer than this for an answer hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// Between two questions of one person, in milliseconds.
const THINKING_MS: std::ops::Range<u64> = 100..4_000;
/// Between two blows, in milliseconds.
const PEACE_MS: std::ops::Range<u64> = 100..2_500;
/// Messages that are shown with a question, at most.
const CONTEXT_MAX: u32 = 3;

/// A room and who is in it, by place in [`NAMES`].
pub(super) struct TownRoom {
    room: RoomId,
    members: Vec<usize>,
}

/// What was killed.
#[derive(Default)]
struct Blows {
    of_server: usize,
    of_assistant: usize,
    mid_answer: usize,
}

/// Asks, kills, and checks; the error says what was lost.
pub(crate) async fn run(values: &HashMap<String, String>) -> Result<String, Failure> {
    let number =
        |key: &str, default: u64| values.get(key).map_or(Ok(default), |text| text.parse::<u64>());
    let (n_asks, seed) = (u32::try_from(number("n", 200)?)?, number("seed", 1)?);
    let n_talking = Rc::new(Cell::new(0));
    let counted = Rc::clone(&n_talking);
    let model = Model::start(move |question, talk| {
        script::answer(question, talk, seed, Rc::clone(&counted))
    });
    let mut town = Town::start(values, &model.await?, NAMES.len()).await?;
    let record = Rc::new(Record::default());
    let people = Rc::new(settle(&town, &record).await?);
    let rooms = Rc::new(found_rooms(&people).await?);

    let started = Instant::now();
    let asked = Rc::new(Cell::new(0));
    for person in 0..people.len() {
        let (people, rooms) = (Rc::clone(&people), Rc::clone(&rooms));
        let (record, asked) = (Rc::clone(&record), Rc::clone(&asked));
        let rng = StdRng::seed_from_u64(seed ^ (person as u64 + 1));
        tokio::task::spawn_local(async move {
            if let Err(failure) = ask_on(person, &people, &rooms, &asked, n_asks, rng).await {
                record.fail(failure.to_string());
            }
        });
    }
    let mut rng = StdRng::seed_from_u64(seed);
    let mut blows = Blows::default();
    while record.n_accepted() < n_asks as usize {
        tokio::time::sleep(Duration::from_millis(rng.random_range(PEACE_MS))).await;
        record.checked()?;
        strike(&mut town.server, &mut blows, &mut rng, n_talking.get()).await?;
        call_back(&people).await?;
        hangs(&record)?;
    }
    answered(&record).await?;
    // Whatever was left half done would be done now.
    kill_server(&mut town.server).await?;
    call_back(&people).await?;
    for (place, room) in rooms.iter().enumerate() {
        let question = n_asks + u32::try_from(place)?;
        ask(&people[room.members[0]], room.room, question, 0).await?;
    }
    let n_all = n_asks + u32::try_from(rooms.len())?;
    while record.n_accepted() < n_all as usize {
        tokio::time::sleep(Duration::from_millis(20)).await;
        record.checked()?;
    }
    answered(&record).await?;
    let tally = check::all(&people, &rooms, &record, n_all, seed).await?;
    record.checked()?;
    town.server.stop_and_verify().await?;
    Ok(format!(
        "ok: {n_all} questions of {} people in {} rooms, {} kills of the assistant and {} of the \
         server ({} in the middle of an answer) in {} s: {tally}, 0 doubled, 0 missing, the longest \
         wait {:.1} s, seed {seed}",
        people.len(),
        rooms.len(),
        blows.of_assistant,
        blows.of_server,
        blows.mid_answer,
        started.elapsed().as_secs(),
        record.slowest().as_secs_f64(),
    ))
}

async fn settle(town: &Town, record: &Rc<Record>) -> Result<Vec<Person>, Failure> {
    let mut people = Vec::new();
    for name in NAMES {
        let record = Rc::clone(record);
        people.push(town.settles(name, move |event| record.hears(&event)).await?);
    }
    Ok(people)
}

/// A sealed room of all, one of two, and an open one of three.
async fn found_rooms(people: &[Person]) -> Result<Vec<TownRoom>, Failure> {
    let all = people[0].makes_room("all", false, &NAMES[1..]).await?;
    let pair = people[2].makes_room("pair", false, &NAMES[3..]).await?;
    let open = people[1].makes_room("open", true, &[]).await?;
    for person in &people[2..] {
        person.enters(open).await?;
    }
    Ok(vec![
        TownRoom { room: all, members: vec![0, 1, 2, 3] },
        TownRoom { room: pair, members: vec![2, 3] },
        TownRoom { room: open, members: vec![1, 2, 3] },
    ])
}

/// One person asks, in one room or another, until all is asked.
async fn ask_on(
    person: usize,
    people: &[Person],
    rooms: &[TownRoom],
    asked: &Cell<u32>,
    n_asks: u32,
    mut rng: StdRng,
) -> Result<(), Failure> {
    let own: Vec<&TownRoom> = rooms.iter().filter(|room| room.members.contains(&person)).collect();
    while asked.get() < n_asks {
        let question = asked.replace(asked.get() + 1);
        let room = own[rng.random_range(0..own.len())].room;
        ask(&people[person], room, question, rng.random_range(0..=CONTEXT_MAX)).await?;
        tokio::time::sleep(Duration::from_millis(rng.random_range(THINKING_MS))).await;
    }
    Ok(())
}

async fn ask(person: &Person, room: RoomId, question: u32, n_context: u32) -> Result<(), Failure> {
    person.asks(room, &format!("what of {}?", mark(question)), n_context).await?;
    Ok(())
}

/// Kills one or the other.
async fn strike(
    server: &mut Server,
    blows: &mut Blows,
    rng: &mut StdRng,
    n_talking: usize,
) -> Result<(), Failure> {
    if rng.random_bool(0.4) {
        kill_server(server).await?;
        blows.of_server += 1;
    } else if server.kill_assistant().await? {
        blows.of_assistant += 1;
    } else {
        // It is about to be started again.
        return Ok(());
    }
    blows.mid_answer += usize::from(n_talking > 0);
    Ok(())
}

async fn kill_server(server: &mut Server) -> Result<(), Failure> {
    let orphan = server.assistant()?;
    server.kill().await?;
    // Started at once: the assistant of before may not be gone yet.
    server.start().await?;
    match orphan {
        Some(pid) => server.no_orphan(pid).await,
        None => Ok(()),
    }
}

async fn call_back(people: &[Person]) -> Result<(), Failure> {
    for person in people {
        person.comes_back().await?;
    }
    Ok(())
}

/// Fails if somebody waits for too long.
fn hangs(record: &Record) -> Result<(), Failure> {
    let accepted = record.accepted.borrow();
    for place in record.open() {
        if let Some((question, at)) = accepted.get(&place)
            && at.elapsed() > ANSWER_TIMEOUT
        {
            return Err(format!("MISSING: question {question} has no answer for too long").into());
        }
    }
    Ok(())
}

/// Waits until every accepted question has an answer.
async fn answered(record: &Record) -> Result<(), Failure> {
    while !record.open().is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        record.checked()?;
        hangs(record)?;
    }
    Ok(())
}
