//! A member as a room's commits record it: account, role, flags and user chain head (CRYPTO B3).
//!
//! Owns the format and the hash of member lists. What a role may do is a rule of `log::validate`.

use super::ce::{CeError, Reader, Writer, byte_enum};
use super::hash::hash;
use super::labels;
use crate::id::{AccountId, Hash};
use crate::limits::MEMBERS_MAX;

byte_enum!(
    /// What a member may do, from most to least; an agent stands apart and never commits.
    Role, "role", {
        /// Everything.
        Owner = 0,
        /// Everything but change owners.
        Admin = 1,
        /// Remove members and guests.
        Moderator = 2,
        /// Write, rotate, leave; add others if the policy says so.
        Member = 3,
        /// Write, rotate, leave.
        Guest = 4,
        /// Write what it was asked for; it commits nothing.
        Agent = 5,
    }
);

/// One member, as recorded by commits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// Who it is.
    pub account: AccountId,
    /// What it may do.
    pub role: Role,
    /// A set of [`Member::AGENT_MENTION`]; no other bit is defined.
    pub flags: u8,
    /// The newest link of the member's user chain that the committer knew.
    pub chain_seq: u32,
    /// The hash of that link.
    pub chain_hash: Hash,
}

impl Member {
    /// Flag: an agent that is not wrapped the epoch secret and reads only what is sealed to it.
    pub const AGENT_MENTION: u8 = 1;
    /// Size of the canonical encoding, in bytes.
    pub const LEN: usize = 70;

    /// Says whether this is an agent that reads only what is sealed to it.
    pub const fn is_mention_agent(&self) -> bool {
        self.flags & Self::AGENT_MENTION != 0
    }

    /// Appends the canonical encoding: `account || role || flags || chain_seq || chain_hash`.
    pub fn write(&self, writer: &mut Writer) {
        writer
            .fixed(self.account.as_bytes())
            .u8(self.role.to_byte())
            .u8(self.flags)
            .u32(self.chain_seq)
            .fixed(self.chain_hash.as_bytes());
    }

    /// Reads what [`Self::write`] writes.
    ///
    /// # Errors
    ///
    /// [`CeError`] for undefined bytes; retrying never helps.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, CeError> {
        let account = AccountId(reader.array()?);
        let role = Role::from_byte(reader.u8()?)?;
        let flags = reader.u8()?;
        if flags & !Self::AGENT_MENTION != 0 {
            return Err(CeError::Unknown { what: "member flag", value: flags });
        }
        let chain_seq = reader.u32()?;
        Ok(Self { account, role, flags, chain_seq, chain_hash: Hash(reader.array()?) })
    }
}

/// Appends `count || members`; the caller's list is sorted by account.
pub(super) fn write_members<'a>(
    writer: &mut Writer,
    members: impl ExactSizeIterator<Item = &'a Member>,
) {
    writer.count(members.len());
    for member in members {
        member.write(writer);
    }
}

/// Reads a member list; accounts must rise, so each stands once.
pub(super) fn read_members(reader: &mut Reader<'_>) -> Result<Vec<Member>, CeError> {
    let n_members = reader.count(MEMBERS_MAX.min(reader.remaining() / Member::LEN))?;
    let mut members: Vec<Member> = Vec::with_capacity(n_members);
    for _ in 0..n_members {
        let member = Member::read(reader)?;
        if members.last().is_some_and(|last| last.account >= member.account) {
            return Err(CeError::Unsorted("member"));
        }
        members.push(member);
    }
    Ok(members)
}

/// Computes `members_hash = H("members", count || members)` of a list sorted by account.
pub fn members_hash<'a>(members: impl ExactSizeIterator<Item = &'a Member>) -> Hash {
    let mut writer = Writer::with_capacity(4 + members.len() * Member::LEN);
    write_members(&mut writer, members);
    hash(labels::MEMBERS, &[&writer.finish()])
}
