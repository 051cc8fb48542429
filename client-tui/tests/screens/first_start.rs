//! The first start: link, name, the server's key, the words.

use mathia_tui::app::effect::Effect;
use mathia_tui::app::join::{JoinAnswer, JoinAsk, PendingJoin};
use mathia_tui::app::message::Msg;
use zeroize::Zeroizing;

use super::app::TestApp;

/// The address of a server with open registration.
const LINK: &str = "mathia://example.org:4433";

fn joins(app: &mut TestApp) -> JoinAsk {
    let effects = std::mem::take(&mut app.effects);
    let join = effects.into_iter().find_map(|effect| match effect {
        Effect::Join(ask) => Some(ask),
        _ => None,
    });
    join.expect("an attempt to join")
}

fn words() -> Vec<Zeroizing<String>> {
    let words = "abandon ability able about above absent absorb abstract absurd abuse access \
                 accident account accuse achieve acid acoustic acquire across act action actor \
                 actress actual";
    words.split_whitespace().map(|word| Zeroizing::new(word.to_owned())).collect()
}

#[test]
fn a_link_and_a_name_make_an_account() {
    let mut app = TestApp::new(None);
    insta::assert_snapshot!("first_start_link", app.screen(80, 24));
    app.send(Msg::Paste(format!("{LINK}\n")));
    app.types("<enter>");
    app.types("ann");
    insta::assert_snapshot!("first_start_name", app.screen(80, 24));
    app.types("<enter>");
    let ask = joins(&mut app);
    assert_eq!((ask.link.as_str(), ask.name.as_str()), (LINK, "ann"));
    assert_eq!(ask.accepted_server, None);
    insta::assert_snapshot!("first_start_joining", app.screen(80, 24));
    app.send(Msg::Joined(JoinAnswer::Joined { me: TestApp::ann(), words: words() }));
    insta::assert_snapshot!("first_start_words", app.screen(80, 24));
    insta::assert_snapshot!("first_start_words_narrow", app.screen(40, 12));
    app.types("<enter>");
    assert!(!app.screen(80, 24).contains("abandon"), "the words are shown once");
    assert_eq!(app.commands().len(), 2, "rooms and people are asked for");
}

#[test]
fn an_unknown_server_needs_a_typed_yes() {
    let mut app = TestApp::new(None);
    app.types(&format!("{LINK}<enter>ann<enter>"));
    joins(&mut app);
    let fingerprint = "7f3a 91c2 0d44 8e1b 55aa 0192 fe3c 7788";
    app.send(Msg::Joined(JoinAnswer::UnknownServer {
        address: "example.org:4433".to_owned(),
        fingerprint: fingerprint.to_owned(),
    }));
    insta::assert_snapshot!("first_start_unknown_server", app.screen(80, 24));
    app.types("y<enter>");
    assert!(app.effects.iter().all(|effect| !matches!(effect, Effect::Join(_))), "y is not yes");
    insta::assert_snapshot!("first_start_unknown_server_narrow", app.screen(40, 12));
    app.types("<backspace>yes<enter>");
    assert_eq!(joins(&mut app).accepted_server.as_deref(), Some(fingerprint));
}

#[test]
fn what_is_wrong_is_said_where_it_can_be_mended() {
    let mut app = TestApp::new(None);
    app.types("example.org<enter>");
    assert!(app.screen(80, 24).contains("begins with mathia://"));
    app.types(&format!("<ctrl-u>{LINK}<enter>Ann<enter>"));
    assert!(app.screen(80, 24).contains("only a-z"));
    app.types("<ctrl-u>bob<enter>");
    joins(&mut app);
    app.send(Msg::Joined(JoinAnswer::Failed {
        text: "Somebody is called bob already.".to_owned(),
        is_about_link: false,
    }));
    insta::assert_snapshot!("first_start_name_taken", app.screen(80, 24));
    app.types("<ctrl-u>ann<enter>");
    assert_eq!(joins(&mut app).name.as_str(), "ann");
}

/// A link as servers print it: with their key and a secret.
fn invite() -> String {
    let part = "abcdefghijklmnopqrstuvwxya";
    format!("mathia://chat.example.org:4433/#{part}.{part}.{part}.{part}")
}

#[test]
fn a_link_says_where_it_leads_before_anything_is_sent() {
    let mut app = TestApp::new(None);
    let link = invite();
    let (one, other) = link.split_at(50);
    app.send(Msg::Paste(format!("  {one}\r\n {other} \n")));
    insta::assert_snapshot!("first_start_destination", app.screen(80, 24));
    insta::assert_snapshot!("first_start_destination_narrow", app.screen(40, 12));
    app.types("<enter>");
    assert!(!app.screen(80, 24).contains("#abc"), "the secret is not shown longer than needed");
    assert!(!app.effects.iter().any(|effect| matches!(effect, Effect::Join(_))));
    app.types("<esc>");
    assert!(app.screen(80, 24).contains("It leads to chat.example.org:4433"), "the link is kept");
    app.types("<enter>ann<enter>");
    assert_eq!(joins(&mut app).link.as_str(), link);
}

#[test]
fn a_link_that_cannot_be_used_is_asked_for_anew_and_the_name_is_kept() {
    let mut app = TestApp::new(None);
    app.types(&format!("{LINK}<enter>ann<enter>"));
    joins(&mut app);
    let text = "This link is used up or too old. Ask for a new one.".to_owned();
    app.send(Msg::Joined(JoinAnswer::Failed { text, is_about_link: true }));
    app.send(Msg::Paste(invite()));
    app.types("<enter><enter>");
    let ask = joins(&mut app);
    assert_eq!((ask.link.as_str(), ask.name.as_str()), (invite().as_str(), "ann"));
}

#[test]
fn a_join_that_was_not_answered_is_taken_up() {
    let address = "chat.example.org:4433".to_owned();
    let pending_join = PendingJoin { name: "ann".parse().unwrap(), address };
    let mut app = TestApp::pending_join(pending_join);
    insta::assert_snapshot!("first_start_begun", app.screen(80, 24));
    app.send(Msg::Paste(invite()));
    app.types("<enter><enter>");
    assert_eq!(joins(&mut app).name.as_str(), "ann", "the name is there already");
}
