//! The keys of one open room: the newest seals, and each opens what it has sealed (CRYPTO B6).
//!
//! Owns when a room gets its next key and which key opens what. A key found on a stolen disk image
//! or in a leaked memory page opens a month of one room; the old ones stay, wrapped, because history
//! is a feature.

use mathia_protocol::crypto::seal::OpenError;
use mathia_protocol::id::{RoomId, RoomNumber, Seq, TimeMs};
use rand::CryptoRng;

use super::at_rest::{MasterKey, OpenRoomKey};
use crate::store::{Read, RoomKeyRow, RoomRow, StoreError};

/// A key seals this long, 30 days; the first entry after that gets the next one. A room nobody
/// writes in needs none.
const LIFETIME_MS: u64 = 30 * 24 * 3_600 * 1_000;

/// The keys of one open room, oldest first; at least one.
#[derive(Debug, Clone)]
pub struct RoomKeys {
    /// All but the newest.
    old: Vec<HeldKey>,
    newest: HeldKey,
}

#[derive(Debug, Clone)]
struct HeldKey {
    generation: u32,
    /// The first place it seals.
    from: Seq,
    made: TimeMs,
    key: OpenRoomKey,
}

impl RoomKeys {
    /// Makes the first key of a new room, and its row; the row's room number is the caller's to set.
    pub fn found<R: CryptoRng>(
        master: &MasterKey,
        rng: &mut R,
        room: RoomId,
        now: TimeMs,
    ) -> (Self, RoomKeyRow) {
        let (newest, row) = make(master, rng, room, RoomNumber(0), (1, Seq(1), now));
        (Self { old: Vec::new(), newest }, row)
    }

    /// Opens the keys of a room; `None` if it is no open room.
    ///
    /// # Errors
    ///
    /// [`StoreError::Rotten`] if a key was sealed under another master key, or there is none.
    pub fn load(
        read: &dyn Read,
        master: &MasterKey,
        row: &RoomRow,
    ) -> Result<Option<Self>, StoreError> {
        if !super::reads::is_open(row) {
            return Ok(None);
        }
        let mut old = Vec::new();
        for RoomKeyRow { generation, from, made, sealed, .. } in read.room_keys(row.number)? {
            let key = master.open_room_key(row.room, &sealed)?;
            old.push(HeldKey { generation, from, made, key });
        }
        let newest = old.pop().ok_or_else(|| StoreError::rotten("an open room without a key"))?;
        Ok(Some(Self { old, newest }))
    }

    /// Whether the next entry is to be sealed under a new key.
    pub fn are_due(&self, now: TimeMs) -> bool {
        now.0.saturating_sub(self.newest.made.0) >= LIFETIME_MS
    }

    /// Makes the next key, which seals from a place on, and its row.
    pub fn renew<R: CryptoRng>(
        &mut self,
        master: &MasterKey,
        rng: &mut R,
        row: &RoomRow,
        from: Seq,
        now: TimeMs,
    ) -> RoomKeyRow {
        let generation = self.newest.generation + 1;
        let (next, row) = make(master, rng, row.room, row.number, (generation, from, now));
        self.old.push(std::mem::replace(&mut self.newest, next));
        row
    }

    /// Seals an entry for its place, which no key made later may claim.
    pub fn seal_entry<R: CryptoRng>(&self, rng: &mut R, seq: Seq, entry: &[u8]) -> Vec<u8> {
        debug_assert!(self.newest.from <= seq);
        self.newest.key.seal_entry(rng, seq, entry)
    }

    /// Opens the entry at a place, under the key that was the newest then.
    ///
    /// # Errors
    ///
    /// [`OpenError`] as for [`OpenRoomKey::open_entry`].
    pub fn open_entry(&self, seq: Seq, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let held = self.newest_first().find(|held| held.from <= seq).ok_or(OpenError)?;
        held.key.open_entry(seq, sealed)
    }

    /// Seals the room's name and topic.
    pub fn seal_name<R: CryptoRng>(&self, rng: &mut R, name: &[u8]) -> Vec<u8> {
        self.newest.key.seal_name(rng, name)
    }

    /// Opens the room's name and topic, under whichever key they were given.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if none opens them.
    pub fn open_name(&self, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        self.open_with_any(|key| key.open_name(sealed))
    }

    /// Seals a scheduled entry.
    pub fn seal_schedule<R: CryptoRng>(&self, rng: &mut R, id: u64, entry: &[u8]) -> Vec<u8> {
        self.newest.key.seal_schedule(rng, id, entry)
    }

    /// Opens a scheduled entry, under whichever key was the newest when it was left.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if none opens it.
    pub fn open_schedule(&self, id: u64, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        self.open_with_any(|key| key.open_schedule(id, sealed))
    }

    /// What has no place in the log does not determine its key: opening does.
    fn open_with_any(
        &self,
        open: impl Fn(&OpenRoomKey) -> Result<Vec<u8>, OpenError>,
    ) -> Result<Vec<u8>, OpenError> {
        self.newest_first().find_map(|held| open(&held.key).ok()).ok_or(OpenError)
    }

    fn newest_first(&self) -> impl Iterator<Item = &HeldKey> {
        std::iter::once(&self.newest).chain(self.old.iter().rev())
    }
}

fn make<R: CryptoRng>(
    master: &MasterKey,
    rng: &mut R,
    room: RoomId,
    number: RoomNumber,
    (generation, from, made): (u32, Seq, TimeMs),
) -> (HeldKey, RoomKeyRow) {
    let (key, sealed) = master.new_room_key(rng, room);
    (
        HeldKey { generation, from, made, key },
        RoomKeyRow { room: number, generation, from, made, sealed },
    )
}

#[cfg(test)]
mod tests {
    use mathia_protocol::id::WorkspaceId;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    const MONTH: TimeMs = TimeMs(LIFETIME_MS);

    fn master() -> MasterKey {
        MasterKey::from_bytes(&[7; 32])
    }

    fn row() -> RoomRow {
        RoomRow {
            room: RoomId([1; 32]),
            number: RoomNumber(5),
            workspace: WorkspaceId::MAIN,
            kind: 0,
            mode: 1,
            created: TimeMs(0),
            name_tag: None,
            sealed_name: None,
            pair: None,
            retention_days: 0,
        }
    }

    #[test]
    fn each_key_opens_what_it_sealed_and_nothing_of_another_month() {
        let rng = &mut StdRng::seed_from_u64(1);
        let (mut keys, first) = RoomKeys::found(&master(), rng, row().room, TimeMs(0));
        assert_eq!((first.generation, first.from), (1, Seq(1)));
        let old = keys.seal_entry(rng, Seq(3), b"old");
        let (name, later) = (keys.seal_name(rng, b"lobby"), keys.seal_schedule(rng, 9, b"later"));
        let second = keys.renew(&master(), rng, &row(), Seq(4), MONTH);
        assert_eq!((second.room, second.generation, second.from), (RoomNumber(5), 2, Seq(4)));
        let new = keys.seal_entry(rng, Seq(4), b"new");

        assert_eq!(keys.open_entry(Seq(3), &old).unwrap(), b"old");
        assert_eq!(keys.open_entry(Seq(4), &new).unwrap(), b"new");
        assert_eq!(keys.open_name(&name).unwrap(), b"lobby");
        assert_eq!(keys.open_schedule(9, &later).unwrap(), b"later");
        let of_first = master().open_room_key(row().room, &first.sealed).unwrap();
        let of_second = master().open_room_key(row().room, &second.sealed).unwrap();
        assert!(of_first.open_entry(Seq(4), &new).is_err());
        assert!(of_second.open_entry(Seq(3), &old).is_err());
    }

    #[test]
    fn of_two_keys_made_at_the_same_place_the_later_one_seals() {
        let rng = &mut StdRng::seed_from_u64(1);
        let (mut keys, _) = RoomKeys::found(&master(), rng, row().room, TimeMs(0));
        keys.renew(&master(), rng, &row(), Seq(2), MONTH);
        keys.renew(&master(), rng, &row(), Seq(2), MONTH);
        let entry = keys.seal_entry(rng, Seq(2), b"said");
        assert_eq!(keys.open_entry(Seq(2), &entry).unwrap(), b"said");
    }

    #[test]
    fn a_key_is_due_after_a_month_and_not_before_by_any_clock() {
        let (keys, _) =
            RoomKeys::found(&master(), &mut StdRng::seed_from_u64(1), row().room, TimeMs(7));
        assert!(!keys.are_due(TimeMs(0)), "a clock that was set back");
        assert!(!keys.are_due(MONTH));
        assert!(keys.are_due(TimeMs(MONTH.0 + 7)));
    }
}
