//! Frames off one stream.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mathia_protocol::limits::{FRAME_LEN_MAX_COMMIT, STREAM_VERSION};
use mathia_protocol::wire::{Frame, decode, take_frame};
use quinn::RecvStream;
use tokio::time::timeout;

use crate::TestResult;

/// No answer takes so long, but for what the server itself waits for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Frames off a stream, behind its version byte.
pub struct Frames {
    stream: RecvStream,
    buffer: BytesMut,
    has_version: bool,
}

impl Frames {
    /// Reads a stream from its beginning.
    pub fn new(stream: RecvStream) -> Self {
        Self { stream, buffer: BytesMut::new(), has_version: false }
    }

    /// The next frame, waiting no longer than an answer may take; `None` at the end of the stream.
    pub async fn next<T: Frame>(&mut self) -> TestResult<Option<T>> {
        timeout(PATIENCE, self.next_when_it_comes()).await?
    }

    /// The next frame, whenever it comes.
    ///
    /// # Cancel safety
    ///
    /// What was read stays for the next call.
    pub async fn next_when_it_comes<T: Frame>(&mut self) -> TestResult<Option<T>> {
        self.next_body().await?.map(|body| Ok(decode(&body)?)).transpose()
    }

    /// The bytes of the next frame, undecoded, whenever it comes. Cancel-safe as well.
    pub async fn next_body(&mut self) -> TestResult<Option<Bytes>> {
        loop {
            if self.has_version
                && let Some(body) = take_frame(&mut self.buffer, FRAME_LEN_MAX_COMMIT)?
            {
                return Ok(Some(body));
            }
            let Some(chunk) = self.stream.read_chunk(usize::MAX, true).await? else {
                return Ok(None);
            };
            self.buffer.extend_from_slice(&chunk.bytes);
            if !self.has_version && !self.buffer.is_empty() {
                let version = self.buffer.split_to(1)[0];
                if version != STREAM_VERSION {
                    return Err(format!("stream version {version}").into());
                }
                self.has_version = true;
            }
        }
    }
}
