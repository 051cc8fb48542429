//! The contract of [`Replica`] as stories that every backend must pass, and the samples they use.
//!
//! Owns no test: each backend runs all stories over itself with `contract!`.

pub(in crate::client) mod forgetting;
pub(in crate::client) mod indexes;
pub(in crate::client) mod logs;
pub(in crate::client) mod outbox;
pub(in crate::client) mod people;

use crate::client::StoredContent;
use crate::client::record::{
    Batch, DeviceLane, EntryRecord, OutboxRow, RoomFacts, RowState, SealedMessage,
};
use crate::crypto::content::Content;
use crate::id::{AccountId, DeviceId, Hash, RoomId, RoomNumber, Seq, TimeMs};
use crate::wire::EntryBody;

/// Runs every story; `$run` gives a story an empty replica.
macro_rules! contract {
    ($run:path) => {
        contract! { $run;
            logs: rooms_keep_what_is_known_piece_by_piece,
            logs: pages_come_in_rising_order_from_either_end,
            logs: writing_an_entry_twice_changes_nothing_and_the_cursor_never_goes_back,
            logs: a_room_is_loaded_in_one_step,
            logs: writes_to_a_room_that_is_not_kept_are_skipped,
            indexes: what_could_not_be_read_becomes_readable,
            indexes: what_belongs_to_an_entry_is_found_by_it,
            indexes: reactions_are_counted_at_their_message,
            indexes: what_a_question_showed_is_marked_once,
            indexes: older_indexes_are_filled_again,
            outbox: a_text_goes_out_once_and_in_order,
            outbox: a_new_epoch_seals_all_sent_texts_anew_or_none,
            outbox: what_fails_frees_its_counter_when_the_rest_is_sealed_anew,
            outbox: only_what_was_never_sealed_can_be_taken_back,
            outbox: what_changed_is_read_without_the_rest,
            outbox: settled_rows_are_forgotten_after_the_next_thousand,
            people: epoch_secrets_stay_as_they_were_first_proven_until_wiped,
            people: people_and_their_chains_are_kept,
            people: small_things_are_kept,
            people: an_agent_finds_what_it_began,
            forgetting: an_expired_entry_leaves_only_its_hash,
            forgetting: nothing_of_an_expired_entry_is_in_any_table,
            forgetting: nothing_of_a_forgotten_room_is_in_any_table,
            outbox: one_process_drains_at_a_time,
            outbox: every_change_moves_the_stamp,
        }
    };
    ($run:path; $($part:ident: $story:ident,)+) => {
        $(
            #[test]
            fn $story() {
                $run($crate::client::replica::contract::$part::$story);
            }
        )+
    };
}
pub(in crate::client) use contract;

pub(in crate::client) const TEAM: RoomId = RoomId([0xAA; 32]);
pub(super) const OPS: RoomId = RoomId([0xBB; 32]);
pub(in crate::client) const CANARY: &str = "the heron lands at dawn";

pub(in crate::client) fn says(text: &str) -> Content {
    Content::from_text(text).unwrap()
}

pub(in crate::client) fn facts(name: &str) -> RoomFacts {
    RoomFacts {
        number: Some(RoomNumber(7)),
        name: name.to_owned(),
        topic: "topic".to_owned(),
        ..RoomFacts::unknown()
    }
}

pub(in crate::client) fn entry(seq: u64, text: &str) -> EntryRecord {
    EntryRecord {
        seq: Seq(seq),
        time: TimeMs(seq * 10),
        body: EntryBody::Whole(text.as_bytes().to_vec()),
        hash: Hash([u8::try_from(seq).unwrap(); 32]),
        author: AccountId([1; 32]),
        device: DeviceId([2; 16]),
        content: StoredContent::Said(Content::Text(text.to_owned())),
        is_mention: text.contains('@'),
        is_shown: false,
        reactions: Vec::new(),
    }
}

pub(in crate::client) fn batch(entries: Vec<EntryRecord>) -> Batch {
    let cursor = entries.last().map(|last| (last.seq, last.hash));
    Batch { entries, commits: Vec::new(), cursor, lanes: Vec::new() }
}

pub(super) fn seqs(entries: &[EntryRecord]) -> Vec<u64> {
    entries.iter().map(|entry| entry.seq.0).collect()
}

/// Seals as the engine does: the next counter, and bytes that name it.
#[expect(clippy::unnecessary_wraps, reason = "the engine's sealer may decline")]
pub(in crate::client) fn sealing(lane: &DeviceLane, row: &OutboxRow) -> Option<SealedMessage> {
    let last = lane.last.next();
    let lane = DeviceLane { last, prev_own: [u8::try_from(last.0).unwrap(); 16] };
    Some(SealedMessage { entry: format!("{} {}", last.0, row.text()).into_bytes(), lane })
}

pub(in crate::client) fn counters(rows: &[OutboxRow]) -> Vec<u64> {
    rows.iter()
        .filter_map(|row| match row.state {
            RowState::Sent { counter, .. } => Some(counter.0),
            _ => None,
        })
        .collect()
}
