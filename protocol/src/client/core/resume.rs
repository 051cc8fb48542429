//! Resuming a session: says how far every room is here, and accepts what the server has.

use std::collections::VecDeque;
use std::task::{Poll, ready};

use super::context::Context;
use super::io::{CallId, Output};
use super::signal::Signal;
use super::state::State;
use super::work::{Step, Work};
use crate::id::RoomId;
use crate::limits::RESUME_PAGE_MAX;
use crate::wire::{Cursor, Reply, Request, RoomHead};

/// Resumes the session that just began.
#[derive(Debug)]
pub(super) struct Resume {
    /// Pages of cursors that were not sent yet; `None` before the first look.
    pages: Option<VecDeque<Vec<Cursor>>>,
    /// The page that was sent, and whether it was the last.
    sent: Option<(CallId, bool)>,
}

impl Resume {
    /// Begins with all rooms.
    pub(super) fn new() -> Self {
        Self { pages: None, sent: None }
    }

    fn send(cursors: Vec<Cursor>, is_last: bool, cx: &mut Context<'_>) -> (CallId, bool) {
        (cx.call(Request::Resume { cursors, is_last }), is_last)
    }
}

fn pages(state: &State) -> VecDeque<Vec<Cursor>> {
    let cursor = |room: &super::rooms::OneRoom| Cursor { room: room.id, seq: room.applied.seq() };
    let cursors: Vec<Cursor> = state.rooms.joined().map(cursor).collect();
    let mut pages: VecDeque<Vec<Cursor>> =
        cursors.chunks(RESUME_PAGE_MAX).map(<[_]>::to_vec).collect();
    if pages.is_empty() {
        pages.push_back(Vec::new());
    }
    pages
}

impl Step for Resume {
    type Output = ();

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        if self.pages.is_none() {
            self.pages = Some(pages(state));
        }
        loop {
            let Some((call, is_last)) = self.sent else {
                let Some(pages) = &mut self.pages else { return Poll::Ready(()) };
                let Some(cursors) = pages.pop_front() else {
                    after_resume(state, cx);
                    return Poll::Ready(());
                };
                self.sent = Some(Self::send(cursors, pages.is_empty(), cx));
                continue;
            };
            match ready!(cx.reply(call)) {
                Ok(Reply::Resumed { heads, gone, more }) => {
                    accept_heads(heads, state, cx);
                    for id in gone {
                        state.rooms.gone(id, cx);
                        cx.signal(Signal::Gone(id));
                    }
                    // With the last page comes everything that did not fit.
                    self.sent = (is_last && more).then(|| Self::send(Vec::new(), is_last, cx));
                }
                other => {
                    tracing::debug!(?other, "the session could not be resumed");
                    if cx.is_online() {
                        cx.output(Output::Disconnect);
                    }
                    return Poll::Ready(());
                }
            }
        }
    }
}

/// Heads of many rooms: the visible one is caught up first.
fn accept_heads(mut heads: Vec<RoomHead>, state: &mut State, cx: &mut Context<'_>) {
    let visible = state.account.visible;
    heads.sort_by_key(|head| Some(head.room) != visible);
    for head in heads {
        state.rooms.accept_head(&head, state.account.device, cx);
    }
}

fn after_resume(state: &mut State, cx: &mut Context<'_>) {
    state.account.is_resumed = true;
    if !state.identities.chains.contains_key(&state.account.id) {
        cx.start_once(Work::RefreshChain(state.account.id));
    }
    state.rooms.send_unsent_reads(cx);
    state.outbox.send_all(cx);
    let rooms: Vec<RoomId> = state.rooms.all.keys().copied().collect();
    for id in rooms {
        cx.start_once(Work::ReadCards(id));
    }
    cx.start_once(Work::SendDelivered);
    if state.account.is_drainer {
        cx.start_once(Work::Maintain);
    }
}
