//! Writing, drafts, commands: nothing typed is ever lost, nothing is sent by mistake.

use std::time::Duration;

use mathia_protocol::client::{ClientEvent, Command, Done, LobbyRoom};
use mathia_tui::app::effect::{CommandTag, Effect};
use mathia_tui::app::keymap::Keymap;
use mathia_tui::app::message::Msg;
use mathia_tui::config::KeySetting;
use proptest::prelude::*;

use super::app::TestApp;
use super::cast::{self, BOB, CLEO, LOBBY, NOW, TEAM};

fn sent(app: &mut TestApp) -> Vec<String> {
    let sent = app.commands().into_iter().filter_map(|command| match command {
        Command::Send { text, .. } => Some(text),
        _ => None,
    });
    sent.collect()
}

#[test]
fn enter_sends_and_ctrl_j_makes_a_line() {
    let mut app = TestApp::in_team();
    app.types("one<ctrl-j>two<alt-enter>three<enter>");
    assert_eq!(sent(&mut app), ["one\ntwo\nthree"]);
    assert_eq!(app.model.written(), "");
}

#[test]
fn spaces_alone_are_not_sent() {
    let mut app = TestApp::in_team();
    app.types("  <ctrl-j> <enter>");
    assert_eq!(sent(&mut app), [""; 0]);
}

#[test]
fn an_unknown_command_is_never_sent_and_stays_to_be_mended() {
    let mut app = TestApp::in_team();
    for text in ["/jion ops", "/etc/passwd is open", " /join ops"] {
        app.types("<ctrl-u>");
        app.types(text);
        app.types("<enter>");
        assert_eq!(sent(&mut app), [""; 0]);
        assert_eq!(app.model.written(), text);
    }
    app.types("<ctrl-u>//etc/passwd is open<enter>");
    assert_eq!(sent(&mut app), ["/etc/passwd is open"]);
}

#[test]
fn a_message_that_is_too_long_is_not_sent() {
    let mut app = TestApp::in_team();
    app.send(Msg::Paste("x".repeat(16 * 1024 + 5)));
    app.types("<enter>");
    assert_eq!(sent(&mut app), [""; 0]);
    assert!(app.screen(80, 24).contains("too long by 5 bytes"));
}

#[test]
fn a_paste_keeps_its_lines_and_loses_what_a_terminal_obeys() {
    let mut app = TestApp::in_team();
    app.send(Msg::Paste("a\r\nb\rc\u{1b}[31m".to_owned()));
    assert_eq!(app.model.written(), "a\nb\nc[31m");
}

#[test]
fn every_room_keeps_its_own_draft() {
    let mut app = TestApp::in_team();
    app.types("for the team<alt-up>");
    assert_eq!((app.model.current_room(), app.model.written()), (Some(cast::TRAIN), ""));
    assert!(app.screen(80, 24).lines().any(|line| line.contains("team") && line.contains('✎')));
    app.types("for the train<alt-down>");
    assert_eq!(app.model.written(), "for the team");
    app.types("<alt-up>");
    assert_eq!(app.model.written(), "for the train");
}

#[test]
fn what_is_typed_before_the_first_room_comes_along() {
    let mut app = TestApp::new(Some(TestApp::ann()));
    app.types("typed early");
    app.answers(CommandTag::Rooms, Done::Rooms(vec![cast::team()]));
    assert_eq!((app.model.current_room(), app.model.written()), (Some(TEAM), "typed early"));
    app.types("<alt-down>");
    app.waits(Duration::from_secs(2));
    assert_eq!(app.model.written(), "typed early", "there is no other room to go to");
}

#[test]
fn a_key_set_for_the_switcher_kills_nothing() {
    let setting = KeySetting {
        place: "compose".to_owned(),
        action: "switcher".to_owned(),
        keys: vec!["f2".to_owned()],
    };
    let mut app = TestApp::in_team();
    app.model.set_keymap(Keymap::configured(&[setting]).0);
    app.types("keep all<ctrl-a>");
    assert!(app.screen(80, 24).contains("F2 go"));
    app.types("<f2>");
    assert!(app.screen(80, 24).contains("╭ go to"));
    assert_eq!(app.model.written(), "keep all");
}

#[test]
fn a_letter_that_is_bound_acts_only_where_nothing_is_written() {
    let mut app = TestApp::in_team();
    app.types("really");
    app.types("?<enter>");
    assert_eq!(sent(&mut app), ["really?"]);
    app.types("?");
    assert!(app.screen(80, 24).contains("╭ keys"));
}

#[test]
fn a_draft_is_saved_on_a_pause_and_on_leaving() {
    let mut app = TestApp::in_team();
    let saved = |app: &mut TestApp| -> Vec<String> {
        let effects = std::mem::take(&mut app.effects);
        let saved = effects.into_iter().filter_map(|effect| match effect {
            Effect::SaveDraft { text, .. } => Some(text),
            _ => None,
        });
        saved.collect()
    };
    app.types("a thought");
    app.waits(Duration::from_millis(999));
    assert_eq!(saved(&mut app), [""; 0]);
    app.waits(Duration::from_millis(1));
    assert_eq!(saved(&mut app), ["a thought"]);
    app.waits(Duration::from_mins(5));
    assert_eq!(saved(&mut app), [""; 0], "nothing changed since");
    app.types(", longer<alt-down>");
    assert_eq!(saved(&mut app), ["a thought, longer"]);
    app.types("x");
    app.send(Msg::Terminate);
    assert_eq!(saved(&mut app), ["x"]);
}

#[test]
fn ctrl_c_puts_the_draft_away_then_asks_then_quits() {
    let mut app = TestApp::in_team();
    let quits = |app: &TestApp| app.effects.iter().any(|effect| matches!(effect, Effect::Quit));
    app.types("half a sentence<ctrl-c>");
    assert_eq!(app.model.written(), "");
    assert!(!quits(&app));
    app.types("<up>");
    assert_eq!(app.model.written(), "half a sentence");
    app.types("<ctrl-c><ctrl-c>");
    assert!(quits(&app));
}

#[test]
fn ctrl_c_twice_with_a_pause_between_does_not_quit() {
    let mut app = TestApp::in_team();
    app.types("<ctrl-c>");
    app.waits(Duration::from_secs(3));
    app.types("<ctrl-c>");
    assert!(app.effects.iter().all(|effect| !matches!(effect, Effect::Quit)));
}

#[test]
fn esc_never_quits_and_ctrl_d_only_on_an_empty_composer() {
    let mut app = TestApp::in_team();
    app.types("<esc><esc><esc><esc>text<ctrl-d>");
    assert!(app.effects.iter().all(|effect| !matches!(effect, Effect::Quit)));
    app.types("<ctrl-u><ctrl-d>");
    assert!(app.effects.iter().any(|effect| matches!(effect, Effect::Quit)));
}

#[test]
fn ctrl_k_kills_what_is_behind_the_caret_and_goes_elsewhere_otherwise() {
    let mut app = TestApp::in_team();
    app.types("keep this<ctrl-a><alt-f><ctrl-k>");
    assert_eq!(app.model.written(), "keep");
    app.types("<ctrl-k>");
    assert!(app.screen(80, 24).contains("╭ go to"));
    app.types("cleo<enter>");
    assert_eq!(app.model.current_room(), Some(cast::WITH_CLEO));
}

#[test]
fn what_was_written_comes_back_with_up() {
    let mut app = TestApp::in_team();
    app.types("first<enter>second<enter>");
    app.types("<up>");
    assert_eq!(app.model.written(), "second");
    app.types("<up><up>");
    assert_eq!(app.model.written(), "first");
    app.types("<down>");
    assert_eq!(app.model.written(), "second");
    app.types("<down>");
    assert_eq!(app.model.written(), "");
}

#[test]
fn tab_completes_names_rooms_and_commands() {
    let mut app = TestApp::in_team();
    app.types("@b<tab>");
    assert_eq!(app.model.written(), "@bob: ");
    app.types("see #rel<tab>");
    assert_eq!(app.model.written(), "@bob: see #release-train ");
    app.types("<ctrl-u>/inv<tab>");
    assert_eq!(app.model.written(), "/invite ");
    app.types("<ctrl-u>/dm <tab>");
    assert_eq!(app.model.written(), "/dm bob ");
    app.types("<tab>");
    assert_eq!(app.model.written(), "/dm cleo ");
}

#[test]
fn the_others_are_told_that_one_types_at_most_every_two_seconds() {
    let mut app = TestApp::in_team();
    let told = |app: &mut TestApp| {
        let commands = app.commands();
        let count = |is: fn(&Command) -> bool| commands.iter().filter(|c| is(c)).count();
        let typing = count(|c| matches!(c, Command::Typing(_)));
        (typing, count(|c| matches!(c, Command::TypingStopped(_))))
    };
    for _ in 0..10 {
        app.types("x");
        app.waits(Duration::from_millis(100));
    }
    assert_eq!(told(&mut app), (1, 0));
    app.waits(Duration::from_secs(2));
    assert_eq!(told(&mut app), (0, 1));
    app.types("y<enter>");
    assert_eq!(told(&mut app), (1, 1));
    app.types("/who");
    assert_eq!(told(&mut app), (0, 0), "commands are nobody's business");
}

#[test]
fn joining_finds_the_open_room_by_its_name() {
    let mut app = TestApp::in_team();
    app.types("/join ops<enter>");
    let open = LobbyRoom {
        room: LOBBY,
        name: "ops".to_owned(),
        topic: String::new(),
        n_members: 3,
        is_member: false,
    };
    app.effects.clear();
    let wanted = Some("ops".parse().unwrap());
    app.answers(CommandTag::Lobby { wanted }, Done::Lobby(vec![open]));
    assert!(matches!(app.commands()[..], [Command::JoinRoom(LOBBY)]));
    app.answers(CommandTag::Go { say: None }, Done::Room(LOBBY));
    assert_eq!(app.model.current_room(), Some(LOBBY));
}

#[test]
fn leaving_asks_first() {
    let mut app = TestApp::in_team();
    app.effects.clear();
    app.types("/leave<enter>");
    assert!(app.commands().is_empty());
    app.types("n");
    assert!(app.commands().is_empty());
    app.types("y");
    assert!(matches!(app.commands()[..], [Command::Leave(TEAM)]));
}

#[test]
fn a_room_that_is_gone_takes_no_draft_elsewhere() {
    let mut app = TestApp::in_team();
    app.types("only for the team");
    app.tells(ClientEvent::RoomGone(TEAM));
    assert_ne!(app.model.current_room(), Some(TEAM));
    assert_eq!(app.model.written(), "");
    app.tells(ClientEvent::Room(Box::new(cast::team())));
    while app.model.current_room() != Some(TEAM) {
        app.types("<alt-down>");
    }
    assert_eq!(app.model.written(), "only for the team");
}

/// Something that may happen while a person types.
#[derive(Debug, Clone)]
enum Happens {
    Letter(char),
    Key(&'static str),
    Entry(u64),
    Offline,
    Online,
    Size(u16, u16),
    Focus(bool),
    Time(u64),
    Typing,
}

fn happens() -> impl Strategy<Value = Happens> {
    let letters = prop::sample::select("abcxyz 안é👩".chars().collect::<Vec<_>>());
    let keys = prop::sample::select(vec![
        "<alt-up>",
        "<alt-down>",
        "<pageup>",
        "<pagedown>",
        "<ctrl-j>",
        "<ctrl-l>",
        "<ctrl-r>",
        "<alt-k><esc>",
        "<f1><esc>",
        "<alt-a>",
        "<ctrl-a><ctrl-e>",
    ]);
    prop_oneof![
        8 => letters.prop_map(Happens::Letter),
        3 => keys.prop_map(Happens::Key),
        1 => (1u64..30).prop_map(Happens::Entry),
        1 => Just(Happens::Offline),
        1 => Just(Happens::Online),
        1 => (10u16..130, 5u16..40).prop_map(|(w, h)| Happens::Size(w, h)),
        1 => any::<bool>().prop_map(Happens::Focus),
        1 => (0u64..3000).prop_map(Happens::Time),
        1 => Just(Happens::Typing),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens around it, what is typed in a room is in that room's composer.
    #[test]
    fn typing_is_never_lost(events in prop::collection::vec(happens(), 0..60)) {
        let mut app = TestApp::in_team();
        let mut typed = std::collections::HashMap::new();
        for event in events {
            match event {
                Happens::Letter(c) => {
                    let text: &mut String = typed.entry(app.model.current_room()).or_default();
                    text.push(c);
                    app.types(&c.to_string());
                }
                Happens::Key(keys) => {
                    if keys == "<ctrl-j>" {
                        let text: &mut String = typed.entry(app.model.current_room()).or_default();
                        text.push('\n');
                    }
                    app.types(keys);
                }
                Happens::Entry(seq) => {
                    let author = if seq % 2 == 0 { BOB } else { CLEO };
                    app.tells(ClientEvent::Entry(Box::new(cast::said(seq, NOW, author, "hm"))));
                }
                Happens::Offline => app.offline(),
                Happens::Online => app.online(),
                Happens::Size(width, height) => app.send(Msg::Resize(width, height)),
                Happens::Focus(is_focused) => app.send(Msg::Focus(is_focused)),
                Happens::Time(ms) => app.waits(Duration::from_millis(ms)),
                Happens::Typing => app.tells(ClientEvent::Typing {
                    room: TEAM,
                    account: BOB,
                    is_typing: true,
                }),
            }
            let expected = typed.get(&app.model.current_room()).map_or("", String::as_str);
            prop_assert_eq!(app.model.written(), expected);
        }
        app.screen(80, 24);
    }

    /// The same keys give the same screen: nothing but the messages decides.
    #[test]
    fn the_same_keys_give_the_same_screen(keys in "[a-z /@?]{0,20}") {
        let play = || {
            let mut app = TestApp::in_team();
            app.types(&keys);
            app.screen(80, 24)
        };
        prop_assert_eq!(play(), play());
    }
}

#[test]
fn a_room_just_made_is_entered_when_it_is_told_and_no_other_is() {
    let mut app = TestApp::in_team();
    app.types("/create plans<enter>");
    let made = mathia_protocol::id::RoomId([0x55; 32]);
    app.answers(CommandTag::Go { say: None }, Done::Room(made));
    app.tells(ClientEvent::Room(Box::new(cast::lobby())));
    assert_eq!(app.model.current_room(), Some(TEAM));
    app.tells(ClientEvent::Room(Box::new(cast::room(made, "plans"))));
    assert_eq!(app.model.current_room(), Some(made));
}
