//! Making an account on this machine: the steps that the command and the interactive client share.
//!
//! Owns what the list of known servers says about the server before an account is made there, and
//! what each refusal means for a person. Asks nobody itself; prints nothing.

use std::sync::Arc;

use mathia_protocol::client::home::{FileError, Found, HomeError, HomeJoinError, KeyLock};
use mathia_protocol::client::{
    Applicant, ConnectError, LoginError, RegisterError, Registered, TrustAsk, TrustError, Visit,
};
use mathia_protocol::crypto::invite::{Invite, InviteError};
use mathia_protocol::crypto::user_link::{AccountKind, DeviceLabel};
use mathia_protocol::id::TimeMs;
use mathia_protocol::limits::DEVICE_NAME_LEN_MAX;
use mathia_protocol::name::Handle;
use mathia_protocol::wire::Fault;

use crate::exit::{Exit, Failure};
use crate::known_servers::KnownServers;
use crate::paths::Paths;

/// Why no account was made.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The link cannot be read. Copying it again helps.
    #[error(transparent)]
    Link(#[from] InviteError),
    /// The server said no, cannot be reached, or is not trusted.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The profile has an account, or another join was begun with it.
    #[error(transparent)]
    Home(HomeJoinError),
    /// The list of known servers cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<HomeJoinError> for JoinError {
    fn from(error: HomeJoinError) -> Self {
        match error {
            HomeJoinError::Register(error) => Self::Register(error),
            other => Self::Home(other),
        }
    }
}

impl From<HomeError> for JoinError {
    fn from(error: HomeError) -> Self {
        Self::Home(error.into())
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
            Self::Home(_) | Self::File(_) => false,
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
    let home = paths.home();
    let lock = KeyLock::take(&home)?;
    if let Found::Joined(joined) = home.find()? {
        return Err(HomeJoinError::already(&joined).into());
    }
    let address = invite.address();
    let visit = Visit::begin(invite, Some(ask)).await?;
    check_known(paths, &address, &visit)?;
    let os = std::env::consts::OS.to_owned();
    let label = DeviceLabel { name: device_name(), os, created: now };
    let kind = AccountKind::Human;
    let applicant = Applicant { handle: name, label, kind, operator: String::new() };
    let registered = home.join(&lock, visit, &address, applicant).await?;
    note_known(paths, &registered);
    Ok(registered)
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

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        let text = error.to_string();
        match error {
            JoinError::Link(_) => Self::new(Exit::Usage, text)
                .hint("whoever invited you can send the whole line again"),
            JoinError::Home(HomeJoinError::JoinedAlready(_)) => Self::new(Exit::Failed, text)
                .hint("another account needs another profile: add --profile NAME"),
            JoinError::Home(HomeJoinError::OtherBegun(_)) => Self::new(Exit::Failed, text)
                .hint("repeat that one, or give it up with `mathia-tui logout`"),
            JoinError::Home(HomeJoinError::Home(error)) => error.into(),
            JoinError::File(error) => error.into(),
            JoinError::Register(error) | JoinError::Home(HomeJoinError::Register(error)) => {
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
    fn a_dead_invite_needs_another_link_and_a_taken_name_does_not() {
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
