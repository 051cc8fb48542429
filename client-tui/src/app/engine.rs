//! The real engine and replica, as the interactive client's session sees them.

use std::sync::Arc;

use mathia_protocol::client::{
    Client, ClientEvent, Command, CommandError, Done, Events, Replica, StorageError,
};
use mathia_protocol::id::RoomId;

use super::session::{Drafts, Engine, EventSource, Pending};

impl Engine for Client {
    fn command(&self, command: Command) -> Pending<'static, Result<Done, CommandError>> {
        let client = self.clone();
        Box::pin(async move { client.run(command).await })
    }
}

impl EventSource for Events {
    fn next(&mut self) -> Pending<'_, Option<ClientEvent>> {
        Box::pin(Self::next(self))
    }

    fn try_next(&mut self) -> Option<ClientEvent> {
        Self::try_next(self)
    }
}

/// Keeps drafts in a replica, where they are sealed with everything else.
#[derive(Debug)]
pub struct ReplicaDrafts(pub Arc<dyn Replica>);

impl ReplicaDrafts {
    /// What was being written when the client last ended.
    ///
    /// # Errors
    ///
    /// [`StorageError`] of the replica; starting without drafts loses none of them.
    pub fn load(&self) -> Result<Vec<(RoomId, String)>, StorageError> {
        let mut drafts = Vec::new();
        for record in self.0.rooms()? {
            let text = self.0.draft(record.room)?;
            if !text.is_empty() {
                drafts.push((record.room, text));
            }
        }
        Ok(drafts)
    }
}

impl Drafts for ReplicaDrafts {
    fn save(&self, room: RoomId, text: String) -> Pending<'static, ()> {
        let replica = Arc::clone(&self.0);
        Box::pin(async move {
            let put = tokio::task::spawn_blocking(move || replica.put_draft(room, &text));
            match put.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "a draft was not saved"),
                Err(error) => tracing::warn!(%error, "saving a draft broke off"),
            }
        })
    }
}
