//! Keys in, drawing out: whole screens with fixed names and a fixed clock, snapshots beside.

mod answering;
mod app;
mod asking;
mod assistant;
mod cast;
mod delivery;
mod first_start;
mod hints;
mod looks;
mod reacting;
mod reading;
mod scrolling;
mod writing;
