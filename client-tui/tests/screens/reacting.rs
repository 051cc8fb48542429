//! Emoji on messages: counts, who, the picker, the last one again.

use mathia_protocol::client::{
    ClientEvent, Command, EntryContent, EntryView, NewReaction, OutboxState, OutboxView,
};
use mathia_protocol::crypto::content::{Content, Emoji, Reaction, ReactionCount};
use mathia_protocol::id::{AccountId, Seq, TimeMs};

use super::app::{TestApp, cast_rooms};
use super::assistant::looks;
use super::cast::{self, ANN, BOB, CLEO, NOW, TEAM};

fn emoji(text: &str) -> Emoji {
    Emoji::parse(text).unwrap()
}

fn count(text: &str, authors: &[AccountId]) -> ReactionCount {
    ReactionCount { emoji: emoji(text), authors: authors.to_vec() }
}

/// Ann's client in the team's room, where some messages have reactions.
fn with_reactions() -> TestApp {
    let mut entries = cast::conversation();
    let mut at = |seq: u64, reactions| {
        let entry: &mut EntryView = entries.iter_mut().find(|one| one.seq == Seq(seq)).unwrap();
        entry.reactions = reactions;
    };
    at(6, vec![count("🎉", &[BOB, CLEO]), count("❤️", &[BOB])]);
    at(8, vec![count("👀", &[ANN]), count("👍", &[BOB, ANN, CLEO])]);
    TestApp::in_rooms(cast_rooms(), entries)
}

fn counted(app: &mut TestApp, target: u64, reactions: Vec<ReactionCount>) {
    app.tells(ClientEvent::Reactions { room: TEAM, target: Seq(target), reactions });
}

/// What was asked of the engine: the message, the emoji, and whether it is taken back.
fn asked(app: &mut TestApp) -> Vec<(u64, String, bool)> {
    let one = |command| match command {
        Command::React(NewReaction { target, emoji, is_removed, .. }) => {
            Some((target.0, emoji.to_string(), is_removed))
        }
        _ => None,
    };
    app.commands().into_iter().filter_map(one).collect()
}

fn outbox(text: &str, is_removed: bool, state: OutboxState) -> ClientEvent {
    let (target, target_hash) = (Seq(8), [0; 16]);
    let reaction = Reaction { target, target_hash, emoji: emoji(text), is_removed };
    let (content, queued_at) = (Content::Reaction(reaction), TimeMs(NOW));
    let view = OutboxView { local_id: 3, tag: None, room: TEAM, content, queued_at, state };
    ClientEvent::Outbox(view)
}

#[test]
fn counts_stand_at_the_message_and_why_names_the_people() {
    let mut app = with_reactions();
    looks!(app, "reactions", 80 x 24, 40 x 12);
    app.types("<alt-k>?");
    looks!(app, "reactions_who", 80 x 24, 40 x 12);
}

#[test]
fn the_picker_is_searched_by_name_and_by_shortcode() {
    let mut app = with_reactions();
    app.types("<alt-k>+");
    looks!(app, "picker", 80 x 24, 40 x 12);
    app.types("rocket");
    looks!(app, "picker_search", 80 x 24, 40 x 12);
    app.types("<enter>");
    assert_eq!(asked(&mut app), [(8, "🚀".to_owned(), false)]);
    app.types("<alt-k>::tada:<enter>");
    assert_eq!(asked(&mut app), [(8, "🎉".to_owned(), false)]);
    app.types("<alt-k>+");
    let screen = app.screen(80, 24);
    let first: Vec<&str> = screen.lines().filter(|line| line.contains(':')).collect();
    assert!(screen.find("party").unwrap() < screen.find("rocket").unwrap(), "{first:?}");
}

#[test]
fn the_own_emoji_is_taken_back_where_it_was_put() {
    let mut app = with_reactions();
    app.types("<alt-k>+:+1:<enter>");
    assert_eq!(asked(&mut app), [(8, "👍".to_owned(), true)]);
    app.types("<alt-k>k+:+1:<enter>");
    assert_eq!(asked(&mut app), [(7, "👍".to_owned(), false)]);
}

#[test]
fn a_dot_puts_the_last_emoji_again_but_not_twice() {
    let mut app = TestApp::in_team();
    app.types("<alt-k>.");
    assert!(app.screen(80, 24).contains("You have used no emoji yet: + chooses one."));
    app.types("+tada<enter>");
    app.types("<alt-k>k.");
    let is = |seq: u64| (seq, "🎉".to_owned(), false);
    assert_eq!(asked(&mut app), [is(8), is(7)]);
    counted(&mut app, 7, vec![count("🎉", &[ANN])]);
    app.types(".");
    assert_eq!(asked(&mut app), []);
    assert!(app.screen(80, 24).contains("Your 🎉 is there already."));
}

#[test]
fn what_was_used_before_this_start_is_known_by_what_stands_there() {
    let mut app = with_reactions();
    app.types("<alt-k>k.");
    assert_eq!(asked(&mut app), [(7, "👀".to_owned(), false)]);
}

#[test]
fn an_own_reaction_is_seen_at_once_and_gone_if_it_is_refused() {
    let mut app = TestApp::in_team();
    let before = app.screen(80, 24);
    app.tells(outbox("👍", false, OutboxState::Queued));
    assert!(app.screen(80, 24).contains("[👍 1]"));
    app.tells(outbox("👍", false, OutboxState::Accepted { seq: Seq(9), time: TimeMs(NOW) }));
    assert!(app.screen(80, 24).contains("[👍 1]"));
    counted(&mut app, 8, vec![count("👍", &[BOB, ANN])]);
    assert!(app.screen(80, 24).contains("[👍 2]"));
    app.tells(outbox("👍", true, OutboxState::Sent));
    let screen = app.screen(80, 24);
    assert!(screen.contains("👍 1") && !screen.contains("[👍"), "{screen}");
    app.effects.clear();
    app.tells(outbox("👍", true, OutboxState::Failed { cause: "you may not write".to_owned() }));
    assert!(app.screen(80, 24).contains("Your 👍 was not sent: you may not write"));
    let commands = app.commands();
    assert!(matches!(commands[..], [Command::Withdraw { local_id: 3 }]), "{commands:?}");
    counted(&mut app, 8, Vec::new());
    app.types("<esc>");
    assert_eq!(app.screen(80, 24), before);
}

#[test]
fn the_command_reacts_to_the_newest_message_of_somebody_else() {
    let mut app = TestApp::in_team();
    app.tells(ClientEvent::Entry(Box::new(cast::said(9, NOW, ANN, "mine"))));
    app.types("/react :eyes:<enter>");
    assert_eq!(asked(&mut app), [(8, "👀".to_owned(), false)]);
    app.types("/react eyes and ears<enter>");
    assert!(app.screen(80, 24).contains("is not one emoji; /react chooses one"));
    app.types("<ctrl-c>/react<enter>heart<enter>");
    assert_eq!(asked(&mut app).len(), 1);
}

#[test]
fn a_reaction_is_no_line_and_nothing_unread() {
    let mut app = TestApp::in_team();
    let before = app.screen(80, 24);
    let one =
        Reaction { target: Seq(8), target_hash: [0; 16], emoji: emoji("👍"), is_removed: false };
    let content = EntryContent::Said(Content::Reaction(one));
    let entry = EntryView { is_countable: false, ..cast::entry(9, NOW, BOB, content) };
    app.tells(ClientEvent::Entry(Box::new(entry)));
    assert_eq!(app.screen(80, 24), before);
    app.types("<alt-k>");
    assert!(app.screen(80, 24).contains("the column is added twice"));
    counted(&mut app, 99, vec![count("👍", &[BOB])]);
}
