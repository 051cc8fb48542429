//! Sealing at rest: what the server can read of open rooms lies on disk only sealed (CRYPTO B6).
//!
//! ```text
//! MK  = 32 bytes, the master key, from the file or credential `storage.key`
//! ORK = 32 random bytes a room and month, stored as seal_once(MK, "open-room", room_id, ORK)
//! body at rest     = seal_once(ORK, "open-entry", room_id || seq(u64 BE), E_n)
//! name at rest     = seal_once(ORK, "open-entry", room_id || 0(u64 BE), name)
//! schedule at rest = seal_once(ORK, "open-schedule", room_id || id(u64 BE), E)
//! token at rest    = seal_once(MK, "invite-at-rest", SHA-256(token), token)
//! name tag         = HMAC(HKDF-Expand(MK, "name-tag" || 0 || workspace, 32), name)
//! ```
//!
//! Owns these formats and nothing else: no file, no clock, randomness passed in. Which of a room's
//! keys seals what is [`super::keyring`]. End-to-end rooms never come here, their bodies are sealed
//! before they arrive.

use std::fmt;
use std::mem;

use mathia_protocol::crypto::hash::{expand, mac};
use mathia_protocol::crypto::labels;
use mathia_protocol::crypto::seal::{OpenError, open_once, seal_once};
use mathia_protocol::id::{Hash, InviteToken, RoomId, Seq, WorkspaceId};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::store::StoreError;

/// The key of everything at rest. Whoever loses it loses the open rooms; `Debug` hides it.
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// A key of one open room; it opens nothing of another room. `Debug` hides it.
#[derive(Clone)]
pub struct OpenRoomKey {
    room: RoomId,
    key: Zeroizing<[u8; 32]>,
}

/// The master key's file does not hold a key. Retrying never helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a master key has 32 bytes, this has {0}")]
pub struct MasterKeyError(pub usize);

impl From<OpenError> for StoreError {
    /// What lies in the database was sealed under another master key, or has been changed.
    fn from(error: OpenError) -> Self {
        Self::rotten(error)
    }
}

impl MasterKey {
    /// Takes the key that the operating system or the data directory keeps for us.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// Reads what the key's file holds: 32 bytes as they are.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError`] for any other length.
    pub fn parse(file: &[u8]) -> Result<Self, MasterKeyError> {
        file.try_into().map(Self::from_bytes).map_err(|_| MasterKeyError(file.len()))
    }

    /// Makes a key for an open room, and how it is stored.
    pub fn new_room_key<R: CryptoRng>(&self, rng: &mut R, room: RoomId) -> (OpenRoomKey, Vec<u8>) {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(key.as_mut_slice());
        let sealed = seal_once(rng, &self.0, labels::OPEN_ROOM, &room.0, key.as_slice());
        (OpenRoomKey { room, key }, sealed)
    }

    /// Opens a stored key of a room.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if it is another room's, or sealed under another master key.
    pub fn open_room_key(&self, room: RoomId, sealed: &[u8]) -> Result<OpenRoomKey, OpenError> {
        let opened = open_once(&self.0, labels::OPEN_ROOM, &room.0, sealed)?;
        let key = opened.as_slice().try_into().map_err(|_| OpenError)?;
        Ok(OpenRoomKey { room, key: Zeroizing::new(key) })
    }

    /// A secret that stays the same over restarts and opens nothing: what the server proves to
    /// connections of its life before a crash (CRYPTO C1).
    pub(crate) fn reset_secret(&self) -> Zeroizing<[u8; 32]> {
        expand::<32>(&self.0, labels::RESET, &[])
    }

    /// Tags a room name: equal names of a workspace have equal tags, and without the key a tag
    /// reveals nothing, not even to somebody with a list of likely names.
    pub fn name_tag(&self, workspace: WorkspaceId, name: &str) -> Hash {
        let key = expand::<32>(&self.0, labels::NAME_TAG, &[&workspace.0]);
        mac(key.as_slice(), &[name.as_bytes()])
    }

    /// Seals an invite's token, so that its maker can list it and a copy of the database cannot.
    pub fn seal_token<R: CryptoRng>(
        &self,
        rng: &mut R,
        token_hash: Hash,
        token: InviteToken,
    ) -> Vec<u8> {
        seal_once(rng, &self.0, labels::INVITE_AT_REST, &token_hash.0, &token.0)
    }

    /// Opens a sealed token.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if it belongs to another hash, or another master key.
    pub fn open_token(&self, token_hash: Hash, sealed: &[u8]) -> Result<InviteToken, OpenError> {
        let opened = open_once(&self.0, labels::INVITE_AT_REST, &token_hash.0, sealed)?;
        InviteToken::from_slice(&opened).ok_or(OpenError)
    }
}

impl OpenRoomKey {
    /// Seals an entry for its place.
    pub fn seal_entry<R: CryptoRng>(&self, rng: &mut R, seq: Seq, entry: &[u8]) -> Vec<u8> {
        seal_once(rng, &self.key, labels::OPEN_ENTRY, &self.aad(seq.0), entry)
    }

    /// Opens the entry at a place.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if it lay at another place or in another room, or was changed.
    pub fn open_entry(&self, seq: Seq, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        self.open(labels::OPEN_ENTRY, seq.0, sealed)
    }

    /// Seals the room's name and topic, as if they were an entry at place 0, where none is.
    pub fn seal_name<R: CryptoRng>(&self, rng: &mut R, name: &[u8]) -> Vec<u8> {
        seal_once(rng, &self.key, labels::OPEN_ENTRY, &self.aad(0), name)
    }

    /// Opens the room's name and topic.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if they are another room's, or were changed.
    pub fn open_name(&self, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        self.open(labels::OPEN_ENTRY, 0, sealed)
    }

    /// Seals a scheduled entry, which has no place yet, under its random number.
    pub fn seal_schedule<R: CryptoRng>(&self, rng: &mut R, id: u64, entry: &[u8]) -> Vec<u8> {
        seal_once(rng, &self.key, labels::OPEN_SCHEDULE, &self.aad(id), entry)
    }

    /// Opens a scheduled entry.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if it has another number, is another room's, or was changed.
    pub fn open_schedule(&self, id: u64, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        self.open(labels::OPEN_SCHEDULE, id, sealed)
    }

    fn open(&self, label: &str, number: u64, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        // Taken out, not copied: what becomes of the bytes is the caller's to say.
        open_once(&self.key, label, &self.aad(number), sealed)
            .map(|mut entry| mem::take(&mut *entry))
    }

    fn aad(&self, number: u64) -> [u8; 40] {
        let mut aad = [0; 40];
        aad[..32].copy_from_slice(&self.room.0);
        aad[32..].copy_from_slice(&number.to_be_bytes());
        aad
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

impl fmt::Debug for OpenRoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenRoomKey(of {}, ..)", self.room.short())
    }
}

#[cfg(test)]
mod tests {
    use mathia_protocol::crypto::hash::sha256;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    const LOBBY: RoomId = RoomId([1; 32]);
    const OTHER: RoomId = RoomId([2; 32]);

    fn master() -> MasterKey {
        MasterKey::from_bytes(&[7; 32])
    }

    #[test]
    fn an_entry_opens_only_in_its_room_and_at_its_place() {
        let mut rng = StdRng::seed_from_u64(1);
        let (key, stored) = master().new_room_key(&mut rng, LOBBY);
        let sealed = key.seal_entry(&mut rng, Seq(3), b"said");
        assert!(!sealed.windows(4).any(|bytes| bytes == b"said"));

        let found = master().open_room_key(LOBBY, &stored).unwrap();
        assert_eq!(found.open_entry(Seq(3), &sealed).unwrap(), b"said");
        assert_eq!(found.open_entry(Seq(4), &sealed), Err(OpenError));
        assert_eq!(found.open_schedule(3, &sealed), Err(OpenError));
        let (other, _) = master().new_room_key(&mut rng, OTHER);
        assert_eq!(other.open_entry(Seq(3), &sealed), Err(OpenError));
    }

    #[test]
    fn a_room_key_opens_only_for_its_room_and_master_key() {
        let mut rng = StdRng::seed_from_u64(1);
        let (_, stored) = master().new_room_key(&mut rng, LOBBY);
        assert!(master().open_room_key(OTHER, &stored).is_err());
        assert!(MasterKey::from_bytes(&[8; 32]).open_room_key(LOBBY, &stored).is_err());
    }

    #[test]
    fn names_schedules_and_tokens_come_back() {
        let mut rng = StdRng::seed_from_u64(1);
        let (key, _) = master().new_room_key(&mut rng, LOBBY);
        let name = key.seal_name(&mut rng, b"lobby");
        assert_eq!(key.open_name(&name).unwrap(), b"lobby");
        let later = key.seal_schedule(&mut rng, u64::MAX, b"later");
        assert_eq!(key.open_schedule(u64::MAX, &later).unwrap(), b"later");
        assert!(key.open_schedule(0, &later).is_err());

        let token = InviteToken([5; 16]);
        let hash = sha256(&[&token.0]);
        let sealed = master().seal_token(&mut rng, hash, token);
        assert_eq!(master().open_token(hash, &sealed), Ok(token));
        assert!(master().open_token(sha256(&[b"other"]), &sealed).is_err());
    }

    #[test]
    fn equal_names_have_equal_tags_in_one_workspace_only() {
        let tag = master().name_tag(WorkspaceId::MAIN, "lobby");
        assert_eq!(master().name_tag(WorkspaceId::MAIN, "lobby"), tag);
        assert_ne!(master().name_tag(WorkspaceId::MAIN, "Lobby"), tag);
        assert_ne!(master().name_tag(WorkspaceId([3; 16]), "lobby"), tag);
        assert_ne!(MasterKey::from_bytes(&[8; 32]).name_tag(WorkspaceId::MAIN, "lobby"), tag);
    }

    #[test]
    fn a_master_key_has_32_bytes_and_is_never_shown() {
        assert!(MasterKey::parse(&[7; 32]).is_ok());
        assert_eq!(MasterKey::parse(&[7; 33]).unwrap_err(), MasterKeyError(33));
        let mut rng = StdRng::seed_from_u64(1);
        let (key, _) = master().new_room_key(&mut rng, LOBBY);
        assert_eq!(format!("{:?} {key:?}", master()), "MasterKey(..) OpenRoomKey(of 01010101, ..)");
    }
}
