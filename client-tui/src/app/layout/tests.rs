use mathia_protocol::client::{ConnectionState, EntryContent, MarkCounts, RoomView};
use mathia_protocol::crypto::commit::{AgentScope, HistoryRule, Role, RoomKind, RoomMode};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::id::{Epoch, Hash, RoomId};

use super::*;
use crate::app::keymap::Keymap;
use crate::app::model::entry::Entry;
use crate::app::model::room::RoomFacts;
use crate::app::model::{Me, Setup};
use crate::app::theme::Theme;

const ROOM: RoomId = RoomId([1; 32]);
const HEIGHT: usize = 18;

fn room() -> Room {
    let view = RoomView {
        room: ROOM,
        kind: RoomKind::Group,
        mode: RoomMode::E2ee,
        name: "long".to_owned(),
        topic: String::new(),
        members: Vec::new(),
        role: Role::Member,
        history: HistoryRule::All,
        agent_scope: AgentScope::None,
        epoch: Epoch(1),
        room_code: String::new(),
        head: Seq(0),
        head_hash: Hash::ZERO,
        announced: Seq(0),
        read_upto: Seq(0),
        n_unread: 0,
        n_mentions: 0,
        active_at: TimeMs(0),
        sending_stopped: None,
        marks: MarkCounts::default(),
    };
    Room::new(RoomFacts::of(&view))
}

/// An entry of an author of its own.
fn entry(seq: u64, text: &str) -> Entry {
    let mut author = [0; 32];
    author[..8].copy_from_slice(&seq.to_be_bytes());
    Entry {
        seq: Seq(seq),
        time: TimeMs(seq * 1000),
        author: AccountId(author),
        handle: SafeText::line("bob"),
        is_mine: false,
        is_countable: true,
        is_mention: false,
        is_shown_to_agent: false,
        content: EntryContent::Said(Content::Text(SafeText::clean(text))),
        reactions: Vec::new(),
    }
}

/// A model in a room with some entries, each of one row and each of another author.
fn model(n_entries: u64) -> Model {
    let me = Me {
        account: AccountId([9; 32]),
        handle: "ann".parse().unwrap(),
        workspace: String::new(),
    };
    let mut model = Model::new(Setup {
        screen: (60, 24),
        time_format: TimeFormat { zone: jiff::tz::TimeZone::UTC, is_24h: true },
        theme: Theme::default(),
        keymap: Keymap::default(),
        me: Some(me),
        pending_join: None,
        drafts: Vec::new(),
        warnings: Vec::new(),
    });
    let online = ConnectionState::Connecting;
    model.connection = model.connection.changed(&online, std::time::Duration::ZERO);
    let mut room = room();
    for seq in 1..=n_entries {
        room.timeline.insert(entry(seq, "one row"));
    }
    room.timeline.is_loaded = true;
    model.rooms.insert(ROOM, room);
    model.current_room = Some(ROOM);
    model
}

fn scroll(model: &mut Model, to: impl Fn(&TimelinePage<'_>) -> Scroll) {
    let scroll = to(&TimelinePage::of(model).unwrap());
    model.room_mut().unwrap().timeline.scroll = scroll;
}

fn newest_shown(model: &Model) -> ItemKey {
    TimelinePage::of(model).unwrap().window().last().unwrap().key
}

#[test]
fn a_very_long_room_is_laid_out_only_where_it_is_looked_at() {
    let mut model = model(200_000);
    assert_eq!(TimelinePage::of(&model).unwrap().window().len(), HEIGHT);
    scroll(&mut model, |page| page.with_top(ItemKey::Placed(Seq(100_000), 0), 0));
    scroll(&mut model, |page| page.up(HEIGHT));
    scroll(&mut model, |page| page.down(HEIGHT));
    assert_eq!(TimelinePage::of(&model).unwrap().window().len(), HEIGHT);
    let n_wrapped = model.room().unwrap().timeline.n_wrapped();
    assert!(n_wrapped < 10 * HEIGHT, "{n_wrapped} texts were wrapped for a window of {HEIGHT}");
}

#[test]
fn every_row_up_is_a_row_down_again() {
    let mut model = model(50);
    for n_rows in [1, 2, 3, 7, HEIGHT, 60] {
        scroll(&mut model, |page| page.up(n_rows));
        scroll(&mut model, |page| page.down(n_rows));
        assert_eq!(model.room().unwrap().timeline.scroll, Scroll::Live, "{n_rows}");
    }
}

#[test]
fn the_window_stays_full_at_the_top() {
    let mut model = model(50);
    scroll(&mut model, |page| page.up(1_000));
    let page = TimelinePage::of(&model).unwrap();
    assert_eq!(page.window().len(), HEIGHT);
    assert!(page.is_at_top());
}

#[test]
fn a_window_survives_a_change_of_width_and_a_thing_that_goes() {
    let mut model = model(50);
    scroll(&mut model, |page| page.up(25));
    let before = newest_shown(&model);
    model.screen = (45, 24);
    assert_eq!(newest_shown(&model), before);
    model.room_mut().unwrap().timeline.scroll = Scroll::At(ItemKey::Pending(7), 3);
    assert_eq!(TimelinePage::of(&model).unwrap().window().len(), HEIGHT);
}

/// An answer that streams in grows downwards: it pushes nobody who reads above it.
#[test]
fn an_entry_that_grows_moves_only_those_who_look_at_the_newest() {
    let mut model = model(50);
    scroll(&mut model, |page| page.up(5));
    let before = TimelinePage::of(&model).unwrap().window();
    let grow = |model: &mut Model, n_rows: usize| {
        let text = vec!["a row"; n_rows].join("\n");
        model.room_mut().unwrap().timeline.insert(entry(50, &text));
    };
    grow(&mut model, 12);
    assert_eq!(TimelinePage::of(&model).unwrap().window(), before);
    scroll(&mut model, |_| Scroll::Live);
    let n_seen = |model: &Model| {
        let window = TimelinePage::of(model).unwrap().window();
        window.iter().filter(|line| line.key == ItemKey::Placed(Seq(50), 0)).count()
    };
    assert_eq!(n_seen(&model), 13, "its head and all its rows");
    grow(&mut model, 14);
    assert_eq!(n_seen(&model), 15);
}

#[test]
fn a_room_without_anything_has_no_rows() {
    let model = model(0);
    let page = TimelinePage::of(&model).unwrap();
    assert_eq!(page.window(), []);
    assert_eq!(page.up(5), Scroll::Live);
    assert!(page.is_at_top());
}
