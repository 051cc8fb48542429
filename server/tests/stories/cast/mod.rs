//! The cast of the stories: a town with a server, and people who live in it.

mod person;
mod town;

pub(crate) use person::Person;
pub(crate) use town::{Town, Trusting};

/// What a story returns: anything that goes wrong ends it.
pub(crate) type TestResult<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The machine's clock.
pub(crate) fn now() -> mathia_protocol::id::TimeMs {
    use mathia_protocol::client::Clock as _;
    mathia_protocol::client::SystemClock.now()
}
