//! Keys in, drawing out: whole screens with fixed names and a fixed clock, snapshots beside.

mod app;
mod cast;
mod look;
