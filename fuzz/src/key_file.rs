//! Key files of a device, plain and sealed.

use std::sync::LazyLock;

use argon2::{Algorithm, Argon2, Params, Version};
use mathia_protocol::crypto::at_rest::{KEY_FILE_LEN_MAX, KeyFile, KeyFileError, StoredHpke};
use mathia_protocol::crypto::identity::{HpkeSecret, SigningKey};
use mathia_protocol::crypto::labels;
use mathia_protocol::crypto::recovery::RecoverySecret;
use mathia_protocol::crypto::seal::seal_once;
use mathia_protocol::id::{AccountId, Realm};

use crate::Seed;
use crate::genuine::{CountingBytes, TIME};

const PASSPHRASE: &str = "correct horse";
/// Mark, version and protection.
const MARK_LEN: usize = 10;
/// Where the costs stand: behind the mark and the salt.
const COSTS: std::ops::Range<usize> = MARK_LEN + 16..MARK_LEN + 28;
/// The least work that Argon2 does: a fuzzer opens thousands of files a second.
const COST: [u32; 3] = [8, 1, 1];

static PLAIN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let hpke = |generation| StoredHpke {
        generation,
        created: TIME,
        secret: HpkeSecret::from_bytes(&[3; 32]),
    };
    let keys = KeyFile {
        account: AccountId([1; 32]),
        realm: Realm([2; 16]),
        signing: SigningKey::from_seed(&[4; 32]),
        hpke: vec![hpke(1), hpke(2)],
        recovery: Some(RecoverySecret::from_bytes(&[5; 32])),
        replica_key: [6; 32].into(),
    };
    keys.encode(&mut CountingBytes(0), None).to_vec()
});

/// The same keys under a passphrase, at the least cost.
static SEALED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let salt = [7; 16];
    let [memory_kib, passes, lanes] = COST;
    let mut file = [&PLAIN[..MARK_LEN - 1], &[1], &salt].concat();
    file.extend(COST.iter().flat_map(|cost| cost.to_be_bytes()));
    let params = Params::new(memory_kib, passes, lanes, Some(32)).expect("the least cost");
    let mut key = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(PASSPHRASE.as_bytes(), &salt, &mut key)
        .expect("the least cost");
    // Behind the mark of a plain file stand four bytes of length, then the body.
    let body = &PLAIN[MARK_LEN + 4..];
    let sealed = seal_once(&mut CountingBytes(0), &key, labels::KEY_FILE, &file, body);
    file.extend(u32::try_from(sealed.len()).expect("a short body").to_be_bytes());
    file.extend(sealed);
    file
});

/// Bytes that may be a key file.
pub fn key_file(data: &[u8]) {
    let without = KeyFile::decode(data, None);
    match &without {
        Ok(keys) => {
            let again = keys.encode(&mut CountingBytes(0), None);
            assert_eq!(again.as_slice(), data, "a plain key file has one encoding");
        }
        Err(KeyFileError::WrongPassphrase | KeyFileError::Cost) => {
            panic!("nothing was asked for that");
        }
        Err(KeyFileError::Malformed(_) | KeyFileError::PassphraseNeeded) => {}
    }
    assert!(without.is_err() || data.len() <= KEY_FILE_LEN_MAX);
    // Files that ask for more work are read like any other, only not thousands of times a second.
    let is_cheap =
        data.get(COSTS).is_some_and(|costs| *costs == COST.map(u32::to_be_bytes).concat());
    if without.is_err() && is_cheap && KeyFile::decode(data, Some(PASSPHRASE)).is_ok() {
        assert_eq!(data, SEALED.as_slice(), "a changed key file opens");
    }
}

/// A plain file and a sealed one.
pub(crate) fn seeds() -> Vec<Seed> {
    let opened = KeyFile::decode(&SEALED, Some(PASSPHRASE)).expect("our own file opens");
    assert_eq!(opened.encode(&mut CountingBytes(0), None).as_slice(), PLAIN.as_slice());
    vec![("plain".to_owned(), PLAIN.clone()), ("sealed".to_owned(), SEALED.clone())]
}
