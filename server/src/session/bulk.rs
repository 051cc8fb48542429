//! Bulk streams: long reads, each on a stream and in a task of its own, never in a message's way.
//!
//! Owns how pages leave: one after the other, as the peer takes them, a few at most per session on
//! the way. A reset by the peer is noticed with the next page.

use std::sync::Arc;

use bytes::Bytes;
use mathia_protocol::limits::{FRAME_LEN_MAX_OPENING, FRAME_TIMEOUT, STREAM_VERSION};
use mathia_protocol::wire::{BulkReply, BulkRequest, Fault, decode, encode_frame};
use quinn::{RecvStream, SendStream, VarInt};
use tokio::time::timeout;

use super::ConnectionEnd;
use super::context::SessionContext;
use super::frames::FrameReader;
use super::session_loop::WRITE_TIMEOUT;
use crate::refusal::Refusal;
use crate::rooms::BulkRead;
use crate::store::Read;

const VERSION_BYTE: Bytes = Bytes::from_static(&[STREAM_VERSION]);

/// Answers one bulk stream in a task of its own.
pub(super) fn spawn(context: Arc<SessionContext>, mut send: SendStream, recv: RecvStream) {
    let tasks = context.shared.tasks.clone();
    tasks.spawn(async move {
        let result = serve(&context, &mut send, FrameReader::new(recv)).await;
        if let Err(ending) = result {
            // Does nothing on a stream that is gone already.
            drop(send.reset(VarInt::from_u32(ending.close_code().number())));
        }
    });
}

async fn serve(
    context: &Arc<SessionContext>,
    send: &mut SendStream,
    mut reader: FrameReader,
) -> Result<(), ConnectionEnd> {
    let body = timeout(FRAME_TIMEOUT, reader.next(FRAME_LEN_MAX_OPENING)).await;
    let body = body.map_err(|_| ConnectionEnd::TooSlow)??.ok_or(ConnectionEnd::PeerLeft)?;
    let request: BulkRequest = decode(&body).map_err(|_| ConnectionEnd::Malformed)?;
    let mut progress = Progress::Asked(request);
    let mut version = Some(VERSION_BYTE);
    loop {
        let page = read_page(context, progress).await;
        let (frame, next) = match page {
            Ok(Some(Page { frame, next })) => (frame, next),
            Ok(None) => break,
            Err(fault) => (encode_frame(&BulkReply::Fault(fault)), None),
        };
        let mut chunks = [version.take().unwrap_or_default(), frame];
        let written = timeout(WRITE_TIMEOUT, send.write_all_chunks(&mut chunks)).await;
        written.map_err(|_| ConnectionEnd::TooSlow)??;
        match next {
            Some(read) => progress = Progress::Reading(read),
            None => break,
        }
    }
    send.finish().map_err(|_| ConnectionEnd::PeerLeft)
}

/// How far a bulk read has come.
enum Progress {
    Asked(BulkRequest),
    Reading(Box<BulkRead>),
}

struct Page {
    frame: Bytes,
    /// What follows, unless this was the last.
    next: Option<Box<BulkRead>>,
}

/// Reads and encodes one page on a reader's thread.
async fn read_page(
    context: &Arc<SessionContext>,
    progress: Progress,
) -> Result<Option<Page>, Fault> {
    // The semaphore is never closed; without it there would be nothing to wait for.
    let _place = context.pages.acquire().await.map_err(|_| super::BUSY)?;
    let asker = Arc::clone(context);
    let page = context.shared.readers.read(move |read| next_page(&asker, read, progress));
    page.await.map_err(|refusal| context.shared.fault_of(refusal))
}

fn next_page(
    context: &SessionContext,
    read: &dyn Read,
    progress: Progress,
) -> Result<Option<Page>, Refusal> {
    let mut bulk = match progress {
        Progress::Asked(request) => {
            Box::new(context.shared.reads.bulk(read, context.state.caller.account, &request)?)
        }
        Progress::Reading(bulk) => bulk,
    };
    let Some(reply) = bulk.next_page(read)? else { return Ok(None) };
    let is_last = matches!(reply, BulkReply::Page { is_last: true, .. } | BulkReply::Fault(_));
    let frame = encode_frame(&reply);
    Ok(Some(Page { frame, next: (!is_last).then_some(bulk) }))
}
