//! Everything that is sealed to a device or under a key.

use std::sync::LazyLock;

use mathia_protocol::crypto::epoch::{EpochSecret, RoomKey, SenderKey};
use mathia_protocol::crypto::identity::HpkeSecret;
use mathia_protocol::crypto::seal::{open_once, seal_once};
use mathia_protocol::crypto::settings::RoomSettings;
use mathia_protocol::crypto::wrap::{
    AgentPlace, AgentWrap, GrantContext, WrapContext, open_grant, seal_grant, unwrap,
    wrap as wrap_secret,
};
use mathia_protocol::id::{AccountId, DeviceId, Epoch, Hash, RoomId};

use crate::Seed;
use crate::genuine::{ANN, CountingBytes};

const COMMIT: Hash = Hash([6; 32]);
const DEVICE: DeviceId = DeviceId([5; 16]);
const ACCOUNT: AccountId = AccountId([4; 32]);
const WRAP: WrapContext =
    WrapContext { commit_hash: COMMIT, account: ACCOUNT, device: DEVICE, hpke_gen: 3 };
const GRANT: GrantContext =
    GrantContext { room: RoomId([8; 32]), account: ACCOUNT, device: DEVICE, hpke_gen: 3 };
const PLACE: AgentPlace = AgentPlace { commit_hash: COMMIT, device: DEVICE };

/// The device's key, the epoch's secret, and one genuine thing of each kind.
struct Sealed {
    key: HpkeSecret,
    secret: EpochSecret,
    things: [(&'static str, Vec<u8>); 6],
}

static SEALED: LazyLock<Sealed> = LazyLock::new(|| {
    let key = HpkeSecret::from_bytes(&[9; 32]);
    let (secret, before) = (EpochSecret::from_bytes(&[1; 32]), EpochSecret::from_bytes(&[2; 32]));
    let rng = &mut CountingBytes(0);
    let public = key.public();
    let usable = "the key is usable";
    let granted = [(Epoch(1), before.duplicate()), (Epoch(2), secret.duplicate())];
    let sender_key = SenderKey::derive(&RoomKey::derive(COMMIT, &secret), ACCOUNT, DEVICE);
    let agent = AgentWrap::seal(rng, &public, PLACE, &sender_key, &ANN.key).expect(usable);
    let settings = RoomSettings::named("ops".parse().expect("a valid name"));
    let things = [
        ("wrap", wrap_secret(rng, &public, &WRAP, &secret).expect(usable).to_vec()),
        ("grant", seal_grant(rng, &public, &GRANT, &granted).expect(usable)),
        ("agent_wrap", agent.encode()),
        ("prev_box", secret.seal_prev(rng, COMMIT, Epoch(2), &before)),
        ("settings_box", settings.seal(rng, &secret, COMMIT, Epoch(2))),
        ("seal_once", seal_once(rng, &[1; 32], "backup", b"aad", b"some text")),
    ];
    Sealed { key, secret, things }
});

/// The first byte says which kind the rest is.
pub fn wrap(data: &[u8]) {
    let Some((kind, sealed)) = data.split_first() else { return };
    let Some((name, genuine)) = SEALED.things.get(usize::from(*kind)) else { return };
    if opens(name, sealed) {
        assert_eq!(sealed, genuine, "a changed {name} opens");
    }
}

fn opens(name: &str, sealed: &[u8]) -> bool {
    let Sealed { key, secret, .. } = &*SEALED;
    match name {
        "wrap" => unwrap(key, &WRAP, sealed).is_ok(),
        "grant" => open_grant(key, &GRANT, sealed).is_ok(),
        "agent_wrap" => AgentWrap::decode(sealed)
            .is_ok_and(|agent| agent.open(key, PLACE, &ANN.key.public()).is_ok()),
        "prev_box" => secret.open_prev(COMMIT, Epoch(2), sealed).is_ok(),
        "settings_box" => RoomSettings::open(secret, COMMIT, Epoch(2), sealed).is_ok(),
        _ => open_once(&[1; 32], "backup", b"aad", sealed).is_ok(),
    }
}

/// One thing of each kind.
pub(crate) fn seeds() -> Vec<Seed> {
    let seed = |(kind, (name, sealed)): (u8, &(&str, Vec<u8>))| {
        assert!(opens(name, sealed), "our own {name} opens");
        ((*name).to_owned(), [&[kind], sealed.as_slice()].concat())
    };
    (0..).zip(&SEALED.things).map(seed).collect()
}
