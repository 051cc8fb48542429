//! `join`: makes an account by an invite, or by the address of an open server.

use std::sync::Arc;

use mathia_protocol::client::{
    Applicant, ConnectError, Enrolment, LoginError, RegisterError, Registered, TrustError, Visit,
};
use mathia_protocol::crypto::invite::Invite;
use mathia_protocol::crypto::recovery::RecoverySecret;
use mathia_protocol::crypto::user_link::{AccountKind, DeviceLabel};
use mathia_protocol::limits::DEVICE_NAME_LEN_MAX;
use mathia_protocol::name::Handle;
use mathia_protocol::wire::Fault;
use zeroize::Zeroizing;

use super::session::TerminalAsk;
use super::{Call, prompt};
use crate::clock;
use crate::exit::{Exit, Failure};
use crate::known_servers::KnownServers;
use crate::output::Line;
use crate::profile::{Found, KeyLock, Profile, Unfinished, wipe};
use crate::replica::SqliteReplica;

/// Longest invite line, in bytes: a host name and four parts.
const LINK_LEN_MAX: usize = 1_024;

pub(super) async fn run(call: &mut Call<'_>, link: &str, name: Handle) -> Result<(), Failure> {
    let link = match link {
        "-" => Zeroizing::new(prompt::read_stdin(LINK_LEN_MAX).await?),
        link => Zeroizing::new(link.to_owned()),
    };
    let invite: Invite =
        link.parse().map_err(|error: mathia_protocol::crypto::invite::InviteError| {
            Failure::new(Exit::Usage, error.to_string())
                .hint("whoever invited you can send the whole line again")
        })?;
    let _lock = KeyLock::take(&call.paths)?;
    let begun = match Profile::find(&call.paths)? {
        Found::Joined(profile) => return Err(joined_already(&profile)),
        Found::Unfinished(begun, replica) => Some((begun, replica)),
        Found::Nothing => None,
    };
    let address = invite.address();
    let ask = Arc::new(TerminalAsk { paths: call.paths.clone(), prompt: call.prompt });
    let visit = Visit::begin(invite, Some(ask)).await.map_err(|error| explain(&error))?;
    check_known(call, &address, &visit)?;
    let (enrolment, replica) = match begun {
        Some((begun, replica)) => take_up(visit, *begun, replica, &name, &address)?,
        None => enrol(call, visit, name, &address)?,
    };
    let recovery = enrolment.identity().recovery.clone();
    let registered = match enrolment.finish().await {
        Ok(registered) => registered,
        Err(error) => {
            if is_final(&error) {
                // The server said no to this name or invite: these keys will never be an account.
                drop(replica);
                wipe(&call.paths)?;
            }
            return Err(explain(&error));
        }
    };
    Profile::finish(&replica, &registered.server)
        .map_err(|error| Failure::from(crate::profile::ProfileError::from(error)))?;
    note_known(call, &registered);
    report(call, &registered, recovery)
}

fn joined_already(profile: &Profile) -> Failure {
    let who = format!("{} at {}", profile.identity.handle, profile.address);
    Failure::new(Exit::Failed, format!("this profile is {who} already"))
        .hint("another account needs another profile: add --profile NAME")
}

/// A pin that was stored for this server is stronger than any certificate authority.
fn check_known(call: &Call<'_>, address: &str, visit: &Visit) -> Result<(), Failure> {
    let known = KnownServers::load(&call.paths)?.pin(address);
    match known {
        Some(known) if known != visit.server_pin() => {
            let changed =
                TrustError::Changed { expected: known.to_hex(), found: visit.server_pin() };
            Err(explain(&RegisterError::Connect(ConnectError::Untrusted(changed))))
        }
        _ => Ok(()),
    }
}

fn enrol(
    call: &Call<'_>,
    visit: Visit,
    handle: Handle,
    address: &str,
) -> Result<(Enrolment, Arc<SqliteReplica>), Failure> {
    let label = DeviceLabel {
        name: device_name(),
        os: std::env::consts::OS.to_owned(),
        created: clock::now(),
    };
    let applicant = Applicant { handle, label, kind: AccountKind::Human, operator: String::new() };
    let enrolment = visit.enrol(&mut rand::rng(), applicant);
    // What a crashed attempt left without a key file cannot be opened by anybody.
    wipe(&call.paths)?;
    let replica = Profile::begin(&call.paths, enrolment.identity(), enrolment.genesis(), address)?;
    Ok((enrolment, replica))
}

fn take_up(
    visit: Visit,
    begun: Unfinished,
    replica: Arc<SqliteReplica>,
    name: &Handle,
    address: &str,
) -> Result<(Enrolment, Arc<SqliteReplica>), Failure> {
    if begun.identity.handle != *name || begun.address != address {
        let who = format!("{} at {}", begun.identity.handle, begun.address);
        return Err(Failure::new(Exit::Failed, format!("a join as {who} was begun here"))
            .hint("repeat that one, or give it up with `mathia-tui logout`"));
    }
    Ok((visit.resume(begun.identity, begun.genesis), replica))
}

/// What other people see this device called: the machine's name.
fn device_name() -> String {
    let name =
        std::fs::read_to_string("/etc/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    let name = name.unwrap_or_default();
    let name = name.trim();
    let name = if name.is_empty() { std::env::consts::OS } else { name };
    let end = name.floor_char_boundary(DEVICE_NAME_LEN_MAX);
    name[..end].chars().filter(|c| !c.is_control()).collect()
}

fn note_known(call: &mut Call<'_>, registered: &Registered) {
    let noted = KnownServers::load(&call.paths).and_then(|mut known| {
        known.note(&registered.server);
        known.save(&call.paths)
    });
    if let Err(error) = noted {
        // The replica holds the pin that counts.
        call.out.say(&format!("known_servers was not updated: {error}"));
    }
}

fn report(
    call: &mut Call<'_>,
    registered: &Registered,
    recovery: Option<Zeroizing<[u8; 32]>>,
) -> Result<(), Failure> {
    let identity = &registered.identity;
    let line = Line::new("account")
        .with("name", identity.handle.as_str())
        .with("account", identity.account.to_hex())
        .with("device", identity.device().to_hex())
        .with("server", registered.server.address.as_str())
        .with("pin", registered.server.pin.to_hex())
        .with("profile", call.paths.profile.as_str())
        .text(format!("you are {} at {}", identity.handle, registered.server.address));
    call.out.line(&line)?;
    if registered.inviter.is_some() {
        call.out.say("you will be added to rooms when the client of whoever invited you is online");
    }
    match recovery {
        Some(secret) if call.prompt.shows_secrets => {
            call.out.say(
                "Write these 24 words down: they bring the account back if this device is \
                lost, and whoever has them is you.",
            );
            call.out.say(&format_words(&RecoverySecret::from_bytes(&secret).words()));
        }
        _ => call.out.say("`mathia-tui key show` shows the 24 recovery words on a terminal"),
    }
    Ok(())
}

/// The words in rows of six, numbered, easy to copy by hand.
pub(super) fn format_words(words: &str) -> Zeroizing<String> {
    use std::fmt::Write as _;

    // With its capacity known, no copy of the words is left behind by growing.
    let mut rows = Zeroizing::new(String::with_capacity(24 * 16));
    for (place, word) in words.split_whitespace().enumerate() {
        let gap = match place {
            0 => "",
            place if place % 6 == 0 => "\n",
            _ => "  ",
        };
        write!(rows, "{gap}{:>2} {word:<8}", place + 1).expect("writing to a string cannot fail");
    }
    rows
}

fn is_final(error: &RegisterError) -> bool {
    matches!(error, RegisterError::Login(LoginError::Refused(fault)) if !matches!(
        fault,
        Fault::RateLimited { .. } | Fault::ServerBusy { .. } | Fault::Stopping | Fault::ClockSkew { .. }
    ))
}

fn explain(error: &RegisterError) -> Failure {
    let text = error.to_string();
    let (exit, hint) = match error {
        RegisterError::Connect(ConnectError::Untrusted(TrustError::Changed { .. })) => {
            (Exit::Untrusted, "stop here: ask the server's operator; nothing was sent")
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
    };
    Failure::new(exit, text).hint(hint)
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

    #[test]
    fn the_words_stand_in_four_numbered_rows() {
        let words: Vec<String> = (1..=24).map(|n| format!("word{n}")).collect();
        let rows = format_words(&words.join(" "));
        assert_eq!(rows.lines().count(), 4);
        assert!(rows.ends_with("24 word24  "));
    }

    #[test]
    fn a_name_that_is_taken_leaves_nothing_behind_and_a_lost_answer_does() {
        let refused = |fault| RegisterError::Login(LoginError::Refused(fault));
        assert!(is_final(&refused(Fault::NameTaken)) && is_final(&refused(Fault::InviteInvalid)));
        assert!(!is_final(&refused(Fault::ServerBusy { retry_after_ms: 1 })));
        assert!(!is_final(&RegisterError::Login(LoginError::OutOfTurn)));
    }

    #[test]
    fn every_refusal_has_its_code() {
        let refused = |fault| explain(&RegisterError::Login(LoginError::Refused(fault))).exit as u8;
        assert_eq!(refused(Fault::NameTaken), 7);
        assert_eq!(refused(Fault::InviteInvalid), 4);
        assert_eq!(refused(Fault::RateLimited { retry_after_ms: 1 }), 8);
        assert_eq!(explain(&RegisterError::OtherRealm).exit as u8, 9);
        let silent = ConnectError::Unreachable("timed out".to_owned());
        assert_eq!(explain(&RegisterError::Connect(silent)).exit as u8, 5);
    }

    #[test]
    fn a_device_has_a_name_that_fits() {
        let name = device_name();
        assert!(!name.is_empty() && name.len() <= DEVICE_NAME_LEN_MAX);
    }
}
