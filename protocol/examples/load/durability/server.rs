//! The server under proof: started, killed, deprived of its disk, started again.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::{Child, Command};

use super::journal;
use crate::Failure;
use crate::program::Serve;

/// Rates are not what is proved.
const CONFIG: &str = r#"registration = "open"
[limits]
messages_per_minute = 100000000
messages_burst = 10000000
room_messages_per_minute = 100000000
commits_per_hour = 1000000
handshakes_per_second = 1000000
handshakes_burst = 1000000
failed_logins_per_minute = 1000000
connections_per_address_max = 20000
"#;

pub(crate) struct Server {
    program: PathBuf,
    scratch: PathBuf,
    preload: Option<PathBuf>,
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
        Ok(Self { program, scratch, preload, address: None, child: None })
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
        let (data, config) = (self.data(), self.scratch.join("limits.toml"));
        let log = self.scratch.join("server.log");
        let serve = Serve { program: &self.program, data, config, listen, log };
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
