//! Jobs about accounts: links, invites, registrations, and what the operator asks.
//!
//! Owns who is sent that an account has changed. The rules are in [`crate::accounts`].

use std::collections::HashSet;

use mathia_protocol::id::{AccountId, InviteToken, RoomId, TimeMs};
use mathia_protocol::wire::{Event, Fault, Reply};

use super::batch::{Batch, BatchOutput};
use super::caller::Caller;
use super::job::{AdminJob, AnswerTo, Job};
use super::room_writer::RoomWriter;
use crate::accounts::{self, ChainGrowth, InviteOrder, NewAccount, token_hash};
use crate::refusal::{Refusal, not_allowed};
use crate::store::{JoinRow, Read, StoreError};

impl RoomWriter {
    /// Extends the caller's own user chain.
    pub(super) fn put_link(
        &mut self,
        b: &mut Batch<'_>,
        caller: &Caller,
        link: Vec<u8>,
    ) -> Result<Reply, Refusal> {
        self.rates.commits.take(caller.account, b.now)?;
        let grown = accounts::put_link(b.tx, &mut self.chains, b.now, caller.account, link)?;
        if let Some(grown) = grown {
            emit_growth(b, caller.account, grown)?;
            if let Some(device) = grown.revoked {
                self.expel(b, caller.account, Some(device));
            }
        }
        Ok(Reply::Done)
    }

    /// Makes an invite; `terms` are its token, its uses and its end.
    pub(super) fn create_invite(
        &mut self,
        b: &mut Batch<'_>,
        caller: &Caller,
        terms: (InviteToken, u32, TimeMs),
        rooms: Vec<RoomId>,
    ) -> Result<Reply, Refusal> {
        let (token, uses, expires) = terms;
        for room in &rooms {
            self.member_room(b, caller.account, *room)?;
        }
        let is_new = b.tx.invite(token_hash(token))?.is_none();
        if is_new {
            self.rates.invites.take(caller.account, b.now)?;
        }
        let sealed_token = self.sealed(b, token);
        let maker = Some(caller.account);
        let order = InviteOrder { token, sealed_token, maker, uses, expires, rooms };
        accounts::create_invite(b.tx, b.now, order)?;
        Ok(Reply::Done)
    }

    /// Jobs whose answer goes elsewhere than to a session.
    pub(super) fn run_without_session(
        &mut self,
        b: &mut Batch<'_>,
        job: Job,
    ) -> Result<(), StoreError> {
        match job {
            Job::Register { register, answer } => {
                let result = self.register(b, register);
                b.output.answer_later(answer, result)
            }
            Job::Recover { recover, answer } => {
                let result = self.recover(b, recover);
                b.output.answer_later(answer, result)
            }
            Job::Admin(admin) => self.admin(b, admin),
            Job::Call { .. } | Job::LastSeen { .. } | Job::SignsWrongly { .. } | Job::Stop => {
                Ok(())
            }
        }
    }

    fn sealed(&self, b: &mut Batch<'_>, token: InviteToken) -> Vec<u8> {
        self.master.seal_token(&mut b.rng, token_hash(token), token)
    }

    fn register(
        &mut self,
        b: &mut Batch<'_>,
        register: mathia_protocol::wire::Register,
    ) -> Result<NewAccount, Refusal> {
        let (registered, join) =
            accounts::register(b.tx, &mut self.chains, b.now, self.terms, register)?;
        if let Some(JoinRow { maker, account, sealed_token, token_hash, .. }) = join {
            let token =
                self.master.open_token(token_hash, &sealed_token).map_err(StoreError::from)?;
            b.emit_to_account(maker, Event::Joined { token, account });
        }
        Ok(registered)
    }

    fn recover(
        &mut self,
        b: &mut Batch<'_>,
        recover: mathia_protocol::wire::Recover,
    ) -> Result<(), Refusal> {
        let account = recover.account;
        if let Some(grown) = accounts::recover(b.tx, &mut self.chains, b.now, recover)? {
            emit_growth(b, account, grown)?;
        }
        Ok(())
    }

    fn admin(&mut self, b: &mut Batch<'_>, job: AdminJob) -> Result<(), StoreError> {
        match job {
            AdminJob::CreateInvite { token, uses, expires, rooms, answer } => {
                let sealed_token = self.sealed(b, token);
                let order = InviteOrder { token, sealed_token, maker: None, uses, expires, rooms };
                let result = check_open(b, &order)
                    .and_then(|()| accounts::create_invite(b.tx, b.now, order));
                b.output.answer_later(answer, result)
            }
            AdminJob::Ping { answer } => b.output.answer_later(answer, Ok(())),
            AdminJob::Invites { answer } => {
                let result = b.tx.invites(None).map_err(Refusal::from);
                b.output.answer_later(answer, result)
            }
            AdminJob::RevokeInvite { token, answer } => {
                let result = accounts::revoke_invite(b.tx, None, token_hash(token));
                b.output.answer_later(answer, result)
            }
            AdminJob::RotateKeys { workspace, after, answer } => {
                let result = self.rotate_keys(b, workspace, after).map_err(Refusal::from);
                b.output.answer_later(answer, result)
            }
            AdminJob::Accounts { answer } => {
                let result = b.tx.accounts().map_err(Refusal::from);
                b.output.answer_later(answer, result)
            }
            AdminJob::RemoveAccount { handle, answer } => {
                let result = self.remove_account(b, &handle);
                b.output.answer_later(answer, result)
            }
        }
    }

    fn remove_account(&mut self, b: &mut Batch<'_>, handle: &str) -> Result<AccountId, Refusal> {
        let account = b.tx.account_by_handle(handle)?.ok_or(Fault::NotFound)?.account;
        b.tx.remove_account(account)?;
        self.expel(b, account, None);
        Ok(account)
    }
}

impl BatchOutput {
    /// Answers without a session once it is known whether the batch is durable. Only a failing store
    /// ends the batch.
    fn answer_later<T: Send + 'static>(
        &mut self,
        answer: AnswerTo<T>,
        result: Result<T, Refusal>,
    ) -> Result<(), StoreError> {
        let (result, failed) = match result {
            Ok(value) => (Ok(value), None),
            Err(Refusal::Fault(fault)) => (Err(fault), None),
            Err(Refusal::Store(error)) => {
                (Err(Fault::ServerBusy { retry_after_ms: 0 }), Some(error))
            }
        };
        self.pending.push(Box::new(move |instead| {
            // Whoever asked may have gone meanwhile; what was done stays done.
            drop(answer.send(instead.map_or(result, Err)));
        }));
        failed.map_or(Ok(()), Err)
    }
}

/// Emits a grown chain to the account itself and to everybody who shares a room with it.
fn emit_growth(
    b: &mut Batch<'_>,
    account: AccountId,
    grown: ChainGrowth,
) -> Result<(), StoreError> {
    let event = || Event::ChainGrew { account, seq: grown.head.seq, hash: grown.head.hash };
    b.emit_to_account(account, event());
    for room in b.tx.rooms_of(account)? {
        b.emit_to_room(room.number, Some(account), event());
    }
    Ok(())
}

/// The server can enrol nobody in an end-to-end room, so its invites name open ones only.
fn check_open(b: &Batch<'_>, order: &InviteOrder) -> Result<(), Refusal> {
    let read: &dyn Read = &*b.tx;
    let mut seen = HashSet::new();
    for room in order.rooms.iter().filter(|room| seen.insert(**room)) {
        let row = read.room(*room)?.ok_or(Fault::NotFound)?;
        if row.mode != mathia_protocol::crypto::commit::RoomMode::Open.to_byte() {
            return Err(not_allowed("an invite of the server grants open rooms only"));
        }
    }
    Ok(())
}
