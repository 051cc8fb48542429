//! Invites, and letting in who joined by them.
//!
//! The server cannot enrol anybody into an end-to-end room: whoever joined by an invite left a proof
//! that only a holder of the secret can make, and the inviter's client checks it before it adds them
//! (CRYPTO B7).

use std::rc::Rc;
use std::time::Duration;

use super::super::record::OwnInvite;
use super::{Busy, Engine, storage};
use crate::client::{CommandError, InviteLink, PersonRef};
use crate::crypto::invite::{Invite, InviteSecret, Ticket};
use crate::id::{RoomId, TimeMs};
use crate::wire::{JoinLine, Reply, Request};

impl Engine {
    /// Makes an invite link.
    pub(super) async fn invite(
        self: &Rc<Self>,
        rooms: Vec<RoomId>,
        uses: u32,
        lifetime: Duration,
    ) -> Result<InviteLink, CommandError> {
        let link = self.online().await?;
        let server = self.replica.server().map_err(|error| storage(&error))?;
        let Some(server) = server else {
            return Err(CommandError::Offline("the server is not known yet".to_owned()));
        };
        let mut probe: Invite = format!("mathia://{}", self.address)
            .parse()
            .map_err(|_| CommandError::Invalid("the server's address makes no link".to_owned()))?;
        let secret = InviteSecret::generate(&mut rand::rng());
        let token = secret.token();
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        let expires = TimeMs(self.now().0.saturating_add(lifetime_ms));
        // Kept before the server knows of it: a joiner's proof must always find its secret.
        let own = OwnInvite { token, secret: secret.to_bytes(), rooms: rooms.clone(), expires };
        self.keep_invite(&own)?;
        let request = Request::CreateInvite { token, uses, expires, rooms };
        if let Err(error) = link.call(request).await {
            let forgotten = self.replica.forget_invite(token);
            forgotten.map_err(|error| storage(&error))?;
            return Err(super::call_failed(&error));
        }
        let mut inviter = [0; 16];
        inviter.copy_from_slice(&self.account.0[..16]);
        let (server_pin, realm) = (server.pin.first_half(), server.realm);
        probe.ticket = Some(Ticket { secret, server_pin, inviter, realm });
        Ok(InviteLink(probe.to_line().to_string()))
    }

    /// Lets in, before a command answers, whoever waits for this device: one command of the inviter
    /// is enough. Another process of the device that sends does it instead.
    pub(super) async fn let_joiners_in(self: &Rc<Self>) {
        if self.is_drainer() && Busy::begin(&self.admitting) {
            // Goes on behind a command that has waited long enough.
            self.go(Self::admit_waiting);
        }
        let is_done = || self.admitting.get() == Busy::No || self.link().is_none();
        if !self.until(self.patience, is_done).await {
            tracing::debug!("the command did not wait for all joiners");
        }
    }

    /// Adds everybody who joined by an own invite and proves to know its secret.
    pub(super) async fn admit_joiners(self: Rc<Self>) {
        if self.is_drainer() && Busy::begin(&self.admitting) {
            self.admit_waiting().await;
        }
    }

    async fn admit_waiting(self: Rc<Self>) {
        loop {
            if let Err(error) = self.admit_all().await {
                tracing::debug!(%error, "joins were not read");
            }
            if Busy::end(&self.admitting) {
                self.wake();
                return;
            }
        }
    }

    async fn admit_all(self: &Rc<Self>) -> Result<(), CommandError> {
        let Reply::Joins { joins } = self.call(Request::Joins).await? else { return Ok(()) };
        for join in joins {
            if let Err(error) = self.admit(&join).await {
                tracing::debug!(account = join.account.short(), %error, "a joiner was not added");
            }
        }
        Ok(())
    }

    async fn admit(self: &Rc<Self>, join: &JoinLine) -> Result<(), CommandError> {
        let invites = self.replica.invites().map_err(|error| storage(&error))?;
        // Made on another device of this account: that one knows the secret.
        let Some(own) = invites.into_iter().find(|own| own.token == join.token) else {
            return Ok(());
        };
        let secret = InviteSecret::from_bytes(&own.secret);
        let account = join.account;
        if secret.check_proof(account, &join.proof) {
            self.find(&PersonRef::Account(account)).await?;
            for id in own.rooms.iter().copied().filter(|id| join.rooms.contains(id)) {
                let result = self.add_people(id, &[account]).await;
                match result {
                    // What will never work is not tried for ever.
                    Err(CommandError::Refused(text) | CommandError::NotFound(text)) => {
                        let handle = self.core.borrow().people.handle(account);
                        self.notice(Some(id), format!("{handle} could not be added: {text}"));
                    }
                    result => result?,
                }
            }
            let handle = self.core.borrow().people.handle(account);
            self.notice(None, format!("{handle} joined by your invite"));
        } else {
            self.notice(None, "somebody joined by your invite without knowing it; not added");
        }
        self.call(Request::FinishJoin { token: join.token, account }).await?;
        Ok(())
    }
}
