//! `invite`: makes an invite link.

use mathia_protocol::client::{Command, Done};

use super::context::{CommandContext, out_of_turn};
use super::session::EngineSession;
use crate::clock;
use crate::exit::Failure;
use crate::output::Line;
use crate::verbs::InviteArgs;

pub(super) async fn run(
    context: &mut CommandContext<'_>,
    args: &InviteArgs,
) -> Result<(), Failure> {
    let (uses, lifetime) = (args.uses, args.expires);
    let mut session = EngineSession::open(context)?;
    let mut rooms = Vec::with_capacity(args.rooms.len());
    for word in &args.rooms {
        rooms.push(session.room(context, word).await?.room);
    }
    let room_ids: Vec<String> = rooms.iter().map(ToString::to_string).collect();
    let made = session.run(Command::Invite { rooms, uses, lifetime }).await?;
    let Done::Invite(invite) = made else { return Err(out_of_turn()) };
    session.close().await;
    let millis = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
    let expires = mathia_protocol::id::TimeMs(clock::now().0.saturating_add(millis));
    let line = Line::new("invite")
        .with("link", invite.0.as_str())
        .with("uses", uses)
        .with("expires", clock::rfc3339(expires))
        .with("rooms", room_ids)
        .text(invite.0.as_str());
    context.out.line(&line)?;
    context.out.report("Hand the link over privately: whoever has it may join.");
    if !args.rooms.is_empty() {
        context.out.report("Newcomers are added to the rooms when a client of yours is online.");
    }
    Ok(())
}
