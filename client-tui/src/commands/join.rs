//! `join`: makes an account by an invite, or by the address of an open server.

use std::sync::Arc;

use mathia_protocol::client::Registered;
use mathia_protocol::crypto::recovery::RecoverySecret;
use mathia_protocol::name::Handle;
use zeroize::Zeroizing;

use super::context::CommandContext;
use super::prompt;
use super::session::TerminalTrust;
use crate::clock;
use crate::exit::Failure;
use crate::output::Line;
use crate::registration;

/// Longest invite line, in bytes: a host name and four parts.
const LINK_LEN_MAX: usize = 1_024;

pub(super) async fn run(
    context: &mut CommandContext<'_>,
    link: &str,
    name: Handle,
) -> Result<(), Failure> {
    let link = match link {
        "-" => Zeroizing::new(prompt::read_stdin(LINK_LEN_MAX).await?),
        link => Zeroizing::new(link.to_owned()),
    };
    let ask = Arc::new(TerminalTrust { paths: context.paths.clone(), prompt: context.prompt });
    let registered = registration::join(&context.paths, &link, name, ask, clock::now()).await?;
    report(context, &registered)
}

fn report(context: &mut CommandContext<'_>, registered: &Registered) -> Result<(), Failure> {
    let identity = &registered.identity;
    let line = Line::new("account")
        .with("name", identity.handle.as_str())
        .with("account", identity.account.to_hex())
        .with("device", identity.device().to_hex())
        .with("server", registered.server.address.as_str())
        .with("pin", registered.server.pin.to_hex())
        .with("profile", context.paths.profile.as_str())
        .text(format!("you are {} at {}", identity.handle, registered.server.address));
    context.out.line(&line)?;
    if registered.inviter.is_some() {
        context
            .out
            .report("you are added to rooms as soon as a client of whoever invited you is online");
    }
    match &identity.recovery {
        Some(secret) if context.prompt.shows_secrets => {
            context.out.report(
                "Write these 24 words down: they bring the account back if this device is lost, \
                and whoever has them is you.",
            );
            context.out.report(&format_words(&RecoverySecret::from_bytes(secret).words()));
        }
        _ => context.out.report("`mathia-tui key show` shows the 24 recovery words on a terminal"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_stand_in_four_numbered_rows() {
        let words: Vec<String> = (1..=24).map(|n| format!("word{n}")).collect();
        let rows = format_words(&words.join(" "));
        assert_eq!(rows.lines().count(), 4);
        assert!(rows.lines().last().unwrap().contains("19 word19"));
    }
}
