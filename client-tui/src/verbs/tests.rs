//! Properties of the table, and the parser of slash commands.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::CommandFactory as _;
use mathia_protocol::name::Handle;
use proptest::prelude::*;

use super::*;
use crate::cli::Cli;

#[test]
fn every_verb_is_reachable_from_the_command_line_and_the_screen_or_says_why_not() {
    for verb in VERBS {
        let from_command_line = match verb.command_line {
            CommandLine::Command(spec) => !spec.path.is_empty() && !spec.help.is_empty(),
            CommandLine::Absent(reason) => {
                assert!(!reason.is_empty(), "{}: not on the command line, but why?", verb.name);
                false
            }
        };
        let from_screen = match verb.screen {
            OnScreen::Slash(slash) => !slash.word.is_empty() && !slash.help.is_empty(),
            OnScreen::Key(action) => !action.is_empty(),
            OnScreen::Shown(place) => !place.is_empty(),
            OnScreen::Absent(reason) => {
                assert!(!reason.is_empty(), "{}: not on the screen, but why?", verb.name);
                false
            }
        };
        assert!(from_command_line || from_screen, "{}: nobody can reach it", verb.name);
    }
}

#[test]
fn names_and_words_are_unique() {
    let mut names = BTreeSet::new();
    let (mut paths, mut words) = (BTreeSet::new(), BTreeSet::new());
    for verb in VERBS {
        assert!(names.insert(verb.name), "{}", verb.name);
        if let CommandLine::Command(spec) = verb.command_line {
            assert!(paths.insert(spec.path), "{:?}", spec.path);
        }
        if let OnScreen::Slash(slash) = verb.screen {
            for word in std::iter::once(&slash.word).chain(slash.aliases) {
                assert!(words.insert(*word), "/{word}");
            }
        }
    }
}

#[test]
fn help_has_a_sentence_for_every_command_group_and_argument() {
    fn check(command: &clap::Command, path: &str) {
        assert!(command.get_about().is_some_and(|about| !about.to_string().is_empty()), "{path}");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{path}: {}", argument.get_id());
        }
        for below in command.get_subcommands() {
            check(below, &format!("{path} {}", below.get_name()));
        }
    }
    check(&Cli::command(), "mathia-tui");
}

#[test]
fn help_says_of_each_verb_what_the_table_says() {
    for verb in VERBS {
        let CommandLine::Command(spec) = verb.command_line else { continue };
        let command = Cli::command();
        let found = spec.path.iter().try_fold(&command, |found, word| found.find_subcommand(word));
        let about = found.and_then(|command| command.get_about()).map(ToString::to_string);
        assert_eq!(about.as_deref(), Some(spec.help), "{}", verb.name);
    }
}

#[test]
fn every_group_has_a_verb() {
    for (group, _) in GROUPS {
        let is_used = VERBS.iter().any(|verb| match verb.command_line {
            CommandLine::Command(spec) => spec.path.len() > 1 && spec.path[0] == *group,
            CommandLine::Absent(_) => false,
        });
        assert!(is_used, "{group}");
    }
}

#[test]
fn plain_text_is_said_and_two_slashes_say_one() {
    assert_eq!(parse("hello"), Ok(ComposerInput::Message("hello".to_owned())));
    assert_eq!(parse("//etc/passwd"), Ok(ComposerInput::Message("/etc/passwd".to_owned())));
}

#[test]
fn an_unknown_command_is_an_error_that_names_the_likely_one() {
    let error = parse("/jion ops").unwrap_err();
    assert_eq!(error.to_string(), "/jion is no command, /join is; // says it literally");
    assert!(parse("/etc/passwd is readable").is_err());
    assert_eq!(parse(" /join ops"), Err(SlashError::Space));
}

#[test]
fn commands_take_what_they_take() {
    let person = || "bob".parse::<Handle>().unwrap();
    assert_eq!(
        parse("/add @bob"),
        Ok(ComposerInput::Command(SlashCommand::InRoom(RoomCommand::Add(vec![person()]))))
    );
    assert_eq!(
        parse("/dm bob see you at six"),
        Ok(ComposerInput::Command(SlashCommand::Direct {
            person: person(),
            text: Some("see you at six".to_owned())
        }))
    );
    assert_eq!(
        parse("/invite 3 12h"),
        Ok(ComposerInput::Command(SlashCommand::Invite {
            uses: 3,
            lifetime: Duration::from_hours(12)
        }))
    );
    assert_eq!(
        parse("/create release train open"),
        Ok(ComposerInput::Command(SlashCommand::Create {
            name: "release train".parse().unwrap(),
            is_open: true
        }))
    );
    assert!(matches!(parse("/leave now"), Err(SlashError::Invalid(_))));
    assert!(matches!(parse("/dm"), Err(SlashError::Usage(_))));
    assert!(matches!(parse("/invite 0"), Err(SlashError::Usage(_))));
    assert!(matches!(parse("/add Bob"), Err(SlashError::Invalid(_))));
}

#[test]
fn every_word_and_alias_is_understood_and_none_takes_what_help_does_not_show() {
    for slash in slashes() {
        for word in std::iter::once(&slash.word).chain(slash.aliases) {
            let parsed = parse(&format!("/{word}"));
            assert!(!matches!(parsed, Err(SlashError::Unknown { .. })), "/{word}");
            let needs_nothing = slash.takes.is_empty() || slash.takes.starts_with('[');
            assert!(parsed.is_ok() || !needs_nothing, "/{word}: {parsed:?}");
        }
    }
}

proptest! {
    /// What is said is exactly what was written, or one slash shorter.
    #[test]
    fn nothing_said_begins_with_an_unwanted_command(text in "[/a-z ]{0,20}") {
        match parse(&text) {
            Ok(ComposerInput::Message(said)) if text.starts_with('/') => {
                prop_assert_eq!(format!("/{}", said), text);
            }
            Ok(ComposerInput::Message(said)) => prop_assert_eq!(said, text),
            Ok(ComposerInput::Command(_)) | Err(_) => prop_assert!(text.trim_start().starts_with('/')),
        }
    }
}
