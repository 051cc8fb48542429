//! Changes bytes at random, in the ways that break parsers: for machines without a nightly compiler.

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

/// Longest input, in bytes: an entry with slots is half of it.
const LEN_MAX: usize = 8 * 1024;
/// Numbers that lie at an edge of some encoding.
const EDGES: [u64; 14] =
    [0, 1, 2, 63, 64, 250, 251, 252, 253, 255, 0xFFFF, 0xFFFF_FFFF, 1 << 63, u64::MAX];

/// A source of changed inputs; the same seed makes the same ones.
#[derive(Debug)]
pub struct Mutator {
    rng: StdRng,
}

impl Mutator {
    /// Starts with a seed.
    pub fn new(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed) }
    }

    /// Picks an input of `corpus` (not empty) and changes it a few times.
    pub fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.rng.random_range(0..corpus.len())].clone();
        let other = &corpus[self.rng.random_range(0..corpus.len())];
        // Mostly one change: an input that is almost right gets furthest.
        let n_changes = 1 + self.rng.random_range(0..4u32) * u32::from(self.rng.random_bool(0.5));
        for _ in 0..n_changes {
            self.change(&mut bytes, other);
        }
        bytes.truncate(LEN_MAX);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.rng.random_range(0..=bytes.len());
        let len = self.rng.random_range(0..=16usize).min(bytes.len() - at);
        match self.rng.random_range(0..9u32) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..at + len)),
            2 => {
                let again = bytes[at..at + len].to_vec();
                bytes.splice(at..at, again);
            }
            3 => {
                let byte = self.rng.random();
                bytes.insert(at, byte);
            }
            4 => {
                let from = self.rng.random_range(0..=other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
            5 => self.write_edge(bytes, at),
            6 => self.rng.fill_bytes(&mut bytes[at..at + len]),
            7 if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(1),
            _ if at < bytes.len() => bytes[at] ^= 1 << self.rng.random_range(0..8u32),
            _ => {}
        }
    }

    /// Writes a number over the bytes at `at`, in one of the widths and orders that formats use.
    fn write_edge(&mut self, bytes: &mut [u8], at: usize) {
        let number = EDGES[self.rng.random_range(0..EDGES.len())];
        let width = [1, 2, 4, 8][self.rng.random_range(0..4usize)];
        let big = number.to_be_bytes();
        let little = number.to_le_bytes();
        let written = if self.rng.random() { &big[8 - width..] } else { &little[..width] };
        if let Some(place) = bytes.get_mut(at..at + width) {
            place.copy_from_slice(written);
        }
    }
}
