//! The mathia server: orders, stores and enforces; never an authority over who is in a room or who
//! said what.
//!
//! Arrows point one way: `serve` → `session` → `rooms` → {`hub`, `store`} → the protocol crate.

pub mod clock;
pub mod hub;
pub mod limits;
pub mod rate;
pub mod store;
