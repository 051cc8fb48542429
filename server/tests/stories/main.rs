//! Stories: people with real clients, a real server, loopback in between.

mod cast;
mod joining;
mod leaving;
mod reading;
mod relaying;
mod surviving;
mod talking;
