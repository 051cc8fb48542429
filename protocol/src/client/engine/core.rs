//! What the engine knows: people, rooms, and what it has told its faces.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::time::Instant;

use super::super::event::OutboxState;
use super::super::identity::Identity;
use super::super::replica::{Replica, Stored};
use super::asks::OpenAsk;
use super::people::People;
use super::room::Room;
use super::streams::{Incoming, Outgoing};
use crate::id::{AccountId, DeviceId, RoomId, RoomNumber, Seq};

/// The state of one client. Borrowed briefly, never across an await.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) account: AccountId,
    pub(super) device: DeviceId,
    pub(super) handle: String,
    /// The keys of this device, for what is sealed to it alone.
    pub(super) identity: Rc<RefCell<Identity>>,
    pub(super) people: People,
    pub(super) rooms: BTreeMap<RoomId, Room>,
    pub(super) numbers: HashMap<RoomNumber, RoomId>,
    /// What faces were last told of each row of the outbox that is not settled.
    pub(super) told: HashMap<u64, (RoomId, OutboxState)>,
    /// Accounts whose chain is served shorter than seen: said once.
    pub(super) stale: HashSet<AccountId>,
    /// Accounts whose chain is being fetched.
    pub(super) fetching: HashSet<AccountId>,
    /// When typing was last told, by room.
    pub(super) typed: HashMap<RoomId, Instant>,
    /// Questions heard since the start that have no answer yet.
    pub(super) asks: BTreeMap<(RoomId, Seq), OpenAsk>,
    /// Answers to them that are coming in.
    pub(super) streams: HashMap<(RoomId, Seq), Incoming>,
    /// Answers that this agent is giving.
    pub(super) outgoing: HashMap<(RoomId, Seq), Outgoing>,
}

impl Core {
    /// Loads everything but entries from the replica.
    pub(super) fn load(identity: Rc<RefCell<Identity>>, replica: &Replica) -> Stored<Self> {
        let (account, device, handle) = {
            let identity = identity.borrow();
            (identity.account, identity.device(), identity.handle.as_str().to_owned())
        };
        let mut rooms = BTreeMap::new();
        for record in replica.rooms()? {
            rooms.insert(record.room, Room::load(replica, device, record)?);
        }
        let numbers =
            rooms.values().filter_map(|room: &Room| Some((room.facts.number?, room.id))).collect();
        Ok(Self {
            account,
            device,
            handle,
            identity,
            people: People::load(replica)?,
            rooms,
            numbers,
            told: HashMap::new(),
            stale: HashSet::new(),
            fetching: HashSet::new(),
            typed: HashMap::new(),
            asks: BTreeMap::new(),
            streams: HashMap::new(),
            outgoing: HashMap::new(),
        })
    }

    /// A room by the server's short number.
    pub(super) fn by_number(&self, number: RoomNumber) -> Option<RoomId> {
        self.numbers.get(&number).copied()
    }
}
