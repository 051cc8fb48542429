//! Own invites, whose joiners' proofs this device must check.

use super::key_value::{RowsMut, Span, Table};
use super::write::Write;
use super::{Replica, Stored, row};
use crate::client::record::OwnInvite;
use crate::id::{InviteToken, RoomId};

pub(super) fn put(rows: &mut dyn RowsMut, invite: &OwnInvite) -> Stored<()> {
    rows.put(Table::Invites, &invite.token.0, &row::encode_invite(invite))
}

pub(super) fn forget(rows: &mut dyn RowsMut, token: InviteToken) -> Stored<()> {
    rows.delete(Table::Invites, &token.0)?;
    Ok(())
}

/// Takes a room out of what invites grant.
pub(super) fn forget_room(rows: &mut dyn RowsMut, room: RoomId) -> Stored<()> {
    for (key, value) in rows.scan(Table::Invites, &Span::all())? {
        let mut invite = row::decode_invite(&key, &value)?;
        if invite.rooms.contains(&room) {
            invite.rooms.retain(|granted| *granted != room);
            put(rows, &invite)?;
        }
    }
    Ok(())
}

impl Replica {
    /// Invites of this device, those that end first at the front.
    pub fn invites(&self) -> Stored<Vec<OwnInvite>> {
        let rows = self.read(|rows| rows.scan(Table::Invites, &Span::all()))?;
        let invites = rows.iter().map(|(key, value)| row::decode_invite(key, value));
        let mut invites = invites.collect::<Stored<Vec<_>>>()?;
        invites.sort_by_key(|invite| (invite.expires, invite.token));
        Ok(invites)
    }

    /// Stores an own invite.
    pub fn put_invite(&self, invite: &OwnInvite) -> Stored<()> {
        self.commit_one(Write::Invite(invite.clone())).map(drop)
    }

    /// Forgets an own invite.
    pub fn forget_invite(&self, token: InviteToken) -> Stored<()> {
        self.commit_one(Write::ForgetInvite(token)).map(drop)
    }
}
