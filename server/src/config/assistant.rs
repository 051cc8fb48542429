//! The `[assistant]` section: which model answers `@mathia`, and where it is.

use std::path::PathBuf;
use std::time::Duration;

use mathia_protocol::limits::OPERATOR_LEN_MAX;
use serde::{Deserialize, Deserializer};

use crate::duration_text::parse_duration;
use crate::limits::{
    MODEL_NAME_LEN_MAX, MODEL_TIMEOUT_MAX, OUTPUT_TOKENS_MAX, SYSTEM_PROMPT_LEN_MAX,
};
use crate::model_address::{BaseUrl, UrlError, is_plainly_private};

/// The `[assistant]` section. Without a provider, the one that is built in answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AssistantSettings {
    /// Who answers.
    pub provider: ProviderKind,
    /// Where the model's server is, with the version, such as `https://api.example.com/v1`.
    pub base_url: Option<String>,
    /// The name of the model, as its server knows it.
    pub model: Option<String>,
    /// The file with the API key; the systemd credential `ai.key` takes its place when absent.
    pub key_file: Option<PathBuf>,
    /// Whether the model may be on this machine or in a private network.
    pub allow_private: bool,
    /// The most tokens of one answer.
    pub max_output_tokens: u32,
    /// What the model's server calls that limit.
    pub max_tokens_field: MaxTokensField,
    /// How long a connection may take.
    #[serde(deserialize_with = "duration")]
    pub connect_timeout: Duration,
    /// How long the first byte of an answer may take: models are loaded, long questions are read.
    #[serde(deserialize_with = "duration")]
    pub first_byte_timeout: Duration,
    /// How long an answer may pause between two bytes.
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
    /// How long an answer waits for a new key of its room, which only people's clients can make,
    /// before the question is refused with that cause.
    #[serde(deserialize_with = "duration")]
    pub key_patience: Duration,
    /// Who runs the assistant, as its card tells people.
    pub operator: Option<String>,
    /// Takes the place of the built-in instructions to the model; empty for none.
    pub system_prompt: Option<String>,
}

impl Default for AssistantSettings {
    fn default() -> Self {
        Self {
            provider: ProviderKind::Builtin,
            base_url: None,
            model: None,
            key_file: None,
            allow_private: false,
            max_output_tokens: 1_024,
            max_tokens_field: MaxTokensField::MaxTokens,
            connect_timeout: Duration::from_secs(4),
            first_byte_timeout: Duration::from_mins(2),
            idle_timeout: Duration::from_mins(1),
            key_patience: Duration::from_mins(1),
            operator: None,
            system_prompt: None,
        }
    }
}

/// Who answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// Nobody but the program itself: help, and lists of what was attached.
    #[default]
    Builtin,
    /// A server that speaks OpenAI's chat completions, as most do.
    #[serde(rename = "openai")]
    OpenAi,
}

/// What the model's server calls the limit of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// What nearly all servers understand.
    #[default]
    MaxTokens,
    /// What newer models of OpenAI insist on.
    MaxCompletionTokens,
}

impl MaxTokensField {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

impl AssistantSettings {
    /// Checks what can be checked without calling anybody; the error says what to do.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.provider {
            ProviderKind::Builtin => self.check_nothing_is_left_over()?,
            ProviderKind::OpenAi => self.check_address()?,
        }
        if !(1..=OUTPUT_TOKENS_MAX).contains(&self.max_output_tokens) {
            return Err(format!("max_output_tokens must be between 1 and {OUTPUT_TOKENS_MAX}"));
        }
        let waits = [
            ("connect_timeout", self.connect_timeout),
            ("first_byte_timeout", self.first_byte_timeout),
            ("idle_timeout", self.idle_timeout),
            ("key_patience", self.key_patience),
        ];
        if let Some((key, _)) = waits.iter().find(|(_, wait)| *wait > MODEL_TIMEOUT_MAX) {
            return Err(format!("{key} must be at most 1h"));
        }
        check_text("operator", self.operator.as_deref(), OPERATOR_LEN_MAX)?;
        if let Some(prompt) = &self.system_prompt
            && prompt.len() > SYSTEM_PROMPT_LEN_MAX
        {
            return Err(format!("system_prompt must have at most {SYSTEM_PROMPT_LEN_MAX} bytes"));
        }
        Ok(())
    }

    fn check_nothing_is_left_over(&self) -> Result<(), String> {
        let useless = [
            ("base_url", self.base_url.is_some()),
            ("model", self.model.is_some()),
            ("key_file", self.key_file.is_some()),
        ];
        match useless.iter().find(|(_, is_set)| *is_set) {
            Some((key, _)) => Err(format!(
                "{key} is set, but no model is used: set provider = \"openai\", or remove {key}"
            )),
            None => Ok(()),
        }
    }

    fn check_address(&self) -> Result<(), String> {
        let text = self.base_url.as_deref().ok_or(
            "provider = \"openai\" needs base_url, such as \"https://api.example.com/v1\"",
        )?;
        // The text is not repeated: it might hold a password.
        let url: BaseUrl = text.parse().map_err(|error: UrlError| format!("base_url {error}"))?;
        if !self.allow_private && is_plainly_private(&url) {
            return Err(format!(
                "base_url leads to {}, on this machine or in a private network: set allow_private \
                 = true if that is meant",
                url.host()
            ));
        }
        if self.model.as_deref().is_none_or(|model| model.trim().is_empty()) {
            return Err("provider = \"openai\" needs model, the name its server knows".into());
        }
        check_text("model", self.model.as_deref(), MODEL_NAME_LEN_MAX)
    }
}

/// A line of text that people will be shown.
fn check_text(key: &str, text: Option<&str>, len_max: usize) -> Result<(), String> {
    let Some(text) = text else { return Ok(()) };
    if text.chars().any(char::is_control) {
        return Err(format!("{key} must be one line without control characters"));
    }
    if text.len() > len_max {
        return Err(format!("{key} must have at most {len_max} bytes"));
    }
    Ok(())
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const MODEL: &str = "[assistant]\nprovider = \"openai\"\nmodel = \"m\"\n";

    fn refusal_of(text: &str) -> String {
        Config::parse(text).unwrap_err()
    }

    #[test]
    fn without_a_section_the_built_in_answers() {
        let settings = Config::parse("").unwrap().assistant;
        assert_eq!(settings.provider, ProviderKind::Builtin);
        assert_eq!(settings.max_output_tokens, 1_024);
    }

    #[test]
    fn a_model_is_configured_with_the_keys_people_were_promised() {
        let settings = Config::parse(
            "[assistant]\nprovider = \"openai\"\nbase_url = \"http://127.0.0.1:8080/v1\"\n\
             model = \"some-model\"\nkey_file = \"/etc/mathia/ai.key\"\nallow_private = true\n\
             max_output_tokens = 512\nmax_tokens_field = \"max_completion_tokens\"\n\
             connect_timeout = \"3s\"\nfirst_byte_timeout = \"5m\"\nidle_timeout = \"30s\"\n\
             operator = \"Ann, ann@example.org\"\nsystem_prompt = \"Be brief.\"\n",
        )
        .unwrap()
        .assistant;
        assert_eq!(settings.provider, ProviderKind::OpenAi);
        assert_eq!(settings.max_tokens_field.as_str(), "max_completion_tokens");
        assert_eq!(settings.first_byte_timeout, Duration::from_mins(5));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_with_what_to_do() {
        let with = |line: &str| format!("{MODEL}base_url = \"https://a.example/v1\"\n{line}\n");
        assert!(Config::parse(&with("")).is_ok());
        for (text, expected) in [
            (MODEL.to_owned(), "needs base_url"),
            (format!("{MODEL}base_url = \"a.example/v1\"\n"), "http:// or https://"),
            (format!("{MODEL}base_url = \"https://k:s@a.example/v1\"\n"), "key_file"),
            (format!("{MODEL}base_url = \"http://127.0.0.1/v1\"\n"), "allow_private = true"),
            (format!("{MODEL}base_url = \"http://localhost/v1\"\n"), "allow_private = true"),
            ("[assistant]\nbase_url = \"https://a.example/v1\"\n".into(), "provider = \"openai\""),
            ("[assistant]\nprovider = \"magic\"\n".into(), "unknown variant `magic`"),
            (with("max_output_tokens = 0"), "between 1 and"),
            (with("idle_timeout = \"2h\""), "at most 1h"),
            (with("idle_timeout = \"soon\""), "write it like"),
            (with("max_tokens_field = \"tokens\""), "max_completion_tokens"),
            (with("operator = \"a\\nb\""), "one line"),
            (with("allow_privat = true"), "did you mean `allow_private`"),
        ] {
            let error = refusal_of(&text);
            assert!(error.contains(expected), "{text}\n{error}");
        }
    }

    #[test]
    fn the_example_shows_every_key_and_is_valid_when_uncommented() {
        let example = include_str!("../../server.example.toml");
        let (_, section) = example.split_once("\n[assistant]\n").unwrap();
        let (section, _) = section.split_once("\n[").unwrap();
        let keys: Vec<_> = section
            .lines()
            .filter_map(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")))
            .collect();
        let text = format!("[assistant]\n{}", keys.join("\n")).replace("\"builtin\"", "\"openai\"");
        let shown = Config::parse(&text).unwrap().assistant;
        // What is shown is the default, where there is one.
        let default = AssistantSettings::default();
        let shown = AssistantSettings {
            provider: default.provider,
            base_url: None,
            model: None,
            key_file: None,
            operator: None,
            system_prompt: None,
            ..shown
        };
        assert_eq!(format!("{shown:?}"), format!("{default:?}"));
        assert_eq!(keys.len(), format!("{default:?}").matches(": ").count());
    }

    #[test]
    fn a_url_with_a_password_is_not_repeated() {
        let error = refusal_of(&format!("{MODEL}base_url = \"https://k:hunter2@a.example/v1\"\n"));
        assert!(!error.contains("hunter2"), "{error}");
    }
}
