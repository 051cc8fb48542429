//! Suggestions for misspelled words: the most similar known one.

/// Letters that may be wrong in a word that is still recognized.
const WRONG_MAX: usize = 2;

/// The word nearest to what was written, if it is near enough to be meant.
pub fn nearest<'a>(written: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong_max = WRONG_MAX.min(written.chars().count() / 2);
    // Of several, people rarely miss the first letter.
    let begins_otherwise = |word: &str| word.chars().next() != written.chars().next();
    let ranked =
        words.into_iter().map(|word| (distance(written, word), begins_otherwise(word), word));
    ranked.filter(|(wrong, ..)| *wrong <= wrong_max).min().map(|(.., word)| word)
}

/// How many letters must change to make one word of another (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognized_and_another_word_is_not() {
        let words = ["join", "leave", "who"];
        assert_eq!(nearest("jion", words), Some("join"));
        assert_eq!(nearest("laeve", words), Some("leave"));
        assert_eq!(nearest("snd", ["end", "send"]), Some("send"));
        assert_eq!(nearest("fly", words), None);
        assert_eq!(nearest("", words), None);
    }

    #[test]
    fn a_distance_counts_what_must_change() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
