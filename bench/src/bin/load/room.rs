//! A sealed room of numbered people, and messages in it, made without the client engine.

use std::collections::HashMap;
use std::rc::Rc;

use mathia_protocol::crypto::commit::{
    AgentScope, HistoryRule, Policy, Role, RoomKind, RoomMode, WhoAdds,
};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::crypto::epoch::{EpochSecret, RoomKey, SenderKey, key_commit};
use mathia_protocol::crypto::message::{
    Flags, MessageContext, MessageDraft, Placement, SealWith, prev_own, seal_message,
};
use mathia_protocol::crypto::settings::RoomSettings;
use mathia_protocol::crypto::user_chain::UserChain;
use mathia_protocol::crypto::wrap::{WrapContext, wrap};
use mathia_protocol::id::{
    AccountId, Counter, Epoch, Hash, RoomId, RoomNumber, Seq, TimeMs, WorkspaceId,
};
use mathia_protocol::log::{Committer, LogHash, propose_create, wraps_needed};
use mathia_protocol::wire::{Reply, Request, Wrap};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::Failure;
use crate::peer::{Identity, Session};

/// Now, in milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the load generator's one reader of the clock")]
pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A room that exists on the server.
#[derive(Clone)]
pub(crate) struct SealedRoom {
    pub(crate) room: RoomId,
    room_key: [u8; 32],
    head: LogHash,
}

impl SealedRoom {
    /// Creates a room of `people`, the first of whom is its owner and has the session.
    pub(crate) async fn create(
        session: &mut Session,
        people: &[&Identity],
        seed: u64,
    ) -> Result<Self, Failure> {
        let mut rng = StdRng::seed_from_u64(seed);
        let owner = people[0];
        let town: HashMap<AccountId, &UserChain> =
            people.iter().map(|person| (person.account, &person.chain)).collect();
        let policy = Policy {
            mode: RoomMode::E2ee,
            history: HistoryRule::SinceJoin,
            who_adds: WhoAdds::Admin,
            agent_scope: AgentScope::None,
            retention_days: 0,
        };
        let others: Vec<_> =
            people[1..].iter().map(|person| (person.account, Role::Member)).collect();
        let mut nonce = Hash::ZERO;
        rng.fill_bytes(&mut nonce.0);
        let committer =
            Committer { account: owner.account, device: owner.device, time: TimeMs(now_ms()) };
        let proposal = propose_create(RoomKind::Group, policy, &others, nonce, committer, &town)?;
        let secret = EpochSecret::generate(&mut rng);
        let mut fields = proposal.fields;
        fields.kc = key_commit(nonce, Epoch(1), &secret);
        let settings = RoomSettings::named("load".parse()?);
        fields.settings_box = Some(settings.seal(&mut rng, &secret, nonce, Epoch(1)));
        let commit = fields.sign(&owner.signing)?;
        let room = commit.room_id().ok_or("not a creating commit")?;
        let wraps = wraps_needed(None, &commit, &town)?
            .into_iter()
            .map(|target| {
                let context = WrapContext {
                    commit_hash: commit.hash(),
                    account: target.account,
                    device: target.device,
                    hpke_gen: target.generation,
                };
                Ok(Wrap {
                    account: target.account,
                    device: target.device,
                    hpke_gen: target.generation,
                    sealed: wrap(&mut rng, &target.key, &context, &secret)?.to_vec(),
                })
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        let request = Request::Commit {
            workspace: WorkspaceId::MAIN,
            room: None,
            entry: commit.entry().to_vec(),
            wraps,
        };
        match session.ask(request).await? {
            Ok(Reply::Accepted { .. }) => {}
            other => return Err(format!("the room was answered by {other:?}").into()),
        }
        let head = LogHash::start(room).extend(commit.entry());
        let room_key = *RoomKey::derive(commit.hash(), &secret).to_bytes();
        Ok(Self { room, room_key, head })
    }

    /// The room's number, from what `resume` told.
    pub(crate) async fn number(&self, session: &mut Session) -> Result<RoomNumber, Failure> {
        let heads = session.resume().await?;
        let head = heads.iter().find(|head| head.room == self.room).ok_or("room not told")?;
        Ok(head.number)
    }
}

/// One device's messages in one room.
pub(crate) struct Author {
    identity: Rc<Identity>,
    room: SealedRoom,
    sender_key: SenderKey,
    rng: StdRng,
    last_ctr: u64,
    last_entry: [u8; 16],
}

impl Author {
    pub(crate) fn new(identity: Rc<Identity>, room: &SealedRoom, seed: u64) -> Self {
        let room_key = RoomKey::from_bytes(&room.room_key);
        let sender_key = SenderKey::derive(&room_key, identity.account, identity.device);
        Self {
            identity,
            room: room.clone(),
            sender_key,
            rng: StdRng::seed_from_u64(seed),
            last_ctr: 0,
            last_entry: [0; 16],
        }
    }

    /// Seals the next message: a text of `len` letters.
    pub(crate) fn next(&mut self, len: usize) -> Result<Vec<u8>, Failure> {
        let context = MessageContext {
            room: self.room.room,
            commit_hash: self.room.room.as_hash(),
            account: self.identity.account,
            device: self.identity.device,
        };
        let draft = MessageDraft {
            flags: Flags::COUNTABLE,
            epoch: Epoch(1),
            placement: Placement::Live {
                counter: Counter(self.last_ctr + 1),
                prev_own: self.last_entry,
            },
            seen_seq: Seq(1),
            seen_hash: self.room.head.hash(),
            time: TimeMs(now_ms()),
            plaintext: Content::from_text("x".repeat(len))?.encode(),
            agents: Vec::new(),
        };
        let with = SealWith::SenderKey(&self.sender_key);
        let entry = seal_message(&mut self.rng, &context, with, &draft, &self.identity.signing)?;
        self.last_ctr += 1;
        self.last_entry = prev_own(&entry);
        Ok(entry)
    }
}
