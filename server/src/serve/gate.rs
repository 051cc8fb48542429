//! Who may knock: rates, counts and bans by network address, decided without waiting.
//!
//! A pure core over time and counts; the accept loop acts on its verdicts. Refusing costs
//! cryptography, so strangers that are too many are asked to prove their address or are ignored.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mathia_protocol::id::TimeMs;

use crate::limits::Limits;
use crate::rate::{KeyedBuckets, Rate};

/// Handshakes under way from which on a stranger must prove its address first.
const HANDSHAKES_UNPROVEN_MAX: u32 = 32;
/// Network prefixes whose rates are remembered.
const PREFIXES_MAX: usize = 16_384;
/// How long a prefix with too many failed logins is ignored.
const BAN_MS: u64 = 60_000;

/// What to do with a connection that somebody wants to open.
#[derive(Debug)]
pub(super) enum GateVerdict {
    /// Go on with the handshake.
    Accept(Admission),
    /// Let it prove that it can be reached at its address, and come again.
    Retry,
    /// Do as if nothing had come; it will come again.
    Ignore,
}

/// The gate of one server.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    handshakes_max: u32,
    connections_max: u32,
    connections_per_address_max: u32,
    handshake_rates: KeyedBuckets<Prefix>,
    failed_logins: KeyedBuckets<Prefix>,
    bans: HashMap<Prefix, TimeMs>,
    connections: HashMap<IpAddr, u32>,
    n_connections: u32,
    n_handshakes: u32,
    knocks: AttemptCounts,
}

/// What the gate has decided since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct AttemptCounts {
    pub(super) accepted: u64,
    pub(super) retried: u64,
    pub(super) ignored: u64,
}

/// An IPv4 address, or the first half of an IPv6 address: what one party usually has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Prefix {
    V4(u32),
    V6(u64),
}

impl Prefix {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.to_bits()),
            IpAddr::V6(v6) => Self::V6((v6.to_bits() >> 64) as u64),
        }
    }
}

/// A place among the server's connections; given back when dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    gate: Gate,
    address: IpAddr,
    is_handshaking: bool,
}

impl Gate {
    pub(super) fn new(limits: &Limits) -> Self {
        let handshakes =
            Rate::per_second(limits.handshakes_per_second.max(1), limits.handshakes_burst);
        let failures = limits.failed_logins_per_minute.max(1);
        let state = State {
            handshakes_max: limits.handshakes_max,
            connections_max: limits.connections_max,
            connections_per_address_max: limits.connections_per_address_max,
            handshake_rates: KeyedBuckets::new(handshakes, PREFIXES_MAX),
            failed_logins: KeyedBuckets::new(Rate::per_minute(failures, failures), PREFIXES_MAX),
            bans: HashMap::new(),
            connections: HashMap::new(),
            n_connections: 0,
            n_handshakes: 0,
            knocks: AttemptCounts::default(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Judges a connection attempt; `is_proven` says that the peer was reached at its address.
    pub(super) fn judge(&self, remote: SocketAddr, is_proven: bool, now: TimeMs) -> GateVerdict {
        let address = remote.ip().to_canonical();
        let mut state = self.lock();
        let opinion = state.judge(address, is_proven, now);
        match opinion {
            Opinion::Accept => {
                state.knocks.accepted += 1;
                state.n_connections += 1;
                state.n_handshakes += 1;
                *state.connections.entry(address).or_default() += 1;
                drop(state);
                let gate = self.clone();
                GateVerdict::Accept(Admission { gate, address, is_handshaking: true })
            }
            Opinion::Retry => {
                state.knocks.retried += 1;
                GateVerdict::Retry
            }
            Opinion::Ignore => {
                state.knocks.ignored += 1;
                GateVerdict::Ignore
            }
        }
    }

    /// What was decided since the start.
    pub(super) fn knocks(&self) -> AttemptCounts {
        self.lock().knocks
    }

    /// How many connections there are, logged in or not.
    pub(super) fn n_connections(&self) -> u32 {
        self.lock().n_connections
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counts only; every change is one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A [`GateVerdict`] before it is acted upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opinion {
    Accept,
    Retry,
    Ignore,
}

impl State {
    /// Decides; takes a token of the address's rate if it accepts.
    fn judge(&mut self, address: IpAddr, is_proven: bool, now: TimeMs) -> Opinion {
        let is_full =
            self.n_handshakes >= self.handshakes_max || self.n_connections >= self.connections_max;
        if is_full {
            return Opinion::Ignore;
        }
        let prefix = Prefix::of(address);
        let n_here = self.connections.get(&address).copied().unwrap_or(0);
        let is_unwelcome = self.is_banned(prefix, now)
            || n_here >= self.connections_per_address_max
            || self.handshake_rates.check(&prefix, now).is_err();
        match (is_proven, is_unwelcome) {
            // The address may be forged: its owner must not suffer for it.
            (false, true) => Opinion::Retry,
            (false, false) if self.n_handshakes >= HANDSHAKES_UNPROVEN_MAX => Opinion::Retry,
            (true, true) => Opinion::Ignore,
            (_, false) => match self.handshake_rates.take(prefix, now) {
                Ok(()) => Opinion::Accept,
                Err(_) => Opinion::Ignore,
            },
        }
    }

    fn is_banned(&self, prefix: Prefix, now: TimeMs) -> bool {
        self.bans.get(&prefix).is_some_and(|until| now < *until)
    }
}

impl Admission {
    /// The handshake is done: its place is free for another.
    pub(super) fn end_handshake(&mut self) {
        if std::mem::take(&mut self.is_handshaking) {
            let mut state = self.gate.lock();
            state.n_handshakes = state.n_handshakes.saturating_sub(1);
        }
    }

    /// Counts a failed login; after too many the network prefix is ignored for a minute.
    pub(crate) fn note_failed_login(&self, now: TimeMs) {
        let prefix = Prefix::of(self.address);
        let mut state = self.gate.lock();
        if state.failed_logins.take(prefix, now).is_ok() {
            return;
        }
        if state.bans.len() >= PREFIXES_MAX {
            state.bans.retain(|_, until| now < *until);
        }
        if state.bans.len() < PREFIXES_MAX {
            state.bans.insert(prefix, TimeMs(now.0.saturating_add(BAN_MS)));
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.end_handshake();
        let mut state = self.gate.lock();
        state.n_connections = state.n_connections.saturating_sub(1);
        if let Some(count) = state.connections.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                state.connections.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimeMs = TimeMs(1_700_000_000_000);

    fn gate(change: impl FnOnce(&mut Limits)) -> Gate {
        let mut limits = Limits { handshakes_burst: 1_000, ..Limits::default() };
        change(&mut limits);
        Gate::new(&limits)
    }

    fn home(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 4_433))
    }

    fn accepts(gate: &Gate, from: SocketAddr) -> Option<Admission> {
        match gate.judge(from, true, NOW) {
            GateVerdict::Accept(admission) => Some(admission),
            GateVerdict::Retry | GateVerdict::Ignore => None,
        }
    }

    #[test]
    fn a_flood_from_one_prefix_must_prove_its_address_and_is_then_slowed_down() {
        let gate = gate(|limits| limits.handshakes_burst = 2);
        for _ in 0..2 {
            assert!(accepts(&gate, home(1)).is_some());
        }
        assert!(matches!(gate.judge(home(1), false, NOW), GateVerdict::Retry));
        assert!(matches!(gate.judge(home(1), true, NOW), GateVerdict::Ignore));
        assert!(accepts(&gate, home(2)).is_some(), "others are not concerned");
        let later = TimeMs(NOW.0 + 1_000);
        assert!(matches!(gate.judge(home(1), true, later), GateVerdict::Accept(_)));
    }

    #[test]
    fn neighbors_in_one_ipv6_network_share_a_rate_and_mapped_addresses_are_ipv4() {
        let gate = gate(|limits| limits.handshakes_burst = 1);
        let six = |text: &str| SocketAddr::new(text.parse().unwrap(), 1);
        assert!(accepts(&gate, six("2001:db8:0:1::1")).is_some());
        assert!(accepts(&gate, six("2001:db8:0:1:ffff::2")).is_none());
        assert!(accepts(&gate, six("2001:db8:0:2::1")).is_some());
        assert!(accepts(&gate, home(9)).is_some());
        assert!(accepts(&gate, six("::ffff:192.0.2.9")).is_none());
    }

    #[test]
    fn many_handshakes_at_once_ask_for_proof_and_too_many_are_ignored() {
        let gate = gate(|limits| limits.handshakes_max = HANDSHAKES_UNPROVEN_MAX + 1);
        let mut open: Vec<_> =
            (0..HANDSHAKES_UNPROVEN_MAX).map(|_| accepts(&gate, home(1)).unwrap()).collect();
        assert!(matches!(gate.judge(home(2), false, NOW), GateVerdict::Retry));
        open.push(accepts(&gate, home(2)).unwrap());
        assert!(matches!(gate.judge(home(3), true, NOW), GateVerdict::Ignore));
        open.iter_mut().for_each(Admission::end_handshake);
        assert!(matches!(gate.judge(home(3), false, NOW), GateVerdict::Accept(_)));
    }

    #[test]
    fn connections_are_counted_in_all_and_by_address_and_given_back() {
        let gate = gate(|limits| {
            limits.connections_per_address_max = 2;
            limits.connections_max = 3;
        });
        let first = accepts(&gate, home(1)).unwrap();
        let _second = accepts(&gate, home(1)).unwrap();
        assert!(accepts(&gate, home(1)).is_none());
        let _third = accepts(&gate, home(2)).unwrap();
        assert!(accepts(&gate, home(3)).is_none(), "the server is full");
        drop(first);
        assert!(accepts(&gate, home(1)).is_some());
        assert_eq!(gate.n_connections(), 2);
    }

    #[test]
    fn guessing_at_logins_is_ignored_for_a_minute() {
        let gate = gate(|limits| limits.failed_logins_per_minute = 3);
        let admission = accepts(&gate, home(1)).unwrap();
        for _ in 0..3 {
            admission.note_failed_login(NOW);
        }
        assert!(accepts(&gate, home(1)).is_some());
        admission.note_failed_login(NOW);
        assert!(accepts(&gate, home(1)).is_none());
        assert!(accepts(&gate, home(2)).is_some());
        let later = TimeMs(NOW.0 + BAN_MS);
        assert!(matches!(gate.judge(home(1), true, later), GateVerdict::Accept(_)));
    }
}
