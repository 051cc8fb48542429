//! Stories: people with real clients, a real server, loopback in between.

#[path = "../bare/mod.rs"]
mod bare;
mod canary;
mod cast;
mod clocks;
mod damage;
mod forgetting;
mod joining;
mod leaving;
mod lying;
mod reading;
mod relaying;
mod secrets;
mod surviving;
mod talking;
mod three;
