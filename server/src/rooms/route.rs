//! Which part of the server answers which request: one line each.
//!
//! Owns the split. Each side then matches its own enum without a catch-all, so a request without a
//! handler does not compile.

use mathia_protocol::id::{
    AccountId, DeviceId, Epoch, Hash, InviteToken, RoomId, Seq, TimeMs, WorkspaceId,
};
use mathia_protocol::wire::{Cursor, DeliveredMark, DeviceGrant, KeyAnswer, Request, Wrap};

/// A request with the part that answers it.
#[derive(Debug)]
pub enum Route {
    /// The writer, within a batch.
    Change(Change),
    /// A reader.
    Query(Query),
    /// A reader, which also moves the session on.
    Resume {
        /// Where the client has each room.
        cursors: Vec<Cursor>,
        /// Whether this is the last page.
        is_last: bool,
    },
    /// The session itself: whether somebody is at it.
    SetAway {
        /// Away or back.
        is_away: bool,
    },
}

/// A request that changes something; fields are those of the [`Request`] of the same name.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are documented at the request")]
pub enum Change {
    Append {
        room: RoomId,
        entry: Vec<u8>,
    },
    /// [`Request::Commit`] without a room.
    Create {
        workspace: WorkspaceId,
        entry: Vec<u8>,
        wraps: Vec<Wrap>,
    },
    Commit {
        room: RoomId,
        entry: Vec<u8>,
        wraps: Vec<Wrap>,
    },
    StageWraps {
        commit: Hash,
        wraps: Vec<Wrap>,
    },
    AskKeys {
        room: RoomId,
        epochs: Vec<Epoch>,
    },
    AnswerKeys {
        room: RoomId,
        account: AccountId,
        device: DeviceId,
        answers: Vec<KeyAnswer>,
    },
    PutGrant {
        room: RoomId,
        account: AccountId,
        grants: Vec<DeviceGrant>,
    },
    PutLink {
        link: Vec<u8>,
    },
    Delivered {
        marks: Vec<DeliveredMark>,
    },
    Read {
        room: RoomId,
        upto: Seq,
        signature: [u8; 64],
    },
    Schedule {
        room: RoomId,
        entry: Vec<u8>,
        due: TimeMs,
    },
    Unschedule {
        room: RoomId,
        id: u64,
    },
    CreateInvite {
        token: InviteToken,
        uses: u32,
        expires: TimeMs,
        rooms: Vec<RoomId>,
    },
    RevokeInvite {
        token: InviteToken,
    },
    FinishJoin {
        token: InviteToken,
        account: AccountId,
    },
    Delta {
        room: RoomId,
        delta: Vec<u8>,
    },
    PutCard {
        card: Vec<u8>,
    },
}

/// A request that only reads; fields are those of the [`Request`] of the same name.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are documented at the request")]
pub enum Query {
    Wraps { room: RoomId, from: Epoch },
    Grants { room: RoomId },
    Chain { account: AccountId, from: u32 },
    ChainHeads { accounts: Vec<AccountId> },
    FindAccount { handle: String },
    Ticks { room: RoomId },
    Schedules,
    Invites,
    Joins,
    Lobby { workspace: WorkspaceId, after: Option<RoomId> },
    Card { account: AccountId },
}

impl From<Request> for Route {
    fn from(request: Request) -> Self {
        let change = match request {
            Request::Resume { cursors, is_last } => return Self::Resume { cursors, is_last },
            Request::SetAway { is_away } => return Self::SetAway { is_away },
            Request::Wraps { room, from } => return Query::Wraps { room, from }.into(),
            Request::Grants { room } => return Query::Grants { room }.into(),
            Request::Chain { account, from } => return Query::Chain { account, from }.into(),
            Request::ChainHeads { accounts } => return Query::ChainHeads { accounts }.into(),
            Request::FindAccount { handle } => return Query::FindAccount { handle }.into(),
            Request::Ticks { room } => return Query::Ticks { room }.into(),
            Request::Schedules => return Query::Schedules.into(),
            Request::Invites => return Query::Invites.into(),
            Request::Joins => return Query::Joins.into(),
            Request::Lobby { workspace, after } => return Query::Lobby { workspace, after }.into(),
            Request::Card { account } => return Query::Card { account }.into(),
            Request::Append { room, entry } => Change::Append { room, entry },
            Request::Commit { workspace, room: None, entry, wraps } => {
                Change::Create { workspace, entry, wraps }
            }
            Request::Commit { room: Some(room), entry, wraps, workspace: _ } => {
                Change::Commit { room, entry, wraps }
            }
            Request::StageWraps { commit, wraps } => Change::StageWraps { commit, wraps },
            Request::AskKeys { room, epochs } => Change::AskKeys { room, epochs },
            Request::AnswerKeys { room, account, device, answers } => {
                Change::AnswerKeys { room, account, device, answers }
            }
            Request::PutGrant { room, account, grants } => {
                Change::PutGrant { room, account, grants }
            }
            Request::PutLink { link } => Change::PutLink { link },
            Request::Delivered { marks } => Change::Delivered { marks },
            Request::Read { room, upto, signature } => Change::Read { room, upto, signature },
            Request::Schedule { room, entry, due } => Change::Schedule { room, entry, due },
            Request::Unschedule { room, id } => Change::Unschedule { room, id },
            Request::CreateInvite { token, uses, expires, rooms } => {
                Change::CreateInvite { token, uses, expires, rooms }
            }
            Request::RevokeInvite { token } => Change::RevokeInvite { token },
            Request::FinishJoin { token, account } => Change::FinishJoin { token, account },
            Request::Delta { room, delta } => Change::Delta { room, delta },
            Request::PutCard { card } => Change::PutCard { card },
        };
        Self::Change(change)
    }
}

impl From<Query> for Route {
    fn from(query: Query) -> Self {
        Self::Query(query)
    }
}
