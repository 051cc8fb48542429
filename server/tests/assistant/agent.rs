//! The assistant's own process, with a directory of its own.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use mathia_protocol::client::home::{Home, Joined};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::cast::{TestResult, Town};
use crate::model::within;

/// The settings of an agent that asks a model at this address, with more lines below.
pub(crate) fn settings(base_url: &str, more: &str) -> String {
    format!(
        "[assistant]\nprovider = \"openai\"\nbase_url = \"{base_url}\"\nmodel = \"some-model\"\n\
         allow_private = true\n{more}\n"
    )
}

/// An agent that runs, or may be started again.
pub(crate) struct Agent {
    scratch: TempDir,
    server: SocketAddr,
    child: Option<Child>,
}

impl Agent {
    /// Makes the agent's account by an invite of the operator, and starts it.
    pub(crate) async fn joins(town: &Town, settings: &str) -> TestResult<Self> {
        let mut agent = Self::nowhere(town, settings)?;
        let invite = town.operators_invite().await?;
        agent.launch(&["--join", "-"], &invite).await?;
        Ok(agent)
    }

    /// A place for an agent that has no account.
    pub(crate) fn nowhere(town: &Town, settings: &str) -> TestResult<Self> {
        let agent = Self { scratch: tempfile::tempdir()?, server: town.address(), child: None };
        agent.is_told(settings)?;
        Ok(agent)
    }

    /// Starts a process that is expected to end by itself: its exit code, and what it says.
    pub(crate) async fn second(
        &self,
        more: &[&str],
        input: &str,
    ) -> TestResult<(Option<i32>, String)> {
        let mut child =
            self.command(more)?.stderr(Stdio::piped()).env("MATHIA_LOG", "off").spawn()?;
        let mut stdin = child.stdin.take().ok_or("no input")?;
        // Who refuses early does not read.
        drop(stdin.write_all(input.as_bytes()).await);
        drop(stdin);
        let output = within(child.wait_with_output()).await?;
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    }

    /// Changes the configuration; it counts from the next start on.
    pub(crate) fn is_told(&self, settings: &str) -> TestResult {
        Ok(std::fs::write(self.scratch.path().join("config"), settings)?)
    }

    /// Its directory.
    pub(crate) fn dir(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// What it has ever logged, at the finest level.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(self.scratch.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Starts it again with what it has, and waits until it is there.
    pub(crate) async fn starts(&mut self) -> TestResult {
        self.launch(&[], "").await
    }

    async fn launch(&mut self, more: &[&str], input: &str) -> TestResult {
        let mut child = self.command(more)?.spawn()?;
        let mut stdin = child.stdin.take().ok_or("no input")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let said = within(lines.next_line()).await?;
        if said.as_deref() != Some("ready") {
            let status = within(child.wait()).await?;
            return Err(format!("instead of ready: {said:?}, {status}\n{}", self.log()).into());
        }
        self.child = Some(child);
        Ok(())
    }

    fn command(&self, more: &[&str]) -> TestResult<Command> {
        let path = self.scratch.path().join("log");
        let log = File::options().create(true).append(true).open(path)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_mathia-server"));
        command.args(["assistant", "--server", &self.server.to_string()]).args(more);
        command.arg("--data").arg(self.dir());
        command.arg("--config").arg(self.scratch.path().join("config"));
        command.env("MATHIA_LOG", "trace").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        Ok(command)
    }

    /// Ends it in good order.
    pub(crate) async fn stops(&mut self) -> TestResult {
        let mut child = self.child.take().ok_or("it does not run")?;
        signal("TERM", child.id().ok_or("it has ended")?)?;
        let status = within(child.wait()).await?;
        if status.success() { Ok(()) } else { Err(format!("it ended with {status}").into()) }
    }

    /// What it has: its keys and everything it keeps. Others may look while it runs.
    pub(crate) fn belongings(&self) -> TestResult<Joined> {
        Ok(Home::at(self.dir()).open()?)
    }
}

/// Sends a signal by name; the crates hold no unsafe code, so `kill` does it.
pub(crate) fn signal(name: &str, process: u32) -> TestResult {
    let mut kill = std::process::Command::new("kill");
    let sent = kill.args([&format!("-{name}"), &process.to_string()]).status()?;
    if sent.success() { Ok(()) } else { Err("no such process".into()) }
}

/// All files under a directory.
pub(crate) fn files_under(dir: &Path) -> TestResult<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(files_under(&entry.path())?);
        } else if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}
