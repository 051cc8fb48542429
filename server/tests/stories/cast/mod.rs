//! The cast of the stories: a town with a server, and people who live in it.

mod office;
mod person;
mod session;
pub(crate) mod town;
mod witness;

pub(crate) use person::Person;
pub(crate) use session::{Frames, Session, dial, hello};
pub(crate) use town::{Town, Trusting, enrols};

/// What a story returns: anything that goes wrong ends it.
pub(crate) type TestResult<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The machine's clock.
pub(crate) fn now() -> mathia_protocol::id::TimeMs {
    use mathia_protocol::client::Clock as _;
    mathia_protocol::client::SystemClock.now()
}
