//! The server's real program, started for a test, a proof or a measurement.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::TestResult;

/// How long a start may take on a busy machine, with a log to recover.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// What `serve` is told.
pub struct Serve<'a> {
    /// The server's binary.
    pub program: &'a Path,
    /// Its data directory.
    pub data: PathBuf,
    /// Its configuration file, if it has one.
    pub config: Option<PathBuf>,
    /// `ADDR:PORT`; port 0 takes any free one.
    pub listen: String,
    /// Takes what the server has to say; it is appended to.
    pub log: PathBuf,
    /// The one core that the server, and what it starts, runs on.
    pub core: Option<&'a str>,
    /// Whether it starts an assistant: most proofs must not pay for one.
    pub has_assistant: bool,
}

impl<'a> Serve<'a> {
    /// On a free port of the loopback, without a configuration and without an assistant.
    pub fn new(program: &'a Path, data: PathBuf, log: PathBuf) -> Self {
        let (config, listen) = (None, "127.0.0.1:0".to_owned());
        Self { program, data, config, listen, log, core: None, has_assistant: false }
    }

    /// Starts the server and waits until it listens. It ends with the child.
    pub async fn start(self, change: impl FnOnce(&mut Command)) -> TestResult<(Child, SocketAddr)> {
        let mut command = match self.core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", core]).arg(self.program);
                command
            }
            None => Command::new(self.program),
        };
        command.arg("serve").arg("--data").arg(self.data).args(["--listen", &self.listen]);
        command
            .args(self.config.iter().flat_map(|config| ["--config".as_ref(), config.as_os_str()]));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let log = File::options().create(true).append(true).open(self.log)?;
        command.stderr(log).kill_on_drop(true);
        if !self.has_assistant {
            command.arg("--no-assistant");
        }
        change(&mut command);
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(address) = line.strip_prefix("listening ") {
                    return Ok(address.parse()?);
                }
            }
            Err("the server ended before it listened; see server.log".into())
        };
        let address: TestResult<SocketAddr> = timeout(START_TIMEOUT, listening).await?;
        Ok((child, address?))
    }
}
