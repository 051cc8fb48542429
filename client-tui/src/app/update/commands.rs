//! Runs slash commands.

use mathia_protocol::client::{Command, NewRoom, PersonRef};
use mathia_protocol::crypto::commit::{RoomKind, RoomMode};
use mathia_protocol::id::RoomId;
use mathia_protocol::name::{Handle, RoomName};

use super::{asking, editing, notices, outbox, reading, rooms};
use crate::app::effect::{CommandTag, Effect};
use crate::app::model::Model;
use crate::app::model::overlay::{Confirmation, Overlay, PanelTopic};
use crate::verbs::{RoomCommand, SlashCommand};

/// Does a command. `written` goes back into the composer if there is no room to do it in.
pub(super) fn run(model: &mut Model, command: SlashCommand, written: &str) -> Vec<Effect> {
    match command {
        SlashCommand::Help => panel(model, PanelTopic::Keys),
        SlashCommand::Connection => panel(model, PanelTopic::Net),
        SlashCommand::Outbox => {
            model.overlays = vec![Overlay::Outbox { selected: 0 }];
            Vec::new()
        }
        SlashCommand::Retry => outbox::retry_all(model),
        SlashCommand::Quit => editing::quit(model),
        SlashCommand::ReadAll => {
            let unread = model.rooms.values().filter(|room| room.facts.n_unread > 0);
            let unread: Vec<RoomId> = unread.map(|room| room.facts.room).collect();
            notices::show(model, &read_sentence(unread.len()));
            unread.into_iter().filter_map(|room| reading::mark(model, room)).collect()
        }
        SlashCommand::Join(wanted) => join(model, wanted),
        SlashCommand::Create { name, is_open } => create(name, is_open),
        SlashCommand::Direct { person, text } => {
            let command = Command::Direct(PersonRef::Handle(person));
            vec![Effect::Command { tag: CommandTag::Go { say: text }, command }]
        }
        SlashCommand::Devices => {
            vec![Effect::Command { tag: CommandTag::Devices, command: Command::Devices }]
        }
        SlashCommand::Invite { uses, lifetime } => {
            // Nobody joins a direct room, and everybody an open one.
            let room = model.room().map(|room| &room.facts);
            let room = room.filter(|facts| facts.kind == RoomKind::Group);
            let sealed = room.filter(|facts| facts.mode == RoomMode::E2ee);
            let rooms = sealed.map(|facts| facts.room).into_iter().collect();
            let command = Command::Invite { rooms, uses, lifetime };
            vec![Effect::Command { tag: CommandTag::Invite, command }]
        }
        SlashCommand::Safety(person) => safety(person, false),
        SlashCommand::Verify(person) => safety(person, true),
        // Only the composer knows what else goes into the envelope: it handles this one itself.
        SlashCommand::Ask(question) => asking::open(model, &question),
        SlashCommand::InRoom(command) => {
            if let Some(room) = model.current_room {
                run_in_room(model, room, command)
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

fn run_in_room(model: &mut Model, room: RoomId, command: RoomCommand) -> Vec<Effect> {
    let name = model.room().map(|room| room.facts.shown_name()).unwrap_or_default();
    match command {
        RoomCommand::Lock => panel(model, PanelTopic::Lock),
        RoomCommand::Members(None) => {
            panel(model, PanelTopic::Who);
            vec![Effect::Command { tag: CommandTag::People, command: Command::People }]
        }
        RoomCommand::Members(Some(name)) => who(model, &name),
        RoomCommand::Stop => asking::stop(model),
        RoomCommand::Again => asking::again(model),
        RoomCommand::Read => {
            notices::show(model, &format!("{name} is marked as read."));
            reading::mark(model, room).into_iter().collect()
        }
        RoomCommand::Leave => {
            let text = format!("Leave {name}? You will not read what is said there after this.");
            ask(model, text, Command::Leave(room), format!("You have left {name}."))
        }
        RoomCommand::Remove(person) => {
            let text = format!("Remove {person} from {name}? The room gets a new key.");
            let done = format!("{person} is no longer in {name}.");
            let command = Command::Remove { room, person: PersonRef::Handle(person) };
            ask(model, text, command, done)
        }
        RoomCommand::Add(people) => {
            let done = added(model, room, &people);
            let people = people.into_iter().map(PersonRef::Handle).collect();
            vec![Effect::reporting(Command::Add { room, people }, &done)]
        }
        RoomCommand::Rename(to) => {
            let done = format!("This room is called {to} now.");
            vec![Effect::reporting(Command::Rename { room, name: to }, &done)]
        }
        RoomCommand::Topic(value) => set(room, "topic", value, "The topic is changed."),
        RoomCommand::Set { key, value } => {
            let done = format!("{key} is {value} now.");
            set(room, &key, value, &done)
        }
        RoomCommand::Rotate => {
            vec![Effect::reporting(Command::Rotate(room), "The room has a new key.")]
        }
        RoomCommand::Role { person, role } => {
            let done = format!("{person} is {} now.", role.word());
            let person = PersonRef::Handle(person);
            vec![Effect::reporting(Command::SetRole { room, person, role: role.into() }, &done)]
        }
    }
}

/// The sentence that reports who was added: an assistant reads only what it is shown.
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

/// Explains the assistant of a room; for people, the list shows everything.
fn who(model: &mut Model, name: &Handle) -> Vec<Effect> {
    let agent = model.room().and_then(|room| room.facts.agent());
    match agent.filter(|agent| agent.handle.as_str() == name.as_str()).map(|agent| agent.account) {
        Some(agent) => panel(model, PanelTopic::Assistant(agent)),
        None => panel(model, PanelTopic::Who),
    }
}

fn ask(model: &mut Model, text: String, command: Command, done: String) -> Vec<Effect> {
    model.overlays = vec![Overlay::Confirmation(Confirmation { text, command, done })];
    Vec::new()
}

fn panel(model: &mut Model, topic: PanelTopic) -> Vec<Effect> {
    model.overlays = vec![Overlay::Panel { topic, scroll: 0 }];
    Vec::new()
}
