//! A whole server as operators start it: the `serve` process with its assistant as a child.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::client::SystemClock;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::agent::signal;
use crate::cast::{Person, TestResult, enrols};
use crate::model::within;

/// How often a process is looked at whose end nobody else would tell.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A server's directory, and its process while it runs.
pub(crate) struct Serve {
    scratch: TempDir,
    child: Option<Child>,
    pub(crate) address: SocketAddr,
}

impl Serve {
    /// Starts a server that takes anybody in, with this `[assistant]` section.
    pub(crate) async fn starts(assistant: &str) -> TestResult<Self> {
        let scratch = tempfile::tempdir()?;
        std::fs::write(
            scratch.path().join("config"),
            format!("registration = \"open\"\n{assistant}"),
        )?;
        let address = ([127, 0, 0, 1], 0).into();
        let mut serve = Self { scratch, child: None, address };
        serve.starts_again(&[]).await?;
        Ok(serve)
    }

    /// Starts it again on its data, on any free port.
    pub(crate) async fn starts_again(&mut self, more: &[&str]) -> TestResult {
        let log = self.scratch.path().join("log");
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_mathia-server"));
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(more)
            .arg("--data")
            .arg(self.data());
        command.arg("--config").arg(self.scratch.path().join("config"));
        command.env("MATHIA_LOG", "trace").kill_on_drop(true);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        self.child = Some(child);
        while let Some(line) = within(lines.next_line()).await? {
            if let Some(address) = line.strip_prefix("listening ") {
                self.address = address.parse()?;
                return Ok(());
            }
        }
        Err(format!("it never listened\n{}", self.log()).into())
    }

    /// Where everything of it lies.
    pub(crate) fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// A place for what the operator keeps elsewhere.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Everything that server and assistant have ever logged, at the finest level.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(self.scratch.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The process.
    pub(crate) fn id(&self) -> TestResult<u32> {
        Ok(self.child.as_ref().and_then(Child::id).ok_or("it does not run")?)
    }

    /// The assistant's process, once there is another one than `but`.
    pub(crate) async fn assistant(&self, but: Option<u32>) -> TestResult<u32> {
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        let id = self.id()?;
        let found = within(async {
            loop {
                looks.tick().await;
                let children = children_of(id);
                if let Some(child) = children.into_iter().find(|child| Some(*child) != but) {
                    return child;
                }
            }
        });
        Ok(found.await)
    }

    /// Ends it in good order.
    pub(crate) async fn stops(&mut self) -> TestResult {
        self.ends_by("TERM").await
    }

    /// Kills it without a word.
    pub(crate) async fn is_killed(&mut self) -> TestResult {
        self.ends_by("KILL").await
    }

    async fn ends_by(&mut self, name: &str) -> TestResult {
        signal(name, self.id()?)?;
        let mut child = self.child.take().ok_or("it does not run")?;
        within(child.wait()).await?;
        Ok(())
    }

    /// Makes an account and starts its client.
    pub(crate) async fn newcomer(&self, handle: &str) -> TestResult<Person> {
        let (identity, replica) = enrols(handle, &format!("mathia://{}", self.address)).await?;
        Person::start(handle, self.address, identity, replica, Arc::new(SystemClock))
    }

    /// The client of somebody who has an account, at the present address.
    pub(crate) fn welcomes(&self, person: &Person) -> TestResult<Person> {
        let (identity, replica) = (person.identity.duplicate(), person.replica.clone());
        Person::start(&person.handle, self.address, identity, replica, Arc::new(SystemClock))
    }
}

/// Processes that a process has started and that still run.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| state_of(*id).is_some_and(|(of, _)| of == parent)).collect()
}

/// Waits until a process is gone.
pub(crate) async fn is_gone(process: u32) {
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    while state_of(process).is_some() {
        looks.tick().await;
    }
}

/// Parent and state letter of a process; `None` once it has ended.
fn state_of(process: u32) -> Option<(u32, char)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    // Ended, though nobody has asked how.
    (!matches!(state, 'Z' | 'X')).then_some((parent, state))
}
