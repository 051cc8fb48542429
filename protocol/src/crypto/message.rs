//! Messages: sealed under the sender's key, committed, signed, opened and reported (CRYPTO B4, B6).
//!
//! ```text
//! K(32) || N(12) || FK(32) = HKDF-Expand(SK, "msg" || be64(ctr) || salt, 76)
//! pt_com = HMAC-SHA256(FK, "mathia/v1/frank" || 0 || padded)      open rooms: H("open-pt", padded)
//! ct     = AES-256-GCM(K, N, aad, padded)                         open rooms: padded
//!          aad = "mathia/v1/aad" || 0 || room_id || commit_hash || header || slots
//! sig    = sign(device, "msg", room_id || commit_hash || header || slots || ct)
//! E_n    = tag(2 live, 3 scheduled) || header || slots || ct || sig
//! ```
//!
//! Owns form and cryptography of one message. Whether it may stand where it stands (counter, epoch,
//! membership) is the rule of the log. Check the signature first, then open.

use std::fmt;

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::ce::{CeError, Reader};
use super::epoch::SenderKey;
use super::hash::{equal, expand, hash, labelled, mac, sha256};
use super::identity::{BadSignature, BadWrap, HpkeSecret, Signature, SigningKey, VerifyKey};
use super::labels;
pub use super::message_header::{Flags, HEADER_LEN, MessageHeader, Placement, Suite};
use super::plaintext::is_padded_len;
pub use super::plaintext::{PaddingError, Plaintext};
use super::seal::{OpenError, TAG_LEN, aead_open, aead_seal};
pub use super::slot::SlotReader;
use super::slot::{KEYS_LEN, SlotPlace, open_slot, seal_slots, slot_devices, take_slots};
use crate::id::{AccountId, DeviceId, Epoch, Hash, RoomId, Seq, TimeMs};
use crate::limits::{ENTRY_LEN_MAX, SLOTS_MAX};

/// First byte of a stored live message.
pub const TAG_MESSAGE: u8 = 2;
/// First byte of a stored scheduled message.
pub const TAG_SCHEDULED: u8 = 3;

/// What both sides know about a message without being told; all of it is bound into the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageContext {
    /// The room.
    pub room: RoomId,
    /// The commit that started the message's epoch; in open rooms the Create commit, so the room.
    pub commit_hash: Hash,
    /// The author's account.
    pub account: AccountId,
    /// The author's device, as in the header.
    pub device: DeviceId,
}

impl MessageContext {
    /// The context of a message in an open room.
    pub fn open_room(room: RoomId, account: AccountId, device: DeviceId) -> Self {
        Self { room, commit_hash: room.as_hash(), account, device }
    }
}

/// A message before it is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageDraft {
    /// Marks that the server may read; [`Flags::HAS_SLOTS`] is set by itself.
    pub flags: Flags,
    /// The epoch to seal in; 0 in open rooms.
    pub epoch: Epoch,
    /// Counter and chain of the device.
    pub placement: Placement,
    /// The newest log position the device has verified.
    pub seen_seq: Seq,
    /// `H` at that position.
    pub seen_hash: Hash,
    /// Now, by the device's clock.
    pub time: TimeMs,
    /// What the message says.
    pub plaintext: Plaintext,
    /// Agents that may read this one message; empty in open rooms.
    pub agents: Vec<SlotReader>,
}

/// What seals a message.
#[derive(Debug, Clone, Copy)]
pub enum SealWith<'a> {
    /// The sender key of the author's device in the draft's epoch.
    SenderKey(&'a SenderKey),
    /// Nothing: an open room.
    Open,
}

/// What opens a message.
#[derive(Debug, Clone, Copy)]
pub enum OpenWith<'a> {
    /// The sender key of the author's device in the message's epoch.
    SenderKey(&'a SenderKey),
    /// An agent's own key, for a message that has a slot for it.
    Slot {
        /// The agent's device.
        device: DeviceId,
        /// Its key for wraps.
        secret: &'a HpkeSecret,
    },
    /// Nothing: an open room.
    Open,
}

/// Why a message cannot be sealed. Retrying the same draft never helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The content exceeds what a message holds.
    #[error("the content of {0} bytes is too long for a message")]
    TooLong(usize),
    /// The fields contradict each other: a header that no one would accept.
    #[error("the draft is contradictory: {0}")]
    Draft(CeError),
    /// The signing key is not of the device that the context names.
    #[error("the key belongs to another device")]
    Device,
    /// Slots in an open room, too many of them, or two for one device.
    #[error("the agents of the draft are not allowed")]
    Agents,
    /// An agent's key is of low order.
    #[error(transparent)]
    Slot(#[from] BadWrap),
}

/// Why a message is not accepted; the variant names the check. Retrying never helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The bytes are no message.
    #[error("the message is malformed: {0}")]
    Malformed(#[from] CeError),
    /// The header names another device than the context.
    #[error("the message is from another device")]
    Device,
    /// The signature is not the author's.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// The key given does not fit the suite of the message.
    #[error("the message is of suite {0:?}")]
    Suite(Suite),
    /// There is no slot for this agent.
    #[error("the message is not for this agent")]
    NoSlot,
    /// The slot does not open.
    #[error(transparent)]
    Slot(#[from] BadWrap),
    /// The text does not open with this key.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The text is not the one that the header commits to.
    #[error("the text is not the one the header commits to")]
    Commitment,
    /// The text is not padded as it must be.
    #[error(transparent)]
    Padding(#[from] PaddingError),
}

/// Proves to a moderator what one message says, without any key of the room (CRYPTO B6).
#[derive(Clone, PartialEq, Eq)]
pub struct Disclosure {
    /// The franking key of the message; zero in open rooms.
    pub franking_key: [u8; 32],
    /// The padded text.
    pub padded: Vec<u8>,
}

impl fmt::Debug for Disclosure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disclosure(..)")
    }
}

/// A message that was opened and whose commitment holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedMessage {
    /// What it says.
    pub plaintext: Plaintext,
    /// What a report about it needs.
    pub disclosure: Disclosure,
}

/// `K || N || FK` of one message.
struct MessageKeys(Zeroizing<[u8; KEYS_LEN]>);

impl MessageKeys {
    fn derive(key: &SenderKey, ctr: u64, salt: &[u8; 16]) -> Self {
        Self(expand(&key.to_bytes(), labels::MSG, &[&ctr.to_be_bytes(), salt]))
    }

    fn once(&self) -> &[u8; 44] {
        self.0.first_chunk().expect("76 bytes hold 44")
    }

    fn franking_key(&self) -> &[u8; 32] {
        self.0.last_chunk().expect("76 bytes hold 32")
    }
}

fn frank(franking_key: &[u8; 32], padded: &[u8]) -> Hash {
    mac(franking_key, &[&labelled(labels::FRANK, &[padded])])
}

fn open_room_commitment(padded: &[u8]) -> Hash {
    hash(labels::OPEN_PT, &[padded])
}

/// What the next message of the same device in the room names: half the SHA-256 of a stored entry.
pub fn prev_own(entry: &[u8]) -> [u8; 16] {
    sha256(&[entry]).first_half()
}

/// Seals and signs a message: the bytes that are sent, stored and hashed, `E_n`.
///
/// Every call takes a new salt, so sealing again after a refusal, with the same counter, is safe.
///
/// # Errors
///
/// [`SealError`]; retrying the same draft never helps.
pub fn seal_message<R: CryptoRng>(
    rng: &mut R,
    context: &MessageContext,
    with: SealWith<'_>,
    draft: &MessageDraft,
    signer: &SigningKey,
) -> Result<Vec<u8>, SealError> {
    if signer.device_id() != context.device {
        return Err(SealError::Device);
    }
    check_agents(with, &draft.agents)?;
    let too_long = SealError::TooLong(draft.plaintext.body.len());
    let padded = draft.plaintext.encode_padded().ok_or(too_long)?;
    let mut header = draft_header(context, with, draft);
    let (header_bytes, slots, ct) = match with {
        SealWith::Open => {
            header.pt_com = open_room_commitment(&padded);
            (header.encode(), Vec::new(), padded)
        }
        SealWith::SenderKey(key) => {
            rng.fill_bytes(&mut header.salt);
            let keys = MessageKeys::derive(key, header.ctr(), &header.salt);
            header.pt_com = frank(keys.franking_key(), &padded);
            let header_bytes = header.encode();
            let slots = if draft.agents.is_empty() {
                Vec::new()
            } else {
                let (room, commit_hash) = (context.room, context.commit_hash);
                let place = SlotPlace { room, commit_hash, header: &header_bytes };
                seal_slots(rng, place, &draft.agents, &keys.0)?
            };
            let ct = aead_seal(keys.once(), &aad(context, &header_bytes, &slots), &padded);
            (header_bytes, slots, ct)
        }
    };
    // Whoever makes a message that nobody accepts must learn it here.
    MessageHeader::decode(&header_bytes).map_err(SealError::Draft)?;
    let text: [&[u8]; 5] = [&context.room.0, &context.commit_hash.0, &header_bytes, &slots, &ct];
    let signature = signer.sign(labels::MSG, &text);
    let tag = tag_of(&header);
    Ok([&[tag], header_bytes.as_slice(), &slots, &ct, &signature.0].concat())
}

fn check_agents(with: SealWith<'_>, agents: &[SlotReader]) -> Result<(), SealError> {
    let mut devices: Vec<_> = agents.iter().map(|agent| agent.device).collect();
    devices.sort_unstable();
    devices.dedup();
    let is_open = matches!(with, SealWith::Open);
    if devices.len() != agents.len() || agents.len() > SLOTS_MAX || is_open && !agents.is_empty() {
        return Err(SealError::Agents);
    }
    Ok(())
}

fn draft_header(
    context: &MessageContext,
    with: SealWith<'_>,
    draft: &MessageDraft,
) -> MessageHeader {
    let flags = draft.flags.without(Flags::HAS_SLOTS);
    MessageHeader {
        suite: match with {
            SealWith::SenderKey(_) => Suite::Sealed,
            SealWith::Open => Suite::Open,
        },
        flags: if draft.agents.is_empty() { flags } else { flags.and(Flags::HAS_SLOTS) },
        epoch: draft.epoch,
        device: context.device,
        placement: draft.placement,
        seen_seq: draft.seen_seq,
        seen_hash: draft.seen_hash.first_half(),
        salt: [0; 16],
        pt_com: Hash::ZERO,
        time: draft.time,
    }
}

fn tag_of(header: &MessageHeader) -> u8 {
    match header.placement {
        Placement::Live { .. } => TAG_MESSAGE,
        Placement::Scheduled { .. } => TAG_SCHEDULED,
    }
}

fn aad(context: &MessageContext, header: &[u8; HEADER_LEN], slots: &[u8]) -> Vec<u8> {
    labelled(labels::AAD, &[&context.room.0, &context.commit_hash.0, header, slots])
}

/// A stored message, read but neither verified nor opened. Borrows the entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    header: MessageHeader,
    header_bytes: &'a [u8; HEADER_LEN],
    slots: &'a [u8],
    ct: &'a [u8],
    signature: Signature,
}

impl<'a> Message<'a> {
    /// Reads the form of a stored entry with tag 2 or 3.
    ///
    /// # Errors
    ///
    /// Any [`CeError`]; retrying never helps.
    pub fn decode(entry: &'a [u8]) -> Result<Self, CeError> {
        if entry.len() > ENTRY_LEN_MAX {
            return Err(CeError::TooLong { len: entry.len(), max: ENTRY_LEN_MAX });
        }
        let (blob, signature) = Signature::split_from(entry).ok_or(CeError::Short)?;
        let mut reader = Reader::new(blob);
        let tag = reader.u8()?;
        let header_bytes = reader.take(HEADER_LEN)?.first_chunk().ok_or(CeError::Short)?;
        let header = MessageHeader::decode(header_bytes)?;
        if tag != tag_of(&header) {
            return Err(CeError::Unknown { what: "message tag", value: tag });
        }
        let slots = if header.flags.has(Flags::HAS_SLOTS) { take_slots(&mut reader)? } else { &[] };
        let ct = reader.take(reader.remaining())?;
        let padded_len = match header.suite {
            Suite::Open => Some(ct.len()),
            Suite::Sealed => ct.len().checked_sub(TAG_LEN),
        };
        match padded_len {
            Some(len) if is_padded_len(len) => {}
            Some(len) => return Err(CeError::Trailing(len)),
            None => return Err(CeError::Short),
        }
        Ok(Self { header, header_bytes, slots, ct, signature })
    }

    /// The header: what the server reads too.
    pub fn header(&self) -> &MessageHeader {
        &self.header
    }

    /// The agents' devices that the message is also sealed to.
    pub fn agents(&self) -> impl Iterator<Item = DeviceId> + use<'a> {
        slot_devices(self.slots)
    }

    /// Checks that the device `key` of the context signed the message for this room and epoch.
    ///
    /// # Errors
    ///
    /// [`MessageError::Device`] if `key` or the header is another device's,
    /// [`MessageError::Signature`] if anything was changed. Retrying never helps.
    pub fn verify_signature(
        &self,
        context: &MessageContext,
        key: &VerifyKey,
    ) -> Result<(), MessageError> {
        if self.header.device != context.device || key.device_id() != context.device {
            return Err(MessageError::Device);
        }
        let text: [&[u8]; 5] =
            [&context.room.0, &context.commit_hash.0, self.header_bytes, self.slots, self.ct];
        Ok(key.verify(labels::MSG, &text, &self.signature)?)
    }

    /// Opens the message and checks the text against the header's commitment.
    ///
    /// The signature is not checked here: [`Self::verify_signature`] comes first.
    ///
    /// # Errors
    ///
    /// [`MessageError`], naming the check that failed. Another key may help if the one given was
    /// of another epoch.
    pub fn open(
        &self,
        context: &MessageContext,
        with: OpenWith<'_>,
    ) -> Result<OpenedMessage, MessageError> {
        if self.header.device != context.device {
            return Err(MessageError::Device);
        }
        let keys = match (self.header.suite, with) {
            (Suite::Open, OpenWith::Open) => {
                let disclosure = Disclosure { franking_key: [0; 32], padded: self.ct.to_vec() };
                return self.opened(disclosure);
            }
            (Suite::Sealed, OpenWith::SenderKey(key)) => {
                MessageKeys::derive(key, self.header.ctr(), &self.header.salt)
            }
            (Suite::Sealed, OpenWith::Slot { device, secret }) => {
                let (room, commit_hash) = (context.room, context.commit_hash);
                let place = SlotPlace { room, commit_hash, header: self.header_bytes };
                let opened = open_slot(self.slots, place, device, secret);
                MessageKeys(opened.ok_or(MessageError::NoSlot)??)
            }
            (suite, _) => return Err(MessageError::Suite(suite)),
        };
        let aad = aad(context, self.header_bytes, self.slots);
        let padded = aead_open(keys.once(), &aad, self.ct)?;
        self.opened(Disclosure { franking_key: *keys.franking_key(), padded: padded.to_vec() })
    }

    fn opened(&self, disclosure: Disclosure) -> Result<OpenedMessage, MessageError> {
        let plaintext = self.check_disclosure(&disclosure)?;
        Ok(OpenedMessage { plaintext, disclosure })
    }

    /// Checks what somebody discloses as the text of this message, for an abuse report.
    ///
    /// Together with [`Self::verify_signature`] it proves that the author wrote it.
    ///
    /// # Errors
    ///
    /// [`MessageError::Commitment`] if it is not the text, [`MessageError::Padding`] if the author
    /// committed to something malformed. Retrying never helps.
    pub fn check_disclosure(&self, disclosure: &Disclosure) -> Result<Plaintext, MessageError> {
        let found = match self.header.suite {
            Suite::Open => open_room_commitment(&disclosure.padded),
            Suite::Sealed => frank(&disclosure.franking_key, &disclosure.padded),
        };
        if !equal(&found.0, &self.header.pt_com.0) {
            return Err(MessageError::Commitment);
        }
        Ok(Plaintext::decode_padded(&disclosure.padded)?)
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("header", &self.header).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
