//! Sessions that say nothing, and logins.

use std::fmt::Write as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::measure::{Report, cpu_us, resident_kib};
use crate::peer::{Dialer, Identity};
use crate::{Failure, Options};

/// Logins under way at once.
const N_AT_ONCE: usize = 8;

/// Registers `n` people and notes them down, so that a restarted server can be met again.
pub(crate) async fn enroll(options: &Options) -> Result<String, Failure> {
    let dialer = Rc::new(Dialer::new(options).await?);
    let mut noted = String::new();
    for start in (0..options.n).step_by(500) {
        let part = Options { offset: options.offset + start, ..copy_of(options) };
        let n = (options.n - start).min(500);
        let (people, _sessions) = super::enroll(&part, &dialer, n).await?;
        for (place, person) in people.iter().enumerate() {
            writeln!(noted, "{} {}", part.offset + place, hex(&person.genesis.0))?;
        }
    }
    std::fs::write(&options.people, noted)?;
    Ok(Report::default().number("enrolled", options.n as f64).finish())
}

/// Opens a session for each of `n` noted people and reports what the server's memory grew by.
pub(crate) async fn idle(options: &Options) -> Result<String, Failure> {
    let dialer = Rc::new(Dialer::new(options).await?);
    let people = noted_people(options)?;
    let before = resident_kib(options.pid)?;
    let mut sessions = Vec::with_capacity(options.n);
    for group in people.chunks(N_AT_ONCE) {
        let mut tasks = Vec::new();
        for identity in group {
            let (dialer, identity) = (Rc::clone(&dialer), Rc::clone(identity));
            tasks.push(tokio::task::spawn_local(async move {
                let mut session = dialer.hello(dialer.connect().await?, &identity).await?;
                session.resume().await?;
                Ok::<_, Failure>(session)
            }));
        }
        for task in tasks {
            sessions.push(task.await??);
        }
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = resident_kib(options.pid)?;
    let gone = sessions.iter().filter(|s| s.connection.close_reason().is_some()).count();
    if gone > 0 {
        return Err(format!("{gone} sessions were closed").into());
    }
    Ok(Report::default()
        .number("sessions", sessions.len() as f64)
        .number("kib_per_session", (after - before) as f64 / sessions.len() as f64)
        .finish())
}

/// Logs noted people in with full handshakes for the given time.
pub(crate) async fn logins(options: &Options) -> Result<String, Failure> {
    let dialer = Rc::new(Dialer::new(options).await?);
    let people = Rc::new(noted_people(options)?);
    let deadline = Instant::now() + Duration::from_secs(options.seconds);
    let cpu_before = cpu_us(options.pid)?;
    let started = Instant::now();
    let tasks: Vec<_> = (0..N_AT_ONCE)
        .map(|lane| {
            let (dialer, people) = (Rc::clone(&dialer), Rc::clone(&people));
            tokio::task::spawn_local(async move {
                let mut n_logins = 0u64;
                let lane_of_people = people.iter().skip(lane).step_by(N_AT_ONCE).cycle();
                for identity in lane_of_people {
                    if Instant::now() > deadline {
                        break;
                    }
                    let connection = dialer.connect_anew().await?;
                    let session = dialer.hello(connection, identity).await?;
                    session.connection.close(0u32.into(), b"");
                    n_logins += 1;
                }
                Ok::<_, Failure>(n_logins)
            })
        })
        .collect();
    let mut n_logins = 0;
    for task in tasks {
        n_logins += task.await??;
    }
    let cpu = cpu_us(options.pid)? - cpu_before;
    Ok(Report::default()
        .number("cpu_us_per_login", cpu as f64 / n_logins as f64)
        .number("logins_per_s", n_logins as f64 / started.elapsed().as_secs_f64())
        .finish())
}

fn noted_people(options: &Options) -> Result<Vec<Rc<Identity>>, Failure> {
    let noted = std::fs::read_to_string(&options.people)?;
    let people = noted.lines().take(options.n).map(|line| {
        let (number, genesis) = line.split_once(' ').ok_or("an unreadable note")?;
        Ok(Rc::new(Identity::enrolled(number.parse()?, unhex(genesis)?)?))
    });
    people.collect()
}

fn copy_of(options: &Options) -> Options {
    Options { people: options.people.clone(), ..*options }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string works");
        text
    })
}

pub(super) fn unhex(text: &str) -> Result<Vec<u8>, Failure> {
    (0..text.len() / 2)
        .map(|place| Ok(u8::from_str_radix(text.get(place * 2..place * 2 + 2).ok_or("odd")?, 16)?))
        .collect()
}
