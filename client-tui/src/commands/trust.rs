//! `trust`: which server keys this machine knows, and forgetting one that really changed.

use mathia_protocol::client::home::{Found, HomeError};

use super::CommandContext;
use crate::exit::{Exit, Failure};
use crate::known_servers::{KnownServers, is_same_server};
use crate::output::Line;

pub(super) fn run(context: &mut CommandContext<'_>, replace: Option<&str>) -> Result<(), Failure> {
    let mut known = KnownServers::load(&context.paths)?;
    let Some(host) = replace else {
        for server in known.servers() {
            let (name, pin) = (format!("{}:{}", server.host, server.port), server.pin.to_hex());
            let line = Line::new("server")
                .with("server", name.as_str())
                .with("pin", pin.as_str())
                .with("source", server.source.as_str())
                .with("time", server.first_seen.as_str())
                .text(format!("{name}  sha256:{pin}  {}  {}", server.source, server.first_seen));
            context.out.line(&line)?;
        }
        return Ok(());
    };
    let question = format!(
        "Forget the key of {host}? Only right if its operator says that it was set up anew."
    );
    context.prompt.confirm(&mut context.out, &question, "yes")?;
    let was_listed = known.forget(host);
    if was_listed {
        known.save(&context.paths)?;
    }
    let was_used = forget_in_profile(context, host)?;
    if !was_listed && !was_used {
        return Err(Failure::new(Exit::NotFound, format!("no key of {host:?} is known"))
            .hint("`mathia-tui trust` lists them"));
    }
    let line = Line::new("server")
        .with("server", host)
        .with("is_forgotten", true)
        .text(format!("the key of {host} is forgotten; the next contact asks about the new one"));
    context.out.line(&line)
}

/// Forgets the pin that this profile logs in with, if it is that server's.
fn forget_in_profile(context: &CommandContext<'_>, host: &str) -> Result<bool, Failure> {
    let Found::Joined(profile) = context.paths.home().find()? else { return Ok(false) };
    let has_pin = profile.replica.server().map_err(HomeError::from)?.is_some();
    if !has_pin || !is_same_server(&profile.address, host) {
        return Ok(false);
    }
    profile.replica.forget_server().map_err(HomeError::from)?;
    Ok(true)
}
