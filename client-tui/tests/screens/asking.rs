//! Asking the assistant: the envelope, the answer as it comes, how it ends, what it was shown.

use std::time::Duration;

use mathia_protocol::client::{
    ClientEvent, Command, CommandError, Done, EntryBodyView, EntryView, Envelope, NewAsk,
    OutboxState, OutboxView, PresenceView, StreamView,
};
use mathia_protocol::crypto::answer::{Answer, Outcome, Usage};
use mathia_protocol::crypto::ask::{Ask as Question, Attached, Stop};
use mathia_protocol::crypto::card::AgentCard;
use mathia_protocol::id::{AccountId, DeviceId, Hash, Seq, TimeMs};
use mathia_protocol::wire::PresenceState;
use mathia_tui::app::effect::{Ask, Effect};
use mathia_tui::app::message::Msg;
use mathia_tui::app::theme::{Depth, Theme, Tone};
use proptest::prelude::*;

use crate::app::{TestApp, cast_rooms};
use crate::cast::{self, ANN, BOB, CLEO, MATHIA, MINUTE, NOW, TEAM};

macro_rules! looks {
    ($app:expr, $name:literal, $($width:literal x $height:literal),*) => {
        $(insta::assert_snapshot!(
            concat!($name, "_", stringify!($width), "x", stringify!($height)),
            $app.screen($width, $height)
        );)*
    };
}

/// Ann's client in the team's room, with the assistant there or not.
fn in_team(presence: PresenceState) -> TestApp {
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

fn attached(seq: u64) -> Attached {
    let entries = cast::conversation();
    let entry = entries.iter().find(|entry| entry.seq == Seq(seq)).expect("it was said");
    let EntryBodyView::Text(text) = &entry.body else { panic!("{seq} is no text") };
    let (handle, text) = (entry.handle.clone(), text.clone());
    Attached { seq: entry.seq, author: entry.author, handle, time: entry.time, text }
}

fn card(provider: &str) -> AgentCard {
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

fn envelope(card: Option<AgentCard>, quoted: Option<u64>, context: &[u64]) -> Envelope {
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
fn asked(app: &mut TestApp) -> (Ask, Command) {
    let effects = std::mem::take(&mut app.effects);
    let commands = effects.into_iter().filter_map(|effect| match effect {
        Effect::Command { ask, command } => Some((ask, command)),
        _ => None,
    });
    let mut asked = commands.filter(|(_, command)| {
        matches!(command, Command::Envelope { .. } | Command::Ask(_) | Command::StopAnswer { .. })
    });
    let one = asked.next().expect("something is asked of the engine");
    assert_eq!(asked.count(), 0, "and nothing besides");
    one
}

/// Whether anything left for the engine that says or asks something.
fn leaves(app: &mut TestApp) -> bool {
    let says = |command: &Command| matches!(command, Command::Send { .. } | Command::Ask(_));
    app.commands().iter().any(says)
}

/// Types a question and opens its envelope.
fn opens(app: &mut TestApp, text: &str, envelope: Envelope) -> Command {
    app.types(text);
    app.types("<enter>");
    let (ask, command) = asked(app);
    app.answers(ask, Done::Envelope(Box::new(envelope)));
    command
}

fn question(app: &mut TestApp) -> (Ask, NewAsk) {
    match asked(app) {
        (ask, Command::Ask(new)) => (ask, new),
        other => panic!("no question leaves: {other:?}"),
    }
}

fn ask_entry(seq: u64, author: AccountId, text: &str, shown: &[u64]) -> EntryView {
    let body = EntryBodyView::Ask(Box::new(Question {
        agent: MATHIA,
        card: Hash([7; 32]),
        again: None,
        n_left_out: 0,
        text: text.to_owned(),
        attached: shown.iter().map(|seq| attached(*seq)).collect(),
    }));
    EntryView { is_shown: true, ..cast::entry(seq, NOW - MINUTE, author, body) }
}

fn answer_entry(seq: u64, ask: u64, outcome: Outcome, (text, cause): (&str, &str)) -> EntryView {
    let usage = Usage { prompt: 194, completion: 80, total: 274, is_estimated: false };
    let body = EntryBodyView::Answer(Box::new(Answer {
        ask: Seq(ask),
        ask_hash: [0; 16],
        outcome,
        cause: cause.to_owned(),
        text: text.to_owned(),
        provider: "api.example.org".to_owned(),
        model: "small-4".to_owned(),
        usage: (outcome != Outcome::Refused).then_some(usage),
    }));
    cast::entry(seq, NOW, MATHIA, body)
}

fn stream(ask: u64, text: &str) -> ClientEvent {
    ClientEvent::Stream(Box::new(StreamView {
        room: TEAM,
        ask: Seq(ask),
        agent: MATHIA,
        handle: "mathia".to_owned(),
        text: text.to_owned(),
        has_gap: false,
    }))
}

fn entry(view: EntryView) -> ClientEvent {
    ClientEvent::Entry(Box::new(view))
}

const COLUMN: &str = "The column is added twice: once in 0007 and once in 0009. Drop the second:\n\
                      ```sql\nalter table entries drop column epoch;\n```\nThen run it again.";

/// A room in which ann has asked and two messages were shown.
fn after_asking() -> TestApp {
    let mut app = in_team(PresenceState::Online);
    for seq in [7, 8] {
        let mut shown = cast::conversation()[seq - 1].clone();
        shown.is_shown = true;
        app.tells(entry(shown));
    }
    app.tells(entry(ask_entry(9, ANN, "why is the column there twice?", &[7, 8])));
    app
}

#[test]
fn a_question_shows_its_envelope_before_anything_leaves() {
    let mut app = in_team(PresenceState::Online);
    let envelope = envelope(Some(card("api.example.org")), None, &[3, 4, 5, 6, 7, 8]);
    let command = opens(&mut app, "@mathia why is the column there twice?", envelope);
    let Command::Envelope { text, quoted, .. } = command else { panic!("{command:?}") };
    assert_eq!((text.as_str(), quoted), ("why is the column there twice?", None));
    looks!(app, "envelope", 80 x 24, 40 x 12, 120 x 36);
    app.types("<down> ");
    looks!(app, "envelope_with_context", 80 x 24, 40 x 12);
    assert!(!leaves(&mut app));
    app.types("-<enter>");
    let (_, new) = question(&mut app);
    assert_eq!(new.attached, [4, 5, 6, 7, 8].map(Seq));
    assert_eq!((new.promise, new.again), (Hash([7; 32]), None));
    assert_eq!(app.model.written(), "@mathia why is the column there twice?", "until it is safe");
}

#[test]
fn the_exact_text_can_be_read_before_it_leaves() {
    let mut app = in_team(PresenceState::Online);
    let mut evil = envelope(Some(card("api.example.org")), Some(4), &[]);
    evil.quoted = evil.quoted.map(|one| Attached { text: format!("{}\u{1b}[2J", one.text), ..one });
    opens(&mut app, "/ai why is the column there twice?", evil);
    app.types("e");
    looks!(app, "exact_text", 80 x 24, 40 x 12, 120 x 36);
    app.types("<esc>");
    assert!(app.screen(80, 24).contains("╭ Ask mathia"), "back at the envelope");
    app.types("<esc>");
    assert_eq!(app.model.written(), "/ai why is the column there twice?");
    assert!(!leaves(&mut app));
}

#[test]
fn an_envelope_says_where_it_goes_whatever_that_is() {
    let local = AgentCard { is_local: true, ..card("127.0.0.1") };
    let none = AgentCard { model: "builtin".to_owned(), ..card("") };
    let long = AgentCard {
        model: "a-model-with-a-name-that-never-ends-".repeat(3),
        operator: "The Society of People Who Run Assistants, Registered".to_owned(),
        ..card("inference.eu-north-1.very-long-host-name.example.org")
    };
    for (card, says) in [
        (Some(local), "127.0.0.1 (its own machine)"),
        (Some(none), "no model is connected"),
        (None, "nobody knows: the assistant has not said"),
    ] {
        let mut app = in_team(PresenceState::Online);
        opens(&mut app, "@mathia help", envelope(card, None, &[]));
        assert!(app.screen(80, 24).contains(says), "{says}");
    }
    let mut app = in_team(PresenceState::Online);
    opens(&mut app, "@mathia help", envelope(Some(long), Some(4), &[7, 8]));
    looks!(app, "envelope_long", 80 x 24, 40 x 12);
}

#[test]
fn what_the_engine_refuses_stays_in_the_composer() {
    let mut app = in_team(PresenceState::Online);
    app.types("@mathia help<enter>");
    app.types("<enter>");
    let (ask, _) = asked(&mut app);
    let offline = || Err(CommandError::Offline("no answer".to_owned()));
    app.send(Msg::Answer { ask, result: offline() });
    assert!(app.screen(80, 24).contains("✗ Not asked: cannot reach the server: no answer"));
    assert_eq!(app.model.written(), "@mathia help");
    app.types("<enter>");
    let (ask, _) = asked(&mut app);
    app.answers(ask, Done::Envelope(Box::new(envelope(None, None, &[]))));
    app.types("<enter>");
    let (ask, _) = question(&mut app);
    app.types("<enter><enter>");
    assert!(!leaves(&mut app), "it is asked once");
    let result = Err(CommandError::Refused("this is not allowed".to_owned()));
    app.send(Msg::Answer { ask, result });
    assert!(app.screen(80, 24).contains("✗ Not asked: this is not allowed"));
    assert_eq!(app.model.written(), "@mathia help");
}

#[test]
fn an_answer_for_an_envelope_that_was_closed_opens_nothing() {
    let mut app = in_team(PresenceState::Online);
    app.types("@mathia help<enter>");
    let (ask, _) = asked(&mut app);
    app.types("<esc>");
    app.answers(ask, Done::Envelope(Box::new(envelope(None, None, &[]))));
    assert!(!app.screen(80, 24).contains("╭ Ask"));
}

#[test]
fn only_the_assistants_name_at_the_beginning_asks() {
    for said in ["hey @mathia why", "@mathias why", "@Mathia why", "@math why"] {
        let mut app = in_team(PresenceState::Online);
        app.types(said);
        app.types("<enter>");
        assert!(leaves(&mut app), "{said}");
    }
    for asked in ["@mathia: why", "@mathia, why", "@mathia  why"] {
        let mut app = in_team(PresenceState::Online);
        app.types(asked);
        app.types("<enter>");
        let commands = app.commands();
        let is_question =
            |c: &Command| matches!(c, Command::Envelope { text, .. } if text == "why");
        assert!(commands.iter().any(is_question), "{asked}: {commands:?}");
    }
    let mut app = in_team(PresenceState::Online);
    app.types("@mathia<enter>");
    assert!(!leaves(&mut app));
    assert!(app.screen(80, 24).contains("Ask what?"));
}

#[test]
fn completion_knows_the_assistant_and_its_commands() {
    let mut app = in_team(PresenceState::Online);
    for (typed, completed) in [
        ("@ma<tab>", "@mathia "),
        ("see @ma<tab>", "see @mathia "),
        ("/ai<tab>", "/ai "),
        ("/st<tab>", "/stop "),
        ("/ag<tab>", "/again "),
    ] {
        app.types("<ctrl-u>");
        app.types(typed);
        assert_eq!(app.model.written(), completed);
    }
    app.types("<ctrl-u>/help<enter>");
    let keys: String = (0..12)
        .map(|_| {
            app.types("<pagedown>");
            app.screen(120, 36)
        })
        .collect();
    for command in ["/ai TEXT", "/stop", "/again", "shared with it"] {
        assert!(keys.contains(command), "{command}");
    }
}

#[test]
fn a_room_without_an_assistant_says_how_to_add_one() {
    let mut app = TestApp::in_rooms(vec![cast::team()], cast::conversation());
    app.types("@mathia why is the column there twice?<enter>");
    assert!(!leaves(&mut app));
    assert_eq!(app.model.written(), "@mathia why is the column there twice?");
    looks!(app, "no_assistant", 80 x 24, 40 x 12, 120 x 36);
}

#[test]
fn a_selected_message_can_be_asked_about() {
    let mut app = in_team(PresenceState::Online);
    app.types("why twice?");
    app.types("<ctrl-u><alt-k>ka");
    assert_eq!(app.model.written(), "@mathia ");
    app.types("why?");
    looks!(app, "asking_about", 80 x 24);
    app.types("<enter>");
    let (ask, command) = asked(&mut app);
    let Command::Envelope { quoted, .. } = command else { panic!("{command:?}") };
    assert_eq!(quoted, Some(Seq(7)));
    let gathered = envelope(Some(card("api.example.org")), Some(7), &[5, 6, 8]);
    app.answers(ask, Done::Envelope(Box::new(gathered)));
    looks!(app, "envelope_quoted", 80 x 24, 40 x 12);
    app.types("<enter>");
    let (ask, new) = question(&mut app);
    assert_eq!(new.attached, [Seq(7)]);
    app.answers(ask, Done::Queued { local_id: 1 });
    assert_eq!(app.model.written(), "");
    assert!(!app.screen(80, 24).contains("asking about"));
}

#[test]
fn what_is_asked_about_is_let_go_by_esc_and_by_saying_something_else() {
    for then in ["<esc>", "<ctrl-u>never mind<enter>"] {
        let mut app = in_team(PresenceState::Online);
        app.types("<alt-k>ka");
        assert!(app.screen(80, 24).contains("◆ asking about cleo"));
        app.types(then);
        assert!(!app.screen(80, 24).contains("asking about"), "{then}");
        app.types("<ctrl-u>@mathia why?<enter>");
        let command = app.commands().into_iter().find_map(|command| match command {
            Command::Envelope { quoted, .. } => Some(quoted),
            _ => None,
        });
        assert_eq!(command, Some(None), "{then}");
    }
}

#[test]
fn a_question_keeps_its_rows_from_the_outbox_to_the_answer() {
    let mut app = in_team(PresenceState::Online);
    opens(&mut app, "@mathia why?", envelope(None, Some(7), &[]));
    app.types("<enter>");
    let (ask, _) = question(&mut app);
    let outbox = |state| {
        let (text, queued_at) = ("why?".to_owned(), TimeMs(NOW));
        let is_ask = true;
        ClientEvent::Outbox(OutboxView { local_id: 1, room: TEAM, text, is_ask, queued_at, state })
    };
    let place = |app: &mut TestApp| {
        let screen = app.screen(80, 24);
        assert_eq!(screen.matches("@mathia why?").count(), 1, "once:\n{screen}");
        screen.lines().position(|line| line.contains("@mathia why?"))
    };
    app.tells(outbox(OutboxState::Queued));
    app.answers(ask, Done::Queued { local_id: 1 });
    let there = place(&mut app);
    assert!(app.screen(80, 24).contains("being sent"));
    app.tells(outbox(OutboxState::Sent));
    app.tells(outbox(OutboxState::Accepted { seq: Seq(9), time: TimeMs(NOW) }));
    assert_eq!(place(&mut app), there);
    app.tells(entry(ask_entry(9, ANN, "why?", &[7])));
    assert_eq!(place(&mut app), there);
    assert!(app.screen(80, 24).contains("waiting for mathia · with 1 message"));
}

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
    let (text, queued_at) = ("meanwhile".to_owned(), TimeMs(NOW));
    let view = OutboxView { local_id: 1, room: TEAM, text, is_ask: false, queued_at, state };
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
    assert!(app.screen(80, 24).lines().last().expect("a line").contains("Esc stop"));
    app.types("half a thought<esc>");
    let (ask, command) = asked(&mut app);
    assert!(matches!(command, Command::StopAnswer { room: TEAM, ask: Seq(9) }), "{command:?}");
    app.answers(ask, Done::Queued { local_id: 2 });
    assert_eq!(app.model.written(), "half a thought", "Esc costs nobody a draft");
    let screen = app.screen(80, 24);
    assert!(!screen.contains("Esc stop") && screen.contains("stopped · with 2 messages"));
    app.types("<esc>");
    assert!(app.commands().iter().all(|c| !matches!(c, Command::StopAnswer { .. })));
    let stop = EntryBodyView::Stop(Stop { agent: MATHIA, ask: Seq(9) });
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
    let (ask, _) = asked(&mut app);
    app.send(Msg::Answer { ask, result: Err(CommandError::Storage("the disk is full".into())) });
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
        let (text, queued_at) = (String::new(), TimeMs(NOW));
        let is_ask = false;
        ClientEvent::Outbox(OutboxView { local_id: 5, room: TEAM, text, is_ask, queued_at, state })
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
fn asking_again_shows_the_same_envelope_again() {
    let mut app = after_asking();
    app.types("/again<enter>");
    assert!(app.screen(80, 24).contains("still awaited"));
    app.tells(entry(answer_entry(10, 9, Outcome::Refused, ("", "no model"))));
    app.types("/again<enter>");
    let (ask, command) = asked(&mut app);
    let Command::Envelope { text, n_context, .. } = command else { panic!("{command:?}") };
    assert_eq!((text.as_str(), n_context), ("why is the column there twice?", 0));
    let gathered = envelope(Some(card("api.example.org")), None, &[]);
    app.answers(ask, Done::Envelope(Box::new(gathered)));
    looks!(app, "envelope_again", 80 x 24, 40 x 12);
    app.types("<enter>");
    let (_, new) = question(&mut app);
    assert_eq!((new.again, new.attached), (Some(Seq(9)), vec![Seq(7), Seq(8)]));
}

#[test]
fn a_refused_question_is_sent_again_as_a_question_only() {
    let mut app = in_team(PresenceState::Online);
    let failed = OutboxState::Failed { cause: "the assistant is no longer in this room".into() };
    app.tells(ClientEvent::Outbox(OutboxView {
        local_id: 3,
        room: TEAM,
        text: "why?".to_owned(),
        is_ask: true,
        queued_at: TimeMs(NOW),
        state: failed,
    }));
    app.types("/retry<enter>");
    let effects = std::mem::take(&mut app.effects);
    let ask = effects.into_iter().find_map(|effect| match effect {
        Effect::Command { ask, command: Command::Withdraw { local_id: 3 } } => Some(ask),
        _ => None,
    });
    app.answers(ask.expect("it is taken back first"), Done::Done);
    let (_, command) = asked(&mut app);
    assert!(matches!(&command, Command::Envelope { text, .. } if text == "why?"), "{command:?}");
    assert_eq!(app.model.written(), "@mathia why?");
}

#[test]
fn the_assistant_says_who_runs_it_and_what_it_reads() {
    let mut rooms = cast_rooms();
    let member = rooms[0].members.iter_mut().find(|member| member.account == MATHIA);
    member.expect("it is there").card = Some(card("api.example.org"));
    let mut app = TestApp::in_rooms(rooms, cast::conversation());
    app.types("/who<enter>");
    looks!(app, "who_with_assistant", 80 x 24);
    app.types("?");
    looks!(app, "about_assistant", 80 x 24, 40 x 12);
    app.types("<esc><esc>/who mathia<enter>");
    assert!(app.screen(80, 24).contains("api.example.org"));
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
