//! Long reads on streams of their own, a page at a time.

use std::collections::HashMap;

use quinn::Connection;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::super::connect::{FrameReader, FrameWriter, StreamError};
use super::super::core::{BulkFailure, BulkId, Input, Page};
use super::link::{CALL_TIMEOUT, LinkInput};
use crate::wire::{BulkReply, BulkRequest};

/// The reads that are open.
#[derive(Debug, Default)]
pub(super) struct Bulks {
    open: HashMap<BulkId, (mpsc::Sender<()>, AbortHandle)>,
}

/// Where bulk reads come from, and where their pages go.
#[derive(Debug, Clone)]
pub(super) struct BulkSource {
    pub(super) connection: Connection,
    pub(super) generation: u64,
    pub(super) session: mpsc::Sender<LinkInput>,
}

impl Bulks {
    /// Begins a read.
    pub(super) fn open(&mut self, id: BulkId, request: BulkRequest, source: BulkSource) {
        // One page is wanted before the next is asked for.
        let (next, wanted) = mpsc::channel(1);
        let task = tokio::task::spawn_local(read(id, request, source, wanted));
        self.open.retain(|_, (_, task)| !task.is_finished());
        self.open.insert(id, (next, task.abort_handle()));
    }

    /// Asks for the next page.
    pub(super) fn next_page(&self, id: BulkId) {
        if let Some((next, _)) = self.open.get(&id) {
            // A full queue says that the next page is on its way already.
            if next.try_send(()).is_err() {
                tracing::trace!(?id, "the next page is on its way");
            }
        }
    }

    /// Gives a read up.
    pub(super) fn cancel(&mut self, id: BulkId) {
        if let Some((_, task)) = self.open.remove(&id) {
            task.abort();
        }
    }

    /// Gives all reads up.
    pub(super) fn cancel_all(&mut self) {
        for (_, (_, task)) in self.open.drain() {
            task.abort();
        }
    }
}

async fn read(
    id: BulkId,
    request: BulkRequest,
    source: BulkSource,
    mut wanted: mpsc::Receiver<()>,
) {
    let BulkSource { connection, generation, session } = source;
    let mut reader = match open(&connection, &request).await {
        Ok(reader) => reader,
        Err(error) => {
            let input = Input::Page(id, Err(BulkFailure::Lost(error.to_string())));
            drop(session.send(LinkInput { generation, input, link: None }).await);
            return;
        }
    };
    loop {
        let page = match reader.next_in_time().await {
            Ok(BulkReply::Page { hash_before, entries, is_last }) => {
                Ok(Some(Page { hash_before, entries, is_last }))
            }
            Ok(BulkReply::Fault(fault)) => Err(BulkFailure::Fault(fault)),
            Err(error) => Err(BulkFailure::Lost(error.to_string())),
        };
        let is_over = !matches!(&page, Ok(Some(page)) if !page.is_last);
        let input = Input::Page(id, page);
        let is_sent = session.send(LinkInput { generation, input, link: None }).await.is_ok();
        if is_over || !is_sent || wanted.recv().await.is_none() {
            return;
        }
    }
}

async fn open(connection: &Connection, request: &BulkRequest) -> Result<FrameReader, StreamError> {
    let lost = |error: quinn::ConnectionError| StreamError::Lost(error.to_string());
    let opening = timeout(CALL_TIMEOUT, connection.open_bi());
    let (send, receive) = opening.await.map_err(|_| StreamError::TimedOut)?.map_err(lost)?;
    let mut writer = FrameWriter::new(send);
    writer.write(request).await?;
    writer.finish();
    Ok(FrameReader::new(receive))
}
