//! Vandals: many handshakes, bytes that trickle, garbage, lies about lengths, floods.

use std::net::UdpSocket;
use std::rc::Rc;
use std::time::Duration;

use mathia_protocol::id::RoomNumber;
use mathia_protocol::limits::STREAM_VERSION;
use mathia_protocol::wire::{ClientDatagram, encode_body};
use quinn::{Connection, ConnectionError, TransportErrorCode};
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use tokio::time::timeout;

use crate::peer::{Dialer, Identity, Session};
use crate::{Failure, Options};

/// Strangers that knock at the same time.
const N_AT_ONCE: usize = 64;
const N_GARBAGE_DATAGRAMS: usize = 20_000;
const N_TYPING: u32 = 10_000;
/// A vandal that is still there after this was not shown out.
const PATIENCE: Duration = Duration::from_secs(40);
/// Numbers of kinds of frames that are tried, known and unknown ones.
const KINDS: std::ops::Range<u8> = 0..40;
/// The length of a vector, by its own word: 2^62.
const HUGE: [u8; 9] = [253, 0, 0, 0, 0, 0, 0, 0, 64];

/// Lets them all loose; says how many there were.
pub(super) async fn run(
    options: &Options,
    dialer: &Rc<Dialer>,
    n_handshakes: u64,
    n_loris: u64,
    seed: u64,
) -> Result<String, Failure> {
    let vandal = Identity::numbered(dialer.realm, 800_000)?;
    dialer.register(&vandal).await?.connection.close(0u32.into(), b"");
    let (n_shaken, n_shown_out, n_bombs) = tokio::try_join!(
        handshakes(dialer, n_handshakes, seed),
        loris(dialer, n_loris),
        bombs(dialer, &vandal)
    )?;
    floods(options, dialer).await?;
    Ok(format!(
        "{n_shaken} handshakes, {n_shown_out} slow-loris shown out, {n_bombs} bombs, \
         {N_GARBAGE_DATAGRAMS} garbage and {N_TYPING} typing datagrams"
    ))
}

/// Opens connections and does with them what it likes.
async fn handshakes(dialer: &Rc<Dialer>, n_handshakes: u64, seed: u64) -> Result<u64, Failure> {
    let lanes = (0..N_AT_ONCE).map(|lane| {
        let dialer = Rc::clone(dialer);
        let mut rng = StdRng::seed_from_u64(seed ^ (lane as u64) << 32);
        let n_here = n_handshakes.div_ceil(N_AT_ONCE as u64);
        tokio::task::spawn_local(async move {
            let mut n_shaken = 0;
            for _ in 0..n_here {
                // One that is not answered in time is what the server's limits are for.
                let Ok(Ok(connection)) = timeout(PATIENCE, dialer.connect_anew()).await else {
                    continue;
                };
                n_shaken += 1;
                match rng.random_range(0..3) {
                    0 => connection.close(0u32.into(), b"never mind"),
                    1 => drop(connection),
                    _ => garbage(connection, &mut rng).await,
                }
            }
            n_shaken
        })
    });
    let mut n_shaken = 0;
    for lane in lanes.collect::<Vec<_>>() {
        n_shaken += lane.await?;
    }
    Ok(n_shaken)
}

/// Random bytes on a stream, then gone. What becomes of it shows in the server's health.
async fn garbage(connection: Connection, rng: &mut StdRng) {
    let mut bytes = vec![0; rng.random_range(1..4_096)];
    rng.fill_bytes(&mut bytes);
    if rng.random_bool(0.5) {
        bytes[0] = STREAM_VERSION;
    }
    if let Ok((mut send, _recv)) = connection.open_bi().await {
        drop(timeout(Duration::from_millis(100), send.write_all(&bytes)).await);
        drop(send.reset(7u32.into()));
    }
}

/// Sends a frame one byte at a time and waits to be shown out.
async fn loris(dialer: &Rc<Dialer>, n_loris: u64) -> Result<u64, Failure> {
    let gate = Rc::new(tokio::sync::Semaphore::new(N_AT_ONCE));
    let all = (0..n_loris).map(|_| {
        let (dialer, gate) = (Rc::clone(dialer), Rc::clone(&gate));
        tokio::task::spawn_local(async move {
            let permit = gate.acquire().await?;
            // In a crowd some are turned away at the door: then they hold nothing open either.
            let Ok(connection) = dialer.connect_anew().await else { return Ok(0) };
            drop(permit);
            // Every step may find itself shown out already.
            let trickle = async {
                let Ok((mut send, _recv)) = connection.open_bi().await else { return };
                let mut next: &[u8] = &[STREAM_VERSION, 0, 0, 1];
                while send.write_all(next).await.is_ok() {
                    next = &[0];
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            };
            timeout(PATIENCE, trickle).await.map_err(|_| "a slow-loris was let be")?;
            shown_out(&connection).await?;
            Ok::<u64, Failure>(1)
        })
    });
    let mut n_shown_out = 0;
    for one in all.collect::<Vec<_>>() {
        n_shown_out += one.await??;
    }
    Ok(n_shown_out)
}

/// Frames that claim to be huge, before login and after.
async fn bombs(dialer: &Rc<Dialer>, vandal: &Identity) -> Result<u64, Failure> {
    let mut n_bombs = 0;
    for kind in KINDS {
        let lengths = [HUGE; 8].concat();
        let before_login = [&[kind][..], &lengths].concat();
        let after_login = [&[1, kind][..], &lengths].concat();
        let connection = through_the_crowd(dialer).await?;
        let bytes = [&[STREAM_VERSION][..], &framed(&before_login)?].concat();
        if let Ok((mut send, _recv)) = connection.open_bi().await {
            // A word too late is none: then it is shown out for its silence.
            drop(send.write_all(&bytes).await);
            shown_out(&connection).await?;
        }
        let mut session = logged_in(dialer, vandal).await?;
        session.send.write_all(&framed(&after_login)?).await?;
        shown_out(&session.connection).await?;
        n_bombs += 2;
    }
    for length in [u32::MAX, 1 << 20, 256 * 1024 + 1] {
        let mut session = logged_in(dialer, vandal).await?;
        session.send.write_all(&length.to_be_bytes()).await?;
        shown_out(&session.connection).await?;
        n_bombs += 1;
    }
    Ok(n_bombs)
}

/// Connects, if need be again and again.
async fn through_the_crowd(dialer: &Dialer) -> Result<Connection, Failure> {
    let connected = async {
        loop {
            if let Ok(connection) = dialer.connect().await {
                return connection;
            }
        }
    };
    Ok(timeout(PATIENCE, connected).await?)
}

/// Logs in, if need be again and again: who is late with its first word is shown out.
async fn logged_in(dialer: &Dialer, vandal: &Identity) -> Result<Session, Failure> {
    let entered = async {
        loop {
            let connection = through_the_crowd(dialer).await?;
            if let Ok(session) = dialer.hello(connection, vandal).await {
                return Ok(session);
            }
        }
    };
    timeout(PATIENCE, entered).await?
}

fn framed(body: &[u8]) -> Result<Vec<u8>, Failure> {
    Ok([&u32::try_from(body.len())?.to_be_bytes()[..], body].concat())
}

/// Datagrams that are no QUIC, and typing signs without end.
async fn floods(options: &Options, dialer: &Rc<Dialer>) -> Result<(), Failure> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let mut rng = StdRng::seed_from_u64(3);
    let mut bytes = [0; 1_200];
    for number in 0..N_GARBAGE_DATAGRAMS {
        rng.fill_bytes(&mut bytes);
        let len = rng.random_range(1..bytes.len());
        socket.send_to(&bytes[..len], options.server)?;
        if number % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let vandal = Identity::numbered(dialer.realm, 800_001)?;
    let mut session = dialer.register(&vandal).await?;
    session.resume().await?;
    for number in 0..N_TYPING {
        let typing = ClientDatagram::Typing { room: RoomNumber(number) };
        session.connection.send_datagram_wait(encode_body(&typing).into()).await?;
    }
    session.resume().await?;
    session.connection.close(0u32.into(), b"");
    Ok(())
}

/// Waits until the server has closed the connection in its own words, or by a reset if these were
/// lost in the crowd. Whoever is slow may still be in the handshake then, where the transport may not
/// carry those words and says only that there were some (RFC 9000, section 10.2.3).
async fn shown_out(connection: &Connection) -> Result<(), Failure> {
    match timeout(PATIENCE, connection.closed()).await {
        Ok(ConnectionError::ApplicationClosed(_) | ConnectionError::Reset) => Ok(()),
        Ok(ConnectionError::ConnectionClosed(close))
            if close.error_code == TransportErrorCode::APPLICATION_ERROR =>
        {
            Ok(())
        }
        Ok(other) => Err(format!("a vandal was not shown out, but: {other}").into()),
        Err(_) => Err("a vandal was let be".into()),
    }
}
