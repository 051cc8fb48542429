//! The cast of the stories: a town with a server, and people who live in it.

mod clock;
mod office;
mod person;
pub(crate) mod town;
mod witness;

use std::net::SocketAddr;

use mathia_protocol::client::Identity;
use mathia_protocol::crypto::auth::AuthScope;
use mathia_protocol::wire::{Hello, Opening};
use quinn::Connection;

pub(crate) use clock::TownClock;
pub(crate) use mathia_testkit::TestResult;
pub(crate) use mathia_testkit::wire::{Frames, Session, dial};
pub(crate) use person::Person;
pub(crate) use town::{Town, Trusting, enrols};

/// What a device says to log in, signed for this very connection.
pub(crate) fn hello(connection: &Connection, identity: &Identity) -> TestResult<Hello> {
    let (realm, account, device) = (identity.realm, identity.account, identity.device());
    let scope = AuthScope { realm, account, device };
    mathia_testkit::wire::hello(connection, &scope, &identity.signing)
}

/// Logs in with somebody's keys, in bare frames.
pub(crate) async fn login(address: SocketAddr, identity: &Identity) -> TestResult<Session> {
    let connection = dial(address).await?;
    let opening = Opening::Hello(hello(&connection, identity)?);
    Ok(Session::login(connection, &opening).await?.0)
}

/// The machine's clock.
pub(crate) fn now() -> mathia_protocol::id::TimeMs {
    use mathia_protocol::client::Clock as _;
    mathia_protocol::client::SystemClock.now()
}
