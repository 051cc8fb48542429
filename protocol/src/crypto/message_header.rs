//! The header of a message: 128 bytes that everyone may read and nobody may change (CRYPTO B4).
//!
//! ```text
//! ver u8 | suite u8 | flags u16 | epoch u32 | device[16] | ctr u64 | prev_own[16] |
//! seen_seq u64 | seen_hash[16] | salt[16] | pt_com[32] | time_ms u64
//! ```

use super::ce::{CeError, Reader, Writer, byte_enum};
use crate::id::{Counter, DeviceId, Epoch, Hash, Seq, TimeMs};

/// The size of a header, in bytes.
pub const HEADER_LEN: usize = 128;
const VERSION: u8 = 1;
/// Counters of scheduled messages have this bit, those of live ones have it not. So the tag, which
/// is not signed, can never be swapped.
const SCHEDULED_BIT: u64 = 1 << 63;

byte_enum!(
    /// How the text of a message is protected.
    Suite, "suite", {
        /// Not sealed: an open room.
        Open = 0,
        /// AES-256-GCM under keys of the epoch.
        Sealed = 1,
    }
);

/// Marks on a message that the server may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u16);

impl Flags {
    /// No mark.
    pub const NONE: Self = Self(0);
    /// The message is also sealed to agents. Set by the sealing itself.
    pub const HAS_SLOTS: Self = Self(1);
    /// The message counts as unread.
    pub const COUNTABLE: Self = Self(2);
    /// The message rings nowhere.
    pub const SILENT: Self = Self(4);
    const KNOWN: u16 = 7;

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Says whether all marks of `other` are here.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The marks without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// How a message came into the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Sent live: one more than the device's message before, which it names.
    Live {
        /// 1 for the device's first message in the room, then one more each time.
        counter: Counter,
        /// First half of the SHA-256 of the device's entry before in this room; zero in the first.
        prev_own: [u8; 16],
    },
    /// Sent for later, outside the counters.
    Scheduled {
        /// A random number with the highest bit set, see [`Placement::scheduled`].
        id: u64,
    },
}

impl Placement {
    /// The placement of a scheduled message with 63 bits of randomness.
    pub fn scheduled<R: rand::CryptoRng>(rng: &mut R) -> Self {
        Self::Scheduled { id: rng.next_u64() | SCHEDULED_BIT }
    }
}

/// A message header, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageHeader {
    /// How the text is protected.
    pub suite: Suite,
    /// Marks that the server may read.
    pub flags: Flags,
    /// The epoch whose keys seal it; 0 in open rooms.
    pub epoch: Epoch,
    /// The sending device.
    pub device: DeviceId,
    /// Counter and chain of the sending device.
    pub placement: Placement,
    /// The newest log position the sender had verified.
    pub seen_seq: Seq,
    /// The first half of `H` at that position.
    pub seen_hash: [u8; 16],
    /// Makes the keys of this message its own; zero in open rooms.
    pub salt: [u8; 16],
    /// Commits to the padded text.
    pub pt_com: Hash,
    /// When it was written, by the sender's clock.
    pub time: TimeMs,
}

impl MessageHeader {
    /// The number in the `ctr` field: the counter, or the id of a scheduled message.
    pub fn ctr(&self) -> u64 {
        match self.placement {
            Placement::Live { counter, .. } => counter.0,
            Placement::Scheduled { id } => id,
        }
    }

    /// Encodes the header.
    #[expect(clippy::missing_panics_doc, reason = "the fields have 128 bytes together")]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let prev_own = match self.placement {
            Placement::Live { prev_own, .. } => prev_own,
            Placement::Scheduled { .. } => [0; 16],
        };
        Writer::with_capacity(HEADER_LEN)
            .u8(VERSION)
            .u8(self.suite.to_byte())
            .u16(self.flags.0)
            .u32(self.epoch.0)
            .fixed(&self.device.0)
            .u64(self.ctr())
            .fixed(&prev_own)
            .u64(self.seen_seq.0)
            .fixed(&self.seen_hash)
            .fixed(&self.salt)
            .fixed(&self.pt_com.0)
            .u64(self.time.0)
            .finish()
            .try_into()
            .expect("the fields have 128 bytes together")
    }

    /// Reads what [`Self::encode`] writes, and nothing else.
    ///
    /// # Errors
    ///
    /// Any [`CeError`]; retrying never helps.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, CeError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            VERSION => {}
            value => return Err(CeError::Unknown { what: "version", value }),
        }
        let suite = Suite::from_byte(reader.u8()?)?;
        let flags = reader.u16()?;
        if flags & !Flags::KNOWN != 0 {
            return Err(CeError::Unknown { what: "flag", value: flags.to_be_bytes()[0] });
        }
        let epoch = Epoch(reader.u32()?);
        let device = DeviceId(reader.array()?);
        let placement = match (reader.u64()?, reader.array()?) {
            (id, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) if id & SCHEDULED_BIT != 0 => {
                Placement::Scheduled { id }
            }
            (counter, prev_own) if (1..SCHEDULED_BIT).contains(&counter) => {
                Placement::Live { counter: Counter(counter), prev_own }
            }
            (ctr, _) => {
                return Err(CeError::Unknown { what: "counter", value: ctr.to_be_bytes()[0] });
            }
        };
        let header = Self {
            suite,
            flags: Flags(flags),
            epoch,
            device,
            placement,
            seen_seq: Seq(reader.u64()?),
            seen_hash: reader.array()?,
            salt: reader.array()?,
            pt_com: Hash(reader.array()?),
            time: TimeMs(reader.u64()?),
        };
        reader.finish()?;
        header.check_suite()?;
        Ok(header)
    }

    /// Fields that have no meaning in a suite are zero there, so that there is one encoding.
    fn check_suite(&self) -> Result<(), CeError> {
        let is_fine = match self.suite {
            Suite::Open => {
                self.epoch.0 == 0 && self.salt == [0; 16] && !self.flags.has(Flags::HAS_SLOTS)
            }
            Suite::Sealed => self.epoch.0 != 0,
        };
        let value = self.suite.to_byte();
        if is_fine { Ok(()) } else { Err(CeError::Unknown { what: "epoch of this suite", value }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(placement: Placement) -> MessageHeader {
        MessageHeader {
            suite: Suite::Sealed,
            flags: Flags::COUNTABLE.and(Flags::SILENT),
            epoch: Epoch(3),
            device: DeviceId([4; 16]),
            placement,
            seen_seq: Seq(5),
            seen_hash: [6; 16],
            salt: [7; 16],
            pt_com: Hash([8; 32]),
            time: TimeMs(9),
        }
    }

    #[test]
    fn a_header_has_one_encoding_of_128_bytes() {
        let live = Placement::Live { counter: Counter(2), prev_own: [1; 16] };
        for placement in [live, Placement::Scheduled { id: SCHEDULED_BIT | 0x77 }] {
            let header = header(placement);
            assert_eq!(MessageHeader::decode(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn a_live_message_can_never_pass_for_a_scheduled_one() {
        let first = Placement::Live { counter: Counter(1), prev_own: [0; 16] };
        let decoded = MessageHeader::decode(&header(first).encode()).unwrap();
        assert_eq!(decoded.placement, first);
        for counter in [0, SCHEDULED_BIT] {
            let wrong = Placement::Live { counter: Counter(counter), prev_own: [1; 16] };
            assert!(MessageHeader::decode(&header(wrong).encode()).is_err());
        }
    }

    #[test]
    fn unknown_versions_suites_and_flags_are_refused() {
        let live = Placement::Live { counter: Counter(2), prev_own: [1; 16] };
        let good = header(live).encode();
        for (place, value) in [(0, 2), (1, 2), (1, 0), (2, 1), (3, 8)] {
            let mut bytes = good;
            bytes[place] = value;
            assert!(MessageHeader::decode(&bytes).is_err(), "byte {place} = {value}");
        }
    }
}
