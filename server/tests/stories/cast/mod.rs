//! The cast of the stories: a town with a server, and people who live in it.

mod person;
mod town;

pub use person::Person;
pub use town::Town;

/// What a story returns: anything that goes wrong ends it.
pub type TestResult<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
