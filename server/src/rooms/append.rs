//! Appending messages: the hot path.
//!
//! Owns what surrounds the rules of [`log::admit`](mathia_protocol::log::admit): reading the header,
//! rates, the place in the log. Signatures are not checked here: the connection proves the device,
//! every client checks, and [`super::sampler`] looks at one now and then.

use mathia_protocol::crypto::hash::sha256;
use mathia_protocol::crypto::message::{
    Flags, HEADER_LEN, MessageContext, MessageHeader, TAG_MESSAGE, TAG_SCHEDULED,
};
use mathia_protocol::crypto::user_chain::UserChain;
use mathia_protocol::id::{Counter, Hash, RoomId, Seq};
use mathia_protocol::limits::ENTRY_LEN_MAX;
use mathia_protocol::log::{
    Decision, Incoming, LaneEntry, MessageFault, Sender, needs_agent_key, validate_message,
};
use mathia_protocol::wire::{Fault, Reply};

use super::batch::Batch;
use super::caller::Caller;
use super::room::{NewEntry, Room};
use super::room_writer::RoomWriter;
use super::sampler::Specimen;
use crate::hub::Delivery;
use crate::refusal::{Refusal, not_allowed};
use crate::store::{Read, StoreError};

impl RoomWriter {
    /// Stores a message and emits it to the room.
    pub(super) fn append(
        &mut self,
        b: &mut Batch<'_>,
        caller: &Caller,
        room: RoomId,
        entry: Vec<u8>,
    ) -> Result<Reply, Refusal> {
        self.check_trusted(caller)?;
        let header = message_header(&entry, TAG_MESSAGE)?;
        let room = self.rooms.room(&*b.tx, &self.master, room)?.ok_or(Fault::NotFound)?;
        let chain = self.chains.get(&*b.tx, caller.account)?.ok_or(Fault::NotFound)?;
        let entry_hash = sha256(&[&entry]);
        let has_key = has_key(&*b.tx, room, &chain, caller)?;
        let sender = Sender { device: caller.device, chain: &chain, has_key };
        let incoming = Incoming { header: &header, entry_len: entry.len(), entry_hash };
        let known = seen_hash(&*b.tx, room, &header)?;
        let (state, head) = (&room.state, room.head.seq);
        let lane = room.counters.of(&*b.tx, room.row.number, caller.device)?;
        match validate_message(state, lane, &sender, &incoming, head, &|_: Seq| known) {
            Decision::Repeat { seq, time } => return Ok(Reply::Accepted { seq, time }),
            Decision::Refuse(fault) => return Err(message_fault(fault)),
            Decision::Accept => {}
        }
        let is_person = room.is_person(caller.account);
        room.bucket.check(&self.rates.room_messages, b.now)?;
        if is_person {
            self.rates.messages.take(caller.account, b.now)?;
        } else {
            self.rates.agent_messages.take(caller.account, b.now)?;
        }
        room.bucket.take(&self.rates.room_messages, b.now)?;
        if let Some(device) = chain.device(caller.device) {
            let commit_hash = room.state.epoch().commit_hash;
            let (account, device, key) = (caller.account, caller.device, device.record.key);
            let context = MessageContext { room: room.row.room, commit_hash, account, device };
            b.output.sample.offer(|| Specimen { entry: entry.clone(), context, key });
        }

        let ctr = Counter(header.ctr());
        let new = NewEntry {
            tag: TAG_MESSAGE,
            bytes: entry,
            entry_hash,
            is_countable: header.flags.has(Flags::COUNTABLE),
            device: caller.device,
            ctr,
        };
        let stored = room.store(b, &self.master, new)?;
        let (number, seq, time) = (room.row.number, stored.seq, b.now);
        let accepted = LaneEntry { ctr, seq, time, entry_hash };
        room.counters.of(&*b.tx, number, caller.device)?.push(accepted);
        if is_person {
            room.marks.raise_read(caller.account, seq, None);
        }
        self.mark_timers.extend(room.newly_due(b.now));
        b.emit(Delivery::Entry { room: number, seq, frame: stored.frame });
        Ok(Reply::Accepted { seq, time })
    }
}

/// Reads the clear header of a live or scheduled message.
pub(super) fn message_header(entry: &[u8], tag: u8) -> Result<MessageHeader, Fault> {
    debug_assert!(tag == TAG_MESSAGE || tag == TAG_SCHEDULED);
    if entry.len() > ENTRY_LEN_MAX {
        return Err(Fault::TooLarge { max: u32::try_from(ENTRY_LEN_MAX).unwrap_or(u32::MAX) });
    }
    let header = match entry.split_first() {
        Some((first, rest)) if *first == tag => rest.first_chunk::<HEADER_LEN>(),
        _ => None,
    };
    MessageHeader::decode(header.ok_or(Fault::Malformed)?).map_err(|_| Fault::Malformed)
}

/// `H` at the place that a sender claims to have seen; `None` beyond the head.
pub(super) fn seen_hash(
    read: &dyn Read,
    room: &Room,
    header: &MessageHeader,
) -> Result<Option<Hash>, StoreError> {
    Ok(room.position(read, header.seen_seq)?.map(|(hash, _)| hash))
}

/// Whether the sender can write in the newest epoch: an agent that reads only what is sealed to it
/// needs a sender key that a member made for it.
pub(super) fn has_key(
    read: &dyn Read,
    room: &Room,
    chain: &UserChain,
    caller: &Caller,
) -> Result<bool, StoreError> {
    if !needs_agent_key(&room.state, chain) {
        return Ok(true);
    }
    let epoch = room.state.epoch().epoch;
    Ok(!read.wraps(room.row.number, caller.device, epoch)?.is_empty())
}

/// The refusal of a message by the rules.
pub(super) fn message_fault(fault: MessageFault) -> Refusal {
    let fault = match fault {
        MessageFault::CtrConflict { last } => Fault::CtrConflict { last },
        MessageFault::OutOfOrder { last } => Fault::OutOfOrder { last },
        MessageFault::StaleEpoch { epoch } => Fault::StaleEpoch { epoch },
        MessageFault::NotMember => Fault::NotFound,
        MessageFault::NoAgentKey => Fault::NeedRotate,
        MessageFault::BadSeen => Fault::BadSeen,
        MessageFault::TooLarge => {
            Fault::TooLarge { max: u32::try_from(ENTRY_LEN_MAX).unwrap_or(u32::MAX) }
        }
        MessageFault::Mode | MessageFault::Placement => Fault::Malformed,
        MessageFault::OtherDevice | MessageFault::DeviceRevoked => {
            return not_allowed(&fault.to_string());
        }
    };
    fault.into()
}
