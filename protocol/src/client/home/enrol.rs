//! Making an account: keys are on disk before the server hears of them, and a lost answer is taken
//! up by doing the same again.

use super::{Found, Home, HomeError, Joined, KeyLock, Unfinished};
use crate::client::login::LoginError;
use crate::client::register::{Applicant, Enrolment, RegisterError, Registered, Visit};
use crate::name::Handle;
use crate::wire::Fault;

/// Why no account was made.
#[derive(Debug, thiserror::Error)]
pub enum HomeJoinError {
    /// The home has an account. Another home helps.
    #[error("this profile is {0} already")]
    JoinedAlready(String),
    /// Another join was begun with this home. Repeating or giving up that one helps.
    #[error("a join as {0} was begun here")]
    OtherBegun(String),
    /// The server said no, cannot be reached, or is not trusted.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The files of the home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
}

impl HomeJoinError {
    /// The refusal of a home that has an account.
    pub fn already(joined: &Joined) -> Self {
        Self::JoinedAlready(who(&joined.identity.handle, &joined.address))
    }
}

impl Home {
    /// Makes an account in this home, over a connection on which nobody has said who he is.
    ///
    /// The caller holds the [`KeyLock`]. `address` is the server's, as the person gave it.
    ///
    /// # Errors
    ///
    /// [`HomeJoinError`]. After a refusal nothing is left; after a lost answer the same call, with a
    /// new visit, takes up.
    pub async fn join(
        &self,
        _lock: &KeyLock,
        visit: Visit,
        address: &str,
        applicant: Applicant,
    ) -> Result<Registered, HomeJoinError> {
        let (enrolment, replica) = match self.find()? {
            Found::Joined(joined) => {
                return Err(HomeJoinError::already(&joined));
            }
            Found::Unfinished(begun, replica) => {
                (take_up(visit, *begun, &applicant.handle, address)?, replica)
            }
            Found::Nothing => {
                let enrolment = visit.enrol(&mut rand::rng(), applicant);
                // What a crashed attempt left without a key file cannot be opened by anybody.
                self.wipe().map_err(HomeError::from)?;
                let replica = self.begin(enrolment.identity(), enrolment.genesis(), address)?;
                (enrolment, replica)
            }
        };
        let registered = match enrolment.finish().await {
            Ok(registered) => registered,
            Err(error) => {
                if is_final(&error) {
                    // The server said no to this name or invite: these keys will never be an account.
                    drop(replica);
                    self.wipe().map_err(HomeError::from)?;
                }
                return Err(error.into());
            }
        };
        Self::finish(&replica, &registered.server).map_err(HomeError::from)?;
        Ok(registered)
    }
}

fn who(handle: &Handle, address: &str) -> String {
    format!("{handle} at {address}")
}

fn take_up(
    visit: Visit,
    begun: Unfinished,
    name: &Handle,
    address: &str,
) -> Result<Enrolment, HomeJoinError> {
    if begun.identity.handle != *name || begun.address != address {
        return Err(HomeJoinError::OtherBegun(who(&begun.identity.handle, &begun.address)));
    }
    Ok(visit.resume(begun.identity, begun.genesis))
}

fn is_final(error: &RegisterError) -> bool {
    let RegisterError::Login(LoginError::Refused(fault)) = error else { return false };
    !matches!(
        fault,
        Fault::RateLimited { .. }
            | Fault::ServerBusy { .. }
            | Fault::Stopping
            | Fault::ClockSkew { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(fault: Fault) -> RegisterError {
        RegisterError::Login(LoginError::Refused(fault))
    }

    #[test]
    fn a_name_that_is_taken_leaves_nothing_behind_and_a_lost_answer_does() {
        assert!(is_final(&refused(Fault::NameTaken)) && is_final(&refused(Fault::InviteInvalid)));
        assert!(!is_final(&refused(Fault::ServerBusy { retry_after_ms: 1 })));
        assert!(!is_final(&RegisterError::Login(LoginError::OutOfTurn)));
    }
}
