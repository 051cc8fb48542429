//! Invites: who may bring new people in, and what they leave for the one who invited (CRYPTO B7).
//!
//! Owns the bounds of an invite. The server knows a token, stores its hash, and cannot enrol anybody
//! in an end-to-end room: it keeps the joiner's proof for the inviter's client.

use mathia_protocol::crypto::hash::{equal, sha256};
use mathia_protocol::id::{AccountId, Hash, InviteToken, RoomId, TimeMs};
use mathia_protocol::wire::Fault;

use crate::refusal::{Refusal, not_allowed};
use crate::store::{InviteRow, Write};

/// People one invite may bring: more is open registration.
const USES_MAX: u32 = 1_000;
/// Rooms one invite may grant: the newcomer is added to each by its own commit.
const ROOMS_MAX: usize = 64;
/// How far ahead an invite may end, in milliseconds: a year.
const EXPIRES_MAX_MS: u64 = 366 * 24 * 3_600 * 1_000;
/// How often one invite reports that a name is taken (CRYPTO B7).
const NAMES_MAX: u32 = 5;

/// What names an invite in the database: SHA-256 of its token, so a stolen copy invites nobody.
pub fn token_hash(token: InviteToken) -> Hash {
    sha256(&[token.as_bytes()])
}

/// An invite to be made.
#[derive(Debug, Clone)]
pub(crate) struct InviteOrder {
    /// What the joiner will show.
    pub(crate) token: InviteToken,
    /// The token sealed under the master key.
    pub(crate) sealed_token: Vec<u8>,
    /// Its maker; `None` when made by the server.
    pub(crate) maker: Option<AccountId>,
    /// How many may use it.
    pub(crate) uses: u32,
    /// When it ends.
    pub(crate) expires: TimeMs,
    /// Rooms it grants.
    pub(crate) rooms: Vec<RoomId>,
}

/// Makes an invite; the same order again changes nothing.
pub(crate) fn create_invite(
    tx: &mut dyn Write,
    now: TimeMs,
    order: InviteOrder,
) -> Result<(), Refusal> {
    if order.uses == 0 || order.uses > USES_MAX {
        return Err(Fault::TooLarge { max: USES_MAX }.into());
    }
    if order.rooms.len() > ROOMS_MAX {
        return Err(Fault::TooLarge { max: u32::try_from(ROOMS_MAX).unwrap_or(u32::MAX) }.into());
    }
    let latest = now.0.saturating_add(EXPIRES_MAX_MS);
    if order.expires <= now || order.expires.0 > latest {
        return Err(not_allowed("an invite ends within a year"));
    }
    let token_hash = token_hash(order.token);
    if let Some(row) = tx.invite(token_hash)? {
        let is_same = row.maker == order.maker;
        return if is_same { Ok(()) } else { Err(not_allowed("the token is in use")) };
    }
    tx.insert_invite(&InviteRow {
        token_hash,
        sealed_token: order.sealed_token,
        maker: order.maker,
        uses_left: order.uses,
        names_left: NAMES_MAX,
        created: now,
        expires: order.expires,
        rooms: order.rooms,
    })?;
    Ok(())
}

/// Ends an invite of `maker` (`None`: of anybody, for the operator).
pub(crate) fn revoke_invite(
    tx: &mut dyn Write,
    maker: Option<AccountId>,
    token_hash: Hash,
) -> Result<(), Refusal> {
    let row = tx.invite(token_hash)?.ok_or(Fault::NotFound)?;
    if maker.is_some() && row.maker != maker {
        return Err(Fault::NotFound.into());
    }
    tx.remove_invite(token_hash)?;
    Ok(())
}

/// Forgets a join that the invite's maker has dealt with; forgetting it twice is harmless.
pub(crate) fn finish_join(
    tx: &mut dyn Write,
    maker: AccountId,
    token: InviteToken,
    account: AccountId,
) -> Result<(), Refusal> {
    let wanted = token_hash(token);
    let joins = tx.joins(maker)?;
    if joins.iter().any(|join| equal(&join.token_hash.0, &wanted.0) && join.account == account) {
        tx.remove_join(wanted, account)?;
    }
    Ok(())
}
