//! The facts of a room as one sealed value.
//!
//! Name, topic and the cause of a stop say something; sealing all facts together keeps one format.

use crate::client::RoomFacts;
use crate::crypto::ce::{CeError, Reader, Writer};
use crate::crypto::commit::{RoomKind, RoomMode};
use crate::id::{RoomNumber, Seq, TimeMs, WorkspaceId};
use crate::wire::MarkBucket;

/// The layout written now. Another number is another client's file.
const VERSION: u8 = 1;
/// Longest text in the facts, in bytes: far above names, topics and causes.
const TEXT_LEN_MAX: usize = 64 * 1024;
/// Most steps of a mark histogram: one per member of the largest room, and some.
const STEPS_MAX: usize = 10_000;

pub(super) fn encode(facts: &RoomFacts) -> Vec<u8> {
    let mut w = Writer::new();
    w.u8(VERSION);
    w.option(facts.number, |w, number| {
        w.u32(number.0);
    });
    w.fixed(&facts.workspace.0)
        .u8(facts.kind.to_byte())
        .u8(facts.mode.to_byte())
        .bytes(facts.name.as_bytes())
        .bytes(facts.topic.as_bytes())
        .u8(u8::from(facts.is_member))
        .u64(facts.announced.0)
        .u64(facts.read_upto.0)
        .u64(facts.delivered_upto.0)
        .u32(facts.n_unread)
        .u64(facts.active_at.0)
        .u64(facts.held_from.0);
    for steps in [&facts.delivered, &facts.read] {
        w.count(steps.len());
        for step in steps {
            w.u64(step.upto.0).u32(step.n_accounts);
        }
    }
    w.option(facts.stopped.as_ref(), |w, cause| {
        w.bytes(cause.as_bytes());
    });
    w.finish()
}

pub(super) fn decode(bytes: &[u8]) -> Result<RoomFacts, CeError> {
    let mut r = Reader::new(bytes);
    let version = r.u8()?;
    if version != VERSION {
        return Err(CeError::Unknown { what: "layout of room facts", value: version });
    }
    let number = r.option(Reader::u32)?.map(RoomNumber);
    let workspace = WorkspaceId(r.array()?);
    let kind = RoomKind::from_byte(r.u8()?)?;
    let mode = RoomMode::from_byte(r.u8()?)?;
    let name = r.text(TEXT_LEN_MAX, "room name")?.to_owned();
    let topic = r.text(TEXT_LEN_MAX, "topic")?.to_owned();
    let is_member = r.u8()? != 0;
    let announced = Seq(r.u64()?);
    let read_upto = Seq(r.u64()?);
    let delivered_upto = Seq(r.u64()?);
    let n_unread = r.u32()?;
    let active_at = TimeMs(r.u64()?);
    let held_from = Seq(r.u64()?);
    let delivered = steps(&mut r)?;
    let read = steps(&mut r)?;
    let stopped = r.option(|r| Ok(r.text(TEXT_LEN_MAX, "cause")?.to_owned()))?;
    r.finish()?;
    Ok(RoomFacts {
        number,
        workspace,
        kind,
        mode,
        name,
        topic,
        is_member,
        announced,
        read_upto,
        delivered_upto,
        n_unread,
        active_at,
        delivered,
        read,
        held_from,
        stopped,
    })
}

fn steps(r: &mut Reader<'_>) -> Result<Vec<MarkBucket>, CeError> {
    let n_steps = r.count(STEPS_MAX)?;
    (0..n_steps).map(|_| Ok(MarkBucket { upto: Seq(r.u64()?), n_accounts: r.u32()? })).collect()
}
