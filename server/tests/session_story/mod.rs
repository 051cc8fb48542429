//! Stories of people, strangers and vandals at the server's door.

mod town;
mod vandals;

use std::time::Duration;

use mathia_protocol::id::{RoomId, RoomNumber, Seq, TimeMs};
use mathia_protocol::limits::{FRAME_LEN_MAX, HELLO_TIMEOUT, REQUESTS_MAX};
use mathia_protocol::wire::{
    BulkReply, BulkRequest, ClientDatagram, CloseCode, Event, Fault, Opening, OpeningReply, Reply,
    Request, ServerDatagram, ServerFrame, decode, encode_body,
};
use mathia_server::hub::{Delivery, event_frame};
use tokio::time::{Instant, timeout};

use self::town::{Session, Town};
use mathia_testkit::TestResult;
use mathia_testkit::wire::{PATIENCE, close_code};

#[tokio::test]
async fn a_newcomer_registers_and_logs_in_again() -> TestResult {
    let town = Town::start()?;
    let ann = town.newcomer("ann").await?;
    assert_eq!(ann.welcome.account, ann.person.account);
    assert_eq!(ann.welcome.server_pin, town.server.spki_pin());
    assert_eq!(ann.welcome.chain_seq, 1);

    let mut again = town.login(ann.person).await?;
    let resumed = again.wire.ask(Request::Resume { cursors: Vec::new(), is_last: true }).await?;
    assert_eq!(resumed, Ok(Reply::Resumed { heads: Vec::new(), gone: Vec::new(), more: false }));
    let bob = again.wire.ask(Request::FindAccount { handle: "bob".into() }).await?;
    assert_eq!(bob, Err(Fault::NotFound));
    Ok(())
}

#[tokio::test]
async fn a_wrong_signature_an_unknown_device_and_a_relayed_login_look_alike() -> TestResult {
    let town = Town::start()?;
    let ann = town.newcomer("ann").await?.person;

    let mut forger = town.stranger().await?;
    let mut hello = ann.hello(&forger.connection)?;
    hello.signature[3] ^= 1;
    forger.say(&Opening::Hello(hello)).await?;

    let mut unknown = town.stranger().await?;
    let nobody = town.keys_of("nobody")?;
    let hello = nobody.hello(&unknown.connection)?;
    unknown.say(&Opening::Hello(hello)).await?;

    let mut relay = town.stranger().await?;
    let elsewhere = town.connect().await?;
    relay.say(&Opening::Hello(ann.hello(&elsewhere)?)).await?;

    for mut stranger in [forger, unknown, relay] {
        assert_eq!(stranger.hear().await?, OpeningReply::Fault(Fault::AuthFailed));
        assert_eq!(stranger.ending().await?, CloseCode::Refused);
    }
    town.login(ann).await?;
    town.still_serves().await
}

#[tokio::test]
async fn garbage_bombs_and_strange_versions_close_only_their_own_connection() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;

    let http = town.connect().await?;
    let (mut send, _recv) = http.open_bi().await?;
    send.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
    assert_eq!(close_code(&http).await?, CloseCode::Malformed);

    // An oversized length; a frame that is no opening; a claimed vector of 2^62 bytes.
    let bomb = [2, 1, 0, 0, 253, 0, 0, 0, 0, 0, 0, 0, 64];
    let bomb = [&[0, 0, 0, 13], &bomb[..]].concat();
    for bytes in [&[0xff, 0xff, 0xff, 0xff][..], &[0, 0, 0, 1, 99], &bomb] {
        let mut vandal = town.stranger().await?;
        vandal.send.write_all(bytes).await?;
        assert_eq!(vandal.ending().await?, CloseCode::Malformed);
    }

    // After login too.
    let mut eve = town.newcomer("eve").await?;
    eve.wire.send.write_all(&[0, 0, 0, 2, 1, 250]).await?;
    assert_eq!(eve.wire.ending().await?, CloseCode::Malformed);
    let mut mal = town.newcomer("mal").await?;
    let large = Request::PutLink { link: vec![0; FRAME_LEN_MAX] };
    mal.wire.call(large).await?;
    assert_eq!(mal.wire.ending().await?, CloseCode::Malformed);

    assert_eq!(ann.wire.ask(Request::SetAway { is_away: true }).await?, Ok(Reply::Done));
    town.still_serves().await
}

#[tokio::test]
async fn who_says_nothing_or_half_a_word_is_closed_in_time() -> TestResult {
    let town = Town::start()?;
    let began = Instant::now();
    let silent = town.connect().await?;
    let mute = town.stranger().await?;
    let mut half = town.stranger().await?;
    half.send.write_all(&[0, 0, 0, 9, 0]).await?;
    let mut ann = town.newcomer("ann").await?;
    for connection in [&silent, &mute.connection, &half.connection] {
        assert_eq!(close_code(connection).await?, CloseCode::NoHello);
    }
    assert!(began.elapsed() >= HELLO_TIMEOUT);

    // After login a frame must be whole ten seconds after its first byte.
    ann.wire.send.write_all(&[0, 0]).await?;
    assert_eq!(ann.wire.ending().await?, CloseCode::TooSlow);
    town.still_serves().await
}

#[tokio::test]
async fn more_calls_than_may_be_open_are_all_answered() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let mut called: Vec<u32> = Vec::new();
    for _ in 0..REQUESTS_MAX * 4 {
        called.push(ann.wire.call(Request::Schedules).await?);
    }
    let mut answered: Vec<u32> = Vec::new();
    for _ in &called {
        answered.push(ann.wire.answer().await?.0);
    }
    answered.sort_unstable();
    assert_eq!(answered, called);
    Ok(())
}

#[tokio::test]
async fn a_bulk_read_of_a_strange_room_is_refused_on_its_own_stream() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    let request = BulkRequest::Before { room: RoomId([9; 32]), before: Seq(0), count: 50 };
    for _ in 0..20 {
        let replies = ann.wire.bulk(&request).await?;
        assert_eq!(replies, [BulkReply::Fault(Fault::NotFound)]);
    }
    assert_eq!(ann.wire.ask(Request::SetAway { is_away: false }).await?, Ok(Reply::Done));
    Ok(())
}

#[tokio::test]
async fn an_account_has_no_more_connections_than_allowed() -> TestResult {
    let town = Town::start_with(|limits| limits.connections_per_account_max = 1)?;
    let ann = town.newcomer("ann").await?;
    let mut second = town.stranger().await?;
    second.say(&Opening::Hello(ann.person.hello(&second.connection)?)).await?;
    let refused = second.hear().await?;
    assert!(matches!(refused, OpeningReply::Fault(Fault::NotAllowed { .. })), "{refused:?}");
    assert_eq!(second.ending().await?, CloseCode::Refused);
    Ok(())
}

#[tokio::test]
async fn guessing_at_logins_is_ignored_after_a_few_tries() -> TestResult {
    let town = Town::start_with(|limits| limits.failed_logins_per_minute = 2)?;
    let mut ann = town.newcomer("ann").await?;
    let nobody = town.keys_of("nobody")?;
    for _ in 0..3 {
        let mut stranger = town.stranger().await?;
        let hello = nobody.hello(&stranger.connection)?;
        stranger.say(&Opening::Hello(hello)).await?;
        assert_eq!(stranger.ending().await?, CloseCode::Refused);
    }
    // The last connection is counted as it ends; a connection after that finds the door shut: it is
    // ignored, while the server answers somebody inside a hundred times over.
    let shut = async {
        loop {
            let answers = async {
                for _ in 0..100 {
                    ann.wire.ask(Request::SetAway { is_away: false }).await??;
                }
                TestResult::Ok(())
            };
            tokio::select! {
                biased;
                entered = town.connect() => drop(entered?),
                answered = answers => return answered,
            }
        }
    };
    timeout(PATIENCE, shut).await?
}

#[tokio::test]
async fn a_stop_tells_everybody_and_closes_with_its_reason() -> TestResult {
    let town = Town::start()?;
    let mut ann = town.newcomer("ann").await?;
    ann.wire.ask(Request::Resume { cursors: Vec::new(), is_last: true }).await??;
    let waiting = town.stranger().await?;
    let Town { server, .. } = town;
    let stopping = tokio::spawn(server.stop(Duration::from_secs(5)));
    ann.wire.event(|event| matches!(event, Event::Stopping { .. })).await?;
    assert_eq!(ann.wire.ending().await?, CloseCode::Stopping);
    assert_eq!(waiting.ending().await?, CloseCode::Stopping);
    timeout(PATIENCE, stopping).await??;
    Ok(())
}

const TEAM: RoomNumber = RoomNumber(1);

/// Entries that the server tells everybody in the team about, after the commit as it were.
fn publish(town: &Town, seqs: std::ops::Range<u64>) {
    let news: Vec<Delivery> = seqs
        .map(|seq| {
            let entry = vec![2; 1_000];
            let event = Event::Entry { room: TEAM, seq: Seq(seq), time: TimeMs(1), entry };
            Delivery::Entry { room: TEAM, seq: Seq(seq), frame: event_frame(event) }
        })
        .collect();
    town.server.shared().bus.publish(&news);
}

async fn joins_the_team(town: &Town, name: &str) -> TestResult<Session> {
    let mut session = town.newcomer(name).await?;
    session.wire.ask(Request::Resume { cursors: Vec::new(), is_last: true }).await??;
    let account = session.person.account;
    town.server.shared().bus.publish(&[Delivery::Joined { room: TEAM, account }]);
    Ok(session)
}

/// More than every window between server and reader holds, in batches that a reader keeps up with.
const BATCHES: u64 = 80;
const BATCH: u64 = 50;

/// Publishes all batches, each once `quick` has got the one before: so the server had time to write
/// to the slow one as well.
async fn flood(town: &Town, quick: &mut Session) -> TestResult {
    for batch in 0..BATCHES {
        let seqs = batch * BATCH + 1..(batch + 1) * BATCH + 1;
        publish(town, seqs.clone());
        for expected in seqs {
            let entry = quick.wire.event(|event| matches!(event, Event::Entry { .. })).await?;
            assert!(matches!(entry, Event::Entry { seq, .. } if seq == Seq(expected)));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_slow_reader_is_told_where_it_lags_and_nobody_waits_for_it() -> TestResult {
    let town = Town::start()?;
    let mut slow = joins_the_team(&town, "slow").await?;
    let mut quick = joins_the_team(&town, "quick").await?;
    flood(&town, &mut quick).await?;
    // Asked while nothing is read: answered all the same, and not lost.
    let asked = slow.wire.call(Request::SetAway { is_away: false }).await?;

    let (mut next, mut is_answered) = (1, false);
    let lagged_at = loop {
        match slow.wire.next().await? {
            ServerFrame::Event(Event::Entry { seq, .. }) => {
                assert_eq!(seq, Seq(next), "no gap before it is told of one");
                next += 1;
            }
            ServerFrame::Event(Event::Lagged { room: TEAM, next_seq }) => break next_seq,
            ServerFrame::Reply { id, .. } if id == asked => is_answered = true,
            _ => {}
        }
    };
    assert_eq!(lagged_at, Seq(next), "it lags from the first entry it did not get");
    assert!(next < BATCHES * BATCH, "it did not get everything");
    if !is_answered {
        assert_eq!(slow.wire.answer().await?, (asked, Ok(Reply::Done)));
    }
    publish(&town, 9_000..9_001);
    let live = slow.wire.event(|event| matches!(event, Event::Entry { .. })).await?;
    assert!(matches!(live, Event::Entry { seq: Seq(9_000), .. }), "live again");
    Ok(())
}

#[tokio::test]
async fn a_reader_that_takes_nothing_for_ten_seconds_is_closed() -> TestResult {
    let town = Town::start()?;
    let stalled = joins_the_team(&town, "stalled").await?;
    let mut quick = joins_the_team(&town, "quick").await?;
    // The client never reads its stream, so nothing that is written makes room for more. On a busy
    // machine one flood may be dropped before it is written: it goes on until the windows are full.
    let floods = async {
        loop {
            flood(&town, &mut quick).await?;
        }
    };
    tokio::select! {
        ended = stalled.wire.ending() => assert_eq!(ended?, CloseCode::TooSlow),
        flooded = floods => return flooded,
    }
    Ok(())
}

#[tokio::test]
async fn typing_reaches_the_room_and_a_revoked_device_is_shown_out() -> TestResult {
    let town = Town::start()?;
    let ann = joins_the_team(&town, "ann").await?;
    let bob = joins_the_team(&town, "bob").await?;
    let typing = encode_body(&ClientDatagram::Typing { room: TEAM });
    ann.connection().send_datagram(typing.into())?;
    let heard = timeout(PATIENCE, bob.connection().read_datagram()).await??;
    let expected = ServerDatagram::Typing { room: TEAM, account: ann.person.account };
    assert_eq!(decode::<ServerDatagram>(&heard)?, expected);

    let (account, device) = (ann.person.account, Some(ann.person.device));
    town.server.shared().bus.publish(&[Delivery::Expelled { account, device }]);
    assert_eq!(ann.wire.ending().await?, CloseCode::Expelled);
    assert_eq!(bob.connection().close_reason(), None);
    Ok(())
}
