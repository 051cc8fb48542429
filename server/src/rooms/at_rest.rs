//! Sealing at rest (stand-in until the real one is merged).

use std::fmt;

use mathia_protocol::crypto::hash::mac;
use mathia_protocol::crypto::labels;
use mathia_protocol::crypto::seal::{open_once, seal_once};
use mathia_protocol::id::{Hash, InviteToken, RoomId, Seq, WorkspaceId};
use rand::RngExt as _;

use crate::store::StoreError;

/// The key of everything at rest.
pub struct MasterKey([u8; 32]);
/// The key of an open room.
#[derive(Clone)]
pub(crate) struct OpenRoomKey(RoomId, [u8; 32]);

fn broken() -> StoreError {
    StoreError::Broken("sealed bytes do not open".into())
}

impl MasterKey {
    /// From bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }
    pub(crate) fn new_room_key(&self, room: RoomId) -> (OpenRoomKey, Vec<u8>) {
        let key: [u8; 32] = rand::rng().random();
        let sealed = seal_once(&mut rand::rng(), &self.0, labels::OPEN_ROOM, &room.0, &key);
        (OpenRoomKey(room, key), sealed)
    }
    pub(crate) fn open_room_key(
        &self,
        room: RoomId,
        sealed: &[u8],
    ) -> Result<OpenRoomKey, StoreError> {
        let key = open_once(&self.0, labels::OPEN_ROOM, &room.0, sealed).map_err(|_| broken())?;
        Ok(OpenRoomKey(room, key.as_slice().try_into().map_err(|_| broken())?))
    }
    pub(crate) fn name_tag(&self, workspace: WorkspaceId, name: &str) -> Hash {
        mac(&self.0, &[b"name", &workspace.0, name.as_bytes()])
    }
    pub(crate) fn seal_token(&self, hash: Hash, token: InviteToken) -> Vec<u8> {
        seal_once(&mut rand::rng(), &self.0, "invite-at-rest", &hash.0, &token.0)
    }
    pub(crate) fn open_token(&self, hash: Hash, sealed: &[u8]) -> Result<InviteToken, StoreError> {
        let token = open_once(&self.0, "invite-at-rest", &hash.0, sealed).map_err(|_| broken())?;
        InviteToken::from_slice(&token).ok_or_else(broken)
    }
}

impl OpenRoomKey {
    fn aad(&self, place: u64) -> [u8; 40] {
        let mut aad = [0; 40];
        aad[..32].copy_from_slice(&self.0.0);
        aad[32..].copy_from_slice(&place.to_be_bytes());
        aad
    }
    pub(crate) fn seal_entry(&self, seq: Seq, bytes: &[u8]) -> Vec<u8> {
        seal_once(&mut rand::rng(), &self.1, labels::OPEN_ENTRY, &self.aad(seq.0), bytes)
    }
    pub(crate) fn open_entry(&self, seq: Seq, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let bytes = open_once(&self.1, labels::OPEN_ENTRY, &self.aad(seq.0), sealed)
            .map_err(|_| broken())?;
        Ok(bytes.to_vec())
    }
    pub(crate) fn seal_name(&self, name: &[u8]) -> Vec<u8> {
        seal_once(&mut rand::rng(), &self.1, "open-name", &self.0.0, name)
    }
    pub(crate) fn open_name(&self, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(open_once(&self.1, "open-name", &self.0.0, sealed).map_err(|_| broken())?.to_vec())
    }
    pub(crate) fn seal_schedule(&self, id: u64, bytes: &[u8]) -> Vec<u8> {
        seal_once(&mut rand::rng(), &self.1, "open-schedule", &self.aad(id), bytes)
    }
    pub(crate) fn open_schedule(&self, id: u64, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(open_once(&self.1, "open-schedule", &self.aad(id), sealed)
            .map_err(|_| broken())?
            .to_vec())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}
impl fmt::Debug for OpenRoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenRoomKey(..)")
    }
}
