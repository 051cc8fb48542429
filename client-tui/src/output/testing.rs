//! Values for the tests of faces: rooms, entries and marks that only differ where a story says so.

use mathia_protocol::client::{EntryContent, EntryView, MarkCounts, RoomView, SealedBy};
use mathia_protocol::crypto::commit::{AgentScope, HistoryRule, Role, RoomKind, RoomMode};
use mathia_protocol::crypto::content::Content;
use mathia_protocol::id::{AccountId, DeviceId, Epoch, Hash, RoomId, Seq, TimeMs};
use mathia_protocol::wire::MarkStep;

/// 2026-11-20T17:00:00Z.
pub(crate) const NOON: TimeMs = TimeMs(1_795_194_000_000);

pub(crate) fn room_named(name: &str, id: u8) -> RoomView {
    RoomView {
        room: RoomId([id; 32]),
        kind: RoomKind::Group,
        mode: RoomMode::E2ee,
        name: name.to_owned(),
        topic: String::new(),
        members: Vec::new(),
        role: Role::Member,
        history: HistoryRule::SinceJoin,
        agent_scope: AgentScope::None,
        epoch: Epoch(1),
        room_code: "27410938221234567890".to_owned(),
        head: Seq(12),
        head_hash: Hash([0xCC; 32]),
        announced: Seq(12),
        read_upto: Seq(10),
        n_unread: 2,
        n_mentions: 1,
        active_at: NOON,
        sending_stopped: None,
        marks: marks(2, 0, 0),
    }
}

pub(crate) fn said(seq: u64, handle: &str, text: &str) -> EntryView {
    EntryView {
        room: RoomId([0xAA; 32]),
        seq: Seq(seq),
        time: NOON,
        author: AccountId([1; 32]),
        handle: handle.to_owned(),
        device: DeviceId([2; 16]),
        is_mine: handle == "ann",
        is_countable: true,
        is_mention: false,
        is_shown: false,
        sealed: SealedBy::Epoch(Epoch(1)),
        content: EntryContent::Said(Content::Text(text.to_owned())),
        reactions: Vec::new(),
    }
}

/// Marks of `n_others`, where so many accounts (oneself included) have everything up to 12.
pub(crate) fn marks(n_others: u32, n_delivered: u32, n_read: u32) -> MarkCounts {
    let step = |n_accounts| MarkStep { upto: Seq(12), n_accounts };
    MarkCounts { n_others, delivered: vec![step(n_delivered)], read: vec![step(n_read)] }
}
