//! Making accounts: by a single-use invite, or openly where the operator says so (CRYPTO B7).
//!
//! Owns who may take which name. That a genesis is well formed and signed is the chain's rule; that
//! the connection holds its key was checked by the session.

use mathia_protocol::crypto::user_chain::{AccountKind, SignedLink, UserChain};
use mathia_protocol::id::{AccountId, Hash, Realm, TimeMs};
use mathia_protocol::name::Handle;
use mathia_protocol::wire::{Fault, Register, Registration};

use super::links::check_time;
use super::{BatchChains, token_hash};
use crate::refusal::{Refusal, invalid};
use crate::store::{AccountRow, InviteRow, JoinRow, LinkRow, Write};

/// A new account, or one that the same registration made before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewAccount {
    /// The account.
    pub account: AccountId,
    /// Number of the newest link of its chain.
    pub chain_seq: u32,
}

/// On which terms the server takes new accounts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RegistrationTerms {
    /// The identity of the server's data, which a genesis must name.
    pub(crate) realm: Realm,
    /// By invite only, or by anybody.
    pub(crate) registration: Registration,
}

/// Makes an account; also returns whom to notify that somebody joined by their invite.
///
/// The same registration again gives the same answer, so a lost answer burns nothing.
pub(crate) fn register(
    tx: &mut dyn Write,
    chains: &mut BatchChains,
    now: TimeMs,
    terms: RegistrationTerms,
    request: Register,
) -> Result<(NewAccount, Option<JoinRow>), Refusal> {
    let genesis = SignedLink(request.genesis);
    let account = genesis.account();
    if let Some(row) = tx.account(account)? {
        return repeated(chains, &*tx, &row, request.token).map(|answer| (answer, None));
    }
    let chain = UserChain::found(&genesis).map_err(|error| invalid(&error))?;
    if chain.realm() != terms.realm {
        return Err(invalid(&"the account is for another server"));
    }
    let time = genesis.decode_unverified().map_or(TimeMs(0), |link| link.time);
    check_time(time, now)?;
    let invite = match request.token {
        Some(token) => Some(live_invite(&*tx, token_hash(token), now)?),
        None if terms.registration == Registration::Open => None,
        None => return Err(Fault::InviteNeeded.into()),
    };
    check_name(tx, &chain, invite.as_ref())?;
    let spent = match &invite {
        None => None,
        Some(live) => Some(tx.use_invite(live.token_hash, now)?.ok_or(Fault::InviteInvalid)?),
    };
    let row = AccountRow {
        account,
        handle: chain.handle().to_string(),
        kind: u8::from(chain.kind() == AccountKind::Agent),
        created: now,
        last_seen: now,
        token: request.token,
        is_removed: false,
    };
    let head = chain.head();
    tx.insert_account(&row, &LinkRow { seq: head.seq, hash: head.hash, link: genesis.0 })?;
    chains.change(chain);
    let join =
        spent.zip(request.proof).and_then(|(invite, proof)| join_row(invite, account, proof));
    if let Some(join) = &join {
        tx.insert_join(join)?;
    }
    Ok((NewAccount { account, chain_seq: head.seq }, join))
}

/// Answers a registration that was done before: alike for the same token, else as a dead invite.
fn repeated(
    chains: &BatchChains,
    tx: &dyn Write,
    row: &AccountRow,
    token: Option<mathia_protocol::id::InviteToken>,
) -> Result<NewAccount, Refusal> {
    if row.token != token || row.is_removed {
        return Err(Fault::InviteInvalid.into());
    }
    let chain = chains.get(tx, row.account)?.ok_or(Fault::InviteInvalid)?;
    Ok(NewAccount { account: row.account, chain_seq: chain.head().seq })
}

fn live_invite(tx: &dyn Write, token_hash: Hash, now: TimeMs) -> Result<InviteRow, Refusal> {
    let invite = tx.invite(token_hash)?.ok_or(Fault::InviteInvalid)?;
    if invite.uses_left == 0 || invite.expires <= now {
        return Err(Fault::InviteInvalid.into());
    }
    Ok(invite)
}

/// Refuses names that are reserved or taken.
///
/// With an invite, each answer "taken" is counted, so that nobody lists the names of a server with
/// one; this is the only refusal that writes.
fn check_name(
    tx: &mut dyn Write,
    chain: &UserChain,
    invite: Option<&InviteRow>,
) -> Result<(), Refusal> {
    let handle = chain.handle().as_str();
    let by_operator = invite.is_some_and(|invite| invite.maker.is_none());
    if handle == Handle::ASSISTANT && !(by_operator && chain.kind() == AccountKind::Agent) {
        return Err(Fault::NameInvalid.into());
    }
    if tx.account_by_handle(handle)?.is_none() {
        return Ok(());
    }
    match invite {
        Some(invite) if !tx.use_invite_name(invite.token_hash)? => Err(Fault::InviteInvalid.into()),
        _ => Err(Fault::NameTaken.into()),
    }
}

/// What waits for the invite's maker; an invite of the server or without rooms leaves nothing.
fn join_row(invite: InviteRow, account: AccountId, proof: [u8; 32]) -> Option<JoinRow> {
    let maker = invite.maker?;
    if invite.rooms.is_empty() {
        return None;
    }
    let InviteRow { token_hash, rooms, sealed_token, .. } = invite;
    Some(JoinRow { token_hash, maker, account, proof, rooms, sealed_token })
}
