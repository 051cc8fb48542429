//! What an agent keeps for its next start: answers it began, and how far each room is settled.

use super::key_value::{RowsMut, Span, Table};
use super::rooms::{self, Piece};
use super::write::Write;
use super::{Replica, Stored, key, row};
use crate::client::record::UnfinishedAnswer;
use crate::id::{RoomId, Seq};

pub(super) fn put(rows: &mut dyn RowsMut, answer: &UnfinishedAnswer) -> Stored<()> {
    let key = key::in_room(answer.room, answer.ask.0);
    rows.put(Table::UnfinishedAnswers, &key, &row::encode_answer(answer))
}

pub(super) fn forget(rows: &mut dyn RowsMut, room: RoomId, ask: Seq) -> Stored<()> {
    rows.delete(Table::UnfinishedAnswers, &key::in_room(room, ask.0))?;
    Ok(())
}

impl Replica {
    /// Answers that were begun and not ended.
    pub fn unfinished_answers(&self) -> Stored<Vec<UnfinishedAnswer>> {
        let rows = self.read(|rows| rows.scan(Table::UnfinishedAnswers, &Span::all()))?;
        rows.iter().map(|(key, value)| row::decode_answer(key, value)).collect()
    }

    /// Notes how far an answer is.
    pub fn put_unfinished_answer(&self, answer: &UnfinishedAnswer) -> Stored<()> {
        self.commit_one(Write::UnfinishedAnswer(answer.clone())).map(drop)
    }

    /// Forgets an answer that has ended.
    pub fn forget_unfinished_answer(&self, room: RoomId, ask: Seq) -> Stored<()> {
        self.commit_one(Write::ForgetUnfinishedAnswer { room, ask }).map(drop)
    }

    /// No question up to here needs anything any more.
    pub fn asks_settled_upto(&self, room: RoomId) -> Stored<Seq> {
        Ok(self.read(|rows| rooms::get(rows, room, Piece::AsksSettledUpto))?.unwrap_or_default())
    }

    /// Notes up to where no question needs anything.
    pub fn put_asks_settled_upto(&self, room: RoomId, upto: Seq) -> Stored<()> {
        self.commit_one(Write::AsksSettledUpto { room, upto }).map(drop)
    }
}
