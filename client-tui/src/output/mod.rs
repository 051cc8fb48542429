//! The one writer of the commands: data to stdout, messages to stderr.
//!
//! Owns the JSON form of a line and the cleaning of all text. Nothing else in the commands prints,
//! so nothing a stranger wrote reaches a terminal uncleaned; only `--json` is exact, as escaped
//! JSON.

pub(crate) mod entry;
mod format;
pub(crate) mod person;
pub(crate) mod room;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt;
use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;

pub(crate) use self::format::LineFormat;
use crate::exit::Failure;
use crate::safe_text::SafeText;

/// Version of the JSON lines. Fields are only ever added under the same number.
pub const SCHEMA_VERSION: u8 = 1;

/// One line of output: a typed JSON object, and the same for people.
///
/// `{"v":1,"type":KIND,...}` with the fields in the order they were added.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    kind: &'static str,
    fields: Vec<(&'static str, Value)>,
    text: String,
}

impl Line {
    /// Starts a line of a kind. Without [`Self::text`], people see nothing of it.
    pub fn new(kind: &'static str) -> Self {
        Self { kind, fields: Vec::new(), text: String::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((key, value.into()));
        self
    }

    /// Adds a field if there is a value.
    #[must_use]
    pub fn with_some(self, key: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Says what people see; the writer cleans it.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// The JSON object, without a newline.
    #[expect(clippy::missing_panics_doc, reason = "writing strings to memory cannot fail")]
    pub fn to_json(&self) -> String {
        let mut bytes = Vec::with_capacity(256);
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, PlainJson);
        self.serialize(&mut serializer).expect("strings and numbers always serialize to memory");
        String::from_utf8(bytes).expect("JSON of strings is UTF-8")
    }
}

impl fmt::Debug for Line {
    /// Lines hold message text: only the kind may reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({})", self.kind)
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len() + 2))?;
        map.serialize_entry("v", &SCHEMA_VERSION)?;
        map.serialize_entry("type", self.kind)?;
        for (key, value) in &self.fields {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// Compact JSON that also escapes what a terminal might obey or hide (C1 controls, DEL, marks of
/// direction, separators): the same string for a parser, harmless on a screen.
struct PlainJson;

impl serde_json::ser::Formatter for PlainJson {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut plain_from = 0;
        for (at, c) in fragment.char_indices().filter(|(_, c)| must_escape(*c)) {
            writer.write_all(&fragment.as_bytes()[plain_from..at])?;
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain_from = at + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain_from..])
    }
}

fn must_escape(c: char) -> bool {
    matches!(
        c,
        '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Where the lines go.
pub struct Output<'a> {
    is_json: bool,
    data: Box<dyn Write + Send + 'a>,
    messages: Box<dyn Write + Send + 'a>,
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("is_json", &self.is_json).finish_non_exhaustive()
    }
}

impl<'a> Output<'a> {
    /// Writes data and messages to the process's own streams.
    pub fn process(is_json: bool) -> Self {
        Self::new(is_json, io::stdout(), io::stderr())
    }

    /// Writes data and messages to the given writers.
    pub fn new(
        is_json: bool,
        data: impl Write + Send + 'a,
        messages: impl Write + Send + 'a,
    ) -> Self {
        Self { is_json, data: Box::new(data), messages: Box::new(messages) }
    }

    /// Whether data goes out as JSON.
    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// Writes one line of data and flushes it, so that a reader of a pipe sees it at once.
    ///
    /// # Errors
    ///
    /// A [`Failure`] of the writer; a closed pipe is the quiet one.
    pub fn line(&mut self, line: &Line) -> Result<(), Failure> {
        if self.is_json {
            let mut json = line.to_json();
            json.push('\n');
            self.data.write_all(json.as_bytes())?;
        } else if !line.text.is_empty() {
            writeln!(self.data, "{}", SafeText::clean(&line.text))?;
        }
        Ok(self.data.flush()?)
    }

    /// Writes a line that is data for programs only: for people it is a message, and goes to stderr.
    ///
    /// # Errors
    ///
    /// A [`Failure`] of the writer; a closed pipe is the quiet one.
    pub fn line_or_report(&mut self, line: &Line) -> Result<(), Failure> {
        if self.is_json {
            return self.line(line);
        }
        if !line.text.is_empty() {
            self.report(&line.text);
        }
        Ok(())
    }

    /// Writes a piece of a text that comes bit by bit, cleaned like a line.
    ///
    /// # Errors
    ///
    /// A [`Failure`] of the writer; a closed pipe is the quiet one.
    pub fn piece(&mut self, text: &str) -> Result<(), Failure> {
        write!(self.data, "{}", SafeText::clean(text))?;
        Ok(self.data.flush()?)
    }

    /// Writes text that is data by itself and came from this program (a completion script).
    pub fn raw(&mut self, text: &[u8]) -> Result<(), Failure> {
        self.data.write_all(text)?;
        Ok(self.data.flush()?)
    }

    /// Writes a message for people to stderr. A closed stderr is no error.
    pub fn report(&mut self, text: &str) {
        drop(writeln!(self.messages, "{}", SafeText::clean(text)));
    }

    /// Writes a question: like [`Self::report`], but the answer follows on the same line.
    pub fn prompt(&mut self, text: &str) {
        drop(
            write!(self.messages, "{} ", SafeText::clean(text))
                .and_then(|()| self.messages.flush()),
        );
    }

    /// Writes why the program ends: `error: ...`, then `hint: ...`.
    pub fn failure(&mut self, failure: &Failure) {
        if !failure.message.is_empty() {
            self.report(&format!("error: {}", failure.message));
        }
        if let Some(hint) = &failure.hint {
            self.report(&format!("hint: {hint}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn written(is_json: bool, line: &Line) -> String {
        let mut data = Vec::new();
        Output::new(is_json, &mut data, io::sink()).line(line).unwrap();
        String::from_utf8(data).unwrap()
    }

    #[test]
    fn a_line_keeps_the_order_of_its_fields_and_skips_what_is_not_there() {
        let line = Line::new("message")
            .with("room", "team")
            .with("seq", 12)
            .with_some("ticks", None::<&str>)
            .text("12 hi");
        assert_eq!(
            written(true, &line),
            "{\"v\":1,\"type\":\"message\",\"room\":\"team\",\"seq\":12}\n"
        );
        assert_eq!(written(false, &line), "12 hi\n");
        assert_eq!(written(false, &Line::new("typing")), "", "no text, nothing for people");
    }

    #[test]
    fn what_a_stranger_wrote_moves_no_cursor_and_json_stays_exact() {
        let evil = "a\u{1b}[2Jb\u{9b}c\u{202e}d\u{7f}";
        let line = Line::new("message").with("text", evil).text(evil);
        let text = written(false, &line);
        assert!(!text.trim_end().chars().any(char::is_control), "{text:?}");
        let json = written(true, &line);
        assert!(json.is_ascii() && !json.trim_end().contains('\u{1b}'), "{json:?}");
        let parsed: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed["text"], evil);
    }

    #[test]
    fn a_failure_is_an_error_line_and_a_hint_line() {
        let mut messages = Vec::new();
        let failure = Failure::new(Exit::NotFound, "no room \u{1b}x").hint("look at `rooms`");
        Output::new(false, io::sink(), &mut messages).failure(&failure);
        assert_eq!(
            String::from_utf8(messages).unwrap(),
            "error: no room x\nhint: look at `rooms`\n"
        );
    }
}
