//! Running the server: from a configuration to an endpoint that serves, and back to silence.
//!
//! Owns the order in which the parts start and stop. Knows nothing about command lines.

mod accept;
mod endpoint;
mod gate;
mod meters;
mod services;
mod stateless_reset;
mod supervise;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use mathia_protocol::id::Hash;
use mathia_protocol::wire::{CloseCode, Event};
use quinn::{Endpoint, VarInt};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

pub use endpoint::EndpointError;
pub use services::{DebugStore, ServiceParts, Services};
pub use supervise::{ChildPlan, Supervisor};
pub use tls::{Certificates, TlsError, TlsSource};

use crate::config::{RegistrationPolicy, TlsFiles};
use crate::hub::{SessionEnd, event_frame};
use crate::limits::Limits;
use crate::session::Shared;
use crate::store::StoreError;

use gate::Gate;
use stateless_reset::StatelessReset;

/// How often changes of presence and counts are emitted.
const TICK_INTERVAL: Duration = Duration::from_secs(1);
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
    services: Services,
    gate: Gate,
}

impl Server {
    /// Starts a server on its data directory. Must be called inside a runtime.
    ///
    /// # Errors
    ///
    /// [`ServeError`], after which nothing runs.
    pub fn start(config: &ServeConfig) -> Result<Self, ServeError> {
        Self::listen(Services::open(config)?, config.listen)
    }

    /// Starts a server on a given store, clock and reaction to a failed database.
    ///
    /// # Errors
    ///
    /// [`ServeError`], after which nothing runs.
    pub fn start_on(parts: ServiceParts, config: &ServeConfig) -> Result<Self, ServeError> {
        Self::listen(Services::build(parts, config)?, config.listen)
    }

    fn listen(services: Services, address: SocketAddr) -> Result<Self, ServeError> {
        let farewell = StatelessReset::derive(&services.master.reset_secret());
        let endpoint = endpoint::open(address, Arc::clone(&services.certificates), farewell)?;
        let local_addr =
            endpoint.local_addr().map_err(|source| EndpointError::Listen { address, source })?;
        let shared = &services.shared;
        let gate = Gate::new(&shared.limits);
        shared.tasks.spawn(accept::run(endpoint.clone(), gate.clone(), Arc::clone(shared)));
        shared.tasks.spawn(tick(Arc::clone(shared), gate.clone()));
        info!(%local_addr, realm = %shared.realm.short(), "serving");
        Ok(Self { endpoint, local_addr, services, gate })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// SHA-256 of the TLS key's public half, as invites carry it.
    pub fn spki_pin(&self) -> Hash {
        self.services.certificates.pin()
    }

    /// What its sessions share: the hub, the write queue, the readers.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.services.shared
    }

    /// How many connections there are, logged in or not.
    pub fn n_connections(&self) -> u32 {
        self.gate.n_connections()
    }

    /// What it stands on.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// Takes up renewed certificate files for connections from now on.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; the old certificate stays in use.
    pub fn reload_certificate(&self) -> Result<(), TlsError> {
        self.services.certificates.reload()?;
        let mut pins = self.services.shared.pins.write().unwrap_or_else(PoisonError::into_inner);
        pins.current = self.services.certificates.pin();
        Ok(())
    }

    /// Stops: takes no more connections, notifies every session, lets what was asked be answered for at
    /// most `drain`, then closes what is left and makes everything durable.
    pub async fn stop(self, drain: Duration) {
        let Self { endpoint, services: Services { shared, .. }, .. } = self;
        shared.stop.cancel();
        endpoint.set_server_config(None);
        let goodbye = event_frame(Event::Stopping { retry_after_ms: RETRY_AFTER_STOP_MS });
        shared.hub.end_all(SessionEnd::Stopping, &goodbye);
        shared.tasks.close();
        if timeout(drain, shared.tasks.wait()).await.is_err() {
            warn!(n_sessions = shared.hub.n_sessions(), "sessions are cut off by the stop");
        }
        endpoint.close(VarInt::from_u32(CloseCode::Stopping.number()), b"");
        let idle = timeout(endpoint::CLOSE_TIMEOUT, endpoint.wait_idle()).await;
        let ended = timeout(TASKS_END_TIMEOUT, shared.tasks.wait()).await;
        let stopped = tokio::task::spawn_blocking(move || shared.write_queue.stop()).await;
        info!(
            is_clean = idle.is_ok() && ended.is_ok() && stopped.is_ok(),
            "the server has stopped"
        );
    }
}

/// Does what is due once a second as long as the server runs.
async fn tick(shared: Arc<Shared>, gate: Gate) {
    meters::describe();
    let mut ticks = interval(TICK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            _ = ticks.tick() => {
                shared.hub.emit_presence(shared.clock.now_ms());
                meters::report(&shared.hub, &gate);
            }
        }
    }
}
