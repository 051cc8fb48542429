//! Read ticks: a member's device signs how far it read, and which log it saw there (CRYPTO B4).
//!
//! ```text
//! sig = sign(device, "read", room_id || be64(seq) || H_seq)
//! ```
//!
//! So even people who only read tell everyone which `H` they have, and a server that shows two logs
//! is found out. A tick that verifies but has another `H` than one's own is a fork alarm.

use super::identity::{BadSignature, Signature, SigningKey, VerifyKey};
use super::labels;
use crate::id::{Hash, RoomId, Seq};

/// What a tick says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadTick {
    /// The room.
    pub room: RoomId,
    /// Everything up to here is read.
    pub seq: Seq,
    /// `H` there, as the reader's own log has it.
    pub hash: Hash,
}

impl ReadTick {
    /// Signs the tick with the reading device's key.
    pub fn sign(&self, key: &SigningKey) -> Signature {
        key.sign(labels::READ, &[&self.room.0, &self.seq.0.to_be_bytes(), &self.hash.0])
    }

    /// Checks a tick, `hash` being one's own `H` at that position.
    ///
    /// # Errors
    ///
    /// [`BadSignature`]: not this device's tick, or the device saw another log there.
    pub fn verify(&self, key: &VerifyKey, signature: &Signature) -> Result<(), BadSignature> {
        let text: [&[u8]; 3] = [&self.room.0, &self.seq.0.to_be_bytes(), &self.hash.0];
        key.verify(labels::READ, &text, signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_who_saw_another_log_is_noticed() {
        let key = SigningKey::from_seed(&[1; 32]);
        let ours = ReadTick { room: RoomId([2; 32]), seq: Seq(9), hash: Hash([3; 32]) };
        let theirs = ReadTick { hash: Hash([4; 32]), ..ours };
        assert_eq!(ours.verify(&key.public(), &ours.sign(&key)), Ok(()));
        assert_eq!(ours.verify(&key.public(), &theirs.sign(&key)), Err(BadSignature));
        let elsewhere = ReadTick { room: RoomId([5; 32]), ..ours };
        assert_eq!(elsewhere.verify(&key.public(), &ours.sign(&key)), Err(BadSignature));
    }
}
