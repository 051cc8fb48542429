//! How an error reads in a log line or an error message: with all its causes.

use std::error::Error;

/// An error and its causes in one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the file")]
    struct Outer(#[source] std::fmt::Error);

    #[test]
    fn every_cause_follows_its_effect() {
        let cause = std::fmt::Error.to_string();
        assert_eq!(with_causes(&Outer(std::fmt::Error)), format!("cannot open the file: {cause}"));
        assert_eq!(with_causes(&std::fmt::Error), cause);
    }
}
