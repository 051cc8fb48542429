//! Work that goes on for longer than one input, each at most once at a time.
//!
//! Owns the list of what is at work and the order in which it is looked at. A [`Step`] is polled
//! after every input: it acts on what came, and says whether it is done. Nothing is polled by a
//! clock, and nothing waits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::task::Poll;

use super::context::Context;
use super::io::{CommandId, Output};
use super::state::State;
use crate::client::{CommandError, Done};
use crate::id::{AccountId, DeviceId, Epoch, RoomId, Seq};

/// How often everything may be looked at after one input: far more than any input needs.
const ROUNDS_MAX: usize = 10_000;

/// Something that takes several inputs to be done.
pub(super) trait Step: fmt::Debug + Send {
    /// What it brings.
    type Output;

    /// Goes as far as it can now.
    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output>;
}

/// Names a piece of work. Asking for one that is at work has it done once more when it ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// Keeping a session.
    Connection,
    /// Looking from time to time what falls due.
    KeepTime,
    /// Telling the server how far every room is here, and loading what it has.
    Resume,
    /// Judging and storing the entries that wait in a room.
    Ingest(RoomId),
    /// Verifying a room from its creation on.
    Enter(RoomId),
    /// Reading a room forward from a position.
    ReadForward(RoomId, Seq, u32),
    /// Reading a room back from a position.
    ReadBack(RoomId, Seq, u32),
    /// Looking up `H` at a position that the log rules ask for.
    Recall(RoomId),
    /// Judging and storing pages of older entries.
    StoreOlder(RoomId),
    /// Loading a room anew from the replica, after a write failed.
    Reload(RoomId),
    /// Getting the keys of a room that are missing.
    FetchKeys(RoomId),
    /// Answering a device that lacks keys.
    AnswerKeys(RoomId, AccountId, DeviceId, Vec<Epoch>),
    /// Opening entries that waited for a key.
    Reopen(RoomId),
    /// Comparing signed ticks with the own log.
    CheckTicks(RoomId),
    /// Fetching what is new of a user chain.
    RefreshChain(AccountId),
    /// Reading what the agents of a room say of themselves.
    ReadCards(RoomId),
    /// Emitting entries anew that a question showed to an agent.
    EmitShown(RoomId, Vec<Seq>),
    /// Reporting the reactions to a message.
    EmitReactions(RoomId, Seq),
    /// Giving entries again, from a position on, that a slow face has missed.
    Replay(RoomId, Seq),
    /// Sending the outbox of a room.
    Send(RoomId),
    /// Making the key that an answer waits for.
    RotateForAnswers(RoomId),
    /// Telling the server what was delivered.
    SendDelivered,
    /// Telling the server what was read.
    SendRead(RoomId),
    /// Telling the faces about rooms that changed.
    EmitRooms,
    /// Adding those who joined by an own invite.
    Admit,
    /// What falls due from time to time.
    Maintain,
    /// Forgetting what the rooms' policies say to forget.
    Expire,
}

/// What to do if work that is asked for is at work already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Nothing: it sees what is new by itself.
    Never,
    /// Do it once more when it ends.
    WhenDone,
}

/// Everything that is at work.
#[derive(Debug, Default)]
pub(super) struct Works {
    running: BTreeMap<Work, Box<dyn Step<Output = ()>>>,
    again: BTreeSet<Work>,
    commands: BTreeMap<CommandId, Box<dyn Step<Output = Result<Done, CommandError>>>>,
}

impl Works {
    /// Begins a command.
    pub(super) fn begin_command(
        &mut self,
        id: CommandId,
        step: Box<dyn Step<Output = Result<Done, CommandError>>>,
    ) {
        self.commands.insert(id, step);
    }

    /// Whether something is at work.
    pub(super) fn is_at(&self, work: &Work) -> bool {
        self.running.contains_key(work)
    }

    /// Goes on with everything, until nothing moves any more.
    pub(super) fn run(&mut self, state: &mut State, cx: &mut Context<'_>) {
        let mut n_rounds = 0;
        while cx.take_changed() {
            n_rounds += 1;
            debug_assert!(n_rounds < ROUNDS_MAX, "work goes in circles: {:?}", self.running.keys());
            while let Some(signal) = cx.next_signal() {
                super::react(signal, state, cx);
            }
            for (work, repeat) in cx.take_requested() {
                self.begin(work, repeat);
            }
            for (work, mut step) in std::mem::take(&mut self.running) {
                if step.poll(state, cx).is_pending() {
                    self.running.insert(work, step);
                    continue;
                }
                cx.changed();
                if self.again.remove(&work) {
                    cx.start(work);
                }
            }
            for (id, mut step) in std::mem::take(&mut self.commands) {
                match step.poll(state, cx) {
                    Poll::Pending => drop(self.commands.insert(id, step)),
                    Poll::Ready(result) => cx.output(Output::Answer(id, result)),
                }
            }
        }
    }

    fn begin(&mut self, work: Work, repeat: Repeat) {
        if self.running.contains_key(&work) {
            if repeat == Repeat::WhenDone {
                self.again.insert(work);
            }
            return;
        }
        let step = super::begin(&work);
        self.running.insert(work, step);
    }
}
