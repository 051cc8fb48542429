//! Models: a question goes in, pieces of text come out, and an honest ending.
//!
//! One adapter per kind of server. Each decides by pure functions over what has arrived
//! ([`sse`], [`openai`]) and leaves sockets to [`http`]. Nothing here logs a question, an answer or
//! a key, and nothing is cleaned for terminals: whoever shows an answer does that.
//!
//! An adapter promises: the pieces given to the sink, joined, are the text it returns, also when it
//! fails in the middle; it never hangs while the other side is silent; dropping its future closes
//! the connection, which is how an answer is cancelled.

pub mod builtin;
pub mod error;
pub mod estimate;
pub mod guard;
pub mod http;
pub mod json;
pub mod key;
pub mod openai;
pub mod prompt;
pub mod retry_after;
pub mod sse;
pub mod words;

use std::fmt;
use std::path::Path;
use std::pin::Pin;

use mathia_protocol::id::TimeMs;
use mathia_protocol::name::Handle;

use self::builtin::Builtin;
pub use self::error::{Arrived, ProviderError, SetupError, Trouble};
use self::openai::OpenAi;
use crate::config::{AssistantSettings, ProviderKind};

/// What answers questions: a model behind a server, or the program itself.
pub trait Provider: fmt::Debug + Send + Sync + 'static {
    /// Where questions go, as people are told before they ask.
    fn source(&self) -> &Source;

    /// Answers one question, handing each piece of text to `sink` as it comes.
    ///
    /// # Errors
    ///
    /// [`ProviderError`] with a cause for people; what had arrived is kept in it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection to the model's server, which then stops.
    fn answer<'a>(&'a self, question: &'a Question, sink: &'a mut dyn Sink) -> AnswerFuture<'a>;
}

/// An answer under way.
pub type AnswerFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Finished, ProviderError>> + Send + 'a>>;

/// Takes an answer as it comes. Must not block: it runs between two reads of the network.
pub trait Sink: Send {
    /// The next piece, never empty, exactly as the model's server sent it: control characters too.
    fn text(&mut self, piece: &str);
}

impl<F: FnMut(&str) + Send> Sink for F {
    fn text(&mut self, piece: &str) {
        self(piece);
    }
}

/// What somebody asked, and all that the model is shown with it. Bounded by the message it came in.
pub struct Question {
    /// Who asks.
    pub asker: Handle,
    /// The question.
    pub text: String,
    /// Messages that the asker chose to show, oldest first.
    pub attached: Vec<Attached>,
}

/// A message that was attached to a question.
pub struct Attached {
    /// Who wrote it.
    pub handle: Handle,
    /// When.
    pub time: TimeMs,
    /// Its text.
    pub text: String,
}

/// A whole answer.
#[derive(PartialEq, Eq)]
pub struct Finished {
    /// All pieces, joined. Empty only when the provider filtered everything.
    pub text: String,
    /// Why it ended.
    pub ending: FinishReason,
    /// The model that answered, by its own account where it gives one.
    pub model: String,
    /// What it took.
    pub usage: Usage,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model had said all.
    Complete,
    /// The most tokens (or bytes) of an answer were reached.
    CutOff,
    /// The provider or the model refused, wholly or from some point on.
    Filtered,
}

/// Tokens of one question and its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of what was asked and attached.
    pub prompt: u32,
    /// Tokens of the answer, reasoning included.
    pub completion: u32,
    /// Both, as billed.
    pub total: u32,
    /// True where the provider gave no (whole) count and this is a guess.
    pub is_estimated: bool,
}

/// Where questions go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The kind of server: `openai` or `builtin`.
    pub provider: &'static str,
    /// Its host, with the port where it is not the usual one; empty for the built-in.
    pub host: String,
    /// The model, as configured.
    pub model: String,
    /// Whether nothing leaves this machine. A name that merely resolves to it does not count.
    pub is_local: bool,
}

/// Makes the provider that the configuration asks for. Calls nobody yet.
///
/// `credentials` is the service manager's directory of secrets, if there is one.
///
/// # Errors
///
/// [`SetupError`]; retrying does not help before the configuration or its files are mended.
pub fn connect(
    settings: &AssistantSettings,
    credentials: Option<&Path>,
) -> Result<Box<dyn Provider>, SetupError> {
    Ok(match settings.provider {
        ProviderKind::Builtin => Box::new(Builtin::new()),
        ProviderKind::OpenAi => Box::new(OpenAi::new(settings, credentials)?),
    })
}

// What people ask and hear is in no log, so `Debug` tells sizes only.

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Question({} bytes, {} attached)", self.text.len(), self.attached.len())
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attached({} bytes)", self.text.len())
    }
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished")
            .field("text_len", &self.text.len())
            .field("ending", &self.ending)
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}
