//! The room writer: does one job after the other inside a batch.
//!
//! Owns all state of the rooms in memory. Each job decides first and writes then, so a refused job
//! leaves nothing behind and the rest of the batch goes on. Has no thread, no clock and no source of
//! randomness of its own: the batch brings transaction, time and randomness.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::mem::take;
use std::sync::Arc;

use mathia_protocol::id::{AccountId, DeviceId, Realm, RoomId, RoomNumber, TimeMs, WorkspaceId};
use mathia_protocol::wire::{Fault, Registration, Reply};

use super::at_rest::MasterKey;
use super::batch::Batch;
use super::caller::Caller;
use super::expelled::Expelled;
use super::job::{Job, KeyRotation};
use super::keyring::RoomKeys;
use super::rates::WriterRates;
use super::room::Room;
use super::room_cache::RoomCache;
use super::route::Change;
use super::schedules::unschedule;
use super::staged_wraps::StagedWraps;
use crate::accounts::{self, BatchChains, Chains, RegistrationTerms, token_hash};
use crate::damage::Damage;
use crate::hub::{Delivery, fault_frame, reply_frame};
use crate::limits::Limits;
use crate::refusal::{Refusal, not_allowed};
use crate::store::StoreError;

/// Open rooms that get a key in one job, so that messages are not kept waiting.
const ROTATED_PER_JOB: u32 = 64;

/// What the room writer needs to know when it starts.
#[derive(Debug, Clone)]
pub(crate) struct WriterSetting {
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
pub(crate) struct RoomWriter {
    pub(super) terms: RegistrationTerms,
    pub(super) master: Arc<MasterKey>,
    pub(super) chains: BatchChains,
    pub(super) rooms: RoomCache,
    pub(super) staged: StagedWraps,
    pub(super) rates: WriterRates,
    pub(super) limits: Limits,
    pub(super) damage: Arc<Damage>,
    pub(super) expelled: Expelled,
    /// Rooms whose marks are to be flushed, soonest first.
    pub(super) mark_timers: BinaryHeap<Reverse<(TimeMs, RoomNumber)>>,
    /// When the next scheduled entry is due; `None` if none waits.
    pub(super) next_due: Option<TimeMs>,
}

impl RoomWriter {
    pub(crate) fn new(setting: WriterSetting) -> Self {
        let WriterSetting { realm, registration, master, chains, limits, damage } = setting;
        Self {
            terms: RegistrationTerms { realm, registration },
            master,
            chains: BatchChains::new(chains),
            rooms: RoomCache::default(),
            staged: StagedWraps::default(),
            rates: WriterRates::new(&limits),
            limits,
            damage,
            expelled: Expelled::default(),
            mark_timers: BinaryHeap::new(),
            next_due: None,
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
        self.expelled.settle();
    }

    /// The batch was rolled back: nothing of it ever was.
    pub(crate) fn forget(&mut self) {
        self.chains.forget();
        self.staged.forget();
        self.rooms.forget_touched();
        self.expelled.forget();
        // What the batch learned of waiting entries is void; the next one looks again.
        self.next_due = Some(TimeMs(0));
    }

    /// Does one job. Only a failing store is an error; a refusal is an answer.
    pub(crate) fn run(&mut self, b: &mut Batch<'_>, job: &mut Job) -> Result<(), StoreError> {
        match job {
            Job::Call { caller, answer, change } => {
                let frame = match self.call(b, caller, change) {
                    Ok(reply) => reply_frame(answer.call, &reply),
                    Err(Refusal::Fault(fault)) => fault_frame(answer.call, &fault),
                    // Found while the job read what it decides by, so it has written nothing: the
                    // rest of the batch is not to suffer for one damaged room.
                    Err(Refusal::Store(error @ StoreError::Rotten(_))) => {
                        fault_frame(answer.call, &self.damage.found(&error, b.now))
                    }
                    Err(Refusal::Store(error)) => return Err(error),
                };
                b.answer(answer, frame);
                Ok(())
            }
            Job::LastSeen { account, time } => b.tx.set_last_seen(*account, *time),
            Job::SignsWrongly { account, device } => {
                self.distrust(b, *account, *device);
                Ok(())
            }
            Job::Register { .. } | Job::Recover { .. } | Job::Admin(_) => {
                // The senders move out of the job; what stays behind is never looked at again.
                self.run_without_session(b, std::mem::replace(job, Job::Stop))
            }
            Job::Stop => Ok(()),
        }
    }

    fn call(
        &mut self,
        b: &mut Batch<'_>,
        caller: &Caller,
        change: &mut Change,
    ) -> Result<Reply, Refusal> {
        if self.expelled.is_expelled(caller) {
            return Err(Fault::AuthFailed.into());
        }
        match change {
            Change::Append { room, entry } => self.append(b, caller, *room, take(entry)),
            Change::Create { workspace, entry, wraps } => {
                self.create(b, caller, *workspace, take(entry), take(wraps))
            }
            Change::Commit { room, entry, wraps } => {
                self.commit(b, caller, *room, take(entry), take(wraps))
            }
            Change::StageWraps { commit, wraps } => {
                let n_wraps = self.staged.add(caller.account, *commit, take(wraps), b.now)?;
                Ok(Reply::Staged { n_wraps })
            }
            Change::AskKeys { room, epochs } => self.ask_keys(b, caller, *room, epochs),
            Change::AnswerKeys { room, account, device, answers } => {
                self.answer_keys(b, caller, *room, (*account, *device), take(answers))
            }
            Change::PutGrant { room, account, grants } => {
                self.put_grant(b, caller, *room, *account, take(grants))
            }
            Change::PutLink { link } => self.put_link(b, caller, take(link)),
            Change::Delivered { marks } => self.delivered(b, caller, marks),
            Change::Read { room, upto, signature } => {
                self.read(b, caller, *room, *upto, *signature)
            }
            Change::Schedule { room, entry, due } => {
                self.schedule(b, caller, *room, take(entry), *due)
            }
            Change::Unschedule { room, id } => unschedule(b, caller, *room, *id),
            Change::CreateInvite { token, uses, expires, rooms } => {
                self.create_invite(b, caller, (*token, *uses, *expires), take(rooms))
            }
            Change::RevokeInvite { token } => {
                accounts::revoke_invite(b.tx, Some(caller.account), token_hash(*token))?;
                Ok(Reply::Done)
            }
            Change::FinishJoin { token, account } => {
                accounts::finish_join(b.tx, caller.account, *token, *account)?;
                Ok(Reply::Done)
            }
            Change::Delta { room, delta } => self.delta(b, caller, *room, take(delta)),
            Change::PutCard { card } => self.put_card(b, caller, card),
        }
    }

    /// Ends the sessions of a device or of a whole account, and refuses what they have sent since.
    pub(super) fn expel(
        &mut self,
        b: &mut Batch<'_>,
        account: AccountId,
        device: Option<DeviceId>,
    ) {
        self.expelled.add(account, device);
        b.emit(Delivery::Expelled { account, device });
    }

    /// Ends the sessions of a device that signs wrongly. It may come back and read, but what it
    /// writes is refused until the server is started again.
    fn distrust(&mut self, b: &mut Batch<'_>, account: AccountId, device: DeviceId) {
        b.emit(Delivery::Expelled { account, device: Some(device) });
        if self.expelled.distrust(account, device) {
            metrics::counter!("mathia_signatures_wrong_total").increment(1);
            let (account, device) = (account.short(), device.short());
            tracing::warn!(account, device, "a device signs its messages wrongly: dropped");
        }
    }

    /// Refuses what a device writes that was found to sign wrongly.
    pub(super) fn check_trusted(&self, caller: &Caller) -> Result<(), Refusal> {
        if self.expelled.is_distrusted(caller) {
            return Err(not_allowed("this device signs its messages wrongly"));
        }
        Ok(())
    }

    /// Gives the open rooms of a workspace behind `after` their next keys, a page of them.
    pub(super) fn rotate_keys(
        &mut self,
        b: &mut Batch<'_>,
        workspace: WorkspaceId,
        after: Option<RoomId>,
    ) -> Result<KeyRotation, StoreError> {
        let rows = b.tx.open_rooms(workspace, after, ROTATED_PER_JOB)?;
        let mut rotation = KeyRotation { n_rooms: 0, last: rows.last().map(|row| row.room) };
        for row in rows {
            if let Some(room) = self.rooms.loaded(&*b.tx, &self.master, row.number)? {
                room.renew_key(b, &self.master)?;
            } else if let Some(mut keys) = RoomKeys::load(&*b.tx, &self.master, &row)? {
                // Not worth a place in memory: nobody has used the room for a while.
                let from = b.tx.head(row.number)?.seq.next();
                let next = keys.renew(&self.master, &mut b.rng, &row, from, b.now);
                b.tx.insert_room_key(&next)?;
            }
            rotation.n_rooms += 1;
        }
        Ok(rotation)
    }

    /// The room, if the account is a member of it. For others there is no such room.
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

impl fmt::Debug for RoomWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomWriter").field("rooms", &self.rooms).finish_non_exhaustive()
    }
}
