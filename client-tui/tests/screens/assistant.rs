//! The assistant of the screen tests: its envelopes, questions, answers and pieces of them.

use mathia_protocol::client::{
    ClientEvent, Command, EntryContent, EntryView, Envelope, PresenceView, StreamView,
};
use mathia_protocol::crypto::card::AgentCard;
use mathia_protocol::crypto::content::{
    Answer, Ask as Question, Attached, Content, Outcome, Usage,
};
use mathia_protocol::id::{AccountId, DeviceId, Hash, Seq, TimeMs};
use mathia_protocol::wire::PresenceState;
use mathia_tui::app::effect::{CommandTag, Effect};

use super::app::{TestApp, cast_rooms};
use super::cast::{self, ANN, MATHIA, MINUTE, NOW, TEAM};

/// Snapshots of a screen at some sizes.
macro_rules! looks {
    ($app:expr, $name:literal, $($width:literal x $height:literal),*) => {
        $(insta::assert_snapshot!(
            concat!($name, "_", stringify!($width), "x", stringify!($height)),
            $app.screen($width, $height)
        );)*
    };
}
pub(crate) use looks;

/// Ann's client in the team's room, with the assistant there or not.
pub(crate) fn in_team(presence: PresenceState) -> TestApp {
    let mut rooms = cast_rooms();
    for room in &mut rooms {
        (room.n_unread, room.n_mentions) = (0, 0);
    }
    rooms[0].read_upto = Seq(8);
    let mut app = TestApp::in_rooms(rooms, cast::conversation());
    let last_seen = TimeMs(NOW);
    app.tells(ClientEvent::Presence(PresenceView { account: MATHIA, state: presence, last_seen }));
    app.effects.clear();
    app
}

pub(crate) fn attached(seq: u64) -> Attached {
    let entries = cast::conversation();
    let entry = entries.iter().find(|entry| entry.seq == Seq(seq)).expect("it was said");
    let EntryContent::Said(Content::Text(text)) = &entry.content else {
        panic!("{seq} is no text")
    };
    let (handle, text) = (entry.handle.clone(), text.clone());
    Attached { seq: entry.seq, author: entry.author, handle, time: entry.time, text }
}

pub(crate) fn card(provider: &str) -> AgentCard {
    AgentCard {
        account: MATHIA,
        device: DeviceId([9; 16]),
        issued: TimeMs(1),
        provider: provider.to_owned(),
        model: "small-4".to_owned(),
        is_local: false,
        operator: "Heron & Co".to_owned(),
    }
}

pub(crate) fn envelope(card: Option<AgentCard>, quoted: Option<u64>, context: &[u64]) -> Envelope {
    Envelope {
        agent: MATHIA,
        handle: "mathia".to_owned(),
        card,
        promise: Hash([7; 32]),
        quoted: quoted.map(attached),
        context: context.iter().map(|seq| attached(*seq)).collect(),
        n_left_out: 0,
    }
}

/// What the core asked of the engine and waits for.
pub(crate) fn asked(app: &mut TestApp) -> (CommandTag, Command) {
    let effects = std::mem::take(&mut app.effects);
    let commands = effects.into_iter().filter_map(|effect| match effect {
        Effect::Command { tag, command } => Some((tag, command)),
        _ => None,
    });
    let mut asked = commands.filter(|(_, command)| {
        matches!(command, Command::Envelope { .. } | Command::Ask(_) | Command::StopAnswer { .. })
    });
    let one = asked.next().expect("something is asked of the engine");
    assert_eq!(asked.count(), 0, "and nothing besides");
    one
}

pub(crate) fn ask_entry(seq: u64, author: AccountId, text: &str, shown: &[u64]) -> EntryView {
    let content = Content::Ask(Box::new(Question {
        agent: MATHIA,
        card: Hash([7; 32]),
        again: None,
        n_left_out: 0,
        text: text.to_owned(),
        attached: shown.iter().map(|seq| attached(*seq)).collect(),
    }));
    let content = EntryContent::Said(content);
    EntryView { is_shown: true, ..cast::entry(seq, NOW - MINUTE, author, content) }
}

pub(crate) fn answer_entry(
    seq: u64,
    ask: u64,
    outcome: Outcome,
    (text, cause): (&str, &str),
) -> EntryView {
    let usage = Usage { prompt: 194, completion: 80, total: 274, is_estimated: false };
    let content = Content::Answer(Box::new(Answer {
        ask: Seq(ask),
        ask_hash: [0; 16],
        outcome,
        cause: cause.to_owned(),
        text: text.to_owned(),
        provider: "api.example.org".to_owned(),
        model: "small-4".to_owned(),
        usage: (outcome != Outcome::Refused).then_some(usage),
    }));
    cast::entry(seq, NOW, MATHIA, EntryContent::Said(content))
}

pub(crate) fn stream(ask: u64, text: &str) -> ClientEvent {
    ClientEvent::Stream(Box::new(StreamView {
        room: TEAM,
        ask: Seq(ask),
        agent: MATHIA,
        handle: "mathia".to_owned(),
        text: text.to_owned(),
        has_gap: false,
    }))
}

pub(crate) fn entry(view: EntryView) -> ClientEvent {
    ClientEvent::Entry(Box::new(view))
}

pub(crate) const COLUMN: &str = "The column is added twice: once in 0007 and once in 0009. Drop the second:\n\
                      ```sql\nalter table entries drop column epoch;\n```\nThen run it again.";

/// A room in which ann has asked and two messages were shown.
pub(crate) fn after_asking() -> TestApp {
    let mut app = in_team(PresenceState::Online);
    for seq in [7, 8] {
        let mut shown = cast::conversation()[seq - 1].clone();
        shown.is_shown = true;
        app.tells(entry(shown));
    }
    app.tells(entry(ask_entry(9, ANN, "why is the column there twice?", &[7, 8])));
    app
}
