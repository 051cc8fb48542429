//! Commits, from their bytes to the rules that judge them.

use mathia_protocol::crypto::commit::Commit;
use mathia_protocol::crypto::identity::Signature;
use mathia_protocol::log::{Context, validate_commit, validate_create, wraps_needed};

use crate::Seed;
use crate::genuine::{ANN, ROOM};

/// Bytes that may be a stored commit: tag, blob and signature.
pub fn commit(data: &[u8]) {
    let Ok(commit) = Commit::decode(data) else { return };
    assert_eq!(commit.entry(), data);
    let again = (*commit).clone().sign(&ANN.key).expect("what is read can be written");
    let unsigned = data.len() - Signature::LEN;
    assert_eq!(again.entry()[..unsigned], data[..unsigned], "a commit has one encoding");

    let is_genuine = commit == ROOM.create || ROOM.next.iter().any(|(_, next)| commit == *next);
    assert_eq!(commit.verify(&ANN.key.public()).is_ok(), is_genuine);
    if validate_create(&commit, &ROOM.chains, Context::Live).is_ok() {
        assert_eq!(commit, ROOM.create, "somebody founded a room in Ann's name");
    }
    for context in [Context::Live, Context::History] {
        if validate_commit(&ROOM.state, &commit, &ROOM.chains, context).is_ok() {
            assert!(is_genuine, "somebody changed the room in Ann's name");
        }
    }
    // Asked before the signature is known to be right, so any answer but a panic is fine.
    drop(wraps_needed(Some(&ROOM.state), &commit, &ROOM.chains));
}

/// A Create and some that may follow it.
pub(crate) fn seeds() -> Vec<Seed> {
    validate_create(&ROOM.create, &ROOM.chains, Context::Live).expect("the Create is valid");
    let next = ROOM.next.iter().map(|(name, next)| {
        validate_commit(&ROOM.state, next, &ROOM.chains, Context::Live)
            .expect("the commit is valid");
        ((*name).to_owned(), next.entry().to_vec())
    });
    std::iter::once(("create".to_owned(), ROOM.create.entry().to_vec())).chain(next).collect()
}
