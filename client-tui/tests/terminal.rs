//! Stories of people in front of a terminal: the real binary on a pseudo-terminal, a real server.

use crate::town::{Person, Town, signal};
use mathia_testkit::pty::Screen;
use portable_pty::CommandBuilder;

/// The client of a person, as a shell would start it.
fn client_of(person: &Person) -> CommandBuilder {
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_mathia-tui"));
    command.env_clear();
    command.env("MATHIA_HOME", &person.home);
    command.env("TERM", "xterm-256color");
    command.env("COLORTERM", "truecolor");
    command.env("TZ", "UTC");
    command
}

/// A person's terminal with the interactive client in it.
fn screen_of(person: &Person) -> Screen {
    Screen::open(client_of(person), (80, 24))
}

/// How many drafts a person's replica keeps.
fn n_drafts(person: &Person) -> u32 {
    let store = person.home.join("data/main/store.sqlite");
    let connection = rusqlite::Connection::open(store).unwrap();
    connection.query_row("SELECT count(*) FROM drafts", [], |row| row.get(0)).unwrap()
}

/// The main line on a screen: somebody reads what arrives and answers.
#[test]
fn a_conversation_between_a_screen_and_a_command() {
    let town = Town::start();
    let people = town.team(&["ann", "bob"]);
    let mut screen = screen_of(&people[0]);
    screen.shows("team");
    screen.shows("all sent");
    people[1].says("team", "hello @ann");
    screen.shows("hello @ann");
    screen.types("안녕 bob\r");
    screen.shows("안녕 bob");
    people[1].waits_until("the answer", |bob| bob.texts("team").contains(&"안녕 bob".to_owned()));
    screen.shows("✓✓");
    screen.types("\x04");
    screen.ends_with(0);
}

#[test]
fn the_first_start_leads_from_a_link_to_a_room() {
    let town = Town::start();
    let ann = town.stranger("ann");
    let mut screen = screen_of(&ann);
    screen.shows("Paste the invite link");
    screen.pastes(town.admin_link());
    screen.types("\r");
    screen.shows("What should the others call you?");
    screen.types("ann\r");
    screen.shows("Write these words down");
    screen.shows("24 ");
    screen.types("\r");
    screen.shows("You are in no room yet.");
    screen.types("/create team\r");
    screen.shows("▣ sealed");
    screen.types("first words\r");
    screen.shows("✓");
    screen.types("\x04");
    screen.ends_with(0);
    assert_eq!(ann.texts("team"), ["first words"]);
}

/// Nothing typed or sent is lost when the client is killed and the server is away.
#[test]
fn drafts_and_queued_texts_survive_a_crash() {
    let mut town = Town::start();
    let people = town.team(&["ann", "bob"]);
    let mut screen = screen_of(&people[0]);
    screen.shows("all sent");
    screen.types("warm up\r");
    screen.shows("✓");
    town.kill_server();
    screen.types("said while the server was away\r");
    screen.shows("1 ");
    screen.types("a thought not finished");
    people[0].waits_until("the draft to be kept", |ann| n_drafts(ann) == 1);
    signal("KILL", screen.child.process_id().unwrap());
    drop(screen);
    let mut screen = screen_of(&people[0]);
    screen.shows("said while the server was away");
    screen.shows("› a thought not finished");
    town.start_server();
    people[1].waits_until("the queued text", |bob| {
        bob.texts("team").contains(&"said while the server was away".to_owned())
    });
    screen.types("\x15\x04");
    screen.ends_with(0);
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let town = Town::start();
    let mut screen = screen_of(&town.first("ann"));
    screen.shows("You are in no room yet.");
    signal("TERM", screen.child.process_id().unwrap());
    screen.ends_with(143);
}

/// What is said in rooms one is not in is counted while one looks elsewhere, and no more once read.
#[test]
fn other_rooms_count_what_is_unread_as_it_comes() {
    let town = Town::start();
    let people = town.team(&["ann", "bob"]);
    people[0].run(&["room", "create", "garden"]).succeeds();
    people[0].run(&["room", "add", "garden", "bob"]).succeeds();
    people[1].waits_until("the garden", |bob| bob.texts("garden").is_empty());
    people[0].says("team", "here");
    let mut screen = screen_of(&people[0]);
    screen.shows("all sent");
    screen.shows("› Write to team");
    let garden = |seen: &str| -> String {
        let row = seen.lines().map(|row| row.split('│').next().unwrap());
        let mut rows = row.map(|row| row.trim_start_matches('▌').trim().to_owned());
        rows.find(|row| row.starts_with("garden")).unwrap_or_default()
    };
    for n_unread in 1..=3 {
        people[1].says("garden", "look @ann");
        let expected = format!("{n_unread} @{n_unread}");
        screen.until(&expected, |seen| garden(seen).ends_with(&expected));
    }
    screen.types("\x1ba");
    screen.shows("3 new since");
    screen.until("nothing unread", |seen| garden(seen) == "garden");
    people[1].says("garden", "and again");
    screen.shows("and again");
    screen.types("\x04");
    screen.ends_with(0);
}

/// The colors follow the background, and keys typed before and while it is asked arrive.
#[test]
fn the_terminal_is_asked_for_its_background_and_no_key_is_lost() {
    let town = Town::start();
    let people = town.team(&["ann", "bob"]);
    let light = "\x1b]11;rgb:ffff/ffff/ffff\x1b\\";
    for (answer, text) in [(light, "on light"), ("\x1b]11;rgb:0000/0000/0000\x07", "on dark")] {
        let mut screen = Screen::open(client_of(&people[0]), (80, 24)).with_background(answer);
        screen.types(text);
        screen.shows(&format!("› {text}"));
        // The accent of either theme, in which the sign of the composer is drawn.
        let accent = if answer == light { "38;2;11;102;102;" } else { "38;2;124;196;192;" };
        let written = String::from_utf8_lossy(&screen.written).into_owned();
        assert!(written.contains(accent), "{text}: {written:?}");
        screen.types("\x15\x04");
        screen.ends_with(0);
    }
}

/// A terminal that answers nothing at all is drawn on nevertheless, and what was typed is not lost.
#[test]
fn a_terminal_without_answers_is_drawn_at_once() {
    let town = Town::start();
    let people = town.team(&["ann", "bob"]);
    let mut screen = screen_of(&people[0]).without_answers();
    screen.types("typed early");
    screen.shows("team");
    screen.shows("› typed early");
    screen.types("\x15\x04");
    screen.ends_with(0);
}

/// What a person set for keys counts, is shown on the screen, and a slip is named.
#[test]
fn keys_of_the_configuration_are_used_and_shown() {
    let town = Town::start();
    let people = town.team(&["ann", "bob"]);
    let config = people[0].home.join("config/config.toml");
    std::fs::write(config, "[keys.compose]\nswitcher = [\"f2\"]\nsnd = [\"f3\"]\n").unwrap();
    let mut screen = screen_of(&people[0]);
    screen.shows("keys.compose.snd: no such action; send?");
    screen.shows("F2 go");
    screen.types("\x1bOQ");
    screen.shows("╭ go to");
    screen.types("\x1b");
    screen.until("the list to be gone", |screen| !screen.contains("╭ go to"));
    screen.types("\x04");
    screen.ends_with(0);
}

/// A question goes through its envelope to the assistant, and its answer comes onto the screen.
#[test]
fn the_assistant_is_asked_and_answers_on_the_screen() {
    let town = Town::start_with_assistant();
    let people = town.team(&["ann", "bob"]);
    people[0].run(&["room", "add", "team", "mathia"]).succeeds();
    people[1].says("team", "the cut is on the branch");
    let mut screen = screen_of(&people[0]);
    screen.shows("the cut is on the branch");
    screen.shows("+ mathia");
    screen.types("@mathia help\r");
    screen.shows("╭ Ask mathia");
    screen.shows("no model is connected");
    screen.types("\x1b[B \r");
    screen.shows("asked by ann, saw ");
    screen.shows("shared with ai");
    screen.until("the answer in its place", |seen| !seen.contains("mathia is answering"));
    screen.shows("› Write to team");
    let history = people[1].run(&["history", "team", "--json"]).succeeds().json();
    let of = |kind: &str| history.iter().filter(|line| line["type"] == kind).count();
    assert_eq!((of("ask"), of("answer")), (1, 1), "{history:#?}");
    screen.types("\x04");
    screen.ends_with(0);
}

#[test]
fn a_dumb_terminal_is_told_what_works_there() {
    let town = Town::start();
    let ann = town.first("ann");
    let mut command = client_of(&ann);
    command.env("TERM", "dumb");
    let mut screen = Screen::open(command, (80, 24));
    screen.shows("cannot draw on a dumb terminal");
    screen.shows("mathia-tui tail");
    assert_eq!(screen.child.wait().unwrap().exit_code(), 2);
    assert!(!screen.written.contains(&0x1b), "nothing a dumb terminal would print as rubbish");
}
