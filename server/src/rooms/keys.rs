//! Epoch keys on their way between devices: asked for, answered, granted (CRYPTO B3).
//!
//! Owns who may ask for what and who may answer. The server never sees a key: what it passes on is
//! sealed to one device, and the commitment in the epoch's commit proves it there.

use mathia_protocol::crypto::commit::Member;
use mathia_protocol::crypto::user_chain::UserChain;
use mathia_protocol::id::{AccountId, DeviceId, Epoch, RoomId};
use mathia_protocol::limits::DEVICES_MAX;
use mathia_protocol::log::{RoomState, may_have_key};
use mathia_protocol::wire::{DeviceGrant, Event, Fault, KeyAnswer, Reply};

use super::batch::Batch;
use super::caller::Caller;
use super::room_writer::RoomWriter;
use super::staged_wraps::{SEALED_LEN_MAX, too_large};
use crate::hub::{Delivery, event_frame};
use crate::refusal::{Refusal, not_allowed};
use crate::store::{GrantRow, KeyAskRow, WrapRow};

/// Epochs in one request or answer: a year of weekly rotations, several times.
const EPOCHS_MAX: usize = 256;
/// Longest sealed list of older keys: 1,000 epochs of 36 bytes, and the seal.
const GRANT_LEN_MAX: usize = 40 * 1024;

impl RoomWriter {
    /// Notes that a device lacks epoch keys, and emits that to the room.
    pub(super) fn ask_keys(
        &mut self,
        b: &mut Batch<'_>,
        caller: &Caller,
        room: RoomId,
        epochs: &[Epoch],
    ) -> Result<Reply, Refusal> {
        if epochs.is_empty() || epochs.len() > EPOCHS_MAX {
            return Err(too_large(EPOCHS_MAX).into());
        }
        let chain = self.chains.get(&*b.tx, caller.account)?.ok_or(Fault::NotFound)?;
        let room = self.member_room(b, caller.account, room)?;
        let (id, number) = (room.row.room, room.row.number);
        let may_ask = |epoch: &Epoch| may_have(&room.state, &chain, caller.device, *epoch);
        let mut allowed: Vec<Epoch> = epochs.iter().copied().filter(may_ask).collect();
        allowed.sort_unstable();
        allowed.dedup();
        if allowed.is_empty() {
            return Err(not_allowed("keys are for members of their epoch"));
        }
        self.rates.key_asks.take(caller.device, b.now)?;
        for epoch in &allowed {
            let (account, device) = (caller.account, caller.device);
            b.tx.insert_key_ask(&KeyAskRow { room: number, account, device, epoch: *epoch })?;
        }
        let (account, device) = (caller.account, caller.device);
        let event = Event::KeysAsked { room: id, account, device, epochs: allowed };
        b.emit_to_room(number, None, event);
        Ok(Reply::Done)
    }

    /// Passes fresh wraps on to a device that asked. The first answer to each question counts; later
    /// ones are thanked for and forgotten.
    pub(super) fn answer_keys(
        &mut self,
        b: &mut Batch<'_>,
        caller: &Caller,
        room: RoomId,
        asker: (AccountId, DeviceId),
        answers: Vec<KeyAnswer>,
    ) -> Result<Reply, Refusal> {
        if answers.len() > EPOCHS_MAX {
            return Err(too_large(EPOCHS_MAX).into());
        }
        if answers.iter().any(|answer| answer.sealed.len() > SEALED_LEN_MAX) {
            return Err(too_large(SEALED_LEN_MAX).into());
        }
        let (account, device) = asker;
        let chain = self.chains.get(&*b.tx, account)?.ok_or(Fault::NotFound)?;
        let generation = chain.hpke_at(device, chain.head().seq).map(|(_, generation)| generation);
        let room = self.member_room(b, caller.account, room)?;
        if is_mention_agent(&room.state, caller.account) {
            return Err(not_allowed("agents hand out no keys"));
        }
        let (id, number) = (room.row.room, room.row.number);
        for answer in answers {
            let KeyAnswer { epoch, hpke_gen, sealed } = answer;
            let is_fine =
                generation == Some(hpke_gen) && may_have(&room.state, &chain, device, epoch);
            if !is_fine
                || !b.tx.remove_key_ask(&KeyAskRow { room: number, account, device, epoch })?
            {
                continue;
            }
            let row = WrapRow { room: number, epoch, account, device, hpke_gen, sealed };
            b.tx.replace_wrap(&row)?;
            let event = Event::Key { room: id, epoch, hpke_gen, sealed: row.sealed };
            b.emit(Delivery::Device { device, frame: event_frame(event) });
        }
        Ok(Reply::Done)
    }

    /// Keeps older keys that a member leaves for the devices of a newcomer.
    pub(super) fn put_grant(
        &mut self,
        b: &mut Batch<'_>,
        caller: &Caller,
        room: RoomId,
        account: AccountId,
        grants: Vec<DeviceGrant>,
    ) -> Result<Reply, Refusal> {
        if grants.len() > DEVICES_MAX {
            return Err(too_large(DEVICES_MAX).into());
        }
        if grants.iter().any(|grant| grant.sealed.len() > GRANT_LEN_MAX) {
            return Err(too_large(GRANT_LEN_MAX).into());
        }
        let chain = self.chains.get(&*b.tx, account)?.ok_or(Fault::NotFound)?;
        let room = self.member_room(b, caller.account, room)?;
        let (id, number) = (room.row.room, room.row.number);
        let gives_to_reader =
            room.state.is_member(account) && !is_mention_agent(&room.state, account);
        if is_mention_agent(&room.state, caller.account) || !gives_to_reader {
            return Err(not_allowed("keys go from members to members"));
        }
        for grant in grants {
            let DeviceGrant { device, hpke_gen, sealed } = grant;
            if !chain.is_active(device) {
                continue;
            }
            let from = caller.account;
            b.tx.insert_grant(&GrantRow { room: number, from, device, hpke_gen, sealed })?;
            let frame = event_frame(Event::Granted { room: id });
            b.emit(Delivery::Device { device, frame });
        }
        Ok(Reply::Done)
    }
}

fn is_mention_agent(state: &RoomState, account: AccountId) -> bool {
    state.member(account).is_some_and(Member::is_mention_agent)
}

/// Whether a device may be given a key of an epoch: the secret itself by the shared rule, or, for an
/// agent that reads only what is sealed to it, a sender key of the newest epoch (CRYPTO B6).
fn may_have(state: &RoomState, chain: &UserChain, device: DeviceId, epoch: Epoch) -> bool {
    let writes_only = is_mention_agent(state, chain.account());
    may_have_key(state, chain, device, epoch)
        || writes_only && chain.is_active(device) && epoch == state.epoch().epoch
}
