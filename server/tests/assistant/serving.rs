//! A whole server as operators start it: the `serve` process with its assistant as a child.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::client::SystemClock;
use mathia_testkit::process;
use tempfile::TempDir;
use tokio::process::Child;

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
        let program = Path::new(env!("CARGO_BIN_EXE_mathia-server"));
        let serve = process::Serve {
            config: Some(self.scratch.path().join("config")),
            has_assistant: true,
            ..process::Serve::new(program, self.data(), self.scratch.path().join("log"))
        };
        let started = serve.start(|command| {
            command.args(more).env("MATHIA_LOG", "trace");
        });
        let (child, address) = started.await.map_err(|error| format!("{error}\n{}", self.log()))?;
        (self.child, self.address) = (Some(child), address);
        Ok(())
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
