//! How a client keeps one room's log whole: a state machine without I/O (CRYPTO A3, D1).
//!
//! Owns the verified stretch of the log, the gaps, and the comparison of hashes that finds every
//! fork, replay and reordering. A live event is a hint and the log is the truth: with every event
//! lost the result is the same. What the entries say is none of its business: [`super::validate`]
//! and [`super::check`] judge what comes out here.

use std::collections::BTreeMap;

pub use super::alarm::{Alarm, Claimed};
use super::chain::LogHash;
use super::chains::Context;
use super::pending::{Held, Pending};
use super::seen::KnownHashes;
use super::window::Window;
use crate::crypto::hash::sha256;
use crate::id::{Hash, RoomId, Seq};
use crate::limits::{SYNC_ASK_MAX, SYNC_CLAIMS_MAX, SYNC_TRIES_MAX};
use crate::wire::{EntryBody, LogEntry};

/// What happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// The server says where the room's log ends: after each login, and whenever it tells anew.
    Head {
        /// The newest position.
        seq: Seq,
        /// `H` there.
        hash: Hash,
    },
    /// The connection is gone.
    Disconnected,
    /// An entry event.
    Live(LogEntry),
    /// Events of the room were dropped, the first at this position.
    Lagged {
        /// The first position that was dropped.
        next_seq: Seq,
    },
    /// A page in answer to [`Output::AskAfter`].
    Page {
        /// `H` before its first entry, as the server says.
        hash_before: Hash,
        /// The entries.
        entries: Vec<LogEntry>,
        /// Whether the answer ends here.
        is_last: bool,
    },
    /// The answer to [`Output::AskAfter`] ended with a fault or broke off. The caller waits a little
    /// before it says so.
    PageFailed,
    /// Somebody scrolls back behind the oldest entry held.
    WantOlder {
        /// How many entries are wanted.
        count: u32,
    },
    /// A page in answer to [`Output::AskBefore`].
    OlderPage {
        /// `H` before its first entry, as the server says.
        hash_before: Hash,
        /// The entries.
        entries: Vec<LogEntry>,
        /// Whether the answer ends here.
        is_last: bool,
    },
    /// The answer to [`Output::AskBefore`] ended with a fault or broke off.
    OlderFailed,
    /// A member says by a verified entry or tick what `H` is somewhere.
    Claim {
        /// The position.
        seq: Seq,
        /// What it is said to be.
        claimed: Claimed,
    },
    /// The answer to [`Output::LookUp`]: what the replica has there.
    Recalled {
        /// The position.
        seq: Seq,
        /// `H` there.
        hash: Hash,
        /// What it is said to be.
        claimed: Claimed,
    },
}

/// What the caller does next, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The next entry of the log: judge it, store it.
    Apply {
        /// The entry.
        entry: LogEntry,
        /// The log with it.
        at: LogHash,
        /// How it came.
        context: Context,
    },
    /// Entries before the oldest held, in rising order: judge them as history, store them.
    ApplyOlder {
        /// Each with the log up to it.
        entries: Vec<(LogEntry, LogHash)>,
    },
    /// Read entries behind a position.
    AskAfter {
        /// The position.
        after: Seq,
        /// How many at most.
        count: u32,
    },
    /// Read entries before a position.
    AskBefore {
        /// The position behind the last one wanted.
        before: Seq,
        /// How many at most.
        count: u32,
    },
    /// Look in the replica for `H` at a position too old to be at hand, then say
    /// [`Input::Recalled`]; nothing, if it is not there.
    LookUp {
        /// The position.
        seq: Seq,
        /// What it is said to be.
        claimed: Claimed,
    },
    /// Something is wrong that people must know.
    Alarm(Alarm),
    /// All that the server told of is verified.
    CaughtUp {
        /// The log as it is known now.
        at: LogHash,
    },
    /// There may be more behind this position: entries are on the way, or nobody can say.
    Unconfirmed {
        /// The last verified position.
        after: Seq,
    },
}

/// Whether a read of the log is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Idle,
    Running,
}

/// The log of one room as a client holds it.
#[derive(Debug, Clone)]
pub struct RoomSync {
    room: RoomId,
    verified: LogHash,
    /// The log just before the oldest entry held.
    oldest: LogHash,
    window: Window,
    pending: Pending,
    /// What others say about positions ahead.
    claims: BTreeMap<Seq, Claimed>,
    /// The newest position anybody told of.
    target: Seq,
    /// What was verified when the connection broke; the server must have at least that.
    confirmed: Seq,
    reading: Reading,
    reading_older: Reading,
    /// Events were dropped: read once more, even if nothing is known to be missing.
    has_lag: bool,
    n_tries: u32,
    is_connected: bool,
    is_caught_up: bool,
    alarm: Option<Alarm>,
    outputs: Vec<Output>,
}

impl RoomSync {
    /// Begins with the whole log ahead.
    pub fn from_start(room: RoomId) -> Self {
        let start = LogHash::start(room);
        Self::resume(room, start, start)
    }

    /// Goes on where the replica ends: `verified` is its end, `oldest` the log before its first
    /// entry. For a newcomer both are the position that the commit which added it had seen.
    pub fn resume(room: RoomId, oldest: LogHash, verified: LogHash) -> Self {
        Self {
            room,
            verified,
            oldest,
            window: Window::starting_at(verified),
            pending: Pending::default(),
            claims: BTreeMap::new(),
            target: verified.seq(),
            confirmed: verified.seq(),
            reading: Reading::Idle,
            reading_older: Reading::Idle,
            has_lag: false,
            n_tries: 0,
            is_connected: false,
            is_caught_up: false,
            alarm: None,
            outputs: Vec::new(),
        }
    }

    /// The room.
    pub fn room(&self) -> RoomId {
        self.room
    }

    /// The end of what is verified: what own entries and ticks say they have seen.
    pub fn verified(&self) -> LogHash {
        self.verified
    }

    /// The log just before the oldest entry held.
    pub fn oldest(&self) -> LogHash {
        self.oldest
    }

    /// Says whether all that the server told of is verified, and the connection stands.
    pub fn is_caught_up(&self) -> bool {
        self.is_caught_up
    }

    /// How many live entries wait for earlier ones.
    pub fn n_pending(&self) -> usize {
        self.pending.len()
    }

    /// The alarm that stops sending, if there is one. It stays until [`Self::dismiss_alarm`].
    pub fn alarm(&self) -> Option<Alarm> {
        self.alarm
    }

    /// Says whether the room may be sent to.
    pub fn may_send(&self) -> bool {
        self.alarm.is_none()
    }

    /// Lets sending go on after people have decided so.
    pub fn dismiss_alarm(&mut self) {
        self.alarm = None;
    }

    /// Takes in what happened and says what to do next.
    pub fn step(&mut self, input: Input) -> Vec<Output> {
        match input {
            Input::Head { seq, hash } => self.head(seq, hash),
            Input::Disconnected => self.disconnected(),
            Input::Live(entry) => self.live(entry),
            Input::Lagged { next_seq } => {
                self.target = self.target.max(next_seq);
                self.has_lag = true;
            }
            Input::Page { hash_before, entries, is_last } => {
                self.page(hash_before, entries, is_last);
            }
            Input::PageFailed => {
                self.reading = Reading::Idle;
                self.n_tries += 1;
            }
            Input::WantOlder { count } => self.want_older(count),
            Input::OlderPage { hash_before, entries, is_last } => {
                if is_last {
                    self.reading_older = Reading::Idle;
                }
                self.older_page(hash_before, entries);
            }
            Input::OlderFailed => self.reading_older = Reading::Idle,
            Input::Claim { seq, claimed } => self.claim(seq, claimed),
            Input::Recalled { seq, hash, claimed } => self.compare(seq, hash, claimed),
        }
        self.settle();
        std::mem::take(&mut self.outputs)
    }

    fn head(&mut self, seq: Seq, hash: Hash) {
        if !self.is_connected {
            self.is_connected = true;
            self.n_tries = 0;
        }
        if seq < self.confirmed {
            self.raise(Alarm::Shrunk { head: seq, verified: self.confirmed });
        }
        self.claim(seq, Claimed::Whole(hash));
    }

    fn disconnected(&mut self) {
        self.is_connected = false;
        self.reading = Reading::Idle;
        self.reading_older = Reading::Idle;
        self.confirmed = self.verified.seq();
        // Events of the old connection are worth nothing: the log will tell.
        self.pending.clear();
    }

    fn live(&mut self, entry: LogEntry) {
        let (seq, entry_hash) = (entry.seq, entry_hash(&entry));
        if seq <= self.verified.seq() {
            self.recheck(seq, entry_hash);
            return;
        }
        self.target = self.target.max(seq);
        if self.pending.hold(entry, entry_hash) == Held::Conflict {
            self.raise(Alarm::Fork { seq });
        }
        self.drain();
    }

    /// An entry for a place that is verified already: a harmless repeat, or a second story.
    fn recheck(&mut self, seq: Seq, entry_hash: Hash) {
        match self.window.entry_hash_at(seq) {
            Some(known) if known != entry_hash => match self.window.find(entry_hash) {
                Some(_) => self.raise(Alarm::Reordered { seq }),
                None => self.raise(Alarm::Fork { seq }),
            },
            _ => {}
        }
    }

    /// Applies held entries as far as they follow.
    fn drain(&mut self) {
        while let Some((entry_hash, entry)) = self.pending.take(self.verified.seq().next()) {
            self.apply(entry, entry_hash, Context::Live);
        }
    }

    fn apply(&mut self, entry: LogEntry, entry_hash: Hash, context: Context) {
        let at = self.verified.extend_hash(entry_hash);
        let seq = at.seq();
        if let Some(first) = self.window.find(entry_hash) {
            self.raise(Alarm::Replay { seq, first });
        }
        self.verified = at;
        self.window.push(at, entry_hash);
        self.n_tries = 0;
        self.outputs.push(Output::Apply { entry, at, context });
        if self.claims.remove(&seq).is_some_and(|claimed| !claimed.fits(at.hash())) {
            self.raise(Alarm::Fork { seq });
        }
    }

    fn page(&mut self, hash_before: Hash, entries: Vec<LogEntry>, is_last: bool) {
        let before = self.verified.seq();
        let fits = self.walk(hash_before, entries);
        if is_last || !fits {
            self.reading = Reading::Idle;
        }
        let is_fruitless = self.verified.seq() == before && self.verified.seq() < self.target;
        if !fits {
            // Another answer from the same server proves nothing new: wait for a new connection.
            self.n_tries = SYNC_TRIES_MAX + 1;
        } else if is_last && is_fruitless {
            self.n_tries += 1;
        }
    }

    /// Follows a page from its claimed beginning. What we hold already must come out the same; what
    /// is new is applied. `false` if it does not fit.
    fn walk(&mut self, hash_before: Hash, entries: Vec<LogEntry>) -> bool {
        let Some(first) = entries.first() else { return true };
        let Some(before) = first.seq.0.checked_sub(1).map(Seq) else {
            self.raise(Alarm::Reordered { seq: first.seq });
            return false;
        };
        if before > self.verified.seq() {
            // The answer leaves out what was asked for: as fruitless as none.
            return true;
        }
        let mut walked = LogHash::at(before, hash_before);
        if !self.agrees(walked) {
            return false;
        }
        for entry in entries {
            if entry.seq != walked.seq().next() {
                self.raise(Alarm::Reordered { seq: entry.seq });
                return false;
            }
            let entry_hash = entry_hash(&entry);
            walked = walked.extend_hash(entry_hash);
            if walked.seq() <= self.verified.seq() {
                if !self.agrees(walked) {
                    return false;
                }
                continue;
            }
            let waiting = self.pending.take(entry.seq);
            if waiting.is_some_and(|(waiting, _)| waiting != entry_hash) {
                self.raise(Alarm::Fork { seq: entry.seq });
            }
            self.apply(entry, entry_hash, Context::History);
        }
        self.drain();
        true
    }

    /// Compares a place of a page with what we hold there, if we do.
    fn agrees(&mut self, walked: LogHash) -> bool {
        let seq = walked.seq();
        let fits = self.window.hash_at(seq).is_none_or(|known| known == walked.hash());
        if !fits {
            self.raise(Alarm::Fork { seq });
        }
        fits
    }

    fn want_older(&mut self, count: u32) {
        let oldest = self.oldest.seq();
        if self.is_connected && self.reading_older == Reading::Idle && oldest > Seq(0) && count > 0
        {
            self.reading_older = Reading::Running;
            let count = count.min(SYNC_ASK_MAX);
            self.outputs.push(Output::AskBefore { before: oldest.next(), count });
        }
    }

    /// Follows an older page from its claimed beginning to the anchor: only if it meets the anchor
    /// are its entries, and its beginning, true.
    fn older_page(&mut self, hash_before: Hash, entries: Vec<LogEntry>) {
        let Some(start) = entries.first().and_then(|first| first.seq.0.checked_sub(1)) else {
            self.reading_older = Reading::Idle;
            return;
        };
        let start = LogHash::at(Seq(start), hash_before);
        let mut walked = start;
        let mut placed = Vec::with_capacity(entries.len());
        for entry in entries {
            if entry.seq != walked.seq().next() {
                self.reading_older = Reading::Idle;
                self.raise(Alarm::Reordered { seq: entry.seq });
                return;
            }
            walked = walked.extend_hash(entry_hash(&entry));
            placed.push((entry, walked));
        }
        let is_whole = start.seq() > Seq(0) || start == LogHash::start(self.room);
        if walked == self.oldest && is_whole {
            self.oldest = start;
            self.outputs.push(Output::ApplyOlder { entries: placed });
            return;
        }
        self.reading_older = Reading::Idle;
        // A page that ends elsewhere is an answer to something else; one that ends here and does
        // not meet the anchor is another history.
        if walked.seq() == self.oldest.seq() {
            self.raise(Alarm::Fork { seq: walked.seq() });
        }
    }

    fn claim(&mut self, seq: Seq, claimed: Claimed) {
        if seq > self.verified.seq() {
            self.target = self.target.max(seq);
            if self.claims.get(&seq).is_some_and(|other| !other.agrees(claimed)) {
                self.raise(Alarm::Fork { seq });
            }
            // A whole hash says more than half of it.
            if !matches!(self.claims.get(&seq), Some(Claimed::Whole(_))) {
                self.claims.insert(seq, claimed);
            }
            if self.claims.len() > SYNC_CLAIMS_MAX {
                self.claims.pop_last();
            }
        } else if let Some(hash) = self.window.hash_at(seq) {
            self.compare(seq, hash, claimed);
        } else if seq > self.oldest.seq() {
            self.outputs.push(Output::LookUp { seq, claimed });
        } else if seq == self.oldest.seq() {
            self.compare(seq, self.oldest.hash(), claimed);
        }
    }

    fn compare(&mut self, seq: Seq, hash: Hash, claimed: Claimed) {
        if !claimed.fits(hash) {
            self.raise(Alarm::Fork { seq });
        }
    }

    fn raise(&mut self, alarm: Alarm) {
        let output = Output::Alarm(alarm);
        if self.alarm != Some(alarm) && !self.outputs.contains(&output) {
            self.outputs.push(output);
        }
        if alarm.stops_sending() && self.alarm.is_none() {
            self.alarm = Some(alarm);
        }
    }

    /// Asks for what is missing, and tells when the state changed.
    fn settle(&mut self) {
        self.pending.forget_upto(self.verified.seq());
        let after = self.verified.seq();
        let is_behind = after < self.target || self.has_lag;
        if is_behind && self.is_connected && self.reading == Reading::Idle {
            if self.n_tries < SYNC_TRIES_MAX {
                self.reading = Reading::Running;
                self.has_lag = false;
                self.outputs.push(Output::AskAfter { after, count: SYNC_ASK_MAX });
            } else if self.n_tries == SYNC_TRIES_MAX {
                // Said once; asked again after the next login.
                self.n_tries += 1;
                self.raise(Alarm::Withheld { from: after.next(), to: self.target });
            }
        }
        let is_caught_up = self.is_connected && !is_behind && self.reading == Reading::Idle;
        if is_caught_up != self.is_caught_up {
            self.is_caught_up = is_caught_up;
            self.outputs.push(if is_caught_up {
                Output::CaughtUp { at: self.verified }
            } else {
                Output::Unconfirmed { after }
            });
        }
    }
}

impl KnownHashes for RoomSync {
    fn hash_at(&self, seq: Seq) -> Option<Hash> {
        self.window.hash_at(seq)
    }
}

fn entry_hash(entry: &LogEntry) -> Hash {
    match &entry.body {
        EntryBody::Whole(bytes) => sha256(&[bytes]),
        EntryBody::Gone(hash) => *hash,
    }
}
