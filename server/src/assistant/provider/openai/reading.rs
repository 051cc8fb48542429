//! A response as it is read: bytes in any pieces go in, an answer comes out.
//!
//! Pure, and therefore tested at every byte. The first byte that means something decides whether
//! the server streams or sends one JSON document: content types are not to be relied on.

use super::answer::{PartialAnswer, RequestFacts};
use super::chunk::{StreamPiece, pieces};
use super::reported;
use crate::assistant::provider::error::AnswerResult;
use crate::assistant::provider::sse::{SseEvent, SseReader};
use crate::assistant::provider::words::Cleaner;
use crate::assistant::provider::{Sink, Trouble, json};
use crate::limits::{ANSWER_STREAM_LEN_MAX, ANSWER_WHOLE_LEN_MAX};

/// The data of the event after which nothing follows.
const END_OF_STREAM: &str = "[DONE]";

/// A response under way.
pub struct ResponseReader<'a> {
    cleaner: Cleaner<'a>,
    answer: PartialAnswer,
    shape: Shape,
    n_bytes: usize,
}

/// How the server answers.
enum Shape {
    /// Nothing but white space yet, which is kept: a blank line may matter.
    Unknown(Vec<u8>),
    /// A stream of events.
    Events(SseReader),
    /// One JSON document.
    Whole(Vec<u8>),
}

impl<'a> ResponseReader<'a> {
    /// A response of which nothing has come.
    pub fn new(cleaner: Cleaner<'a>) -> Self {
        Self {
            cleaner,
            answer: PartialAnswer::default(),
            shape: Shape::Unknown(Vec::new()),
            n_bytes: 0,
        }
    }

    /// Takes the next bytes; text goes to the sink as soon as its event is whole.
    ///
    /// # Errors
    ///
    /// [`Trouble`] after which the rest of the response is of no use.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<(), Trouble> {
        self.n_bytes = self.n_bytes.saturating_add(bytes.len());
        let (n_max, events) = match &mut self.shape {
            Shape::Unknown(lead) => {
                lead.extend_from_slice(bytes);
                if ANSWER_WHOLE_LEN_MAX < lead.len() {
                    return Err(Trouble::TooLong);
                }
                let Some(shape) = shape_of(lead)? else { return Ok(()) };
                let lead = std::mem::take(lead);
                self.shape = shape;
                self.n_bytes = 0;
                return self.feed(&lead, sink);
            }
            Shape::Events(reader) => {
                (ANSWER_STREAM_LEN_MAX, reader.feed(bytes).map_err(|_| Trouble::TooLong)?)
            }
            Shape::Whole(document) => {
                document.extend_from_slice(bytes);
                (ANSWER_WHOLE_LEN_MAX, Vec::new())
            }
        };
        if n_max < self.n_bytes {
            return Err(Trouble::TooLong);
        }
        events.into_iter().try_for_each(|event| self.take_event(&event, sink))
    }

    /// Whether nothing that might still come is of interest.
    pub fn is_over(&self) -> bool {
        self.answer.is_over()
    }

    /// Whether the text is complete; usage may still come.
    pub fn has_ended(&self) -> bool {
        self.answer.has_ended()
    }

    /// What came of it, when no more bytes come: `trouble` is why, unless the body just ended.
    pub fn end(
        mut self,
        trouble: Option<Trouble>,
        asked: RequestFacts<'_>,
        sink: &mut dyn Sink,
    ) -> AnswerResult {
        let rest = match std::mem::replace(&mut self.shape, Shape::Unknown(Vec::new())) {
            Shape::Unknown(_) => Ok(()),
            // Half an event is none, so what is wrong with it does not matter.
            Shape::Events(reader) => {
                if let Some(event) = reader.finish()
                    && let Err(Trouble::Reported { words }) = self.take_event(&event, sink)
                {
                    Err(Trouble::Reported { words })
                } else {
                    Ok(())
                }
            }
            Shape::Whole(document) => self.take_document(&document, sink),
        };
        // The first trouble is the cause of any other.
        let trouble = trouble.or(rest.err());
        self.answer.conclude(trouble, asked, sink)
    }

    fn take_event(&mut self, event: &SseEvent, sink: &mut dyn Sink) -> Result<(), Trouble> {
        if self.is_over() {
            return Ok(());
        }
        if event.name == "error" {
            let words = match json::read(&event.data) {
                Some(value) => reported::error_in(&value).flatten(),
                None => Some(event.data.clone()),
            };
            return self.answer.take(StreamPiece::Failed(words), self.cleaner, sink);
        }
        self.take_data(&event.data, sink)
    }

    fn take_data(&mut self, data: &str, sink: &mut dyn Sink) -> Result<(), Trouble> {
        let data = data.trim();
        if data == END_OF_STREAM {
            self.answer.end_of_stream();
            return Ok(());
        }
        if !data.starts_with(['{', '[']) {
            // Another kind of keep-alive.
            return Ok(());
        }
        let Some(chunk) = json::read(data) else {
            // Without blank lines between them, several events are one of several lines.
            return if data.contains('\n') {
                data.lines().try_for_each(|line| self.take_data(line, sink))
            } else {
                Err(Trouble::Malformed)
            };
        };
        pieces(&chunk).into_iter().try_for_each(|piece| self.answer.take(piece, self.cleaner, sink))
    }

    fn take_document(&mut self, document: &[u8], sink: &mut dyn Sink) -> Result<(), Trouble> {
        let text = String::from_utf8_lossy(document);
        let text = text.trim_start_matches('\u{feff}');
        let Some(chunk) = json::read(text) else { return Err(Trouble::Truncated) };
        let pieces = pieces(&chunk);
        let is_completion = !chunk["choices"].is_null();
        for piece in pieces {
            self.answer.take(piece, self.cleaner, sink)?;
        }
        if !is_completion {
            return Err(Trouble::Malformed);
        }
        // A document that could be parsed is whole, whether or not it says why it ends.
        self.answer.end_of_stream();
        Ok(())
    }
}

/// How a server answers, by the first bytes; `None` while they mean nothing.
fn shape_of(lead: &[u8]) -> Result<Option<Shape>, Trouble> {
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || b"\xef\xbb\xbf\0".contains(byte);
    Ok(match lead.iter().find(|byte| !is_blank(byte)) {
        None => None,
        Some(b'{' | b'[') => Some(Shape::Whole(Vec::new())),
        // A page for people, at an address that is not an API.
        Some(b'<') => return Err(Trouble::Malformed),
        Some(_) => Some(Shape::Events(SseReader::default())),
    })
}

impl std::fmt::Debug for ResponseReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ResponseReader({} bytes, {:?})", self.n_bytes, self.answer)
    }
}

#[cfg(test)]
mod tests;
