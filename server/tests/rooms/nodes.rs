//! Two servers on one store: what one has written behind the other's back, the other notices.

use std::sync::Arc;

use mathia_protocol::id::{RoomId, Seq, WorkspaceId};
use mathia_protocol::log::propose::Change;
use mathia_protocol::wire::{Call, Fault, Registration, Reply, Request, ServerFrame};
use mathia_server::hub::SessionId;
use mathia_server::limits::Limits;
use mathia_server::rooms::{RoomServer, RoomServerParts};
use mathia_server::store::Store;
use mathia_server::store::sqlite::SqliteStore;
use mathia_testkit::memory_store::MemoryStore;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::cast::{Person, REALM, Town, master, server_frames};

/// A second server on the data of a town.
struct OtherNode {
    server: RoomServer,
    rng: StdRng,
}

impl OtherNode {
    fn on(store: &dyn Store) -> Self {
        let parts = RoomServerParts {
            master: master(),
            limits: Limits::default(),
            registration: Registration::Open,
            workspace: WorkspaceId::MAIN,
        };
        let server = RoomServer::new(store, parts).unwrap();
        Self { server, rng: StdRng::seed_from_u64(3) }
    }

    fn log_in(&mut self, person: &Person) -> SessionId {
        self.server.open_session(person.account, person.device).unwrap()
    }

    fn call(&mut self, town: &Town, session: SessionId, request: Request) -> Result<Reply, Fault> {
        self.server.handle(session, Call { id: 1, request }, town.now(), &mut self.rng).unwrap();
        for output in self.server.take_output() {
            for frame in server_frames(&output.frames) {
                match frame {
                    ServerFrame::Reply { id: 1, reply } if output.session == session => {
                        return Ok(reply);
                    }
                    ServerFrame::Fault { id: 1, fault } if output.session == session => {
                        return Err(fault);
                    }
                    _ => {}
                }
            }
        }
        panic!("no answer")
    }

    fn appends(
        &mut self,
        town: &Town,
        (session, room): (SessionId, RoomId),
        entry: Vec<u8>,
    ) -> Result<Seq, Fault> {
        match self.call(town, session, Request::Append { room, entry })? {
            Reply::Accepted { seq, .. } => Ok(seq),
            other => panic!("{other:?}"),
        }
    }
}

fn two_nodes(story: fn(&Town, OtherNode)) {
    let memory = MemoryStore::new(REALM);
    let other = memory.of_another_process();
    story(&Town::start_on_store(Arc::new(memory)), OtherNode::on(&other));
    let town = Town::start_on_disk();
    let other = SqliteStore::open(&town.file(), || REALM).unwrap();
    story(&town, OtherNode::on(&other));
}

#[test]
fn an_entry_that_another_node_appended_is_followed_by_the_next_place() {
    two_nodes(|town, mut other| {
        let (mut ann, mut bob, _, room) = town.three_friends();
        let session = other.log_in(&bob);
        assert_eq!(ann.says(town, room, "here"), Ok(Seq(2)));
        for place in [3, 5, 7] {
            bob.syncs(town, room);
            let entry = bob.seals(town, room, "there");
            assert_eq!(other.appends(town, (session, room), entry), Ok(Seq(place)));
            ann.syncs(town, room);
            assert_eq!(ann.says(town, room, "here"), Ok(Seq(place + 1)));
        }
        // Checks the whole hash chain on its way.
        bob.syncs(town, room);
        assert_eq!(bob.rooms[&room].entries.len(), 8);
    });
}

#[test]
fn who_was_removed_by_another_node_is_refused_by_this_one() {
    two_nodes(|town, mut other| {
        let (mut ann, mut bob, eve, room) = town.three_friends();
        bob.says(town, room, "hello").unwrap();
        ann.syncs(town, room);
        let session = other.log_in(&ann);
        let change = Change::Remove(vec![bob.account]);
        let (commit, wraps) = ann.commit(town, room, &change, &[&bob, &eve]);
        let entry = commit.entry().to_vec();
        let (workspace, id) = (WorkspaceId::MAIN, Some(room));
        let request = Request::Commit { workspace, room: id, entry, wraps };
        other.call(town, session, request).unwrap();
        assert_eq!(bob.says(town, room, "still here"), Err(Fault::NotFound));
    });
}

#[test]
fn a_mark_that_was_not_yet_flushed_survives_the_loading() {
    two_nodes(|town, mut other| {
        let (mut ann, mut bob, _, room) = town.three_friends();
        let session = other.log_in(&bob);
        let at = ann.says(town, room, "mine, so I have read it").unwrap();
        bob.syncs(town, room);
        let entry = bob.seals(town, room, "there");
        other.appends(town, (session, room), entry).unwrap();
        ann.syncs(town, room);
        ann.says(town, room, "and on").unwrap();
        town.time_passes(1_000);
        let number = town.read().room(room).unwrap().unwrap().number;
        let mark = town.read().mark(number, ann.account).unwrap().unwrap();
        assert!(mark.read_upto > at);
    });
}
