//! One request to the server: waits for a session as long as a command may, then for the answer.
//!
//! Owns what a refusal means for a command. Knows no rooms and no people.

use std::task::{Poll, ready};
use std::time::Duration;

use super::account::Account;
use super::context::Context;
use super::io::{CallError, CallId};
use crate::client::CommandError;
use crate::client::replica::StorageError;
use crate::wire::{Fault, Reply, Request};

/// Why a request brought no reply.
#[derive(Debug, Clone)]
pub(super) enum CallFailure {
    /// There was no session in time; nothing was sent.
    Offline(CommandError),
    /// It was sent.
    Call(CallError),
}

impl From<CallFailure> for CommandError {
    fn from(failure: CallFailure) -> Self {
        match failure {
            CallFailure::Offline(error) => error,
            CallFailure::Call(error) => call_failed(&error),
        }
    }
}

/// Waits until there is a session, as long as a command may.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Online {
    deadline: Option<Duration>,
}

impl Online {
    /// Looks whether there is a session.
    pub(super) fn poll(
        &mut self,
        account: &Account,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CommandError>> {
        if cx.is_online() {
            return Poll::Ready(Ok(()));
        }
        let deadline = *self.deadline.get_or_insert(cx.after(account.settings.patience));
        if account.has_given_up() || cx.is_due(deadline) {
            return Poll::Ready(Err(account.offline()));
        }
        Poll::Pending
    }
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct ServerCall {
    online: Online,
    /// Taken when it is sent.
    request: Option<Request>,
    call: Option<CallId>,
}

impl ServerCall {
    /// A request that is sent as soon as there is a session.
    pub(super) fn new(request: Request) -> Self {
        Self { online: Online::default(), request: Some(request), call: None }
    }

    /// Looks for the answer.
    pub(super) fn poll(
        &mut self,
        account: &Account,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Reply, CallFailure>> {
        if let Some(request) = self.request.take() {
            match self.online.poll(account, cx) {
                Poll::Ready(Ok(())) => self.call = Some(cx.call(request)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(CallFailure::Offline(error))),
                Poll::Pending => {
                    self.request = Some(request);
                    return Poll::Pending;
                }
            }
        }
        let Some(call) = self.call else { return Poll::Pending };
        Poll::Ready(ready!(cx.reply(call)).map_err(CallFailure::Call))
    }
}

/// What a failed call means for the command that made it.
pub(super) fn call_failed(error: &CallError) -> CommandError {
    match error {
        CallError::Fault(fault) => refused(fault),
        CallError::Lost | CallError::TimedOut => CommandError::TimedOut,
    }
}

/// What a fault means for a command.
pub(super) fn refused(fault: &Fault) -> CommandError {
    match fault {
        Fault::AuthFailed => CommandError::NotLoggedIn(fault.to_string()),
        Fault::NotFound => CommandError::NotFound(fault.to_string()),
        Fault::RateLimited { retry_after_ms } | Fault::ServerBusy { retry_after_ms } => {
            CommandError::RateLimited { retry_after_ms: *retry_after_ms }
        }
        _ => CommandError::Refused(fault.to_string()),
    }
}

/// What a failure of the replica means for a command.
pub(super) fn storage(error: &StorageError) -> CommandError {
    CommandError::Storage(error.to_string())
}

/// The server answered something else than was asked.
pub(super) fn out_of_turn() -> CommandError {
    CommandError::Refused("the server answered out of turn".to_owned())
}
