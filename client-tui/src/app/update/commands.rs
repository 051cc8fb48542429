//! What slash commands do.

use mathia_protocol::client::{Command, NewRoom, PersonRef};
use mathia_protocol::crypto::commit::{Role, RoomKind, RoomMode};
use mathia_protocol::id::RoomId;
use mathia_protocol::name::{Handle, RoomName};

use super::{asking, editing, notices, outbox, reacting, reading, rooms};
use crate::app::effect::{CommandTag, Effect};
use crate::app::model::Model;
use crate::app::model::overlay::{Confirmation, Overlay, Topic};
use crate::app::slash::Slash;

/// Does a command. `written` goes back into the composer if there is no room to do it in.
pub(super) fn run(model: &mut Model, command: Slash, written: &str) -> Vec<Effect> {
    match command {
        Slash::Help => panel(model, Topic::Keys),
        Slash::Net => panel(model, Topic::Net),
        Slash::Outbox => {
            model.overlays = vec![Overlay::Outbox { selected: 0 }];
            Vec::new()
        }
        Slash::Retry => outbox::retry_all(model),
        Slash::Quit => editing::quit(model),
        Slash::Read { is_all: true } => {
            let unread = model.rooms.values().filter(|room| room.facts.n_unread > 0);
            let unread: Vec<RoomId> = unread.map(|room| room.facts.room).collect();
            notices::show(model, &read_sentence(unread.len()));
            unread.into_iter().filter_map(|room| reading::mark(model, room)).collect()
        }
        Slash::Join(wanted) => join(model, wanted),
        Slash::Create { name, is_open } => create(name, is_open),
        Slash::Direct { person, text } => {
            let command = Command::Direct(PersonRef::Handle(person));
            vec![Effect::Command { tag: CommandTag::Go { say: text }, command }]
        }
        Slash::Devices => {
            vec![Effect::Command { tag: CommandTag::Devices, command: Command::Devices }]
        }
        Slash::Invite { uses, lifetime } => {
            // Nobody joins a direct room, and everybody an open one.
            let room = model.room().map(|room| &room.facts);
            let room = room.filter(|facts| facts.kind == RoomKind::Group);
            let sealed = room.filter(|facts| facts.mode == RoomMode::E2ee);
            let rooms = sealed.map(|facts| facts.room).into_iter().collect();
            let command = Command::Invite { rooms, uses, lifetime };
            vec![Effect::Command { tag: CommandTag::Invite, command }]
        }
        Slash::Safety(person) => safety(person, false),
        Slash::Verify(person) => safety(person, true),
        here => {
            if let Some(room) = model.current_room {
                run_here(model, room, here)
            } else {
                model.composer.replace(written);
                notices::show_error(
                    model,
                    "You are in no room yet: /create NAME makes one, /join lists some.",
                );
                Vec::new()
            }
        }
    }
}

fn run_here(model: &mut Model, room: RoomId, command: Slash) -> Vec<Effect> {
    let name = model.room().map(|room| room.facts.shown_name()).unwrap_or_default();
    match command {
        Slash::Lock => panel(model, Topic::Lock),
        Slash::Who(None) => {
            panel(model, Topic::Who);
            vec![Effect::Command { tag: CommandTag::People, command: Command::People }]
        }
        Slash::Who(Some(name)) => who(model, &name),
        Slash::Stop => asking::stop(model),
        Slash::Again => asking::again(model),
        Slash::React(emoji) => reacting::newest(model, emoji),
        Slash::Read { .. } => {
            notices::show(model, &format!("{name} is marked as read."));
            reading::mark(model, room).into_iter().collect()
        }
        Slash::Leave => {
            let text = format!("Leave {name}? You will not read what is said there after this.");
            ask(model, text, Command::Leave(room), format!("You have left {name}."))
        }
        Slash::Remove(person) => {
            let text = format!("Remove {person} from {name}? The room gets a new key.");
            let done = format!("{person} is no longer in {name}.");
            let command = Command::Remove { room, person: PersonRef::Handle(person) };
            ask(model, text, command, done)
        }
        Slash::Add(people) => {
            let done = added(model, room, &people);
            let people = people.into_iter().map(PersonRef::Handle).collect();
            vec![Effect::reporting(Command::Add { room, people }, &done)]
        }
        Slash::Rename(to) => {
            let done = format!("This room is called {to} now.");
            vec![Effect::reporting(Command::Rename { room, name: to }, &done)]
        }
        Slash::Topic(value) => set(room, "topic", value, "The topic is changed."),
        Slash::Set { key, value } => {
            let done = format!("{key} is {value} now.");
            set(room, &key, value, &done)
        }
        Slash::Rotate => vec![Effect::reporting(Command::Rotate(room), "The room has a new key.")],
        Slash::Role { person, role } => {
            let done = format!("{person} is {role} now.");
            let person = PersonRef::Handle(person);
            vec![Effect::reporting(Command::SetRole { room, person, role: role_of(&role) }, &done)]
        }
        // Those that need no room are done by `run`.
        _ => Vec::new(),
    }
}

/// What is true once these people are in: an assistant reads only what it is shown.
fn added(model: &Model, room: RoomId, people: &[Handle]) -> String {
    let facts = model.rooms.get(&room).map(|room| &room.facts);
    let name = facts.map_or("this room", |facts| facts.name.as_str());
    let does = match facts.map(|facts| facts.mode) {
        Some(RoomMode::Open) => "answers what it is asked",
        _ => "reads only what is shown to it",
    };
    let is_agent = |handle: &&Handle| {
        let name = handle.as_str();
        name == Handle::ASSISTANT || model.people.named(name).is_some_and(|one| one.is_agent)
    };
    let (agents, people): (Vec<_>, Vec<_>) = people.iter().partition(is_agent);
    let readers = (!people.is_empty()).then(|| format!("{} can read {name} now.", list(&people)));
    let shown =
        (!agents.is_empty()).then(|| format!("{} is in {name} now, and {does}.", list(&agents)));
    [readers, shown].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn list(people: &[&Handle]) -> String {
    people.iter().map(|handle| handle.as_str()).collect::<Vec<_>>().join(", ")
}

fn read_sentence(n_rooms: usize) -> String {
    match n_rooms {
        0 => "Everything is read already.".to_owned(),
        1 => "One room is marked as read.".to_owned(),
        n => format!("{n} rooms are marked as read."),
    }
}

fn join(model: &mut Model, wanted: Option<RoomName>) -> Vec<Effect> {
    let mine = wanted.as_ref().and_then(|wanted| {
        let groups = model.group_rooms();
        let is_it = |name: &str| name.eq_ignore_ascii_case(wanted.as_str());
        groups.iter().find(|room| is_it(room.facts.name.as_str())).map(|room| room.facts.room)
    });
    match mine {
        Some(room) => rooms::enter(model, room),
        None => {
            vec![Effect::Command { tag: CommandTag::Lobby { wanted }, command: Command::Lobby }]
        }
    }
}

fn create(name: RoomName, is_open: bool) -> Vec<Effect> {
    let room = NewRoom { name, is_open, shares_history: is_open, people: Vec::new() };
    vec![Effect::Command { tag: CommandTag::Go { say: None }, command: Command::CreateRoom(room) }]
}

fn safety(person: Handle, asks: bool) -> Vec<Effect> {
    let command = Command::Safety(PersonRef::Handle(person.clone()));
    vec![Effect::Command { tag: CommandTag::Safety { person, asks }, command }]
}

fn set(room: RoomId, key: &str, value: String, done: &str) -> Vec<Effect> {
    vec![Effect::reporting(Command::Set { room, key: key.to_owned(), value }, done)]
}

/// Tells about the assistant of a room; about people, the list tells everything.
fn who(model: &mut Model, name: &Handle) -> Vec<Effect> {
    let agent = model.room().and_then(|room| room.facts.agent());
    match agent.filter(|agent| agent.handle.as_str() == name.as_str()).map(|agent| agent.account) {
        Some(agent) => panel(model, Topic::Assistant(agent)),
        None => panel(model, Topic::Who),
    }
}

fn ask(model: &mut Model, text: String, command: Command, done: String) -> Vec<Effect> {
    model.overlays = vec![Overlay::Confirmation(Confirmation { text, command, done })];
    Vec::new()
}

fn panel(model: &mut Model, topic: Topic) -> Vec<Effect> {
    model.overlays = vec![Overlay::Panel { topic, scroll: 0 }];
    Vec::new()
}

fn role_of(role: &str) -> Role {
    match role {
        "owner" => Role::Owner,
        "admin" => Role::Admin,
        "moderator" => Role::Moderator,
        "guest" => Role::Guest,
        // The parser lets only roles through.
        _ => Role::Member,
    }
}
