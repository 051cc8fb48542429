//! Changing a room's name, topic and policy, and who is in it under which role.

use std::task::{Poll, ready};

use super::super::context::Context;
use super::super::identities::find::Find;
use super::super::state::State;
use super::super::work::Step;
use super::change::ChangeRoom;
use crate::client::{CommandError, Done, PersonRef};
use crate::crypto::commit::{HistoryRule, Policy, Role, WhoAdds};
use crate::crypto::settings::RoomSettings;
use crate::id::RoomId;
use crate::limits::TOPIC_LEN_MAX;
use crate::log::Change;
use crate::name::RoomName;

/// What a person wants to change in a room.
#[derive(Debug, Clone)]
pub(in super::super) enum Wish {
    /// As it is.
    Change(Change),
    /// Another name.
    Name(RoomName),
    /// A policy value or the topic, by its key.
    Value(String, String),
    /// That somebody goes.
    Remove(PersonRef),
    /// That somebody has another role.
    SetRole(PersonRef, Role),
}

/// Changes a room as a person wishes.
#[derive(Debug)]
pub(in super::super) struct Set {
    room: RoomId,
    wish: Wish,
    stage: SetStage,
}

#[derive(Debug)]
enum SetStage {
    Begin,
    Finding(Find),
    Changing(ChangeRoom),
}

impl Set {
    /// Changes this room.
    pub(in super::super) fn new(room: RoomId, wish: Wish) -> Self {
        Self { room, wish, stage: SetStage::Begin }
    }

    fn begin(&self, state: &State) -> Result<Option<SetStage>, CommandError> {
        let id = self.room;
        let change = |change| Ok(Some(SetStage::Changing(ChangeRoom::new(id, change, None))));
        match &self.wish {
            Wish::Change(wanted) => change(wanted.clone()),
            Wish::Remove(person) | Wish::SetRole(person, _) => {
                Ok(Some(SetStage::Finding(Find::new(person.clone()))))
            }
            Wish::Name(name) => {
                let settings = RoomSettings { name: name.clone(), ..present_settings(id, state)? };
                rename(id, settings, state).map(Some)
            }
            Wish::Value(key, value) if key == "topic" => {
                if value.len() > TOPIC_LEN_MAX {
                    let text = format!("a topic has at most {TOPIC_LEN_MAX} bytes");
                    return Err(CommandError::Invalid(text));
                }
                let settings =
                    RoomSettings { topic: value.clone(), ..present_settings(id, state)? };
                rename(id, settings, state).map(Some)
            }
            Wish::Value(key, value) => {
                let before = state.rooms.opened(id)?.1.policy();
                let policy = changed_policy(before, key, value)?;
                if policy == before {
                    return Ok(None);
                }
                change(Change::SetPolicy(policy, Vec::new()))
            }
        }
    }
}

impl Step for Set {
    type Output = Result<Done, CommandError>;

    fn poll(&mut self, state: &mut State, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.stage {
                SetStage::Begin => match self.begin(state)? {
                    Some(next) => self.stage = next,
                    None => return Poll::Ready(Ok(Done::Room(self.room))),
                },
                SetStage::Finding(find) => {
                    let State { account, identities, .. } = &mut *state;
                    let found = ready!(find.poll(account, identities, cx))?;
                    let change = match &self.wish {
                        Wish::SetRole(_, role) => Change::SetRole(vec![(found, *role)]),
                        Wish::Remove(_) | Wish::Change(_) | Wish::Name(_) | Wish::Value(..) => {
                            Change::Remove(vec![found])
                        }
                    };
                    self.stage = SetStage::Changing(ChangeRoom::new(self.room, change, None));
                }
                SetStage::Changing(change) => {
                    ready!(change.poll(state, cx))?;
                    return Poll::Ready(Ok(Done::Room(self.room)));
                }
            }
        }
    }
}

fn present_settings(id: RoomId, state: &State) -> Result<RoomSettings, CommandError> {
    let text = "this device cannot read the room's name yet";
    let settings = state.rooms.get(id)?.settings.clone();
    settings.ok_or_else(|| CommandError::Refused(text.to_owned()))
}

fn rename(id: RoomId, settings: RoomSettings, state: &State) -> Result<SetStage, CommandError> {
    if state.own_role(id).is_none_or(|role| role > Role::Admin) {
        return Err(CommandError::Refused("only admins may rename a room".to_owned()));
    }
    Ok(SetStage::Changing(ChangeRoom::new(id, Change::Rotate, Some(settings))))
}

fn changed_policy(before: Policy, key: &str, value: &str) -> Result<Policy, CommandError> {
    let invalid = |text: &str| Err(CommandError::Invalid(text.to_owned()));
    match (key, value) {
        ("history", "since_join") => Ok(Policy { history: HistoryRule::SinceJoin, ..before }),
        ("history", "all") => Ok(Policy { history: HistoryRule::All, ..before }),
        ("history", _) => invalid("history is since_join or all"),
        ("who_adds", "admin") => Ok(Policy { who_adds: WhoAdds::Admin, ..before }),
        ("who_adds", "any") => Ok(Policy { who_adds: WhoAdds::Any, ..before }),
        ("who_adds", _) => invalid("who_adds is admin or any"),
        ("retention_days", days) => match days.parse() {
            Ok(retention_days @ 0..=3_650) => Ok(Policy { retention_days, ..before }),
            _ => invalid("retention_days is a number from 0 to 3650"),
        },
        _ => invalid("a room has history, who_adds, retention_days and topic"),
    }
}
