//! A server on a scratch directory that takes anybody in.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::client::{Applicant, Clock as _, Identity, Replica, TrustAsk, Visit};
use mathia_protocol::crypto::user_chain::{AccountKind, DeviceLabel};
use mathia_protocol::id::{Hash, Realm, TimeMs};
use mathia_server::config::RegistrationPolicy;
use mathia_server::data_dir::DATABASE_FILE;
use mathia_server::limits::Limits;
use mathia_server::rooms::Fatal;
use mathia_server::serve::{ServeConfig, Server, ServiceParts};
use mathia_server::store::sqlite::SqliteStore;
use rand::RngExt as _;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{Person, TestResult, TownClock, now};

/// A running server with its directory.
pub(crate) struct Town {
    pub(super) server: Option<Server>,
    pub(crate) dir: TempDir,
    pub(crate) address: SocketAddr,
    /// Tells the server and its people the time.
    pub(crate) clock: Arc<TownClock>,
    limits: Limits,
}

/// Somebody who trusts every server: the stories here are not about that.
#[derive(Debug)]
pub(crate) struct Trusting;

impl TrustAsk for Trusting {
    fn is_trusted(&self, _: &str, _: Hash, _: &str) -> bool {
        true
    }
}

impl Town {
    /// Starts a server.
    pub(crate) fn start() -> TestResult<Self> {
        Self::start_with(|_| {})
    }

    /// Starts a server with other limits.
    pub(crate) fn start_with(change: impl FnOnce(&mut Limits)) -> TestResult<Self> {
        let dir = tempfile::tempdir()?;
        let mut limits = Limits::default();
        change(&mut limits);
        let clock = Arc::new(TownClock::default());
        let server = serve(&dir, (Ipv4Addr::LOCALHOST, 0).into(), &limits, &clock)?;
        let address = server.local_addr();
        Ok(Self { server: Some(server), dir, address, clock, limits })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the server and starts it again on the same data and address.
    pub(crate) async fn restarts(&mut self) -> TestResult {
        self.sleeps().await;
        self.wakes().await
    }

    /// Stops the server; nobody can reach it until [`Self::wakes`].
    pub(crate) async fn sleeps(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(Duration::from_secs(5)).await;
        }
    }

    /// Starts the stopped server again on the same data and address.
    pub(crate) async fn wakes(&mut self) -> TestResult {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match serve(&self.dir, self.address, &self.limits, &self.clock) {
                Ok(server) => {
                    self.server = Some(server);
                    return Ok(());
                }
                // The old socket is closed a moment after the server has stopped.
                Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(20)).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes an account and starts its client.
    pub(crate) async fn newcomer(&self, handle: &str) -> TestResult<Person> {
        self.newcomer_by(handle, &format!("mathia://{}", self.address)).await
    }

    /// Makes an account by an invite and starts its client.
    pub(crate) async fn newcomer_by(&self, handle: &str, invite: &str) -> TestResult<Person> {
        let (identity, replica) =
            enrols_as(AccountKind::Human, handle, invite, self.clock.now()).await?;
        Person::start(handle, self.address, identity, replica, self.clock.clone())
    }
}

/// Makes an account by an invite, without a client yet.
pub(crate) async fn enrols(handle: &str, invite: &str) -> TestResult<(Identity, Replica)> {
    enrols_as(AccountKind::Human, handle, invite, now()).await
}

/// Makes an account of any kind, at a time by the client's clock.
pub(crate) async fn enrols_as(
    kind: AccountKind,
    handle: &str,
    invite: &str,
    created: TimeMs,
) -> TestResult<(Identity, Replica)> {
    let visit = Visit::begin(invite.parse()?, Some(Arc::new(Trusting))).await?;
    let applicant = Applicant {
        handle: handle.parse()?,
        label: DeviceLabel { name: format!("{handle}'s laptop"), os: "linux".to_owned(), created },
        kind,
        operator: String::new(),
    };
    let registered = visit.enrol(&mut rand::rng(), applicant).finish().await?;
    let replica: Replica = Replica::in_memory();
    replica.put_server(&registered.server)?;
    Ok((registered.identity, replica))
}

fn serve(
    dir: &TempDir,
    address: SocketAddr,
    limits: &Limits,
    clock: &Arc<TownClock>,
) -> TestResult<Server> {
    let mut config = ServeConfig::new(address, dir.path());
    config.registration = RegistrationPolicy::Open;
    config.limits = limits.clone();
    let database = dir.path().join(DATABASE_FILE);
    let store = Arc::new(SqliteStore::open(&database, || Realm(rand::rng().random()))?);
    let parts = ServiceParts { store, clock: clock.clone(), fatal: Fatal::abort() };
    Ok(Server::start_on(parts, &config)?)
}
