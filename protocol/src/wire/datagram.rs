//! Things that are worthless late: one datagram each, unsigned, never resent.

use bincode::{Decode, Encode};

use crate::id::{AccountId, RoomNumber};

/// From the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum ClientDatagram {
    /// The person is typing in a room.
    Typing {
        /// The room.
        room: RoomNumber,
    },
    /// The person stopped typing without sending.
    TypingStopped {
        /// The room.
        room: RoomNumber,
    },
}

/// From the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum ServerDatagram {
    /// A member is typing in a room.
    Typing {
        /// The room.
        room: RoomNumber,
        /// Who.
        account: AccountId,
    },
    /// A member stopped typing without sending.
    TypingStopped {
        /// The room.
        room: RoomNumber,
        /// Who.
        account: AccountId,
    },
}
