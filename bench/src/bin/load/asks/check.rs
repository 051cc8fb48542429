//! What must be true in the end: every accepted question has one answer, the same in every log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mathia_protocol::client::{EntryContent, EntryView};
use mathia_protocol::crypto::content::{Answer, Content, Outcome};
use mathia_protocol::id::{RoomId, Seq};

use super::TownRoom;
use super::person::Person;
use super::record::{Record, mark};
use super::script::{Ending, Script};
use crate::Failure;

/// How many questions ended how.
#[derive(Default)]
pub(super) struct Tally {
    n_answered: usize,
    n_interrupted: usize,
    n_refused: usize,
    /// Why, with how often.
    causes: BTreeMap<String, usize>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n_answered, n_interrupted, n_refused, causes } = self;
        write!(f, "{n_answered} answered, {n_interrupted} interrupted, {n_refused} refused")?;
        let causes = causes.iter().map(|(cause, n_times)| format!("{n_times} x {cause}"));
        write!(f, " [{}]", causes.collect::<Vec<_>>().join("; "))
    }
}

/// Reads every room with everybody's eyes.
pub(super) async fn all(
    people: &[Person],
    rooms: &[TownRoom],
    record: &Record,
    n_asked: u32,
    seed: u64,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let mut questions = BTreeSet::new();
    for room in rooms {
        let log = same_log(people, room).await?;
        let (asks, answers) = sort(room.room, &log)?;
        for (seq, question) in &asks {
            let place = (room.room, *seq);
            if record.accepted.borrow().get(&place).is_none_or(|(known, _)| known != question) {
                return Err(format!("DOUBLED: question {question} stands at {seq} too").into());
            }
            questions.insert(*question);
            let answers = answers.get(seq).map_or(&[][..], Vec::as_slice);
            match answers {
                [] => return Err(format!("MISSING: question {question} has no answer").into()),
                [answer] => judge(*question, answer, seed, &mut tally)?,
                more => {
                    let n = more.len();
                    return Err(format!("DOUBLED: question {question} has {n} answers").into());
                }
            }
        }
        if let Some(stray) = answers.keys().find(|seq| !asks.contains_key(seq)) {
            return Err(format!("an answer to {stray}, which is no question").into());
        }
    }
    let lost = (0..n_asked).find(|question| !questions.contains(question));
    match lost {
        Some(question) => Err(format!("MISSING: question {question} is in no log").into()),
        None => Ok(tally),
    }
}

/// A room's log, if it is the same for all who are in it.
async fn same_log(people: &[Person], room: &TownRoom) -> Result<Vec<EntryView>, Failure> {
    let mut first: Option<Vec<EntryView>> = None;
    for member in &room.members {
        let log = people[*member].reads(room.room).await?;
        let Some(known) = &first else {
            first = Some(log);
            continue;
        };
        let is_same = known.len() == log.len() && known.iter().zip(&log).all(is_same_entry);
        if !is_same {
            let name = &people[*member].name;
            let (n, m) = (known.len(), log.len());
            return Err(format!("{name} has another log: {m} entries instead of {n}").into());
        }
    }
    first.ok_or_else(|| "a room without members".into())
}

fn is_same_entry((left, right): (&EntryView, &EntryView)) -> bool {
    let place = |entry: &EntryView| (entry.seq, entry.time, entry.author, entry.device);
    // The sentence about a change says "you" to nobody, but names may come in another order.
    let is_change = |entry: &EntryView| matches!(entry.content, EntryContent::Change(_));
    place(left) == place(right)
        && (left.content == right.content || (is_change(left) && is_change(right)))
}

type Asks = BTreeMap<Seq, u32>;
type Answers = BTreeMap<Seq, Vec<Answer>>;

fn sort(room: RoomId, log: &[EntryView]) -> Result<(Asks, Answers), Failure> {
    let (mut asks, mut answers) = (Asks::new(), Answers::new());
    for entry in log {
        match &entry.content {
            EntryContent::Said(Content::Ask(ask)) => {
                let number = super::record::number_of(&ask.text).ok_or("a question of nobody")?;
                asks.insert(entry.seq, number);
            }
            EntryContent::Said(Content::Answer(answer)) => {
                answers.entry(answer.ask).or_default().push(Answer::clone(answer));
            }
            EntryContent::Change(_) => {}
            other => {
                return Err(format!("{} {}: {other:?}", room.short(), entry.seq).into());
            }
        }
    }
    Ok((asks, answers))
}

/// Compares an answer with what the model meant to say.
fn judge(question: u32, answer: &Answer, seed: u64, tally: &mut Tally) -> Result<(), Failure> {
    let script = Script::of(question, seed);
    if !answer.cause.is_empty() {
        *tally.causes.entry(answer.cause.clone()).or_default() += 1;
    }
    let text = script.text();
    let is_right = match answer.outcome {
        Outcome::Complete => {
            tally.n_answered += 1;
            script.ending == Ending::Whole && answer.text == text && answer.cause.is_empty()
        }
        Outcome::Interrupted => {
            tally.n_interrupted += 1;
            let is_part = !answer.text.is_empty() && text.starts_with(&answer.text);
            is_part && script.ending != Ending::Refused && !answer.cause.is_empty()
        }
        Outcome::Refused => {
            tally.n_refused += 1;
            answer.text.is_empty() && !answer.cause.is_empty()
        }
        Outcome::CutOff | Outcome::Filtered | Outcome::Stopped => false,
    };
    if is_right {
        return Ok(());
    }
    let (mark, outcome, cause) = (mark(question), answer.outcome, &answer.cause);
    Err(format!("{mark} was answered {outcome:?} ({cause}) by {:?}", answer.text).into())
}
