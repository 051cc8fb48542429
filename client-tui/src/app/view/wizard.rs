//! The first start: full short sentences, one thing asked at a time.

use ratatui::layout::{Position, Rect};
use zeroize::Zeroizing;

use super::overlay::keys_row;
use super::painter::{Painter, columns};
use crate::app::composer::Composer;
use crate::app::model::wizard::{InviteServer, Step, Wizard};
use crate::app::theme::Role;
use crate::app::wrap;
use crate::safe_text::SafeText;

/// Columns of its text at most.
const WIDTH_MAX: u16 = 62;
/// Columns of a numbered word.
const WORD_WIDTH: u16 = 12;

pub(super) fn draw(painter: &mut Painter<'_>, area: Rect, wizard: &Wizard) -> Option<Position> {
    let width = WIDTH_MAX.min(area.width.saturating_sub(2));
    let x = area.x + (area.width - width) / 2;
    if let Step::Words(words) = &wizard.step {
        words_page(painter, Rect { x, width, ..area }, words);
        return None;
    }
    // Where rows are few, only what is asked now is shown.
    let is_tight = area.height < 18;
    let top = if is_tight { 0 } else { area.height / 6 };
    let inner = Rect { x, y: area.y + top, width, height: area.height - top };
    let text = Rect { height: inner.height.saturating_sub(1), ..inner };
    let mut page = StepPage { painter, area: text, row: 0, is_tight, cursor: None };
    if !is_tight {
        page.painter.put(inner, (0, 0), "mathia", Role::Mine);
        page.row = 1;
        page.text("Rooms that only their members can read.", Role::Dim);
        page.space();
    }
    match &wizard.step {
        Step::Link => {
            page.pending_join(wizard);
            page.link(wizard, true);
        }
        Step::Name => {
            page.link(wizard, false);
            page.field("What should the others call you?", &wizard.name, true);
            page.text("a-z, 0-9, _ and -; it cannot be changed later.", Role::Dim);
        }
        Step::Joining => {
            page.link(wizard, false);
            page.field("What should the others call you?", &wizard.name, false);
            page.space();
            page.text("Joining. A key for this device is made and never leaves it.", Role::Text);
        }
        Step::UnknownServer { address, fingerprint, typed } => {
            page.text(&format!("Nothing vouches yet for the server at {address}."), Role::Warn);
            page.text("Ask whoever runs it, by another way, whether this is its key:", Role::Text);
            page.space();
            page.text(fingerprint.as_str(), Role::Name);
            page.space();
            page.field("Type yes if the two agree.", typed, true);
        }
        Step::Words(_) => {}
    }
    if let Some(error) = &wizard.error {
        page.space();
        page.text(&format!("✗ {error}"), Role::Failed);
    }
    let cursor = page.cursor;
    let bottom = Rect { height: inner.height.saturating_sub(u16::from(!is_tight)), ..inner };
    keys_row(painter, bottom, keys(&wizard.step).iter().copied());
    cursor
}

fn keys(step: &Step) -> &'static [(&'static str, &'static str)] {
    match step {
        Step::Link => &[("Enter", "next"), ("Ctrl-C", "quit")],
        Step::Name => &[("Enter", "join"), ("Esc", "back"), ("Ctrl-C", "quit")],
        Step::UnknownServer { .. } => &[("Enter", "go on"), ("Esc", "back"), ("Ctrl-C", "quit")],
        Step::Joining => &[("Ctrl-C", "quit")],
        Step::Words(_) => &[("Enter", "I have written them down")],
    }
}

/// A column of text that grows downwards.
struct StepPage<'p, 'a> {
    painter: &'p mut Painter<'a>,
    area: Rect,
    row: u16,
    is_tight: bool,
    cursor: Option<Position>,
}

impl StepPage<'_, '_> {
    fn text(&mut self, text: &str, role: Role) {
        for row in wrap::rows(text, usize::from(self.area.width)) {
            self.painter.put(self.area, (0, self.row), &row.text, role);
            self.row += 1;
        }
    }

    fn space(&mut self) {
        self.row += u16::from(!self.is_tight);
    }

    fn pending_join(&mut self, wizard: &Wizard) {
        if let Some(pending_join) = &wizard.pending_join {
            let text = format!(
                "You began to join as {} at {}, and no answer came. The same link and name take it \
                 up; in a shell, mathia-tui logout gives it up.",
                pending_join.name, pending_join.address
            );
            self.text(SafeText::line(&text).as_str(), Role::Text);
            self.space();
        }
    }

    /// The link while it is asked for; afterwards only where it leads, since it is a secret.
    fn link(&mut self, wizard: &Wizard, is_asked: bool) {
        let invite_server = wizard.invite_server();
        if is_asked {
            self.field("Paste the invite link somebody gave you.", &wizard.link, true);
            if invite_server.is_none() {
                self.text("It begins with mathia:// and is a secret: it lets you in.", Role::Dim);
            }
        }
        if let Some(InviteServer { address, has_key }) = invite_server {
            let key = match (is_asked, has_key) {
                (_, true) => "It holds that server's key, so no other can take its place.",
                (true, false) => "You may be shown that server's key before anything is sent.",
                (false, false) => "You may be shown its key before anything is sent.",
            };
            self.text(&format!("It leads to {address}"), Role::Accent);
            if !self.is_tight || is_asked {
                self.text(key, Role::Dim);
            }
        }
        self.space();
    }

    fn field(&mut self, question: &str, field: &Composer, is_asked: bool) {
        let role = if is_asked { Role::Text } else { Role::Dim };
        self.text(question, role);
        let sign_role = if is_asked { Role::Accent } else { Role::Dim };
        self.painter.put(self.area, (0, self.row), "›", sign_role);
        let inner =
            Rect { x: self.area.x + 2, width: self.area.width.saturating_sub(3), ..self.area };
        // A long link shows the part where the caret is.
        let before = field.before_caret();
        let excess = columns(before).saturating_sub(inner.width);
        let shown = skip_columns(field.text(), excess);
        let role = if is_asked { Role::Text } else { Role::Dim };
        self.painter.put(inner, (0, self.row), shown, role);
        if is_asked {
            let x = inner.x + (columns(before) - excess).min(inner.width);
            self.cursor = Some(Position { x, y: inner.y + self.row });
        }
        self.row += 1;
    }
}

fn skip_columns(text: &str, n_columns: u16) -> &str {
    use unicode_segmentation::UnicodeSegmentation;
    let mut skipped = 0;
    for (at, cluster) in text.grapheme_indices(true) {
        if skipped >= usize::from(n_columns) {
            return &text[at..];
        }
        skipped += wrap::cluster_width(cluster);
    }
    ""
}

fn words_page(painter: &mut Painter<'_>, area: Rect, words: &[Zeroizing<String>]) {
    let n_columns = (area.width / WORD_WIDTH).clamp(1, 4);
    let n_words = u16::try_from(words.len()).unwrap_or(0);
    let n_rows = n_words.div_ceil(n_columns);
    let text = if area.height < 18 {
        "Write these words down. They bring your account back; nobody else has them."
    } else {
        "Write these words down, in this order, on paper. They bring your account back if you lose \
         this device. They are shown only now, and nobody else has them."
    };
    let sentences = wrap::rows(text, usize::from(area.width));
    let n_sentences = u16::try_from(sentences.len()).unwrap_or(0);
    // Text, a row of space, words, a row of space, keys: the spaces go where rows are few.
    let used = n_sentences + n_rows + 1;
    let gap = u16::from(area.height >= used + 2);
    let top = area.height.saturating_sub(used + 2 * gap) / 3;
    let area = Rect { y: area.y + top, height: used + 2 * gap, ..area };
    for (row, sentence) in (0..).zip(&sentences) {
        painter.put(area, (0, row), &sentence.text, Role::Text);
    }
    for (i, word) in (0..n_words).zip(words) {
        let (col, row) = ((i / n_rows.max(1)) * WORD_WIDTH, n_sentences + gap + i % n_rows.max(1));
        painter.put(area, (col, row), &format!("{:>2}", i + 1), Role::Dim);
        painter.put(area, (col + 3, row), word.as_str(), Role::Name);
    }
    keys_row(painter, area, keys(&Step::Words(Vec::new())).iter().copied());
}
