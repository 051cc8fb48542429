//! `people`, `safety`: who is there, and whether they are who they should be.

use mathia_protocol::client::{Command, Done, PersonView, TrustState};
use mathia_protocol::id::TimeMs;
use mathia_protocol::wire::PresenceState;

use super::line::{self, Style};
use super::session::Session;
use super::{Call, out_of_turn, resolve};
use crate::clock::rfc3339;
use crate::exit::Failure;
use crate::output::Line;

pub(super) async fn list(call: &mut Call<'_>) -> Result<(), Failure> {
    let mut session = Session::open(call)?;
    let is_online = session.sync(call).await?;
    let Done::People(mut people) = session.run(Command::People).await? else {
        return Err(out_of_turn());
    };
    let own = session.own.handle.clone();
    session.close().await;
    let style = Style::local(call.config.is_24h, false);
    for person in &mut people {
        let is_me = person.handle == own.as_str();
        if is_me && is_online {
            // The server tells how others are; oneself is here.
            person.presence.state = PresenceState::Online;
        }
        call.out.line(&person_line(person, is_me, &style))?;
    }
    Ok(())
}

fn person_line(person: &PersonView, is_me: bool, style: &Style) -> Line {
    let (state, shown) = line::presence_words(&person.presence, style);
    let trust = match person.trust {
        TrustState::Unverified => "unverified",
        TrustState::Verified => "verified",
        TrustState::Changed => "changed",
    };
    let seen = person.presence.last_seen;
    let agent = if person.is_agent { "  agent" } else { "" };
    let loud = if person.trust == TrustState::Changed { "  IDENTITY CHANGED" } else { "" };
    Line::new("person")
        .with("name", person.handle.as_str())
        .with("account", person.account.to_hex())
        .with("state", state)
        .with_some("last_seen", (seen != TimeMs(0)).then(|| rfc3339(seen)))
        .with("is_me", is_me)
        .with("trust", trust)
        .with("devices", person.n_devices)
        .with("is_agent", person.is_agent)
        .text(if is_me {
            format!("{}  {shown}  you", person.handle)
        } else {
            format!("{}{agent}  {shown}  {trust}{loud}", person.handle)
        })
}

pub(super) async fn safety(
    call: &mut Call<'_>,
    word: &str,
    is_verified: bool,
) -> Result<(), Failure> {
    let person = resolve::person(word)?;
    let mut session = Session::open(call)?;
    session.sync(call).await?;
    if is_verified {
        session.run(Command::Trust { person: person.clone(), is_verified }).await?;
    }
    let Done::Safety(digits) = session.run(Command::Safety(person)).await? else {
        return Err(out_of_turn());
    };
    session.close().await;
    let line = Line::new("safety")
        .with("name", word.trim_start_matches('@'))
        .with("digits", digits.as_str())
        .text(in_rows(&digits));
    call.out.line(&line)?;
    if is_verified {
        call.out.say("noted as compared");
    } else {
        call.out.say("Compare it by voice. If it is the same on both sides, add --verified.");
    }
    Ok(())
}

/// 60 digits in 4 rows of 3 groups of 5.
fn in_rows(digits: &str) -> String {
    let plain: Vec<char> = digits.chars().filter(char::is_ascii_digit).collect();
    let groups: Vec<String> = plain.chunks(5).map(|group| group.iter().collect()).collect();
    let rows: Vec<String> = groups.chunks(3).map(|row| row.join(" ")).collect();
    rows.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_digits_stand_in_four_rows_of_three_groups() {
        let digits: String = ('0'..='9').cycle().take(60).collect();
        let rows = in_rows(&digits);
        assert_eq!(rows.lines().count(), 4);
        assert_eq!(rows.lines().next(), Some("01234 56789 01234"));
        assert_eq!(in_rows(&rows), rows, "digits that come in groups already stay so");
    }
}
