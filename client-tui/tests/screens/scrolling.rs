//! Reading back without being pulled away, and old pages that come when they are needed.

use mathia_protocol::client::{ClientEvent, Command, Done, EntryView};
use mathia_protocol::id::Seq;
use mathia_tui::app::effect::CommandTag;

use super::app::{TestApp, cast_rooms};
use super::cast::{self, BOB, CLEO, TEAM, THURSDAY_17};

fn lines(from: u64, to: u64) -> Vec<EntryView> {
    let author = |seq| if seq % 7 == 0 { CLEO } else { BOB };
    let said =
        |seq| cast::said(seq, THURSDAY_17 + seq * 1000, author(seq), &format!("line {seq}."));
    (from..=to).map(said).collect()
}

fn in_long_room() -> TestApp {
    let mut rooms = cast_rooms();
    rooms[0].n_unread = 0;
    rooms[0].read_upto = Seq(200);
    rooms[0].head = Seq(200);
    let mut app = TestApp::new(Some(TestApp::ann()));
    app.online();
    app.answers(CommandTag::Rooms, Done::Rooms(rooms));
    app.screen(80, 24);
    let tag = CommandTag::Timeline { room: TEAM, before: Seq(0) };
    app.answers(tag, Done::Timeline { entries: lines(101, 200), has_more: true });
    app.effects.clear();
    app
}

/// The timeline's part of the screen.
fn timeline(app: &mut TestApp) -> Vec<String> {
    let screen = app.screen(80, 24);
    screen.lines().skip(2).take(18).map(|line| line.chars().skip(18).collect()).collect()
}

#[test]
fn messages_below_do_not_move_what_one_reads() {
    let mut app = in_long_room();
    app.types("<pageup><pageup>");
    let before = timeline(&mut app);
    app.tells(ClientEvent::Entry(Box::new(cast::said(201, cast::NOW, BOB, "news"))));
    app.tells(ClientEvent::Entry(Box::new(cast::said(202, cast::NOW, BOB, "more news"))));
    assert_eq!(timeline(&mut app), before);
    assert!(app.screen(80, 24).contains("↓ 2 new below"));
    app.types("<end>");
    let screen = app.screen(80, 24);
    assert!(screen.contains("more news") && !screen.contains("new below"));
}

#[test]
fn scrolling_down_again_leads_to_where_one_came_from() {
    let mut app = in_long_room();
    let before = timeline(&mut app);
    app.types("<pageup><pageup><pageup>");
    assert_ne!(timeline(&mut app), before);
    app.types("<pagedown><pagedown><pagedown>");
    assert_eq!(timeline(&mut app), before);
}

#[test]
fn older_pages_are_asked_for_once_and_do_not_move_the_window() {
    let mut app = in_long_room();
    for _ in 0..20 {
        app.types("<pageup>");
    }
    let asked = app.commands();
    let is_page = |command: &Command| matches!(command, Command::Timeline { before: Seq(101), .. });
    assert!(asked.len() == 1 && asked.iter().all(is_page), "{asked:?}");
    let before = timeline(&mut app);
    let tag = CommandTag::Timeline { room: TEAM, before: Seq(101) };
    app.answers(tag, Done::Timeline { entries: lines(1, 100), has_more: false });
    let after = timeline(&mut app);
    assert_eq!(after.last(), before.last());
    for _ in 0..30 {
        app.types("<pageup>");
    }
    assert!(timeline(&mut app).concat().contains("line 1."));
    assert!(app.commands().is_empty(), "there is nothing more to ask for");
}

#[test]
fn a_hole_is_filled() {
    let mut app = in_long_room();
    app.tells(ClientEvent::Entry(Box::new(cast::said(260, cast::NOW, BOB, "after the gap"))));
    let asked = app.commands();
    assert!(matches!(asked[..], [Command::Timeline { before: Seq(260), .. }]), "{asked:?}");
    let tag = CommandTag::Timeline { room: TEAM, before: Seq(260) };
    app.answers(tag, Done::Timeline { entries: lines(160, 259), has_more: true });
    assert!(app.commands().is_empty());
    assert!(timeline(&mut app).concat().contains("line 259."));
}

#[test]
fn a_room_with_much_unread_opens_at_the_first_of_it() {
    let mut rooms = cast_rooms();
    rooms[0].n_unread = 60;
    rooms[0].read_upto = Seq(140);
    let mut app = TestApp::new(Some(TestApp::ann()));
    app.online();
    app.answers(CommandTag::Rooms, Done::Rooms(rooms));
    let tag = CommandTag::Timeline { room: TEAM, before: Seq(0) };
    app.answers(tag, Done::Timeline { entries: lines(101, 200), has_more: true });
    insta::assert_snapshot!("much_unread", app.screen(80, 24));
    app.types("<end><home>");
    insta::assert_snapshot!("much_unread", app.screen(80, 24));
}

#[test]
fn a_selected_message_stays_in_view() {
    let mut app = in_long_room();
    app.types("<alt-k>");
    for seq in (101..200).rev() {
        app.types("k");
        let selected = timeline(&mut app);
        let marked = selected.iter().find(|line| line.starts_with('▌')).cloned();
        // Under a name the mark stands on the name's row too.
        let is_seen = selected
            .iter()
            .any(|line| line.starts_with('▌') && line.contains(&format!("line {seq}.")));
        assert!(is_seen, "{seq}: {marked:?}");
    }
}
