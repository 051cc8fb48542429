//! Stories: people with real clients, a real server, loopback in between.

mod cast;
mod talking;
