//! A room that keeps what is said for a day: after that neither the server nor a client has it, and
//! who comes later verifies the log all the same.

use std::fs;
use std::time::Duration;

use mathia_protocol::client::{Command, Done, EntryContent};
use mathia_protocol::id::{RoomId, Seq};
use mathia_server::store::{EntryRange, EntryRow, tag};

use crate::cast::{Person, TestResult, Town};

/// Answered calls after which something that does not need more than a few has not happened.
const ROUNDS_MAX: usize = 2_000;

fn messages(town: &Town, room: RoomId) -> TestResult<Vec<EntryRow>> {
    let (from, to) = (Seq(1), Seq(u64::MAX));
    let room = town.number(room)?;
    let range = EntryRange { room, from, to, n_rows_max: 1_000, n_bytes_max: usize::MAX };
    let mut rows = town.store()?.entries(range)?;
    rows.retain(|row| row.tag == tag::MESSAGE);
    Ok(rows)
}

/// Whether bytes lie in any file of the server.
fn is_on_disk(town: &Town, bytes: &[u8]) -> TestResult<bool> {
    for file in fs::read_dir(town.dir.path())? {
        let path = file?.path();
        if path.is_file() && fs::read(path)?.windows(bytes.len()).any(|window| window == bytes) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How many entries of a room show as expired, and the texts of those that do not.
async fn shown(person: &Person, room: RoomId) -> TestResult<(usize, Vec<String>)> {
    let command = Command::Timeline { room, before: Seq(0), count: 100 };
    let Done::Timeline { entries, .. } = person.does(command).await? else {
        return Err("no timeline".into());
    };
    let is_expired = |body: &EntryContent| matches!(body, EntryContent::Expired);
    let n_expired = entries.iter().filter(|entry| is_expired(&entry.content)).count();
    Ok((n_expired, person.texts(room).await?))
}

#[tokio::test]
async fn what_a_room_forgets_is_gone_everywhere_and_a_newcomer_verifies_the_log() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut bob = town.newcomer("bob").await?;
    let lobby = ann.makes("lobby", &[&bob], |room| room.is_open = true).await?;
    let team = ann.makes_room("team", &[&bob]).await?;
    for room in [lobby, team] {
        let (key, value) = ("retention_days".to_owned(), "1".to_owned());
        ann.does(Command::Set { room, key, value }).await?;
        bob.knows(room).await?;
        ann.says(room, "soon forgotten").await?;
        assert_eq!(bob.hears(room).await?, "soon forgotten");
        ann.says(room, &"and this long one too ".repeat(300)).await?;
        bob.hears(room).await?;
    }
    let rows = [messages(&town, lobby)?, messages(&town, team)?].concat();
    let traces: Vec<Vec<u8>> =
        rows.into_iter().filter_map(|row| row.body).map(|body| body[20..60].to_vec()).collect();
    assert_eq!(traces.len(), 4);
    assert!(is_on_disk(&town, &traces[0])?);

    bob.stops().await?;
    town.clock.passes(Duration::from_hours(25));
    // The writer looks at its clock when it has something to do.
    ann.says(team, "a day later").await?;
    let mut left = traces;
    for _ in 0..ROUNDS_MAX {
        ann.does(Command::Sync).await?;
        let mut found = Vec::new();
        for trace in left {
            if is_on_disk(&town, &trace)? {
                found.push(trace);
            }
        }
        left = found;
        if left.is_empty() {
            break;
        }
    }
    assert!(left.is_empty(), "{} of 4 are still on the server's disk", left.len());
    assert!(messages(&town, lobby)?.iter().all(|row| row.body.is_none()));

    // A client that had them has forgotten, too.
    bob.starts()?;
    bob.has_texts(team, &["a day later"]).await?;
    assert_eq!(shown(&bob, lobby).await?, (2, Vec::new()));
    // A newcomer gets the hashes of what is gone, and ends at the same place as everybody.
    let cleo = town.newcomer("cleo").await?;
    cleo.does(Command::JoinRoom(lobby)).await?;
    ann.says(lobby, "welcome").await?;
    let (seen, known) = (cleo.knows(lobby).await?, ann.knows(lobby).await?);
    assert_eq!((seen.head, seen.head_hash), (known.head, known.head_hash));
    assert_eq!(shown(&cleo, lobby).await?, (2, vec!["welcome".to_owned()]));
    Ok(())
}
