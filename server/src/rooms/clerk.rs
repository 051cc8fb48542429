//! The clerk: does one job after the other inside a batch, and says what is to be told afterwards.
//!
//! Owns all state of the rooms in memory. Runs on the writer's thread only. Each job decides first
//! and writes then, so a refused job leaves nothing behind and the rest of the batch goes on.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::fmt;
use std::sync::Arc;

use mathia_protocol::crypto::delta::AnswerId;
use mathia_protocol::id::{AccountId, DeviceId, Realm, RoomId, RoomNumber, TimeMs, WorkspaceId};
use mathia_protocol::limits::DELTAS_PER_SECOND;
use mathia_protocol::wire::{Event, Fault, Registration, Reply, Request};

use super::at_rest::MasterKey;
use super::job::{Caller, Job, Rotated};
use super::keyring::RoomKeys;
use super::room::Room;
use super::room_cache::RoomCache;
use super::sampler::Sampler;
use super::schedules::unschedule;
use super::staged::Staging;
use crate::accounts::{BatchChains, Chains, Terms};
use crate::damage::Damage;
use crate::hub::{News, event_frame, fault_frame, reply_frame};
use crate::limits::Limits;
use crate::rate::{KeyedBuckets, Rate, TooOften};
use crate::refusal::{Refusal, not_allowed};
use crate::store::{StoreError, Write};

/// Keys of one kind of rate: more than the accounts of a large server that are awake at once.
const RATE_KEYS_MAX: usize = 65_536;

/// Open rooms that get a key in one job, so that messages are not kept waiting.
const ROTATED_PER_JOB: u32 = 64;

/// What the clerk needs to know when it begins.
pub(crate) struct Setting {
    /// The identity of the server's data.
    pub(crate) realm: Realm,
    /// Who may make accounts.
    pub(crate) registration: Registration,
    /// Seals what is at rest.
    pub(crate) master: Arc<MasterKey>,
    /// Shared with logins and reads.
    pub(crate) chains: Arc<Chains>,
    /// The operator's bounds.
    pub(crate) limits: Limits,
    /// Counts what is found damaged.
    pub(crate) damage: Arc<Damage>,
}

/// All room state in memory, and the rules' bookkeeping.
pub(crate) struct Clerk {
    pub(super) terms: Terms,
    pub(super) master: Arc<MasterKey>,
    pub(super) chains: BatchChains,
    pub(super) rooms: RoomCache,
    pub(super) staged: Staging,
    pub(super) rates: Rates,
    pub(super) limits: Limits,
    pub(super) damage: Arc<Damage>,
    /// Rooms whose marks are to be flushed, soonest first.
    pub(super) mark_timers: BinaryHeap<Reverse<(TimeMs, RoomNumber)>>,
    /// When the next scheduled entry is due; `None` if none waits.
    pub(super) next_due: Option<TimeMs>,
    /// Devices revoked and accounts removed (`None`) since the start: their sessions may still have
    /// jobs in the queue. Those from before cannot log in.
    pub(super) expelled: HashSet<(AccountId, Option<DeviceId>)>,
    /// Those of them that the present batch expelled.
    pub(super) expelled_now: Vec<(AccountId, Option<DeviceId>)>,
    /// Devices that were found to sign their messages wrongly since the start: they say no more.
    pub(super) distrusted: HashSet<(AccountId, DeviceId)>,
    /// Looks at a message now and then.
    pub(super) sampler: Sampler,
}

/// What is limited per time.
pub(super) struct Rates {
    pub(super) messages: KeyedBuckets<AccountId>,
    pub(super) agent_messages: KeyedBuckets<AccountId>,
    pub(super) room_messages: Rate,
    pub(super) commits: KeyedBuckets<AccountId>,
    pub(super) invites: KeyedBuckets<AccountId>,
    pub(super) key_asks: KeyedBuckets<DeviceId>,
    pub(super) deltas: KeyedBuckets<AnswerId>,
}

impl Rates {
    fn new(limits: &Limits) -> Self {
        let keyed = |rate| KeyedBuckets::new(rate, RATE_KEYS_MAX);
        let (agents, room) = (limits.agent_messages_per_minute, limits.room_messages_per_minute);
        Self {
            messages: keyed(Rate::per_minute(limits.messages_per_minute, limits.messages_burst)),
            agent_messages: keyed(Rate::per_minute(agents, (agents / 10).max(1))),
            // A quarter of a minute at once: several people pasting.
            room_messages: Rate::per_minute(room, (room / 4).max(1)),
            commits: KeyedBuckets::new(
                Rate::per_hour(limits.commits_per_hour, limits.commits_per_hour),
                RATE_KEYS_MAX,
            ),
            invites: KeyedBuckets::new(
                Rate::per_day(limits.invites_per_day, limits.invites_per_day),
                RATE_KEYS_MAX,
            ),
            key_asks: KeyedBuckets::new(
                Rate::per_minute(limits.key_asks_per_minute, limits.key_asks_per_minute),
                RATE_KEYS_MAX,
            ),
            // Half a second at once: timers of a busy machine are late and then early.
            deltas: KeyedBuckets::new(
                Rate::per_second(DELTAS_PER_SECOND, DELTAS_PER_SECOND / 2),
                RATE_KEYS_MAX,
            ),
        }
    }
}

impl From<TooOften> for Refusal {
    fn from(error: TooOften) -> Self {
        Fault::RateLimited { retry_after_ms: error.retry_after_ms }.into()
    }
}

/// Tells whoever asked without a session, once it is known whether the batch is durable: with
/// `Some`, this fault instead of the answer.
pub(super) type Later = Box<dyn FnOnce(Option<Fault>) + Send>;

/// One batch under way: its transaction, its time, and what is to be told when it is durable.
pub(crate) struct Batch<'a> {
    pub(super) tx: &'a mut dyn Write,
    pub(super) now: TimeMs,
    pub(super) told: &'a mut Told,
}

/// What a batch has to tell.
#[derive(Default)]
pub(crate) struct Told {
    pub(super) news: Vec<News>,
    pub(super) later: Vec<Later>,
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Told({} news, {} answers)", self.news.len(), self.later.len())
    }
}

impl Batch<'_> {
    pub(super) fn tell(&mut self, news: News) {
        self.told.news.push(news);
    }

    pub(super) fn tell_account(&mut self, account: AccountId, event: Event) {
        self.tell(News::Account { account, frame: event_frame(event) });
    }

    pub(super) fn tell_room(&mut self, room: RoomNumber, except: Option<AccountId>, event: Event) {
        self.tell(News::Room { room, frame: event_frame(event), except });
    }
}

impl Clerk {
    pub(crate) fn new(setting: Setting, sampler: Sampler) -> Self {
        let Setting { realm, registration, master, chains, limits, damage } = setting;
        Self {
            terms: Terms { realm, registration },
            master,
            chains: BatchChains::new(chains),
            rooms: RoomCache::default(),
            staged: Staging::default(),
            rates: Rates::new(&limits),
            limits,
            damage,
            mark_timers: BinaryHeap::new(),
            next_due: None,
            expelled: HashSet::new(),
            distrusted: HashSet::new(),
            sampler,
            expelled_now: Vec::new(),
        }
    }

    /// A batch begins.
    pub(crate) fn begin(&mut self) {
        self.rooms.begin();
    }

    /// The batch is durable.
    pub(crate) fn settle(&mut self) {
        self.chains.settle();
        self.staged.settle();
        self.rooms.settle();
        self.expelled_now.clear();
    }

    /// The batch was rolled back: nothing of it ever was.
    pub(crate) fn forget(&mut self) {
        self.chains.forget();
        self.staged.forget();
        self.rooms.forget_touched();
        for gone in self.expelled_now.drain(..) {
            self.expelled.remove(&gone);
        }
        // What the batch learned of waiting entries is void; the next one looks again.
        self.next_due = Some(TimeMs(0));
    }

    /// Does one job. Only a failing store is an error; whatever the job's own fate is, it is told.
    pub(crate) fn run(&mut self, b: &mut Batch<'_>, job: &mut Job) -> Result<(), StoreError> {
        match job {
            Job::Call { caller, request } => {
                let frame = match self.call(b, caller, request) {
                    Ok(reply) => reply_frame(caller.call, &reply),
                    Err(Refusal::Fault(fault)) => fault_frame(caller.call, &fault),
                    // Met while the job read what it decides by, so it has written nothing: the
                    // rest of the batch is not to suffer for one damaged room.
                    Err(Refusal::Store(error @ StoreError::Rotten(_))) => {
                        fault_frame(caller.call, &self.damage.found(&error, b.now))
                    }
                    Err(Refusal::Store(error)) => return Err(error),
                };
                b.tell(News::Answer { outbox: Arc::clone(&caller.outbox), frame });
                Ok(())
            }
            Job::LastSeen { account, time } => b.tx.set_last_seen(*account, *time),
            Job::Stop => Ok(()),
            other => self.run_without_session(b, other),
        }
    }

    fn call(
        &mut self,
        b: &mut Batch<'_>,
        caller: &Caller,
        request: &mut Request,
    ) -> Result<Reply, Refusal> {
        if self.is_expelled(caller) {
            return Err(Fault::AuthFailed.into());
        }
        let take = std::mem::take::<Vec<u8>>;
        match request {
            Request::Append { room, entry } => self.append(b, caller, *room, take(entry)),
            Request::Commit { workspace, room, entry, wraps } => {
                let (entry, wraps) = (take(entry), std::mem::take(wraps));
                match *room {
                    None => self.create(b, caller, *workspace, entry, wraps),
                    Some(room) => self.commit(b, caller, room, entry, wraps),
                }
            }
            Request::StageWraps { commit, wraps } => {
                let now = b.now;
                let n_wraps =
                    self.staged.add(caller.account, *commit, std::mem::take(wraps), now)?;
                Ok(Reply::Staged { n_wraps })
            }
            Request::AskKeys { room, epochs } => self.ask_keys(b, caller, *room, epochs),
            Request::AnswerKeys { room, account, device, answers } => {
                let answers = std::mem::take(answers);
                self.answer_keys(b, caller, *room, (*account, *device), answers)
            }
            Request::PutGrant { room, account, grants } => {
                self.put_grant(b, caller, *room, *account, std::mem::take(grants))
            }
            Request::PutLink { link } => self.put_link(b, caller, take(link)),
            Request::Delivered { marks } => self.delivered(b, caller, marks),
            Request::Read { room, upto, signature } => {
                self.read(b, caller, *room, *upto, *signature)
            }
            Request::Schedule { room, entry, due } => {
                self.schedule(b, caller, *room, take(entry), *due)
            }
            Request::Delta { room, delta } => self.delta(b, caller, *room, take(delta)),
            Request::PutCard { card } => self.put_card(b, caller, card),
            Request::Unschedule { room, id } => unschedule(b, caller, *room, *id),
            Request::CreateInvite { .. }
            | Request::RevokeInvite { .. }
            | Request::FinishJoin { .. } => self.invite_call(b, caller, request),
            // Reads and session matters never come here.
            _ => Err(Fault::Unsupported.into()),
        }
    }

    /// Ends the sessions of a device or of a whole account, and whatever they have handed in since.
    pub(super) fn expel(
        &mut self,
        b: &mut Batch<'_>,
        account: AccountId,
        device: Option<DeviceId>,
    ) {
        if self.expelled.insert((account, device)) {
            self.expelled_now.push((account, device));
        }
        b.tell(News::Expelled { account, device });
    }

    /// Ends the sessions of a device that signs wrongly. It may come back and read, but what it says
    /// is refused until the server is started anew.
    pub(super) fn distrust(&mut self, b: &mut Batch<'_>, account: AccountId, device: DeviceId) {
        b.tell(News::Expelled { account, device: Some(device) });
        if self.distrusted.insert((account, device)) {
            metrics::counter!("mathia_signatures_wrong_total").increment(1);
            let (account, device) = (account.short(), device.short());
            tracing::warn!(account, device, "a device signs its messages wrongly: dropped");
        }
    }

    /// Refuses what a device says that was found to sign wrongly.
    pub(super) fn check_trusted(&self, caller: &Caller) -> Result<(), Refusal> {
        if self.distrusted.contains(&(caller.account, caller.device)) {
            return Err(not_allowed("this device signs its messages wrongly"));
        }
        Ok(())
    }

    fn is_expelled(&self, caller: &Caller) -> bool {
        let has = |device| self.expelled.contains(&(caller.account, device));
        !self.expelled.is_empty() && (has(None) || has(Some(caller.device)))
    }

    /// Gives the open rooms behind `after` their next keys, a page of them.
    pub(super) fn rotate_keys(
        &mut self,
        b: &mut Batch<'_>,
        after: Option<RoomId>,
    ) -> Result<Rotated, StoreError> {
        let rows = b.tx.open_rooms(WorkspaceId::MAIN, after, ROTATED_PER_JOB)?;
        let mut rotated = Rotated { n_rooms: 0, last: rows.last().map(|row| row.room) };
        for row in rows {
            if let Some(room) = self.rooms.at_hand(row.number) {
                room.renew_key(b.tx, &self.master, b.now)?;
            } else if let Some(mut keys) = RoomKeys::load(&*b.tx, &self.master, &row)? {
                // Not worth a place in memory: nobody has used the room for a while.
                let from = b.tx.head(row.number)?.seq.next();
                let next = keys.renew(&self.master, &mut rand::rng(), &row, from, b.now);
                b.tx.insert_room_key(&next)?;
            }
            rotated.n_rooms += 1;
        }
        Ok(rotated)
    }

    /// The room, if the account is a member of it. Others are told that there is no such room.
    pub(super) fn member_room(
        &mut self,
        b: &Batch<'_>,
        account: AccountId,
        room: RoomId,
    ) -> Result<&mut Room, Refusal> {
        let room = self.rooms.room(&*b.tx, &self.master, room)?.ok_or(Fault::NotFound)?;
        if !room.state.is_member(account) {
            return Err(Fault::NotFound.into());
        }
        Ok(room)
    }
}

impl fmt::Debug for Clerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clerk").field("rooms", &self.rooms).finish_non_exhaustive()
    }
}
