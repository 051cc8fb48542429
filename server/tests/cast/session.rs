//! A session in bare frames, for what no honest client would say.

use std::net::{Ipv4Addr, SocketAddr};

use mathia_protocol::client::Identity;
use mathia_protocol::crypto::auth::AuthScope;
use mathia_protocol::limits::{PROTOCOL_VERSION, STREAM_VERSION};
use mathia_protocol::wire::{
    Call, Hello, Opening, OpeningReply, Reply, Request, ServerFrame, encode_frame,
};
use quinn::{Connection, Endpoint, SendStream};
use tokio::time::timeout;

use crate::bare::{Frames, PATIENCE, TestResult, client_config, exporter};

/// A logged-in session.
pub(crate) struct Session {
    /// Kept so that it stays open.
    _connection: Connection,
    pub(crate) send: SendStream,
    pub(crate) frames: Frames,
}

impl Session {
    /// Logs in with somebody's keys.
    pub(crate) async fn login(address: SocketAddr, identity: &Identity) -> TestResult<Self> {
        let connection = dial(address).await?;
        let opening = Opening::Hello(hello(&connection, identity)?);
        let (session, reply) = Self::open(connection, &opening).await?;
        match reply {
            OpeningReply::Welcome(_) => Ok(session),
            other => Err(format!("instead of a welcome: {other:?}").into()),
        }
    }

    /// Says the first frame of a connection and hears the answer.
    pub(crate) async fn open(
        connection: Connection,
        opening: &Opening,
    ) -> TestResult<(Self, OpeningReply)> {
        let (mut send, receive) = connection.open_bi().await?;
        send.write_all(&[STREAM_VERSION]).await?;
        send.write_all(&encode_frame(opening)).await?;
        let mut frames = Frames::new(receive);
        let reply = frames.next().await?.ok_or("the stream ended")?;
        Ok((Self { _connection: connection, send, frames }, reply))
    }

    /// Asks and waits for the answer.
    pub(crate) async fn ask(&mut self, request: Request) -> TestResult<Reply> {
        self.send.write_all(&encode_frame(&Call { id: 1, request })).await?;
        loop {
            match self.frames.next().await?.ok_or("the stream ended")? {
                ServerFrame::Event(_) => {}
                ServerFrame::Reply { reply, .. } => return Ok(reply),
                ServerFrame::Fault { fault, .. } => return Err(fault.to_string().into()),
            }
        }
    }
}

/// What a device says to log in, signed for this very connection.
pub(crate) fn hello(connection: &Connection, identity: &Identity) -> TestResult<Hello> {
    let (realm, account, device) = (identity.realm, identity.account, identity.device());
    let scope = AuthScope { realm, account, device };
    let signature = scope.sign_hello(&identity.signing, &exporter(connection, &scope)?).0;
    Ok(Hello { version: PROTOCOL_VERSION, features: 0, account, device, signature })
}

/// Connects to any server, whatever its key.
pub(crate) async fn dial(address: SocketAddr) -> TestResult<Connection> {
    let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    endpoint.set_default_client_config(client_config()?);
    Ok(timeout(PATIENCE, endpoint.connect(address, "mathia")?).await??)
}
