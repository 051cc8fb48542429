//! What a room allows: its mode, its history rule, who adds, what agents read (CRYPTO B3).
//!
//! Owns the format and the hash of a policy. Who may change it is a rule of `log::validate`.

use super::ce::{CeError, Reader, Writer, byte_enum};
use super::hash::hash;
use super::labels;
use crate::id::Hash;

byte_enum!(
    /// Who can read a room; fixed when it is created, so that nobody can downgrade it.
    RoomMode, "room mode", {
        /// Members only: the server never has a key.
        E2ee = 0,
        /// The workspace and the server: listed in the lobby, shown as open.
        Open = 1,
    }
);

byte_enum!(
    /// What a newcomer may read.
    HistoryRule, "history rule", {
        /// From one's own Add on; the default of groups.
        SinceJoin = 0,
        /// Everything; the default of direct rooms.
        All = 1,
    }
);

byte_enum!(
    /// Who may add members, besides owners and admins.
    WhoAdds, "who adds", {
        /// Nobody else.
        Admin = 0,
        /// Moderators and members too.
        Any = 1,
    }
);

byte_enum!(
    /// What agents read.
    AgentScope, "agent scope", {
        /// There is no agent in the room.
        None = 0,
        /// An agent reads only what is sealed to it.
        Mention = 1,
        /// Agents without the flag `agent-mention` hold the room's keys.
        All = 2,
    }
);

/// What a room allows. `mode` never changes after the room's creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Policy {
    /// Who can read the room.
    pub mode: RoomMode,
    /// What a newcomer may read.
    pub history: HistoryRule,
    /// Who may add members.
    pub who_adds: WhoAdds,
    /// What agents read.
    pub agent_scope: AgentScope,
    /// Bodies are deleted after this many days; 0 keeps them.
    pub retention_days: u32,
}

impl Policy {
    /// The policy of a new end-to-end group: history since joining, admins add, no agent.
    pub const GROUP: Self = Self {
        mode: RoomMode::E2ee,
        history: HistoryRule::SinceJoin,
        who_adds: WhoAdds::Admin,
        agent_scope: AgentScope::None,
        retention_days: 0,
    };
    /// The policy of a new direct room: the whole history for both, always.
    pub const DIRECT: Self = Self { history: HistoryRule::All, ..Self::GROUP };
    /// The policy of a new room with an assistant that reads everything in it.
    pub const ASSISTANT: Self =
        Self { history: HistoryRule::All, agent_scope: AgentScope::All, ..Self::GROUP };
    /// The policy of a new open room: everyone of the workspace reads and joins.
    pub const OPEN: Self = Self {
        mode: RoomMode::Open,
        history: HistoryRule::All,
        who_adds: WhoAdds::Any,
        ..Self::GROUP
    };

    /// Appends the canonical encoding: `mode || history || who_adds || agent_scope || retention_days`.
    pub fn write(self, writer: &mut Writer) {
        writer
            .u8(self.mode.to_byte())
            .u8(self.history.to_byte())
            .u8(self.who_adds.to_byte())
            .u8(self.agent_scope.to_byte())
            .u32(self.retention_days);
    }

    /// Reads what [`Self::write`] writes.
    ///
    /// # Errors
    ///
    /// [`CeError`] for undefined bytes; retrying never helps.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, CeError> {
        Ok(Self {
            mode: RoomMode::from_byte(reader.u8()?)?,
            history: HistoryRule::from_byte(reader.u8()?)?,
            who_adds: WhoAdds::from_byte(reader.u8()?)?,
            agent_scope: AgentScope::from_byte(reader.u8()?)?,
            retention_days: reader.u32()?,
        })
    }

    /// Computes `policy_hash = H("policy", policy)`.
    pub fn hash(self) -> Hash {
        let mut writer = Writer::new();
        self.write(&mut writer);
        hash(labels::POLICY, &[&writer.finish()])
    }
}
