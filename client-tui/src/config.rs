//! The configuration file of the client: few keys, each with a default.
//!
//! Owns names and values of `config.toml`; precedence is flag, environment, file, default. Unknown
//! keys are named with their nearest relative, never fatal: an older client reads a newer file.

use std::path::Path;

use crate::exit::{Exit, Failure};
use crate::nearest::nearest;

/// What a person may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[ui] time_format`: `"24h"` or `"12h"`.
    pub is_24h: bool,
    /// `[ui] theme`: `"auto"`, `"dark"` or `"light"`.
    pub background: Background,
    /// `[keys.<place>] action = ["key", ..]`, as they stand in the file.
    pub keys: Vec<KeySetting>,
}

/// On what background the colors must be legible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// The terminal is asked.
    Auto,
    /// It is dark, whatever the terminal says.
    Dark,
    /// It is light, whatever the terminal says.
    Light,
}

/// Keys for an action in a place; none unbinds it. Names are checked where keys are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySetting {
    /// Where: `compose`, `select`, `list`, `panel`.
    pub place: String,
    /// What is done.
    pub action: String,
    /// By which keys.
    pub keys: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { is_24h: true, background: Background::Auto, keys: Vec::new() }
    }
}

/// Every key there is but those under `keys`, as `section.key`.
const KEYS: [&str; 2] = ["ui.theme", "ui.time_format"];
/// Every section.
const SECTIONS: [&str; 2] = ["keys", "ui"];

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
            match keys.as_table() {
                Some(places) if section == "keys" => config.set_keys(places)?,
                Some(keys) if SECTIONS.contains(&section.as_str()) => {
                    for (key, value) in keys {
                        config.set(&format!("{section}.{key}"), value, &mut warnings)?;
                    }
                }
                _ => warnings.push(unknown("section", section, &SECTIONS)),
            }
        }
        Ok((config, warnings))
    }

    /// Every setting with its value, as the file would have it.
    pub fn settings(&self) -> Vec<(String, String)> {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let background = match self.background {
            Background::Auto => "auto",
            Background::Dark => "dark",
            Background::Light => "light",
        };
        let time_format = if self.is_24h { "24h" } else { "12h" };
        let mut settings = vec![
            ("ui.theme".to_owned(), quoted(background)),
            ("ui.time_format".to_owned(), quoted(time_format)),
        ];
        settings.extend(self.keys.iter().map(|setting| {
            let keys = toml::Value::from(setting.keys.clone()).to_string();
            (format!("keys.{}.{}", setting.place, setting.action), keys)
        }));
        settings
    }

    fn set_keys(&mut self, places: &toml::Table) -> Result<(), Failure> {
        for (place, actions) in places {
            let Some(actions) = actions.as_table() else {
                return Err(wrong(&format!("keys.{place}"), "a table: [keys.compose]"));
            };
            for (action, value) in actions {
                let listed = match value {
                    toml::Value::String(key) => Some(vec![key.clone()]),
                    toml::Value::Array(keys) => {
                        keys.iter().map(|key| key.as_str().map(str::to_owned)).collect()
                    }
                    _ => None,
                };
                let name = format!("keys.{place}.{action}");
                let keys = listed.ok_or_else(|| wrong(&name, "a key or a list of keys"))?;
                let (place, action) = (place.clone(), action.clone());
                self.keys.push(KeySetting { place, action, keys });
            }
        }
        Ok(())
    }

    fn set(
        &mut self,
        name: &str,
        value: &toml::Value,
        warnings: &mut Vec<String>,
    ) -> Result<(), Failure> {
        match name {
            "ui.theme" => {
                self.background = match value.as_str() {
                    Some("auto") => Background::Auto,
                    Some("dark") => Background::Dark,
                    Some("light") => Background::Light,
                    _ => return Err(wrong(name, "\"auto\", \"dark\" or \"light\"")),
                };
            }
            "ui.time_format" => {
                self.is_24h = match value.as_str() {
                    Some("24h") => true,
                    Some("12h") => false,
                    _ => return Err(wrong(name, "\"24h\" or \"12h\"")),
                };
            }
            _ => warnings.push(unknown("setting", name, &KEYS)),
        }
        Ok(())
    }
}

fn wrong(name: &str, wanted: &str) -> Failure {
    Failure::new(Exit::BadConfig, format!("{name} must be {wanted}"))
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let like = nearest(name, known.iter().copied());
    let like = like.map(|like| format!("; {like}?")).unwrap_or_default();
    format!("{name}: no such {what}{like}")
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
        let expected = ["ui.time_fromat: no such setting; ui.time_format?", "zzz: no such section"];
        assert_eq!(warnings, expected);
        let (_, warnings) = Config::parse("key = 1").unwrap();
        assert_eq!(warnings, ["key: no such section; keys?"]);
    }

    #[test]
    fn keys_are_taken_as_one_or_as_a_list_and_an_empty_list_stays_empty() {
        let text = "[keys.compose]\nsend = \"ctrl-j\"\nswitcher = [\"ctrl-g\", \"f2\"]\n\
                    [keys.panel]\nretry = []\n";
        let (config, warnings) = Config::parse(text).unwrap();
        assert_eq!(warnings, [""; 0]);
        let settings = config.settings();
        let keys: Vec<_> = settings.iter().filter(|(name, _)| name.starts_with("keys.")).collect();
        let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [
            setting("keys.compose.send", "[\"ctrl-j\"]"),
            setting("keys.compose.switcher", "[\"ctrl-g\", \"f2\"]"),
            setting("keys.panel.retry", "[]"),
        ];
        assert_eq!(keys, expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        let text = "[ui]\ntheme = \"light\"\ntime_format = \"12h\"\n";
        let (config, _) = Config::parse(text).unwrap();
        assert_eq!(config.background, Background::Light);
        let lines = config.settings().into_iter().map(|(name, value)| format!("{name} = {value}"));
        let again = lines.collect::<Vec<_>>().join("\n");
        assert_eq!(Config::parse(&again).unwrap().0, config);
    }

    #[test]
    fn a_wrong_file_ends_with_78() {
        let wrong = [
            "[ui",
            "[ui]\ntime_format = 24",
            "[ui]\ntime_format = \"25h\"",
            "[ui]\ntheme = \"pink\"",
            "[keys]\ncompose = 1",
            "[keys.compose]\nsend = 1",
            "[keys.compose]\nsend = [1]",
        ];
        for text in wrong {
            assert_eq!(Config::parse(text).unwrap_err().exit, Exit::BadConfig, "{text}");
        }
        let absent = Path::new("/nonexistent/config.toml");
        assert_eq!(Config::load(absent, true).unwrap_err().exit, Exit::BadConfig);
        assert!(Config::load(absent, false).is_ok());
    }
}
