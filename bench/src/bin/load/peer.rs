//! The people of a measurement: opens their connections to the server of this run. What they say goes
//! in bare frames (`mathia_testkit::wire`), since an engine would be measured with the server.

use std::net::SocketAddr;
use std::sync::Arc;

use mathia_protocol::id::Realm;
use mathia_protocol::limits::KEEP_ALIVE;
use mathia_protocol::wire::{Opening, OpeningReply};
pub(crate) use mathia_testkit::wire::{Frames, Keys as Identity, Session};
use quinn::{Connection, Endpoint};

use crate::{Failure, Options};

/// What a dialer with small windows takes unread, in bytes per stream.
pub(crate) const SMALL_WINDOW: u32 = 16 * 1024;

/// Opens connections to the server of this run.
pub(crate) struct Dialer {
    endpoint: Endpoint,
    server: SocketAddr,
    pub(crate) realm: Realm,
}

impl Dialer {
    /// A dialer that does not ask who the server is; enough for the floor, which has no realm.
    pub(crate) fn blind(options: &Options) -> Result<Self, Failure> {
        let mut endpoint = Endpoint::client("127.0.0.1:0".parse()?)?;
        endpoint.set_default_client_config(client_config(None)?);
        Ok(Self { endpoint, server: options.server, realm: Realm::ZERO })
    }

    /// A dialer that knows the server's realm.
    pub(crate) async fn new(options: &Options) -> Result<Self, Failure> {
        let mut dialer = Self::blind(options)?;
        match Session::open(dialer.connect().await?, &Opening::Info).await? {
            (_, OpeningReply::Info(info)) => dialer.realm = info.realm,
            (_, other) => return Err(format!("who it is was answered by {other:?}").into()),
        }
        Ok(dialer)
    }

    /// Another dialer to the same server, whose connections take little before somebody reads.
    pub(crate) fn with_small_windows(&self) -> Result<Self, Failure> {
        let mut endpoint = Endpoint::client("127.0.0.1:0".parse()?)?;
        endpoint.set_default_client_config(client_config(Some(SMALL_WINDOW))?);
        Ok(Self { endpoint, server: self.server, realm: self.realm })
    }

    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        Ok(self.endpoint.connect(self.server, "mathia.invalid")?.await?)
    }

    /// Connects with a full handshake, without a ticket of an earlier connection.
    pub(crate) async fn connect_anew(&self) -> Result<Connection, Failure> {
        let config = client_config(None)?;
        Ok(self.endpoint.connect_with(config, self.server, "mathia.invalid")?.await?)
    }

    /// Makes the account and logs in.
    pub(crate) async fn register(&self, identity: &Identity) -> Result<Session, Failure> {
        let connection = self.connect().await?;
        let opening = identity.register(&connection)?;
        Ok(Session::login(connection, &opening).await?.0)
    }

    /// Logs in over a connection.
    pub(crate) async fn hello(
        &self,
        connection: Connection,
        identity: &Identity,
    ) -> Result<Session, Failure> {
        let opening = Opening::Hello(identity.hello(&connection)?);
        Ok(Session::login(connection, &opening).await?.0)
    }
}

fn client_config(stream_window: Option<u32>) -> Result<quinn::ClientConfig, Failure> {
    let mut transport = quinn::TransportConfig::default();
    transport.keep_alive_interval(Some(KEEP_ALIVE));
    if let Some(bytes) = stream_window {
        transport.stream_receive_window(bytes.into());
    }
    let mut config = mathia_testkit::wire::client_config()?;
    config.transport_config(Arc::new(transport));
    Ok(config)
}
