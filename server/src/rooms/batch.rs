//! One batch under way: its transaction, its time, and what is sent once it is durable.

use std::fmt;
use std::sync::Arc;

use mathia_protocol::id::{AccountId, RoomNumber, TimeMs};
use mathia_protocol::wire::{Event, Fault};
use rand::CryptoRng;

use super::job::AnswerAddress;
use super::sampler::Sample;
use crate::hub::{Delivery, SessionAnswer, event_frame};
use crate::store::Write;

/// Answers a job without a session, once it is known whether the batch is durable: with `Some`, this
/// fault instead of the answer.
pub(super) type PendingAnswer = Box<dyn FnOnce(Option<Fault>) + Send>;

/// One batch under way.
pub(crate) struct Batch<'a> {
    pub(super) tx: &'a mut dyn Write,
    pub(super) now: TimeMs,
    pub(super) rng: &'a mut dyn CryptoRng,
    pub(super) output: &'a mut BatchOutput,
}

/// What a batch sends once it is durable. Its space is used again by the next.
#[derive(Default)]
pub(crate) struct BatchOutput {
    /// To the sessions that asked.
    pub(super) answers: Vec<SessionAnswer>,
    /// To everybody whom it concerns.
    pub(super) deliveries: Vec<Delivery>,
    /// To those who asked without a session.
    pub(super) pending: Vec<PendingAnswer>,
    /// A message whose signature is to be checked, if one was wanted.
    pub(super) sample: Sample,
}

impl fmt::Debug for BatchOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n_answers, n_deliveries) = (self.answers.len(), self.deliveries.len());
        write!(f, "BatchOutput({n_answers} answers, {n_deliveries} deliveries)")
    }
}

impl Batch<'_> {
    pub(super) fn answer(&mut self, to: &AnswerAddress, frame: bytes::Bytes) {
        let frame_queue = Arc::clone(&to.frame_queue);
        self.output.answers.push(SessionAnswer { frame_queue, frame });
    }

    pub(super) fn emit(&mut self, delivery: Delivery) {
        self.output.deliveries.push(delivery);
    }

    pub(super) fn emit_to_account(&mut self, account: AccountId, event: Event) {
        self.emit(Delivery::Account { account, frame: event_frame(event) });
    }

    pub(super) fn emit_to_room(
        &mut self,
        room: RoomNumber,
        except: Option<AccountId>,
        event: Event,
    ) {
        self.emit(Delivery::Room { room, frame: event_frame(event), except });
    }
}
