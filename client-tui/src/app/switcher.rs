//! The quick switcher: what can be gone to, best first.
//!
//! Without a filter: mentions, then unread, then the latest. With one: how well it fits, then the
//! same.

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use mathia_protocol::crypto::commit::RoomMode;
use mathia_protocol::crypto::content::Emoji;
use mathia_protocol::id::{AccountId, RoomId, TimeMs};
use mathia_protocol::wire::PresenceState;

use super::emoji_picker;
use super::model::Model;
use super::model::overlay::{LobbyLine, Overlay, SwitcherList};
use super::model::room::Room;

/// Something that can be gone to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) target: Target,
    pub(crate) name: String,
    /// A few words beside the name.
    pub(crate) aside: String,
    pub(crate) sign: CandidateSign,
    pub(crate) n_unread: u32,
    pub(crate) n_mentions: u32,
}

/// Where a candidate leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Room(RoomId),
    /// A person without a direct room yet.
    Person(AccountId),
    /// An open room of the lobby.
    Lobby(RoomId),
    /// An emoji, for the message that the list is about.
    Emoji(Emoji),
}

/// What stands before a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CandidateSign {
    Sealed,
    Open,
    Agent,
    Person(PresenceState),
    Emoji(Emoji),
}

/// How urgent a candidate is.
type Rank = (bool, bool, TimeMs);

/// The candidates of the list that floats, best first.
pub(crate) fn candidates(model: &Model) -> Vec<Candidate> {
    let Some(Overlay::Switcher(switcher)) = model.overlays.last() else { return Vec::new() };
    let all = match &switcher.among {
        SwitcherList::Places => places(model),
        SwitcherList::Lobby(lines) => lines.iter().map(lobby_line).collect(),
        SwitcherList::Emoji { .. } => {
            return emoji_picker::candidates(model, switcher.filter.text());
        }
    };
    let filter = switcher.filter.text().trim().trim_start_matches(['#', '@']);
    if filter.is_empty() {
        let mut all = all;
        all.sort_by(|(a, _), (b, _)| b.cmp(a));
        return all.into_iter().map(|(_, candidate)| candidate).collect();
    }
    let pattern = Pattern::parse(filter, CaseMatching::Ignore, Normalization::Smart);
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut buffer = Vec::new();
    let mut fitting: Vec<_> = all
        .into_iter()
        .filter_map(|(rank, candidate)| {
            let name = Utf32Str::new(&candidate.name, &mut buffer);
            pattern.score(name, &mut matcher).map(|score| ((score, rank), candidate))
        })
        .collect();
    fitting.sort_by(|(a, _), (b, _)| b.cmp(a));
    fitting.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Everywhere one can go, but where one is.
fn places(model: &Model) -> Vec<(Rank, Candidate)> {
    let elsewhere = |room: &&&Room| Some(room.facts.room) != model.current_room;
    let groups = model.group_rooms();
    let mut places: Vec<_> = groups.iter().filter(elsewhere).map(|room| group(room)).collect();
    for person in model.people.in_order(model.my_account()) {
        let room = model.direct_room(person.account);
        if room.is_some_and(|room| Some(room.facts.room) == model.current_room) {
            continue;
        }
        let sign = if person.is_agent {
            CandidateSign::Agent
        } else {
            CandidateSign::Person(person.presence)
        };
        let candidate = Candidate {
            target: room.map_or(Target::Person(person.account), |r| Target::Room(r.facts.room)),
            name: person.handle.as_str().to_owned(),
            aside: String::new(),
            sign,
            n_unread: room.map_or(0, |room| room.facts.n_unread),
            n_mentions: room.map_or(0, |room| room.facts.n_mentions),
        };
        let rank = room.map_or((false, false, TimeMs(0)), rank);
        places.push((rank, candidate));
    }
    places
}

fn group(room: &Room) -> (Rank, Candidate) {
    let sign =
        if room.facts.mode == RoomMode::Open { CandidateSign::Open } else { CandidateSign::Sealed };
    let candidate = Candidate {
        target: Target::Room(room.facts.room),
        name: room.facts.shown_name(),
        aside: room.facts.topic.as_str().to_owned(),
        sign,
        n_unread: room.facts.n_unread,
        n_mentions: room.facts.n_mentions,
    };
    (rank(room), candidate)
}

fn rank(room: &Room) -> Rank {
    (room.facts.n_mentions > 0, room.facts.n_unread > 0, room.facts.active_at)
}

fn lobby_line(line: &LobbyLine) -> (Rank, Candidate) {
    let people =
        if line.n_members == 1 { "1 person" } else { &format!("{} people", line.n_members) };
    let joined = if line.is_member { " · you are in it" } else { "" };
    let topic = if line.topic.is_empty() { String::new() } else { format!(" · {}", line.topic) };
    let target = if line.is_member { Target::Room(line.room) } else { Target::Lobby(line.room) };
    let candidate = Candidate {
        target,
        name: line.name.as_str().to_owned(),
        aside: format!("{people}{joined}{topic}"),
        sign: CandidateSign::Open,
        n_unread: 0,
        n_mentions: 0,
    };
    ((false, !line.is_member, TimeMs(line.n_members.into())), candidate)
}
