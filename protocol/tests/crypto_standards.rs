//! The libraries below us compute what the standards say: published vectors of each primitive.
//!
//! They are called here exactly as `crypto` calls them, without labels where a vector has none.

use std::convert::Infallible;

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use ed25519_dalek::Signer as _;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem as _, OpModeR, Serializable as _};
use mathia_protocol::crypto::hash::{extract, mac, sha256};
use mathia_protocol::crypto::identity::{HpkePublic, HpkeSecret};
use rand::{TryCryptoRng, TryRng};

fn unhex(text: &str) -> Vec<u8> {
    let text: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("filtered");
    text.chunks_exact(2)
        .map(|pair| u8::try_from(digit(pair[0]) * 16 + digit(pair[1])).expect("two digits"))
        .collect()
}

fn unhex_array<const N: usize>(text: &str) -> [u8; N] {
    unhex(text).try_into().expect("the vector has this length")
}

/// The bytes of a range in hexadecimal.
fn rising(range: std::ops::RangeInclusive<u8>) -> String {
    range.fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Hands out the bytes it was given, for vectors that name the random input.
struct GivenBytes(Vec<u8>);

impl TryRng for GivenBytes {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for GivenBytes {}

/// RFC 8032, 7.1: tests 1, 2, 3 and SHA(abc).
#[test]
fn ed25519_signs_as_rfc_8032_says() {
    let vectors = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c\
             f9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0\
             f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f76098\
             4dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3\
             feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c664\
             31e0303dca179c138ac17ad9bef1177331a704",
        ),
    ];
    for (seed, public, message, signature) in vectors {
        let key = ed25519_dalek::SigningKey::from_bytes(&unhex_array(seed));
        assert_eq!(key.verifying_key().to_bytes(), unhex_array(public));
        let signed = key.sign(&unhex(message));
        assert_eq!(signed.to_bytes(), unhex_array(signature));
        key.verifying_key().verify_strict(&unhex(message), &signed).unwrap();
    }
}

/// RFC 5869, appendix A.1 to A.3.
#[test]
fn hkdf_derives_as_rfc_5869_says() {
    let vectors = [
        (
            "0b".repeat(22),
            "000102030405060708090a0b0c".to_owned(),
            "f0f1f2f3f4f5f6f7f8f9".to_owned(),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            rising(0x00..=0x4f),
            rising(0x60..=0xaf),
            rising(0xb0..=0xff),
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e\
             590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            "0b".repeat(22),
            String::new(),
            String::new(),
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ];
    for (ikm, salt, info, prk, okm) in vectors {
        let found = extract(&unhex(&salt), &unhex(&ikm));
        assert_eq!(*found, unhex_array(prk));
        let mut out = vec![0; unhex(okm).len()];
        let hkdf = hkdf::Hkdf::<sha2::Sha256>::from_prk(found.as_slice()).unwrap();
        hkdf.expand(&unhex(&info), &mut out).unwrap();
        assert_eq!(out, unhex(okm));
    }
}

/// FIPS 180-4 example "abc"; RFC 4231, test case 2.
#[test]
fn sha_256_and_hmac_hash_as_their_standards_say() {
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(sha256(&[b"a", b"bc"]).to_hex(), abc);
    let tag = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(mac(b"Jefe", &[b"what do ya want ", b"for nothing?"]).to_hex(), tag);
}

/// The GCM specification submitted to NIST, test cases 13, 14 and 16.
#[test]
fn aes_256_gcm_seals_as_nist_says() {
    let key = "feffe9928665731c6d6a8f9467308308".repeat(2);
    let vectors = [
        ("00".repeat(32), "00".repeat(12), "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
        (
            "00".repeat(32),
            "00".repeat(12),
            "",
            "00000000000000000000000000000000",
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
        ),
        (
            key,
            "cafebabefacedbaddecaf888".to_owned(),
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449\
             a6b525b16aedf5aa0de657ba637b39",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056\
             828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
        ),
    ];
    for (key, nonce, aad, plaintext, sealed) in vectors {
        let cipher = Aes256Gcm::new(&unhex_array::<32>(&key).into());
        let nonce = unhex_array::<12>(&nonce).into();
        let (aad, plaintext) = (unhex(aad), unhex(plaintext));
        let found = cipher.encrypt(&nonce, Payload { msg: &plaintext, aad: &aad }).unwrap();
        assert_eq!(found, unhex(sealed));
        let back = cipher.decrypt(&nonce, Payload { msg: &found, aad: &aad }).unwrap();
        assert_eq!(back, plaintext);
    }
}

/// The test vector of RFC 9180 for mode 0 (base), KEM 0x0020, KDF 0x0001, AEAD 0x0002: our suite.
#[test]
fn hpke_wraps_as_rfc_9180_says() {
    let secret = unhex_array("497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d");
    let public = unhex_array("430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c");
    let enc = unhex("6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256");
    let ikm_e = unhex("2cd7c601cefb3d42a62b04b7a9041494c06c7843818e0ce28a8f704ae7ab20f9");
    let ikm_r = unhex("dac33b0e9db1b59dbbea58d59a14e7b5896e9bdf98fad6891e99d1686492b9ee");
    let info = unhex("4f6465206f6e2061204772656369616e2055726e");
    let plaintext = unhex("4265617574792069732074727574682c20747275746820626561757479");
    // The first ciphertext of the vector, under the associated data "Count-0".
    let sealed = unhex(
        "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a",
    );

    let (derived_secret, derived_public) = X25519HkdfSha256::derive_keypair(&ikm_r);
    // The crate clamps the secret when it derives it; the public key says that it is the same.
    assert_eq!(derived_public.to_bytes().as_slice(), public);
    let opened = hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &derived_secret,
        &<X25519HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(&enc).unwrap(),
        &info,
        &sealed,
        b"Count-0",
    );
    assert_eq!(opened.unwrap(), plaintext);

    // Our own types make the same encapsulated key and open with the same secret.
    assert_eq!(HpkeSecret::from_bytes(&secret).public(), HpkePublic(public));
    let wrapped = HpkePublic(public).seal(&mut GivenBytes(ikm_e), &info, &plaintext).unwrap();
    assert_eq!(wrapped[..32], enc);
    let opened = HpkeSecret::from_bytes(&secret).open(&info, &wrapped).unwrap();
    assert_eq!(*opened, plaintext);
}
