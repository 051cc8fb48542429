//! Every bound of the server on one page, each with its reason: first its own and those that an
//! operator may change, then those of what the assistant takes from the server of a model.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Answers of the assistant under way at a time; more questions wait their turn.
pub const ANSWERS_UNDER_WAY_MAX: usize = 32;
/// Steps of one mark histogram: enough for the tail of a busy room, and small on the wire.
pub const MARK_BUCKETS_MAX: usize = 8;

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
    /// Entries one session's frame queue may hold before events are dropped and pulled later.
    pub outbox_entries_max: usize,
    /// Bytes one session's frame queue may hold.
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

/// Tokens that one answer may be allowed: the whole of it is one entry that people read.
pub const OUTPUT_TOKENS_MAX: u32 = 32 * 1024;
/// Text that is taken from a provider for one answer, in bytes: the most tokens that can be asked
/// for, at eight bytes each. A server that ignores the asked-for limit is cut off here; what fits
/// an entry is less, and judged by whoever answers.
pub const PROVIDER_TEXT_LEN_MAX: usize = 256 * 1024;
/// Bytes of one streamed response: the most tokens at 2 KiB of JSON each, reasoning included.
pub const ANSWER_STREAM_LEN_MAX: usize = 64 * 1024 * 1024;
/// Bytes of one response that is not streamed: the longest text, escaped, with what surrounds it.
pub const ANSWER_WHOLE_LEN_MAX: usize = 4 * 1024 * 1024;
/// One line of an event stream; an event of one line is the usual case.
pub const EVENT_LINE_LEN_MAX: usize = 1024 * 1024;
/// The data of one event of a stream: one piece of an answer has a few hundred bytes.
pub const EVENT_DATA_LEN_MAX: usize = 1024 * 1024;
/// Body of a refusal that is read for its cause: some servers quote the question.
pub const REFUSAL_BODY_LEN_MAX: usize = 64 * 1024;
/// The body of a refusal has this long to come: its status says the most.
pub const REFUSAL_BODY_TIMEOUT: Duration = Duration::from_secs(2);
/// After the model has said that it is done, the rest (usage, the end) has this long to come.
pub const AFTER_FINISH_TIMEOUT: Duration = Duration::from_secs(3);
/// Between the two tries when nobody listens: a restarting server is back by then, and both tries
/// are over within 5 seconds.
pub const REFUSED_PAUSE: Duration = Duration::from_secs(2);
/// Characters of an upstream's own words in a cause: a sentence or two.
pub const REMOTE_WORDS_LEN_MAX: usize = 240;
/// Characters of a model's name.
pub const MODEL_NAME_LEN_MAX: usize = 128;
/// The longest wait that is believed when an upstream asks for one.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);
/// An API key, in bytes: signed tokens have one or two thousand.
pub const API_KEY_LEN_MAX: usize = 8 * 1024;
/// The operator's own instructions to the model, in bytes; they travel with every question.
pub const SYSTEM_PROMPT_LEN_MAX: usize = 8 * 1024;
/// The longest of the waits that an operator may set for the server of a model.
pub const MODEL_TIMEOUT_MAX: Duration = Duration::from_hours(1);
