//! Running the server: from a configuration to an endpoint that serves, and back to silence.
//!
//! Owns the order in which the parts start and stop. Knows nothing about command lines.

mod accept;
mod endpoint;
mod gate;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mathia_protocol::id::{Hash, Realm};
use mathia_protocol::wire::{CloseCode, Event, Registration};
use quinn::{Endpoint, VarInt};
use rand::RngExt as _;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use zeroize::Zeroizing;

pub use endpoint::EndpointError;
pub use tls::{Certificates, TlsError, TlsSource};

use crate::accounts::Chains;
use crate::admin::data_dir::{DataDir, read_or_make_secret};
use crate::clock::{Clock, SystemClock};
use crate::config::{RegistrationPolicy, TlsFiles};
use crate::hub::{Hub, Parting, event_frame};
use crate::limits::Limits;
use crate::rooms::{Desk, DeskParts, Fatal, MasterKey, Readers, Reads};
use crate::session::{Pins, Shared};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};

use gate::Gate;

/// Seals what is at rest; lost, the open rooms are lost: it belongs into the backup's safe.
const STORAGE_KEY_FILE: &str = "storage.key";
/// How often changes of presence are told.
const PRESENCE_INTERVAL: Duration = Duration::from_secs(1);
/// When clients may come back after a stop: a restart takes less.
const RETRY_AFTER_STOP_MS: u32 = 1_000;
/// What tasks get to end once their connections are closed by force.
const TASKS_END_TIMEOUT: Duration = Duration::from_secs(1);

/// What a server is made of.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the data lives. The caller has made and locked it.
    pub data_dir: PathBuf,
    /// Where the service manager put secrets, if it did.
    pub credentials: Option<PathBuf>,
    /// Certificate and key, when not made by the server itself.
    pub tls: TlsFiles,
    /// Who may make accounts.
    pub registration: RegistrationPolicy,
    /// Bounds and rates.
    pub limits: Limits,
    /// Threads that read from the database; one per core when absent.
    pub reader_threads: Option<usize>,
}

impl ServeConfig {
    /// All defaults, but for the two things a server cannot guess.
    pub fn new(listen: SocketAddr, data_dir: &Path) -> Self {
        Self {
            listen,
            data_dir: data_dir.to_owned(),
            credentials: None,
            tls: TlsFiles::default(),
            registration: RegistrationPolicy::default(),
            limits: Limits::default(),
            reader_threads: None,
        }
    }
}

/// What a server stands on, for callers that bring their own.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The database.
    pub store: Arc<dyn DebugStore>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What happens when the database fails.
    pub fatal: Fatal,
}

/// A store that can be named in a log line.
pub trait DebugStore: Store + std::fmt::Debug {}

impl<T: Store + std::fmt::Debug> DebugStore for T {}

/// Why a server does not start. Each says what to mend.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address or the TLS identity cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key that seals what is at rest cannot be read or made.
    #[error("cannot use the storage key {path}")]
    StorageKey {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl From<TlsError> for ServeError {
    fn from(error: TlsError) -> Self {
        Self::Endpoint(error.into())
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    endpoint: Endpoint,
    local_addr: SocketAddr,
    certificates: Arc<Certificates>,
    store: Arc<dyn DebugStore>,
    shared: Arc<Shared>,
    gate: Gate,
    has_new_storage_key: bool,
}

impl Server {
    /// Starts a server on its data directory. Must be called inside a runtime.
    ///
    /// # Errors
    ///
    /// [`ServeError`], after which nothing runs.
    pub fn start(config: ServeConfig) -> Result<Self, ServeError> {
        let path = DataDir::open(&config.data_dir)
            .map_err(|error| StoreError::broken(io::Error::other(error)))?
            .database();
        let store = SqliteStore::open(&path, || Realm(rand::rng().random()))?;
        let ground =
            Ground { store: Arc::new(store), clock: Arc::new(SystemClock), fatal: Fatal::abort() };
        Self::start_on(ground, config)
    }

    /// Starts a server on a given store, clock and reaction to a failed database.
    ///
    /// # Errors
    ///
    /// [`ServeError`], after which nothing runs.
    pub fn start_on(ground: Ground, config: ServeConfig) -> Result<Self, ServeError> {
        let Ground { store, clock, fatal } = ground;
        let TlsFiles { certificate_file, key_file } = config.tls;
        let source = TlsSource::choose(
            certificate_file.zip(key_file),
            config.credentials.as_deref(),
            &config.data_dir,
        );
        let certificates = Arc::new(Certificates::load(source)?);
        let (master, has_new_storage_key) =
            master_key(config.credentials.as_deref(), &config.data_dir)?;
        // Before anything is started that would have to be stopped again.
        let endpoint = endpoint::open(config.listen, Arc::clone(&certificates))?;
        let local_addr = endpoint
            .local_addr()
            .map_err(|source| EndpointError::Listen { address: config.listen, source })?;

        let limits = config.limits;
        let hub = Arc::new(Hub::new(Arc::clone(&clock), limits.connections_per_account_max));
        let chains = Arc::new(Chains::new());
        let registration = match config.registration {
            RegistrationPolicy::Invite => Registration::Invite,
            RegistrationPolicy::Open => Registration::Open,
        };
        let parts = DeskParts {
            master: Arc::clone(&master),
            chains: Arc::clone(&chains),
            limits: limits.clone(),
            registration,
            clock: Arc::clone(&clock),
            fatal: fatal.clone(),
        };
        let n_readers = config.reader_threads.unwrap_or_else(default_reader_threads);
        let gate = Gate::new(&limits);
        let shared = Arc::new(Shared {
            realm: store.reader()?.realm()?,
            registration,
            pins: RwLock::new(Pins { current: certificates.pin(), next: None }),
            desk: Desk::start(&*store, Arc::clone(&hub), parts)?,
            readers: Readers::start(&*store, n_readers, fatal.clone())?,
            reads: Reads::new(master, chains, &limits, Arc::clone(&clock)),
            hub,
            limits,
            clock,
            fatal,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        shared.tasks.spawn(accept::run(endpoint.clone(), gate.clone(), Arc::clone(&shared)));
        shared.tasks.spawn(tell_presence(Arc::clone(&shared)));
        info!(%local_addr, realm = %shared.realm.short(), "serving");
        Ok(Self { endpoint, local_addr, certificates, store, shared, gate, has_new_storage_key })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// SHA-256 of the TLS key's public half, as invites carry it.
    pub fn spki_pin(&self) -> Hash {
        self.certificates.pin()
    }

    /// What its sessions share: the hub, the desk, the readers.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// How many connections there are, logged in or not.
    pub fn n_connections(&self) -> u32 {
        self.gate.n_connections()
    }

    /// Its database, for copies.
    pub fn store(&self) -> &Arc<dyn DebugStore> {
        &self.store
    }

    /// Whether the key that seals what is at rest was made just now: somebody should keep a copy.
    pub fn has_new_storage_key(&self) -> bool {
        self.has_new_storage_key
    }

    /// Takes up renewed certificate files for connections from now on.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; the old certificate stays in use.
    pub fn reload_certificate(&self) -> Result<(), TlsError> {
        self.certificates.reload()?;
        let mut pins = self.shared.pins.write().unwrap_or_else(PoisonError::into_inner);
        pins.current = self.certificates.pin();
        Ok(())
    }

    /// Stops: takes no more connections, tells every session, lets what was asked be answered for at
    /// most `drain`, then closes what is left and makes everything durable.
    pub async fn stop(self, drain: Duration) {
        let Self { endpoint, shared, .. } = self;
        shared.stop.cancel();
        endpoint.set_server_config(None);
        let goodbye = event_frame(Event::Stopping { retry_after_ms: RETRY_AFTER_STOP_MS });
        shared.hub.end_all(Parting::Stopping, &goodbye);
        shared.tasks.close();
        if timeout(drain, shared.tasks.wait()).await.is_err() {
            warn!(n_sessions = shared.hub.n_sessions(), "sessions are cut off by the stop");
        }
        endpoint.close(VarInt::from_u32(CloseCode::Stopping.number()), b"");
        let idle = timeout(endpoint::CLOSE_TIMEOUT, endpoint.wait_idle()).await;
        let ended = timeout(TASKS_END_TIMEOUT, shared.tasks.wait()).await;
        let stopped = tokio::task::spawn_blocking(move || shared.desk.stop()).await;
        info!(
            is_clean = idle.is_ok() && ended.is_ok() && stopped.is_ok(),
            "the server has stopped"
        );
    }
}

async fn tell_presence(shared: Arc<Shared>) {
    let mut ticks = interval(PRESENCE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            _ = ticks.tick() => shared.hub.tell_presence(),
        }
    }
}

fn default_reader_threads() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// The key from the service's credentials, else from a file that is made once.
fn master_key(
    credentials: Option<&Path>,
    data_dir: &Path,
) -> Result<(Arc<MasterKey>, bool), ServeError> {
    let given = credentials.map(|dir| dir.join(STORAGE_KEY_FILE)).filter(|path| path.is_file());
    let path = given.unwrap_or_else(|| data_dir.join(STORAGE_KEY_FILE));
    let make = || Zeroizing::new(rand::rng().random::<[u8; 32]>());
    let (bytes, is_new) = read_or_make_secret::<32>(&path, make)
        .map_err(|source| ServeError::StorageKey { path, source })?;
    Ok((Arc::new(MasterKey::from_bytes(&bytes)), is_new))
}
