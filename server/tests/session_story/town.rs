//! A server on loopback and people who talk to it in bare frames.

use mathia_protocol::crypto::auth::AuthScope;
use mathia_protocol::crypto::identity::{HpkeSecret, SigningKey};
use mathia_protocol::crypto::user_link::{
    AccountKind, DeviceLabel, DeviceRecord, Genesis, SignedLink, UserLink,
};
use mathia_protocol::id::{AccountId, Realm, TimeMs};
use mathia_protocol::limits::STREAM_VERSION;
use mathia_protocol::wire::{
    BulkReply, BulkRequest, Call, CloseCode, Event, Fault, Hello, Opening, OpeningReply, Register,
    Reply, Request, ServerFrame, Welcome, encode_frame,
};
use mathia_server::clock::{Clock as _, SystemClock};
use mathia_server::config::RegistrationPolicy;
use mathia_server::limits::Limits;
use mathia_server::serve::{ServeConfig, Server};
use quinn::{Connection, ConnectionError, Endpoint, SendStream};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::time::timeout;

use crate::bare::{Frames, PATIENCE, TestResult, client_config, exporter};

/// A server with a directory of its own.
pub(crate) struct Town {
    pub(crate) server: Server,
    _dir: tempfile::TempDir,
    dialer: Endpoint,
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
        let server = Server::start(&config)?;
        let mut dialer = Endpoint::client("127.0.0.1:0".parse()?)?;
        dialer.set_default_client_config(client_config()?);
        Ok(Self { server, _dir: dir, dialer })
    }

    pub(crate) async fn connect(&self) -> TestResult<Connection> {
        let connecting = self.dialer.connect(self.server.local_addr(), "mathia")?;
        Ok(timeout(PATIENCE, connecting).await??)
    }

    /// A connection with its session stream, before anything is said.
    pub(crate) async fn stranger(&self) -> TestResult<Stranger> {
        let connection = self.connect().await?;
        let (mut send, recv) = connection.open_bi().await?;
        send.write_all(&[STREAM_VERSION]).await?;
        Ok(Stranger { connection, send, frames: Frames::new(recv) })
    }

    /// Somebody with an account, logged in by registering.
    pub(crate) async fn newcomer(&self, name: &str) -> TestResult<Session> {
        let person = Person::named(name, self.realm());
        let mut stranger = self.stranger().await?;
        stranger.say(&person.register(&stranger.connection)?).await?;
        stranger.becomes(person).await
    }

    pub(crate) async fn login(&self, person: Person) -> TestResult<Session> {
        let mut stranger = self.stranger().await?;
        stranger.say(&Opening::Hello(person.hello(&stranger.connection)?)).await?;
        stranger.becomes(person).await
    }

    /// The proof that the server still serves: a fresh connection gets its answer.
    pub(crate) async fn still_serves(&self) -> TestResult {
        let mut stranger = self.stranger().await?;
        stranger.say(&Opening::Info).await?;
        match stranger.hear().await? {
            OpeningReply::Info(info) if info.realm == self.realm() => Ok(()),
            other => Err(format!("asked who it is, the server said {other:?}").into()),
        }
    }

    pub(crate) fn realm(&self) -> Realm {
        self.server.shared().realm
    }
}

/// Keys and genesis of somebody, made from the name.
pub(crate) struct Person {
    pub(crate) key: SigningKey,
    pub(crate) genesis: SignedLink,
    realm: Realm,
}

impl Person {
    pub(crate) fn named(name: &str, realm: Realm) -> Self {
        let seed = name.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte));
        let mut rng = StdRng::seed_from_u64(seed);
        let key = SigningKey::generate(&mut rng);
        let hpke = HpkeSecret::generate(&mut rng).public();
        let now: TimeMs = SystemClock.now_ms();
        let label = DeviceLabel { name: "desk".into(), os: "linux".into(), created: now };
        let genesis = Genesis {
            realm,
            handle: name.parse().expect("test names are handles"),
            kind: AccountKind::Human,
            operator: String::new(),
            device: DeviceRecord::founding(key.public(), hpke, label),
            recovery_key: SigningKey::generate(&mut rng).public(),
        };
        let genesis = UserLink::founding(genesis, now).sign(&key);
        Self { key, genesis, realm }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.genesis.account()
    }

    fn scope(&self) -> AuthScope {
        AuthScope { realm: self.realm, account: self.account(), device: self.key.device_id() }
    }

    pub(crate) fn register(&self, connection: &Connection) -> TestResult<Opening> {
        let ekm = exporter(connection, &self.scope())?;
        let signature = self.scope().sign_register(&self.key, &self.genesis, None, &ekm);
        Ok(Opening::Register(Register {
            version: 1,
            features: 0,
            token: None,
            genesis: self.genesis.0.clone(),
            proof: None,
            signature: signature.0,
        }))
    }

    pub(crate) fn hello(&self, connection: &Connection) -> TestResult<Hello> {
        let scope = self.scope();
        let ekm = exporter(connection, &scope)?;
        Ok(Hello {
            version: 1,
            features: 0,
            account: scope.account,
            device: scope.device,
            signature: scope.sign_hello(&self.key, &ekm).0,
        })
    }
}

/// A connection before login.
pub(crate) struct Stranger {
    pub(crate) connection: Connection,
    pub(crate) send: SendStream,
    pub(crate) frames: Frames,
}

impl Stranger {
    pub(crate) async fn say(&mut self, opening: &Opening) -> TestResult {
        Ok(self.send.write_all(&encode_frame(opening)).await?)
    }

    pub(crate) async fn hear(&mut self) -> TestResult<OpeningReply> {
        Ok(self.frames.next().await?.ok_or("the stream ended")?)
    }

    pub(crate) async fn becomes(mut self, person: Person) -> TestResult<Session> {
        match self.hear().await? {
            OpeningReply::Welcome(welcome) => Ok(Session { person, stranger: self, welcome }),
            other => Err(format!("instead of a welcome: {other:?}").into()),
        }
    }

    /// Waits until the server has closed the connection.
    pub(crate) async fn ending(&self) -> TestResult<CloseCode> {
        ending(&self.connection).await
    }
}

pub(crate) async fn ending(connection: &Connection) -> TestResult<CloseCode> {
    match timeout(PATIENCE, connection.closed()).await? {
        ConnectionError::ApplicationClosed(close) => {
            Ok(CloseCode::from_number(close.error_code.into_inner()))
        }
        other => Err(format!("the connection ended otherwise: {other}").into()),
    }
}

/// A connection after login.
pub(crate) struct Session {
    pub(crate) person: Person,
    pub(crate) stranger: Stranger,
    pub(crate) welcome: Welcome,
}

impl Session {
    pub(crate) fn connection(&self) -> &Connection {
        &self.stranger.connection
    }

    pub(crate) async fn call(&mut self, id: u32, request: Request) -> TestResult {
        let frame = encode_frame(&Call { id, request });
        Ok(self.stranger.send.write_all(&frame).await?)
    }

    pub(crate) async fn hear(&mut self) -> TestResult<ServerFrame> {
        Ok(self.stranger.frames.next().await?.ok_or("the stream ended")?)
    }

    /// The next answer, with the call it answers; events before it are thrown away.
    pub(crate) async fn answer(&mut self) -> TestResult<(u32, Result<Reply, Fault>)> {
        loop {
            match self.hear().await? {
                ServerFrame::Event(_) => {}
                ServerFrame::Reply { id, reply } => return Ok((id, Ok(reply))),
                ServerFrame::Fault { id, fault } => return Ok((id, Err(fault))),
            }
        }
    }

    /// Asks and waits for the answer.
    pub(crate) async fn ask(&mut self, request: Request) -> TestResult<Result<Reply, Fault>> {
        self.call(77, request).await?;
        let (id, answer) = self.answer().await?;
        assert_eq!(id, 77);
        Ok(answer)
    }

    /// The next event of a kind; everything before it is thrown away.
    pub(crate) async fn event(&mut self, is_it: impl Fn(&Event) -> bool) -> TestResult<Event> {
        loop {
            match self.hear().await? {
                ServerFrame::Event(event) if is_it(&event) => return Ok(event),
                _ => {}
            }
        }
    }

    /// All frames of one bulk read.
    pub(crate) async fn bulk(&self, request: &BulkRequest) -> TestResult<Vec<BulkReply>> {
        let (mut send, recv) = self.connection().open_bi().await?;
        send.write_all(&[&[STREAM_VERSION], &encode_frame(request)[..]].concat()).await?;
        send.finish()?;
        let mut frames = Frames::new(recv);
        let mut replies = Vec::new();
        while let Some(reply) = frames.next().await? {
            replies.push(reply);
        }
        Ok(replies)
    }
}
