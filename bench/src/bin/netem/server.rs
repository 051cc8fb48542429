//! The server under proof: the real program, in a directory of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::process::{Child, Command};

use crate::Failure;
use mathia_testkit::process::Serve;

pub(crate) struct Server {
    program: PathBuf,
    data: PathBuf,
    pub(crate) address: SocketAddr,
    _child: Child,
}

impl Server {
    /// Starts the server; links lead to `public`. It ends with this value.
    pub(crate) async fn start(
        program: PathBuf,
        scratch: &Path,
        listen: &str,
        public: &str,
    ) -> Result<Self, Failure> {
        let (config, data) = (scratch.join("server.toml"), scratch.join("data"));
        fs::create_dir_all(scratch)?;
        // Rates are not what is proved.
        let settings = format!(
            "public_address = \"{public}\"\n[limits]\nmessages_per_minute = 6000\n\
             room_messages_per_minute = 60000\nhandshakes_burst = 1000\n"
        );
        fs::write(&config, settings)?;
        let (listen, log) = (listen.to_owned(), scratch.join("server.log"));
        let config = Some(config);
        let serve = Serve { config, listen, ..Serve::new(&program, data.clone(), log) };
        let (child, address) = serve.start(|_| {}).await?;
        Ok(Self { program, data, address, _child: child })
    }

    /// A link for so many people.
    pub(crate) async fn invite(&self, n_people: usize) -> Result<String, Failure> {
        let said = self.say(&["invite", "--uses", &n_people.to_string()]).await?;
        let link = said.split_whitespace().find(|word| word.starts_with("mathia://"));
        Ok(link.ok_or_else(|| format!("no link in {said:?}"))?.to_owned())
    }

    /// How many sessions the server counts.
    pub(crate) async fn n_sessions(&self) -> Result<usize, Failure> {
        let said = self.say(&["status", "--json"]).await?;
        let (_, rest) = said.split_once("\"sessions\":").ok_or_else(|| format!("{said:?}"))?;
        let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
        Ok(digits.parse()?)
    }

    async fn say(&self, arguments: &[&str]) -> Result<String, Failure> {
        let mut command = Command::new(&self.program);
        let output = command.args(arguments).arg("--data").arg(&self.data).output().await?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?);
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
    }
}
