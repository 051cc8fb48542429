//! Making a commit with everything that goes with it: secrets, boxes, wraps, signature.

use super::super::account::Account;
use super::super::context::Context;
use super::super::identities::Identities;
use super::super::rooms::OneRoom;
use super::agent_keys::seal_agent_wraps;
use super::found::Founding;
use super::not_allowed;
use crate::client::CommandError;
use crate::crypto::commit::{Commit, RoomMode};
use crate::crypto::epoch::{EpochSecret, key_commit};
use crate::crypto::settings::RoomSettings;
use crate::crypto::wrap::{WrapContext, wrap};
use crate::id::Hash;
use crate::log::{
    Change, Committer, Context as EntryContext, LogHash, Proposal, RoomState, WrapTarget, propose,
    propose_create, validate_commit, validate_create, wraps_needed,
};
use crate::wire::Wrap;

/// A commit that is ready to be sent.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) commit: Commit,
    pub(super) wraps: Vec<Wrap>,
    /// The secret of the epoch that it begins.
    pub(super) secret: Option<EpochSecret>,
}

/// Makes commits with what is known of the account and the people.
pub(super) struct Preparing<'a, 'b> {
    pub(super) account: &'a Account,
    pub(super) identities: &'a Identities,
    pub(super) cx: &'a mut Context<'b>,
}

impl Preparing<'_, '_> {
    fn committer(&self) -> Committer {
        let (account, device) = (self.account.id, self.account.device);
        Committer { account, device, time: self.cx.now.time }
    }

    /// A change of a room; `settings` replaces name and topic.
    pub(super) fn change(
        &mut self,
        room: &OneRoom,
        state: &RoomState,
        change: &Change,
        settings: Option<&RoomSettings>,
    ) -> Result<Prepared, CommandError> {
        let chains = &self.identities.chains;
        let proposal = propose(state, change, room.applied, self.committer(), chains)
            .map_err(|fault| not_allowed(&fault))?;
        let settings = settings.or(room.settings.as_ref());
        let present = room.keys.secret(state.epoch().epoch);
        let previous = present.filter(|_| proposal.may_carry_prev);
        let is_naming = matches!(change, Change::Rotate) && state.mode() == RoomMode::Open;
        let prepared = self.complete(proposal, settings, previous, is_naming)?;
        validate_commit(state, &prepared.commit, chains, EntryContext::Live)
            .map_err(|fault| not_allowed(&fault))?;
        let needed = wraps_needed(Some(state), &prepared.commit, chains)
            .map_err(|fault| not_allowed(&fault))?;
        let starts_epoch = prepared.secret.is_some();
        // Without a new epoch a newcomer is wrapped the present secret.
        let commit_hash =
            if starts_epoch { prepared.commit.hash() } else { state.epoch().commit_hash };
        let Some(secret) = prepared.secret.as_ref().or(present) else {
            if needed.is_empty() {
                return Ok(prepared);
            }
            let text = "this device has no key of the room yet".to_owned();
            return Err(CommandError::Refused(text));
        };
        let mut wraps = self.seal_wraps(&needed, commit_hash, secret)?;
        wraps.extend(seal_agent_wraps(
            (self.account, self.identities),
            Some(state),
            &prepared.commit,
            (starts_epoch, secret, commit_hash),
            self.cx,
        )?);
        Ok(Prepared { wraps, ..prepared })
    }

    /// The creation of a room.
    pub(super) fn founding(
        &mut self,
        founding: &Founding,
        nonce: Hash,
    ) -> Result<Prepared, CommandError> {
        let chains = &self.identities.chains;
        let (kind, policy, others) = (founding.kind, founding.policy, &founding.others);
        let proposal = propose_create(kind, policy, others, nonce, self.committer(), chains)
            .map_err(|fault| not_allowed(&fault))?;
        let is_naming = policy.mode == RoomMode::Open;
        let prepared = self.complete(proposal, Some(&founding.settings), None, is_naming)?;
        validate_create(&prepared.commit, chains, EntryContext::Live)
            .map_err(|fault| not_allowed(&fault))?;
        let needed =
            wraps_needed(None, &prepared.commit, chains).map_err(|fault| not_allowed(&fault))?;
        let wraps = match &prepared.secret {
            Some(secret) => self.seal_wraps(&needed, prepared.commit.hash(), secret)?,
            None => Vec::new(),
        };
        Ok(Prepared { wraps, ..prepared })
    }

    /// The own entry into an open room that this account is not in.
    pub(super) fn joining(
        &mut self,
        state: &RoomState,
        change: &Change,
    ) -> Result<Prepared, CommandError> {
        let chains = &self.identities.chains;
        let seen = LogHash::start(state.room());
        let proposal = propose(state, change, seen, self.committer(), chains)
            .map_err(|fault| not_allowed(&fault))?;
        let prepared = self.complete(proposal, None, None, false)?;
        validate_commit(state, &prepared.commit, chains, EntryContext::Live)
            .map_err(|fault| not_allowed(&fault))?;
        Ok(prepared)
    }

    /// Adds secrets and signature to a proposal.
    fn complete(
        &mut self,
        proposal: Proposal,
        settings: Option<&RoomSettings>,
        previous: Option<&EpochSecret>,
        is_naming: bool,
    ) -> Result<Prepared, CommandError> {
        let Proposal { mut fields, starts_epoch, .. } = proposal;
        let mut secret = None;
        if starts_epoch {
            let Some(settings) = settings else {
                let text = "this device cannot read the room's name yet";
                return Err(CommandError::Refused(text.to_owned()));
            };
            let fresh = EpochSecret::generate(self.cx.rng);
            let (prev_commit, epoch) = (fields.prev_commit, fields.epoch);
            fields.kc = key_commit(prev_commit, epoch, &fresh);
            let sealed = settings.seal(self.cx.rng, &fresh, prev_commit, epoch);
            fields.settings_box = Some(sealed);
            fields.prev_box =
                previous.map(|older| fresh.seal_prev(self.cx.rng, prev_commit, epoch, older));
            secret = Some(fresh);
        } else if is_naming && let Some(settings) = settings {
            fields.settings_box = Some(settings.encode());
        }
        let signed = fields.sign(&self.account.identity.signing);
        let commit = signed.map_err(|error| CommandError::Refused(error.to_string()))?;
        Ok(Prepared { commit, wraps: Vec::new(), secret })
    }

    /// Wraps a secret for each device that needs it.
    fn seal_wraps(
        &mut self,
        targets: &[WrapTarget],
        commit_hash: Hash,
        secret: &EpochSecret,
    ) -> Result<Vec<Wrap>, CommandError> {
        let mut wraps = Vec::with_capacity(targets.len());
        for target in targets {
            let (account, device, hpke_gen) = (target.account, target.device, target.generation);
            let context = WrapContext { commit_hash, account, device, hpke_gen };
            let sealed = wrap(self.cx.rng, &target.key, &context, secret)
                .map_err(|error| CommandError::Refused(error.to_string()))?;
            wraps.push(Wrap { account, device, hpke_gen, sealed: sealed.to_vec() });
        }
        Ok(wraps)
    }
}
