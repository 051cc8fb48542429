//! Server-sent events, read from bytes that come in any pieces.
//!
//! Pure: bytes in, events out. Lines end with LF, CRLF or CR, a blank line ends an event, and only
//! whole lines are decoded, so no character is torn between two pieces. Of the fields, `data` and
//! `event` mean something here; `id` and `retry` belong to reconnecting, which an answer never does.

use crate::limits::{EVENT_DATA_LEN_MAX, EVENT_LINE_LEN_MAX};

/// One event of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// The last `event` field; empty when there was none.
    pub name: String,
    /// The `data` fields, joined by line feeds.
    pub data: String,
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// A line without an end.
    #[error("a line of an event stream exceeds {EVENT_LINE_LEN_MAX} bytes")]
    Line,
    /// An event without an end.
    #[error("an event of a stream exceeds {EVENT_DATA_LEN_MAX} bytes")]
    Event,
}

/// Puts events together from the bytes of a stream.
#[derive(Debug, Default)]
pub struct SseReader {
    /// The bytes of the line under way.
    line: Vec<u8>,
    /// The event under way, and whether it has any data yet.
    event: SseEvent,
    has_data: bool,
    /// The last byte was a CR: an LF now belongs to the same line end.
    was_cr: bool,
    /// The first line is over: a byte order mark means nothing any more.
    is_past_first_line: bool,
}

impl SseReader {
    /// Takes the next bytes and gives the events they complete, in order.
    ///
    /// # Errors
    ///
    /// [`SseError`] when a line or an event outgrows its bound; the stream is of no use then.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<SseEvent>, SseError> {
        let mut events = Vec::new();
        while let Some((&first, behind)) = bytes.split_first() {
            if std::mem::take(&mut self.was_cr) && first == b'\n' {
                bytes = behind;
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if EVENT_LINE_LEN_MAX < self.line.len() + part.len() {
                return Err(SseError::Line);
            }
            self.line.extend_from_slice(part);
            let Some((&line_end, behind)) = rest.split_first() else { break };
            self.was_cr = line_end == b'\r';
            bytes = behind;
            events.extend(self.end_line()?);
        }
        Ok(events)
    }

    /// The event under way when the body ended, if it has data: its last line or its blank line
    /// may be missing. Some servers end like that; whether it is whole, its content must show.
    pub fn finish(mut self) -> Option<SseEvent> {
        if !self.line.is_empty() {
            // Past its bound there is nothing left to save.
            self.end_line().ok()?;
        }
        self.take_event()
    }

    fn end_line(&mut self) -> Result<Option<SseEvent>, SseError> {
        let mut bytes = self.line.as_slice();
        if !std::mem::replace(&mut self.is_past_first_line, true) {
            bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        }
        if bytes.is_empty() {
            self.line.clear();
            return Ok(self.take_event());
        }
        let line = String::from_utf8_lossy(bytes);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => append(&mut self.event.data, &mut self.has_data, value)?,
            "event" => value.clone_into(&mut self.event.name),
            // Older servers of llama.cpp report an error in a field of this name.
            "error" => {
                field.clone_into(&mut self.event.name);
                append(&mut self.event.data, &mut self.has_data, value)?;
            }
            // Comments, which keep the connection alive, have an empty field name.
            _ => {}
        }
        self.line.clear();
        Ok(None)
    }

    fn take_event(&mut self) -> Option<SseEvent> {
        let event = std::mem::take(&mut self.event);
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

fn append(data: &mut String, has_data: &mut bool, value: &str) -> Result<(), SseError> {
    if EVENT_DATA_LEN_MAX < data.len() + value.len() + 1 {
        return Err(SseError::Event);
    }
    if std::mem::replace(has_data, true) {
        data.push('\n');
    }
    data.push_str(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every kind of line and line end, a byte order mark, characters of two to four bytes, invalid
    /// UTF-8, and an end without a blank line.
    const SAMPLE: &[u8] = b"\xef\xbb\xbf: hello\n\ndata: one\n\ndata:two\r\ndata:  three\r\n\r\n\
        event: error\rdata: \xc3\xa4\xf0\x9f\x98\x80\r\rid: 7\nretry: 10\ndata\n\n: alive\n\
        data: \xff\0\x1b\n\nevent: nothing\n\nerror: bad\n\nodd line\ndata: last";

    fn event(name: &str, data: &str) -> SseEvent {
        SseEvent { name: name.into(), data: data.into() }
    }

    fn events_of(pieces: &[&[u8]]) -> Vec<SseEvent> {
        let mut reader = SseReader::default();
        let mut events: Vec<_> =
            pieces.iter().flat_map(|piece| reader.feed(piece).unwrap()).collect();
        events.extend(reader.finish());
        events
    }

    #[test]
    fn every_kind_of_line_is_understood() {
        let expected = [
            event("", "one"),
            event("", "two\n three"),
            event("error", "ä😀"),
            event("", ""),
            event("", "\u{fffd}\0\u{1b}"),
            event("error", "bad"),
            event("", "last"),
        ];
        assert_eq!(events_of(&[SAMPLE]), expected);
    }

    #[test]
    fn an_event_is_there_with_its_blank_line_and_not_a_byte_later() {
        let mut reader = SseReader::default();
        assert_eq!(reader.feed(b"data: a\r\n").unwrap(), []);
        assert_eq!(reader.feed(b"\r").unwrap(), [event("", "a")]);
        assert_eq!(reader.feed(b"\n").unwrap(), []);
        assert_eq!(reader.finish(), None);
    }

    #[test]
    fn a_byte_order_mark_means_something_only_at_the_very_start() {
        assert_eq!(events_of(&[b"data: a\n\n\xef\xbb\xbfdata: b\n\n"]), [event("", "a")]);
    }

    #[test]
    fn a_line_without_an_end_is_refused_before_it_is_stored() {
        let mut reader = SseReader::default();
        let mebibyte = vec![b'x'; EVENT_LINE_LEN_MAX];
        assert_eq!(reader.feed(&mebibyte), Ok(vec![]));
        assert_eq!(reader.feed(b"x"), Err(SseError::Line));
        assert!(reader.line.len() <= EVENT_LINE_LEN_MAX);
    }

    #[test]
    fn an_event_without_an_end_is_refused() {
        let mut reader = SseReader::default();
        let line = format!("data: {}\n", "x".repeat(1_000));
        let refused = (0..2_000).find_map(|_| reader.feed(line.as_bytes()).err());
        assert_eq!(refused, Some(SseError::Event));
        // Empty lines of data count as well.
        let mut reader = SseReader::default();
        let many = "data\n".repeat(EVENT_DATA_LEN_MAX + 2);
        assert_eq!(reader.feed(many.as_bytes()), Err(SseError::Event));
    }

    proptest! {
        /// Where the network cuts a stream never changes what it says.
        #[test]
        fn cuts_are_invisible(mut cuts in prop::collection::vec(0..=SAMPLE.len(), 0..20)) {
            cuts.sort_unstable();
            let (mut pieces, mut from) = (Vec::new(), 0);
            for to in cuts.into_iter().chain([SAMPLE.len()]) {
                pieces.push(&SAMPLE[from..to]);
                from = to;
            }
            prop_assert_eq!(events_of(&pieces), events_of(&[SAMPLE]));
        }

        #[test]
        fn no_bytes_are_too_odd_to_be_read(bytes: Vec<u8>) {
            let mut reader = SseReader::default();
            prop_assert!(reader.feed(&bytes).is_ok());
            reader.finish();
        }
    }
}
