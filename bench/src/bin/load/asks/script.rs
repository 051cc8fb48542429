//! What the model says to each question: the same to the same question, slowly, and not always to
//! the end.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::model::Talk;
use super::record::{mark, number_of};

const WORDS: &[&str] = &["the", "column", "is", "added", "twice", "in", "this", "migration"];

/// How the model means to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It says all.
    Whole,
    /// It breaks off.
    Broken,
    /// It says nothing but an error.
    Refused,
}

/// What the model means to say to one question.
pub(super) struct Script {
    pub(super) ending: Ending,
    pieces: Vec<(Duration, String)>,
}

impl Script {
    pub(super) fn of(question: u32, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ (u64::from(question) << 32));
        let ending = match question % 10 {
            3 => Ending::Broken,
            7 => Ending::Refused,
            _ => Ending::Whole,
        };
        let n_words = rng.random_range(3..24);
        let words = (0..n_words).map(|_| {
            let word = WORDS[rng.random_range(0..WORDS.len())];
            (Duration::from_millis(rng.random_range(10..120)), format!(" {word}"))
        });
        let first = (Duration::from_millis(30), format!("to {}:", mark(question)));
        Self { ending, pieces: [first].into_iter().chain(words).collect() }
    }

    /// All that is said if nothing comes in between.
    pub(super) fn text(&self) -> String {
        self.pieces.iter().map(|(_, piece)| piece.as_str()).collect()
    }

    /// Says it; `n_talking` counts who is being answered just now.
    pub(super) async fn play(self, mut talk: Talk, n_talking: Rc<Cell<usize>>) -> io::Result<()> {
        if self.ending == Ending::Refused {
            return talk.refuses().await;
        }
        talk.begins().await?;
        let _talking = Talking::begin(n_talking);
        for (pause, piece) in &self.pieces {
            tokio::time::sleep(*pause).await;
            talk.says(piece).await?;
        }
        if self.ending == Ending::Broken {
            return Ok(());
        }
        talk.ends().await
    }
}

/// Answers a question as its script says.
pub(super) async fn answer(
    question: String,
    talk: Talk,
    seed: u64,
    n_talking: Rc<Cell<usize>>,
) -> io::Result<()> {
    let number = number_of(&question).ok_or(io::ErrorKind::InvalidData)?;
    Script::of(number, seed).play(talk, n_talking).await
}

/// Counts an answer under way.
struct Talking(Rc<Cell<usize>>);

impl Talking {
    fn begin(counter: Rc<Cell<usize>>) -> Self {
        counter.set(counter.get() + 1);
        Self(counter)
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
