//! What an assistant says outside the log: pieces of an answer on their way, and its card.

use std::sync::LazyLock;

use mathia_protocol::crypto::card::AgentCard;
use mathia_protocol::crypto::delta::{
    AnswerId, Delta, DeltaContext, DeltaPlace, DeltaText, seal_delta,
};
use mathia_protocol::crypto::epoch::{EpochSecret, RoomKey, SenderKey};
use mathia_protocol::crypto::message::{OpenWith, SealWith};
use mathia_protocol::id::{Epoch, Seq};
use mathia_protocol::limits::DELTA_LEN_MAX;

use crate::Seed;
use crate::genuine::{ANN, ROOM, TIME};

/// One genuine thing of each kind, and the key of the sealed one.
struct Said {
    sender_key: SenderKey,
    context: DeltaContext,
    things: [(&'static str, Vec<u8>); 3],
}

static SAID: LazyLock<Said> = LazyLock::new(|| {
    let (room, commit_hash) = (ROOM.state.room(), ROOM.create.hash());
    let (account, device) = (ANN.account(), ANN.key.device_id());
    let context = DeltaContext { room, commit_hash, device };
    let room_key = RoomKey::derive(commit_hash, &EpochSecret::from_bytes(&[1; 32]));
    let sender_key = SenderKey::derive(&room_key, account, device);
    let piece = DeltaText { ask: Seq(7), text: "hello".to_owned() };
    let seal = |epoch, with: SealWith<'_>| {
        let place = DeltaPlace { epoch, answer: AnswerId([6; 16]), index: 2, offset: 40 };
        seal_delta(&context, with, place, &piece, &ANN.key).expect("the piece is short")
    };
    let card = AgentCard {
        account,
        device,
        issued: TIME,
        provider: "models.example".to_owned(),
        model: "small-4".to_owned(),
        is_local: false,
        operator: "Heron".to_owned(),
    };
    let things = [
        ("delta", seal(Epoch(1), SealWith::SenderKey(&sender_key))),
        ("open_delta", seal(Epoch(0), SealWith::Open)),
        ("card", card.sign(&ANN.key)),
    ];
    Said { sender_key, context, things }
});

/// The first byte says which kind the rest is.
pub fn agent(data: &[u8]) {
    let Some((kind, said)) = data.split_first() else { return };
    let Some((name, genuine)) = SAID.things.get(usize::from(*kind)) else { return };
    if opens(name, said) {
        // The epoch only says which key to try: the commit that started it is signed.
        let begins = if *name == "delta" { size_of::<u32>() } else { 0 };
        assert_eq!(said[begins..], genuine[begins..], "a changed {name} opens");
    }
}

fn opens(name: &str, said: &[u8]) -> bool {
    let Said { sender_key, context, .. } = &*SAID;
    let key = ANN.key.public();
    if name == "card" {
        return AgentCard::open(said, &key).is_ok();
    }
    let Ok(delta) = Delta::decode(said) else { return false };
    assert!(said.len() <= DELTA_LEN_MAX);
    let with = if name == "delta" { OpenWith::SenderKey(sender_key) } else { OpenWith::Open };
    delta.open(context, with, &key).is_ok()
}

/// One thing of each kind.
pub(crate) fn seeds() -> Vec<Seed> {
    let seed = |(kind, (name, said)): (u8, &(&str, Vec<u8>))| {
        assert!(opens(name, said), "our own {name} opens");
        ((*name).to_owned(), [&[kind], said.as_slice()].concat())
    };
    (0..).zip(&SAID.things).map(seed).collect()
}
