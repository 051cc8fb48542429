//! Stories of people who come, hear and go.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use mathia_protocol::id::{AccountId, DeviceId, RoomNumber, Seq, TimeMs};
use mathia_protocol::limits::FRAME_LEN_MAX;
use mathia_protocol::wire::{
    Event, PresenceState, ServerDatagram, ServerFrame, decode, take_frame,
};

use super::*;
use crate::clock::{Clock as _, ManualClock};

const TEAM: RoomNumber = RoomNumber(1);
const LOBBY: RoomNumber = RoomNumber(2);

struct Town {
    hub: Arc<Hub>,
    clock: Arc<ManualClock>,
}

struct Person {
    id: SessionId,
    frame_queue: Arc<FrameQueue>,
}

fn town() -> Town {
    let clock = Arc::new(ManualClock::at(TimeMs(1_000_000)));
    Town { hub: Arc::new(Hub::new(2)), clock }
}

fn account(name: u8) -> AccountId {
    AccountId([name; 32])
}

fn device(name: u8) -> DeviceId {
    DeviceId([name; 16])
}

impl Town {
    fn now(&self) -> TimeMs {
        self.clock.now_ms()
    }

    fn leaves(&self, person: &Person) -> bool {
        self.hub.leave(person.id, self.now()).was_last
    }

    fn emits_presence(&self) {
        self.hub.emit_presence(self.now());
    }

    fn enters(&self, name: u8) -> Person {
        let frame_queue =
            Arc::new(FrameQueue::new(QueueLimits { n_entries_max: 64, n_bytes_max: 64 * 1024 }));
        let session = Session {
            account: account(name),
            device: device(name),
            frame_queue: Arc::clone(&frame_queue),
        };
        Person { id: self.hub.enter(session).unwrap(), frame_queue }
    }

    fn enters_and_subscribes(&self, name: u8, rooms: &[RoomNumber]) -> Person {
        let person = self.enters(name);
        self.hub.subscribe(person.id, rooms, self.now());
        person
    }
}

impl Person {
    fn events(&self) -> Vec<Event> {
        let (mut frames, mut datagrams) = (Vec::new(), Vec::new());
        self.frame_queue.gather(&mut frames, &mut datagrams);
        let mut bytes: BytesMut = frames.concat().as_slice().into();
        let mut events = Vec::new();
        while let Some(body) = take_frame(&mut bytes, FRAME_LEN_MAX).unwrap() {
            match decode::<ServerFrame>(&body).unwrap() {
                ServerFrame::Event(event) => events.push(event),
                other => panic!("unexpected {other:?}"),
            }
        }
        assert!(bytes.is_empty());
        events
    }

    fn seqs(&self) -> Vec<u64> {
        let events = self.events().into_iter();
        events
            .filter_map(|event| match event {
                Event::Entry { seq, .. } => Some(seq.0),
                _ => None,
            })
            .collect()
    }

    fn presence(&self) -> Vec<(AccountId, PresenceState, TimeMs)> {
        let lines = self.events().into_iter().flat_map(|event| match event {
            Event::Presence { lines } => lines,
            _ => Vec::new(),
        });
        lines.map(|line| (line.account, line.state, line.last_seen)).collect()
    }

    fn datagrams(&self) -> Vec<ServerDatagram> {
        let (mut frames, mut datagrams) = (Vec::new(), Vec::new());
        self.frame_queue.gather(&mut frames, &mut datagrams);
        datagrams.iter().map(|datagram| decode(datagram).unwrap()).collect()
    }
}

fn entry(room: RoomNumber, seq: u64) -> Delivery {
    let event = Event::Entry { room, seq: Seq(seq), time: TimeMs(1), entry: vec![2; 20] };
    Delivery::Entry { room, seq: Seq(seq), frame: event_frame(event) }
}

#[test]
fn everybody_in_a_room_hears_its_entries_in_order_and_nobody_else_does() {
    let town = town();
    let ann = town.enters_and_subscribes(1, &[TEAM]);
    let bob = town.enters_and_subscribes(2, &[TEAM, LOBBY]);
    let silent = town.enters(3);
    town.hub.deliver(&[entry(TEAM, 1), entry(TEAM, 2), entry(LOBBY, 9), entry(TEAM, 3)]);
    assert_eq!(ann.seqs(), [1, 2, 3]);
    assert_eq!(bob.seqs(), [1, 2, 9, 3]);
    assert!(silent.seqs().is_empty(), "who has not resumed hears nothing");
}

#[test]
fn answers_do_not_change_the_order_of_entries() {
    let town = town();
    let ann = town.enters_and_subscribes(1, &[TEAM]);
    let answer = SessionAnswer { frame_queue: Arc::clone(&ann.frame_queue), frame: Bytes::new() };
    town.hub.answer([answer].into_iter());
    town.hub.deliver(&[entry(TEAM, 1), entry(TEAM, 2), entry(TEAM, 3)]);
    assert_eq!(ann.seqs(), [1, 2, 3]);
}

#[test]
fn a_long_batch_travels_in_pieces_and_arrives_whole() {
    let town = town();
    let ann = town.enters_and_subscribes(1, &[TEAM]);
    let deliveries: Vec<_> = (1..=60).map(|seq| entry(TEAM, seq)).collect();
    town.hub.deliver(&deliveries);
    assert_eq!(ann.seqs(), (1..=60).collect::<Vec<_>>());
}

#[test]
fn who_joins_hears_from_then_on_and_who_leaves_hears_no_more() {
    let town = town();
    let ann = town.enters_and_subscribes(1, &[]);
    let (room, account) = (TEAM, account(1));
    town.hub.deliver(&[entry(TEAM, 1), Delivery::Joined { room, account }, entry(TEAM, 2)]);
    town.hub.deliver(&[Delivery::Left { room, account }, entry(TEAM, 3)]);
    assert_eq!(ann.seqs(), [2]);
}

#[test]
fn a_removal_between_login_and_resume_is_not_undone_by_stale_rooms() {
    let town = town();
    let ann = town.enters(1);
    let account = account(1);
    town.hub.deliver(&[
        Delivery::Left { room: TEAM, account },
        Delivery::Joined { room: LOBBY, account },
    ]);
    town.hub.subscribe(ann.id, &[TEAM], town.now());
    town.hub.deliver(&[entry(TEAM, 5), entry(LOBBY, 6)]);
    assert_eq!(ann.seqs(), [6]);
}

#[test]
fn all_sessions_of_an_account_hear_and_a_second_login_changes_nothing_for_the_first() {
    let town = town();
    let write_queue = town.enters_and_subscribes(1, &[TEAM]);
    let phone = town.enters(1);
    town.hub.deliver(&[entry(TEAM, 1)]);
    town.hub.subscribe(phone.id, &[], town.now());
    town.hub.deliver(&[entry(TEAM, 2)]);
    assert_eq!((write_queue.seqs(), phone.seqs()), (vec![1, 2], vec![2]));
    assert!(!town.leaves(&write_queue));
    town.hub.deliver(&[entry(TEAM, 3)]);
    assert_eq!(phone.seqs(), [3]);
    assert!(town.leaves(&phone));
}

#[test]
fn an_account_has_no_more_sessions_than_allowed() {
    let town = town();
    let (one, _two) = (town.enters(1), town.enters(1));
    let another = || {
        let frame_queue = Arc::clone(&one.frame_queue);
        town.hub.enter(Session { account: account(1), device: device(1), frame_queue })
    };
    assert_eq!(another(), Err(TooManySessions { max: 2 }));
    assert!(!town.leaves(&one));
    assert!(another().is_ok());
}

#[test]
fn presence_is_told_once_to_those_who_share_a_room() {
    let town = town();
    let ann = town.enters_and_subscribes(1, &[TEAM]);
    let stranger = town.enters_and_subscribes(3, &[LOBBY]);
    town.emits_presence();
    ann.events();
    let bob = town.enters_and_subscribes(2, &[TEAM]);
    let now = town.now();
    assert_eq!(bob.presence(), [(account(1), PresenceState::Online, now)], "the snapshot");
    town.emits_presence();
    town.emits_presence();
    assert_eq!(ann.presence(), [(account(2), PresenceState::Online, now)]);
    assert!(stranger.presence().is_empty());
}

#[test]
fn who_comes_into_a_room_and_those_in_it_learn_that_they_are_there() {
    let town = town();
    let ann = town.enters_and_subscribes(1, &[TEAM]);
    let bob = town.enters_and_subscribes(2, &[]);
    let stranger = town.enters_and_subscribes(3, &[LOBBY]);
    town.emits_presence();
    let now = town.now();
    town.hub.deliver(&[Delivery::Joined { room: TEAM, account: account(2) }]);
    town.emits_presence();
    town.emits_presence();
    assert_eq!(ann.presence(), [(account(2), PresenceState::Online, now)]);
    assert_eq!(bob.presence(), [(account(1), PresenceState::Online, now)]);
    assert!(stranger.presence().is_empty());
}

#[test]
fn who_comes_back_within_a_second_was_never_gone() {
    let town = town();
    let ann = town.enters_and_subscribes(1, &[TEAM]);
    let bob = town.enters_and_subscribes(2, &[TEAM]);
    town.emits_presence();
    ann.events();
    assert!(town.leaves(&bob));
    let bob = town.enters_and_subscribes(2, &[TEAM]);
    town.emits_presence();
    assert!(ann.presence().is_empty());

    town.hub.set_away(bob.id, true);
    town.emits_presence();
    assert_eq!(ann.presence()[0].1, PresenceState::Away);

    let gone_at = town.now();
    assert!(town.leaves(&bob));
    town.clock.advance(700);
    town.emits_presence();
    assert_eq!(ann.presence(), [(account(2), PresenceState::Offline, gone_at)]);
    assert_eq!(town.hub.n_accounts(), 1);
}

#[test]
fn typing_reaches_the_others_in_the_room_and_only_from_members() {
    let town = town();
    let ann = town.enters_and_subscribes(1, &[TEAM]);
    let bob = town.enters_and_subscribes(2, &[TEAM]);
    assert_eq!(town.hub.subscribed_account(ann.id, TEAM), Some(account(1)));
    assert_eq!(town.hub.subscribed_account(ann.id, LOBBY), None);
    let (room, account) = (TEAM, account(1));
    LocalBus::new(Arc::clone(&town.hub)).publish(&[Delivery::Typing {
        room,
        account,
        is_typing: true,
    }]);
    assert_eq!(bob.datagrams(), [ServerDatagram::Typing { room: TEAM, account }]);
    assert!(ann.datagrams().is_empty());
}

#[test]
fn a_revoked_device_is_told_to_go_and_the_others_stay() {
    let town = town();
    let ann = town.enters(1);
    let bob = town.enters_and_subscribes(2, &[TEAM]);
    let before = town.hub.n_expulsions();
    town.hub.deliver(&[Delivery::Expelled { account: account(1), device: Some(device(1)) }]);
    town.hub.deliver(&[Delivery::Expelled { account: account(2), device: Some(device(9)) }]);
    assert_eq!(town.hub.n_expulsions(), before + 2);
    let mut sink = (Vec::new(), Vec::new());
    assert_eq!(ann.frame_queue.gather(&mut sink.0, &mut sink.1), Some(SessionEnd::Expelled));
    assert_eq!(bob.frame_queue.gather(&mut sink.0, &mut sink.1), None);
}

#[test]
fn events_for_an_account_or_a_device_reach_its_sessions() {
    let town = town();
    let ann = town.enters_and_subscribes(1, &[]);
    let bob = town.enters_and_subscribes(2, &[TEAM]);
    let frame = event_frame(Event::Stopping { retry_after_ms: 1 });
    town.hub.deliver(&[
        Delivery::Account { account: account(1), frame: frame.clone() },
        Delivery::Device { device: device(1), frame: frame.clone() },
        Delivery::Room { room: TEAM, frame, except: Some(account(2)) },
    ]);
    assert_eq!((ann.events().len(), bob.events().len()), (2, 0));
}

#[test]
fn the_absent_are_known_by_when_they_left() {
    let town = town();
    let ann = town.enters_and_subscribes(1, &[TEAM]);
    let _bob = town.enters_and_subscribes(2, &[TEAM]);
    let gone_at = town.now();
    assert!(town.leaves(&ann));
    let people = [account(1), account(2), account(3)];
    assert_eq!(town.hub.absent(&people), [(account(1), Some(gone_at)), (account(3), None)]);
    town.clock.advance(5_000);
    town.emits_presence();
    town.hub.note_last_seen(account(3), TimeMs(7));
    let absent = town.hub.absent(&people);
    assert_eq!(absent, [(account(1), Some(gone_at)), (account(3), Some(TimeMs(7)))]);
}
