//! Asking the assistant: the envelope, what leaves, what stays in the composer.

use mathia_protocol::client::{
    ClientEvent, Command, CommandError, Done, EntryView, Envelope, NewAsk, OutboxState, OutboxView,
};
use mathia_protocol::crypto::card::AgentCard;
use mathia_protocol::crypto::content::{Attached, Content, Outcome};
use mathia_protocol::id::{Hash, Seq, TimeMs};
use mathia_protocol::wire::PresenceState;
use mathia_tui::app::effect::{CommandTag, Effect};
use mathia_tui::app::message::Msg;

use super::app::{TestApp, cast_rooms};
use super::assistant::{
    after_asking, answer_entry, ask_entry, asked, card, entry, envelope, in_team, looks,
};
use super::cast::{self, ANN, MATHIA, NOW, TEAM};

/// What an entry says, as it stood in the outbox.
fn question_of(entry: &EntryView) -> Content {
    entry.content.said().cloned().expect("it is a question")
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
    let (tag, command) = asked(app);
    app.answers(tag, Done::Envelope(Box::new(envelope)));
    command
}

fn question(app: &mut TestApp) -> (CommandTag, NewAsk) {
    match asked(app) {
        (tag, Command::Ask(new)) => (tag, new),
        other => panic!("no question leaves: {other:?}"),
    }
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
    let (tag, _) = asked(&mut app);
    let offline = || Err(CommandError::Offline("no answer".to_owned()));
    app.send(Msg::Answer { tag, result: offline() });
    assert!(app.screen(80, 24).contains("✗ Not asked: cannot reach the server: no answer"));
    assert_eq!(app.model.written(), "@mathia help");
    app.types("<enter>");
    let (tag, _) = asked(&mut app);
    app.answers(tag, Done::Envelope(Box::new(envelope(None, None, &[]))));
    app.types("<enter>");
    let (tag, _) = question(&mut app);
    app.types("<enter><enter>");
    assert!(!leaves(&mut app), "it is asked once");
    let result = Err(CommandError::Refused("this is not allowed".to_owned()));
    app.send(Msg::Answer { tag, result });
    assert!(app.screen(80, 24).contains("✗ Not asked: this is not allowed"));
    assert_eq!(app.model.written(), "@mathia help");
}

#[test]
fn an_answer_for_an_envelope_that_was_closed_opens_nothing() {
    let mut app = in_team(PresenceState::Online);
    app.types("@mathia help<enter>");
    let (tag, _) = asked(&mut app);
    app.types("<esc>");
    app.answers(tag, Done::Envelope(Box::new(envelope(None, None, &[]))));
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
    let (tag, command) = asked(&mut app);
    let Command::Envelope { quoted, .. } = command else { panic!("{command:?}") };
    assert_eq!(quoted, Some(Seq(7)));
    let gathered = envelope(Some(card("api.example.org")), Some(7), &[5, 6, 8]);
    app.answers(tag, Done::Envelope(Box::new(gathered)));
    looks!(app, "envelope_quoted", 80 x 24, 40 x 12);
    app.types("<enter>");
    let (tag, new) = question(&mut app);
    assert_eq!(new.attached, [Seq(7)]);
    app.answers(tag, Done::Queued { local_id: 1 });
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
    let (tag, _) = question(&mut app);
    let outbox = |state| {
        let content = question_of(&ask_entry(9, ANN, "why?", &[7]));
        let queued_at = TimeMs(NOW);
        ClientEvent::Outbox(OutboxView {
            local_id: 1,
            tag: None,
            room: TEAM,
            content,
            queued_at,
            state,
        })
    };
    let place = |app: &mut TestApp| {
        let screen = app.screen(80, 24);
        assert_eq!(screen.matches("@mathia why?").count(), 1, "once:\n{screen}");
        screen.lines().position(|line| line.contains("@mathia why?"))
    };
    app.tells(outbox(OutboxState::Queued));
    app.answers(tag, Done::Queued { local_id: 1 });
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
fn asking_again_shows_the_same_envelope_again() {
    let mut app = after_asking();
    app.types("/again<enter>");
    assert!(app.screen(80, 24).contains("still awaited"));
    app.tells(entry(answer_entry(10, 9, Outcome::Refused, ("", "no model"))));
    app.types("/again<enter>");
    let (tag, command) = asked(&mut app);
    let Command::Envelope { text, n_context, .. } = command else { panic!("{command:?}") };
    assert_eq!((text.as_str(), n_context), ("why is the column there twice?", 0));
    let gathered = envelope(Some(card("api.example.org")), None, &[]);
    app.answers(tag, Done::Envelope(Box::new(gathered)));
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
        tag: None,
        room: TEAM,
        content: question_of(&ask_entry(9, ANN, "why?", &[])),
        queued_at: TimeMs(NOW),
        state: failed,
    }));
    app.types("/retry<enter>");
    let effects = std::mem::take(&mut app.effects);
    let tag = effects.into_iter().find_map(|effect| match effect {
        Effect::Command { tag, command: Command::Withdraw { local_id: 3 } } => Some(tag),
        _ => None,
    });
    app.answers(tag.expect("it is taken back first"), Done::Done);
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
