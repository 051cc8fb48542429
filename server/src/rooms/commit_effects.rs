//! The effects of a commit: who gets the room from now on, who no more, and what each is sent.
//!
//! Owns the order of these deliveries. A newcomer learns of the room before its first entry; an
//! account that is gone gets nothing after it.

use mathia_protocol::crypto::commit::Role;
use mathia_protocol::crypto::user_chain::Device;
use mathia_protocol::id::{AccountId, Counter, DeviceId, Seq};
use mathia_protocol::log::Applied;
use mathia_protocol::wire::{Event, RoomHead, Wrap};

use super::batch::Batch;
use super::room::{Room, StoredEntry};
use crate::accounts::{BatchChains, KnownChains};
use crate::hub::{Delivery, event_frame};
use crate::store::{Read, StoreError, WrapRow};

/// A judged commit, ready to be written.
pub(super) struct JudgedCommit {
    /// What it does to the members.
    pub(super) applied: Applied,
    /// A wrap for every device that needs one.
    pub(super) wraps: Vec<Wrap>,
    /// What came with the commit, also for agents that need no wrap but a sender key.
    pub(super) given: Vec<Wrap>,
    /// The chains that it was judged by.
    pub(super) chains: KnownChains,
    /// Whether it founds the room.
    pub(super) is_create: bool,
}

/// Writes and emits what follows from a commit that has its place.
pub(super) fn apply_effects(
    b: &mut Batch<'_>,
    chains: &BatchChains,
    room: &mut Room,
    commit: JudgedCommit,
    stored: StoredEntry,
) -> Result<(), StoreError> {
    let number = room.number();
    let JudgedCommit { applied: Applied { newcomers, gone, .. }, wraps, .. } = commit;
    if !newcomers.is_empty() || !gone.is_empty() {
        b.tx.change_members(number, &newcomers, &gone)?;
    }
    let epoch = room.state.epoch().epoch;
    let row = |wrap: Wrap| {
        let Wrap { account, device, hpke_gen, sealed } = wrap;
        WrapRow { room: number, epoch, account, device, hpke_gen, sealed }
    };
    if !wraps.is_empty() {
        b.tx.insert_wraps(&wraps.into_iter().map(row).collect::<Vec<_>>())?;
    }
    for account in &gone {
        room.marks.forget(*account);
        b.emit(Delivery::Left { room: number, account: *account });
        b.emit_to_account(*account, Event::RoomGone { room: room.row.room });
    }
    for account in &newcomers {
        welcome(b, chains, room, *account, stored.seq)?;
    }
    b.emit(Delivery::Entry { room: number, seq: stored.seq, frame: stored.frame });
    Ok(())
}

/// Adds a newcomer to the room, with nothing unread: what was before is not theirs to catch up on.
fn welcome(
    b: &mut Batch<'_>,
    chains: &BatchChains,
    room: &mut Room,
    account: AccountId,
    seq: Seq,
) -> Result<(), StoreError> {
    if room.state.member(account).is_some_and(|member| member.role != Role::Agent) {
        room.marks.raise_read(account, seq, None);
        b.tx.raise_delivered(room.number(), account, seq)?;
        b.tx.raise_read(room.number(), account, seq, None)?;
    }
    b.emit(Delivery::Joined { room: room.number(), account });
    let was_here = room.state.stays(account).len() > 1;
    if was_here {
        // Its devices have counters of an earlier stay, each its own.
        for device in devices_of(b, chains, account)? {
            let last = room.counters.of(&*b.tx, room.row.number, device)?.last();
            let frame = event_frame(Event::Room(head_for(&*b.tx, room, account, last)?));
            b.emit(Delivery::Device { device, frame });
        }
    } else {
        let head = head_for(&*b.tx, room, account, Counter(0))?;
        b.emit_to_account(account, Event::Room(head));
    }
    Ok(())
}

fn devices_of(
    b: &Batch<'_>,
    chains: &BatchChains,
    account: AccountId,
) -> Result<Vec<DeviceId>, StoreError> {
    let chain = chains.get(&*b.tx, account)?;
    Ok(chain.map_or_else(Vec::new, |chain| {
        chain.devices_at(chain.head().seq).map(Device::id).collect()
    }))
}

/// Where a room stands for one account and device.
pub(super) fn head_for(
    read: &dyn Read,
    room: &Room,
    account: AccountId,
    last_counter: Counter,
) -> Result<RoomHead, StoreError> {
    let (delivered_upto, read_upto) = room.marks.of(account);
    let (delivered, read_by) = room.marks.histograms();
    Ok(RoomHead {
        room: room.row.room,
        number: room.row.number,
        workspace: room.row.workspace,
        seq: room.head.seq,
        hash: room.head.hash,
        commit_seq: room.head.commit_seq,
        last_counter,
        delivered_upto,
        read_upto,
        n_unread: room.n_unread(read, read_upto)?,
        delivered,
        read: read_by,
    })
}
