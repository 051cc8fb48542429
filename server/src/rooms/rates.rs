//! How often an account, a device or a room may do what the writer does for them.

use mathia_protocol::crypto::delta::AnswerId;
use mathia_protocol::id::{AccountId, DeviceId};
use mathia_protocol::limits::DELTAS_PER_SECOND;
use mathia_protocol::wire::Fault;

use crate::limits::Limits;
use crate::rate::{KeyedBuckets, Rate, TooOften};
use crate::refusal::Refusal;

/// Keys of one kind of rate: more than the accounts of a large server that are awake at once.
const RATE_KEYS_MAX: usize = 65_536;

/// The rates of all changes.
pub(super) struct WriterRates {
    pub(super) messages: KeyedBuckets<AccountId>,
    pub(super) agent_messages: KeyedBuckets<AccountId>,
    pub(super) room_messages: Rate,
    pub(super) commits: KeyedBuckets<AccountId>,
    pub(super) invites: KeyedBuckets<AccountId>,
    pub(super) key_asks: KeyedBuckets<DeviceId>,
    pub(super) deltas: KeyedBuckets<AnswerId>,
}

impl WriterRates {
    pub(super) fn new(limits: &Limits) -> Self {
        let keyed = |rate| KeyedBuckets::new(rate, RATE_KEYS_MAX);
        let (agents, room) = (limits.agent_messages_per_minute, limits.room_messages_per_minute);
        let per_hour = |count| KeyedBuckets::new(Rate::per_hour(count, count), RATE_KEYS_MAX);
        let per_day = |count| KeyedBuckets::new(Rate::per_day(count, count), RATE_KEYS_MAX);
        let asks = limits.key_asks_per_minute;
        Self {
            messages: keyed(Rate::per_minute(limits.messages_per_minute, limits.messages_burst)),
            agent_messages: keyed(Rate::per_minute(agents, (agents / 10).max(1))),
            // A quarter of a minute at once: several people pasting.
            room_messages: Rate::per_minute(room, (room / 4).max(1)),
            commits: per_hour(limits.commits_per_hour),
            invites: per_day(limits.invites_per_day),
            key_asks: KeyedBuckets::new(Rate::per_minute(asks, asks), RATE_KEYS_MAX),
            // Half a second at once: timers of a busy machine are late and then early.
            deltas: KeyedBuckets::new(
                Rate::per_second(DELTAS_PER_SECOND, DELTAS_PER_SECOND / 2),
                RATE_KEYS_MAX,
            ),
        }
    }
}

impl From<TooOften> for Refusal {
    fn from(error: TooOften) -> Self {
        Fault::RateLimited { retry_after_ms: error.retry_after_ms }.into()
    }
}
