//! What a server is without its network: database, keys, write queue and readers.
//!
//! Also what an operator's commands stand on while no server runs.

use std::path::Path;
use std::sync::{Arc, RwLock};

use mathia_protocol::id::{Realm, WorkspaceId};
use mathia_protocol::wire::Registration;
use rand::RngExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use super::{Certificates, ServeConfig, ServeError, TlsSource};
use crate::accounts::Chains;
use crate::clock::{Clock, SystemClock};
use crate::config::{RegistrationPolicy, TlsFiles};
use crate::damage::Damage;
use crate::data_dir::{DATABASE_FILE, read_or_make_secret};
use crate::hub::{Bus, Hub, LocalBus};
use crate::rooms::{Fatal, MasterKey, Readers, Reads, WriteQueue, WriteQueueParts};
use crate::session::{Pins, Shared};
use crate::store::Store;
use crate::store::sqlite::SqliteStore;

/// Seals what is at rest; lost, the open rooms are lost: it belongs into the backup's safe.
const STORAGE_KEY_FILE: &str = "storage.key";

/// What a server stands on, for callers that bring their own.
#[derive(Debug, Clone)]
pub struct ServiceParts {
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

/// Everything but the network.
#[derive(Debug)]
pub struct Services {
    /// The TLS identity.
    pub certificates: Arc<Certificates>,
    /// The database, for copies.
    pub store: Arc<dyn DebugStore>,
    /// Opens what is at rest.
    pub master: Arc<MasterKey>,
    /// What sessions share: the hub, the write queue, the readers.
    pub shared: Arc<Shared>,
    /// Whether the key that seals what is at rest was made just now: somebody should keep a copy.
    pub has_new_storage_key: bool,
}

impl Services {
    /// Opens the data directory with its own database and the system's clock.
    ///
    /// # Errors
    ///
    /// [`ServeError`], after which nothing runs.
    pub fn open(config: &ServeConfig) -> Result<Self, ServeError> {
        let path = config.data_dir.join(DATABASE_FILE);
        let store = SqliteStore::open(&path, || Realm(rand::rng().random()))?;
        let parts = ServiceParts {
            store: Arc::new(store),
            clock: Arc::new(SystemClock),
            fatal: Fatal::abort(),
        };
        Self::build(parts, config)
    }

    /// Starts writer and readers on a given store, clock and reaction to a failed database.
    ///
    /// # Errors
    ///
    /// [`ServeError`], after which nothing runs.
    pub fn build(parts: ServiceParts, config: &ServeConfig) -> Result<Self, ServeError> {
        let ServiceParts { store, clock, fatal } = parts;
        let TlsFiles { certificate_file, key_file } = config.tls.clone();
        let source = TlsSource::choose(
            certificate_file.zip(key_file),
            config.credentials.as_deref(),
            &config.data_dir,
        );
        let certificates = Arc::new(Certificates::load(source)?);
        let (master, has_new_storage_key) =
            master_key(config.credentials.as_deref(), &config.data_dir)?;
        let limits = config.limits.clone();
        let hub = Arc::new(Hub::new(limits.connections_per_account_max));
        let bus: Arc<dyn Bus> = Arc::new(LocalBus::new(Arc::clone(&hub)));
        let chains = Arc::new(Chains::new());
        let registration = match config.registration {
            RegistrationPolicy::Invite => Registration::Invite,
            RegistrationPolicy::Open => Registration::Open,
        };
        let damage = Arc::new(Damage::default());
        let parts = WriteQueueParts {
            hub: Arc::clone(&hub),
            bus: Arc::clone(&bus),
            master: Arc::clone(&master),
            chains: Arc::clone(&chains),
            limits: limits.clone(),
            registration,
            clock: Arc::clone(&clock),
            fatal: fatal.clone(),
            damage: Arc::clone(&damage),
        };
        let n_readers = config.reader_threads.unwrap_or_else(default_reader_threads);
        let shared = Arc::new(Shared {
            realm: store.reader()?.realm()?,
            registration,
            pins: RwLock::new(Pins { current: certificates.pin(), next: None }),
            write_queue: WriteQueue::start(&*store, parts)?,
            readers: Readers::start(&*store, n_readers, fatal.clone())?,
            reads: Reads::new(Arc::clone(&master), chains, &limits),
            workspace: WorkspaceId::MAIN,
            hub,
            bus,
            limits,
            clock,
            fatal,
            damage,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        Ok(Self { certificates, store, master, shared, has_new_storage_key })
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
