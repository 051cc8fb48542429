//! What people do with an assistant: ask, watch the answer come, stop it.

use mathia_protocol::client::{
    ClientEvent, Command, Done, EntryContent, EntryView, Envelope, NewAsk, StreamView,
};
use mathia_protocol::crypto::content::{Answer, Content};
use mathia_protocol::id::{RoomId, Seq};

use crate::cast::{Person, TestResult, now};

impl Person {
    /// Looks at what a question would send, and to whom.
    pub(crate) async fn looks(&self, room: RoomId, text: &str) -> TestResult<Envelope> {
        let (text, quoted, n_context) = (text.to_owned(), None, 0);
        match self.does(Command::Envelope { room, text, quoted, n_context }).await? {
            Done::Envelope(envelope) => Ok(*envelope),
            other => Err(format!("no envelope: {other:?}").into()),
        }
    }

    /// Agrees to the envelope and asks; returns the place of the question.
    pub(crate) async fn asks(&mut self, room: RoomId, text: &str) -> TestResult<Seq> {
        self.asks_with(room, text, &[], |_| {}).await
    }

    /// The same, showing these messages, and with anything else about the question changed.
    pub(crate) async fn asks_with(
        &mut self,
        room: RoomId,
        text: &str,
        attached: &[Seq],
        change: impl FnOnce(&mut NewAsk),
    ) -> TestResult<Seq> {
        let promise = self.looks(room, text).await?.promise;
        let (text, attached, again) = (text.to_owned(), attached.to_vec(), None);
        let mut new = NewAsk { room, text, promise, attached, again, tag: None };
        change(&mut new);
        let Done::Queued { local_id } = self.does(Command::Ask(new)).await? else {
            return Err("not queued".into());
        };
        self.accepted(local_id).await
    }

    /// Waits for the answer to a question.
    pub(crate) async fn is_answered(&mut self, room: RoomId, ask: Seq) -> TestResult<Answer> {
        self.wait_for(|event| match event {
            ClientEvent::Entry(entry) if entry.room == room => {
                answer_of(&entry).filter(|answer| answer.ask == ask)
            }
            _ => None,
        })
        .await
    }

    /// Waits until a stream is as wanted.
    pub(crate) async fn watches(
        &mut self,
        ask: Seq,
        is_wanted: impl Fn(&StreamView) -> bool,
    ) -> TestResult<StreamView> {
        self.wait_for(|event| match event {
            ClientEvent::Stream(view) if view.ask == ask && is_wanted(&view) => Some(*view),
            _ => None,
        })
        .await
    }

    /// Everything in a room, as it is shown.
    pub(crate) async fn timeline(&self, room: RoomId) -> TestResult<Vec<EntryView>> {
        match self.does(Command::Timeline { room, before: Seq(0), count: 1_000 }).await? {
            Done::Timeline { entries, .. } => Ok(entries),
            other => Err(format!("no timeline: {other:?}").into()),
        }
    }

    /// All answers in a room to a question.
    pub(crate) async fn answers_to(&self, room: RoomId, ask: Seq) -> TestResult<Vec<Answer>> {
        let entries = self.timeline(room).await?;
        Ok(entries.iter().filter_map(answer_of).filter(|answer| answer.ask == ask).collect())
    }

    /// Says what no honest client would, with this person's own keys.
    pub(crate) async fn smuggles(&mut self, room: RoomId, content: &Content) -> TestResult<Seq> {
        let local_id = self.replica.queue(room, content, now())?;
        self.accepted(local_id).await
    }
}

/// The answer that an entry is.
pub(crate) fn answer_of(entry: &EntryView) -> Option<Answer> {
    match &entry.content {
        EntryContent::Said(Content::Answer(answer)) => Some((**answer).clone()),
        _ => None,
    }
}
