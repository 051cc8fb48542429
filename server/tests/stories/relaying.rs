//! A machine in the middle that passes logins on.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mathia_protocol::client::{
    Applicant, Clock as _, LoginError, RegisterError, SystemClock, Visit,
};
use mathia_protocol::crypto::user_chain::{AccountKind, DeviceLabel};
use mathia_protocol::limits::ALPN;
use mathia_protocol::wire::Fault;
use mathia_testkit::wire::client_config;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint};
use rustls::pki_types::PrivatePkcs8KeyDer;

use crate::cast::{TestResult, Town, Trusting};

/// A registration signs the very connection it is made on: passed on to another it is worthless.
#[tokio::test]
async fn a_login_that_is_passed_on_is_refused() -> TestResult {
    let town = Town::start()?;
    let relay = relay_to(town.address())?;
    // At first contact, without an invite, somebody says yes to the wrong key.
    let invite = format!("mathia://{relay}").parse()?;
    let visit = Visit::begin(invite, Some(Arc::new(Trusting))).await?;
    let label =
        DeviceLabel { name: "laptop".into(), os: "linux".into(), created: SystemClock.now() };
    let applicant = Applicant {
        handle: "ann".parse()?,
        label,
        kind: AccountKind::Human,
        operator: String::new(),
    };
    let refused = visit.enrol(&mut rand::rng(), applicant).finish().await;
    let fault = match refused {
        Err(RegisterError::Login(LoginError::Refused(fault))) => fault,
        other => return Err(format!("the relay was believed: {other:?}").into()),
    };
    assert_eq!(fault, Fault::AuthFailed);
    // The name is still free for who comes by the straight way.
    town.newcomer("ann").await?;
    Ok(())
}

/// Starts a relay with a key of its own; every byte is passed on as it is.
fn relay_to(server: SocketAddr) -> TestResult<SocketAddr> {
    let key = rcgen::KeyPair::generate()?;
    let cert = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    let endpoint = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into())?;
    let address = endpoint.local_addr()?;

    // The relay itself believes any server.
    let onward = client_config()?;
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            let Ok(victim) = incoming.await else { continue };
            let Ok(connecting) = endpoint.connect_with(onward.clone(), server, "localhost") else {
                continue;
            };
            let Ok(connection) = connecting.await else { continue };
            tokio::spawn(pass_on(victim, connection));
        }
    });
    Ok(address)
}

async fn pass_on(victim: Connection, server: Connection) {
    let (Ok((mut to_victim, mut from_victim)), Ok((mut to_server, mut from_server))) =
        (victim.accept_bi().await, server.open_bi().await)
    else {
        return;
    };
    let up = tokio::io::copy(&mut from_victim, &mut to_server);
    let down = tokio::io::copy(&mut from_server, &mut to_victim);
    drop(tokio::join!(up, down));
}
