//! The absent: people of a session's small rooms who have no session, and when they were last seen.
//!
//! The hub reports those who have one. Bounded on every side, since it is part of each login.

use std::collections::BTreeSet;

use mathia_protocol::id::AccountId;
use mathia_protocol::limits::SMALL_ROOM_MEMBERS_MAX;
use mathia_protocol::wire::{PresenceLine, PresenceState};

use crate::hub::Hub;
use crate::store::{Read, RoomRow, StoreError};

/// Rooms that are looked through: more than anybody follows at a time.
const ROOMS_MAX: usize = 32;
/// People that are listed, 42 bytes each.
const LINES_MAX: usize = 256;

/// The people of these rooms who have no session.
pub(super) fn absent(
    hub: &Hub,
    read: &dyn Read,
    rooms: &[RoomRow],
) -> Result<Vec<PresenceLine>, StoreError> {
    let mut people = BTreeSet::<AccountId>::new();
    for room in rooms.iter().take(ROOMS_MAX).map(|row| row.number) {
        if people.len() >= LINES_MAX || hub.is_large(room) {
            continue;
        }
        let members = read.members(room)?;
        if members.len() > SMALL_ROOM_MEMBERS_MAX {
            hub.note_large(room);
        } else {
            people.extend(members);
        }
    }
    let people: Vec<AccountId> = people.into_iter().take(LINES_MAX).collect();
    let mut lines = Vec::new();
    for (account, last_seen) in hub.absent(&people) {
        let last_seen = if let Some(time) = last_seen {
            time
        } else {
            let Some(row) = read.account(account)? else { continue };
            hub.note_last_seen(account, row.last_seen);
            row.last_seen
        };
        lines.push(PresenceLine { account, state: PresenceState::Offline, last_seen });
    }
    Ok(lines)
}
