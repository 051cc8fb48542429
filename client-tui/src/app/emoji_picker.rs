//! The emoji picker: what can be put on a message, best first.
//!
//! Without a filter: what this person used last, then what is used most everywhere, then all. With
//! one: a shortcode that is written whole, then how well names and shortcodes fit.

use std::collections::HashSet;

use mathia_protocol::crypto::content::Emoji;
use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::model::Model;
use super::switcher::{Candidate, CandidateSign, Target};
use crate::emoji::{self, NamedEmoji};

/// Emoji remembered as used last.
pub(crate) const RECENT_MAX: usize = 16;
/// What stands first for who has used none yet.
const USUAL: [&str; 8] = ["👍", "❤️", "😂", "🎉", "👀", "😮", "🙏", "✅"];

/// The candidates for a filter.
pub(crate) fn candidates(model: &Model, filter: &str) -> Vec<Candidate> {
    let filter = filter.trim().trim_matches(':');
    if filter.is_empty() {
        let usual = USUAL.iter().filter_map(|text| Emoji::parse(text).ok());
        let first = model.recent_emoji().cloned().chain(usual);
        let first = first.filter_map(|emoji| emoji::named_as(&emoji));
        let mut seen = HashSet::new();
        let all = first.chain(emoji::all());
        return all.filter(|one| seen.insert(one.emoji.clone())).map(candidate).collect();
    }
    let whole = emoji::find(filter);
    // Letters that are strewn over a long name fit nothing that anybody means.
    let (case, kind) = (CaseMatching::Ignore, AtomKind::Substring);
    let pattern = Pattern::new(filter, case, Normalization::Smart, kind);
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut buffer = Vec::new();
    let mut fitting: Vec<_> = emoji::all()
        .filter_map(|one| {
            let is_whole = whole.as_ref() == Some(&one.emoji);
            let score = pattern.score(Utf32Str::new(&one.words, &mut buffer), &mut matcher);
            let score = score.or(is_whole.then_some(0))?;
            Some(((is_whole, score), one))
        })
        .collect();
    // Equals stay in the usual order.
    fitting.sort_by(|(left, _), (right, _)| right.cmp(left));
    fitting.into_iter().map(|(_, one)| candidate(one)).collect()
}

fn candidate(one: NamedEmoji) -> Candidate {
    Candidate {
        sign: CandidateSign::Emoji(one.emoji.clone()),
        target: Target::Emoji(one.emoji),
        name: one.name.to_owned(),
        aside: one.shortcode,
        n_unread: 0,
        n_mentions: 0,
    }
}
