//! One method per command: what a face calls, and the type of what it gets.
//!
//! Owns the table in which each command meets its answer. A command without a row does not compile.

use super::command::{
    Answered, Command, CommandError, Done, Envelope, InviteLink, InviteView, LobbyRoom, NewAsk,
    NewCard, NewReaction, NewRoom, PersonRef, RowTag, ScheduleView, TickView,
};
use super::event::{DeviceView, EntryView, PersonView, RoomView};
use super::handle::Client;
use crate::crypto::commit::Role;
use crate::crypto::content::Answer;
use crate::id::{DeviceId, InviteToken, RoomId, Seq, TimeMs};
use crate::name::RoomName;
use std::time::Duration;

/// A page of a room.
#[derive(Debug, Clone)]
pub struct TimelinePage {
    /// Entries in rising order.
    pub entries: Vec<EntryView>,
    /// Whether asking before the first of them may bring more.
    pub has_more: bool,
}

/// Makes the methods from their table, and the match that forgets no command.
macro_rules! methods {
    ($(
        $(#[$doc:meta])*
        $name:ident($($argument:ident: $type:ty),*) -> $answer:ty:
        $command:expr, $variant:pat => $done:pat => $value:expr;
    )*) => {
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                ///
                /// [`CommandError`]; each variant says what happened and whether retrying helps.
                pub async fn $name(&self, $($argument: $type),*) -> Result<$answer, CommandError> {
                    match self.run($command).await? {
                        $done => Ok($value),
                        _ => Err(CommandError::Stopped),
                    }
                }
            )*
        }

        impl Command {
            /// The name of the client's method that gives this command.
            pub fn method(&self) -> &'static str {
                match self {
                    $($variant => stringify!($name),)*
                }
            }
        }
    };
}

methods! {
    /// Puts a text into the durable outbox of a room; its number there.
    send(room: RoomId, text: String, tag: Option<RowTag>) -> u64:
        Command::Send { room, text, tag }, Command::Send { .. }
        => Done::Queued { local_id } => local_id;
    /// Takes a queued message back, if it was never sent.
    withdraw(local_id: u64) -> ():
        Command::Withdraw { local_id }, Command::Withdraw { .. } => Done::Done => ();
    /// Leaves a sealed text with the server until it is due.
    schedule(room: RoomId, text: String, due: TimeMs) -> ():
        Command::Schedule { room, text, due }, Command::Schedule { .. } => Done::Done => ();
    /// Lists what this account has left with the server until it is due.
    schedules() -> Vec<ScheduleView>:
        Command::Schedules, Command::Schedules => Done::Schedules(schedules) => schedules;
    /// Takes a scheduled message back that is not due yet.
    unschedule(room: RoomId, id: u64) -> ():
        Command::Unschedule { room, id }, Command::Unschedule { .. } => Done::Done => ();
    /// Makes a room.
    create_room(room: NewRoom) -> RoomId:
        Command::CreateRoom(room), Command::CreateRoom(_) => Done::Room(id) => id;
    /// Finds or makes the direct room with a person.
    direct(person: PersonRef) -> RoomId:
        Command::Direct(person), Command::Direct(_) => Done::Room(id) => id;
    /// Joins an open room of the lobby.
    join_room(room: RoomId) -> RoomId:
        Command::JoinRoom(room), Command::JoinRoom(_) => Done::Room(id) => id;
    /// Adds people to a room.
    add(room: RoomId, people: Vec<PersonRef>) -> RoomId:
        Command::Add { room, people }, Command::Add { .. } => Done::Room(id) => id;
    /// Removes a member.
    remove(room: RoomId, person: PersonRef) -> RoomId:
        Command::Remove { room, person }, Command::Remove { .. } => Done::Room(id) => id;
    /// Leaves a room.
    leave(room: RoomId) -> RoomId:
        Command::Leave(room), Command::Leave(_) => Done::Room(id) => id;
    /// Begins a new epoch.
    rotate(room: RoomId) -> RoomId:
        Command::Rotate(room), Command::Rotate(_) => Done::Room(id) => id;
    /// Gives a room another name.
    rename(room: RoomId, name: RoomName) -> RoomId:
        Command::Rename { room, name }, Command::Rename { .. } => Done::Room(id) => id;
    /// Changes a member's role.
    set_role(room: RoomId, person: PersonRef, role: Role) -> RoomId:
        Command::SetRole { room, person, role }, Command::SetRole { .. } => Done::Room(id) => id;
    /// Changes a policy value or the topic.
    set(room: RoomId, key: String, value: String) -> RoomId:
        Command::Set { room, key, value }, Command::Set { .. } => Done::Room(id) => id;
    /// Moves the read mark.
    mark_read(room: RoomId, upto: Seq) -> ():
        Command::MarkRead { room, upto }, Command::MarkRead { .. } => Done::Done => ();
    /// Says that the person is typing.
    typing(room: RoomId) -> (): Command::Typing(room), Command::Typing(_) => Done::Done => ();
    /// Says that the person stopped typing.
    typing_stopped(room: RoomId) -> ():
        Command::TypingStopped(room), Command::TypingStopped(_) => Done::Done => ();
    /// Says whether the person is away.
    set_away(is_away: bool) -> (): Command::SetAway(is_away), Command::SetAway(_) => Done::Done => ();
    /// Makes an invite link.
    invite(rooms: Vec<RoomId>, uses: u32, lifetime: Duration) -> InviteLink:
        Command::Invite { rooms, uses, lifetime }, Command::Invite { .. }
        => Done::Invite(link) => link;
    /// Lists the account's invites that still work.
    invites() -> Vec<InviteView>:
        Command::Invites, Command::Invites => Done::Invites(invites) => invites;
    /// Ends an invite.
    revoke_invite(token: InviteToken) -> ():
        Command::RevokeInvite(token), Command::RevokeInvite(_) => Done::Done => ();
    /// Reads how far each member of a room has read, by their signed word.
    ticks(room: RoomId) -> Vec<TickView>:
        Command::Ticks(room), Command::Ticks(_) => Done::Ticks(ticks) => ticks;
    /// Lists open rooms.
    lobby() -> Vec<LobbyRoom>: Command::Lobby, Command::Lobby => Done::Lobby(rooms) => rooms;
    /// Lists the account's own devices.
    devices() -> Vec<DeviceView>: Command::Devices, Command::Devices => Done::Devices(list) => list;
    /// Revokes an own device.
    revoke_device(device: DeviceId) -> ():
        Command::RevokeDevice(device), Command::RevokeDevice(_) => Done::Done => ();
    /// Computes the safety number with a person: its 60 digits.
    safety(person: PersonRef) -> String:
        Command::Safety(person), Command::Safety(_) => Done::Safety(digits) => digits;
    /// Says that the safety number was compared, or accepts a changed identity.
    trust(person: PersonRef, is_verified: bool) -> ():
        Command::Trust { person, is_verified }, Command::Trust { .. } => Done::Done => ();
    /// Reads entries before a position, `Seq(0)` for the newest.
    timeline(room: RoomId, before: Seq, count: u32) -> TimelinePage:
        Command::Timeline { room, before, count }, Command::Timeline { .. }
        => Done::Timeline { entries, has_more } => TimelinePage { entries, has_more };
    /// Shows what a question to the room's assistant would send, and to whom.
    envelope(room: RoomId, text: String, quoted: Option<Seq>, n_context: u32) -> Box<Envelope>:
        Command::Envelope { room, text, quoted, n_context }, Command::Envelope { .. }
        => Done::Envelope(envelope) => envelope;
    /// Puts an emoji on a message, or takes it back; its number in the outbox.
    react(new: NewReaction) -> u64:
        Command::React(new), Command::React(_) => Done::Queued { local_id } => local_id;
    /// Puts a question to the room's assistant into the outbox; its number there.
    ask(new: NewAsk) -> u64:
        Command::Ask(new), Command::Ask(_) => Done::Queued { local_id } => local_id;
    /// Stops an answer, or takes a question back that has none yet.
    stop_answer(room: RoomId, ask: Seq) -> u64:
        Command::StopAnswer { room, ask }, Command::StopAnswer { .. }
        => Done::Queued { local_id } => local_id;
    /// The answers of assistants that are kept here.
    answers(room: Option<RoomId>) -> Vec<Answered>:
        Command::Answers { room }, Command::Answers { .. } => Done::Answers(answers) => answers;
    /// For agents: publishes where questions go.
    put_card(card: NewCard) -> (): Command::PutCard(card), Command::PutCard(_) => Done::Done => ();
    /// For agents: sends a piece of an answer to who is there now.
    stream(room: RoomId, ask: Seq, text: String) -> ():
        Command::Stream { room, ask, text }, Command::Stream { .. } => Done::Done => ();
    /// For agents: puts the answer to an ask into the outbox; its number there.
    answer(room: RoomId, answer: Box<Answer>) -> u64:
        Command::Answer { room, answer }, Command::Answer { .. }
        => Done::Queued { local_id } => local_id;
    /// All rooms the account is in.
    rooms() -> Vec<RoomView>: Command::Rooms, Command::Rooms => Done::Rooms(rooms) => rooms;
    /// Everyone who shares a room with the account.
    people() -> Vec<PersonView>: Command::People, Command::People => Done::People(people) => people;
    /// Lets in who waits, then waits until everything the server had is in the replica.
    sync() -> (): Command::Sync, Command::Sync => Done::Done => ();
    /// Tries to connect now instead of waiting for the backoff.
    connect_now() -> (): Command::ConnectNow, Command::ConnectNow => Done::Done => ();
    /// Ends the session in good order: what is queued stays queued.
    stop() -> (): Command::Stop, Command::Stop => Done::Done => ();
}
