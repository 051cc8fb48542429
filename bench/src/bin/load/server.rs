//! The server under proof: started, killed, deprived of its disk, started again; on wish with its
//! assistant, which can be killed by itself.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::Failure;
use crate::durability::journal;
use mathia_testkit::process::Serve;

/// Rates are not what is proved.
const CONFIG: &str = r#"registration = "open"
[limits]
messages_per_minute = 100000000
messages_burst = 10000000
agent_messages_per_minute = 100000000
room_messages_per_minute = 100000000
commits_per_hour = 1000000
handshakes_per_second = 1000000
handshakes_burst = 1000000
failed_logins_per_minute = 1000000
lookups_per_hour = 1000000
connections_per_address_max = 20000
"#;
/// How long the assistant may live on after its server was killed.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    program: PathBuf,
    scratch: PathBuf,
    preload: Option<PathBuf>,
    core: Option<String>,
    has_assistant: bool,
    address: Option<SocketAddr>,
    child: Option<Child>,
}

impl Server {
    pub(crate) fn new(
        program: PathBuf,
        scratch: &Path,
        preload: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        fs::create_dir_all(scratch.join("control"))?;
        // The preloaded library compares whole paths.
        let scratch = scratch.canonicalize()?;
        fs::write(scratch.join("limits.toml"), CONFIG)?;
        let (core, address, child) = (None, None, None);
        Ok(Self { program, scratch, preload, core, has_assistant: false, address, child })
    }

    /// The server starts an assistant too, with this section of the configuration.
    pub(crate) fn with_assistant(mut self, section: &str) -> Result<Self, Failure> {
        fs::write(self.scratch.join("limits.toml"), format!("{CONFIG}[assistant]\n{section}"))?;
        self.has_assistant = true;
        Ok(self)
    }

    /// The server, and what it starts, stay on one core.
    pub(crate) fn on_core(mut self, core: Option<String>) -> Self {
        self.core = core;
        self
    }

    pub(crate) fn address(&self) -> Result<SocketAddr, Failure> {
        self.address.ok_or_else(|| "the server was never started".into())
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    fn data(&self) -> PathBuf {
        self.scratch.join("data")
    }

    fn journal(&self) -> PathBuf {
        self.scratch.join("journal")
    }

    /// Starts the server, at its first address if it had one, and waits until it listens.
    pub(crate) async fn start(&mut self) -> Result<(), Failure> {
        let listen = self.address.map_or_else(|| "127.0.0.1:0".to_owned(), |a| a.to_string());
        let (data, config) = (self.data(), Some(self.scratch.join("limits.toml")));
        let log = self.scratch.join("server.log");
        let (core, has_assistant) = (self.core.as_deref(), self.has_assistant);
        let program = self.program.as_path();
        let serve = Serve { program, data, config, listen, log, core, has_assistant };
        let with_faults = |command: &mut Command| {
            if let Some(preload) = &self.preload {
                command.env("LD_PRELOAD", preload).env("FAULT_DISK_DIR", self.data());
                command.env("FAULT_DISK_CONTROL", self.scratch.join("control"));
                command.env("FAULT_DISK_JOURNAL", self.journal());
            }
        };
        let (child, address) = serve.start(with_faults).await?;
        self.address = Some(address);
        self.child = Some(child);
        Ok(())
    }

    /// Ends the server as a power cut would: without any warning.
    pub(crate) async fn kill(&mut self) -> Result<(), Failure> {
        let mut child = self.child.take().ok_or("the server does not run")?;
        child.start_kill()?;
        child.wait().await?;
        Ok(())
    }

    /// A link for so many people.
    pub(crate) async fn invite(&self, n_people: usize) -> Result<String, Failure> {
        let mut command = Command::new(&self.program);
        command.args(["invite", "--uses", &n_people.to_string(), "--data"]).arg(self.data());
        let output = command.output().await?;
        let said = String::from_utf8(output.stdout)?;
        let link = said.split_whitespace().find(|word| word.starts_with("mathia://"));
        Ok(link.ok_or("the server made no invite")?.to_owned())
    }

    /// The process of the assistant that the running server started, if it lives.
    pub(crate) fn assistant(&self) -> Result<Option<u32>, Failure> {
        let Some(server) = self.pid() else { return Ok(None) };
        for entry in fs::read_dir("/proc")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
            if parent_of(pid) == Some(server) {
                return Ok(Some(pid));
            }
        }
        Ok(None)
    }

    /// Kills the assistant; `false` if none lives just now.
    pub(crate) async fn kill_assistant(&self) -> Result<bool, Failure> {
        let Some(pid) = self.assistant()? else { return Ok(false) };
        let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status().await?;
        Ok(killed.success())
    }

    /// Waits until an assistant whose server was killed has ended by itself.
    pub(crate) async fn no_orphan(&self, pid: u32) -> Result<(), Failure> {
        let deadline = Instant::now() + ORPHAN_TIMEOUT;
        while parent_of(pid).is_some() {
            if Instant::now() > deadline {
                return Err("the assistant outlives its server".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Undoes every write that was never synced, as a disk without power would.
    pub(crate) fn forget_unsynced(&self) -> Result<(), Failure> {
        journal::undo(&self.journal())?;
        // The shared index of the log is never synced and always made anew after a crash.
        for entry in fs::read_dir(self.data())? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end.to_string_lossy().ends_with("-shm")) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Switches a fault of the disk on or off.
    pub(crate) fn control(&self, name: &str, is_on: bool) -> Result<(), Failure> {
        let path = self.scratch.join("control").join(name);
        let switched = if is_on { fs::write(path, "") } else { fs::remove_file(path) };
        Ok(switched?)
    }

    pub(crate) fn has_ended(&mut self) -> Result<bool, Failure> {
        match &mut self.child {
            Some(child) => Ok(child.try_wait()?.is_some()),
            None => Ok(true),
        }
    }

    /// Waits for the server to abort by itself.
    pub(crate) async fn wait_for_abort(&mut self, timeout: Duration) -> Result<(), Failure> {
        const SIGABRT: i32 = 6;
        let mut child = self.child.take().ok_or("the server does not run")?;
        let status = tokio::time::timeout(timeout, child.wait())
            .await
            .map_err(|_| "the disk failed, and the server did not end")??;
        if status.signal() == Some(SIGABRT) {
            Ok(())
        } else {
            Err(format!("the disk failed, and the server ended with {status}, not by abort").into())
        }
    }

    /// Ends the server and lets it verify a copy of its data.
    pub(crate) async fn stop_and_verify(&mut self) -> Result<(), Failure> {
        self.kill().await?;
        let copy = self.scratch.join("copy.db");
        let mut command = Command::new(&self.program);
        command.arg("backup").arg(&copy).arg("--data").arg(self.data());
        let output = command.output().await?;
        fs::remove_file(copy).or_else(
            |error| {
                if output.status.success() { Err(error) } else { Ok(()) }
            },
        )?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("the data is damaged: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

/// The parent of a process that lives; `None` if it has ended.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field holds the program's name in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let is_dead = matches!(fields.next()?, "Z" | "X");
    fields.next()?.parse().ok().filter(|_| !is_dead)
}
