//! A session as the rooms know it: who it is, where its frames go, and how far its `Resume` has come.
//!
//! Owns how what was read reaches the session. Knows no connection.

use std::sync::{Arc, Mutex, PoisonError};

use mathia_protocol::id::TimeMs;
use mathia_protocol::wire::{Cursor, Event, Reply};

use super::absent::absent;
use super::caller::Caller;
use super::job::{AnswerAddress, Job};
use super::reads::Reads;
use super::resume::{ResumeCall, ResumeProgress};
use super::route::{Change, Query};
use crate::hub::{FrameQueue, Hub, SessionId, event_frame};
use crate::refusal::Refusal;
use crate::store::Read;

/// What is known of a session as long as it lives.
#[derive(Debug)]
pub struct SessionState {
    /// Its name in the hub.
    pub id: SessionId,
    /// Who logged in.
    pub caller: Caller,
    /// What waits to be sent to it.
    pub frame_queue: Arc<FrameQueue>,
    /// How far `Resume` has come; empty before the first page and after the last.
    progress: Mutex<ResumeProgress>,
}

impl SessionState {
    /// A session that has just entered the hub.
    pub fn new(id: SessionId, caller: Caller, frame_queue: Arc<FrameQueue>) -> Self {
        Self { id, caller, frame_queue, progress: Mutex::default() }
    }

    /// The job of a change that the session asks for.
    pub fn job(&self, call: u32, change: Change) -> Job {
        let answer = AnswerAddress { frame_queue: Arc::clone(&self.frame_queue), call };
        Job::Call { caller: self.caller, answer, change }
    }

    /// Answers a query into the session's queue.
    ///
    /// # Errors
    ///
    /// [`Refusal`], as for [`Reads::answer`]: then nothing was queued.
    pub fn answer_query(
        &self,
        (call, query): (u32, &Query),
        reads: &Reads,
        read: &dyn Read,
        now: TimeMs,
    ) -> Result<(), Refusal> {
        let reply = reads.answer(read, self.caller, query, now)?;
        self.frame_queue.reply(call, &reply);
        Ok(())
    }

    /// Answers one page of `Resume` into the session's queue; the first subscribes the session.
    ///
    /// # Errors
    ///
    /// [`Refusal`], as for [`Reads::resume`].
    pub fn answer_resume(
        &self,
        (call, cursors, is_last): (u32, &[Cursor], bool),
        (hub, reads): (&Hub, &Reads),
        read: &dyn Read,
        now: TimeMs,
    ) -> Result<(), Refusal> {
        // The session is subscribed before the heads are read: nothing falls between.
        if !hub.is_subscribed(self.id) {
            let rooms = read.rooms_of(self.caller.account)?;
            let numbers: Vec<_> = rooms.iter().map(|row| row.number).collect();
            hub.subscribe(self.id, &numbers, now);
            let lines = absent(hub, read, &rooms)?;
            if !lines.is_empty() {
                self.frame_queue.event(&event_frame(Event::Presence { lines }));
            }
        }
        let mut kept = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = std::mem::take(&mut *kept);
        let page =
            reads.resume(read, self.caller, ResumeCall { progress, cursors, is_last, now })?;
        if !is_last || matches!(page.reply, Reply::Resumed { more: true, .. }) {
            *kept = page.progress;
        }
        drop(kept);
        self.frame_queue.reply(call, &page.reply);
        for event in page.events {
            self.frame_queue.event(&event_frame(event));
        }
        Ok(())
    }
}
