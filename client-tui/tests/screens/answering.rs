//! Answers: while they are awaited, as they come, how they end, and what was shown for them.

use std::time::Duration;

use mathia_protocol::client::{
    ClientEvent, Command, CommandError, Done, EntryContent, EntryView, OutboxState, OutboxView,
    PresenceView,
};
use mathia_protocol::crypto::content::{Content, Outcome, Stop};
use mathia_protocol::id::{Seq, TimeMs};
use mathia_protocol::wire::PresenceState;
use mathia_tui::app::message::Msg;
use mathia_tui::app::theme::{Depth, Theme, Tone};
use proptest::prelude::*;

use super::app::TestApp;
use super::assistant::{
    COLUMN, after_asking, answer_entry, ask_entry, asked, entry, in_team, looks, stream,
};
use super::cast::{self, ANN, BOB, CLEO, MATHIA, NOW, TEAM};

#[test]
fn a_question_waits_in_words() {
    let mut app = after_asking();
    looks!(app, "waiting", 80 x 24, 40 x 12, 120 x 36);
    let away =
        PresenceView { account: MATHIA, state: PresenceState::Offline, last_seen: TimeMs(NOW) };
    app.tells(ClientEvent::Presence(away));
    looks!(app, "waiting_away", 80 x 24, 40 x 12);
}

#[test]
fn an_answer_grows_under_its_name_and_the_whole_one_takes_its_place() {
    let mut app = after_asking();
    app.tells(stream(9, "The column is added twice: once in 0007 and"));
    looks!(app, "streaming", 80 x 24, 40 x 12, 120 x 36);
    app.tells(stream(9, "The column is added … in 0009. Drop the second:\n```sql\nalter ta"));
    looks!(app, "streaming_code", 80 x 24);
    app.tells(entry(answer_entry(10, 9, Outcome::Complete, (COLUMN, ""))));
    looks!(app, "done", 80 x 24, 40 x 12, 120 x 36);
    app.tells(stream(9, "a late piece"));
    assert!(!app.screen(80, 24).contains("a late piece"), "what is whole does not begin anew");
}

/// What is said while an answer comes stands before it in the log: it never jumps over it.
#[test]
fn an_own_message_stands_above_an_answer_that_comes_from_the_first_moment() {
    let mut app = after_asking();
    app.tells(stream(9, "The column is"));
    let rows = |app: &mut TestApp| {
        let screen = app.screen(80, 24);
        let at = |text: &str| screen.lines().position(|line| line.contains(text));
        (at("meanwhile"), at("The column is▌"))
    };
    app.types("meanwhile<enter>");
    let before = rows(&mut app);
    assert!(before.0.is_some() && before.0 < before.1, "{before:?}");
    app.tells(entry(cast::said(10, NOW, ANN, "meanwhile")));
    let state = OutboxState::Accepted { seq: Seq(10), time: TimeMs(NOW) };
    let (content, queued_at) = (Content::Text("meanwhile".to_owned()), TimeMs(NOW));
    let view = OutboxView { local_id: 1, tag: None, room: TEAM, content, queued_at, state };
    app.tells(ClientEvent::Outbox(view));
    assert_eq!(rows(&mut app), before);
}

#[test]
fn an_answer_tells_how_it_ended() {
    let endings = [
        (Outcome::CutOff, "cut off: it reached its limit"),
        (Outcome::Filtered, "ended by the provider's filter"),
        (Outcome::Stopped, "stopped by ann"),
        (Outcome::Interrupted, "✗ interrupted: the model broke off · /again"),
    ];
    for (outcome, says) in endings {
        let mut app = after_asking();
        let text = ("The column is added twice: once", "the model broke off");
        app.tells(entry(answer_entry(10, 9, outcome, text)));
        let screen = app.screen(80, 24);
        assert!(screen.contains(says) && screen.contains(text.0), "{outcome:?}\n{screen}");
    }
    let mut app = after_asking();
    let text = ("The column is added twice: once", "");
    app.tells(entry(answer_entry(10, 9, Outcome::Stopped, text)));
    looks!(app, "stopped_answer", 80 x 24, 40 x 12, 120 x 36);
    let mut app = after_asking();
    let text = ("The column is added twice: once", "the provider closed the connection");
    app.tells(entry(answer_entry(10, 9, Outcome::Interrupted, text)));
    looks!(app, "interrupted", 80 x 24, 40 x 12, 120 x 36);
    let mut app = after_asking();
    let text = ("", "127.0.0.1:8080 refuses the connection");
    app.tells(entry(answer_entry(10, 9, Outcome::Refused, text)));
    looks!(app, "refused_answer", 80 x 24, 40 x 12, 120 x 36);
}

#[test]
fn only_who_asked_is_told_to_ask_again() {
    let mut app = in_team(PresenceState::Online);
    app.tells(entry(ask_entry(9, CLEO, "why?", &[])));
    app.tells(entry(answer_entry(10, 9, Outcome::Refused, ("", "no model"))));
    let screen = app.screen(80, 24);
    assert!(screen.contains("✗ @mathia is unavailable: no model") && !screen.contains("/again"));
}

#[test]
fn what_was_shown_is_marked_and_the_mark_is_explained() {
    let mut app = after_asking();
    app.tells(entry(answer_entry(10, 9, Outcome::Complete, ("It is there twice.", ""))));
    app.types("<alt-k>kk");
    looks!(app, "shared_mark", 80 x 24, 40 x 12, 120 x 36);
    app.types("?");
    looks!(app, "why_shared", 80 x 24);
    app.types("<esc>j?");
    looks!(app, "why_asked", 80 x 24);
    app.types("<esc>j?");
    looks!(app, "why_answered", 80 x 24);
    app.types("<esc><esc>");
    app.looks(Theme { depth: Depth::None, tone: Tone::Dark });
    looks!(app, "asking_colorless", 80 x 24);
}

#[test]
fn a_mark_moves_nothing() {
    let mut app = in_team(PresenceState::Online);
    let rows = |app: &mut TestApp| {
        let screen = app.screen(80, 24);
        screen
            .lines()
            .map(|line| line.replace("◆ shared with ai", "").trim_end().to_owned())
            .collect::<Vec<_>>()
    };
    let before = rows(&mut app);
    let mut shown = cast::conversation()[4].clone();
    shown.is_shown = true;
    app.tells(entry(shown));
    let screen = app.screen(80, 24);
    let marked = screen.lines().find(|line| line.contains("good catch")).expect("it is there");
    assert!(marked.contains("◆ shared with ai"), "{marked}");
    for (line, before) in rows(&mut app).iter().zip(&before) {
        let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeeze(line), squeeze(before));
    }
}

#[test]
fn esc_stops_the_answer_and_then_does_what_it_always_does() {
    let mut app = after_asking();
    app.tells(stream(9, "The column"));
    assert!(app.screen(80, 24).contains("The column▌"));
    assert!(app.screen(80, 24).lines().last().expect("a line").contains("Esc stop"));
    app.types("half a thought<esc>");
    let (tag, command) = asked(&mut app);
    assert!(matches!(command, Command::StopAnswer { room: TEAM, ask: Seq(9) }), "{command:?}");
    app.answers(tag, Done::Queued { local_id: 2 });
    assert_eq!(app.model.written(), "half a thought", "Esc costs nobody a draft");
    let screen = app.screen(80, 24);
    assert!(!screen.contains("Esc stop") && screen.contains("stopped · with 2 messages"));
    assert!(!screen.contains("The column▌"), "nothing more is promised");
    app.types("<esc>");
    assert!(app.commands().iter().all(|c| !matches!(c, Command::StopAnswer { .. })));
    let stop = EntryContent::Said(Content::Stop(Stop { agent: MATHIA, ask: Seq(9) }));
    let before = app.screen(80, 24);
    app.tells(entry(EntryView { is_countable: false, ..cast::entry(10, NOW, ANN, stop) }));
    assert_eq!(app.screen(80, 24), before, "a stop has no line of its own");
}

#[test]
fn ctrl_c_stops_the_answer_before_anything_else() {
    let mut app = after_asking();
    app.tells(stream(9, "The column"));
    app.types("half a thought<ctrl-c>");
    assert!(matches!(asked(&mut app).1, Command::StopAnswer { ask: Seq(9), .. }));
    assert_eq!(app.model.written(), "half a thought");
    app.types("<ctrl-c>");
    assert_eq!(app.model.written(), "");
}

#[test]
fn a_stop_that_fails_says_so_and_can_be_tried_again() {
    let mut app = after_asking();
    app.types("/stop<enter>");
    let (tag, _) = asked(&mut app);
    app.send(Msg::Answer { tag, result: Err(CommandError::Storage("the disk is full".into())) });
    assert!(app.screen(80, 24).contains("It was not stopped: the disk is full"));
    app.types("/stop<enter>");
    assert!(matches!(asked(&mut app).1, Command::StopAnswer { ask: Seq(9), .. }));
    app.types("/stop<enter>");
    assert!(app.screen(80, 24).contains("Nothing of yours is being answered here."));
}

#[test]
fn a_stop_on_its_way_is_no_text_and_a_refused_one_is_dropped() {
    let mut app = after_asking();
    let before = app.screen(80, 24);
    let outbox = |state| {
        let content = Content::Stop(Stop { agent: MATHIA, ask: Seq(9) });
        let queued_at = TimeMs(NOW);
        ClientEvent::Outbox(OutboxView {
            local_id: 5,
            tag: None,
            room: TEAM,
            content,
            queued_at,
            state,
        })
    };
    app.tells(outbox(OutboxState::Queued));
    app.tells(outbox(OutboxState::Accepted { seq: Seq(10), time: TimeMs(NOW) }));
    assert_eq!(app.screen(80, 24), before);
    app.effects.clear();
    app.tells(outbox(OutboxState::Failed { cause: "you may not write here".to_owned() }));
    assert!(app.screen(80, 24).contains("✗ The answer was not stopped: you may not write here"));
    let commands = app.commands();
    assert!(matches!(commands[..], [Command::Withdraw { local_id: 5 }]), "{commands:?}");
}

#[test]
fn others_questions_are_not_ours_to_stop() {
    let mut app = in_team(PresenceState::Online);
    app.tells(entry(ask_entry(9, CLEO, "why?", &[])));
    app.tells(stream(9, "Because"));
    assert!(!app.screen(80, 24).contains("Esc stop"));
    app.types("<esc>/stop<enter>");
    assert!(app.commands().iter().all(|c| !matches!(c, Command::StopAnswer { .. })));
}

#[test]
fn an_answer_is_news_like_any_message() {
    let mut app = after_asking();
    app.types("<pageup>");
    app.screen(80, 14);
    app.types("<pageup>");
    app.tells(stream(9, "It is"));
    assert!(app.screen(80, 14).contains("↓ new lines below"));
    app.tells(entry(answer_entry(10, 9, Outcome::Complete, ("It is there twice.", ""))));
    assert!(app.screen(80, 14).contains("↓ 1 new below"));
}

fn timeline(app: &mut TestApp) -> Vec<String> {
    let screen = app.screen(80, 24);
    screen.lines().skip(2).take(17).map(|line| line.chars().skip(18).collect()).collect()
}

/// What happens while somebody reads further up.
#[derive(Debug, Clone)]
enum Happens {
    Grows(String),
    IsSaid,
    IsAsked,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => "[a-z \n`]{1,60}".prop_map(Happens::Grows),
        1 => Just(Happens::IsSaid),
        1 => Just(Happens::IsAsked),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However an answer grows and ends, and whatever is said meanwhile: who reads further up is
    /// not moved by a row.
    #[test]
    fn a_stream_moves_nobody_who_reads_further_up(
        story in prop::collection::vec(happens(), 1..24),
        n_up in 1usize..6,
        outcome in prop::sample::select(Outcome::ALL.to_vec()),
    ) {
        let mut app = after_asking();
        for seq in 10..40 {
            app.tells(entry(cast::said(seq, NOW + seq, BOB, &format!("line {seq}."))));
        }
        app.tells(entry(ask_entry(40, CLEO, "and this?", &[8])));
        app.types("x<backspace>");
        app.waits(Duration::from_secs(1));
        app.screen(80, 24);
        for _ in 0..n_up {
            app.types("<pageup>");
        }
        let before = timeline(&mut app);
        let (mut text, mut seq) = (String::new(), 41);
        for step in story {
            match step {
                Happens::Grows(more) => {
                    text.push_str(&more);
                    app.tells(stream(40, &text));
                }
                Happens::IsSaid => {
                    app.tells(entry(cast::said(seq, NOW + seq, BOB, "meanwhile")));
                    seq += 1;
                }
                Happens::IsAsked => {
                    app.tells(entry(ask_entry(seq, BOB, "and that?", &[])));
                    seq += 1;
                }
            }
            prop_assert_eq!(&timeline(&mut app), &before);
        }
        app.tells(entry(answer_entry(seq, 40, outcome, (&text, "broken"))));
        prop_assert_eq!(&timeline(&mut app), &before);
    }
}

/// Who reads in the middle of a long answer stays there when it ends.
#[test]
fn a_whole_answer_leaves_its_reader_where_they_read() {
    let mut app = after_asking();
    let text: Vec<String> = (1..=60).map(|n| format!("row {n}")).collect();
    app.tells(stream(9, &text[..50].join("\n")));
    app.screen(80, 24);
    app.types("<pageup>");
    let before = timeline(&mut app);
    assert!(before.concat().contains("row 40") && !before.concat().contains("row 50"));
    app.tells(stream(9, &text.join("\n")));
    assert_eq!(timeline(&mut app), before);
    app.tells(entry(answer_entry(10, 9, Outcome::Complete, (&text.join("\n"), ""))));
    assert_eq!(timeline(&mut app), before);
}
