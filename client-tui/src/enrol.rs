//! Making an account on this machine: the steps that the command and the interactive client share.
//!
//! Owns the order that loses nothing: keys are on disk before the server hears of them, and a lost
//! answer is taken up by doing the same again. Asks nobody itself; prints nothing.

use std::sync::Arc;

use mathia_protocol::client::{
    Applicant, ConnectError, Enrolment, LoginError, RegisterError, Registered, TrustAsk,
    TrustError, Visit,
};
use mathia_protocol::crypto::invite::{Invite, InviteError};
use mathia_protocol::crypto::user_link::{AccountKind, DeviceLabel};
use mathia_protocol::id::TimeMs;
use mathia_protocol::limits::DEVICE_NAME_LEN_MAX;
use mathia_protocol::name::Handle;
use mathia_protocol::wire::Fault;

use crate::exit::{Exit, Failure};
use crate::known_servers::KnownServers;
use crate::paths::{PathError, Paths};
use crate::profile::{Found, KeyLock, Profile, ProfileError, Unfinished, wipe};
use crate::replica::SqliteReplica;

/// Why no account was made.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The link cannot be read. Copying it again helps.
    #[error(transparent)]
    Link(#[from] InviteError),
    /// The profile has an account. Another profile helps.
    #[error("this profile is {0} already")]
    JoinedAlready(String),
    /// Another join was begun with this profile. Repeating or giving up that one helps.
    #[error("a join as {0} was begun here")]
    OtherBegun(String),
    /// The server said no, cannot be reached, or is not trusted.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The files of the profile cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

impl From<PathError> for JoinError {
    fn from(error: PathError) -> Self {
        Self::Profile(error.into())
    }
}

impl JoinError {
    /// Whether another link is needed; all else may be tried again with the same.
    pub fn is_about_link(&self) -> bool {
        match self {
            Self::Link(_) => true,
            Self::Register(error) => match error {
                RegisterError::OtherRealm | RegisterError::InviteNeeded => true,
                RegisterError::Connect(error) => {
                    matches!(error, ConnectError::Resolve { .. } | ConnectError::Untrusted(_))
                }
                RegisterError::Login(LoginError::Refused(fault)) => {
                    matches!(fault, Fault::InviteInvalid | Fault::InviteNeeded)
                }
                RegisterError::Login(_) => false,
            },
            Self::JoinedAlready(_) | Self::OtherBegun(_) | Self::Profile(_) => false,
        }
    }

    /// The key and its words, if all that is missing is a person who vouches for the server.
    pub fn unvouched(&self) -> Option<(mathia_protocol::id::Hash, &str)> {
        match self {
            Self::Register(RegisterError::Connect(ConnectError::Untrusted(
                TrustError::Unvouched { pin, words },
            ))) => Some((*pin, words)),
            _ => None,
        }
    }
}

/// Makes an account with this profile by an invite line, or by the address of an open server.
///
/// `ask` decides about a server key that neither invite, stored pin nor authority vouches for.
///
/// # Errors
///
/// [`JoinError`]. After a refusal nothing is left; after a lost answer the same call takes up.
pub async fn join(
    paths: &Paths,
    link: &str,
    name: Handle,
    ask: Arc<dyn TrustAsk>,
    now: TimeMs,
) -> Result<Registered, JoinError> {
    let invite: Invite = link.parse()?;
    let _lock = KeyLock::take(paths)?;
    let begun = match Profile::find(paths)? {
        Found::Joined(profile) => {
            return Err(JoinError::JoinedAlready(who(&profile.identity.handle, &profile.address)));
        }
        Found::Unfinished(begun, replica) => Some((begun, replica)),
        Found::Nothing => None,
    };
    let address = invite.address();
    let visit = Visit::begin(invite, Some(ask)).await?;
    check_known(paths, &address, &visit)?;
    let (enrolment, replica) = match begun {
        Some((begun, replica)) => (take_up(visit, *begun, &name, &address)?, replica),
        None => enrol(paths, visit, name, &address, now)?,
    };
    let registered = match enrolment.finish().await {
        Ok(registered) => registered,
        Err(error) => {
            if is_final(&error) {
                // The server said no to this name or invite: these keys will never be an account.
                drop(replica);
                wipe(paths)?;
            }
            return Err(error.into());
        }
    };
    Profile::finish(&replica, &registered.server).map_err(ProfileError::from)?;
    note_known(paths, &registered);
    Ok(registered)
}

fn who(handle: &Handle, address: &str) -> String {
    format!("{handle} at {address}")
}

/// A pin that was stored for this server is stronger than any certificate authority.
fn check_known(paths: &Paths, address: &str, visit: &Visit) -> Result<(), JoinError> {
    let found = visit.server_pin();
    match KnownServers::load(paths)?.pin(address) {
        Some(known) if known != found => {
            let changed = TrustError::Changed { expected: known.to_hex(), found };
            Err(RegisterError::Connect(ConnectError::Untrusted(changed)).into())
        }
        _ => Ok(()),
    }
}

fn enrol(
    paths: &Paths,
    visit: Visit,
    handle: Handle,
    address: &str,
    now: TimeMs,
) -> Result<(Enrolment, Arc<SqliteReplica>), JoinError> {
    let os = std::env::consts::OS.to_owned();
    let label = DeviceLabel { name: device_name(), os, created: now };
    let applicant = Applicant { handle, label, kind: AccountKind::Human, operator: String::new() };
    let enrolment = visit.enrol(&mut rand::rng(), applicant);
    // What a crashed attempt left without a key file cannot be opened by anybody.
    wipe(paths)?;
    let replica = Profile::begin(paths, enrolment.identity(), enrolment.genesis(), address)?;
    Ok((enrolment, replica))
}

fn take_up(
    visit: Visit,
    begun: Unfinished,
    name: &Handle,
    address: &str,
) -> Result<Enrolment, JoinError> {
    if begun.identity.handle != *name || begun.address != address {
        return Err(JoinError::OtherBegun(who(&begun.identity.handle, &begun.address)));
    }
    Ok(visit.resume(begun.identity, begun.genesis))
}

/// What other people see this device called: the machine's name.
fn device_name() -> String {
    let name = std::fs::read_to_string("/etc/hostname");
    let name = name.ok().or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name = name.trim();
    let name = if name.is_empty() { std::env::consts::OS } else { name };
    let end = name.floor_char_boundary(DEVICE_NAME_LEN_MAX);
    name[..end].chars().filter(|c| !c.is_control()).collect()
}

/// The replica holds the pin that counts: failing to write the list stops nothing.
fn note_known(paths: &Paths, registered: &Registered) {
    let noted = KnownServers::load(paths).and_then(|mut known| {
        known.note(&registered.server);
        known.save(paths)
    });
    if let Err(error) = noted {
        tracing::warn!(%error, "known_servers is not up to date");
    }
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

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        let text = error.to_string();
        match error {
            JoinError::Link(_) => Self::new(Exit::Usage, text)
                .hint("whoever invited you can send the whole line again"),
            JoinError::JoinedAlready(_) => Self::new(Exit::Failed, text)
                .hint("another account needs another profile: add --profile NAME"),
            JoinError::OtherBegun(_) => Self::new(Exit::Failed, text)
                .hint("repeat that one, or give it up with `mathia-tui logout`"),
            JoinError::Profile(error) => error.into(),
            JoinError::Register(error) => {
                let (exit, hint) = explain(&error);
                Self::new(exit, text).hint(hint)
            }
        }
    }
}

fn explain(error: &RegisterError) -> (Exit, &'static str) {
    match error {
        RegisterError::Connect(ConnectError::Untrusted(TrustError::Changed { .. })) => {
            (Exit::Untrusted, "stop here and ask the server's operator; nothing was sent")
        }
        RegisterError::Connect(ConnectError::Untrusted(TrustError::Unvouched { .. })) => (
            Exit::Untrusted,
            "join by an invite, or on a terminal, or with --yes if you know this server",
        ),
        RegisterError::Connect(ConnectError::Tls(_)) => {
            (Exit::Failed, "this is a bug of the client")
        }
        RegisterError::Connect(_) => (
            Exit::Unreachable,
            "is the address right, the server running, and UDP let through? nothing was sent",
        ),
        RegisterError::OtherRealm => (Exit::Untrusted, "whoever invited you can make a new one"),
        RegisterError::InviteNeeded => (Exit::NotLoggedIn, "ask a member for an invite link"),
        RegisterError::Login(LoginError::Refused(fault)) => explain_fault(fault),
        RegisterError::Login(_) => {
            (Exit::Queued, "the account may exist: run the same command again, nothing is lost")
        }
    }
}

fn explain_fault(fault: &Fault) -> (Exit, &'static str) {
    match fault {
        Fault::NameTaken => (Exit::Refused, "take another --name; the invite is still good"),
        Fault::NameInvalid => (Exit::Usage, "take another --name"),
        Fault::InviteInvalid => (Exit::NotLoggedIn, "ask for a new invite link"),
        Fault::InviteNeeded => (Exit::NotLoggedIn, "ask a member for an invite link"),
        Fault::RateLimited { .. } => (Exit::Limited, "wait, then run the same command again"),
        Fault::ServerBusy { .. } | Fault::Stopping => {
            (Exit::Unreachable, "run the same command again in a moment")
        }
        Fault::ClockSkew { .. } => {
            (Exit::Refused, "set this machine's clock, then run the same command again")
        }
        _ => (Exit::Refused, "ask the server's operator"),
    }
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
        assert!(!JoinError::from(refused(Fault::NameTaken)).is_about_link());
        assert!(JoinError::from(refused(Fault::InviteInvalid)).is_about_link());
    }

    #[test]
    fn every_refusal_has_its_code() {
        let code = |error: RegisterError| Failure::from(JoinError::from(error)).exit as u8;
        assert_eq!(code(refused(Fault::NameTaken)), 7);
        assert_eq!(code(refused(Fault::InviteInvalid)), 4);
        assert_eq!(code(refused(Fault::RateLimited { retry_after_ms: 1 })), 8);
        assert_eq!(code(RegisterError::OtherRealm), 9);
        let silent = ConnectError::Unreachable("timed out".to_owned());
        assert_eq!(code(RegisterError::Connect(silent)), 5);
    }

    #[test]
    fn a_device_has_a_name_that_fits() {
        let name = device_name();
        assert!(!name.is_empty() && name.len() <= DEVICE_NAME_LEN_MAX);
    }
}
