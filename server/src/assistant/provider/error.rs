//! Why there is no answer, in sentences for people.

use std::fmt;
use std::time::Duration;

use super::guard::NotAllowed;
use super::key::KeyError;
use super::words::RemoteWords;
use super::{Finished, Usage};
use crate::model_address::UrlError;

/// No (whole) answer: the cause, when to try again, and what had arrived.
///
/// Its `Display` is what stands behind `@mathia is unavailable:`. It holds no secret, and an
/// upstream's own words only cleaned and cut short.
#[derive(PartialEq, Eq)]
pub struct ProviderError {
    /// What happened.
    pub trouble: Trouble,
    /// How long the upstream asks to be left alone.
    pub retry_after: Option<Duration>,
    /// What had come by then.
    pub arrived: Box<Arrived>,
}

/// What had come of an answer that failed.
#[derive(Default, PartialEq, Eq)]
pub struct Arrived {
    /// All pieces that the sink was given, joined.
    pub text: String,
    /// The model, where it had named itself.
    pub model: Option<String>,
    /// What it took so far, where anything had been sent; nearly always a guess.
    pub usage: Option<Usage>,
}

/// What went wrong with a question. Retrying at once helps with none of these: where a second try
/// does help, it was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nobody listens there, twice.
    #[error("{host} refuses connections: its server is not running, or base_url is wrong")]
    Refused {
        /// Where.
        host: String,
    },
    /// The name leads nowhere.
    #[error("the name {host} cannot be resolved")]
    Unresolved {
        /// Where.
        host: String,
    },
    /// The name leads into a private network.
    #[error("{host} leads into a private network, which needs allow_private = true")]
    Forbidden {
        /// Where.
        host: String,
    },
    /// No connection for another reason.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// Where.
        host: String,
        /// Why, in a few words.
        reason: RemoteWords,
    },
    /// No encrypted connection.
    #[error("no secure connection to {host}: {reason}")]
    Insecure {
        /// Where.
        host: String,
        /// Why, in a few words.
        reason: RemoteWords,
    },
    /// Nothing came in time.
    #[error("{host} sent nothing for {} s", .waited.as_secs_f32())]
    Silent {
        /// Where.
        host: String,
        /// How long was waited.
        waited: Duration,
    },
    /// It was refused with a status.
    #[error("{host} {} (HTTP {status}){}", meaning(*.status), after(.words.as_ref()))]
    Status {
        /// Where.
        host: String,
        /// The status.
        status: u16,
        /// What the upstream said about it.
        words: Option<RemoteWords>,
    },
    /// The upstream reported an error where its answer should have been, or amid it.
    #[error("the model's server reports an error{}", after(.words.as_ref()))]
    Reported {
        /// What it said.
        words: Option<RemoteWords>,
    },
    /// The connection closed before anything had come.
    #[error("the model's server closed the connection without an answer")]
    NoAnswer,
    /// The answer ended without an ending.
    #[error("the model's server broke off in the middle of the answer")]
    Truncated,
    /// What came is no answer.
    #[error("the model's server sent something that is no chat completion")]
    Malformed,
    /// More came than any answer has.
    #[error("the model's server sent more than an answer can hold")]
    TooLong,
    /// The model said nothing.
    #[error("the model answered with nothing")]
    Empty,
    /// The model used all its tokens before it said anything.
    #[error("the model used up max_output_tokens before it said anything")]
    OnlyThought,
}

/// What a status means for somebody who asked a question.
fn meaning(status: u16) -> &'static str {
    match status {
        300..=399 => "points elsewhere: base_url must name where its server really is",
        401 => "does not accept the API key",
        402 => "asks for payment",
        403 => "does not allow this",
        404 => "knows no such model or path",
        408 | 504 => "took too long",
        413 => "finds the question too long",
        429 => "has too many requests",
        503 | 529 => "is overloaded or starting",
        500..=599 => "failed",
        400..=499 => "refused the question",
        _ => "gave an unusual answer",
    }
}

fn after(words: Option<&RemoteWords>) -> String {
    words.map(|words| format!(": {words}")).unwrap_or_default()
}

impl ProviderError {
    /// Trouble before anything had arrived.
    pub fn at_once(trouble: Trouble) -> Self {
        Self { trouble, retry_after: None, arrived: Box::default() }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.trouble)?;
        match self.retry_after {
            // Rounded up: a wait that is too short is no use.
            Some(wait) => write!(f, "; it asks to wait {} s", wait.as_millis().div_ceil(1_000)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ProviderError {}

impl fmt::Debug for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderError")
            .field("trouble", &self.trouble)
            .field("retry_after", &self.retry_after)
            .field("arrived", &self.arrived)
            .finish()
    }
}

impl fmt::Debug for Arrived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrived")
            .field("text_len", &self.text.len())
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}

/// Why a provider cannot be made from the configuration. Retrying helps after it was mended.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A key that the provider needs is not set.
    #[error("[assistant] needs {0}")]
    Missing(&'static str),
    /// The address is none.
    #[error("[assistant] base_url {0}")]
    Url(#[from] UrlError),
    /// The address is private.
    #[error("[assistant] base_url leads to {host}: set allow_private = true if that is meant")]
    Forbidden {
        /// Where it leads.
        host: String,
        /// The rule.
        #[source]
        source: NotAllowed,
    },
    /// There is no key to be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The HTTP client cannot be made: usually, the system has no certificates to judge by.
    #[error("cannot make secure connections")]
    Client(#[source] reqwest::Error),
}

/// An answer, or why there is none.
pub type AnswerResult = Result<Finished, ProviderError>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assistant::provider::words::Cleaner;

    #[test]
    fn a_cause_says_what_happened_and_when_to_come_back() {
        let mut error = ProviderError::at_once(Trouble::Status {
            host: "api.example.com".into(),
            status: 429,
            words: Cleaner::default().words("Rate limit reached for m."),
        });
        error.retry_after = Some(Duration::from_millis(20_001));
        assert_eq!(
            error.to_string(),
            "api.example.com has too many requests (HTTP 429): Rate limit reached for m; it asks \
             to wait 21 s"
        );
    }

    #[test]
    fn what_had_arrived_is_in_no_log() {
        let mut error = ProviderError::at_once(Trouble::Truncated);
        error.arrived.text = "the plan is".into();
        assert!(!format!("{error:?} {error}").contains("plan"));
    }
}
