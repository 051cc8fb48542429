//! Jobs about accounts: links, invites, registrations, and what the operator asks.
//!
//! Owns who hears of a changed account. The rules are in [`crate::accounts`].

use std::collections::HashSet;

use mathia_protocol::id::{AccountId, InviteToken};
use mathia_protocol::wire::{Event, Fault, Reply, Request};

use super::clerk::{Batch, Clerk, Told};
use super::job::{AdminJob, AnswerTo, Caller, Job};
use crate::accounts::{self, Grown, InviteOrder, Registered, token_hash};
use crate::refusal::{Refusal, not_allowed};
use crate::store::{JoinRow, Read, StoreError};

impl Clerk {
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
            tell_grown(b, caller.account, grown)?;
            if let Some(device) = grown.revoked {
                self.expel(b, caller.account, Some(device));
            }
        }
        Ok(Reply::Done)
    }

    /// Makes, ends and finishes invites.
    pub(super) fn invite_call(
        &mut self,
        b: &mut Batch<'_>,
        caller: &Caller,
        request: &Request,
    ) -> Result<Reply, Refusal> {
        match request {
            Request::CreateInvite { token, uses, expires, rooms } => {
                for room in rooms {
                    self.member_room(b, caller.account, *room)?;
                }
                let is_new = b.tx.invite(token_hash(*token))?.is_none();
                if is_new {
                    self.rates.invites.take(caller.account, b.now)?;
                }
                let order = InviteOrder {
                    token: *token,
                    sealed_token: self.sealed(*token),
                    maker: Some(caller.account),
                    uses: *uses,
                    expires: *expires,
                    rooms: rooms.clone(),
                };
                accounts::create_invite(b.tx, b.now, order)?;
            }
            Request::RevokeInvite { token } => {
                accounts::revoke_invite(b.tx, Some(caller.account), token_hash(*token))?;
            }
            Request::FinishJoin { token, account } => {
                accounts::finish_join(b.tx, caller.account, *token, *account)?;
            }
            _ => return Err(Fault::Unsupported.into()),
        }
        Ok(Reply::Done)
    }

    /// Jobs whose answer goes elsewhere than to a session.
    pub(super) fn run_without_session(
        &mut self,
        b: &mut Batch<'_>,
        job: &mut Job,
    ) -> Result<(), StoreError> {
        // The senders move out of the job; what stays behind is never looked at again.
        match std::mem::replace(job, Job::Stop) {
            Job::Register { register, answer } => {
                let result = self.register(b, register);
                b.told.answer_later(answer, result)
            }
            Job::Recover { recover, answer } => {
                let result = self.recover(b, recover);
                b.told.answer_later(answer, result)
            }
            Job::Admin(admin) => self.admin(b, admin),
            Job::SignsWrongly { account, device } => {
                self.distrust(b, account, device);
                Ok(())
            }
            Job::Call { .. } | Job::LastSeen { .. } | Job::Stop => Ok(()),
        }
    }

    fn sealed(&self, token: InviteToken) -> Vec<u8> {
        self.master.seal_token(&mut rand::rng(), token_hash(token), token)
    }

    fn register(
        &mut self,
        b: &mut Batch<'_>,
        register: mathia_protocol::wire::Register,
    ) -> Result<Registered, Refusal> {
        let (registered, join) =
            accounts::register(b.tx, &mut self.chains, b.now, self.terms, register)?;
        if let Some(JoinRow { maker, account, sealed_token, token_hash, .. }) = join {
            let token =
                self.master.open_token(token_hash, &sealed_token).map_err(StoreError::from)?;
            b.tell_account(maker, Event::Joined { token, account });
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
            tell_grown(b, account, grown)?;
        }
        Ok(())
    }

    fn admin(&mut self, b: &mut Batch<'_>, job: AdminJob) -> Result<(), StoreError> {
        match job {
            AdminJob::CreateInvite { token, uses, expires, rooms, answer } => {
                let sealed_token = self.sealed(token);
                let order = InviteOrder { token, sealed_token, maker: None, uses, expires, rooms };
                let result = check_open(b, &order)
                    .and_then(|()| accounts::create_invite(b.tx, b.now, order));
                b.told.answer_later(answer, result)
            }
            AdminJob::Ping { answer } => b.told.answer_later(answer, Ok(())),
            AdminJob::Invites { answer } => {
                let result = b.tx.invites(None).map_err(Refusal::from);
                b.told.answer_later(answer, result)
            }
            AdminJob::RevokeInvite { token, answer } => {
                let result = accounts::revoke_invite(b.tx, None, token_hash(token));
                b.told.answer_later(answer, result)
            }
            AdminJob::RotateKeys { after, answer } => {
                let result = self.rotate_keys(b, after).map_err(Refusal::from);
                b.told.answer_later(answer, result)
            }
            AdminJob::Accounts { answer } => {
                let result = b.tx.accounts().map_err(Refusal::from);
                b.told.answer_later(answer, result)
            }
            AdminJob::RemoveAccount { handle, answer } => {
                let result = self.remove_account(b, &handle);
                b.told.answer_later(answer, result)
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

impl Told {
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
        self.later.push(Box::new(move |instead| {
            // Whoever asked may have gone meanwhile; what was done stays done.
            drop(answer.send(instead.map_or(result, Err)));
        }));
        failed.map_or(Ok(()), Err)
    }
}

/// Tells a grown chain to the account itself and to everybody who shares a room with it.
fn tell_grown(b: &mut Batch<'_>, account: AccountId, grown: Grown) -> Result<(), StoreError> {
    let event = || Event::ChainGrew { account, seq: grown.head.seq, hash: grown.head.hash };
    b.tell_account(account, event());
    for room in b.tx.rooms_of(account)? {
        b.tell_room(room.number, Some(account), event());
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
