//! Where the lies are told: two people who talk through a liar, and what they may never do.

use std::collections::BTreeMap;

use mathia_protocol::client::{Command, CommandError};
use mathia_protocol::crypto::commit::{Commit, CommitFields};
use mathia_protocol::crypto::epoch::{EpochSecret, key_commit};
use mathia_protocol::crypto::identity::SigningKey;
use mathia_protocol::crypto::settings::RoomSettings;
use mathia_protocol::crypto::user_chain::UserChain;
use mathia_protocol::id::{AccountId, RoomId, RoomNumber, Seq};
use mathia_protocol::log::{Change, Committer, LogHash, propose};
use mathia_protocol::wire::{EntryBody, Event, ServerFrame};

use crate::cast::{Person, TestResult, Town, now};
use crate::liar::Liar;

/// What everybody would like to keep to themselves.
pub(super) const SECRET: &str = "meet me behind the old mill";

/// Two people and a room, behind a liar who is still honest.
pub(super) struct Scene {
    pub(super) town: Town,
    pub(super) liar: Liar,
    pub(super) ann: Person,
    pub(super) bob: Person,
    pub(super) room: RoomId,
    pub(super) number: RoomNumber,
}

impl Scene {
    /// Ann has made a room with bob, and both have said something.
    pub(super) async fn begin() -> TestResult<Self> {
        Self::begin_with(&[]).await.map(|(scene, _)| scene)
    }

    /// The same with more people in the room.
    pub(super) async fn begin_with(others: &[&str]) -> TestResult<(Self, Vec<Person>)> {
        let town = Town::start()?;
        let liar = Liar::before(&town)?;
        let mut ann = liar.newcomer("ann").await?;
        let mut bob = liar.newcomer("bob").await?;
        let mut more = Vec::new();
        for handle in others {
            more.push(liar.newcomer(handle).await?);
        }
        let people: Vec<&Person> = [&bob].into_iter().chain(&more).collect();
        let room = ann.makes_room("team", &people).await?;
        ann.says(room, "hello").await?;
        assert_eq!(bob.hears(room).await?, "hello");
        bob.says(room, "hi").await?;
        assert_eq!(ann.hears(room).await?, "hi");
        for person in &mut more {
            assert_eq!(person.hears(room).await?, "hello");
            assert_eq!(person.hears(room).await?, "hi");
        }
        bob.has_texts(room, &["hello", "hi"]).await?;
        let number = town.number(room)?;
        Ok((Self { town, liar, ann, bob, room, number }, more))
    }

    /// An entry event.
    pub(super) fn entry(&self, seq: Seq, entry: Vec<u8>) -> Event {
        Event::Entry { room: self.number, seq, time: now(), entry }
    }

    /// Where the honest log ends.
    pub(super) fn end(&self) -> TestResult<LogHash> {
        let head = self.town.store()?.head(self.number)?;
        Ok(LogHash::at(head.seq, head.hash))
    }

    /// The bytes of an entry, as somebody's client keeps them.
    pub(super) fn bytes(&self, of: &Person, seq: Seq) -> TestResult<Vec<u8>> {
        let entry = of.replica.entries_before(self.room, seq.next(), 1)?.pop();
        match entry.ok_or("there is no such entry")?.body {
            EntryBody::Whole(bytes) => Ok(bytes),
            EntryBody::Gone(_) => Err("its body is gone".into()),
        }
    }

    /// A commit in the name of `author` that is as it should be, but for what `twist` does and for
    /// who signs it.
    pub(super) fn forge(
        &self,
        author: &Person,
        change: &Change,
        signer: &SigningKey,
        twist: impl FnOnce(&mut CommitFields),
    ) -> TestResult<Commit> {
        let state = self.town.state(self.room)?;
        let mut chains: BTreeMap<AccountId, UserChain> = BTreeMap::new();
        let newcomers = match change {
            Change::Add(newcomers) => newcomers.iter().map(|(account, _)| *account).collect(),
            _ => Vec::new(),
        };
        for account in state.members().map(|member| member.account).chain(newcomers) {
            chains.insert(account, self.town.chain(account)?);
        }
        let (account, device, time) = (author.account(), author.device(), now());
        let committer = Committer { account, device, time };
        let mut fields = propose(&state, change, self.end()?, committer, &chains)?.fields;
        let mut rng = rand::rng();
        let secret = EpochSecret::generate(&mut rng);
        let (prev_commit, epoch) = (fields.prev_commit, fields.epoch);
        fields.kc = key_commit(prev_commit, epoch, &secret);
        let settings = RoomSettings::named("team".parse()?);
        fields.settings_box = Some(settings.seal(&mut rng, &secret, prev_commit, epoch));
        twist(&mut fields);
        Ok(fields.sign(signer)?)
    }
}

/// Whether a frame is an entry event at or behind a place.
pub(super) fn is_entry_from(frame: &ServerFrame, from: Seq) -> bool {
    matches!(frame, ServerFrame::Event(Event::Entry { seq, .. }) if *seq >= from)
}

/// Checks that somebody may say nothing more in the room, and that nothing left.
pub(super) async fn may_not_speak(scene: &Scene, person: &Person) -> TestResult {
    let before = scene.liar.messages_of(person, scene.room).len();
    let view = person.sees(scene.room).await?;
    assert!(view.sending_stopped.is_some(), "the room shows why");
    let send = Command::Send { room: scene.room, text: SECRET.to_owned(), tag: None };
    match person.client.run(send).await {
        Err(CommandError::Untrusted(_)) => {}
        other => return Err(format!("sending ended with {other:?}").into()),
    }
    assert_eq!(scene.liar.messages_of(person, scene.room).len(), before, "nothing was sent");
    assert!(!scene.liar.has_heard(SECRET) && !scene.liar.has_heard("hello"), "no plaintext left");
    Ok(())
}
