//! From Enter to the last tick.

use mathia_protocol::client::{
    ClientEvent, Command, CommandError, Done, OutboxState, OutboxView, RowTag,
};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::id::{Seq, TimeMs};
use mathia_tui::app::effect::{CommandTag, Effect};
use mathia_tui::app::message::Msg;

use super::app::TestApp;
use super::cast::{self, ANN, NOW, TEAM};

fn outbox(local_id: u64, text: &str, state: OutboxState) -> ClientEvent {
    let queued_at = TimeMs(NOW);
    ClientEvent::Outbox(OutboxView {
        local_id,
        tag: None,
        room: TEAM,
        content: Content::Text(text.to_owned()),
        queued_at,
        state,
    })
}

/// Types a text and lets the engine take it under a number.
fn sends(app: &mut TestApp, text: &str, local_id: u64) {
    app.effects.clear();
    app.types(text);
    app.types("<enter>");
    let effects = std::mem::take(&mut app.effects);
    let tag = effects.into_iter().find_map(|effect| match effect {
        Effect::Command { tag, command: Command::Send { .. } } => Some(tag),
        _ => None,
    });
    app.answers(tag.expect("the text is sent"), Done::Queued { local_id });
}

fn tick_of(app: &mut TestApp, text: &str) -> String {
    let screen = app.screen(80, 24);
    let line = screen.lines().find(|line| line.contains(text)).unwrap_or_default();
    line.rsplit(text).next().unwrap_or_default().trim().to_owned()
}

#[test]
fn a_message_shows_at_once_and_its_tick_tells_how_far_it_is() {
    let mut app = TestApp::in_team();
    sends(&mut app, "off it goes", 1);
    assert_eq!(tick_of(&mut app, "off it goes"), "·");
    app.tells(outbox(1, "off it goes", OutboxState::Sent));
    assert_eq!(tick_of(&mut app, "off it goes"), "·");
    let accepted = OutboxState::Accepted { seq: Seq(9), time: TimeMs(NOW) };
    app.tells(outbox(1, "off it goes", accepted));
    assert_eq!(tick_of(&mut app, "off it goes"), "✓");
    app.tells(ClientEvent::Entry(Box::new(cast::said(9, NOW, ANN, "off it goes"))));
    assert_eq!(app.screen(80, 24).matches("off it goes").count(), 1, "never twice");
    app.tells(ClientEvent::Marks { room: TEAM, marks: cast::marks(9, 8) });
    assert_eq!(tick_of(&mut app, "off it goes"), "✓✓");
    app.looks(mathia_tui::app::theme::Theme {
        depth: mathia_tui::app::theme::Depth::None,
        ..<_>::default()
    });
    app.tells(ClientEvent::Marks { room: TEAM, marks: cast::marks(9, 9) });
    assert_eq!(tick_of(&mut app, "off it goes"), "✓✓ read");
}

#[test]
fn the_entry_may_come_before_the_answer() {
    let mut app = TestApp::in_team();
    app.types("quick<enter>");
    let ClientEvent::Outbox(queued) = outbox(4, "quick", OutboxState::Queued) else { return };
    app.tells(ClientEvent::Outbox(OutboxView { tag: Some(RowTag(1)), ..queued }));
    app.tells(ClientEvent::Entry(Box::new(cast::said(9, NOW, ANN, "quick"))));
    app.tells(outbox(4, "quick", OutboxState::Accepted { seq: Seq(9), time: TimeMs(NOW) }));
    app.answers(CommandTag::Send { room: TEAM, key: 1 }, Done::Queued { local_id: 4 });
    assert_eq!(app.screen(80, 24).matches("quick").count(), 1);
    assert_eq!(tick_of(&mut app, "quick"), "✓");
}

#[test]
fn what_others_said_meanwhile_stands_where_the_server_put_it() {
    let mut app = TestApp::in_team();
    sends(&mut app, "mine", 1);
    app.tells(ClientEvent::Entry(Box::new(cast::said(9, NOW, cast::BOB, "theirs"))));
    app.tells(outbox(1, "mine", OutboxState::Accepted { seq: Seq(10), time: TimeMs(NOW) }));
    let screen = app.screen(80, 24);
    assert!(screen.find("theirs").unwrap() < screen.find("mine").unwrap());
}

#[test]
fn a_refused_message_is_kept_with_its_cause_and_can_be_sent_again() {
    let mut app = TestApp::in_team();
    sends(&mut app, "kept", 7);
    let cause = "you are a guest here".to_owned();
    app.tells(outbox(7, "kept", OutboxState::Failed { cause }));
    insta::assert_snapshot!("refused", app.screen(80, 24));
    app.effects.clear();
    app.types("/retry<enter>");
    let withdraw = app.commands();
    assert!(matches!(withdraw[..], [Command::Withdraw { local_id: 7 }]), "{withdraw:?}");
    let then = mathia_tui::app::effect::AfterWithdraw::Resend;
    app.answers(CommandTag::Withdraw { room: TEAM, key: 1, then }, Done::Done);
    let sent = app.commands();
    assert!(matches!(&sent[..], [Command::Send { text, .. }] if text == "kept"), "{sent:?}");
    assert_eq!(tick_of(&mut app, "kept"), "·");
}

#[test]
fn a_message_the_engine_could_not_keep_stays_on_the_screen() {
    let mut app = TestApp::in_team();
    app.types("precious<enter>");
    let result = Err(CommandError::Storage("the disk is full".to_owned()));
    app.send(Msg::Answer { tag: CommandTag::Send { room: TEAM, key: 1 }, result });
    let screen = app.screen(80, 24);
    assert!(screen.contains("precious") && screen.contains("not sent: the disk is full"));
    app.types("<up>");
    assert_eq!(app.model.written(), "precious");
}

#[test]
fn a_queued_text_can_be_taken_back_for_editing_or_dropped() {
    let mut app = TestApp::in_team();
    app.offline();
    sends(&mut app, "first thought", 1);
    sends(&mut app, "second thought", 2);
    app.types("/outbox<enter>");
    app.effects.clear();
    app.types("je");
    let taken = app.commands();
    assert!(matches!(taken[..], [Command::Withdraw { local_id: 2 }]), "{taken:?}");
    let then = mathia_tui::app::effect::AfterWithdraw::Edit;
    app.answers(CommandTag::Withdraw { room: TEAM, key: 2, then }, Done::Done);
    assert_eq!(app.model.written(), "second thought");
    let screen = app.screen(80, 24);
    assert!(screen.contains("first thought") && screen.contains("1 queued"));
}

#[test]
fn the_draft_on_disk_goes_only_when_the_text_is_safe_elsewhere() {
    let mut app = TestApp::in_team();
    app.types("careful");
    app.waits(std::time::Duration::from_secs(1));
    app.effects.clear();
    app.types("<enter>");
    let forgets = |app: &TestApp| {
        let is_empty =
            |effect: &Effect| matches!(effect, Effect::SaveDraft { text, .. } if text.is_empty());
        app.effects.iter().any(is_empty)
    };
    assert!(!forgets(&app));
    app.answers(CommandTag::Send { room: TEAM, key: 1 }, Done::Queued { local_id: 1 });
    assert!(forgets(&app));
}

#[test]
fn a_connection_that_does_not_answer_is_told() {
    let mut app = TestApp::in_team();
    sends(&mut app, "anybody there?", 1);
    assert!(app.screen(80, 24).contains("● 24 ms   1 sending"));
    app.waits(std::time::Duration::from_secs(5));
    assert!(app.screen(80, 24).contains("1 unanswered for 0:05"));
}
