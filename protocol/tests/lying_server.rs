//! Lies a server can tell, and what honest clients make of them (CRYPTO B4, B9).
//!
//! Each test begins with an honest conversation; then the server lies in one way. The lie is found
//! and sending stops, or it is refused, or nothing was gained by it; and no plaintext leaves.

mod liar;

use liar::{Liar, Lose, Person, TestResult, now};
use mathia_protocol::client::{
    AlarmCause, ClientEvent, Command, ConnectionState, EntryBodyView, PersonRef,
};
use mathia_protocol::crypto::commit::members_hash;
use mathia_protocol::crypto::commit::{
    Commit, CommitFields, CommitKind, Member, Policy, Role, RoomMode,
};
use mathia_protocol::crypto::epoch::EpochSecret;
use mathia_protocol::crypto::identity::{HpkeSecret, SigningKey};
use mathia_protocol::crypto::message::Message;
use mathia_protocol::crypto::user_chain::{
    AccountKind, DeviceLabel, DeviceRecord, Genesis, LinkBody, SignedLink, UserChain, UserLink,
};
use mathia_protocol::crypto::wrap::{GrantContext, seal_grant};
use mathia_protocol::id::{AccountId, Epoch, RoomId, Seq};
use mathia_protocol::log::LogHash;
use mathia_protocol::wire::{DeviceGrant, Event, Fault};

/// Two people who have talked.
async fn a_pair(liar: &Liar) -> TestResult<(Person, Person, RoomId)> {
    let mut ann = Person::joins(liar, "ann").await?;
    let mut bob = Person::joins(liar, "bob").await?;
    let room = ann.makes_room(&[&bob]).await?;
    ann.says(room, "hello").await?;
    bob.hears("hello").await?;
    Ok((ann, bob, room))
}

/// What the newest commit of a room says, with its chain position.
fn newest_commit(liar: &Liar, room: RoomId) -> Commit {
    let world = liar.world();
    let mut entries = world.rooms[&room].entries.iter().rev();
    entries
        .find_map(|entry| Commit::decode(entry.clone()).ok())
        .expect("the room was made by a commit")
}

/// The log up to its end.
fn log_end(liar: &Liar, room: RoomId) -> LogHash {
    let world = liar.world();
    let entries = world.rooms[&room].entries.iter();
    entries.fold(LogHash::start(room), |at, entry| at.extend(entry))
}

/// An account that only the server knows, with keys it made itself.
fn puppet(liar: &Liar) -> (SigningKey, AccountId) {
    let mut rng = rand::rng();
    let key = SigningKey::generate(&mut rng);
    let hpke = HpkeSecret::generate(&mut rng);
    let label = DeviceLabel { name: "puppet".into(), os: "none".into(), created: now() };
    let mut world = liar.world();
    let genesis = Genesis {
        realm: world.realm,
        handle: "puppet".parse().expect("a valid name"),
        kind: AccountKind::Human,
        operator: String::new(),
        device: DeviceRecord::founding(key.public(), hpke.public(), label),
        recovery_key: SigningKey::generate(&mut rng).public(),
    };
    let link = UserLink::founding(genesis, now()).sign(&key);
    let account = link.account();
    world.chains.insert(account, vec![link]);
    (key, account)
}

/// A commit that would come next in the room, by anybody.
fn forged(liar: &Liar, room: RoomId, change: impl FnOnce(&mut CommitFields)) -> CommitFields {
    let head = newest_commit(liar, room);
    let seen = log_end(liar, room);
    let mut fields = CommitFields {
        commit_no: head.commit_no + 1,
        prev_commit: head.hash(),
        seen_seq: seen.seq(),
        seen_hash: seen.hash(),
        prev_box: None,
        settings_box: None,
        time: now(),
        room_kind: None,
        changed: Vec::new(),
        removed: Vec::new(),
        policy: None,
        ..(*head).clone()
    };
    change(&mut fields);
    fields
}

#[tokio::test]
async fn a_member_that_the_server_adds_is_not_believed() -> TestResult {
    let liar = Liar::start()?;
    let (mut ann, mut bob, room) = a_pair(&liar).await?;
    let (key, account) = puppet(&liar);
    let chain = UserChain::verify(&liar.world().chains[&account])?;
    let head = newest_commit(&liar, room);
    let fields = forged(&liar, room, |fields| {
        fields.kind = CommitKind::Add;
        fields.author = account;
        fields.device = key.device_id();
        fields.epoch = head.epoch.next();
        fields.settings_box = Some(vec![0; 80]);
        let member = Member {
            account,
            role: Role::Member,
            flags: 0,
            chain_seq: chain.head().seq,
            chain_hash: chain.head().hash,
        };
        fields.changed = vec![member];
        fields.members_hash = members_hash(fields.changed.iter());
    });
    let commit = fields.sign(&key)?;
    liar.world().append(room, commit.entry());
    ann.is_alarmed(AlarmCause::BrokenLog).await?;
    bob.is_alarmed(AlarmCause::BrokenLog).await?;
    ann.may_not_send(room).await?;
    bob.may_not_send(room).await
}

#[tokio::test]
async fn a_device_that_the_server_adds_is_not_believed() -> TestResult {
    let liar = Liar::start()?;
    let (mut ann, bob, room) = a_pair(&liar).await?;
    let account = bob.identity.account;
    let mut rng = rand::rng();
    let key = SigningKey::generate(&mut rng);
    let hpke = HpkeSecret::generate(&mut rng).public();
    let label = DeviceLabel { name: "laptop".into(), os: "linux".into(), created: now() };
    let record = DeviceRecord::offer(&mut rng, &key, hpke, label, account, [0; 16]);
    let grown = {
        let world = liar.world();
        let links = &world.chains[&account];
        let chain = UserChain::verify(links)?;
        let body = LinkBody::AddDevice(Box::new(record));
        // Signed by the new key itself: the server has none of bob's.
        let link = chain.next_link(body, now(), bob.identity.device()).sign(&key);
        let mut links = links.clone();
        links.push(link);
        links
    };
    let last = grown.last().cloned().unwrap();
    liar.world().shown_chains.insert(account, grown);
    let event = Event::ChainGrew { account, seq: 2, hash: last.hash() };
    liar.world().tell(ann.identity.account, &event);
    ann.is_alarmed(AlarmCause::ChainFork).await?;
    ann.may_not_send(room).await
}

#[tokio::test]
async fn an_entry_that_is_repeated_is_noticed() -> TestResult {
    let liar = Liar::start()?;
    let (_ann, mut bob, room) = a_pair(&liar).await?;
    let entry = liar.world().rooms[&room].entries.last().cloned().unwrap();
    liar.world().append(room, &entry);
    bob.is_alarmed(AlarmCause::BrokenLog).await?;
    bob.may_not_send(room).await
}

#[tokio::test]
async fn entries_in_another_order_are_noticed_by_the_next_word() -> TestResult {
    let liar = Liar::start()?;
    let (mut ann, mut bob, room) = a_pair(&liar).await?;
    let mut eve = Person::joins(&liar, "eve").await?;
    ann.client.run(Command::Add { room, people: vec![PersonRef::Handle("eve".parse()?)] }).await?;
    eve.knows(room).await?;
    bob.says(room, "from bob").await?;
    ann.hears("from bob").await?;
    // Eve is shown two messages the other way round; their authors differ, so no counter tells.
    liar.world().is_silent = true;
    ann.says(room, "first").await?;
    bob.says(room, "second").await?;
    let account = eve.identity.account;
    {
        let mut world = liar.world();
        let mut view = world.view(account, room);
        let n_entries = view.len();
        view.swap(n_entries - 1, n_entries - 2);
        world.shown.insert((account, room), view.clone());
        world.is_silent = false;
        for (place, entry) in view.iter().enumerate().skip(n_entries - 2) {
            world.tell_entry(account, room, Seq(place as u64 + 1), entry);
        }
        let truth = world.rooms[&room].entries.clone();
        for person in [ann.identity.account, bob.identity.account] {
            for (place, entry) in truth.iter().enumerate().skip(n_entries - 2) {
                world.tell_entry(person, room, Seq(place as u64 + 1), entry);
            }
        }
    }
    ann.hears("second").await?;
    ann.says(room, "what did you see?").await?;
    eve.is_alarmed(AlarmCause::Fork).await?;
    eve.may_not_send(room).await
}

#[tokio::test]
async fn a_message_that_is_left_out_is_noticed_at_the_next() -> TestResult {
    let liar = Liar::start()?;
    let (mut ann, mut bob, room) = a_pair(&liar).await?;
    liar.world().is_silent = true;
    ann.says(room, "bob must not see this").await?;
    let account = bob.identity.account;
    {
        let mut world = liar.world();
        let mut view = world.view(account, room);
        let left_out = view.pop().unwrap();
        world.shown.insert((account, room), view);
        let seq = Seq(world.rooms[&room].entries.len() as u64);
        world.tell_entry(ann.identity.account, room, seq, &left_out);
    }
    ann.hears("bob must not see this").await?;
    ann.says(room, "but this").await?;
    {
        let mut world = liar.world();
        let next = world.rooms[&room].entries.last().cloned().unwrap();
        let mut view = world.view(account, room);
        view.push(next.clone());
        let seq = Seq(view.len() as u64);
        world.shown.insert((account, room), view);
        world.tell_entry(account, room, seq, &next);
    }
    bob.is_alarmed(AlarmCause::Fork).await?;
    let check = bob
        .wait_for("a red line", |event| match event {
            ClientEvent::Entry(entry) => match entry.body {
                EntryBodyView::Rejected { check } => Some(check),
                _ => None,
            },
            _ => None,
        })
        .await?;
    assert!(check.contains("counter"), "{check}");
    bob.may_not_send(room).await
}

#[tokio::test]
async fn two_members_with_two_histories_find_out() -> TestResult {
    let liar = Liar::start()?;
    let (mut ann, mut bob, room) = a_pair(&liar).await?;
    // Both speak at once; each is shown its own word first.
    liar.world().is_silent = true;
    ann.says(room, "ann's world").await?;
    bob.says(room, "bob's world").await?;
    {
        let mut world = liar.world();
        let truth = world.rooms[&room].entries.clone();
        let n_entries = truth.len();
        let mut other = truth.clone();
        other.swap(n_entries - 1, n_entries - 2);
        for (person, view) in [(ann.identity.account, truth), (bob.identity.account, other)] {
            world.shown.insert((person, room), view.clone());
            for (place, entry) in view.iter().enumerate().skip(n_entries - 2) {
                world.tell_entry(person, room, Seq(place as u64 + 1), entry);
            }
        }
    }
    ann.hears("bob's world").await?;
    bob.hears("ann's world").await?;
    ann.says(room, "crossing").await?;
    {
        let mut world = liar.world();
        let next = world.rooms[&room].entries.last().cloned().unwrap();
        let account = bob.identity.account;
        let mut view = world.view(account, room);
        view.push(next.clone());
        let seq = Seq(view.len() as u64);
        world.shown.insert((account, room), view);
        world.tell_entry(account, room, seq, &next);
    }
    bob.is_alarmed(AlarmCause::Fork).await?;
    bob.may_not_send(room).await
}

#[tokio::test]
async fn a_silent_reader_s_tick_uncovers_a_fork() -> TestResult {
    let liar = Liar::start()?;
    let (mut ann, mut bob, room) = a_pair(&liar).await?;
    liar.world().is_silent = true;
    ann.says(room, "one").await?;
    bob.says(room, "two").await?;
    let end = {
        let mut world = liar.world();
        let truth = world.rooms[&room].entries.clone();
        let n_entries = truth.len();
        let mut other = truth.clone();
        other.swap(n_entries - 1, n_entries - 2);
        for (person, view) in [(ann.identity.account, truth), (bob.identity.account, other)] {
            world.shown.insert((person, room), view.clone());
            for (place, entry) in view.iter().enumerate().skip(n_entries - 2) {
                world.tell_entry(person, room, Seq(place as u64 + 1), entry);
            }
        }
        Seq(n_entries as u64)
    };
    ann.hears("two").await?;
    bob.hears("one").await?;
    // Bob writes nothing; he only reads to the end.
    bob.client.run(Command::MarkRead { room, upto: end }).await?;
    ann.is_alarmed(AlarmCause::Fork).await?;
    ann.may_not_send(room).await
}

#[tokio::test]
async fn a_chain_that_is_rolled_back_is_refused() -> TestResult {
    let liar = Liar::start()?;
    let (mut ann, bob, _room) = a_pair(&liar).await?;
    let account = bob.identity.account;
    let (short, grown) = {
        let world = liar.world();
        let short = world.chains[&account].clone();
        let chain = UserChain::verify(&short)?;
        let (mut rng, device) = (rand::rng(), bob.identity.device());
        let key = SigningKey::generate(&mut rng);
        let hpke = HpkeSecret::generate(&mut rng).public();
        let label = DeviceLabel { name: "phone".into(), os: "linux".into(), created: now() };
        let record = DeviceRecord::offer(&mut rng, &key, hpke, label, account, [0; 16]);
        let body = LinkBody::AddDevice(Box::new(record));
        let mut grown = short.clone();
        grown.push(chain.next_link(body, now(), device).sign(&bob.identity.signing));
        (short, grown)
    };
    let reader = ann.identity.account;
    let tell = |links: &[SignedLink], seq| {
        let hash = links.last().unwrap().hash();
        liar.world().tell(reader, &Event::ChainGrew { account, seq, hash });
    };
    liar.world().shown_chains.insert(account, grown.clone());
    tell(&grown, 2);
    ann.is_told("new device for bob").await?;
    liar.world().shown_chains.insert(account, short.clone());
    tell(&grown, 3);
    ann.is_alarmed(AlarmCause::StaleChain).await
}

#[tokio::test]
async fn a_forged_grant_of_older_keys_is_thrown_away() -> TestResult {
    let liar = Liar::start()?;
    let (ann, bob, room) = a_pair(&liar).await?;
    let mut dan = Person::joins(&liar, "dan").await?;
    let set = Command::Set { room, key: "history".into(), value: "all".into() };
    ann.client.run(set).await?;
    let context = GrantContext {
        room,
        account: dan.identity.account,
        device: dan.identity.device(),
        hpke_gen: 1,
    };
    let mut rng = rand::rng();
    let key = dan.identity.hpke[0].secret.public();
    let secrets = [(Epoch(1), EpochSecret::generate(&mut rng))];
    let sealed = seal_grant(&mut rng, &key, &context, &secrets)?;
    let grant = DeviceGrant { device: dan.identity.device(), hpke_gen: 1, sealed };
    let from = bob.identity.account;
    liar.world().rooms.get_mut(&room).unwrap().grants.push((from, dan.identity.account, grant));
    let people = vec![PersonRef::Handle("dan".parse()?)];
    ann.client.run(Command::Add { room, people }).await?;
    dan.is_alarmed(AlarmCause::BadKey).await
}

#[tokio::test]
async fn a_wrap_that_was_swapped_is_asked_for_again() -> TestResult {
    let liar = Liar::start()?;
    let mut ann = Person::joins(&liar, "ann").await?;
    let mut bob = Person::joins(&liar, "bob").await?;
    liar.world().spoil_wraps = true;
    let room = ann.makes_room(&[&bob]).await?;
    bob.is_alarmed(AlarmCause::BadKey).await?;
    ann.says(room, "hello").await?;
    // The answer of another member, proven by the commitment, heals it.
    bob.hears("hello").await
}

#[tokio::test]
async fn a_room_is_never_downgraded_not_even_by_its_owner() -> TestResult {
    let liar = Liar::start()?;
    let (ann, mut bob, room) = a_pair(&liar).await?;
    let policy = Policy { mode: RoomMode::Open, ..Policy::GROUP };
    let fields = forged(&liar, room, |fields| {
        fields.kind = CommitKind::SetPolicy;
        fields.author = ann.identity.account;
        fields.device = ann.identity.device();
        fields.policy = Some(policy);
        fields.policy_hash = policy.hash();
    });
    let commit = fields.sign(&ann.identity.signing)?;
    liar.world().append(room, commit.entry());
    bob.is_alarmed(AlarmCause::BrokenLog).await?;
    bob.may_not_send(room).await
}

#[tokio::test]
async fn another_server_under_the_same_name_is_not_talked_to() -> TestResult {
    let liar = Liar::start()?;
    let (ann, _bob, room) = a_pair(&liar).await?;
    let impostor = Liar::start()?;
    assert_ne!(liar.pin(), impostor.pin());
    let mut ann = ann.restarts_at(Some(impostor.address())).await?;
    let is_stopped = |state: &ConnectionState| matches!(state, ConnectionState::Stopped { .. });
    let state = ann.client.connection_where(is_stopped).await;
    assert!(
        matches!(state, Some(ConnectionState::Stopped { is_untrusted: true, .. })),
        "{state:?}"
    );
    // What is queued stays here.
    ann.client.run(Command::Send { room, text: "for my own server".into() }).await?;
    assert!(impostor.world().sessions.is_empty());
    assert!(impostor.world().chains.is_empty());
    assert_eq!(ann.texts(room).await?, ["hello"]);
    Ok(())
}

#[tokio::test]
async fn a_withheld_tail_is_shown_as_unconfirmed() -> TestResult {
    let liar = Liar::start()?;
    let (ann, mut bob, room) = a_pair(&liar).await?;
    let end = log_end(&liar, room);
    // A head beyond everything that is handed out.
    let mut ahead = Vec::new();
    {
        let world = liar.world();
        ahead.clone_from(&world.rooms[&room].entries);
    }
    ahead.push(vec![2; 300]);
    let account = bob.identity.account;
    liar.world().shown.insert((account, room), ahead);
    liar.world().tell_head(account, room);
    liar.world().shown.remove(&(account, room));
    bob.is_alarmed(AlarmCause::Withheld).await?;
    bob.wait_for("an unconfirmed room", |event| match event {
        ClientEvent::Room(view) => {
            (view.room == room && view.announced > view.head && view.head == end.seq())
                .then_some(())
        }
        _ => None,
    })
    .await?;
    drop(ann);
    Ok(())
}

#[tokio::test]
async fn nothing_is_sealed_for_a_device_that_was_revoked() -> TestResult {
    let liar = Liar::start()?;
    let (mut ann, bob, room) = a_pair(&liar).await?;
    let before = newest_commit(&liar, room).epoch;
    let account = bob.identity.account;
    // Bob's chain ends his only device; the server would rather keep the old epoch.
    let link = {
        let world = liar.world();
        let chain = UserChain::verify(&world.chains[&account])?;
        let device = bob.identity.device();
        let body = LinkBody::RevokeDevice { device, reason: 0 };
        chain.next_link(body, now(), device).sign(&bob.identity.signing)
    };
    liar.world().chains.get_mut(&account).unwrap().push(link.clone());
    let event = Event::ChainGrew { account, seq: 2, hash: link.hash() };
    liar.world().tell(ann.identity.account, &event);
    ann.is_told("revoked").await?;
    ann.says(room, "only for who is left").await?;
    let commit = newest_commit(&liar, room);
    assert_eq!(commit.epoch, before.next(), "a new epoch began before the message");
    let world = liar.world();
    let device = bob.identity.device();
    let wraps = &world.rooms[&room].wraps;
    assert!(!wraps.iter().any(|(epoch, wrap)| *epoch == commit.epoch && wrap.device == device));
    Ok(())
}

#[tokio::test]
async fn a_message_that_was_lost_is_sent_again_byte_by_byte() -> TestResult {
    let liar = Liar::start()?;
    let (mut ann, mut bob, room) = a_pair(&liar).await?;
    liar.world().lose = Some(Lose::Message);
    ann.says(room, "twice on the way").await?;
    bob.hears("twice on the way").await?;
    let world = liar.world();
    let [.., first, second] = world.arrived.as_slice() else { return Err("not sent again".into()) };
    assert_eq!(first, second);
    assert_eq!(world.rooms[&room].entries.iter().filter(|entry| *entry == first).count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_message_whose_ack_was_lost_is_not_doubled() -> TestResult {
    let liar = Liar::start()?;
    let (mut ann, mut bob, room) = a_pair(&liar).await?;
    liar.world().lose = Some(Lose::Ack);
    ann.says(room, "once").await?;
    ann.says(room, "and on").await?;
    let bob_account = bob.identity.account;
    liar.world().tell_head(bob_account, room);
    bob.hears("and on").await?;
    assert_eq!(bob.texts(room).await?, ["hello", "once", "and on"]);
    assert_eq!(ann.texts(room).await?, ["hello", "once", "and on"]);
    Ok(())
}

#[tokio::test]
async fn another_identity_under_a_known_name_stops_sending_until_accepted() -> TestResult {
    let liar = Liar::start()?;
    let (mut ann, bob, room) = a_pair(&liar).await?;
    let mut rng = rand::rng();
    let key = SigningKey::generate(&mut rng);
    let label = DeviceLabel { name: "laptop".into(), os: "linux".into(), created: now() };
    let hpke = HpkeSecret::generate(&mut rng).public();
    let genesis = Genesis {
        realm: liar.world().realm,
        handle: "bob".parse()?,
        kind: AccountKind::Human,
        operator: String::new(),
        device: DeviceRecord::founding(key.public(), hpke, label),
        recovery_key: SigningKey::generate(&mut rng).public(),
    };
    let link = UserLink::founding(genesis, now()).sign(&key);
    let (account, hash) = (link.account(), link.hash());
    liar.world().chains.insert(account, vec![link]);
    let reader = ann.identity.account;
    liar.world().tell(reader, &Event::ChainGrew { account, seq: 1, hash });
    ann.is_alarmed(AlarmCause::IdentityChanged).await?;
    ann.may_not_send(room).await?;
    // The old one stays pinned: only a person's word moves a name.
    let refused = ann.client.run(Command::Direct(PersonRef::Handle("bob".parse()?))).await;
    assert!(refused.is_err());
    drop(bob);
    Ok(())
}

#[tokio::test]
async fn a_stale_epoch_is_no_reason_to_use_any_other_than_the_log_s() -> TestResult {
    let liar = Liar::start()?;
    let (mut ann, mut bob, room) = a_pair(&liar).await?;
    liar.world().refuse = Some(Fault::StaleEpoch { epoch: Epoch(9) });
    ann.says(room, "sealed anew").await?;
    bob.hears("sealed anew").await?;
    let world = liar.world();
    let [.., first, second] = world.arrived.as_slice() else { return Err("not sent again".into()) };
    assert_ne!(first, second, "never the same keys for two tries");
    let (first, second) = (Message::decode(first)?, Message::decode(second)?);
    assert_eq!(second.header().epoch, Epoch(1));
    assert_eq!(first.header().ctr(), second.header().ctr());
    Ok(())
}
