//! Whether a message in the log is believed: what every receiver checks, by name (CRYPTO B4).
//!
//! Owns the list "receiver accepts iff" up to the opening. A message that fails is shown as a red
//! line with the name of the check and kept for a report; it never disappears.

use std::fmt;

use super::chains::{Chains, Context, DeviceFault, speaking_device};
use super::room_state::RoomState;
use super::seen::{KnownHashes, SeenView, compare_seen};
use crate::crypto::message::{Message, MessageContext, Placement, prev_own};
use crate::id::{AccountId, Counter, DeviceId, Seq};

/// The checks of a message, numbered as people are told: "message N failed check X".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Check {
    /// The rolling hash of the log fits.
    Log = 1,
    /// The bytes are a message.
    Form = 2,
    /// The signature is the device's.
    Signature = 3,
    /// The author was a member at that position.
    Member = 4,
    /// The position lies in the epoch that the message is sealed in.
    Epoch = 5,
    /// The counter is the next one of the device; the number of a scheduled message is unused.
    Counter = 6,
    /// The message names the device's message before it.
    PrevOwn = 7,
    /// The device may speak.
    Device = 8,
    /// The author saw the same log.
    Seen = 9,
    /// The text opens.
    Open = 10,
    /// The text is the one that was committed to.
    Commitment = 11,
}

impl Check {
    /// Its number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Log => "log hash",
            Self::Form => "form",
            Self::Signature => "signature",
            Self::Member => "membership",
            Self::Epoch => "epoch",
            Self::Counter => "counter",
            Self::PrevOwn => "previous message",
            Self::Device => "device",
            Self::Seen => "seen position",
            Self::Open => "opening",
            Self::Commitment => "commitment",
        }
    }

    /// Says whether a failure means that there are two histories of the room: the fork alarm is
    /// raised, and sending stops.
    pub const fn means_fork(self) -> bool {
        matches!(self, Self::Log | Self::Seen)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.number(), self.name())
    }
}

/// What a receiver remembers of one device in one room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderLane {
    /// Nothing, since the log before was never held: the first message seen begins the lane.
    Unknown,
    /// The log was held from its beginning: the next message is the device's first.
    Fresh,
    /// The last message with a valid signature.
    At {
        /// Its counter.
        ctr: Counter,
        /// The first half of the SHA-256 of its entry.
        half: [u8; 16],
        /// How many entries without a body lay before it.
        n_gone: u64,
    },
}

impl SenderLane {
    /// The last counter known; 0 if none.
    pub fn last(self) -> Counter {
        match self {
            Self::Unknown | Self::Fresh => Counter(0),
            Self::At { ctr, .. } => ctr,
        }
    }

    /// Checks the next message of the device. Entries whose bodies retention removed may have been
    /// of this device: as many counters may be missing as bodies are.
    fn check(self, counter: Counter, prev_own: [u8; 16], n_gone: u64) -> Result<(), Check> {
        let (last, half, n_gone_before) = match self {
            Self::Unknown => return Ok(()),
            Self::Fresh => (Counter(0), [0; 16], 0),
            Self::At { ctr, half, n_gone } => (ctr, half, n_gone),
        };
        let n_missing_max = n_gone.saturating_sub(n_gone_before);
        let n_missing = counter.0.checked_sub(last.next().0).ok_or(Check::Counter)?;
        match n_missing {
            0 if prev_own == half => Ok(()),
            0 => Err(Check::PrevOwn),
            _ if n_missing <= n_missing_max => Ok(()),
            _ => Err(Check::Counter),
        }
    }

    fn advance(self, entry: &[u8], counter: Counter, n_gone: u64) -> Self {
        if counter <= self.last() {
            return self;
        }
        Self::At { ctr: counter, half: prev_own(entry), n_gone }
    }
}

/// A message entry at its place in a log whose rolling hash fits.
#[derive(Debug, Clone, Copy)]
pub struct Arrived<'a> {
    /// The stored bytes.
    pub entry: &'a [u8],
    /// Whose device it is from, see [`author_of`].
    pub author: AccountId,
    /// Its place.
    pub seq: Seq,
    /// How it came.
    pub context: Context,
    /// How many entries before it have lost their bodies.
    pub n_gone: u64,
    /// For a scheduled one: whether its number already stands in the log.
    pub is_used: bool,
}

/// A message that passed every check but the opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// What opens it, together with the sender key.
    pub context: MessageContext,
    /// The lane of the device from here on.
    pub lane: SenderLane,
    /// Whether the author's view of the log could be compared with ours.
    pub seen: SeenView,
}

/// A message that is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("message {seq} failed check {check}")]
pub struct CheckFailure {
    /// Its place.
    pub seq: Seq,
    /// The first check that failed.
    pub check: Check,
    /// The device may be too new for the chain at hand: fetch the chain and check again before
    /// anything is shown.
    pub needs_chain: bool,
    /// The lane of the device from here on; only a valid signature advances it.
    pub lane: SenderLane,
}

/// Finds whose device sent what stands at `seq`: a member then, or else anyone the room ever had.
pub fn author_of(
    state: &RoomState,
    seq: Seq,
    device: DeviceId,
    chains: &impl Chains,
) -> Option<AccountId> {
    let owns = |account: &AccountId| {
        chains.chain(*account).is_some_and(|chain| chain.device(device).is_some())
    };
    let mut owners = state.everyone().filter(owns);
    let first = owners.next()?;
    let is_then = |account: &AccountId| state.member_at(*account, seq).is_some();
    Some(if is_then(&first) { first } else { owners.find(is_then).unwrap_or(first) })
}

/// Checks a message as every receiver does, all but the opening.
///
/// `state` must know all commits up to the message's place; later ones do not matter.
///
/// # Errors
///
/// [`CheckFailure`] names the check. Checking again helps only if it says `needs_chain` and a newer
/// chain was fetched.
pub fn check_message(
    state: &RoomState,
    chains: &impl Chains,
    lane: SenderLane,
    arrived: &Arrived<'_>,
    known: &impl KnownHashes,
) -> Result<Checked, CheckFailure> {
    let seq = arrived.seq;
    let fail =
        |check: Check, lane: SenderLane| CheckFailure { seq, check, needs_chain: false, lane };
    let message = Message::decode(arrived.entry).map_err(|_| fail(Check::Form, lane))?;
    let header = message.header();
    let too_new = CheckFailure { needs_chain: true, ..fail(Check::Device, lane) };
    let chain = chains.chain(arrived.author).ok_or(too_new)?;
    let device = chain.device(header.device).ok_or(too_new)?;
    let epoch = state.epoch_record(header.epoch).ok_or(fail(Check::Epoch, lane))?;
    let context = MessageContext {
        room: state.room(),
        commit_hash: epoch.commit_hash,
        account: arrived.author,
        device: header.device,
    };
    message
        .verify_signature(&context, &device.record.key)
        .map_err(|_| fail(Check::Signature, lane))?;
    let next_lane = match header.placement {
        Placement::Live { counter, .. } => lane.advance(arrived.entry, counter, arrived.n_gone),
        Placement::Scheduled { .. } => lane,
    };
    let fail = |check| fail(check, next_lane);
    let member = state.member_at(arrived.author, seq).ok_or(fail(Check::Member))?;
    check_place(state, arrived, lane, &message).map_err(fail)?;
    match speaking_device(chain, header.device, member.chain_seq, arrived.context) {
        Ok(_) => {}
        Err(DeviceFault::Unknown) => return Err(too_new),
        Err(DeviceFault::Revoked) => return Err(fail(Check::Device)),
    }
    match compare_seen(header.seen_seq, header.seen_hash, seq, known) {
        SeenView::Fork => Err(fail(Check::Seen)),
        seen => Ok(Checked { context, lane: next_lane, seen }),
    }
}

/// The epoch and the number fit the place.
fn check_place(
    state: &RoomState,
    arrived: &Arrived<'_>,
    lane: SenderLane,
    message: &Message<'_>,
) -> Result<(), Check> {
    let header = message.header();
    match header.placement {
        Placement::Live { counter, prev_own } => {
            let now = state.epoch_at(arrived.seq).map(|record| record.epoch);
            if now != Some(header.epoch) {
                return Err(Check::Epoch);
            }
            lane.check(counter, prev_own, arrived.n_gone)
        }
        // Sealed earlier: any epoch that its author was in, and that had begun by then.
        Placement::Scheduled { .. } => {
            let begun = state
                .epoch_record(header.epoch)
                .is_some_and(|record| record.started_seq < arrived.seq);
            if !begun || !state.was_member_during(arrived.author, header.epoch) {
                return Err(Check::Epoch);
            }
            if arrived.is_used { Err(Check::Counter) } else { Ok(()) }
        }
    }
}
