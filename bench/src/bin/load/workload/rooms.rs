//! Many rooms of four; everybody sends, one message in flight each.

use std::cell::Cell;
use std::rc::Rc;

use mathia_protocol::id::RoomId;
use mathia_protocol::wire::{Event, Reply, Request, ServerFrame, decode};

use super::window::{Measured, Window};
use super::{Failures, enroll};
use crate::measure::Report;
use crate::peer::{Dialer, Identity, Session};
use crate::room::{Author, SealedRoom};
use crate::{Failure, Options};

const N_MEMBERS: usize = 4;
const TEXT_LEN: usize = 200;

#[derive(Default)]
struct Count {
    n_stored: Cell<u64>,
    n_delivered: Cell<u64>,
    window: Window,
}

pub(crate) async fn run(options: &Options) -> Result<String, Failure> {
    let dialer = Rc::new(Dialer::new(options).await?);
    let (people, mut sessions) = enroll(options, &dialer, options.n * N_MEMBERS).await?;
    let mut rooms = Vec::new();
    for number in 0..options.n {
        let range = number * N_MEMBERS..(number + 1) * N_MEMBERS;
        let members: Vec<&Identity> = people[range.clone()].iter().map(Rc::as_ref).collect();
        let session = &mut sessions[range.start];
        rooms.push(SealedRoom::create(session, &members, number as u64).await?);
    }
    let count = Rc::new(Count::default());
    let failures = Rc::new(Failures::default());
    let mut connections = Vec::new();
    for (place, mut session) in sessions.into_iter().enumerate() {
        session.resume().await?;
        connections.push(session.connection.clone());
        let room = &rooms[place / N_MEMBERS];
        let author = Author::new(Rc::clone(&people[place]), room, place as u64);
        let (count, failures, room) = (Rc::clone(&count), Rc::clone(&failures), room.room);
        tokio::task::spawn_local(async move {
            failures.note(talk(session, author, room, &count).await);
        });
    }
    let Measured { elapsed, cpu } = count.window.measure(options, &failures).await?;
    let n_stored = count.n_stored.get();
    Ok(Report::default()
        .number("cpu_us_per_stored", cpu as f64 / n_stored.max(1) as f64)
        .number("stored_per_s", n_stored as f64 / elapsed)
        .number("deliveries_per_stored", count.n_delivered.get() as f64 / n_stored.max(1) as f64)
        .finish())
}

async fn talk(
    mut session: Session,
    mut author: Author,
    room: RoomId,
    count: &Count,
) -> Result<(), Failure> {
    let add = |cell: &Cell<u64>| {
        if count.window.is_measuring() {
            cell.set(cell.get() + 1);
        }
    };
    let mut call = session.call(Request::Append { room, entry: author.next(TEXT_LEN)? }).await?;
    while let Some(body) = session.frames.next_body().await? {
        match decode::<ServerFrame>(&body)? {
            ServerFrame::Reply { id, reply: Reply::Accepted { .. } } if id == call => {
                add(&count.n_stored);
                if count.window.is_over() {
                    return Ok(());
                }
                let entry = author.next(TEXT_LEN)?;
                call = session.call(Request::Append { room, entry }).await?;
            }
            ServerFrame::Event(Event::Entry { .. }) => add(&count.n_delivered),
            ServerFrame::Fault { fault, .. } => return Err(fault.into()),
            _ => {}
        }
    }
    Err("a session ended".into())
}
