//! One piece of an answer on its way: sealed, signed, and gone when it was not heard (CRYPTO B6).
//!
//! ```text
//! K(32) || N(12) = HKDF-Expand(SK_agent, "delta" || answer_id || be32(index), 44)
//! aad   = room_id || commit_hash || device || answer_id || be32(index) || be32(offset)
//! ct    = AES-256-GCM(K, N, aad, padded)            open rooms: padded
//! delta = epoch u32 | answer_id[16] | index u32 | offset u32 | ct | sig[64]
//!         sig = sign(device, "delta", aad || ct)    padded = CE(kind 0, ask u64 || text), padded
//! ```
//!
//! `answer_id` is random for each attempt, so a key is never used twice. Deltas are padded as messages
//! are: the lengths of a model's tokens would tell what it says.

use std::fmt;

use rand::CryptoRng;

use super::ce::{CeError, Reader, Writer};
use super::epoch::SenderKey;
use super::hash::expand;
use super::identity::{BadSignature, Signature, SigningKey, VerifyKey};
use super::labels;
use super::message::{OpenWith, SealWith};
use super::plaintext::{PaddingError, Plaintext, is_padded_len};
use super::seal::{OpenError, TAG_LEN, aead_open, aead_seal};
use crate::id::{DeviceId, Epoch, Hash, RoomId, Seq};
use crate::limits::{DELTA_LEN_MAX, DELTA_TEXT_LEN_MAX};

/// The content number inside a delta: text that follows what came before.
const TEXT: u8 = 0;
/// Bytes before the sealed text.
const HEADER_LEN: usize = 4 + AnswerId::LEN + 4 + 4;

/// Names one attempt at an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerId(pub [u8; 16]);

impl AnswerId {
    /// Bytes of the identifier.
    pub const LEN: usize = 16;

    /// A new one.
    pub fn generate<R: CryptoRng>(rng: &mut R) -> Self {
        let mut bytes = [0; Self::LEN];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

/// What both sides know about a delta without being told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaContext {
    /// The room.
    pub room: RoomId,
    /// The commit that started the epoch; in open rooms the Create commit, so the room.
    pub commit_hash: Hash,
    /// The agent's device.
    pub device: DeviceId,
}

/// Where a delta stands in its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaPlace {
    /// The epoch of the answer's first delta; 0 in open rooms.
    pub epoch: Epoch,
    /// The attempt.
    pub answer: AnswerId,
    /// Its number, from 0.
    pub index: u32,
    /// Bytes of text before it.
    pub offset: u32,
}

/// A piece of an answer, read but neither verified nor opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Delta<'a> {
    /// Where it stands.
    pub place: DeltaPlace,
    ct: &'a [u8],
    signature: Signature,
}

/// A piece of an answer.
#[derive(Clone, PartialEq, Eq)]
pub struct DeltaText {
    /// The ask that is being answered.
    pub ask: Seq,
    /// What comes next. Text from outside.
    pub text: String,
}

/// Why a delta is not accepted. Retrying never helps; the final entry makes up for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// The bytes are no delta.
    #[error("the delta is malformed: {0}")]
    Malformed(#[from] CeError),
    /// It is not signed by this device for this place.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// It does not open with this key, or the key does not fit the room.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The text is not padded as it must be.
    #[error(transparent)]
    Padding(#[from] PaddingError),
}

impl fmt::Debug for Delta<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delta({:?}, {} bytes)", self.place, self.ct.len())
    }
}

impl fmt::Debug for DeltaText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeltaText(to {}, {} bytes)", self.ask, self.text.len())
    }
}

/// Seals and signs a piece of at most [`DELTA_TEXT_LEN_MAX`] bytes; `None` if it is longer.
pub fn seal_delta(
    context: &DeltaContext,
    with: SealWith<'_>,
    place: DeltaPlace,
    piece: &DeltaText,
    signer: &SigningKey,
) -> Option<Vec<u8>> {
    if piece.text.len() > DELTA_TEXT_LEN_MAX {
        return None;
    }
    let mut body = Writer::with_capacity(8 + piece.text.len());
    let body = body.u64(piece.ask.0).fixed(piece.text.as_bytes()).finish();
    let padded = Plaintext { kind: TEXT, body }.encode_padded()?;
    let aad = aad(context, place);
    let ct = match with {
        SealWith::SenderKey(key) => aead_seal(&once(key, place), &aad, &padded),
        SealWith::Open => padded,
    };
    let signature = signer.sign(labels::DELTA, &[&aad, &ct]);
    let mut writer = Writer::with_capacity(HEADER_LEN + ct.len() + signature.0.len());
    writer.u32(place.epoch.0).fixed(&place.answer.0).u32(place.index).u32(place.offset);
    Some(writer.fixed(&ct).fixed(&signature.0).finish())
}

impl<'a> Delta<'a> {
    /// Reads the form.
    ///
    /// # Errors
    ///
    /// [`DeltaError::Malformed`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DeltaError> {
        if bytes.len() > DELTA_LEN_MAX {
            return Err(CeError::TooLong { len: bytes.len(), max: DELTA_LEN_MAX }.into());
        }
        let (blob, signature) = Signature::split_from(bytes).ok_or(CeError::Short)?;
        let mut r = Reader::new(blob);
        let epoch = Epoch(r.u32()?);
        let answer = AnswerId(r.array()?);
        let (index, offset) = (r.u32()?, r.u32()?);
        let ct = r.take(r.remaining())?;
        let overhead = if epoch == Epoch(0) { 0 } else { TAG_LEN };
        match ct.len().checked_sub(overhead) {
            Some(len) if is_padded_len(len) => {}
            Some(len) => return Err(CeError::Trailing(len).into()),
            None => return Err(CeError::Short.into()),
        }
        Ok(Self { place: DeltaPlace { epoch, answer, index, offset }, ct, signature })
    }

    /// Checks that the agent's device `key` said this here, and opens it.
    ///
    /// # Errors
    ///
    /// [`DeltaError`], naming the check that failed.
    pub fn open(
        &self,
        context: &DeltaContext,
        with: OpenWith<'_>,
        key: &VerifyKey,
    ) -> Result<DeltaText, DeltaError> {
        let aad = aad(context, self.place);
        if key.device_id() != context.device {
            return Err(BadSignature.into());
        }
        key.verify(labels::DELTA, &[&aad, self.ct], &self.signature)?;
        let padded = match (with, self.place.epoch) {
            (OpenWith::Open, Epoch(0)) => zeroize::Zeroizing::new(self.ct.to_vec()),
            (OpenWith::SenderKey(sender), epoch) if epoch != Epoch(0) => {
                aead_open(&once(sender, self.place), &aad, self.ct)?
            }
            _ => return Err(OpenError.into()),
        };
        let plaintext = Plaintext::decode_padded(&padded)?;
        let mut r = Reader::new(&plaintext.body);
        let ask = Seq(r.u64()?);
        let text = std::str::from_utf8(r.take(r.remaining())?);
        let text = text.map_err(|_| CeError::Text("piece of an answer"))?.to_owned();
        match plaintext.kind {
            TEXT => Ok(DeltaText { ask, text }),
            value => Err(CeError::Unknown { what: "piece of an answer", value }.into()),
        }
    }
}

fn once(key: &SenderKey, place: DeltaPlace) -> zeroize::Zeroizing<[u8; 44]> {
    expand(&key.to_bytes(), labels::DELTA, &[&place.answer.0, &place.index.to_be_bytes()])
}

fn aad(context: &DeltaContext, place: DeltaPlace) -> Vec<u8> {
    let (index, offset) = (place.index.to_be_bytes(), place.offset.to_be_bytes());
    let parts: [&[u8]; 6] = [
        &context.room.0,
        &context.commit_hash.0,
        &context.device.0,
        &place.answer.0,
        &index,
        &offset,
    ];
    parts.concat()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::crypto::epoch::{EpochSecret, RoomKey};
    use crate::id::AccountId;

    const ROOM: RoomId = RoomId([7; 32]);

    fn context(signer: &SigningKey) -> DeltaContext {
        DeltaContext { room: ROOM, commit_hash: Hash([8; 32]), device: signer.device_id() }
    }

    fn place(index: u32) -> DeltaPlace {
        DeltaPlace { epoch: Epoch(2), answer: AnswerId([9; 16]), index, offset: 5 }
    }

    fn piece(text: &str) -> DeltaText {
        DeltaText { ask: Seq(3), text: text.to_owned() }
    }

    fn agent() -> (SigningKey, SenderKey) {
        let signer = SigningKey::generate(&mut StdRng::seed_from_u64(1));
        let room_key = RoomKey::derive(Hash([8; 32]), &EpochSecret::from_bytes(&[1; 32]));
        let sender = SenderKey::derive(&room_key, AccountId([2; 32]), signer.device_id());
        (signer, sender)
    }

    #[test]
    fn a_piece_opens_where_it_was_said_and_nowhere_else() {
        let (signer, sender) = agent();
        let (context, with) = (context(&signer), SealWith::SenderKey(&sender));
        let sealed = seal_delta(&context, with, place(1), &piece("hello"), &signer).unwrap();
        let open = |bytes: &[u8], context: &DeltaContext| {
            let key = OpenWith::SenderKey(&sender);
            Delta::decode(bytes).and_then(|delta| delta.open(context, key, &signer.public()))
        };
        assert_eq!(open(&sealed, &context), Ok(piece("hello")));
        let elsewhere = DeltaContext { room: RoomId([1; 32]), ..context };
        assert!(open(&sealed, &elsewhere).is_err());
        for at in 4..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&changed, &context).is_err(), "byte {at}");
        }
    }

    #[test]
    fn the_length_of_a_token_does_not_show() {
        let (signer, sender) = agent();
        let seal = |text: &str| {
            let with = SealWith::SenderKey(&sender);
            seal_delta(&context(&signer), with, place(0), &piece(text), &signer).unwrap().len()
        };
        assert_eq!(seal("a"), seal("a considerably longer token"));
        assert!(seal(&"x".repeat(DELTA_TEXT_LEN_MAX)) <= DELTA_LEN_MAX);
    }

    #[test]
    fn a_piece_that_is_too_long_is_not_made() {
        let (signer, sender) = agent();
        let (long, with) = ("x".repeat(DELTA_TEXT_LEN_MAX + 1), SealWith::SenderKey(&sender));
        let sealed = seal_delta(&context(&signer), with, place(0), &piece(&long), &signer);
        assert_eq!(sealed, None);
    }

    #[test]
    fn in_an_open_room_a_piece_is_signed_but_not_sealed() {
        let (signer, sender) = agent();
        let context = context(&signer);
        let place = DeltaPlace { epoch: Epoch(0), ..place(0) };
        let sealed = seal_delta(&context, SealWith::Open, place, &piece("hello"), &signer).unwrap();
        let delta = Delta::decode(&sealed).unwrap();
        let opened = delta.open(&context, OpenWith::Open, &signer.public());
        assert_eq!(opened, Ok(piece("hello")));
        let with_key = delta.open(&context, OpenWith::SenderKey(&sender), &signer.public());
        assert!(with_key.is_err());
    }
}
