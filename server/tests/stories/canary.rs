//! A canary: sentences that are typed into rooms are found in no file and no log of the server.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;

use crate::cast::{Person, TestResult, enrols};
use mathia_protocol::client::{Command, Done, SystemClock};
use mathia_protocol::id::RoomId;
use mathia_testkit::lines::{Greeting, Lines};

/// Sentences, and names of rooms.
const SEALED: &str = "the canary sings at noon";
const DIRECT: &str = "the canary whispers at dusk";
const OPEN: &str = "the canary shouts at dawn";
const SEALED_NAME: &str = "yellow-feathers";
const OPEN_NAME: &str = "golden-cage";
const TOPIC: &str = "seeds and small bells";

/// What is typed into sealed, direct and open rooms, and what the rooms are called, stands nowhere
/// under the server's data directory nor in its log, however much that tells.
#[tokio::test]
async fn no_sentence_is_found_on_the_server_or_in_its_log() -> TestResult {
    let dir = tempfile::tempdir()?;
    let (data, log) = (dir.path().join("data"), dir.path().join("log"));
    let (mut server, Greeting { address, admin_link }) = start(&data, &log)?;
    let invite = admin_link.ok_or("the first start prints a link")?;

    let mut ann = joins("ann", &invite, &address).await?;
    let mut bob = joins("bob", &ann.invites(Vec::new()).await?, &address).await?;
    let sealed = ann.makes_room(SEALED_NAME, &[&bob]).await?;
    let (key, value) = ("topic".to_owned(), TOPIC.to_owned());
    ann.does(Command::Set { room: sealed, key, value }).await?;
    tell(&mut ann, &mut bob, sealed, SEALED).await?;
    let Done::Room(direct) = ann.does(Command::Direct(bob.name())).await? else {
        return Err("no direct room".into());
    };
    tell(&mut ann, &mut bob, direct, DIRECT).await?;
    let open = ann.makes(OPEN_NAME, &[], |room| room.is_open = true).await?;
    bob.does(Command::JoinRoom(open)).await?;
    tell(&mut ann, &mut bob, open, OPEN).await?;

    // A stop in good order, so that everything that will ever be on disk is.
    terminate(&mut server)?;
    let mut files = vec![log];
    list(&data, &mut files)?;
    let held: Vec<Vec<u8>> = files.iter().map(fs::read).collect::<Result<_, _>>()?;
    for needle in [SEALED, DIRECT, OPEN, SEALED_NAME, OPEN_NAME, TOPIC] {
        for (path, bytes) in files.iter().zip(&held) {
            assert!(!holds(bytes, needle), "{needle:?} stands in {}", path.display());
        }
    }
    // The search finds what the server may know, and the log does tell a lot.
    assert!(held.iter().skip(1).any(|bytes| holds(bytes, "bob")), "names are no secret");
    assert!(holds(&held[0], "TRACE") || holds(&held[0], "trace"), "the log is at trace level");
    Ok(())
}

async fn joins(handle: &str, invite: &str, address: &str) -> TestResult<Person> {
    let (identity, replica) = enrols(handle, invite).await?;
    Person::start(handle, address.parse()?, identity, replica, Arc::new(SystemClock))
}

async fn tell(from: &mut Person, to: &mut Person, room: RoomId, text: &str) -> TestResult {
    from.says(room, text).await?;
    assert_eq!(to.hears(room).await?, text);
    Ok(())
}

fn start(data: &Path, log: &Path) -> TestResult<(Child, Greeting)> {
    let mut server = std::process::Command::new(env!("CARGO_BIN_EXE_mathia-server"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .env("MATHIA_LOG", "trace")
        .stdout(Stdio::piped())
        .stderr(File::create(log)?)
        .spawn()?;
    let lines = Lines::of(server.stdout.take().ok_or("no standard output")?);
    Ok((server, lines.greeting()?))
}

fn terminate(server: &mut Child) -> TestResult {
    let id = server.id().to_string();
    std::process::Command::new("kill").args(["-TERM", &id]).status()?;
    let status = server.wait()?;
    if status.success() { Ok(()) } else { Err(format!("the server ended with {status}").into()) }
}

fn list(dir: &Path, files: &mut Vec<std::path::PathBuf>) -> TestResult {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), files)?;
        } else if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn holds(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
}
