//! The durability proof: kills the server at random moments under writing people, lets its disk
//! forget, fill up and break, and checks that no acknowledged message is lost, doubled or moved.
//!
//! ```text
//! load durability server_bin=FILE data=DIR [rounds=25] [forget=0] [full=0] [eio=0] [seed=N]
//!                 [preload=FILE]     (needed for forget, full and eio)
//! ```

mod check;
pub(crate) mod journal;
mod writer;

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::peer::{Dialer, Identity};
use crate::room::SealedRoom;
use crate::server::Server;
use crate::{Failure, Options};
use writer::{Shared, Writer};

const N_ROOMS: usize = 4;
const WRITERS_PER_ROOM: usize = 5;
/// A server that serves nobody this long after its start has failed the proof.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(30);

/// How a round ends the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    /// Killed; what was written stays.
    Kill,
    /// Killed, and what was never synced is gone.
    Forget,
    /// The disk is full for a while; the server must refuse and recover by itself.
    Full,
    /// The disk fails; the server must end by itself and lose nothing.
    Broken,
}

/// Runs all rounds and the final check; the error says what was lost.
pub(crate) async fn run(values: &HashMap<String, String>) -> Result<String, Failure> {
    let number =
        |key: &str, default: u64| values.get(key).map_or(Ok(default), |text| text.parse::<u64>());
    let path = |key: &str| values.get(key).map(PathBuf::from);
    let seed = number("seed", 1)?;
    let mut server = Server::new(
        path("server_bin").ok_or("server_bin=FILE is missing")?,
        &path("data").ok_or("data=DIR is missing")?,
        path("preload"),
    )?;
    server.start().await?;
    let options = Options { server: server.address()?, ..Options::default() };
    let dialer = Rc::new(Dialer::new(&options).await?);
    let shared = Rc::new(Shared::default());
    let rooms = begin(&options, &dialer, &shared).await?;

    let mut rng = StdRng::seed_from_u64(seed);
    let plan = [
        (Blow::Kill, number("rounds", 25)?),
        (Blow::Forget, number("forget", 0)?),
        (Blow::Full, number("full", 0)?),
        (Blow::Broken, number("eio", 0)?),
    ];
    let started = Instant::now();
    let mut n_rounds = 0;
    for (blow, n_blows) in plan {
        for _ in 0..n_blows {
            round(&mut server, &shared, blow, &mut rng).await?;
            n_rounds += 1;
        }
    }
    shared.stop();
    let n_acked = check::all(&dialer, &shared, &rooms).await?;
    server.stop_and_verify().await?;
    Ok(format!(
        "ok: {n_rounds} rounds in {} s, {n_acked} acknowledged messages, 0 lost, 0 doubled, \
         0 out of order, integrity ok, seed {seed}",
        started.elapsed().as_secs()
    ))
}

/// The rooms of the proof, each with somebody who can read it.
pub(crate) struct ProofRoom {
    pub(crate) room: SealedRoom,
    pub(crate) reader: Rc<Identity>,
}

async fn begin(
    options: &Options,
    dialer: &Rc<Dialer>,
    shared: &Rc<Shared>,
) -> Result<Vec<ProofRoom>, Failure> {
    let n_people = N_ROOMS * WRITERS_PER_ROOM;
    let (people, mut sessions) = crate::workload::enroll(options, dialer, n_people).await?;
    let mut rooms = Vec::new();
    for (place, group) in people.chunks(WRITERS_PER_ROOM).enumerate() {
        let members: Vec<&Identity> = group.iter().map(Rc::as_ref).collect();
        let session = &mut sessions[place * WRITERS_PER_ROOM];
        let room = SealedRoom::create(session, &members, place as u64).await?;
        for (number, person) in group.iter().enumerate() {
            let writer = Writer::new(person, &room, (place * 100 + number) as u64);
            let (dialer, shared) = (Rc::clone(dialer), Rc::clone(shared));
            tokio::task::spawn_local(async move { writer.run(&dialer, &shared).await });
        }
        rooms.push(ProofRoom { room, reader: Rc::clone(&group[0]) });
    }
    Ok(rooms)
}

async fn round(
    server: &mut Server,
    shared: &Shared,
    blow: Blow,
    rng: &mut StdRng,
) -> Result<(), Failure> {
    shared.progress(PROGRESS_TIMEOUT).await?;
    tokio::time::sleep(Duration::from_millis(rng.random_range(20..400))).await;
    match blow {
        Blow::Kill | Blow::Forget => {
            server.kill().await?;
            if blow == Blow::Forget {
                server.forget_unsynced()?;
            }
            server.start().await?;
        }
        Blow::Full => {
            let refused_before = shared.n_busy();
            server.control("full", true)?;
            shared
                .until(PROGRESS_TIMEOUT, || shared.n_busy() > refused_before)
                .await
                .map_err(|_| "the disk was full, and the server refused nothing in time")?;
            server.control("full", false)?;
            if server.has_ended()? {
                return Err("the server ended on a full disk; it must refuse and go on".into());
            }
        }
        Blow::Broken => {
            server.control("eio", true)?;
            server.wait_for_abort(PROGRESS_TIMEOUT).await?;
            server.control("eio", false)?;
            server.start().await?;
        }
    }
    Ok(())
}
