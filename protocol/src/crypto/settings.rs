//! The settings of a room that only its members read: name, topic, picture (CRYPTO B3).
//!
//! An end-to-end room carries them sealed in every commit that starts an epoch, an open room plain.

use std::fmt;

use rand::CryptoRng;

use super::ce::{CeError, Reader, Writer};
use super::epoch::EpochSecret;
use super::labels;
use super::seal::{OpenError, SEAL_OVERHEAD, open_once, seal_once};
use crate::id::{Epoch, Hash};
use crate::limits::{PICTURE_LEN_MAX, ROOM_NAME_LEN_MAX, SETTINGS_BOX_LEN_MAX, TOPIC_LEN_MAX};
use crate::name::RoomName;

/// The largest encoding of settings, in bytes.
pub const SETTINGS_LEN_MAX: usize =
    4 + ROOM_NAME_LEN_MAX + 4 + TOPIC_LEN_MAX + 1 + 4 + PICTURE_LEN_MAX;
/// The largest encoding fits the box that a commit may carry.
const _: () = assert!(SETTINGS_LEN_MAX + SEAL_OVERHEAD <= SETTINGS_BOX_LEN_MAX);

/// What members see of a room besides its people. `Debug` hides all of it.
#[derive(Clone, PartialEq, Eq)]
pub struct RoomSettings {
    /// The room's name.
    pub name: RoomName,
    /// What the room is for; empty if nobody said. At most [`TOPIC_LEN_MAX`] bytes.
    pub topic: String,
    /// A reference to a picture, at most [`PICTURE_LEN_MAX`] bytes. Bytes from outside.
    pub picture: Option<Vec<u8>>,
}

/// Why a settings box yields no settings. Retrying never helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The box does not open with the secret of its epoch.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The box opens, but its author put something else into it.
    #[error("the settings are malformed: {0}")]
    Malformed(#[from] CeError),
}

impl RoomSettings {
    /// A room with a name and nothing else.
    pub fn named(name: RoomName) -> Self {
        Self { name, topic: String::new(), picture: None }
    }

    /// Encodes `CE(name, topic, picture opt)`, as an open room's commits carry it.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .bytes(self.name.as_str().as_bytes())
            .bytes(self.topic.as_bytes())
            .option(self.picture.as_deref(), |writer, picture| {
                writer.bytes(picture);
            })
            .finish()
    }

    /// Reads what [`Self::encode`] writes, and nothing else.
    ///
    /// # Errors
    ///
    /// Any [`CeError`], also for a field over its limit. Retrying never helps.
    pub fn decode(bytes: &[u8]) -> Result<Self, CeError> {
        let mut reader = Reader::new(bytes);
        let text = reader.text(ROOM_NAME_LEN_MAX, "room name")?;
        let name: RoomName = text.parse().map_err(|_| CeError::Text("room name"))?;
        if name.as_str() != text {
            // Parsing trims; two encodings of one name would be two hashes of one state.
            return Err(CeError::Text("room name"));
        }
        let topic = reader.text(TOPIC_LEN_MAX, "topic")?.to_owned();
        let picture = reader.option(|reader| Ok(reader.bytes(PICTURE_LEN_MAX)?.to_vec()))?;
        reader.finish()?;
        Ok(Self { name, topic, picture })
    }

    /// Seals the settings for the commit that starts `epoch` with `secret` (`settings_box`).
    pub fn seal<R: CryptoRng>(
        &self,
        rng: &mut R,
        secret: &EpochSecret,
        prev_commit: Hash,
        epoch: Epoch,
    ) -> Vec<u8> {
        let key = secret.box_key(labels::SETTINGS, prev_commit, epoch);
        seal_once(rng, &key, labels::SETTINGS, &epoch.0.to_be_bytes(), &self.encode())
    }

    /// Opens the settings box of the commit that started `epoch` with `secret`.
    ///
    /// # Errors
    ///
    /// [`SettingsError`]: the box was made otherwise or holds something else. Keep the settings
    /// known before and show the failure; retrying never helps.
    pub fn open(
        secret: &EpochSecret,
        prev_commit: Hash,
        epoch: Epoch,
        settings_box: &[u8],
    ) -> Result<Self, SettingsError> {
        let key = secret.box_key(labels::SETTINGS, prev_commit, epoch);
        let text = open_once(&key, labels::SETTINGS, &epoch.0.to_be_bytes(), settings_box)?;
        Ok(Self::decode(&text)?)
    }
}

impl fmt::Debug for RoomSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomSettings(..)")
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    fn ops() -> RoomSettings {
        let name = "ops".parse().unwrap();
        RoomSettings { name, topic: "who is on call".into(), picture: Some(vec![1, 2, 3]) }
    }

    #[test]
    fn settings_are_sealed_for_one_epoch_of_one_room() {
        let mut rng = StdRng::seed_from_u64(1);
        let secret = EpochSecret::generate(&mut rng);
        let (here, there) = (Hash([1; 32]), Hash([2; 32]));
        let sealed = ops().seal(&mut rng, &secret, here, Epoch(3));
        assert_eq!(RoomSettings::open(&secret, here, Epoch(3), &sealed), Ok(ops()));
        assert!(RoomSettings::open(&secret, there, Epoch(3), &sealed).is_err());
        assert!(RoomSettings::open(&secret, here, Epoch(4), &sealed).is_err());
    }

    #[test]
    fn only_the_one_encoding_of_valid_settings_is_read() {
        assert_eq!(RoomSettings::decode(&ops().encode()), Ok(ops()));
        let mut trailing = ops().encode();
        trailing.push(0);
        assert_eq!(RoomSettings::decode(&trailing), Err(CeError::Trailing(1)));
        let spaced = Writer::new().bytes(b" ops").bytes(b"").u8(0).finish();
        assert_eq!(RoomSettings::decode(&spaced), Err(CeError::Text("room name")));
    }

    #[test]
    fn settings_are_never_printed() {
        assert_eq!(format!("{:?}", ops()), "RoomSettings(..)");
    }
}
