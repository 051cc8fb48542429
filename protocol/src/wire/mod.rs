//! Frames and their codec.
