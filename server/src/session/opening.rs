//! The opening of a connection: information, registration, recovery, login (CRYPTO B7).
//!
//! Owns the dialogue before login and everything a stranger may ask. Whatever is wrong with a login
//! gets the same answer after the same kind of pause: unknown, revoked and forged look alike.

use std::sync::Arc;
use std::time::Duration;

use mathia_protocol::crypto::auth::{AuthScope, EXPORTER_LABEL, EXPORTER_LEN, ExporterValue};
use mathia_protocol::crypto::identity::{Signature, SigningKey, VerifyKey};
use mathia_protocol::crypto::user_chain::{LinkBody, SignedLink, UserChain};
use mathia_protocol::id::{AccountId, DeviceId};
use mathia_protocol::limits::{
    FRAME_LEN_MAX_OPENING, HELLO_TIMEOUT, MESSAGE_TEXT_LEN_MAX, STREAM_VERSION,
};
use mathia_protocol::wire::{
    Fault, Hello, Info, Opening, OpeningReply, Recover, Register, SessionLimits, Welcome, decode,
    encode_frame,
};
use quinn::{Connection, SendStream};
use rand::RngExt as _;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::frames::FrameReader;
use super::{ConnectionEnd, Shared};
use crate::rooms::Job;

/// The newest version of the protocol that the server speaks.
pub const VERSION: u16 = 1;
/// Optional features of the protocol that the server has; none are defined yet.
const FEATURES: u64 = 0;
/// How long a failed login is left without an answer, so that timing reveals nothing.
const FAILURE_PAUSE_MS: std::ops::Range<u64> = 100..300;
/// How long the writer may take for a registration.
const WRITER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a refused peer may take to acknowledge why.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// Frames before login: `Info`, `Recover` and then `Hello`.
const FRAMES_MAX: usize = 3;

/// A connection that has become a session.
#[derive(Debug)]
pub(super) struct OpenedSession {
    pub(super) account: AccountId,
    pub(super) device: DeviceId,
    pub(super) chain_seq: u32,
    /// Expulsions before the login was checked.
    pub(super) n_expulsions: u64,
    pub(super) send: SendStream,
    pub(super) reader: FrameReader,
}

/// Runs the dialogue up to a login that is proven but not yet answered.
pub(super) async fn open(
    shared: &Arc<Shared>,
    connection: &Connection,
) -> Result<OpenedSession, ConnectionEnd> {
    let streams = timeout(HELLO_TIMEOUT, connection.accept_bi()).await;
    let (send, recv) = streams.map_err(|_| ConnectionEnd::NoHello)??;
    let mut dialogue = Dialogue { shared, connection, send, reader: FrameReader::new(recv) };
    dialogue.send_version().await?;
    let n_expulsions = shared.hub.n_expulsions();
    match dialogue.lead().await {
        Ok(who) => {
            let Dialogue { send, reader, .. } = dialogue;
            let Login { account, device, chain_seq } = who;
            Ok(OpenedSession { account, device, chain_seq, n_expulsions, send, reader })
        }
        Err(OpeningError::With(fault)) => Err(dialogue.refuse(fault).await),
        Err(OpeningError::Silently(ending)) => Err(ending),
    }
}

/// Says whether a device may still log in.
pub(super) async fn is_still_known(
    shared: &Arc<Shared>,
    account: AccountId,
    device: DeviceId,
) -> bool {
    let reader = Arc::clone(shared);
    let known = shared.readers.read(move |read| {
        let chain = reader.reads.login_chain(read, account)?;
        Ok(chain.is_some_and(|chain| chain.is_active(device)))
    });
    known.await.unwrap_or(false)
}

/// The answer to a login that succeeded.
pub(super) fn welcome(shared: &Shared, account: AccountId, chain_seq: u32) -> OpeningReply {
    let pins = shared.pins();
    OpeningReply::Welcome(Welcome {
        version: VERSION,
        features: FEATURES,
        account,
        time: shared.clock.now_ms(),
        limits: SessionLimits {
            messages_per_minute: shared.limits.messages_per_minute,
            messages_burst: shared.limits.messages_burst,
            text_len_max: u32::try_from(MESSAGE_TEXT_LEN_MAX).unwrap_or(u32::MAX),
        },
        server_pin: pins.current,
        server_pin_next: pins.next,
        chain_seq,
    })
}

/// Tells the peer why and closes the stream; the connection is closed by the caller.
pub(super) async fn send_refusal(send: &mut SendStream, fault: Fault) {
    let frame = encode_frame(&OpeningReply::Fault(fault));
    let told = async {
        send.write_chunk(frame).await.ok()?;
        send.finish().ok()?;
        send.stopped().await.ok()
    };
    // A peer that does not listen is not waited for.
    drop(timeout(GOODBYE_TIMEOUT, told).await);
}

#[derive(Debug, Clone, Copy)]
struct Login {
    account: AccountId,
    device: DeviceId,
    chain_seq: u32,
}

enum OpeningError {
    With(Fault),
    Silently(ConnectionEnd),
}

impl<E: Into<ConnectionEnd>> From<E> for OpeningError {
    fn from(error: E) -> Self {
        Self::Silently(error.into())
    }
}

struct Dialogue<'a> {
    shared: &'a Arc<Shared>,
    connection: &'a Connection,
    send: SendStream,
    reader: FrameReader,
}

impl Dialogue<'_> {
    async fn send_version(&mut self) -> Result<(), ConnectionEnd> {
        Ok(self.send.write_all(&[STREAM_VERSION]).await?)
    }

    async fn lead(&mut self) -> Result<Login, OpeningError> {
        let (mut was_informed, mut has_recovered) = (false, false);
        for _ in 0..FRAMES_MAX {
            match self.receive().await? {
                Opening::Info if !was_informed && !has_recovered => {
                    was_informed = true;
                    self.inform().await?;
                }
                Opening::Recover(recover) if !has_recovered => {
                    has_recovered = true;
                    self.recover(recover).await?;
                    self.send(&OpeningReply::Recovered).await?;
                }
                Opening::Hello(hello) => return self.log_in(hello).await,
                Opening::Register(register) if !has_recovered => {
                    return self.register(register).await;
                }
                _ => return Err(ConnectionEnd::Malformed.into()),
            }
        }
        Err(ConnectionEnd::Malformed.into())
    }

    async fn receive(&mut self) -> Result<Opening, ConnectionEnd> {
        let frame = timeout(HELLO_TIMEOUT, self.reader.next(FRAME_LEN_MAX_OPENING)).await;
        let body = frame.map_err(|_| ConnectionEnd::NoHello)??.ok_or(ConnectionEnd::PeerLeft)?;
        decode(&body).map_err(|_| ConnectionEnd::Malformed)
    }

    async fn send(&mut self, reply: &OpeningReply) -> Result<(), ConnectionEnd> {
        // Replies here are far smaller than the window; the peer's credit is what may be missing.
        let written = timeout(HELLO_TIMEOUT, self.send.write_chunk(encode_frame(reply))).await;
        Ok(written.map_err(|_| ConnectionEnd::TooSlow)??)
    }

    async fn inform(&mut self) -> Result<(), ConnectionEnd> {
        let info = Info {
            realm: self.shared.realm,
            registration: self.shared.registration,
            version: VERSION,
        };
        self.send(&OpeningReply::Info(info)).await
    }

    /// Checks a login on a reader's thread, where the chain is and where the signature costs nobody
    /// else's time.
    async fn log_in(&self, hello: Hello) -> Result<Login, OpeningError> {
        check_version(hello.version)?;
        let scope =
            AuthScope { realm: self.shared.realm, account: hello.account, device: hello.device };
        let ekm = self.exporter(&scope)?;
        let shared = Arc::clone(self.shared);
        let checked = self.shared.readers.read(move |read| {
            let chain = shared.reads.login_chain(read, hello.account)?;
            Ok(check_hello(&scope, chain.as_deref(), &ekm, &Signature(hello.signature)))
        });
        let checked = checked.await.map_err(|refusal| self.shared.fault_of(refusal));
        let chain_seq =
            checked.map_err(OpeningError::With)?.ok_or(OpeningError::With(Fault::AuthFailed))?;
        Ok(Login { account: hello.account, device: hello.device, chain_seq })
    }

    async fn register(&self, register: Register) -> Result<Login, OpeningError> {
        check_version(register.version)?;
        let genesis = SignedLink(register.genesis.clone());
        // A chain of one link: checks its form and that its own device signed it.
        let chain = UserChain::found(&genesis).map_err(|_| OpeningError::With(Fault::Malformed))?;
        let founder = chain.devices().next().ok_or(OpeningError::With(Fault::Malformed))?;
        let (device, key) = (founder.id(), founder.record.key);
        let scope = AuthScope::founding(self.shared.realm, &genesis, device);
        let ekm = self.exporter(&scope)?;
        let signature = Signature(register.signature);
        scope
            .verify_register(&key, &genesis, register.token, &ekm, &signature)
            .map_err(|_| OpeningError::With(Fault::AuthFailed))?;
        let registered = self.ask_writer(|answer| Job::Register { register, answer }).await?;
        Ok(Login { account: registered.account, device, chain_seq: registered.chain_seq })
    }

    async fn recover(&self, recover: Recover) -> Result<(), OpeningError> {
        let link = SignedLink(recover.link.clone());
        let device = match link.decode_unverified().map(|link| link.body) {
            Ok(LinkBody::AddDevice(record)) => record.device_id(),
            _ => return Err(OpeningError::With(Fault::Malformed)),
        };
        let scope = AuthScope { realm: self.shared.realm, account: recover.account, device };
        let ekm = self.exporter(&scope)?;
        let (shared, signature) = (Arc::clone(self.shared), Signature(recover.signature));
        let checked = self.shared.readers.read(move |read| {
            let chain = shared.reads.login_chain(read, scope.account)?;
            let key = chain.as_ref().map_or_else(nobodys_key, |chain| chain.recovery_key());
            let is_valid = scope.verify_recover(&key, &link, &ekm, &signature).is_ok();
            Ok(is_valid && chain.is_some())
        });
        match checked.await {
            Ok(true) => self.ask_writer(|answer| Job::Recover { recover, answer }).await,
            Ok(false) => Err(OpeningError::With(Fault::AuthFailed)),
            Err(refusal) => Err(OpeningError::With(self.shared.fault_of(refusal))),
        }
    }

    /// Hands a job to the writer and waits until it is durable or refused.
    async fn ask_writer<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, Fault>>) -> Job,
    ) -> Result<T, OpeningError> {
        let busy = || OpeningError::With(super::BUSY);
        let (sender, answer) = oneshot::channel();
        self.shared.write_queue.submit(job(sender)).map_err(|_| busy())?;
        match timeout(WRITER_TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer.map_err(OpeningError::With),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    fn exporter(&self, scope: &AuthScope) -> Result<ExporterValue, OpeningError> {
        let mut value = [0; EXPORTER_LEN];
        let context = scope.exporter_context();
        self.connection
            .export_keying_material(&mut value, EXPORTER_LABEL, &context.0)
            .map_err(|_| ConnectionEnd::Internal)?;
        Ok(ExporterValue::new(value).map_err(|_| ConnectionEnd::Internal)?)
    }

    /// Says why, and says how the connection ends.
    async fn refuse(&mut self, fault: Fault) -> ConnectionEnd {
        let ending = match fault {
            Fault::AuthFailed => ConnectionEnd::LoginFailed,
            Fault::Malformed => ConnectionEnd::Malformed,
            _ => ConnectionEnd::Refused,
        };
        if ending == ConnectionEnd::LoginFailed {
            let pause = rand::rng().random_range(FAILURE_PAUSE_MS);
            sleep(Duration::from_millis(pause)).await;
        }
        send_refusal(&mut self.send, fault).await;
        ending
    }
}

fn check_version(version: u16) -> Result<(), OpeningError> {
    if version >= VERSION { Ok(()) } else { Err(OpeningError::With(Fault::Unsupported)) }
}

/// The length of the chain if the login is proven. Takes as long for devices that are not there.
fn check_hello(
    scope: &AuthScope,
    chain: Option<&UserChain>,
    ekm: &ExporterValue,
    signature: &Signature,
) -> Option<u32> {
    let device = chain
        .filter(|chain| chain.is_active(scope.device))
        .and_then(|chain| chain.device(scope.device));
    let key = device.map_or_else(nobodys_key, |device| device.record.key);
    let is_valid = scope.verify_hello(&key, ekm, signature).is_ok();
    device.filter(|_| is_valid).and(chain).map(|chain| chain.head().seq)
}

/// A key to check against when there is none; that nobody knows its secret is not needed, since the
/// result is thrown away.
fn nobodys_key() -> VerifyKey {
    static KEY: std::sync::OnceLock<VerifyKey> = std::sync::OnceLock::new();
    *KEY.get_or_init(|| SigningKey::from_seed(&[0x5a; 32]).public())
}
