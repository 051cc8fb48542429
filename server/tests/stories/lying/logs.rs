//! Lies about a room's log: repeated, reordered, missing, changed, two histories, withheld.

use mathia_protocol::client::{AlarmCause, ClientEvent, Command, ConnectionState};
use mathia_protocol::crypto::identity::SigningKey;
use mathia_protocol::crypto::tick::ReadTick;
use mathia_protocol::id::{Counter, Hash, Seq, WorkspaceId};
use mathia_protocol::wire::{BulkReply, Event, Reply, Request, RoomHead, ServerFrame, SignedTick};

use super::scene::{SECRET, Scene, is_entry_from, may_not_speak};
use crate::cast::{Person, TestResult, now};
use crate::liar::Fate;

/// Bob's last message is shown a second time, as if he had said it again.
#[tokio::test]
async fn a_repeated_entry_is_found_and_sending_stops() -> TestResult {
    let mut scene = Scene::begin().await?;
    let end = scene.end()?.seq();
    let bytes = scene.bytes(&scene.ann, end)?;
    scene.liar.says(&scene.ann, scene.entry(end.next(), bytes)).await?;
    let (cause, text) = scene.ann.is_alarmed().await?;
    assert_eq!(cause, AlarmCause::BrokenLog);
    assert!(text.contains("repeats"), "{text}");
    assert_eq!(scene.ann.texts(scene.room).await?, ["hello", "hi"]);
    may_not_speak(&scene, &scene.ann).await
}

/// An answer is shown before its question.
#[tokio::test]
async fn an_answer_before_its_question_is_found_and_sending_stops() -> TestResult {
    let (mut scene, mut others) = Scene::begin_with(&["eve"]).await?;
    swaps_the_next_two(&scene, &scene.ann)?;
    scene.bob.says(scene.room, "who?").await?;
    assert_eq!(others[0].hears(scene.room).await?, "who?");
    others[0].says(scene.room, "me").await?;
    let (cause, _) = scene.ann.is_alarmed().await?;
    assert_eq!(cause, AlarmCause::Fork);
    may_not_speak(&scene, &scene.ann).await
}

/// One author's two messages change places: neither is believed, and the next word tells.
#[tokio::test]
async fn two_messages_of_one_author_cannot_change_places() -> TestResult {
    let mut scene = Scene::begin().await?;
    swaps_the_next_two(&scene, &scene.ann)?;
    scene.bob.says(scene.room, "yes").await?;
    scene.bob.says(scene.room, "no").await?;
    let (_, check) = scene.ann.doubts(scene.room).await?;
    assert!(check.contains("counter"), "{check}");
    assert_eq!(scene.ann.texts(scene.room).await?, ["hello", "hi"]);
    scene.bob.knows(scene.room).await?;
    scene.bob.says(scene.room, "so?").await?;
    assert_eq!(scene.ann.is_alarmed().await?.0, AlarmCause::Fork);
    may_not_speak(&scene, &scene.ann).await
}

/// A lost event is only a lost hint: the log has it.
#[tokio::test]
async fn a_dropped_event_is_read_from_the_log() -> TestResult {
    let mut scene = Scene::begin().await?;
    let (ann, lost) = (scene.ann.account(), scene.end()?.seq().next());
    scene.liar.tells(move |to, _, frame| match &frame {
        ServerFrame::Event(Event::Entry { seq, .. }) if to == ann && *seq == lost => Vec::new(),
        _ => vec![frame],
    });
    scene.bob.says(scene.room, "one").await?;
    scene.bob.says(scene.room, "two").await?;
    scene.ann.has_texts(scene.room, &["hello", "hi", "one", "two"]).await
}

/// An entry is left out for good and the gap is closed: the next of its author does not follow, and
/// the one after tells that there are two histories.
#[tokio::test]
async fn an_entry_that_was_cut_out_is_found_and_sending_stops() -> TestResult {
    let mut scene = Scene::begin().await?;
    let (ann, lost) = (scene.ann.account(), scene.end()?.seq().next());
    scene.liar.tells(move |to, _, frame| match frame {
        ServerFrame::Event(Event::Entry { seq, .. }) if to == ann && seq == lost => Vec::new(),
        ServerFrame::Event(Event::Entry { room, seq, time, entry }) if to == ann && seq > lost => {
            let seq = Seq(seq.0 - 1);
            vec![ServerFrame::Event(Event::Entry { room, seq, time, entry })]
        }
        frame => vec![frame],
    });
    scene.bob.says(scene.room, "do not").await?;
    scene.bob.says(scene.room, "go").await?;
    let (seq, check) = scene.ann.doubts(scene.room).await?;
    assert_eq!(seq, lost);
    assert!(check.contains("counter"), "{check}");
    scene.bob.knows(scene.room).await?;
    scene.bob.says(scene.room, "home").await?;
    assert_eq!(scene.ann.is_alarmed().await?.0, AlarmCause::Fork);
    assert_eq!(scene.ann.texts(scene.room).await?, ["hello", "hi"]);
    may_not_speak(&scene, &scene.ann).await
}

/// One bit of a message is changed: it is not believed, what follows does not fit its gap, and the
/// word after that tells.
#[tokio::test]
async fn a_changed_message_is_not_believed() -> TestResult {
    let mut scene = Scene::begin().await?;
    let (ann, changed) = (scene.ann.account(), scene.end()?.seq().next());
    scene.liar.tells(move |to, _, mut frame| {
        if let ServerFrame::Event(Event::Entry { seq, entry, .. }) = &mut frame
            && (to, *seq) == (ann, changed)
        {
            // In the ciphertext, just before the signature.
            let place = entry.len() - 70;
            entry[place] ^= 1;
        }
        vec![frame]
    });
    scene.bob.says(scene.room, "one").await?;
    let (seq, check) = scene.ann.doubts(scene.room).await?;
    assert_eq!(seq, changed);
    assert!(check.contains("signature"), "{check}");
    for text in ["two", "three"] {
        scene.bob.knows(scene.room).await?;
        scene.bob.says(scene.room, text).await?;
    }
    assert_eq!(scene.ann.is_alarmed().await?.0, AlarmCause::Fork);
    may_not_speak(&scene, &scene.ann).await
}

/// Ann and bob are shown two histories, both of them well formed: the first entry that crosses from
/// one to the other tells.
#[tokio::test]
async fn two_histories_are_found_by_the_first_entry_that_crosses() -> TestResult {
    let mut scene = with_two_histories().await?;
    let end = scene.end()?.seq();
    let (bob, room, time) = (scene.bob.account(), scene.room, now());
    scene.liar.judges(move |from, request| match request {
        // The honest server would refuse it, since it tells of another log.
        Request::Append { .. } if from == bob => {
            Fate::Answered(Reply::Accepted { seq: end.next(), time })
        }
        _ => Fate::Passed,
    });
    scene.bob.says(room, "crossing").await?;
    let crossing = scene.liar.messages_of(&scene.bob, room).pop().ok_or("nothing was sent")?;
    scene.liar.says(&scene.ann, scene.entry(end.next(), crossing)).await?;
    assert_eq!(scene.ann.is_alarmed().await?.0, AlarmCause::Fork);
    may_not_speak(&scene, &scene.ann).await
}

/// The same, and bob only reads: his signed tick tells.
#[tokio::test]
async fn two_histories_are_found_by_the_first_tick_that_crosses() -> TestResult {
    let mut scene = with_two_histories().await?;
    let (end, bob) = (scene.end()?.seq(), scene.bob.account());
    scene.liar.judges(move |from, request| match request {
        Request::Read { upto, .. } if from == bob => {
            Fate::Answered(Reply::Marked { read_upto: *upto, n_unread: 0 })
        }
        _ => Fate::Passed,
    });
    scene.bob.does(Command::MarkRead { room: scene.room, upto: end }).await?;
    let is_read = |request: &Request| matches!(request, Request::Read { .. });
    let Request::Read { upto, signature, .. } = scene.liar.hears(&scene.bob, is_read).await? else {
        return Err("no tick".into());
    };
    let tick = SignedTick { account: bob, device: scene.bob.device(), upto, signature };
    scene.liar.says(&scene.ann, Event::Ticks { room: scene.number, ticks: vec![tick] }).await?;
    assert_eq!(scene.ann.is_alarmed().await?.0, AlarmCause::Fork);
    may_not_speak(&scene, &scene.ann).await
}

/// A tick that bob never signed is no tick of his.
#[tokio::test]
async fn a_forged_tick_is_found_and_sending_stops() -> TestResult {
    let mut scene = Scene::begin().await?;
    let end = scene.end()?;
    let forger = SigningKey::generate(&mut rand::rng());
    let read = ReadTick { room: scene.room, seq: end.seq(), hash: end.hash() };
    let (account, device) = (scene.bob.account(), scene.bob.device());
    let signature = read.sign(&forger).0;
    let tick = SignedTick { account, device, upto: end.seq(), signature };
    scene.liar.says(&scene.ann, Event::Ticks { room: scene.number, ticks: vec![tick] }).await?;
    assert_eq!(scene.ann.is_alarmed().await?.0, AlarmCause::Fork);
    may_not_speak(&scene, &scene.ann).await
}

/// The newest entries are announced but never handed out: the room shows as unconfirmed, what is
/// said waits, and once the server hands them out everything is there.
#[tokio::test]
async fn a_withheld_tail_shows_as_unconfirmed_and_nothing_is_sent() -> TestResult {
    let mut scene = Scene::begin().await?;
    let (ann, room, from) = (scene.ann.account(), scene.room, scene.end()?.seq().next());
    scene.liar.tells(move |to, _, frame| {
        if to == ann && is_entry_from(&frame, from) { Vec::new() } else { vec![frame] }
    });
    scene.liar.reads_out(move |to, _, reply| if to == ann { nothing() } else { reply });
    scene.bob.says(room, "one").await?;
    scene.bob.says(room, "two").await?;
    scene.liar.says(&scene.ann, Event::Room(head(&scene, scene.end()?.seq())?)).await?;
    assert_eq!(scene.ann.is_alarmed().await?.0, AlarmCause::Withheld);
    let view = scene.ann.sees(room).await?;
    assert!(view.announced > view.head, "unconfirmed");
    let online = ConnectionState::Online { rtt: std::time::Duration::ZERO, is_caught_up: true };
    assert_ne!(scene.ann.client.connection(), online);
    let queued = scene.ann.queues(room, SECRET).await?;
    let n_sent = scene.liar.messages_of(&scene.ann, room).len();
    assert_eq!(n_sent, 1, "only the hello before");

    scene.liar.repents();
    scene.ann.restarts().await?;
    scene.ann.accepted(queued).await?;
    scene.ann.has_texts(room, &["hello", "hi", "one", "two", SECRET]).await?;
    assert!(!scene.liar.has_heard(SECRET));
    Ok(())
}

/// After a restart the server has forgotten what it had confirmed.
#[tokio::test]
async fn a_log_that_shrinks_is_found_and_sending_stops() -> TestResult {
    let mut scene = Scene::begin().await?;
    let ann = scene.ann.account();
    let shorter = head(&scene, Seq(scene.end()?.seq().0 - 1))?;
    scene.liar.tells(move |to, _, frame| match frame {
        ServerFrame::Reply { id, reply: Reply::Resumed { gone, more, .. } } if to == ann => {
            let heads = vec![shorter.clone()];
            vec![ServerFrame::Reply { id, reply: Reply::Resumed { heads, gone, more } }]
        }
        frame => vec![frame],
    });
    scene.ann.restarts().await?;
    let (cause, text) = scene.ann.is_alarmed().await?;
    assert_eq!(cause, AlarmCause::BrokenLog);
    assert!(text.contains("ends at"), "{text}");
    may_not_speak(&scene, &scene.ann).await
}

/// Eve and dan speak at the same time; ann is shown eve's words first, bob is shown dan's.
async fn with_two_histories() -> TestResult<Scene> {
    let (mut scene, mut others) = Scene::begin_with(&["eve", "dan"]).await?;
    let (room, from) = (scene.room, scene.end()?.seq().next());
    let (bob, dan) = (scene.bob.account(), others[1].account());
    let mut swap = swapping(from);
    scene.liar.tells(move |to, _, frame| {
        if to == bob {
            swap(frame)
        } else if to == dan && is_entry_from(&frame, from) {
            // So that dan has not heard eve when he speaks.
            Vec::new()
        } else {
            vec![frame]
        }
    });
    others[0].says(room, "eve was first").await?;
    others[1].says(room, "dan was first").await?;
    assert_eq!(scene.bob.hears(room).await?, "dan was first");
    assert_eq!(scene.bob.hears(room).await?, "eve was first");
    scene.ann.has_texts(room, &["hello", "hi", "eve was first", "dan was first"]).await?;
    while let Some(event) = scene.ann.events.try_next() {
        assert!(!matches!(event, ClientEvent::Alarm { .. }), "nobody can know yet");
    }
    Ok(scene)
}

fn swaps_the_next_two(scene: &Scene, victim: &Person) -> TestResult {
    let (victim, mut swap) = (victim.account(), swapping(scene.end()?.seq().next()));
    scene.liar.tells(move |to, _, frame| if to == victim { swap(frame) } else { vec![frame] });
    Ok(())
}

/// Holds the entry event at a place back until the next comes, and gives each the other's place.
fn swapping(first: Seq) -> impl FnMut(ServerFrame) -> Vec<ServerFrame> + Send + 'static {
    let mut waiting = None;
    move |frame| match frame {
        ServerFrame::Event(Event::Entry { room, seq, time, entry }) if seq == first => {
            waiting = Some((room, time, entry));
            Vec::new()
        }
        ServerFrame::Event(Event::Entry { room, seq, time, entry }) if seq == first.next() => {
            let Some((_, earlier, held)) = waiting.take() else { return Vec::new() };
            let now_first = Event::Entry { room, seq: first, time: earlier, entry };
            let now_second = Event::Entry { room, seq, time, entry: held };
            vec![ServerFrame::Event(now_first), ServerFrame::Event(now_second)]
        }
        frame => vec![frame],
    }
}

fn nothing() -> BulkReply {
    BulkReply::Page { hash_before: Hash::ZERO, entries: Vec::new(), is_last: true }
}

/// What the server would tell of the room if its log ended at a place.
fn head(scene: &Scene, seq: Seq) -> TestResult<RoomHead> {
    let position = scene.town.store()?.position(scene.number, seq)?;
    Ok(RoomHead {
        room: scene.room,
        number: scene.number,
        workspace: WorkspaceId::MAIN,
        seq,
        hash: position.ok_or("there is no such place")?.0,
        commit_seq: Seq(1),
        last_counter: Counter(1),
        delivered_upto: Seq(0),
        read_upto: Seq(0),
        n_unread: 0,
        delivered: Vec::new(),
        read: Vec::new(),
    })
}
