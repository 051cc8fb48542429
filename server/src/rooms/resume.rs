//! Resuming a session: where the server has each room, page by page.
//!
//! Owns what a client is sent that was away: heads, rooms that are gone, and every fact whose event
//! it may have missed (keys that are asked for, people who joined by its invites).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{MutexGuard, PoisonError};

use mathia_protocol::id::{AccountId, DeviceId, Epoch, RoomId, RoomNumber, Seq, TimeMs};
use mathia_protocol::limits::{HEADS_PAGE_MAX, RESUME_PAGE_MAX, SMALL_ROOM_MEMBERS_MAX};
use mathia_protocol::log::mark_histogram;
use mathia_protocol::wire::{Cursor, Event, MarkBucket, Reply, RoomHead};

use super::caller::Caller;
use super::reads::{REPLY_BYTES_MAX, Reads};
use super::staged_wraps::too_large;
use crate::limits::MARK_BUCKETS_MAX;
use crate::refusal::Refusal;
use crate::store::{MarkRow, Read, RoomRow, StoreError};

/// A head without its histograms, on the wire, at most.
const HEAD_LEN: usize = 180;
/// A step of a histogram on the wire, at most.
const BUCKET_LEN: usize = 14;
/// A head with two full histograms.
const HEAD_LEN_MAX: usize = HEAD_LEN + 2 * MARK_BUCKETS_MAX * BUCKET_LEN;

/// How long the histograms of a large room are sent again without counting them again.
const HISTOGRAMS_KEPT_MS: u64 = 1_000;
/// Large rooms whose histograms are kept.
const HISTOGRAMS_MAX: usize = 1_024;

/// How far one session's `Resume` has come. Kept by the session from page to page.
#[derive(Debug, Clone, Default)]
pub struct ResumeProgress {
    sent: HashSet<RoomId>,
}

/// One call of `Resume`.
#[derive(Debug)]
pub struct ResumeCall<'a> {
    /// What the calls before it have led to.
    pub progress: ResumeProgress,
    /// Where the client has each room.
    pub cursors: &'a [Cursor],
    /// Whether this is the client's last page.
    pub is_last: bool,
    /// The present time.
    pub now: TimeMs,
}

/// One page of `Resume`.
#[derive(Debug)]
pub struct ResumePage {
    /// The answer.
    pub reply: Reply,
    /// Events to queue right behind it.
    pub events: Vec<Event>,
    /// For the next page.
    pub progress: ResumeProgress,
}

impl Reads {
    /// Answers one page. The session must be subscribed before this reads, so that nothing falls
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
        caller: Caller,
        call: ResumeCall<'_>,
    ) -> Result<ResumePage, Refusal> {
        let ResumeCall { mut progress, cursors, is_last, now } = call;
        if cursors.len() > RESUME_PAGE_MAX {
            return Err(too_large(RESUME_PAGE_MAX).into());
        }
        let rooms = read.rooms_of(caller.account)?;
        let by_id: HashMap<RoomId, &RoomRow> = rooms.iter().map(|row| (row.room, row)).collect();
        let mut page = PageBuilder::default();
        let mut gone = Vec::new();
        let mut n_bytes_gone = 0;
        for cursor in cursors {
            if !by_id.contains_key(&cursor.room) {
                n_bytes_gone += RoomId::LEN;
                gone.push(cursor.room);
            }
        }
        let named = cursors.iter().filter_map(|cursor| by_id.get(&cursor.room).copied());
        // Live events begin before the heads are read, so a head may be sent twice, never too late.
        let rest = rooms.iter().filter(|_| is_last);
        let mut more = false;
        for row in named.chain(rest) {
            if progress.sent.contains(&row.room) {
                continue;
            }
            let is_full = page.heads.len() >= HEADS_PAGE_MAX
                || page.n_bytes + n_bytes_gone + HEAD_LEN_MAX > REPLY_BYTES_MAX;
            if is_full && !page.heads.is_empty() {
                more = is_last;
                break;
            }
            page.add(self.head(read, caller, row, now)?);
            page.events.extend(open_questions(read, caller, row)?);
            progress.sent.insert(row.room);
        }
        if is_last && !more {
            for join in read.joins(caller.account)? {
                let sealed = self.master.open_token(join.token_hash, &join.sealed_token);
                let token = sealed.map_err(StoreError::from)?;
                page.events.push(Event::Joined { token, account: join.account });
            }
        }
        let PageBuilder { heads, events, .. } = page;
        Ok(ResumePage { reply: Reply::Resumed { heads, gone, more }, events, progress })
    }
}

/// What one page holds so far.
#[derive(Default)]
struct PageBuilder {
    heads: Vec<RoomHead>,
    events: Vec<Event>,
    n_bytes: usize,
}

impl PageBuilder {
    fn add(&mut self, head: RoomHead) {
        self.n_bytes += HEAD_LEN + (head.delivered.len() + head.read.len()) * BUCKET_LEN;
        self.heads.push(head);
    }
}

/// The keys that other devices lack in a room.
fn open_questions(
    read: &dyn Read,
    caller: Caller,
    row: &RoomRow,
) -> Result<Vec<Event>, StoreError> {
    let mut by_device: BTreeMap<(AccountId, DeviceId), Vec<Epoch>> = BTreeMap::new();
    for ask in read.key_asks(row.number)? {
        if ask.device != caller.device {
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
    fn head(
        &self,
        read: &dyn Read,
        caller: Caller,
        row: &RoomRow,
        now: TimeMs,
    ) -> Result<RoomHead, StoreError> {
        let head = read.head(row.number)?;
        let own = read.mark(row.number, caller.account)?;
        let (delivered_upto, read_upto) =
            own.map_or((Seq(0), Seq(0)), |mark| (mark.delivered_upto, mark.read_upto));
        let n_read = read.position(row.number, read_upto)?.map_or(0, |(_, n)| n);
        let lane = read.lane(row.number, caller.device)?;
        let MarkHistograms { delivered, read, .. } = self.histograms(read, row.number, now)?;
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
    fn histograms(
        &self,
        read: &dyn Read,
        room: RoomNumber,
        now: TimeMs,
    ) -> Result<MarkHistograms, StoreError> {
        let is_fresh = |known: &MarkHistograms| known.made.0.abs_diff(now.0) < HISTOGRAMS_KEPT_MS;
        if let Some(known) = self.kept_histograms().get(&room).filter(|known| is_fresh(known)) {
            return Ok(known.clone());
        }
        let members: HashSet<AccountId> = read.members(room)?.into_iter().collect();
        let mut marks = read.marks(room)?;
        marks.retain(|mark| members.contains(&mark.account));
        let steps =
            |upto: fn(&MarkRow) -> Seq| mark_histogram(marks.iter().map(upto), MARK_BUCKETS_MAX);
        let (delivered, read) = (steps(|mark| mark.delivered_upto), steps(|mark| mark.read_upto));
        let histograms = MarkHistograms { made: now, delivered, read };
        if members.len() > SMALL_ROOM_MEMBERS_MAX {
            let mut kept = self.kept_histograms();
            if kept.len() >= HISTOGRAMS_MAX {
                kept.retain(|_, known| is_fresh(known));
            }
            if kept.len() < HISTOGRAMS_MAX {
                kept.insert(room, histograms.clone());
            }
        }
        Ok(histograms)
    }

    fn kept_histograms(&self) -> MutexGuard<'_, HashMap<RoomNumber, MarkHistograms>> {
        self.histograms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The histograms of one room at one moment.
#[derive(Debug, Clone)]
pub(super) struct MarkHistograms {
    made: TimeMs,
    delivered: Vec<MarkBucket>,
    read: Vec<MarkBucket>,
}
