//! The configuration file of the client: few keys, each with a default.
//!
//! Owns names and values of `config.toml`; precedence is flag, environment, file, default. Unknown
//! keys are named with their nearest relative, never fatal: an older client reads a newer file.

use std::path::Path;

use crate::exit::{Exit, Failure};

/// What a person may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[ui] time_format`: `"24h"` or `"12h"`.
    pub is_24h: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { is_24h: true }
    }
}

/// Every key there is, as `section.key`.
const KEYS: [&str; 1] = ["ui.time_format"];

impl Config {
    /// Reads a file. An absent usual file is all defaults; an absent named one is an error.
    ///
    /// Returns the warnings to be shown beside it.
    ///
    /// # Errors
    ///
    /// Exit 78 if the file cannot be read, is no TOML or a value has the wrong kind.
    pub fn load(path: &Path, is_named: bool) -> Result<(Self, Vec<String>), Failure> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text)
                .map_err(|failure| failure.hint(format!("it stands in {}", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => {
                Ok((Self::default(), Vec::new()))
            }
            Err(error) => Err(Failure::new(
                Exit::BadConfig,
                format!("cannot read {}: {error}", path.display()),
            )),
        }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// Exit 78 with the place of the mistake.
    pub fn parse(text: &str) -> Result<(Self, Vec<String>), Failure> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            Failure::new(
                Exit::BadConfig,
                format!("the configuration is no TOML: {}", error.message()),
            )
        })?;
        let mut config = Self::default();
        let mut warnings = Vec::new();
        for (section, keys) in &table {
            let Some(keys) = keys.as_table() else {
                warnings.push(unknown(section));
                continue;
            };
            for (key, value) in keys {
                let name = format!("{section}.{key}");
                config.set(&name, value, &mut warnings)?;
            }
        }
        Ok((config, warnings))
    }

    fn set(
        &mut self,
        name: &str,
        value: &toml::Value,
        warnings: &mut Vec<String>,
    ) -> Result<(), Failure> {
        match name {
            "ui.time_format" => {
                self.is_24h = match value.as_str() {
                    Some("24h") => true,
                    Some("12h") => false,
                    _ => return Err(wrong(name, "\"24h\" or \"12h\"")),
                };
            }
            _ => warnings.push(unknown(name)),
        }
        Ok(())
    }
}

fn wrong(name: &str, wanted: &str) -> Failure {
    Failure::new(Exit::BadConfig, format!("{name} must be {wanted}"))
}

fn unknown(name: &str) -> String {
    let nearest = KEYS.iter().min_by_key(|key| distance(name, key));
    match nearest.filter(|key| distance(name, key) <= name.len() / 2) {
        Some(key) => format!("the configuration key {name} is unknown; did you mean {key}?"),
        None => format!("the configuration key {name} is unknown"),
    }
}

/// Levenshtein's distance: how many letters must change.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.chars().enumerate() {
            let changed = diagonal + usize::from(l != r);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_used_and_the_rest_keeps_its_default() {
        let (config, warnings) = Config::parse("[ui]\ntime_format = \"12h\"\n").unwrap();
        assert!(!config.is_24h);
        assert!(warnings.is_empty());
        assert_eq!(Config::parse("").unwrap().0, Config::default());
    }

    #[test]
    fn a_misspelled_key_is_named_with_its_nearest_relative() {
        let (_, warnings) = Config::parse("[ui]\ntime_fromat = \"12h\"\n[zzz]\nq = 1\n").unwrap();
        assert!(warnings[0].contains("did you mean ui.time_format?"), "{warnings:?}");
        assert_eq!(warnings[1], "the configuration key zzz.q is unknown");
    }

    #[test]
    fn a_wrong_file_ends_with_78() {
        for text in ["[ui", "[ui]\ntime_format = 24", "[ui]\ntime_format = \"25h\""] {
            assert_eq!(Config::parse(text).unwrap_err().exit, Exit::BadConfig, "{text}");
        }
        let absent = Path::new("/nonexistent/config.toml");
        assert_eq!(Config::load(absent, true).unwrap_err().exit, Exit::BadConfig);
        assert!(Config::load(absent, false).is_ok());
    }
}
