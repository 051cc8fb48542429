//! Forgetting what a room's policy says to forget (CRYPTO B3, `retention_days`).
//!
//! Texts older than the policy are replaced by their hashes, so the rolling hash survives; when all of
//! an epoch has expired its secret is wiped. That is the only forward secrecy on offer.

use std::rc::Rc;

use super::super::entry::StoredContent;
use super::super::replica::{Stored, Write};
use super::Engine;
use crate::id::{RoomId, Seq, TimeMs};

/// Entries looked at in one go.
const LOOK_MAX: u32 = 256;
/// A day in milliseconds.
const DAY_MS: u64 = 24 * 3_600 * 1_000;

impl Engine {
    /// Forgets what is due in all rooms.
    pub(super) async fn forget_expired(self: &Rc<Self>) {
        let due: Vec<(RoomId, TimeMs)> = {
            let core = self.core.borrow();
            let now = self.now();
            let days = |room: &super::room::Room| {
                room.state.as_ref().map_or(0, |state| state.policy().retention_days)
            };
            core.rooms
                .values()
                .map(|room| (room.id, u64::from(days(room))))
                .filter(|(_, days)| *days > 0)
                .map(|(id, days)| (id, TimeMs(now.0.saturating_sub(days * DAY_MS))))
                .collect()
        };
        for (id, before) in due {
            loop {
                match self.forget_page(id, before) {
                    Ok(true) => tokio::task::yield_now().await,
                    Ok(false) => break,
                    Err(error) => {
                        self.storage_failed(&error);
                        return;
                    }
                }
            }
        }
    }

    /// Forgets some of what is older than `before`; `true` if there may be more.
    fn forget_page(&self, id: RoomId, before: TimeMs) -> Stored<bool> {
        let done = self.replica.expired_upto(id)?;
        let entries = self.replica.entries_after(id, done, LOOK_MAX)?;
        let (mut upto, mut writes) = (done, Vec::new());
        for entry in entries.iter().take_while(|entry| entry.time < before) {
            if !matches!(entry.content, StoredContent::Change(()) | StoredContent::Expired) {
                let (seq, content, is_mention) = (entry.seq, StoredContent::Expired, false);
                writes.push(Write::Content { room: id, seq, content, is_mention });
            }
            upto = entry.seq;
        }
        if upto == done {
            return Ok(false);
        }
        writes.push(Write::ExpiredUpto { room: id, upto });
        self.replica.commit(&writes)?;
        self.wipe_epochs(id, upto)?;
        self.tell_room(id);
        Ok(entries.last().is_some_and(|last| last.seq == upto))
    }

    /// Wipes the secrets of epochs that ended before everything that is still kept.
    fn wipe_epochs(&self, id: RoomId, upto: Seq) -> Stored<()> {
        let mut core = self.core.borrow_mut();
        let Some(room) = core.rooms.get_mut(&id) else { return Ok(()) };
        room.expired_upto = upto;
        let Some(state) = &room.state else { return Ok(()) };
        let ended: Vec<_> = state
            .epochs()
            .iter()
            .map(|record| record.epoch)
            .filter(|epoch| state.epoch_end(*epoch).is_some_and(|end| end <= upto.next()))
            .collect();
        for epoch in ended {
            self.replica.wipe_epoch_secret(id, epoch)?;
            room.forget_senders(epoch);
        }
        Ok(())
    }
}
