//! The cast of the stories: a town with a server, and people who live in it.

mod clock;
mod office;
mod person;
mod session;
pub(crate) mod town;
mod witness;

pub(crate) use crate::bare::{Frames, TestResult};
pub(crate) use clock::TownClock;
pub(crate) use person::Person;
pub(crate) use session::{Session, dial, hello};
pub(crate) use town::{Town, Trusting, enrols};

/// The machine's clock.
pub(crate) fn now() -> mathia_protocol::id::TimeMs {
    use mathia_protocol::client::Clock as _;
    mathia_protocol::client::SystemClock.now()
}
