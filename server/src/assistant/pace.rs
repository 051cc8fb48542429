//! When the pieces of an answer leave: the first at once, then at most twenty a second.
//!
//! Pure: the time is an argument. Joins what comes in between, and never splits a character.

use std::time::Duration;

use mathia_protocol::limits::{DELTA_TEXT_LEN_MAX, DELTAS_PER_SECOND};
use tokio::time::Instant;

/// Between two pieces; a little more than the rate allows, so that a late timer breaks no rate.
const INTERVAL: Duration = Duration::from_millis(1_000 / (DELTAS_PER_SECOND as u64) + 2);

/// The text of one answer on its way out.
#[derive(Debug, Default)]
pub(super) struct Pace {
    text: String,
    n_sent: usize,
    last_sent: Option<Instant>,
}

impl Pace {
    /// More of the answer came.
    pub(super) fn add(&mut self, piece: &str) {
        self.text.push_str(piece);
    }

    /// All that came so far.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// When the next piece may leave; `None` while there is none.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let is_waiting = self.n_sent < self.text.len();
        is_waiting.then(|| self.last_sent.map_or(now, |last| (last + INTERVAL).max(now)))
    }

    /// Takes the piece that leaves now.
    pub(super) fn take(&mut self, now: Instant) -> Option<String> {
        if self.due(now)? > now {
            return None;
        }
        let rest = &self.text[self.n_sent..];
        let piece = &rest[..rest.floor_char_boundary(DELTA_TEXT_LEN_MAX)];
        self.n_sent += piece.len();
        self.last_sent = Some(now);
        Some(piece.to_owned())
    }

    /// All that came, given away.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_piece_leaves_at_once_and_the_next_ones_together() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        assert_eq!(pace.due(begun), None);
        pace.add("The");
        assert_eq!(pace.take(begun).as_deref(), Some("The"));
        pace.add(" column");
        pace.add(" is");
        assert_eq!(pace.take(begun), None, "too soon");
        assert_eq!(pace.due(begun), Some(begun + INTERVAL));
        assert_eq!(pace.take(begun + INTERVAL).as_deref(), Some(" column is"));
        assert_eq!(pace.take(begun + 3 * INTERVAL), None, "nothing is left");
    }

    #[test]
    fn a_flood_leaves_in_pieces_that_fit_and_no_character_is_split() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let flood = "\u{e9}".repeat(DELTA_TEXT_LEN_MAX);
        pace.add("x");
        pace.add(&flood);
        let mut sent = String::new();
        while pace.due(now).is_some() {
            let piece = pace.take(now).unwrap();
            assert!(piece.len() <= DELTA_TEXT_LEN_MAX);
            sent.push_str(&piece);
            now += INTERVAL;
        }
        assert_eq!(sent, pace.text());
        assert_eq!(pace.into_text(), format!("x{flood}"));
    }

    #[test]
    fn a_second_holds_at_most_twenty_pieces() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        let mut n_pieces = 0;
        for ms in 0..1_000 {
            pace.add("a");
            n_pieces += u32::from(pace.take(begun + Duration::from_millis(ms)).is_some());
        }
        assert!((15..=DELTAS_PER_SECOND).contains(&n_pieces), "{n_pieces}");
    }
}
