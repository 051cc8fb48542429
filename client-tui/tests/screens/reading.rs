//! What counts as read, what rings, and what the title tells.

use std::time::Duration;

use mathia_protocol::client::{ClientEvent, Command, RoomView};
use mathia_protocol::id::Seq;
use mathia_tui::app::effect::Effect;
use mathia_tui::app::message::Msg;

use super::app::{TestApp, cast_rooms};
use super::cast::{self, BOB, CLEO, NOW};

const DWELL: Duration = Duration::from_millis(700);

fn marks(app: &mut TestApp) -> Vec<Seq> {
    let marks = app.commands().into_iter().filter_map(|command| match command {
        Command::MarkRead { upto, .. } => Some(upto),
        _ => None,
    });
    marks.collect()
}

fn rings(app: &mut TestApp) -> usize {
    let effects = std::mem::take(&mut app.effects);
    effects.iter().filter(|effect| matches!(effect, Effect::Bell)).count()
}

#[test]
fn looking_for_a_moment_marks_as_read() {
    let mut app = TestApp::in_team();
    app.waits(DWELL.checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(marks(&mut app), []);
    app.waits(Duration::from_millis(1));
    assert_eq!(marks(&mut app), [Seq(8)]);
    app.waits(Duration::from_secs(10));
    assert_eq!(marks(&mut app), [], "once is enough");
}

#[test]
fn nothing_is_read_while_the_window_is_elsewhere() {
    let mut app = TestApp::in_team();
    app.send(Msg::Focus(false));
    app.waits(Duration::from_mins(1));
    assert_eq!(marks(&mut app), []);
    app.send(Msg::Focus(true));
    app.waits(DWELL);
    assert_eq!(marks(&mut app), [Seq(8)]);
}

#[test]
fn nothing_is_read_while_scrolled_up_or_covered() {
    let mut app = TestApp::in_team();
    app.screen(80, 14);
    app.types("<pageup>");
    app.waits(Duration::from_mins(1));
    assert_eq!(marks(&mut app), []);
    app.types("<end><ctrl-k>");
    app.waits(Duration::from_mins(1));
    assert_eq!(marks(&mut app), []);
    app.types("<esc>");
    app.waits(DWELL);
    assert_eq!(marks(&mut app), [Seq(8)]);
}

#[test]
fn the_line_above_what_is_new_stays_until_the_room_is_left() {
    let mut app = TestApp::in_team();
    app.waits(DWELL);
    app.tells(ClientEvent::Room(Box::new(RoomView { read_upto: Seq(8), ..cast::team() })));
    assert!(app.screen(80, 24).contains(" 2 new since 09:21 "));
    app.types("<alt-down>");
    app.types("<alt-up>");
    assert!(!app.screen(80, 24).contains("new since"));
}

#[test]
fn what_arrives_while_one_is_away_gets_a_line_that_counts() {
    let mut rooms = cast_rooms();
    rooms[0].n_unread = 0;
    rooms[0].read_upto = Seq(8);
    let mut app = TestApp::in_rooms(rooms, cast::conversation());
    app.send(Msg::Focus(false));
    for seq in 9..12 {
        app.tells(ClientEvent::Entry(Box::new(cast::said(seq, NOW, BOB, "are you there?"))));
    }
    assert!(app.screen(80, 24).contains(" 3 new since 09:30 "));
}

#[test]
fn the_line_points_at_something_that_counts() {
    let mut rooms = cast_rooms();
    rooms[0].read_upto = Seq(6);
    let mut entries = cast::conversation();
    entries[6] = cast::changed(7, NOW, CLEO, "renamed the room");
    let mut app = TestApp::in_rooms(rooms, entries);
    let screen = app.screen(80, 24);
    let line = screen.lines().position(|line| line.contains("new since")).unwrap();
    assert!(screen.lines().nth(line + 1).unwrap().contains("cleo"));
    assert!(screen.lines().nth(line + 2).unwrap().contains("the column is added twice"));
}

#[test]
fn a_mention_rings_unless_one_is_looking_at_it() {
    let mut app = TestApp::in_team();
    rings(&mut app);
    app.tells(ClientEvent::Entry(Box::new(cast::said(9, NOW, BOB, "@ann?"))));
    assert_eq!(rings(&mut app), 0, "it is in front of her");
    app.send(Msg::Focus(false));
    app.tells(ClientEvent::Entry(Box::new(cast::said(10, NOW, BOB, "@ann!"))));
    assert_eq!(rings(&mut app), 1);
    app.waits(Duration::from_secs(2));
    app.tells(ClientEvent::Entry(Box::new(cast::said(11, NOW, BOB, "never mind"))));
    assert_eq!(rings(&mut app), 0, "not every message rings");
    app.tells(ClientEvent::Entry(Box::new(cast::said(10, NOW, BOB, "@ann!"))));
    assert_eq!(rings(&mut app), 0, "told again, it does not ring again");
}

#[test]
fn a_direct_message_rings_from_another_room() {
    let mut app = TestApp::in_team();
    rings(&mut app);
    let mut entry = cast::said(3, NOW, BOB, "a word?");
    entry.room = cast::WITH_BOB;
    app.tells(ClientEvent::Entry(Box::new(entry)));
    assert_eq!(rings(&mut app), 1);
}

#[test]
fn the_title_counts_what_is_unread() {
    let mut app = TestApp::in_team();
    let titles = |app: &mut TestApp| -> Vec<String> {
        let effects = std::mem::take(&mut app.effects);
        let titles = effects.into_iter().filter_map(|effect| match effect {
            Effect::Title(title) => Some(title),
            _ => None,
        });
        titles.collect()
    };
    assert_eq!(titles(&mut app).last().map(String::as_str), Some("(15) mathia"));
    for mut view in cast_rooms() {
        view.n_unread = 0;
        app.tells(ClientEvent::Room(Box::new(view)));
    }
    assert_eq!(titles(&mut app).last().map(String::as_str), Some("mathia"));
    app.waits(Duration::from_secs(5));
    assert!(titles(&mut app).is_empty(), "it is told only when it changes");
}

#[test]
fn a_flood_of_mentions_rings_once_every_two_seconds() {
    let mut app = TestApp::in_team();
    app.send(Msg::Focus(false));
    rings(&mut app);
    for seq in 9..200 {
        app.tells(ClientEvent::Entry(Box::new(cast::said(seq, NOW, BOB, "@ann @ann @ann"))));
    }
    assert_eq!(rings(&mut app), 1);
    app.waits(Duration::from_secs(2));
    app.tells(ClientEvent::Entry(Box::new(cast::said(200, NOW, BOB, "@ann"))));
    assert_eq!(rings(&mut app), 1);
}

#[test]
fn five_minutes_without_a_key_are_away_and_the_next_key_is_back() {
    let mut app = TestApp::in_team();
    let told = |app: &mut TestApp| -> Vec<bool> {
        let told = app.commands().into_iter().filter_map(|command| match command {
            Command::SetAway(is_away) => Some(is_away),
            _ => None,
        });
        told.collect()
    };
    app.types("x");
    app.waits(Duration::from_secs(299));
    assert_eq!(told(&mut app), [false; 0]);
    app.waits(Duration::from_secs(1));
    assert_eq!(told(&mut app), [true]);
    app.waits(Duration::from_hours(1));
    assert_eq!(told(&mut app), [false; 0]);
    app.types("y");
    assert_eq!(told(&mut app), [false]);
}

#[test]
fn all_rooms_can_be_marked_as_read_at_once() {
    let mut app = TestApp::in_rooms(cast_rooms(), cast::conversation());
    app.effects.clear();
    app.types("/read all<enter>");
    let commands = app.commands();
    let marked: Vec<_> = commands
        .iter()
        .filter_map(|command| match command {
            Command::MarkRead { room, .. } => Some(*room),
            _ => None,
        })
        .collect();
    assert_eq!(marked, [cast::TEAM, cast::LOBBY, cast::WITH_CLEO]);
    assert!(app.screen(80, 24).contains("3 rooms are marked as read."));
}

/// A terminal that tells nothing of focus may be hidden: what nobody can have seen is not read.
#[test]
fn without_a_word_about_focus_only_keys_tell_that_somebody_looks() {
    let mut app = TestApp::in_team();
    app.waits(Duration::from_mins(3));
    assert_eq!(marks(&mut app), [Seq(8)], "there was a key when it began");
    app.tells(ClientEvent::Entry(Box::new(cast::said(9, NOW, CLEO, "@ann are you there?"))));
    app.waits(Duration::from_mins(1));
    let effects = std::mem::take(&mut app.effects);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Bell)));
    let is_mark = |effect: &Effect| {
        matches!(effect, Effect::Command { command: Command::MarkRead { .. }, .. })
    };
    assert!(!effects.iter().any(is_mark), "nobody has pressed a key for long");
    app.types("<end>");
    app.waits(DWELL);
    assert_eq!(marks(&mut app), [Seq(9)]);
}
