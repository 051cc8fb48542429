//! Stories: people with real clients, a real server, loopback in between.

mod canary;
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
