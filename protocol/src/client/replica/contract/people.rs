//! People, keys and small things.

use zeroize::Zeroizing;

use super::{OPS, TEAM, facts};
use crate::client::event::TrustState;
use crate::client::record::{Contact, OwnInvite, PinSource, ServerRecord, UnfinishedAnswer};
use crate::client::replica::Replica;
use crate::crypto::epoch::{EpochSecret, SenderKey};
use crate::crypto::user_chain::ChainHead;
use crate::id::{AccountId, Epoch, Hash, InviteToken, Realm, Seq, TimeMs};

pub(in crate::client) fn epoch_secrets_stay_as_they_were_first_proven_until_wiped(
    replica: &Replica,
) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    let secret = |byte| EpochSecret::from_bytes(&[byte; 32]);
    replica.put_epoch_secret(TEAM, Epoch(2), &secret(2)).unwrap();
    replica.put_epoch_secret(TEAM, Epoch(1), &secret(1)).unwrap();
    replica.put_epoch_secret(TEAM, Epoch(1), &secret(9)).unwrap();
    assert_eq!(replica.epochs(TEAM).unwrap(), [Epoch(1), Epoch(2)]);
    let kept = replica.epoch_secret(TEAM, Epoch(1)).unwrap().unwrap();
    assert_eq!(*kept.to_bytes(), [1; 32]);
    replica.put_agent_key(TEAM, Epoch(1), &SenderKey::from_bytes(&[3; 32])).unwrap();
    let kept = replica.agent_key(TEAM, Epoch(1)).unwrap().unwrap();
    assert_eq!(*kept.to_bytes(), [3; 32]);
    replica.wipe_epoch_secret(TEAM, Epoch(1)).unwrap();
    assert!(replica.epoch_secret(TEAM, Epoch(1)).unwrap().is_none());
    assert!(replica.agent_key(TEAM, Epoch(1)).unwrap().is_none());
    assert!(replica.epoch_secret(OPS, Epoch(2)).unwrap().is_none());
}

pub(in crate::client) fn people_and_their_chains_are_kept(replica: &Replica) {
    let ann = AccountId([1; 32]);
    assert!(replica.chain_links(ann).unwrap().is_empty());
    replica.put_chain_links(ann, 1, &[b"genesis".to_vec(), b"add".to_vec()]).unwrap();
    replica.put_chain_links(ann, 2, &[b"other".to_vec(), b"revoke".to_vec()]).unwrap();
    let links = replica.chain_links(ann).unwrap();
    assert_eq!(links, [b"genesis".to_vec(), b"add".to_vec(), b"revoke".to_vec()]);
    replica.put_chain_links(ann, 5, &[b"behind a hole".to_vec()]).unwrap();
    assert_eq!(replica.chain_links(ann).unwrap(), links);
    assert_eq!(replica.chains().unwrap(), [(ann, links)]);
    let mut contact = Contact {
        handle: "ann".to_owned(),
        account: ann,
        seen: ChainHead { seq: 3, hash: Hash([3; 32]) },
        trust: TrustState::Verified,
        changed_to: None,
        refreshed: TimeMs(5),
    };
    replica.put_contact(&contact).unwrap();
    contact.trust = TrustState::Changed;
    contact.changed_to = Some(AccountId([2; 32]));
    replica.put_contact(&contact).unwrap();
    assert_eq!(replica.contacts().unwrap(), [contact]);
    assert!(replica.server().unwrap().is_none());
    let server = ServerRecord {
        address: "chat.example.org:4433".to_owned(),
        realm: Realm([4; 16]),
        pin: Hash([5; 32]),
        next_pin: Some(Hash([6; 32])),
        source: PinSource::Announced,
        first_seen: TimeMs(7),
    };
    replica.put_server(&server).unwrap();
    assert_eq!(replica.server().unwrap(), Some(server));
}

pub(in crate::client) fn small_things_are_kept(replica: &Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    assert_eq!(replica.draft(TEAM).unwrap(), "");
    replica.put_draft(TEAM, "half a thou").unwrap();
    assert_eq!(replica.draft(TEAM).unwrap(), "half a thou");
    replica.put_draft(TEAM, "").unwrap();
    assert_eq!(replica.draft(TEAM).unwrap(), "");
    let invite = OwnInvite {
        token: InviteToken([1; 16]),
        secret: Zeroizing::new([2; 16]),
        rooms: vec![TEAM, OPS],
        expires: TimeMs(3),
    };
    replica.put_invite(&invite).unwrap();
    assert_eq!(replica.invites().unwrap(), std::slice::from_ref(&invite));
    replica.forget_invite(invite.token).unwrap();
    assert!(replica.invites().unwrap().is_empty());
    assert_eq!(replica.clock_skew_ms().unwrap(), None);
    replica.put_clock_skew_ms(-7).unwrap();
    assert_eq!(replica.clock_skew_ms().unwrap(), Some(-7));
    let agent = AccountId([3; 32]);
    assert!(replica.card(agent).unwrap().is_none());
    replica.put_card(agent, b"older").unwrap();
    replica.put_card(agent, b"newer").unwrap();
    assert_eq!(replica.card(agent).unwrap().as_deref(), Some(&b"newer"[..]));
    assert_eq!(replica.cards().unwrap(), [(agent, b"newer".to_vec())]);
    assert!(!replica.is_joined().unwrap());
    replica.put_address("chat.example.org:4433").unwrap();
    replica.mark_joined().unwrap();
    assert!(replica.is_joined().unwrap());
    assert_eq!(replica.address().unwrap().as_deref(), Some("chat.example.org:4433"));
}

pub(in crate::client) fn an_agent_finds_what_it_began(replica: &Replica) {
    replica.put_room(TEAM, &facts("team")).unwrap();
    let answer = |ask, text: &str| {
        let (room, text) = (TEAM, text.to_owned());
        UnfinishedAnswer { room, ask: Seq(ask), n_tries: 1, text }
    };
    replica.put_unfinished_answer(&answer(7, "")).unwrap();
    replica.put_unfinished_answer(&answer(9, "done soon")).unwrap();
    replica.put_unfinished_answer(&answer(7, "The column")).unwrap();
    replica.forget_unfinished_answer(TEAM, Seq(9)).unwrap();
    assert_eq!(replica.unfinished_answers().unwrap(), [answer(7, "The column")]);
    assert_eq!(replica.asks_settled_upto(TEAM).unwrap(), Seq(0));
    replica.put_asks_settled_upto(TEAM, Seq(6)).unwrap();
    assert_eq!(replica.asks_settled_upto(TEAM).unwrap(), Seq(6));
}
