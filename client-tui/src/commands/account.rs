//! `whoami`, `devices`, `device revoke`, `key show`, `logout`: the own account on this machine.

use mathia_protocol::client::home::{Found, HomeError, KeyLock};
use mathia_protocol::client::{Command, DeviceView, Done};
use mathia_protocol::crypto::recovery::RecoverySecret;

use super::join::format_words;
use super::session::EngineSession;
use super::{CommandContext, out_of_turn, resolve};
use crate::exit::{Exit, Failure};
use crate::output::{self, Line, LineFormat};

pub(super) fn whoami(context: &mut CommandContext<'_>) -> Result<(), Failure> {
    let profile = context.paths.home().open()?;
    let server = profile.replica.server().map_err(HomeError::from)?;
    let identity = &profile.identity;
    let pin = server.map_or_else(|| "not known yet".to_owned(), |server| server.pin.to_hex());
    let text = format!(
        "{} at {}\naccount {}\ndevice  {}\nprofile {}\nserver key sha256 {pin}",
        identity.handle,
        profile.address,
        identity.account,
        identity.device(),
        context.paths.profile
    );
    let line = Line::new("account")
        .with("name", identity.handle.as_str())
        .with("account", identity.account.to_hex())
        .with("device", identity.device().to_hex())
        .with("server", profile.address.as_str())
        .with("pin", pin)
        .with("realm", identity.realm.to_hex())
        .with("profile", context.paths.profile.as_str())
        .text(text);
    context.out.line(&line)
}

pub(super) async fn devices(context: &mut CommandContext<'_>) -> Result<(), Failure> {
    let mut session = EngineSession::open(context)?;
    session.sync(context).await?;
    let devices = own_devices(&session).await?;
    session.close().await;
    let style = LineFormat::local(context.config.is_24h, false);
    for device in devices {
        context.out.line(&output::person::device(&device, &style))?;
    }
    Ok(())
}

async fn own_devices(session: &EngineSession) -> Result<Vec<DeviceView>, Failure> {
    match session.run(Command::Devices).await? {
        Done::Devices(devices) => Ok(devices),
        _ => Err(out_of_turn()),
    }
}

pub(super) async fn revoke(context: &mut CommandContext<'_>, word: &str) -> Result<(), Failure> {
    let mut session = EngineSession::open(context)?;
    session.sync(context).await?;
    let devices = own_devices(&session).await?;
    let valid = devices.iter().filter(|device| !device.is_revoked);
    let device = resolve::device(valid.map(|device| (device.device, device.name.as_str())), word)?;
    let is_this = devices.iter().any(|other| other.device == device && other.is_this);
    let question = if is_this {
        "Revoke THIS device? It can never log in again.".to_owned()
    } else {
        format!("Revoke the device {}? It reads nothing that comes after.", device.short())
    };
    context.prompt.confirm(&mut context.out, &question, "yes")?;
    match session.run(Command::RevokeDevice(device)).await {
        // A device that revokes itself is put out at once: that is the answer.
        Err(failure) if is_this && failure.exit == Exit::NotLoggedIn => {}
        done => drop(done?),
    }
    session.close().await;
    let told = Line::new("device")
        .with("device", device.to_hex())
        .with("is_revoked", true)
        .text(format!("{} is revoked; rooms take a new key with the next message", device.short()));
    context.out.line(&told)
}

pub(super) fn show_words(context: &mut CommandContext<'_>) -> Result<(), Failure> {
    let profile = context.paths.home().open()?;
    let Some(secret) = &profile.identity.recovery else {
        return Err(Failure::new(Exit::NotFound, "this device does not hold the recovery words")
            .hint("the device that made the account does"));
    };
    if !context.prompt.shows_secrets {
        return Err(Failure::new(Exit::Usage, "recovery words are shown on a terminal only")
            .hint("run `mathia-tui key show` without a pipe"));
    }
    let words = RecoverySecret::from_bytes(secret).words();
    let line = Line::new("words").with("words", words.as_str()).text(format_words(&words).as_str());
    context.out.line(&line)
}

pub(super) fn logout(context: &mut CommandContext<'_>) -> Result<(), Failure> {
    let home = context.paths.home();
    let _lock = KeyLock::take(&home)?;
    let (who, n_waiting) = match home.find() {
        Ok(Found::Nothing) => {
            return Err(HomeError::NotJoined(home.dir().to_owned()).into());
        }
        Ok(Found::Joined(profile)) => {
            let n_waiting = profile.replica.outbox(None).map_or(0, |rows| rows.len());
            (format!("{} at {}", profile.identity.handle, profile.address), n_waiting)
        }
        Ok(Found::Unfinished(begun, _)) => {
            (format!("{} at {}", begun.identity.handle, begun.address), 0)
        }
        // What cannot be opened can still be wiped.
        Err(_) => (format!("the damaged profile {}", context.paths.profile), 0),
    };
    let waiting = match n_waiting {
        0 => String::new(),
        n => format!(" {n} messages in the outbox were never sent."),
    };
    let question = format!(
        "Wipe the keys and history of {who} from this machine?{waiting} Without the 24 words or \
        another device the account is lost."
    );
    context.prompt.confirm(&mut context.out, &question, "yes")?;
    home.wipe()?;
    let line = Line::new("logout")
        .with("profile", context.paths.profile.as_str())
        .text(format!("{who} is wiped from this machine"));
    context.out.line(&line)
}
