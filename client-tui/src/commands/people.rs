//! `people`, `safety`: the people one shares rooms with, and whether their identity is verified.

use mathia_protocol::client::{Command, Done};
use mathia_protocol::wire::PresenceState;

use super::context::{CommandContext, out_of_turn};
use super::resolve;
use super::session::EngineSession;
use crate::exit::Failure;
use crate::output::{self, Line, LineFormat};

pub(super) async fn list(context: &mut CommandContext<'_>) -> Result<(), Failure> {
    let mut session = EngineSession::open(context)?;
    let is_online = session.sync(context).await?;
    let Done::People(mut people) = session.run(Command::People).await? else {
        return Err(out_of_turn());
    };
    let own = session.own.handle.clone();
    session.close().await;
    let style = LineFormat::local(context.config.is_24h, false);
    for person in &mut people {
        let is_me = person.handle == own.as_str();
        if is_me && is_online {
            // The server reports the presence of others only.
            person.presence.state = PresenceState::Online;
        }
        context.out.line(&output::person::person(person, is_me, &style))?;
    }
    Ok(())
}

pub(super) async fn safety(
    context: &mut CommandContext<'_>,
    word: &str,
    is_verified: bool,
) -> Result<(), Failure> {
    let person = resolve::person(word)?;
    let mut session = EngineSession::open(context)?;
    session.sync(context).await?;
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
    context.out.line(&line)?;
    if is_verified {
        context.out.report("noted as compared");
    } else {
        context.out.report("Compare it by voice. If it is the same on both sides, add --verified.");
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
