//! What only agents do: streaming answers, and saying who runs them and where questions go.
//!
//! Owns who may stream and how often. A piece of an answer is never stored and never waited for: who
//! misses one has the whole answer in the final entry.

use mathia_protocol::crypto::card::AgentCard;
use mathia_protocol::crypto::commit::Role;
use mathia_protocol::crypto::delta::Delta;
use mathia_protocol::crypto::user_chain::AccountKind;
use mathia_protocol::id::{AccountId, RoomId};
use mathia_protocol::limits::{CARD_LEN_MAX, DELTA_LEN_MAX};
use mathia_protocol::wire::{Event, Fault, Reply};

use super::batch::Batch;
use super::caller::Caller;
use super::room_writer::RoomWriter;
use super::staged_wraps::too_large;
use crate::hub::{Delivery, EphemeralKey, event_frame};
use crate::refusal::{Refusal, invalid, not_allowed};
use crate::store::{Read, StoreError};

impl RoomWriter {
    /// Passes a piece of an answer on to everybody else in the room.
    pub(super) fn delta(
        &mut self,
        b: &mut Batch<'_>,
        caller: &Caller,
        room: RoomId,
        delta: Vec<u8>,
    ) -> Result<Reply, Refusal> {
        if delta.len() > DELTA_LEN_MAX {
            return Err(too_large(DELTA_LEN_MAX).into());
        }
        let place = Delta::decode(&delta).map_err(|_| Fault::Malformed)?.place;
        let room = self.member_room(b, caller.account, room)?;
        let is_agent =
            room.state.member(caller.account).is_some_and(|member| member.role == Role::Agent);
        if !is_agent {
            return Err(not_allowed("only agents stream"));
        }
        let number = room.row.number;
        self.rates.deltas.take(place.answer, b.now)?;
        let (account, device) = (caller.account, caller.device);
        let event = Event::Delta { room: number, account, device, delta };
        b.emit(Delivery::Ephemeral {
            room: number,
            key: EphemeralKey::Delta(place.answer, place.index),
            frame: event_frame(event),
            except: Some(account),
        });
        Ok(Reply::Done)
    }

    /// Keeps what an agent says of itself, unless it is older than what is kept.
    pub(super) fn put_card(
        &mut self,
        b: &mut Batch<'_>,
        caller: &Caller,
        card: &[u8],
    ) -> Result<Reply, Refusal> {
        if card.len() > CARD_LEN_MAX {
            return Err(too_large(CARD_LEN_MAX).into());
        }
        let chain = self.chains.get(&*b.tx, caller.account)?.ok_or(Fault::NotFound)?;
        if chain.kind() != AccountKind::Agent {
            return Err(not_allowed("only agents have a card"));
        }
        let device = chain.device(caller.device).ok_or(Fault::NotFound)?;
        let new = AgentCard::open(card, &device.record.key).map_err(|error| invalid(&error))?;
        if new.account != caller.account {
            return Err(invalid(&"the card is of another agent"));
        }
        if let Some(kept) = agent_card(&*b.tx, caller.account)?
            && AgentCard::decode_unverified(&kept).is_ok_and(|kept| kept.issued > new.issued)
        {
            return Err(invalid(&"the card is older than the one before"));
        }
        b.tx.set_setting(&card_name(caller.account), card)?;
        Ok(Reply::Done)
    }
}

/// What an agent says of itself, as it signed it.
pub(super) fn agent_card(
    read: &dyn Read,
    account: AccountId,
) -> Result<Option<Vec<u8>>, StoreError> {
    read.setting(&card_name(account))
}

fn card_name(account: AccountId) -> String {
    format!("card/{}", account.to_hex())
}
