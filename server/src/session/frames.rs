//! Frames off a stream: bytes as they come, cut where frames end, bounded before they are kept.
//!
//! Costs no memory while nothing is under way: whole frames are slices of what the transport hands
//! over, and only the beginning of an unfinished frame is copied.

use bytes::{Buf as _, Bytes, BytesMut};
use mathia_protocol::limits::{FRAME_TIMEOUT, PREFIX_LEN, STREAM_VERSION};
use mathia_protocol::wire::{WireError, take_frame};
use quinn::{ReadError, RecvStream};
use tokio::time::Instant;

/// Bytes taken from the transport at a time.
const CHUNK_LEN_MAX: usize = 64 * 1024;

/// Why no further frame comes. Retrying never helps.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The stream speaks another version.
    #[error("stream of version {0}")]
    Version(u8),
    /// What came is no frame.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The stream or the connection broke.
    #[error("the stream broke")]
    Broken(#[from] ReadError),
}

/// The reading half of a stream.
#[derive(Debug)]
pub(super) struct FrameReader {
    stream: RecvStream,
    cutter: Cutter,
}

impl FrameReader {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, cutter: Cutter::default() }
    }

    /// Takes the next whole frame out of what has arrived; `None` means "fill first".
    pub(super) fn take(&mut self, len_max: usize) -> Result<Option<Bytes>, FrameError> {
        self.cutter.take(len_max)
    }

    /// Waits for more bytes; `false` at the end of the stream.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: bytes stay with the transport until the moment they are kept here.
    pub(super) async fn fill(&mut self) -> Result<bool, FrameError> {
        let Some(chunk) = self.stream.read_chunk(CHUNK_LEN_MAX, true).await? else {
            return Ok(false);
        };
        self.cutter.put(chunk.bytes);
        Ok(true)
    }

    /// The next whole frame; `None` at the end of the stream.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::fill`].
    pub(super) async fn next(&mut self, len_max: usize) -> Result<Option<Bytes>, FrameError> {
        loop {
            if let Some(frame) = self.take(len_max)? {
                return Ok(Some(frame));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// When the frame under way must be whole; `None` while none is under way.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.cutter.deadline
    }
}

/// Cuts bytes into frames; knows no stream.
#[derive(Debug, Default)]
struct Cutter {
    has_version: bool,
    /// Arrived and not looked at, while `partial` is empty.
    fresh: Bytes,
    /// The beginning of a frame.
    partial: BytesMut,
    deadline: Option<Instant>,
}

impl Cutter {
    fn put(&mut self, bytes: Bytes) {
        if self.partial.is_empty() && self.fresh.is_empty() {
            self.fresh = bytes;
        } else {
            self.keep_partial();
            self.partial.extend_from_slice(&bytes);
        }
    }

    fn take(&mut self, len_max: usize) -> Result<Option<Bytes>, FrameError> {
        self.take_version()?;
        let frame = if self.partial.is_empty() {
            self.take_fresh(len_max)?
        } else {
            take_frame(&mut self.partial, len_max)?
        };
        if frame.is_some() {
            self.deadline = None;
            if self.partial.is_empty() {
                self.partial = BytesMut::new();
            }
        } else {
            self.keep_partial();
            if !self.partial.is_empty() && self.deadline.is_none() {
                self.deadline = Some(Instant::now() + FRAME_TIMEOUT);
            }
        }
        Ok(frame)
    }

    fn take_version(&mut self) -> Result<(), FrameError> {
        if !self.has_version && self.fresh.has_remaining() {
            let version = self.fresh.get_u8();
            if version != STREAM_VERSION {
                return Err(FrameError::Version(version));
            }
            self.has_version = true;
        }
        Ok(())
    }

    /// Takes a frame that lies whole in what arrived last, without copying it.
    fn take_fresh(&mut self, len_max: usize) -> Result<Option<Bytes>, FrameError> {
        let Some(prefix) = self.fresh.first_chunk::<PREFIX_LEN>() else { return Ok(None) };
        let len = u32::from_be_bytes(*prefix) as usize;
        if len > len_max {
            return Err(WireError::TooLong { len, max: len_max }.into());
        }
        if self.fresh.len() < PREFIX_LEN + len {
            return Ok(None);
        }
        self.fresh.advance(PREFIX_LEN);
        let frame = self.fresh.split_to(len);
        if self.fresh.is_empty() {
            // Lets go of the transport's buffer.
            self.fresh = Bytes::new();
        }
        Ok(Some(frame))
    }

    fn keep_partial(&mut self) {
        if !self.fresh.is_empty() {
            self.partial.extend_from_slice(&self.fresh);
            self.fresh = Bytes::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEN_MAX: usize = 100;

    fn stream_of(bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![STREAM_VERSION];
        for body in bodies {
            bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
            bytes.extend(body);
        }
        bytes
    }

    fn cut(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut cutter = Cutter::default();
        let mut frames = Vec::new();
        for piece in pieces {
            cutter.put(Bytes::copy_from_slice(piece));
            while let Some(frame) = cutter.take(LEN_MAX)? {
                frames.push(frame.to_vec());
            }
        }
        Ok(frames)
    }

    proptest! {
        /// Where the network cuts the stream never changes what it says.
        #[test]
        fn chunking_is_invisible(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..LEN_MAX), 0..6),
            mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let stream = stream_of(&bodies);
            let mut at: Vec<_> = cuts.drain(..).map(|cut| cut.index(stream.len())).collect();
            at.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for to in at {
                pieces.push(&stream[from..to]);
                from = to;
            }
            pieces.push(&stream[from..]);
            prop_assert_eq!(cut(&pieces).unwrap(), bodies);
        }
    }

    #[test]
    fn another_version_and_an_oversized_length_are_refused_at_once() {
        assert!(matches!(cut(&[b"GET / HTTP/1.1"]), Err(FrameError::Version(b'G'))));
        let oversized = [STREAM_VERSION, 0, 0, 0, 101];
        assert!(matches!(cut(&[&oversized]), Err(FrameError::Wire(_))));
    }

    #[tokio::test]
    async fn a_frame_under_way_has_a_deadline_that_more_bytes_do_not_move() {
        let mut cutter = Cutter::default();
        let stream = stream_of(&[vec![7; 20], vec![8; 20]]);
        cutter.put(Bytes::copy_from_slice(&stream[..1]));
        assert!(cutter.take(LEN_MAX).unwrap().is_none());
        assert_eq!(cutter.deadline, None, "a version alone begins no frame");
        cutter.put(Bytes::copy_from_slice(&stream[1..10]));
        assert!(cutter.take(LEN_MAX).unwrap().is_none());
        let deadline = cutter.deadline;
        assert!(deadline.is_some());
        cutter.put(Bytes::copy_from_slice(&stream[10..20]));
        assert!(cutter.take(LEN_MAX).unwrap().is_none());
        assert_eq!(cutter.deadline, deadline);
        cutter.put(Bytes::copy_from_slice(&stream[20..]));
        assert!(cutter.take(LEN_MAX).unwrap().is_some());
        assert!(cutter.take(LEN_MAX).unwrap().is_some());
        assert!(cutter.take(LEN_MAX).unwrap().is_none());
        assert_eq!((cutter.deadline, cutter.partial.capacity()), (None, 0));
    }
}
