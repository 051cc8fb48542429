//! The floor of the benchmark: bare QUIC streams, one AES-GCM per message and group-committed SQLite
//! inserts with a full sync, without any check. Prints `listening ADDR:PORT` when ready.
//!
//! `floor DIR ADDR:PORT`; the protocol is in the load generator's `floor.rs`.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, mpsc};

use bytes::{Bytes, BytesMut};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::sync::Notify;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Inserts that may wait, and that one commit takes.
const QUEUE_MAX: usize = 4_096;
const BATCH_MAX: usize = 256;

#[derive(Default)]
struct Outbox {
    waiting: Mutex<Vec<Bytes>>,
    filled: Notify,
}

struct Insert {
    room: u32,
    bytes: Bytes,
    from: Arc<Outbox>,
}

type Rooms = Arc<Mutex<HashMap<u32, Vec<Arc<Outbox>>>>>;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("usage: floor DIR ADDR:PORT")?;
    let address = args.next().ok_or("usage: floor DIR ADDR:PORT")?.parse()?;
    let rooms = Rooms::default();
    let (inserts, waiting) = mpsc::sync_channel(QUEUE_MAX);
    let database = rusqlite::Connection::open(std::path::Path::new(&dir).join("floor.sqlite"))?;
    let for_writer = Arc::clone(&rooms);
    std::thread::spawn(move || {
        write_all(&database, &waiting, &for_writer).expect("the floor's database works");
    });
    tokio::runtime::Runtime::new()?.block_on(serve(address, rooms, inserts))
}

/// One thread: whatever waits goes into one transaction, then to everybody.
fn write_all(
    database: &rusqlite::Connection,
    waiting: &mpsc::Receiver<Insert>,
    rooms: &Rooms,
) -> Result<(), Failure> {
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database
        .execute_batch("CREATE TABLE entry (id INTEGER PRIMARY KEY, room INTEGER, body BLOB)")?;
    let mut insert = database.prepare("INSERT INTO entry (room, body) VALUES (?1, ?2)")?;
    let sealer = Sealer::new();
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        batch.extend(waiting.try_iter().take(BATCH_MAX - 1));
        database.execute_batch("BEGIN IMMEDIATE")?;
        for item in &batch {
            let body = sealer.seal(&item.bytes);
            insert.execute((item.room, body))?;
        }
        database.execute_batch("COMMIT")?;
        let mut touched: Vec<Arc<Outbox>> = Vec::new();
        let rooms = rooms.lock().expect("no holder panics");
        for item in batch {
            item.from.push(Bytes::from_static(&[0, 0, 0, 0]), &mut touched);
            let mut frame = BytesMut::with_capacity(4 + item.bytes.len());
            let len = u32::try_from(item.bytes.len()).expect("messages are small");
            frame.extend_from_slice(&len.to_be_bytes());
            frame.extend_from_slice(&item.bytes);
            let frame = frame.freeze();
            for outbox in rooms.get(&item.room).into_iter().flatten() {
                outbox.push(frame.clone(), &mut touched);
            }
        }
        for outbox in touched {
            outbox.filled.notify_one();
        }
    }
    Ok(())
}

impl Outbox {
    fn push(self: &Arc<Self>, frame: Bytes, touched: &mut Vec<Arc<Self>>) {
        let mut waiting = self.waiting.lock().expect("no holder panics");
        if waiting.is_empty() {
            touched.push(Arc::clone(self));
        }
        waiting.push(frame);
    }
}

/// AES-256-GCM with a fixed key and no care: only its cost counts here.
struct Sealer(aes_gcm::Aes256Gcm);

impl Sealer {
    fn new() -> Self {
        use aes_gcm::KeyInit as _;
        Self(aes_gcm::Aes256Gcm::new(&[7; 32].into()))
    }

    fn seal(&self, bytes: &[u8]) -> Vec<u8> {
        use aes_gcm::aead::Aead as _;
        self.0.encrypt(&[9; 12].into(), bytes).expect("sealing in memory works")
    }
}

async fn serve(
    address: std::net::SocketAddr,
    rooms: Rooms,
    inserts: mpsc::SyncSender<Insert>,
) -> Result<(), Failure> {
    let made = rcgen::generate_simple_self_signed(vec!["mathia.invalid".into()])?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(made.cert)], key)?;
    tls.alpn_protocols = vec![mathia_protocol::limits::ALPN.to_vec()];
    let tls = QuicServerConfig::try_from(tls)?;
    let endpoint =
        quinn::Endpoint::server(quinn::ServerConfig::with_crypto(Arc::new(tls)), address)?;
    writeln!(std::io::stdout(), "listening {}", endpoint.local_addr()?)?;
    while let Some(incoming) = endpoint.accept().await {
        let (rooms, inserts) = (Arc::clone(&rooms), inserts.clone());
        tokio::spawn(async move {
            if let Err(failure) = connection(incoming, rooms, inserts).await {
                drop(failure);
            }
        });
    }
    Ok(())
}

async fn connection(
    incoming: quinn::Incoming,
    rooms: Rooms,
    inserts: mpsc::SyncSender<Insert>,
) -> Result<(), Failure> {
    let connection = incoming.await?;
    let (mut send, mut recv) = connection.accept_bi().await?;
    let mut room = [0; 4];
    recv.read_exact(&mut room).await?;
    let room = u32::from_be_bytes(room);
    let outbox = Arc::new(Outbox::default());
    rooms.lock().expect("no holder panics").entry(room).or_default().push(Arc::clone(&outbox));
    let from = Arc::clone(&outbox);
    tokio::spawn(async move {
        loop {
            outbox.filled.notified().await;
            let mut chunks = std::mem::take(&mut *outbox.waiting.lock().expect("no holder panics"));
            if send.write_all_chunks(&mut chunks).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = BytesMut::new();
    while let Some(chunk) = recv.read_chunk(64 * 1024, true).await? {
        buffer.extend_from_slice(&chunk.bytes);
        while let Some(bytes) = mathia_protocol::wire::take_frame(&mut buffer, 64 * 1024)? {
            let insert = Insert { room, bytes, from: Arc::clone(&from) };
            inserts.try_send(insert).map_err(|_| "the floor's queue is full")?;
        }
    }
    Ok(())
}
