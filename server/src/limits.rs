//! Every bound of the server that an operator may change, on one page, each with its reason.

use serde::{Deserialize, Serialize};

/// The `[limits]` section of the configuration. Missing keys take the defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Messages per minute of one account, sustained. Fast typists reach 30.
    pub messages_per_minute: u32,
    /// Messages one account may send at once: a pasted list.
    pub messages_burst: u32,
    /// Messages per minute of one agent account.
    pub agent_messages_per_minute: u32,
    /// Messages per minute in one room: more is unreadable.
    pub room_messages_per_minute: u32,
    /// Commits per hour of one account; rotations that the sender rule forces do not count.
    pub commits_per_hour: u32,
    /// Invites per day of one account.
    pub invites_per_day: u32,
    /// Lookups of handles per hour of one account: slows enumeration.
    pub lookups_per_hour: u32,
    /// Key requests per minute of one device.
    pub key_asks_per_minute: u32,
    /// Failed logins per minute of one network prefix before it is ignored for a minute.
    pub failed_logins_per_minute: u32,
    /// Handshakes per second of one network prefix, sustained.
    pub handshakes_per_second: u32,
    /// Handshakes of one network prefix at once: an office after a power cut.
    pub handshakes_burst: u32,
    /// Handshakes under way in the whole server.
    pub handshakes_max: u32,
    /// Connections in all.
    pub connections_max: u32,
    /// Connections of one address: offices share one.
    pub connections_per_address_max: u32,
    /// Connections of one account.
    pub connections_per_account_max: u32,
    /// Entries one session's outbox may hold before events are dropped and pulled later.
    pub outbox_entries_max: usize,
    /// Bytes one session's outbox may hold.
    pub outbox_bytes_max: usize,
    /// Jobs that may wait for the writer.
    pub writer_queue_max: usize,
    /// Jobs that one commit may hold.
    pub batch_max: usize,
    /// Scheduled entries of one account.
    pub schedules_per_account_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            messages_per_minute: 120,
            messages_burst: 40,
            agent_messages_per_minute: 600,
            room_messages_per_minute: 1_200,
            commits_per_hour: 60,
            invites_per_day: 20,
            lookups_per_hour: 30,
            key_asks_per_minute: 10,
            failed_logins_per_minute: 10,
            handshakes_per_second: 5,
            handshakes_burst: 20,
            handshakes_max: 256,
            connections_max: 20_000,
            connections_per_address_max: 1_024,
            connections_per_account_max: 16,
            outbox_entries_max: 256,
            outbox_bytes_max: 256 * 1024,
            writer_queue_max: 4_096,
            batch_max: 256,
            schedules_per_account_max: 1_000,
        }
    }
}
