//! Which device may be handed which epoch's secret after the fact (CRYPTO B3, `KeyRequest`).
//!
//! Every member device asks this before it answers a request for keys. The commitment in the commit
//! proves that an answer is true; only this proves that it may be given.

use super::room_state::RoomState;
use crate::crypto::commit::{HistoryRule, Member, Role};
use crate::crypto::user_chain::UserChain;
use crate::id::{DeviceId, Epoch};

/// Says whether a device may have the secret of an epoch.
///
/// It must be un-revoked in the newest chain of a present member: refresh `chain` first. People may
/// have any epoch where history is shared, else those during which they were members. Agents may
/// only have those during which they held the secret, so that turning one on never opens the past.
pub fn may_have_key(state: &RoomState, chain: &UserChain, device: DeviceId, epoch: Epoch) -> bool {
    let account = chain.account();
    let (Some(member), Some(_)) = (state.member(account), state.epoch_record(epoch)) else {
        return false;
    };
    if !chain.is_active(device) || epoch == Epoch(0) {
        return false;
    }
    if member.role == Role::Agent {
        let held = |then: &Member| then.account == account && !then.is_mention_agent();
        return !member.is_mention_agent() && state.members_during(epoch).iter().any(held);
    }
    state.policy().history == HistoryRule::All || state.was_member_during(account, epoch)
}
