//! Links of user chains.

use mathia_protocol::crypto::identity::Signature;
use mathia_protocol::crypto::user_chain::{SignedLink, UserChain, UserLink};

use crate::Seed;
use crate::genuine::ANN;

/// Bytes that may be `blob || signature` of a link.
pub fn user_link(data: &[u8]) {
    let Some((blob, _)) = Signature::split_from(data) else { return };
    let Ok(link) = UserLink::decode(blob) else { return };
    assert_eq!(link.encode(), blob, "a link has one encoding");

    let signed = SignedLink(data.to_vec());
    if UserChain::found(&signed).is_ok() {
        assert_eq!(signed, ANN.links[0], "somebody founded an account without its key");
    }
    for (before, next) in ANN.chains.iter().zip(&ANN.links[1..]) {
        let mut chain = before.clone();
        if chain.extend(&signed).is_ok() {
            assert_eq!(signed, *next, "somebody else's link continues a chain");
        } else {
            assert_eq!(chain, *before, "a refused link changed the chain");
        }
    }
}

/// One link of every kind.
pub(crate) fn seeds() -> Vec<Seed> {
    let names = ["genesis", "add_device", "rotate_hpke", "revoke_device", "rotate_recovery"];
    names.map(str::to_owned).into_iter().zip(ANN.links.iter().map(|link| link.0.clone())).collect()
}
