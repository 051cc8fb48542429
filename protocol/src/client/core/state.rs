//! Everything the core knows, by owner.
//!
//! Owns nothing but the list of the owners, which stand in the order of their arrows: each knows
//! those above it and none below.

use super::account::Account;
use super::asks::Asks;
use super::identities::Identities;
use super::membership::Membership;
use super::rooms::Rooms;
use super::sender::Outbox;

/// The state of one client.
#[derive(Debug)]
pub(super) struct State {
    /// This device, its keys, and the connection.
    pub(super) account: Account,
    /// Everybody known: chains, pins, presence, cards.
    pub(super) identities: Identities,
    /// The rooms: logs, positions, keys, marks.
    pub(super) rooms: Rooms,
    /// Commits of this device that are on their way.
    pub(super) membership: Membership,
    /// What waits to be sent.
    pub(super) outbox: Outbox,
    /// Questions to agents and answers on their way.
    pub(super) asks: Asks,
}
