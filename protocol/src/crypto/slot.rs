//! Slots: the keys of one message, sealed to the agents it is meant for (CRYPTO B4, B6).
//!
//! ```text
//! n u8 | n x (agent device[16] | enc[32] | ct[92])        devices rising
//! enc || ct = HPKE(agent, info = "mathia/v1/slot" || 0 || room_id || commit_hash || header || device,
//!                  K || N || FK)
//! ```

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::ce::{CeError, Reader};
use super::hash::labelled;
use super::identity::{BadWrap, HPKE_OVERHEAD, HpkePublic, HpkeSecret};
use super::labels;
use super::message_header::HEADER_LEN;
use crate::id::{DeviceId, Hash, RoomId};
use crate::limits::SLOTS_MAX;

/// Key, nonce and franking key of one message: `K(32) || N(12) || FK(32)`.
pub(super) const KEYS_LEN: usize = 76;
const SEALED_LEN: usize = KEYS_LEN + HPKE_OVERHEAD;
const SLOT_LEN: usize = DeviceId::LEN + SEALED_LEN;

/// An agent's device that a message is also sealed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotReader {
    /// The device.
    pub device: DeviceId,
    /// Its newest key for wraps.
    pub key: HpkePublic,
}

/// The message a slot belongs to; all of it is bound into the slot.
#[derive(Clone, Copy)]
pub(super) struct SlotPlace<'a> {
    pub(super) room: RoomId,
    pub(super) commit_hash: Hash,
    pub(super) header: &'a [u8; HEADER_LEN],
}

impl SlotPlace<'_> {
    fn info(&self, device: DeviceId) -> Vec<u8> {
        labelled(labels::SLOT, &[&self.room.0, &self.commit_hash.0, self.header, &device.0])
    }
}

/// Seals the keys to each reader. Readers are distinct and at most [`SLOTS_MAX`]: the caller checks.
pub(super) fn seal_slots<R: CryptoRng>(
    rng: &mut R,
    place: SlotPlace<'_>,
    readers: &[SlotReader],
    keys: &[u8; KEYS_LEN],
) -> Result<Vec<u8>, BadWrap> {
    let mut readers = readers.to_vec();
    readers.sort_unstable();
    let n_slots = u8::try_from(readers.len()).map_err(|_| BadWrap)?;
    let mut bytes = Vec::with_capacity(1 + SLOT_LEN * readers.len());
    bytes.push(n_slots);
    for reader in readers {
        bytes.extend_from_slice(&reader.device.0);
        bytes.extend_from_slice(&reader.key.seal(rng, &place.info(reader.device), keys)?);
    }
    Ok(bytes)
}

/// Takes the slots off the front of what follows a header, checked for form.
pub(super) fn take_slots<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], CeError> {
    let whole = *reader;
    let n_slots = usize::from(reader.u8()?);
    if n_slots == 0 {
        return Err(CeError::Short);
    }
    if n_slots > SLOTS_MAX {
        return Err(CeError::TooLong { len: n_slots, max: SLOTS_MAX });
    }
    let slots = reader.take(n_slots * SLOT_LEN)?;
    let is_rising = slots
        .chunks_exact(SLOT_LEN)
        .is_sorted_by(|left, right| left[..DeviceId::LEN] < right[..DeviceId::LEN]);
    if !is_rising {
        return Err(CeError::Unsorted("slot"));
    }
    whole.clone().take(1 + slots.len())
}

/// The devices that `slots` (as [`take_slots`] returns them, or empty) are for.
pub(super) fn slot_devices(slots: &[u8]) -> impl Iterator<Item = DeviceId> {
    slots
        .get(1..)
        .unwrap_or_default()
        .chunks_exact(SLOT_LEN)
        .filter_map(|slot| DeviceId::from_slice(&slot[..DeviceId::LEN]))
}

/// Opens the slot of `device`; `None` if there is none for it.
pub(super) fn open_slot(
    slots: &[u8],
    place: SlotPlace<'_>,
    device: DeviceId,
    secret: &HpkeSecret,
) -> Option<Result<Zeroizing<[u8; KEYS_LEN]>, BadWrap>> {
    let slot =
        slots.get(1..)?.chunks_exact(SLOT_LEN).find(|slot| slot[..DeviceId::LEN] == device.0)?;
    let opened = secret.open(&place.info(device), &slot[DeviceId::LEN..]);
    Some(
        opened.and_then(|keys| keys.as_slice().try_into().map(Zeroizing::new).map_err(|_| BadWrap)),
    )
}
