//! Which messages a server takes into a log, and which it answers as repeats (CRYPTO B4).
//!
//! Owns the order of the checks, which is part of the promise: a repeat is answered first, whatever
//! happened since, so every message is stored exactly once. Signatures are not checked here: the
//! connection proves the device, and every client checks. Rates are the caller's, after `Accept`.

use std::collections::VecDeque;

use super::room_state::RoomState;
use super::seen::{KnownHashes, check_seen_half};
use crate::crypto::commit::{Role, RoomMode};
use crate::crypto::message::{MessageHeader, Placement, Suite};
use crate::crypto::user_chain::UserChain;
use crate::id::{Counter, DeviceId, Epoch, Hash, Seq, TimeMs};
use crate::limits::{ENTRY_LEN_MAX, IN_FLIGHT_MAX};
use crate::wire::DropCause;

/// An accepted message of one device, remembered for repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneEntry {
    /// Its counter.
    pub ctr: Counter,
    /// Its place.
    pub seq: Seq,
    /// The server's time of it.
    pub time: TimeMs,
    /// SHA-256 of its bytes.
    pub entry_hash: Hash,
}

/// What a server remembers of one device in one room: its last accepted messages.
///
/// As many as may be in flight at once, so every honest repeat is recognized.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceLane {
    recent: VecDeque<LaneEntry>,
}

impl DeviceLane {
    /// Starts a lane: empty, or with what was stored, in rising order of counters.
    pub fn new(stored: impl IntoIterator<Item = LaneEntry>) -> Self {
        let mut lane = Self::default();
        stored.into_iter().for_each(|entry| lane.push(entry));
        lane
    }

    /// The last accepted counter; 0 before the first.
    pub fn last(&self) -> Counter {
        self.recent.back().map_or(Counter(0), |entry| entry.ctr)
    }

    /// Remembers an accepted message, and forgets the oldest beyond [`IN_FLIGHT_MAX`].
    pub fn push(&mut self, entry: LaneEntry) {
        if self.recent.len() == IN_FLIGHT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(entry);
    }

    /// What is remembered, oldest first.
    pub fn recent(&self) -> impl ExactSizeIterator<Item = &LaneEntry> {
        self.recent.iter()
    }

    fn find(&self, ctr: Counter) -> Option<&LaneEntry> {
        self.recent.iter().find(|entry| entry.ctr == ctr)
    }
}

/// The session that sends.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The device that the connection logged in with.
    pub device: DeviceId,
    /// The newest chain of its account.
    pub chain: &'a UserChain,
    /// For an agent that reads only what is sealed to it: whether it has a sender key of the newest
    /// epoch. For everybody else: true.
    pub has_key: bool,
}

/// A message that arrived at the server.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Its header.
    pub header: &'a MessageHeader,
    /// The size of the whole entry, in bytes.
    pub entry_len: usize,
    /// SHA-256 of the whole entry.
    pub entry_hash: Hash,
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is stored already: answer as the first time.
    Repeat {
        /// Its place.
        seq: Seq,
        /// The server's time of it.
        time: TimeMs,
    },
    /// Store it at the next place, then [`DeviceLane::push`] it.
    Accept,
    /// Store nothing.
    Refuse(MessageFault),
}

/// Why a message is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageFault {
    /// The counter was used for other bytes. Catch up and go on behind `last`.
    #[error("the counter was used already, the last is {last}")]
    CtrConflict {
        /// The last accepted counter.
        last: Counter,
    },
    /// The header names another device than the connection. Retrying never helps.
    #[error("the message is of another device")]
    OtherDevice,
    /// The device is revoked, or of no chain. Retrying never helps.
    #[error("the device is revoked")]
    DeviceRevoked,
    /// The account is no member of the room. Retrying never helps.
    #[error("the sender is no member")]
    NotMember,
    /// The message is sealed in an end-to-end room's way and the room is open, or the reverse.
    #[error("the message does not fit the mode of the room")]
    Mode,
    /// The message is sealed in another epoch than the newest. Seal anew, same counter.
    #[error("the newest epoch is {epoch}")]
    StaleEpoch {
        /// The newest epoch.
        epoch: Epoch,
    },
    /// The agent was not given a key of this epoch. Ask for one, then retry.
    #[error("the agent has no key of this epoch")]
    NoAgentKey,
    /// The counter leaves a gap, as after a refusal. Send from `last` on.
    #[error("an earlier message is missing, the last is {last}")]
    OutOfOrder {
        /// The last accepted counter.
        last: Counter,
    },
    /// The position it claims to have seen is not in this log. Retrying never helps.
    #[error("the claimed position is not in this log")]
    BadSeen,
    /// Too large. Retrying never helps.
    #[error("the entry has more than {ENTRY_LEN_MAX} bytes")]
    TooLarge,
    /// Live messages and scheduled ones have ways of their own. Retrying never helps.
    #[error("a scheduled message is scheduled, a live one is sent")]
    Placement,
}

/// Decides about a live message, in the order of CRYPTO B4: repeat, sender, epoch, counter, the rest.
///
/// `lane` is that of the sender's device in this room, `head` the newest position of the log.
pub fn validate_message(
    state: &RoomState,
    lane: &DeviceLane,
    sender: &Sender<'_>,
    incoming: &Incoming<'_>,
    head: Seq,
    known: &impl KnownHashes,
) -> Decision {
    match judge_live(state, lane, sender, incoming) {
        Ok(Some(entry)) => Decision::Repeat { seq: entry.seq, time: entry.time },
        Ok(None) => match check_rest(incoming, head, known) {
            Ok(()) => Decision::Accept,
            Err(fault) => Decision::Refuse(fault),
        },
        Err(fault) => Decision::Refuse(fault),
    }
}

fn judge_live<'a>(
    state: &RoomState,
    lane: &'a DeviceLane,
    sender: &Sender<'_>,
    incoming: &Incoming<'_>,
) -> Result<Option<&'a LaneEntry>, MessageFault> {
    let Placement::Live { counter, .. } = incoming.header.placement else {
        return Err(MessageFault::Placement);
    };
    // The lane is the connection's: another device's counters are not in it.
    if incoming.header.device != sender.device {
        return Err(MessageFault::OtherDevice);
    }
    let last = lane.last();
    match lane.find(counter) {
        Some(entry) if entry.entry_hash == incoming.entry_hash => return Ok(Some(entry)),
        Some(_) => return Err(MessageFault::CtrConflict { last }),
        None if counter <= last => return Err(MessageFault::CtrConflict { last }),
        None => {}
    }
    check_sender(state, sender, incoming.header)?;
    let epoch = state.epoch().epoch;
    if incoming.header.epoch != epoch {
        return Err(MessageFault::StaleEpoch { epoch });
    }
    if !sender.has_key {
        return Err(MessageFault::NoAgentKey);
    }
    if counter != last.next() {
        return Err(MessageFault::OutOfOrder { last });
    }
    Ok(None)
}

/// The device is the connection's, un-revoked, of a member, and seals as the room wants it.
fn check_sender(
    state: &RoomState,
    sender: &Sender<'_>,
    header: &MessageHeader,
) -> Result<(), MessageFault> {
    if header.device != sender.device {
        return Err(MessageFault::OtherDevice);
    }
    if !sender.chain.is_active(sender.device) {
        return Err(MessageFault::DeviceRevoked);
    }
    if !state.is_member(sender.chain.account()) {
        return Err(MessageFault::NotMember);
    }
    let suite = match state.mode() {
        RoomMode::E2ee => Suite::Sealed,
        RoomMode::Open => Suite::Open,
    };
    if header.suite == suite { Ok(()) } else { Err(MessageFault::Mode) }
}

fn check_rest(
    incoming: &Incoming<'_>,
    head: Seq,
    known: &impl KnownHashes,
) -> Result<(), MessageFault> {
    let header = incoming.header;
    check_seen_half(header.seen_seq, header.seen_hash, head, known)
        .map_err(|_| MessageFault::BadSeen)?;
    if incoming.entry_len > ENTRY_LEN_MAX { Err(MessageFault::TooLarge) } else { Ok(()) }
}

/// Judges a message that is left to be appended later: as a live one, but in any epoch that its
/// author was a member of, and outside the counters.
///
/// # Errors
///
/// [`MessageFault`]; see there when retrying helps.
pub fn validate_scheduled(
    state: &RoomState,
    sender: &Sender<'_>,
    incoming: &Incoming<'_>,
    head: Seq,
    known: &impl KnownHashes,
) -> Result<(), MessageFault> {
    let Placement::Scheduled { .. } = incoming.header.placement else {
        return Err(MessageFault::Placement);
    };
    check_sender(state, sender, incoming.header)?;
    if !state.was_member_during(sender.chain.account(), incoming.header.epoch) {
        return Err(MessageFault::StaleEpoch { epoch: state.epoch().epoch });
    }
    check_rest(incoming, head, known)
}

/// Judges a scheduled message that is due: appended if its author is still a member, its device
/// un-revoked and its number unused.
///
/// # Errors
///
/// The [`DropCause`] its author is told; retrying never helps.
pub fn validate_due(
    state: &RoomState,
    chain: &UserChain,
    header: &MessageHeader,
    is_used: bool,
) -> Result<(), DropCause> {
    if !state.is_member(chain.account()) {
        return Err(DropCause::NotMember);
    }
    if !chain.is_active(header.device) {
        return Err(DropCause::DeviceRevoked);
    }
    if is_used {
        return Err(DropCause::Used);
    }
    let is_scheduled = matches!(header.placement, Placement::Scheduled { .. });
    if is_scheduled && state.was_member_during(chain.account(), header.epoch) {
        Ok(())
    } else {
        Err(DropCause::Invalid)
    }
}

/// Says whether the member needs a sender key of its own to write: an agent that reads only what is
/// sealed to it, in an end-to-end room.
pub fn needs_agent_key(state: &RoomState, chain: &UserChain) -> bool {
    state.mode() == RoomMode::E2ee
        && state
            .member(chain.account())
            .is_some_and(|member| member.role == Role::Agent && member.is_mention_agent())
}
