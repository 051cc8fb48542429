//! `config`: prints the settings, and checks the configuration.

use super::context::CommandContext;
use crate::exit::{Exit, Failure};
use crate::output::Line;

/// Ends with 78 if anything in the configuration is not understood; what it is was said before.
pub(super) fn check(context: &mut CommandContext<'_>) -> Result<(), Failure> {
    match context.warnings.len() {
        0 => context.out.line_or_report(&checked(0).text("the configuration is understood")),
        n => {
            context.out.line_or_report(&checked(n))?;
            let things =
                if n == 1 { "one setting is".to_owned() } else { format!("{n} settings are") };
            Err(Failure::new(Exit::BadConfig, format!("{things} not understood")))
        }
    }
}

fn checked(n_warnings: usize) -> Line {
    Line::new("config").with("is_ok", n_warnings == 0).with("warnings", n_warnings)
}

/// Prints every setting as the file would have it.
pub(super) fn show(context: &mut CommandContext<'_>) -> Result<(), Failure> {
    for (name, value) in context.config.settings() {
        let line = Line::new("setting").with("name", name.as_str()).with("value", value.as_str());
        context.out.line(&line.text(format!("{name} = {value}")))?;
    }
    Ok(())
}
