//! The `serve` command: a server under a service manager, from arguments to exit code.
//!
//! Owns what surrounds the server in its process: logs, metrics, the operator's socket, signals and
//! the service manager. Prints on standard output only what the command line promises.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::client::home::{FileError, Home, make_private_dir, write_private};
use mathia_protocol::id::TimeMs;
use sd_notify::NotifyState;
use serde_json::json;
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use zeroize::Zeroizing;

use crate::admin::operator::{LiveStatus, Operator};
use crate::admin::socket::{self, AdminReply, AdminRequest};
use crate::assistant::INVITE_FILE;
use crate::cli::ServeArgs;
use crate::command::{CommandError, load_config};
use crate::config::Config;
use crate::data_dir::{DataDir, DataLock};
use crate::error_text::with_causes;
use crate::serve::{ChildPlan, ServeConfig, Server, Supervisor};
use crate::{EXIT_FAILED, telemetry};

/// How long a stop waits for sessions, when the configuration does not say.
const DRAIN: Duration = Duration::from_secs(20);
/// The first invite lives this long.
const FIRST_INVITE_LIFETIME: Duration = Duration::from_hours(7 * 24);
/// How long the announcement waits for the assistant to be registered.
const ASSISTANT_PATIENCE: Duration = Duration::from_secs(5);
/// Where to listen when neither the command line nor the configuration says.
const DEFAULT_PORT: u16 = 4433;

/// Serves until stopped.
///
/// # Errors
///
/// [`CommandError`] with 78 for a bad configuration, 1 for everything else.
pub async fn serve(args: ServeArgs) -> Result<(), CommandError> {
    let config = load_config(args.config.as_deref())?;
    let metrics = telemetry::start_metrics().map_err(|e| CommandError::new(EXIT_FAILED, e, ""))?;
    let data = args.data.or_else(|| config.data.clone()).ok_or_else(|| {
        CommandError::new(
            2,
            "no data directory is named",
            "give --data DIR, or data in the configuration",
        )
    })?;
    let listen = args
        .listen
        .or(config.listen)
        .unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT)));
    let dir = DataDir::create(&data)
        .map_err(|error| CommandError::new(EXIT_FAILED, with_causes(&error), error.hint()))?;
    let _lock = lock(&dir)?;
    let server = start(&config, &dir, listen)?;
    if server.services().has_new_storage_key {
        warn!(
            path = %dir.path().join("storage.key").display(),
            "a new storage key was made: keep a copy elsewhere, without it open rooms in a backup \
             stay sealed"
        );
    }
    let stop = CancellationToken::new();
    if let Some(address) = config.metrics.listen {
        let stop = stop.clone();
        tokio::spawn(async move {
            if let Err(error) = telemetry::serve_metrics(address, metrics, stop).await {
                error!(%error, %address, "metrics cannot be served");
            }
        });
    }
    let admin = socket::bind(&dir.admin_socket()).map_err(|error| {
        CommandError::new(EXIT_FAILED, format!("cannot make the operator's socket: {error}"), "")
    })?;
    let running = Running::new(server, &config, args.json)?;
    running.offer_first_invite(&dir).await?;
    let assistant = if args.no_assistant {
        None
    } else {
        Some(running.start_assistant(&dir, args.config.clone()).await?)
    };
    running.announce()?;
    running.until_stopped(admin, config.drain_seconds, assistant).await;
    stop.cancel();
    // Gone with the server, so that commands beside it know at once.
    if let Err(error) = std::fs::remove_file(dir.admin_socket()) {
        warn!(%error, "the operator's socket is left behind");
    }
    Ok(())
}

fn lock(dir: &DataDir) -> Result<DataLock, CommandError> {
    dir.lock().map_err(|error| CommandError::new(EXIT_FAILED, with_causes(&error), error.hint()))
}

fn start(config: &Config, dir: &DataDir, listen: SocketAddr) -> Result<Server, CommandError> {
    Server::start(&serve_config(config, dir, listen)).map_err(|error| {
        let text = with_causes(&error);
        let hint = if text.contains("in use") {
            "another program has the port; choose another with --listen"
        } else {
            ""
        };
        CommandError::new(EXIT_FAILED, text, hint)
    })
}

/// What the server is made of, by configuration and environment.
pub fn serve_config(config: &Config, dir: &DataDir, listen: SocketAddr) -> ServeConfig {
    ServeConfig {
        listen,
        data_dir: dir.path().to_owned(),
        credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        tls: config.tls.clone(),
        registration: config.registration,
        limits: config.limits.clone(),
        reader_threads: config.reader_threads,
    }
}

/// A running server and what is printed about it.
struct Running {
    server: Server,
    address: String,
    started: TimeMs,
    prints_json: bool,
    hangups: Signal,
    ends: [Signal; 2],
}

impl Running {
    fn new(server: Server, config: &Config, prints_json: bool) -> Result<Self, CommandError> {
        let listening = server.local_addr();
        let address = config.public_address.clone().unwrap_or_else(|| {
            if listening.ip().is_unspecified() {
                warn!(
                    "listening on all addresses without public_address: links will say localhost"
                );
                format!("localhost:{}", listening.port())
            } else {
                listening.to_string()
            }
        });
        let catch = |kind| {
            signal(kind).map_err(|error| CommandError::new(EXIT_FAILED, error.to_string(), ""))
        };
        Ok(Self {
            started: server.services().shared.clock.now_ms(),
            server,
            address,
            prints_json,
            hangups: catch(SignalKind::hangup())?,
            ends: [catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?],
        })
    }

    /// Notes the address down, and prints an invite as long as nobody has an account.
    async fn offer_first_invite(&self, dir: &DataDir) -> Result<(), CommandError> {
        let note = format!("{}\n", self.address);
        std::fs::write(dir.address_note(), note).map_err(|error| broken(&error))?;
        if self.has_people().await? {
            return Ok(());
        }
        let link = self.make_invite(&self.address).await?;
        let as_json = json!({"v": 1, "type": "admin_invite", "link": link.as_str()});
        self.say(&format!("admin invite {}", link.as_str()), &as_json)
            .map_err(|error| broken(&error))
    }

    /// Whether anybody but the assistant has an account.
    async fn has_people(&self) -> Result<bool, CommandError> {
        let status = lines_of(self.carry_out(AdminRequest::Status).await)?;
        match status.first().and_then(|line| line["accounts"].as_u64()).unwrap_or(0) {
            0 => Ok(false),
            1 => {
                let accounts = lines_of(self.carry_out(AdminRequest::UserList).await)?;
                Ok(accounts.iter().any(|account| account["kind"] == "human"))
            }
            _ => Ok(true),
        }
    }

    async fn make_invite(&self, address: &str) -> Result<Zeroizing<String>, CommandError> {
        let lifetime_s = FIRST_INVITE_LIFETIME.as_secs();
        let request = AdminRequest::Invite { uses: 1, lifetime_s, rooms: Vec::new() };
        let lines = lines_of(self.operator(address).carry_out(request).await)?;
        let link = lines.first().and_then(|line| line["link"].as_str()).unwrap_or("");
        Ok(Zeroizing::new(link.to_owned()))
    }

    /// Starts the assistant, with an invite the first time, and waits a moment for it.
    async fn start_assistant(
        &self,
        dir: &DataDir,
        config: Option<PathBuf>,
    ) -> Result<Supervisor, CommandError> {
        let failed = |error: FileError| CommandError::new(EXIT_FAILED, with_causes(&error), "");
        let home = Home::at(dir.path().join("assistant"));
        let server = self.local_address();
        if !home.key_file().exists() {
            let link = self.make_invite(&server).await?;
            make_private_dir(home.dir()).map_err(failed)?;
            write_private(&home.dir().join(INVITE_FILE), link.as_bytes()).map_err(failed)?;
        }
        let plan = ChildPlan { data: home.dir().to_owned(), config, server };
        let assistant = Supervisor::start(plan);
        if !assistant.ready_within(ASSISTANT_PATIENCE).await {
            warn!("the assistant is not there yet; the server goes on without waiting for it");
        }
        Ok(assistant)
    }

    /// The address by which this machine reaches the server.
    fn local_address(&self) -> String {
        let mut listening = self.server.local_addr();
        if listening.ip().is_unspecified() {
            let ip: IpAddr = if listening.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            };
            listening.set_ip(ip);
        }
        listening.to_string()
    }

    /// Prints where the server listens, last of all, and notifies the service manager.
    fn announce(&self) -> Result<(), CommandError> {
        let listening = self.server.local_addr().to_string();
        let as_json = json!({"v": 1, "type": "listening", "address": listening});
        self.say(&format!("listening {listening}"), &as_json).map_err(|error| broken(&error))?;
        notify_manager(&[NotifyState::Ready, NotifyState::Status("serving")]);
        Ok(())
    }

    fn say(&self, line: &str, as_json: &serde_json::Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let text = if self.prints_json { as_json.to_string() } else { line.to_owned() };
        writeln!(out, "{text}")?;
        out.flush()
    }

    async fn until_stopped(
        mut self,
        admin: UnixListener,
        drain_seconds: Option<u64>,
        assistant: Option<Supervisor>,
    ) {
        let mut watchdog = tokio::time::interval(watchdog_interval());
        loop {
            let [terminate, interrupt] = &mut self.ends;
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = self.hangups.recv() => self.reload(),
                _ = watchdog.tick() => self.feed_watchdog().await,
                Ok((mut stream, _)) = admin.accept() => {
                    let Some(request) = socket::read_request(&mut stream).await else { continue };
                    let reply = self.carry_out(request).await;
                    if let Err(error) = socket::write_reply(&mut stream, &reply).await {
                        warn!(%error, "the operator did not wait for the answer");
                    }
                }
            }
        }
        info!("stopping");
        notify_manager(&[NotifyState::Stopping]);
        if let Some(assistant) = assistant {
            assistant.stop().await;
        }
        self.server.stop(drain_seconds.map_or(DRAIN, Duration::from_secs)).await;
    }

    fn reload(&self) {
        match self.server.reload_certificate() {
            Ok(()) => info!("the certificate was read again"),
            Err(error) => {
                let text = with_causes(&error);
                error!(error = text, "the certificate is refused, the old one stays in use");
                let status = format!("certificate rejected: {text}");
                notify_manager(&[NotifyState::Status(&status)]);
            }
        }
    }

    /// Tells the service manager that writer and readers answer. A stuck store stays silent here, and
    /// the manager restarts the server.
    async fn feed_watchdog(&self) {
        let alive = tokio::time::timeout(watchdog_interval(), self.carry_out(AdminRequest::Ping));
        if let Ok(AdminReply::Lines(_)) = alive.await {
            notify_manager(&[NotifyState::Watchdog]);
        }
    }

    async fn carry_out(&self, request: AdminRequest) -> AdminReply {
        self.operator(&self.address).carry_out(request).await
    }

    fn operator(&self, address: &str) -> Operator<'_> {
        let services = self.server.services();
        let live = LiveStatus {
            listening: self.server.local_addr().to_string(),
            n_sessions: services.shared.hub.n_sessions(),
            started: self.started,
        };
        Operator { services, address: address.to_owned(), live: Some(live) }
    }
}

fn broken(error: &io::Error) -> CommandError {
    CommandError::new(EXIT_FAILED, error.to_string(), "")
}

fn lines_of(reply: AdminReply) -> Result<Vec<serde_json::Value>, CommandError> {
    match reply {
        AdminReply::Lines(lines) => Ok(lines),
        AdminReply::Failed { code, error, hint } => Err(CommandError::new(code, error, hint)),
    }
}

/// Half of what the service manager allows, or half a minute when nobody watches.
fn watchdog_interval() -> Duration {
    sd_notify::watchdog_enabled().map_or(Duration::from_secs(30), |allowed| allowed / 2)
}

fn notify_manager(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "the service manager cannot be told");
    }
}

/// Carries out an operator's wish: by the running server if there is one, else on the data itself.
///
/// # Errors
///
/// [`CommandError`] with the exit code that fits.
pub async fn administer(
    data: &Path,
    request: AdminRequest,
) -> Result<Vec<serde_json::Value>, CommandError> {
    let failed =
        |error: &dyn std::error::Error| CommandError::new(EXIT_FAILED, with_causes(error), "");
    let dir = DataDir::open(data)
        .map_err(|error| CommandError::new(3, with_causes(&error), error.hint()))?;
    let reply = match socket::ask(&dir.admin_socket(), &request).await.map_err(|e| failed(&e))? {
        Some(reply) => reply,
        None => administer_alone(&dir, request).await?,
    };
    lines_of(reply)
}

async fn administer_alone(
    dir: &DataDir,
    request: AdminRequest,
) -> Result<AdminReply, CommandError> {
    if !dir.database().exists() {
        return Err(CommandError::new(
            3,
            format!("there is no server data in {}", dir.path().display()),
            "name the directory that `serve` was given",
        ));
    }
    let _lock = lock(dir)?;
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = serve_config(&Config::default(), dir, nowhere);
    let services = crate::serve::Services::open(&config)
        .map_err(|error| CommandError::new(EXIT_FAILED, with_causes(&error), ""))?;
    let noted = std::fs::read_to_string(dir.address_note()).unwrap_or_default();
    let address = match noted.trim() {
        "" => format!("localhost:{DEFAULT_PORT}"),
        noted => noted.to_owned(),
    };
    let reply = Operator { services: &services, address, live: None }.carry_out(request).await;
    let shared = Arc::clone(&services.shared);
    let stopped = tokio::task::spawn_blocking(move || shared.write_queue.stop()).await;
    stopped.map_err(|error| CommandError::new(EXIT_FAILED, error.to_string(), ""))?;
    Ok(reply)
}
