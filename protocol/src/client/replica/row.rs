//! Values of rows: how the records of a replica become bytes and come back.
//!
//! Owns one encoding for each record. A value that cannot be read means that the files are damaged.

use zeroize::Zeroizing;

use super::key_value::Value;
use super::{Stored, broken};
use crate::client::event::TrustState;
use crate::client::record::{
    Contact, DeviceLane, MarkHistograms, OwnInvite, PinSource, RoomFacts, RoomMarks, ServerRecord,
    StoredCommit, UnfinishedAnswer,
};
use crate::crypto::ce::{CeError, Reader, Writer};
use crate::crypto::commit::{RoomKind, RoomMode};
use crate::crypto::user_chain::ChainHead;
use crate::id::{
    AccountId, Counter, Hash, InviteToken, Realm, RoomId, RoomNumber, Seq, TimeMs, WorkspaceId,
};
use crate::limits::{ENTRY_LEN_MAX, FRAME_LEN_MAX_COMMIT};
use crate::wire::MarkStep;

/// Longest text in a row, in bytes: far above names, topics, addresses and causes.
pub(super) const TEXT_LEN_MAX: usize = 64 * 1024;
/// Most steps of a histogram: one per member of the largest room, and some.
const STEPS_MAX: usize = 10_000;
/// Most rooms one invite grants.
const INVITE_ROOMS_MAX: usize = 1_000;

/// Something that is the whole value of a row, or stands in one.
pub(super) trait Row: Sized {
    /// Appends it.
    fn write(&self, w: &mut Writer);

    /// Reads what [`Self::write`] appends.
    fn read(r: &mut Reader<'_>) -> Result<Self, CeError>;
}

/// The value of a row.
pub(super) fn encode(row: &impl Row) -> Value {
    let mut w = Writer::new();
    row.write(&mut w);
    Zeroizing::new(w.finish())
}

/// Reads the value of a row.
pub(super) fn decode<T: Row>(value: &[u8]) -> Stored<T> {
    fields(value, T::read)
}

/// Takes a key or a value apart; one that is shorter or longer means that the files are damaged.
pub(super) fn fields<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, CeError>,
) -> Stored<T> {
    let mut r = Reader::new(bytes);
    let read = read(&mut r).map_err(broken)?;
    r.finish().map_err(broken)?;
    Ok(read)
}

impl Row for u64 {
    fn write(&self, w: &mut Writer) {
        w.u64(*self);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CeError> {
        r.u64()
    }
}

impl Row for u32 {
    fn write(&self, w: &mut Writer) {
        w.u32(*self);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CeError> {
        r.u32()
    }
}

impl Row for Seq {
    fn write(&self, w: &mut Writer) {
        w.u64(self.0);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CeError> {
        r.u64().map(Self)
    }
}

impl Row for AccountId {
    fn write(&self, w: &mut Writer) {
        w.fixed(&self.0);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CeError> {
        r.array().map(Self)
    }
}

impl Row for String {
    fn write(&self, w: &mut Writer) {
        w.bytes(self.as_bytes());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CeError> {
        r.text(TEXT_LEN_MAX, "text").map(ToOwned::to_owned)
    }
}

/// A secret of one epoch.
impl Row for Zeroizing<[u8; 32]> {
    fn write(&self, w: &mut Writer) {
        w.fixed(self.as_slice());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CeError> {
        r.array().map(Self::new)
    }
}

/// A position of a log.
impl Row for (Seq, Hash) {
    fn write(&self, w: &mut Writer) {
        w.u64(self.0.0).fixed(&self.1.0);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CeError> {
        Ok((Seq(r.u64()?), Hash(r.array()?)))
    }
}

impl Row for DeviceLane {
    fn write(&self, w: &mut Writer) {
        w.u64(self.last.0).fixed(&self.prev_own);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CeError> {
        Ok(Self { last: Counter(r.u64()?), prev_own: r.array()? })
    }
}

impl Row for RoomFacts {
    fn write(&self, w: &mut Writer) {
        w.option(self.number, |w, number| {
            w.u32(number.0);
        });
        w.fixed(&self.workspace.0).u8(self.kind.to_byte()).u8(self.mode.to_byte());
        w.bytes(self.name.as_bytes()).bytes(self.topic.as_bytes());
        w.u8(u8::from(self.is_member)).u64(self.held_from.0);
        w.option(self.stopped.as_ref(), |w, cause| {
            w.bytes(cause.as_bytes());
        });
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CeError> {
        Ok(Self {
            number: r.option(Reader::u32)?.map(RoomNumber),
            workspace: WorkspaceId(r.array()?),
            kind: RoomKind::from_byte(r.u8()?)?,
            mode: RoomMode::from_byte(r.u8()?)?,
            name: r.text(TEXT_LEN_MAX, "room name")?.to_owned(),
            topic: r.text(TEXT_LEN_MAX, "topic")?.to_owned(),
            is_member: r.u8()? != 0,
            held_from: Seq(r.u64()?),
            stopped: r.option(|r| Ok(r.text(TEXT_LEN_MAX, "cause")?.to_owned()))?,
        })
    }
}

impl Row for RoomMarks {
    fn write(&self, w: &mut Writer) {
        w.u64(self.announced.0).u64(self.read_upto.0).u64(self.delivered_upto.0);
        w.u32(self.n_unread).u64(self.active_at.0);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CeError> {
        Ok(Self {
            announced: Seq(r.u64()?),
            read_upto: Seq(r.u64()?),
            delivered_upto: Seq(r.u64()?),
            n_unread: r.u32()?,
            active_at: TimeMs(r.u64()?),
        })
    }
}

impl Row for MarkHistograms {
    fn write(&self, w: &mut Writer) {
        for steps in [&self.delivered, &self.read] {
            w.count(steps.len());
            for step in steps {
                w.u64(step.upto.0).u32(step.n_accounts);
            }
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CeError> {
        Ok(Self { delivered: read_steps(r)?, read: read_steps(r)? })
    }
}

fn read_steps(r: &mut Reader<'_>) -> Result<Vec<MarkStep>, CeError> {
    let n_steps = r.count(STEPS_MAX)?;
    (0..n_steps).map(|_| Ok(MarkStep { upto: Seq(r.u64()?), n_accounts: r.u32()? })).collect()
}

impl Row for ServerRecord {
    fn write(&self, w: &mut Writer) {
        w.bytes(self.address.as_bytes()).fixed(&self.realm.0).fixed(&self.pin.0);
        w.option(self.next_pin, |w, pin| {
            w.fixed(&pin.0);
        });
        w.u8(match self.source {
            PinSource::Invite => 0,
            PinSource::WebPki => 1,
            PinSource::Asked => 2,
            PinSource::Announced => 3,
        });
        w.u64(self.first_seen.0);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CeError> {
        Ok(Self {
            address: r.text(TEXT_LEN_MAX, "address")?.to_owned(),
            realm: Realm(r.array()?),
            pin: Hash(r.array()?),
            next_pin: r.option(|r| r.array().map(Hash))?,
            source: match r.u8()? {
                0 => PinSource::Invite,
                1 => PinSource::WebPki,
                2 => PinSource::Asked,
                3 => PinSource::Announced,
                value => return Err(CeError::Unknown { what: "source of a pin", value }),
            },
            first_seen: TimeMs(r.u64()?),
        })
    }
}

impl Row for Contact {
    fn write(&self, w: &mut Writer) {
        w.bytes(self.handle.as_bytes()).fixed(&self.account.0);
        w.u32(self.seen.seq).fixed(&self.seen.hash.0);
        w.u8(match self.trust {
            TrustState::Unverified => 0,
            TrustState::Verified => 1,
            TrustState::Changed => 2,
        });
        w.option(self.changed_to, |w, account| {
            w.fixed(&account.0);
        });
        w.u64(self.refreshed.0);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CeError> {
        Ok(Self {
            handle: r.text(TEXT_LEN_MAX, "handle")?.to_owned(),
            account: AccountId(r.array()?),
            seen: ChainHead { seq: r.u32()?, hash: Hash(r.array()?) },
            trust: match r.u8()? {
                0 => TrustState::Unverified,
                1 => TrustState::Verified,
                2 => TrustState::Changed,
                value => return Err(CeError::Unknown { what: "state of trust", value }),
            },
            changed_to: r.option(|r| r.array().map(AccountId))?,
            refreshed: TimeMs(r.u64()?),
        })
    }
}

/// An own invite without its token, which is the key.
pub(super) fn encode_invite(invite: &OwnInvite) -> Value {
    let mut w = Writer::new();
    w.fixed(invite.secret.as_slice()).u64(invite.expires.0).count(invite.rooms.len());
    for room in &invite.rooms {
        w.fixed(&room.0);
    }
    Zeroizing::new(w.finish())
}

/// Reads what [`encode_invite`] writes.
pub(super) fn decode_invite(key: &[u8], value: &[u8]) -> Stored<OwnInvite> {
    let token = fields(key, |r| r.array().map(InviteToken))?;
    fields(value, |r| {
        let (secret, expires) = (Zeroizing::new(r.array()?), TimeMs(r.u64()?));
        let n_rooms = r.count(INVITE_ROOMS_MAX)?;
        let rooms = (0..n_rooms).map(|_| r.array().map(RoomId)).collect::<Result<_, _>>()?;
        Ok(OwnInvite { token, secret, rooms, expires })
    })
}

/// A commit without its place, which is in the key.
pub(super) fn encode_commit(commit: &StoredCommit) -> Value {
    Zeroizing::new(Writer::new().u64(commit.time.0).bytes(&commit.entry).finish())
}

/// Reads what [`encode_commit`] writes.
pub(super) fn decode_commit(key: &[u8], value: &[u8]) -> Stored<StoredCommit> {
    let seq = super::key::last_seq(key)?;
    fields(value, |r| {
        let (time, entry) = (TimeMs(r.u64()?), r.bytes(FRAME_LEN_MAX_COMMIT)?.to_vec());
        Ok(StoredCommit { seq, time, entry })
    })
}

/// How far an answer is, without its place, which is the key.
pub(super) fn encode_answer(answer: &UnfinishedAnswer) -> Value {
    Zeroizing::new(Writer::new().u8(answer.n_tries).bytes(answer.text.as_bytes()).finish())
}

/// Reads what [`encode_answer`] writes.
pub(super) fn decode_answer(key: &[u8], value: &[u8]) -> Stored<UnfinishedAnswer> {
    let (room, ask) = fields(key, |r| Ok((RoomId(r.array()?), Seq(r.u64()?))))?;
    fields(value, |r| {
        let (n_tries, text) = (r.u8()?, r.text(ENTRY_LEN_MAX, "answer")?.to_owned());
        Ok(UnfinishedAnswer { room, ask, n_tries, text })
    })
}
