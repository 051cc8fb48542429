//! Rooms on the server: who may change what, in which order, and how it lies on disk.

pub mod at_rest;
