//! The configuration file: TOML, every key optional, unknown keys refused with the nearest name.

mod assistant;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use assistant::{AssistantSettings, MaxTokensField, ProviderKind};
use serde::Deserialize;

use crate::limits::Limits;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to listen for QUIC; the command line wins.
    pub listen: Option<SocketAddr>,
    /// Where the data lives; the command line wins.
    pub data: Option<PathBuf>,
    /// `host:port` to put into links when listening on a wildcard address.
    pub public_address: Option<String>,
    /// Who may make an account.
    pub registration: RegistrationPolicy,
    /// Threads that read from the database; one per core when absent.
    pub reader_threads: Option<usize>,
    /// How long a stop waits for sessions to take what is theirs, in seconds.
    pub drain_seconds: Option<u64>,
    /// Certificate and key, when not made by the server itself.
    pub tls: TlsFiles,
    /// Bounds and rates.
    pub limits: Limits,
    /// What is logged, and how.
    pub log: LogSettings,
    /// Where metrics are served.
    pub metrics: MetricsSettings,
    /// Which model answers `@mathia`.
    pub assistant: AssistantSettings,
}

/// Who may make an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegistrationPolicy {
    /// Whoever holds an invite.
    #[default]
    Invite,
    /// Whoever reaches the server.
    Open,
}

/// The `[tls]` section. Both files or none.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsFiles {
    /// PEM certificate chain.
    pub certificate_file: Option<PathBuf>,
    /// PEM private key.
    pub key_file: Option<PathBuf>,
}

/// The `[log]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `mathia_server=debug,info`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Auto }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal or under systemd, JSON otherwise.
    #[default]
    Auto,
    /// One line of text each.
    Text,
    /// One JSON object each.
    Json,
}

/// The `[metrics]` section.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSettings {
    /// A loopback address for Prometheus, such as `127.0.0.1:9464`; none when absent.
    pub listen: Option<SocketAddr>,
}

/// Why a configuration is refused. Retrying helps after the file was mended.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no valid configuration; the text has line, column and key.
    #[error("{path}: {message}")]
    Invalid {
        /// Which.
        path: PathBuf,
        /// The parser's words, with the nearest known key where one was misspelled.
        message: String,
    },
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]; the caller exits with 78.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text)
            .map_err(|message| ConfigError::Invalid { path: path.to_owned(), message })
    }

    /// Parses and checks the text of a file; the error is a sentence for its author.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| refusal(text, &error))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if self.tls.certificate_file.is_some() != self.tls.key_file.is_some() {
            return Err("[tls] needs certificate_file and key_file, or neither".into());
        }
        if let Some(address) = self.metrics.listen
            && !address.ip().is_loopback()
        {
            return Err(format!("[metrics] listen must be a loopback address, not {address}"));
        }
        if let Some(address) = &self.public_address
            && !is_host_and_port(address)
        {
            return Err(format!("public_address must be host:port, not {address:?}"));
        }
        self.assistant.check().map_err(|message| format!("[assistant] {message}"))?;
        if self.reader_threads == Some(0) {
            return Err("reader_threads must be at least 1".into());
        }
        let limits = &self.limits;
        let positive = [
            ("connections_max", limits.connections_max as usize),
            ("handshakes_max", limits.handshakes_max as usize),
            ("handshakes_burst", limits.handshakes_burst as usize),
            ("messages_per_minute", limits.messages_per_minute as usize),
            ("messages_burst", limits.messages_burst as usize),
            ("outbox_entries_max", limits.outbox_entries_max),
            ("outbox_bytes_max", limits.outbox_bytes_max),
            ("writer_queue_max", limits.writer_queue_max),
            ("batch_max", limits.batch_max),
        ];
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => Err(format!("[limits] {key} must be at least 1")),
            None => Ok(()),
        }
    }
}

/// What is wrong, and where. The line itself is not repeated: somebody may have put a secret there.
fn refusal(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let place = before.map(|before| format!("line {}: ", before.matches('\n').count() + 1));
    let near = nearest_key(error).map(|key| format!("\nhint: did you mean `{key}`?"));
    format!(
        "{}{}{}",
        place.unwrap_or_default(),
        error.message().trim_end(),
        near.unwrap_or_default()
    )
}

fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && !host.contains(char::is_whitespace)
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// The known key nearest to an unknown one, if the error is about an unknown key and one is near.
fn nearest_key(error: &toml::de::Error) -> Option<String> {
    let message = error.message();
    let (_, rest) = message.split_once("unknown field `")?;
    let (wrong, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2);
    known
        .map(|key| (edit_distance(wrong, key), key))
        .filter(|(distance, key)| *distance <= key.len() / 2)
        .min()
        .map(|(_, key)| key.to_owned())
}

/// The number of single-character changes between two short words (Levenshtein).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let changed = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        let config = Config::parse("").unwrap();
        assert_eq!(config.registration, RegistrationPolicy::Invite);
        assert_eq!(config.limits, Limits::default());
    }

    #[test]
    fn the_example_is_valid_and_shows_every_limit_with_its_default() {
        let example = include_str!("../server.example.toml");
        assert_eq!(Config::parse(example).unwrap().limits, Limits::default());
        let all = toml::to_string(&Limits::default()).unwrap();
        for key in all.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key) {
            assert!(example.contains(&format!("\n{key} = ")), "{key} is not shown");
        }
    }

    #[test]
    fn a_misspelled_key_is_refused_with_the_nearest_name() {
        let error = Config::parse("[limits]\nmesages_per_minute = 3\n").unwrap_err();
        assert!(error.contains("did you mean `messages_per_minute`"), "{error}");
    }

    #[test]
    fn a_refusal_names_the_line_and_repeats_no_secret() {
        for (text, line) in [
            ("\n[assistant]\napi_key = \"sk-canary\"\n", "line 3: unknown field `api_key`"),
            ("[assistant]\nkey_file = sk-canary\n", "line 2: "),
            ("[assistant]\nmodel = \"sk-canary\nprovider = 1\n", "line 2: "),
        ] {
            let error = Config::parse(text).unwrap_err();
            assert!(error.starts_with(line), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn metrics_stay_on_this_machine() {
        let error = Config::parse("[metrics]\nlisten = \"0.0.0.0:9464\"\n").unwrap_err();
        assert!(error.contains("loopback"), "{error}");
    }

    #[test]
    fn half_a_key_pair_is_refused() {
        let error = Config::parse("[tls]\nkey_file = \"/tls.key\"\n").unwrap_err();
        assert!(error.contains("certificate_file"), "{error}");
    }

    #[test]
    fn a_public_address_names_host_and_port() {
        assert!(Config::parse("public_address = \"chat.example.org:4433\"").is_ok());
        assert!(Config::parse("public_address = \"[2001:db8::1]:4433\"").is_ok());
        assert!(Config::parse("public_address = \"chat.example.org\"").is_err());
    }
}
