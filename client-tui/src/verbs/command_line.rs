//! The command line made from the table: a tree of subcommands, and the verb that was chosen in it.

use clap::ArgMatches;

use super::{CommandLine, CommandSpec, GROUPS, Invocation, VERBS};

/// Adds every subcommand of the table.
pub(crate) fn add_subcommands(command: clap::Command) -> clap::Command {
    add_below(command, &specs(), 0)
}

/// The verb that was chosen; `None` without a subcommand.
///
/// # Errors
///
/// What clap reports of arguments that its own checks let pass.
pub(crate) fn read_invocation(matches: &ArgMatches) -> Result<Option<Invocation>, clap::Error> {
    let mut path = Vec::new();
    let mut innermost = matches;
    while let Some((name, below)) = innermost.subcommand() {
        path.push(name);
        innermost = below;
    }
    let chosen = specs().into_iter().find(|spec| spec.path == path);
    chosen.map(|spec| (spec.read)(innermost)).transpose()
}

fn specs() -> Vec<CommandSpec> {
    let specs = VERBS.iter().filter_map(|verb| match verb.command_line {
        CommandLine::Command(spec) => Some(spec),
        CommandLine::Absent(_) => None,
    });
    specs.collect()
}

/// Adds the subcommands of these verbs, which agree in the first `depth` words of their paths.
fn add_below(mut command: clap::Command, specs: &[CommandSpec], depth: usize) -> clap::Command {
    let mut seen = Vec::new();
    for word in specs.iter().filter_map(|spec| spec.path.get(depth)) {
        if seen.contains(word) {
            continue;
        }
        seen.push(word);
        let with_word = specs.iter().filter(|spec| spec.path.get(depth) == Some(word)).copied();
        let with_word: Vec<CommandSpec> = with_word.collect();
        command = command.subcommand(subcommand(word, &with_word, depth + 1));
    }
    command
}

/// One subcommand: a verb, a group of verbs, or a verb that is also a group (`invite`, `invite list`).
fn subcommand(word: &'static str, specs: &[CommandSpec], depth: usize) -> clap::Command {
    let mut command = clap::Command::new(word);
    let own = specs.iter().find(|spec| spec.path.len() == depth);
    let is_group = specs.iter().any(|spec| spec.path.len() > depth);
    if let Some(own) = own {
        // In this order: the arguments bring the documentation of their type along.
        command = (own.arguments)(command).about(own.help);
        if is_group {
            command = command.args_conflicts_with_subcommands(true).subcommand_negates_reqs(true);
        }
    } else {
        let help = GROUPS.iter().find(|(group, _)| *group == word).map_or("", |(_, help)| help);
        command = command.about(help).subcommand_required(true).arg_required_else_help(true);
    }
    add_below(command, specs, depth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::UsageArgs;

    #[test]
    fn a_verb_may_be_a_group_as_well() {
        let spec = |path, arguments| CommandSpec {
            path,
            help: "",
            arguments,
            read: |_| Ok(Invocation::Rooms),
        };
        let plain = |command| command;
        let named = |command: clap::Command| command.arg(clap::Arg::new("room").required(true));
        let specs = [spec(&["post"], named), spec(&["post", "list"], plain)];
        let tree = || add_below(clap::Command::new("mathia-tui"), &specs, 0);
        tree().debug_assert();
        let words = |line: &str| {
            let matches = tree().try_get_matches_from(line.split(' ')).ok()?;
            let (_, post) = matches.subcommand()?;
            Some(post.subcommand_name().map(str::to_owned))
        };
        assert_eq!(words("mathia-tui post team"), Some(None));
        assert_eq!(words("mathia-tui post list"), Some(Some("list".to_owned())));
        assert_eq!(words("mathia-tui post"), None, "its own argument is required");
    }

    #[test]
    fn the_chosen_verb_is_read_with_its_arguments() {
        let command = add_subcommands(clap::Command::new("mathia-tui"));
        let matches = command.get_matches_from(["mathia-tui", "usage", "--room", "team"]);
        let read = read_invocation(&matches).unwrap();
        let Some(Invocation::Usage(UsageArgs { room })) = read else { panic!("{read:?}") };
        assert_eq!(room.as_deref(), Some("team"));
    }
}
