//! Vandals at work while an honest pair talks on.

use std::net::SocketAddr;
use std::path::Path;

use mathia_protocol::id::{RoomId, RoomNumber, Seq};
use mathia_protocol::limits::STREAM_VERSION;
use mathia_protocol::wire::{
    BulkReply, BulkRequest, ClientDatagram, CloseCode, Event, Fault, Reply, Request, encode_body,
    encode_frame,
};
use mathia_testkit::TestResult;
use mathia_testkit::process::Serve;
use mathia_testkit::wire::{PATIENCE, client_config};
use quinn::{ConnectionError, Endpoint, ReadError};
use tokio::process::Child;
use tokio::time::timeout;

use super::town::{Session, Town};
use super::{joins_the_team, publish};

/// The length of a list by its own word: 2^62.
const HUGE: [u8; 9] = [253, 0, 0, 0, 0, 0, 0, 0, 64];
/// Kinds of frames, known ones and some more.
const KINDS: std::ops::Range<u8> = 0..40;
/// Streams a session may have open beside its own.
const BULK_STREAMS: usize = 7;

/// Two who talk: what happens beside them must not reach them.
struct Pair {
    ann: Session,
    bob: Session,
    seq: u64,
}

impl Pair {
    async fn meet(town: &Town) -> TestResult<Self> {
        let (ann, bob) = (joins_the_team(town, "ann").await?, joins_the_team(town, "bob").await?);
        Ok(Self { ann, bob, seq: 0 })
    }

    /// Each is answered, and both hear the next entry, and that one only.
    async fn talk(&mut self, town: &Town) -> TestResult {
        self.seq += 1;
        publish(town, self.seq..self.seq + 1);
        for honest in [&mut self.ann, &mut self.bob] {
            let heard = honest.wire.event(|event| matches!(event, Event::Entry { .. })).await?;
            assert!(matches!(heard, Event::Entry { seq, .. } if seq == Seq(self.seq)));
            assert_eq!(
                honest.wire.ask(Request::SetAway { is_away: false }).await?,
                Ok(Reply::Done)
            );
        }
        Ok(())
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).expect("a short frame");
    [&len.to_be_bytes()[..], body].concat()
}

#[tokio::test]
async fn lists_that_claim_to_be_endless_end_only_who_sends_them() -> TestResult {
    let town = Town::start()?;
    let mut pair = Pair::meet(&town).await?;
    let mut eve = town.newcomer("eve").await?.person;
    for kind in KINDS {
        let lengths = [HUGE; 8].concat();
        let mut stranger = town.stranger().await?;
        stranger.send.write_all(&framed(&[&[kind][..], &lengths].concat())).await?;
        assert_eq!(stranger.ending().await?, CloseCode::Malformed, "opening {kind}");

        let mut session = town.login(eve).await?;
        let bomb = framed(&[&[1, kind][..], &lengths].concat());
        session.wire.send.write_all(&bomb).await?;
        assert_eq!(session.wire.ending().await?, CloseCode::Malformed, "request {kind}");
        eve = session.person;
        pair.talk(&town).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_bulk_stream_of_another_version_or_kind_is_reset_alone() -> TestResult {
    let town = Town::start()?;
    let mut pair = Pair::meet(&town).await?;
    let malformed = u64::from(CloseCode::Malformed.number());
    let unknown_kind = [&[STREAM_VERSION][..], &framed(&[200, 1, 2])].concat();
    let oversized = [&[STREAM_VERSION][..], &u32::MAX.to_be_bytes()].concat();
    for bytes in [&b"GET /"[..], &unknown_kind, &oversized] {
        let (mut send, mut recv) = pair.ann.connection().open_bi().await?;
        send.write_all(bytes).await?;
        let read = timeout(PATIENCE, recv.read_chunk(1, true)).await?;
        assert!(matches!(read, Err(ReadError::Reset(code)) if code.into_inner() == malformed));
        pair.talk(&town).await?;
    }
    Ok(())
}

#[tokio::test]
async fn half_asked_bulk_reads_take_their_places_only_for_a_while() -> TestResult {
    let town = Town::start()?;
    let mut pair = Pair::meet(&town).await?;
    let mut halves = Vec::new();
    for _ in 0..BULK_STREAMS {
        let (mut send, recv) = pair.ann.connection().open_bi().await?;
        send.write_all(&[STREAM_VERSION, 0, 0]).await?;
        halves.push((send, recv));
    }
    // The next has to wait for a place, and the pair does not wait for it.
    let request = BulkRequest::Before { room: RoomId([9; 32]), before: Seq(0), count: 1 };
    let connection = pair.ann.connection().clone();
    let mut next = Box::pin(connection.open_bi());
    pair.talk(&town).await?;
    assert!(timeout(std::time::Duration::ZERO, &mut next).await.is_err(), "a place too many");

    let too_slow = u64::from(CloseCode::TooSlow.number());
    for (_send, recv) in &mut halves {
        let read = timeout(PATIENCE, recv.read_chunk(1, true)).await?;
        assert!(matches!(read, Err(ReadError::Reset(code)) if code.into_inner() == too_slow));
    }
    drop(halves);
    drop(timeout(PATIENCE, next).await??);
    assert_eq!(pair.ann.wire.bulk(&request).await?, [BulkReply::Fault(Fault::NotFound)]);
    pair.talk(&town).await
}

#[tokio::test]
async fn streams_that_are_reset_and_not_read_leave_nothing_behind() -> TestResult {
    let town = Town::start()?;
    let mut pair = Pair::meet(&town).await?;
    let request = BulkRequest::Before { room: RoomId([9; 32]), before: Seq(0), count: 1 };
    for number in 0..100_u8 {
        let (mut send, mut recv) = timeout(PATIENCE, pair.ann.connection().open_bi()).await??;
        let bytes = [&[STREAM_VERSION][..], &encode_frame(&request)].concat();
        send.write_all(&bytes[..=usize::from(number) % (bytes.len() - 1)]).await?;
        send.reset(1u32.into())?;
        recv.stop(2u32.into())?;
    }
    assert_eq!(pair.ann.wire.bulk(&request).await?, [BulkReply::Fault(Fault::NotFound)]);
    pair.talk(&town).await
}

#[tokio::test]
async fn a_flood_of_datagrams_reaches_nobody() -> TestResult {
    let town = Town::start()?;
    let mut pair = Pair::meet(&town).await?;
    let mal = joins_the_team(&town, "mal").await?;
    for number in 0..5_000_u32 {
        let datagram = match number % 3 {
            0 => Vec::new(),
            1 => number.to_be_bytes().to_vec(),
            _ => encode_body(&ClientDatagram::Typing { room: RoomNumber(number) }),
        };
        mal.connection().send_datagram_wait(datagram.into()).await?;
    }
    pair.talk(&town).await?;
    let heard = pair.bob.connection().read_datagram();
    assert!(timeout(std::time::Duration::ZERO, heard).await.is_err());
    Ok(())
}

/// A server in a process of its own.
async fn run_server(dir: &Path, listen: &str) -> TestResult<(Child, SocketAddr)> {
    let program = Path::new(env!("CARGO_BIN_EXE_mathia-server"));
    let serve = Serve::new(program, dir.join("data"), dir.join("log"));
    Serve { listen: listen.to_owned(), ..serve }.start(|_| {}).await
}

#[tokio::test]
async fn who_was_connected_to_a_killed_server_hears_of_it_from_the_next() -> TestResult {
    let dir = tempfile::tempdir()?;
    let (mut killed, address) = run_server(dir.path(), "127.0.0.1:0").await?;
    let mut config = client_config()?;
    // Nothing but the server's word ends this connection.
    let mut patient = quinn::TransportConfig::default();
    patient.max_idle_timeout(None);
    config.transport_config(patient.into());
    let endpoint = Endpoint::client("127.0.0.1:0".parse()?)?;
    let connecting = endpoint.connect_with(config, address, "mathia")?;
    let connection = timeout(PATIENCE, connecting).await??;
    let (mut send, _recv) = connection.open_bi().await?;
    killed.kill().await?;

    let (_server, _) = run_server(dir.path(), &address.to_string()).await?;
    send.write_all(&[STREAM_VERSION]).await?;
    let ended = timeout(PATIENCE, connection.closed()).await?;
    assert!(matches!(ended, ConnectionError::Reset), "{ended}");
    Ok(())
}

#[tokio::test]
async fn a_stranger_opens_no_second_stream() -> TestResult {
    let town = Town::start()?;
    let stranger = town.stranger().await?;
    // Until it is shown out for its silence: then the wait for a second stream ends as well.
    let second = timeout(PATIENCE, stranger.connection.open_bi()).await?;
    assert!(matches!(second, Err(ConnectionError::ApplicationClosed(_))));
    assert_eq!(stranger.ending().await?, CloseCode::NoHello);
    town.still_serves().await
}
