//! A long room: filling it, and reading its last 50 entries.

use std::rc::Rc;
use std::time::Instant;

use mathia_protocol::id::RoomId;
use mathia_protocol::wire::{Reply, Request, ServerFrame, decode};

use super::enroll;
use crate::measure::{Latencies, Report, cpu_us};
use crate::peer::{Dialer, Identity};
use crate::room::{Author, SealedRoom};
use crate::{Failure, Options};

const IN_FLIGHT: usize = 16;
const TEXT_LEN: usize = 200;
const N_READS: usize = 500;
const PAGE: u32 = 50;

/// Fills a room with `n` messages of one person and notes down the room and the person.
pub(crate) async fn fill(options: &Options) -> Result<String, Failure> {
    let dialer = Rc::new(Dialer::new(options).await?);
    let (people, mut sessions) = enroll(options, &dialer, 1).await?;
    let session = &mut sessions[0];
    let members: Vec<&Identity> = people.iter().map(Rc::as_ref).collect();
    let room = SealedRoom::create(session, &members, 1).await?;
    let mut author = Author::new(Rc::clone(&people[0]), &room, 1);
    let started = Instant::now();
    let (mut n_sent, mut n_stored) = (0, 0);
    while n_stored < options.n {
        while n_sent < options.n && n_sent - n_stored < IN_FLIGHT {
            let entry = author.next(TEXT_LEN)?;
            session.call(Request::Append { room: room.room, entry }).await?;
            n_sent += 1;
        }
        let body = session.frames.next_body().await?.ok_or("the session ended")?;
        match decode::<ServerFrame>(&body)? {
            ServerFrame::Reply { reply: Reply::Accepted { .. }, .. } => n_stored += 1,
            ServerFrame::Fault { fault, .. } => return Err(fault.into()),
            _ => {}
        }
    }
    let genesis = super::sessions::hex(&people[0].genesis.0);
    std::fs::write(&options.people, format!("{} {genesis} {}\n", options.offset, room.room))?;
    let rate = n_stored as f64 / started.elapsed().as_secs_f64();
    Ok(Report::default().number("stored_per_s", rate).finish())
}

/// Reads the last 50 entries of the filled room, one read after the other.
pub(crate) async fn read(options: &Options) -> Result<String, Failure> {
    let dialer = Dialer::new(options).await?;
    let noted = std::fs::read_to_string(&options.people)?;
    let mut words = noted.split_whitespace();
    let number: usize = words.next().ok_or("an empty note")?.parse()?;
    let genesis = super::sessions::unhex(words.next().ok_or("no genesis noted")?)?;
    let room = words.next().and_then(RoomId::from_hex).ok_or("no room noted")?;
    let identity = Identity::enrolled(number, genesis)?;
    let mut session = dialer.hello(dialer.connect().await?, &identity).await?;
    session.resume().await?;
    let mut latencies = Latencies::default();
    let cpu_before = cpu_us(options.pid)?;
    for n_read in 0..N_READS + 20 {
        let started = Instant::now();
        let entries = session.last(room, PAGE).await?;
        if entries.len() != PAGE as usize {
            return Err(format!("{} entries came", entries.len()).into());
        }
        // The first reads warm both sides up.
        if n_read >= 20 {
            latencies.add(started.elapsed());
        }
    }
    let cpu = cpu_us(options.pid)? - cpu_before;
    Ok(Report::default()
        .number("p50_ms", latencies.percentile_ms(50))
        .number("p99_ms", latencies.percentile_ms(99))
        .number("cpu_us_per_read", cpu as f64 / (N_READS + 20) as f64)
        .finish())
}
