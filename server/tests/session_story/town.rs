//! A server on loopback and people who talk to it in bare frames.

use mathia_protocol::id::Realm;
use mathia_protocol::wire::{Opening, OpeningReply, Welcome};
use mathia_server::config::RegistrationPolicy;
use mathia_server::limits::Limits;
use mathia_server::serve::{ServeConfig, Server};
use mathia_testkit::TestResult;
use mathia_testkit::wire::{self, Keys, dial};
use quinn::Connection;

/// A server with a directory of its own.
pub(crate) struct Town {
    pub(crate) server: Server,
    _dir: tempfile::TempDir,
}

impl Town {
    pub(crate) fn start() -> TestResult<Self> {
        Self::start_with(|_| {})
    }

    pub(crate) fn start_with(change: impl FnOnce(&mut Limits)) -> TestResult<Self> {
        let dir = tempfile::tempdir()?;
        let mut config = ServeConfig::new("127.0.0.1:0".parse()?, dir.path());
        config.registration = RegistrationPolicy::Open;
        config.limits.handshakes_burst = 1_000;
        config.limits.failed_logins_per_minute = 1_000;
        change(&mut config.limits);
        Ok(Self { server: Server::start(&config)?, _dir: dir })
    }

    pub(crate) async fn connect(&self) -> TestResult<Connection> {
        dial(self.server.local_addr()).await
    }

    /// A connection with its session stream, before anything is said.
    pub(crate) async fn stranger(&self) -> TestResult<wire::Session> {
        wire::Session::stranger(self.connect().await?).await
    }

    /// Keys of somebody, made from the name.
    pub(crate) fn keys_of(&self, name: &str) -> TestResult<Keys> {
        Keys::named(self.realm(), name)
    }

    /// Somebody with an account, logged in by registering.
    pub(crate) async fn newcomer(&self, name: &str) -> TestResult<Session> {
        let person = self.keys_of(name)?;
        let connection = self.connect().await?;
        let opening = person.register(&connection)?;
        Session::begin(person, connection, &opening).await
    }

    pub(crate) async fn login(&self, person: Keys) -> TestResult<Session> {
        let connection = self.connect().await?;
        let opening = Opening::Hello(person.hello(&connection)?);
        Session::begin(person, connection, &opening).await
    }

    /// The proof that the server still serves: a fresh connection gets its answer.
    pub(crate) async fn still_serves(&self) -> TestResult {
        match wire::Session::open(self.connect().await?, &Opening::Info).await?.1 {
            OpeningReply::Info(info) if info.realm == self.realm() => Ok(()),
            other => Err(format!("asked who it is, the server said {other:?}").into()),
        }
    }

    pub(crate) fn realm(&self) -> Realm {
        self.server.shared().realm
    }
}

/// A connection after login, and who is at its end.
pub(crate) struct Session {
    pub(crate) person: Keys,
    pub(crate) wire: wire::Session,
    pub(crate) welcome: Welcome,
}

impl Session {
    async fn begin(person: Keys, connection: Connection, opening: &Opening) -> TestResult<Self> {
        let (wire, welcome) = wire::Session::login(connection, opening).await?;
        Ok(Self { person, wire, welcome })
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.wire.connection
    }
}
