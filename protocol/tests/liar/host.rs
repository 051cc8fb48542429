//! The sockets of the liar: a real QUIC endpoint with a certificate of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use mathia_protocol::crypto::hash::sha256;
use mathia_protocol::crypto::user_chain::SignedLink;
use mathia_protocol::id::{AccountId, DeviceId, Hash, Realm, Seq};
use mathia_protocol::limits::{ALPN, PROTOCOL_VERSION, STREAM_VERSION};
use mathia_protocol::wire::{
    BulkReply, BulkRequest, Call, Info, Opening, OpeningReply, Registration, ServerFrame,
    SessionLimits, Welcome, encode_frame,
};
use mathia_testkit::wire::Frames;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, SendStream};
use rustls::server::ParsedCertificate;
use tokio::sync::mpsc;

use super::world::Session;
use super::{TestResult, World, now};

/// A running liar.
pub(crate) struct Liar {
    world: Arc<Mutex<World>>,
    address: SocketAddr,
}

#[derive(Clone)]
struct Host {
    world: Arc<Mutex<World>>,
    pin: Hash,
}

impl Liar {
    /// Starts it with a fresh key.
    pub(crate) fn start() -> TestResult<Self> {
        let key = rcgen::KeyPair::generate()?;
        let cert =
            rcgen::CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
        let spki = ParsedCertificate::try_from(cert.der())?.subject_public_key_info();
        let pin = sha256(&[spki.as_ref()]);
        let private = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], private.into())?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
        let endpoint = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into())?;
        let address = endpoint.local_addr()?;
        let world = Arc::new(Mutex::new(World::new(Realm([7; 16]))));
        let host = Host { world: Arc::clone(&world), pin };
        tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let host = host.clone();
                tokio::spawn(async move {
                    if let Ok(connection) = incoming.await {
                        drop(host.serve(connection).await);
                    }
                });
            }
        });
        Ok(Self { world, address })
    }

    /// How it is joined.
    pub(crate) fn link(&self) -> String {
        format!("mathia://{}", self.address)
    }

    /// What it keeps, to be changed by the test.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("nobody panics while holding it")
    }
}

impl Host {
    async fn serve(self, connection: Connection) -> TestResult {
        let (mut send, receive) = connection.accept_bi().await?;
        send.write_all(&[STREAM_VERSION]).await?;
        let mut frames = Frames::new(receive);
        let (account, device) = loop {
            let Some(opening) = frames.next_when_it_comes::<Opening>().await? else {
                return Ok(());
            };
            let (reply, caller) = self.open(opening)?;
            send.write_all(&encode_frame(&reply)).await?;
            if let Some(caller) = caller {
                break caller;
            }
        };
        let (queue, queued) = mpsc::channel(1_024);
        let session = Session { account, device, frames: queue.clone() };
        self.world.lock().expect("nobody panics while holding it").sessions.push(session);
        tokio::spawn(write(send, queued));
        tokio::spawn(self.clone().serve_bulk(connection.clone()));
        while let Some(call) = frames.next_when_it_comes::<Call>().await? {
            let answer = self.world.lock().expect("nobody panics while holding it").answer(
                account,
                device,
                call.request,
            );
            if std::mem::take(
                &mut self.world.lock().expect("nobody panics while holding it").is_dead,
            ) {
                connection.close(0u32.into(), b"");
                break;
            }
            let id = call.id;
            let frame = match answer {
                Ok(reply) => ServerFrame::Reply { id, reply },
                Err(fault) => ServerFrame::Fault { id, fault },
            };
            queue.send(encode_frame(&frame)).await?;
        }
        self.world
            .lock()
            .expect("nobody panics while holding it")
            .sessions
            .retain(|session| session.device != device);
        Ok(())
    }

    fn open(&self, opening: Opening) -> TestResult<(OpeningReply, Option<(AccountId, DeviceId)>)> {
        let mut world = self.world.lock().expect("nobody panics while holding it");
        let realm = world.realm;
        Ok(match opening {
            Opening::Info => {
                let (registration, version) = (Registration::Open, PROTOCOL_VERSION);
                (OpeningReply::Info(Info { realm, registration, version }), None)
            }
            Opening::Register(register) => {
                let genesis = SignedLink(register.genesis);
                let (account, device) = (genesis.account(), genesis.decode_unverified()?.signer);
                world.chains.insert(account, vec![genesis]);
                (self.welcome(account), Some((account, device)))
            }
            Opening::Hello(hello) => {
                (self.welcome(hello.account), Some((hello.account, hello.device)))
            }
            Opening::Recover(_) => return Err("nobody recovers here".into()),
        })
    }

    fn welcome(&self, account: AccountId) -> OpeningReply {
        OpeningReply::Welcome(Welcome {
            version: PROTOCOL_VERSION,
            features: 0,
            account,
            time: now(),
            limits: SessionLimits {
                messages_per_minute: 1_000,
                messages_burst: 1_000,
                text_len_max: 16 * 1024,
            },
            server_pin: self.pin,
            server_pin_next: None,
            chain_seq: 1,
        })
    }

    async fn serve_bulk(self, connection: Connection) -> TestResult {
        loop {
            let (mut send, receive) = connection.accept_bi().await?;
            let request = Frames::new(receive).next_when_it_comes::<BulkRequest>().await?;
            let Some(request) = request else { continue };
            let (hash_before, entries) = {
                let world = self.world.lock().expect("nobody panics while holding it");
                match request {
                    BulkRequest::After { room, after, .. } => world.page(room, after),
                    BulkRequest::Before { room, before, .. } => {
                        let (hash, mut entries) = world.page(room, Seq(0));
                        entries.retain(|entry| before == Seq(0) || entry.seq < before);
                        (hash, entries)
                    }
                    BulkRequest::Commits { room, after } => {
                        let (hash, mut entries) = world.page(room, after);
                        entries.retain(super::is_commit);
                        (hash, entries)
                    }
                }
            };
            let page = BulkReply::Page { hash_before, entries, is_last: true };
            send.write_all(&[STREAM_VERSION]).await?;
            send.write_all(&encode_frame(&page)).await?;
            send.finish()?;
        }
    }
}

async fn write(mut send: SendStream, mut queue: mpsc::Receiver<Bytes>) {
    while let Some(frame) = queue.recv().await {
        if send.write_all(&frame).await.is_err() {
            return;
        }
    }
}
