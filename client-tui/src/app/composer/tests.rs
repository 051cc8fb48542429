use proptest::prelude::*;

use super::*;

fn composer(text: &str) -> Composer {
    Composer::with_text(text)
}

fn after(text: &str, edits: &[Edit]) -> Composer {
    let mut composer = composer(text);
    for edit in edits {
        composer.edit(*edit);
    }
    composer
}

#[test]
fn backspace_takes_a_whole_family() {
    assert_eq!(after("hi 👨‍👩‍👧‍👦", &[Edit::Backspace]).text(), "hi ");
    assert_eq!(after("cafe\u{301}", &[Edit::Backspace]).text(), "caf");
}

#[test]
fn a_typed_mark_joins_the_letter_before_it() {
    let mut composer = composer("e");
    composer.type_char('\u{301}');
    composer.edit(Edit::Left);
    assert_eq!(composer.before_caret(), "");
}

#[test]
fn the_readline_set_moves_and_kills() {
    let text = "one two  three";
    assert_eq!(after(text, &[Edit::KillWordBack]).text(), "one two  ");
    assert_eq!(after(text, &[Edit::KillWordBack, Edit::KillWordBack]).text(), "one ");
    assert_eq!(after(text, &[Edit::KillToStart]).text(), "");
    assert_eq!(after(text, &[Edit::LineStart, Edit::KillToEnd]).text(), "");
    assert_eq!(after(text, &[Edit::LineStart, Edit::KillWord]).text(), " two  three");
    assert_eq!(after(text, &[Edit::WordLeft, Edit::WordLeft]).before_caret(), "one ");
    assert_eq!(after(text, &[Edit::LineStart, Edit::WordRight]).before_caret(), "one");
}

#[test]
fn kills_in_a_row_come_back_together() {
    let killed = after("one two three", &[Edit::KillWordBack, Edit::KillWordBack, Edit::Yank]);
    assert_eq!(killed.text(), "one two three");
}

#[test]
fn ctrl_u_at_the_start_of_a_line_joins_it_to_the_one_before() {
    assert_eq!(after("one\ntwo", &[Edit::LineStart, Edit::KillToStart]).text(), "onetwo");
}

#[test]
fn undo_takes_back_a_word_at_a_time_and_everything_in_the_end() {
    let mut composer = Composer::default();
    "hello there".chars().for_each(|c| composer.type_char(c));
    composer.edit(Edit::Undo);
    assert_eq!(composer.text(), "hello");
    composer.edit(Edit::Undo);
    assert_eq!(composer.text(), "");
    assert!(!composer.edit(Edit::Undo));
}

#[test]
fn what_was_taken_for_sending_can_be_brought_back() {
    let mut composer = composer("kept");
    assert_eq!(composer.take(), "kept");
    composer.edit(Edit::Undo);
    assert_eq!(composer.text(), "kept");
}

#[test]
fn a_paste_that_does_not_fit_is_left_out_whole() {
    let mut composer = composer("before");
    let huge = "x".repeat(COMPOSER_LEN_MAX);
    assert_eq!(composer.insert(&huge), huge.len());
    assert_eq!(composer.text(), "before");
}

#[test]
fn the_caret_walks_through_wrapped_rows_keeping_its_column() {
    let mut composer = composer("the quick brown fox\nx\njumps over the dog");
    let cell = |composer: &Composer| {
        let cell = composer.caret_cell(10);
        (cell.row, cell.col)
    };
    assert_eq!(cell(&composer), (4, 7));
    assert!(composer.move_up(10));
    assert_eq!(cell(&composer), (3, 7));
    assert!(composer.move_up(10));
    assert_eq!(cell(&composer), (2, 1));
    assert!(composer.move_up(10));
    assert_eq!(cell(&composer), (1, 7));
    assert!(composer.move_up(10) && !composer.move_up(10));
    assert_eq!(cell(&composer), (0, 7));
}

#[test]
fn wide_characters_put_the_caret_two_columns_further() {
    let composer = composer("안녕");
    assert_eq!(composer.caret_cell(20), CaretCell { row: 0, col: 4 });
}

fn any_edit() -> impl Strategy<Value = Edit> {
    prop::sample::select(vec![
        Edit::Newline,
        Edit::Backspace,
        Edit::Delete,
        Edit::Left,
        Edit::Right,
        Edit::WordLeft,
        Edit::WordRight,
        Edit::LineStart,
        Edit::LineEnd,
        Edit::KillToStart,
        Edit::KillToEnd,
        Edit::KillWordBack,
        Edit::KillWord,
        Edit::Yank,
        Edit::Undo,
    ])
}

proptest! {
    /// Whatever is done, the caret stands between clusters and inside the screen.
    #[test]
    fn the_caret_is_always_between_clusters(
        text in "[a-b 世👩é\u{301}ع\u{200d}\n\t]{0,30}",
        edits in prop::collection::vec(any_edit(), 0..30),
        width in 2usize..12,
    ) {
        let mut composer = composer(&text);
        for edit in edits {
            composer.edit(edit);
            composer.move_up(width);
            let borders: Vec<usize> = composer.text().grapheme_indices(true).map(|(i, _)| i)
                .chain([composer.text().len()]).collect();
            let caret = composer.before_caret().len();
            prop_assert!(borders.contains(&caret));
            let cell = composer.caret_cell(width);
            prop_assert!(cell.col <= width && cell.row < composer.rows(width).len());
        }
    }

    /// The rows together are the text.
    #[test]
    fn rows_cover_the_text(text in "[a-b 世👩\n]{0,40}", width in 2usize..12) {
        let composer = composer(&text);
        let rows = composer.rows(width);
        let shown: String = rows.iter().map(|row| &composer.text()[row.range.clone()]).collect();
        prop_assert_eq!(shown, text.replace('\n', ""));
    }

    /// Undo leads back to where typing began.
    #[test]
    fn undo_leads_back(typed in "[a-c \n]{1,40}") {
        let mut composer = Composer::default();
        typed.chars().for_each(|c| composer.type_char(c));
        while composer.edit(Edit::Undo) {}
        prop_assert_eq!(composer.text(), "");
    }
}
