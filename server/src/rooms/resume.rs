//! Taking a session up again: where the server has each room, page by page.
//!
//! Owns what a client is told that was away: heads, rooms that are gone, and every fact whose event
//! it may have missed (keys that are asked for, people who joined by its invites).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{MutexGuard, PoisonError};

use mathia_protocol::id::{AccountId, DeviceId, Epoch, RoomId, RoomNumber, Seq, TimeMs};
use mathia_protocol::limits::{HEADS_PAGE_MAX, RESUME_PAGE_MAX, SMALL_ROOM_MEMBERS_MAX};
use mathia_protocol::wire::{Cursor, Event, MarkStep, Reply, RoomHead};

use super::reads::{Asker, REPLY_BYTES_MAX, Reads};
use super::staged::too_large;
use super::stairs::{STEPS_MAX, stairs};
use crate::refusal::Refusal;
use crate::store::{MarkRow, Read, RoomRow, StoreError};

/// A head without its staircases, on the wire, at most.
const HEAD_LEN: usize = 180;
/// A step of a staircase on the wire, at most.
const STEP_LEN: usize = 14;
/// A head with two full staircases.
const HEAD_LEN_MAX: usize = HEAD_LEN + 2 * STEPS_MAX * STEP_LEN;

/// How long the staircases of a large room are told again without counting anew.
const STAIRCASES_KEPT_MS: u64 = 1_000;
/// Large rooms whose staircases are kept.
const STAIRCASES_MAX: usize = 1_024;

/// How far one session's `Resume` has come. Kept by the session from page to page.
#[derive(Debug, Clone, Default)]
pub struct Resuming {
    told: HashSet<RoomId>,
}

/// One page of `Resume`.
#[derive(Debug)]
pub struct Resumed {
    /// The answer.
    pub reply: Reply,
    /// Events to queue right behind it.
    pub events: Vec<Event>,
    /// For the next page.
    pub resuming: Resuming,
}

impl Reads {
    /// Answers one page. The session must hear its rooms before this reads, so that nothing falls
    /// between.
    ///
    /// Heads of named rooms that do not fit come with the last page and those behind it.
    ///
    /// # Errors
    ///
    /// [`Refusal`], as for [`Reads::answer`].
    pub fn resume(
        &self,
        read: &dyn Read,
        asker: Asker,
        mut resuming: Resuming,
        cursors: &[Cursor],
        is_last: bool,
    ) -> Result<Resumed, Refusal> {
        if cursors.len() > RESUME_PAGE_MAX {
            return Err(too_large(RESUME_PAGE_MAX).into());
        }
        let rooms = read.rooms_of(asker.account)?;
        let by_id: HashMap<RoomId, &RoomRow> = rooms.iter().map(|row| (row.room, row)).collect();
        let mut page = Page::default();
        let mut gone = Vec::new();
        let mut n_bytes_gone = 0;
        for cursor in cursors {
            if !by_id.contains_key(&cursor.room) {
                n_bytes_gone += RoomId::LEN;
                gone.push(cursor.room);
            }
        }
        let named = cursors.iter().filter_map(|cursor| by_id.get(&cursor.room).copied());
        // Live events begin before the heads are read, so a head may be told twice, never too late.
        let rest = rooms.iter().filter(|_| is_last);
        let mut more = false;
        for row in named.chain(rest) {
            if resuming.told.contains(&row.room) {
                continue;
            }
            let is_full = page.heads.len() >= HEADS_PAGE_MAX
                || page.n_bytes + n_bytes_gone + HEAD_LEN_MAX > REPLY_BYTES_MAX;
            if is_full && !page.heads.is_empty() {
                more = is_last;
                break;
            }
            page.add(self.head(read, asker, row)?);
            page.events.extend(open_questions(read, asker, row)?);
            resuming.told.insert(row.room);
        }
        if is_last && !more {
            for join in read.joins(asker.account)? {
                let sealed = self.master.open_token(join.token_hash, &join.sealed_token);
                let token = sealed.map_err(StoreError::from)?;
                page.events.push(Event::Joined { token, account: join.account });
            }
        }
        let Page { heads, events, .. } = page;
        Ok(Resumed { reply: Reply::Resumed { heads, gone, more }, events, resuming })
    }
}

/// What one page holds so far.
#[derive(Default)]
struct Page {
    heads: Vec<RoomHead>,
    events: Vec<Event>,
    n_bytes: usize,
}

impl Page {
    fn add(&mut self, head: RoomHead) {
        self.n_bytes += HEAD_LEN + (head.delivered.len() + head.read.len()) * STEP_LEN;
        self.heads.push(head);
    }
}

/// The keys that other devices lack in a room.
fn open_questions(read: &dyn Read, asker: Asker, row: &RoomRow) -> Result<Vec<Event>, StoreError> {
    let mut by_device: BTreeMap<(AccountId, DeviceId), Vec<Epoch>> = BTreeMap::new();
    for ask in read.key_asks(row.number)? {
        if ask.device != asker.device {
            by_device.entry((ask.account, ask.device)).or_default().push(ask.epoch);
        }
    }
    let mut events = Vec::new();
    for ((account, device), epochs) in by_device {
        // Who has left meanwhile gets nothing.
        if read.is_member(row.number, account)? {
            events.push(Event::KeysAsked { room: row.room, account, device, epochs });
        }
    }
    Ok(events)
}

impl Reads {
    fn head(&self, read: &dyn Read, asker: Asker, row: &RoomRow) -> Result<RoomHead, StoreError> {
        let head = read.head(row.number)?;
        let own = read.mark(row.number, asker.account)?;
        let (delivered_upto, read_upto) =
            own.map_or((Seq(0), Seq(0)), |mark| (mark.delivered_upto, mark.read_upto));
        let n_read = read.position(row.number, read_upto)?.map_or(0, |(_, n)| n);
        let lane = read.lane(row.number, asker.device)?;
        let Staircases { delivered, read, .. } = self.staircases(read, row.number)?;
        Ok(RoomHead {
            room: row.room,
            number: row.number,
            workspace: row.workspace,
            seq: head.seq,
            hash: head.hash,
            commit_seq: head.commit_seq,
            last_counter: lane.first().map_or_else(Default::default, |newest| newest.ctr),
            delivered_upto,
            read_upto,
            n_unread: u32::try_from(head.n_countable.saturating_sub(n_read)).unwrap_or(u32::MAX),
            delivered,
            read,
        })
    }

    /// How far the present members have the room. Agents have no marks, so these are people.
    ///
    /// Those of a large room are kept for a second: when a thousand members come back at once, they
    /// are counted once.
    fn staircases(&self, read: &dyn Read, room: RoomNumber) -> Result<Staircases, StoreError> {
        let now = self.clock.now_ms();
        let is_fresh = |known: &Staircases| known.made.0.abs_diff(now.0) < STAIRCASES_KEPT_MS;
        if let Some(known) = self.kept_stairs().get(&room).filter(|known| is_fresh(known)) {
            return Ok(known.clone());
        }
        let members: HashSet<AccountId> = read.members(room)?.into_iter().collect();
        let mut marks = read.marks(room)?;
        marks.retain(|mark| members.contains(&mark.account));
        let steps = |upto: fn(&MarkRow) -> Seq| stairs(marks.iter().map(upto).collect());
        let (delivered, read) = (steps(|mark| mark.delivered_upto), steps(|mark| mark.read_upto));
        let staircases = Staircases { made: now, delivered, read };
        if members.len() > SMALL_ROOM_MEMBERS_MAX {
            let mut kept = self.kept_stairs();
            if kept.len() >= STAIRCASES_MAX {
                kept.retain(|_, known| is_fresh(known));
            }
            if kept.len() < STAIRCASES_MAX {
                kept.insert(room, staircases.clone());
            }
        }
        Ok(staircases)
    }

    fn kept_stairs(&self) -> MutexGuard<'_, HashMap<RoomNumber, Staircases>> {
        self.stairs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The staircases of one room at one moment.
#[derive(Debug, Clone)]
pub(super) struct Staircases {
    made: TimeMs,
    delivered: Vec<MarkStep>,
    read: Vec<MarkStep>,
}
